"""Tables of the chapter on calibration: draws, sizes, sources, in text."""

import pandas as pd

from ptq.experiment import factors
from ptq.experiment.calibration_study import Asked, Spread


def spread_rows(found: dict[tuple[str, int], Spread]) -> list[dict]:
    """Changes over draws in points, a row a source and number of images."""
    return [
        {
            "source": source,
            "images": f"{count:g}",
            "mean change": f"{100 * spread.mean.value:+.2f}",
            "verdict": spread.verdict,
            "standard deviation": f"{100 * spread.deviation:.2f}",
            "worst": f"{100 * spread.worst:+.2f}",
            "lose < 0.5": f"{100 * spread.safe.value:.0f} % "
            f"(≥ {100 * spread.safe.low:.0f} %)",
        }
        for (source, count), spread in found.items()
    ]


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
