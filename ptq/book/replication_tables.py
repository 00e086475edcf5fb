"""Tables of the chapter on replication: seeds, orders, effects, in text."""

import pandas as pd

from ptq.evidence.intervals import Interval
from ptq.evidence.replicates import Ordering
from ptq.experiment import effect_words, factors
from ptq.experiment.strategies import STRATEGIES


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
        "95 % interval": f"{found.low:+.2f} to {found.high:+.2f}",
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
                f"{what}, 95 % interval": f"{found.low:+.3f} to "
                f"{found.high:+.3f}",
                f"{what}, Holm p": f"{found.p_holm:.2g}",
                f"on the {what}": "shown" if word else "not shown",
            }
        rows.append(row)
    return rows
