"""Tables of the smallest files: rows of the reference, and its levels."""

import pandas as pd

from ptq.experiment.smallest_study import (
    PLAIN,
    SMALLEST,
    TERNARY,
    Level,
    price_of,
    small,
)
from ptq.networks import recipes


def file_rows(found: pd.DataFrame) -> list[dict[str, str]]:
    """A row for each of ``smallest_study.rows``."""
    return [
        {
            "network": recipes.get(row.network).label,
            "weights": in_words(row.strategy),
            "trainings": str(row.trainings),
            "file (kB)": f"{row.file_bytes / 1000:.1f}",
            "top-1 (%)": f"{100 * row.accuracy:.2f}",
            "change (points)": f"{100 * row.change:+.2f}",
            "made in (CPU s)": f"{row.cpu_seconds:.0f}",
        }
        for row in found.itertuples()
    ]


def level_rows(levels: list[Level]) -> list[dict[str, str]]:
    """A row for each level that the reference can judge."""
    return [
        {
            "network": recipes.get(level.row.network).label,
            "level": level.words,
            "file (kB)": f"{level.row.file_bytes / 1000:.1f}",
            "change (points)": f"{100 * level.row.change:+.2f}",
            "verdict": level.word,
        }
        for level in levels
    ]


def choice_words(found: pd.DataFrame) -> str:
    """How many files of each network qualify for the last level, in words.

    ``found`` is ``smallest_study.rows``.
    """
    told = [
        f"{len(small(rows)) or 'none'} of the {recipes.get(network).label}"
        for network, rows in found.groupby("network")
    ]
    return f"Files of at most {SMALLEST / 1000:.0f} kB: {'; '.join(told)}."


def prices(found: pd.DataFrame) -> list[str]:
    """The prices of a bit among the rows, in nats, from the lowest."""
    priced = {n for n in found.strategy if n.startswith("price")}
    return sorted({f"{price_of(name):.2g}" for name in priced}, key=float)


def in_words(name: str) -> str:
    """What a row of the reference is, as tables call it."""
    if name == TERNARY:
        return "fc1 of -1, 0 and 1"
    if name in PLAIN:
        (bits,) = set(PLAIN[name].values())
        return f"{' and '.join(PLAIN[name])} at {bits} bit{'s' * (bits > 1)}"
    return f"{price_of(name):.2g} nats a bit"
