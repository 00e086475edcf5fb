"""Tables of the chapter on calibration: draws, sizes, sources, in text."""

import pandas as pd

from ptq.evidence import intervals, paired_tests, replicates
from ptq.evidence.thresholds import MARGIN
from ptq.experiment import factors
from ptq.experiment.calibration_study import Asked


def spread_rows(
    frame: pd.DataFrame, margin: float = MARGIN
) -> list[dict[str, str]]:
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
        safe = 100 * replicates.safe_share(values, margin)
        rows.append(
            {
                "source": source,
                "images": f"{count:g}",
                "mean change": f"{100 * mean.value:+.2f}",
                "verdict": paired_tests.verdict(mean, p, margin),
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
            "95 % interval": f"{100 * found.change.low:+.2f} to "
            f"{100 * found.change.high:+.2f}",
            "Holm p": f"{found.p_holm:.2g}",
            "verdict": found.verdict,
        }
        for (name, what), found in asked.items()
    ]
