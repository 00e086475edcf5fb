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


def observer_rows(frame: pd.DataFrame) -> list[dict[str, str]]:
    """Changes in points by bits of activations and observer.

    ``frame`` is the reference "ranges". Min-max is held to the float
    network, the others to min-max.
    """
    titles = {bits: {"bits": str(bits)} for bits in OBSERVED}
    base = f"{OBSERVER_WORDS[MINMAX]}, against FP32"
    words = OBSERVER_WORDS | {MINMAX: base}
    names = {one: {"observer": told} for one, told in words.items()}
    return _rows(frame, OBSERVED, titles, names)


def repair_rows(frame: pd.DataFrame) -> list[dict[str, str]]:
    """Changes in points of 4-bit weights by grid and repair.

    ``frame`` is the reference "ranges".
    """
    titles = {False: {"one grid": "a layer"}, True: {"one grid": "a channel"}}
    names = {words: {"what is done": words} for words in REPAIRS}
    return _rows(frame, REPAIRED, titles, names)


def source_rows(frame: pd.DataFrame) -> list[dict[str, str]]:
    """Changes in points by network and source, with intervals and verdicts.

    ``frame`` is the reference "ranges". Training images are held to the
    float network, the others to training images.
    """
    found, rows = range_sweep.judged(frame, CALIBRATED), []
    for network in committed_sweeps.networks(frame):
        for key, words in IMAGE_WORDS.items():
            row = {"network": recipes.get(network).label, "images": words}
            for bits in CALIBRATED:
                one = found.loc[(network, bits, key)]
                row[f"{bits} bits (points)"] = f"{100 * one.change:+.1f}"
                row[f"{bits} bits, verdict"] = one.verdict
            rows.append(row)
    return rows


def _rows(
    frame: pd.DataFrame,
    studied: Mapping[Hashable, Mapping[str, Choice]],
    titles: Mapping[Hashable, dict[str, str]],
    names: Mapping[str, dict[str, str]],
) -> list[dict[str, str]]:
    """A row a choice; a network has a column, with half its interval.

    A verdict is said where a difference is shown.
    """
    found, rows = range_sweep.judged(frame, studied), []
    for group, choices in studied.items():
        for name in choices:
            row = titles[group] | names[name]
            for network in committed_sweeps.networks(frame):
                told = _told(found.loc[(network, group, name)])
                row[recipes.get(network).label] = told
            rows.append(row)
    return rows


def _told(row: pd.Series) -> str:
    change = 100 * row.change
    half = (change.high - change.low) / 2
    verdict = f" {row.verdict}" if row.verdict in SHOWN else ""
    return f"{change.value:+.1f} ± {half:.1f}{verdict}"
