"""Designed experiments: over draws, training seeds and factors."""

import pandas as pd

from ptq.book.tables import cells
from ptq.evidence import intervals, paired_tests, replicates
from ptq.evidence.intervals import Interval
from ptq.evidence.replicates import Ordering
from ptq.evidence.thresholds import MARGIN, SIGNIFICANCE
from ptq.experiment import effect_words, factors
from ptq.experiment.calibration_study import Asked
from ptq.experiment.strategies import STRATEGIES


def spread_rows(frame: pd.DataFrame) -> list[dict[str, str]]:
    """Changes over draws in points, a row a source and number of images.

    ``frame`` has one observer and the columns source, images and change (a
    share). Verdicts are on the mean, by Student's test with Holm's
    correction over all rows. InputError where a row has fewer than two draws.
    """
    groups = frame.groupby(["source", "images"], observed=True).change
    p_values = [replicates.p_value(found.to_numpy()) for _, found in groups]
    adjusted = paired_tests.holm(p_values)
    rows = []
    for ((source, count), found), p in zip(groups, adjusted, strict=True):
        values = found.to_numpy()
        mean = intervals.mean(values)
        spread = replicates.standard_deviation(values)
        safe = 100 * replicates.safe_share(values, MARGIN)
        rows.append(
            {
                "source": source,
                "images": f"{count:g}",
                "mean change": f"{100 * mean.value:+.2f}",
                "verdict": paired_tests.verdict(mean, p, MARGIN),
                "standard deviation": f"{100 * spread:.2f}",
                "worst": f"{100 * values.min():+.2f}",
                "lose < 0.5": f"{safe.value:.0f} % (≥ {safe.low:.0f} %)",
            }
        )
    return rows


def enough_rows(
    frame: pd.DataFrame, enough: dict[tuple[str, str], str], margin: float
) -> list[dict]:
    """How many draws lose less than ``margin``, by number of images.

    ``frame`` has the columns of ``calibration_study``; ``enough`` tells the
    numbers of images that suffice, by observer and source.
    """
    kept = frame.assign(kept=frame.change > -margin)
    keys = ["observer", "source", "images"]
    counts = kept.groupby(keys, observed=True).kept.sum().unstack()
    return [
        {"observer": factors.OBSERVERS[name], "source": source}
        | {f"{n:,}": int(k) for n, k in counts.loc[name, source].items()}
        | {"enough": told}
        for (name, source), told in enough.items()
    ]


def question_rows(asked: dict[tuple[str, str], Asked]) -> list[dict]:
    """A row a question and observer: the mean change in points, the word."""
    return [
        {
            "images": what,
            "observer": factors.OBSERVERS[name],
            "mean change": f"{100 * found.change.value:+.2f}",
            "95 % interval": cells.between(100 * found.change),
            "Holm p": f"{found.p_holm:.2g}",
            "verdict": found.verdict,
        }
        for (name, what), found in asked.items()
    ]


def change_rows(
    orders: dict[tuple[str, str], Ordering], changes: pd.DataFrame
) -> list[dict[str, str]]:
    """Strategies against FP32 over training seeds, a row a strategy.

    ``changes`` are ``replicates.paired_differences``, which were ordered.
    """
    return [
        {
            "strategy": STRATEGIES[name].label,
            **_points(order.difference, "mean change"),
            "worst seed": f"{100 * changes[name].min():+.2f}",
            "Holm p": f"{order.p_holm:.3f}",
            "verdict": order.verdict,
        }
        for (name, _), order in orders.items()
    ]


def only_alone(orders: dict[tuple[str, str], Ordering]) -> str:
    """First strategies that a test of its own shows, but not after Holm."""
    labels = [
        STRATEGIES[name].label
        for (name, _), order in orders.items()
        if order.p < SIGNIFICANCE <= order.p_holm
    ]
    return ", ".join(labels) or "none"


def order_rows(
    orders: dict[tuple[str, str], Ordering],
) -> list[dict[str, str]]:
    """Pairs of strategies over training seeds, a row a claim."""
    return [
        {
            "claim": " over ".join(STRATEGIES[n].label for n in pair),
            **_points(order.difference, "difference"),
            "seeds ahead": f"{order.ahead} of {order.seeds}",
            "Holm p": f"{order.p_holm:.3f}",
            "verdict on the first": order.verdict,
        }
        for pair, order in orders.items()
    ]


def _points(found: Interval, what: str) -> dict[str, str]:
    found = 100 * found
    return {
        f"{what} (points)": f"{found.value:+.2f}",
        "95 % interval": cells.between(found),
    }


def effect_rows(
    effects: dict[str, pd.DataFrame], terms: list[str]
) -> list[dict[str, str]]:
    """Effects in points on each response, a row a term.

    ``effects`` are tables of ``replicates.effects``, by the response's name.
    """
    rows = []
    for term in terms:
        row = {"factor, or pair": factors.in_words(term)}
        for what, table in effects.items():
            found = table.loc[term]
            word = effect_words.shown(table)[term]
            row |= {
                f"{what} (points)": f"{found['value']:+.3f}",
                f"{what}, 95 % interval": cells.between(found, "+.3f"),
                f"{what}, Holm p": f"{found.p_holm:.2g}",
                f"on the {what}": "shown" if word else "not shown",
            }
        rows.append(row)
    return rows
