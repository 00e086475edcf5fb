"""Tables of ranges: observers, repairs of few bits, sources of images."""

from collections.abc import Hashable, Mapping

import pandas as pd

from ptq.experiment import range_sweep
from ptq.experiment.image_sources import SOURCES
from ptq.experiment.range_study import (
    CALIBRATED,
    OBSERVED,
    OBSERVER_WORDS,
    REPAIRED,
    Choice,
)
from ptq.experiment.rounding_sweep import change
from ptq.networks import recipes


def observer_rows(frame: pd.DataFrame) -> list[dict[str, str]]:
    """Changes in points by bits of activations and observer.

    ``frame`` is the reference "ranges".
    """
    titles = {bits: {"bits": str(bits)} for bits in OBSERVED}
    names = {one: {"observer": w} for one, w in OBSERVER_WORDS.items()}
    return _rows(frame, OBSERVED, titles, names)


def repair_rows(frame: pd.DataFrame) -> list[dict[str, str]]:
    """Changes in points of 4-bit weights by grid and repair.

    ``frame`` is the reference "ranges".
    """
    titles = {False: {"one grid": "a layer"}, True: {"one grid": "a channel"}}
    names = {words: {"what is done": words} for words in REPAIRED[True]}
    return _rows(frame, REPAIRED, titles, names)


def source_rows(frame: pd.DataFrame) -> list[dict[str, str]]:
    """Changes in points by bits of activations and source of images.

    ``frame`` is the reference "ranges".
    """
    titles = {bits: {"bits": str(bits)} for bits in CALIBRATED}
    names = {key: {"images": row.label} for key, row in SOURCES.items()}
    return _rows(frame, CALIBRATED, titles, names)


def _rows(
    frame: pd.DataFrame,
    studied: Mapping[Hashable, Mapping[str, Choice]],
    titles: Mapping[Hashable, dict[str, str]],
    names: Mapping[str, dict[str, str]],
) -> list[dict[str, str]]:
    """A row a choice; a network has a column, with half its interval."""
    rows = []
    for key, choices in studied.items():
        for name, choice in choices.items():
            row = titles[key] | names[name]
            for network in range_sweep.networks(frame):
                found = 100 * change(frame, network, choice.name)
                half = (found.high - found.low) / 2
                told = f"{found.value:+.1f} ± {half:.1f}"
                row[recipes.get(network).label] = told
            rows.append(row)
    return rows
