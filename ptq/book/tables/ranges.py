"""Tables of ranges: observers, repairs of few bits, sources of images."""

from collections.abc import Hashable, Mapping

import pandas as pd

from ptq.experiment import committed_sweeps, range_sweep
from ptq.experiment.range_study import (
    CALIBRATED,
    IMAGE_WORDS,
    MINMAX,
    OBSERVED,
    OBSERVER_WORDS,
    REPAIRED,
    REPAIRS,
    Choice,
)
from ptq.experiment.range_sweep import SHOWN
from ptq.networks import recipes

AVERAGE = "average of the networks"


def observer_rows(frame: pd.DataFrame) -> list[dict[str, str]]:
    """Changes in points by bits of activations and observer.

    ``frame`` is the reference "ranges". Min-max is held to the float
    network, the others to min-max. The average over the networks, in the
    last column, is judged.
    """
    titles = {bits: {"bits": str(bits)} for bits in OBSERVED}
    base = f"{OBSERVER_WORDS[MINMAX]}, against FP32"
    words = OBSERVER_WORDS | {MINMAX: base}
    names = {one: {"observer": told} for one, told in words.items()}
    return _rows(frame, OBSERVED, titles, names)


def repair_rows(frame: pd.DataFrame) -> list[dict[str, str]]:
    """Changes in points of 4-bit weights by grid and repair.

    ``frame`` is the reference "ranges". The average over the networks, in
    the last column, is judged.
    """
    titles = {False: {"one grid": "a layer"}, True: {"one grid": "a channel"}}
    names = {words: {"what is done": words} for words in REPAIRS}
    return _rows(frame, REPAIRED, titles, names)


def source_rows(frame: pd.DataFrame) -> list[dict[str, str]]:
    """Changes in points by network and source, with intervals.

    ``frame`` is the reference "ranges". Training images are held to the
    float network, the others to training images. The average over the
    networks comes first, with its verdicts.
    """
    found = range_sweep.changes(frame, CALIBRATED)
    on_average = range_sweep.judged(frame, CALIBRATED)
    told = {AVERAGE: on_average} | {
        recipes.get(network).label: found.loc[network]
        for network in committed_sweeps.networks(frame)
    }
    return [
        {"network": network, "images": words}
        | {
            f"{bits} bits (points)": _with_verdict(rows.loc[(bits, key)])
            for bits in CALIBRATED
        }
        for network, rows in told.items()
        for key, words in IMAGE_WORDS.items()
    ]


def _with_verdict(row: pd.Series) -> str:
    told = f"{100 * row.change:+.1f}"
    return f"{told} {row.verdict}" if "verdict" in row else told


def _rows(
    frame: pd.DataFrame,
    studied: Mapping[Hashable, Mapping[str, Choice]],
    titles: Mapping[Hashable, dict[str, str]],
    names: Mapping[str, dict[str, str]],
) -> list[dict[str, str]]:
    """A row a choice; a network has a column, and so has their average."""
    found = range_sweep.changes(frame, studied)
    on_average = range_sweep.judged(frame, studied)
    return [
        titles[group]
        | names[name]
        | {
            recipes.get(network).label: _told(found.loc[network, group, name])
            for network in committed_sweeps.networks(frame)
        }
        | {AVERAGE: _told(on_average.loc[group, name])}
        for group, choices in studied.items()
        for name in choices
    ]


def _told(row: pd.Series) -> str:
    """A change and half its interval; a verdict where one is shown."""
    change = 100 * row.change
    half = (change.high - change.low) / 2
    verdict = row.get("verdict")
    told = f" {verdict}" if verdict in SHOWN else ""
    return f"{change.value:+.1f} ± {half:.1f}{told}"
