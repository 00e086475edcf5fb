"""A candidate against the reference: everything that is found, in a row."""

import math
from dataclasses import dataclass, field

import numpy as np

from ptq.evidence import (
    class_changes,
    intervals,
    network_pairs,
    paired_tests,
)
from ptq.evidence.class_changes import ClassChange
from ptq.evidence.intervals import Interval
from ptq.evidence.thresholds import SIGNIFICANCE
from ptq.judge import network_outputs
from ptq.judge.network_outputs import Outputs

UNKNOWN = "unknown without labels"


@dataclass(frozen=True)
class Row:
    """One candidate against the reference; shares are of images, 0 to 1.

    ``detectable`` is the smallest change that could have been shown (Holm's
    first step): with as many flips, or, where these are too few to show any,
    with as few more as it takes; None where all images are too few.
    ``non_inferior`` says whether a loss of the margin or more is excluded.
    Without labels, results that need them are None, and ``verdict`` rests on
    the disagreement. ``by_class`` starts with the largest net loss.
    """

    name: str
    disagreement: Interval
    verdict: str
    non_inferior: bool
    accuracy: Interval | None = None
    change: Interval | None = None
    lost: int | None = None
    gained: int | None = None
    p: float | None = None
    p_holm: float | None = None
    detectable: float | None = None
    by_class: list[ClassChange] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def hurt(self) -> list[ClassChange]:
        """Classes that are shown to have lost."""
        return [found for found in self.by_class if found.word == "worse"]


def right(predictions: np.ndarray, truth: np.ndarray) -> Interval:
    """Share of right predictions; both hold class numbers (N,)."""
    return intervals.wilson(int((predictions == truth).sum()), len(truth))


def without_labels(
    found: dict[str, np.ndarray], made: dict[str, Outputs], margin: float
) -> list[Row]:
    """The rows of all candidates, where no labels are known.

    ``found`` holds predictions (N,), the reference's first, and ``made``
    what they are of.
    """
    rows = []
    for name in [*found][1:]:
        other = _disagreement(found, name)
        safe = other.high < margin
        rows.append(
            Row(
                name=name,
                disagreement=other,
                verdict="non-inferior" if safe else UNKNOWN,
                non_inferior=safe,
                notes=_notes(found, made, name),
            )
        )
    return rows


def with_labels(
    found: dict[str, np.ndarray],
    made: dict[str, Outputs],
    truth: np.ndarray,
    margin: float,
    classes: int,
    class_names: list[str] | None,
) -> list[Row]:
    """The rows of all candidates; ``truth`` (N,) are the true classes.

    ``found`` holds predictions (N,), the reference's first, and ``made``
    what they are of. InputError where they do not fit each other.
    """
    reference, *others = found
    judged = network_pairs.compared(
        {name: (found[reference], found[name]) for name in others},
        truth,
        classes,
        margin,
    )
    by_class = class_changes.by_class(found, truth, class_names)
    return [
        Row(
            name=name,
            disagreement=_disagreement(found, name),
            verdict=pair.verdict,
            non_inferior=paired_tests.excludes(pair, margin),
            accuracy=right(found[name], truth),
            change=pair.change,
            lost=pair.lost,
            gained=pair.gained,
            p=pair.p,
            p_holm=pair.holm,
            detectable=_detectable(pair, len(others)),
            by_class=by_class[name],
            notes=_notes(found, made, name)
            + _doubts(pair, margin, found, name, truth),
        )
        for name, pair in judged.items()
    ]


def _copies(found: dict, name: str, truth: np.ndarray) -> list[str]:
    """A note where one of two that differ agrees with every label."""
    pair = next(iter(found)), name
    same = [np.array_equal(found[one], truth) for one in pair]
    if all(same):
        return []
    return [
        f"{one} is right for every image: if the labels are a copy of its "
        "predictions, nothing here is an accuracy"
        for one, equal in zip(pair, same, strict=True)
        if equal
    ]


def _doubts(
    pair: paired_tests.Flips, margin: float, found: dict, name: str, truth
) -> list[str]:
    notes = _copies(found, name, truth)
    low = paired_tests.difference(pair).low
    if low > -margin and not paired_tests.excludes(pair, margin):
        notes.append(
            "the interval lies above the loss of the margin, yet with so few "
            "flips a sharper test does not exclude that loss: more images "
            "would decide"
        )
    if paired_tests.by_chance(found[name], truth) >= network_outputs.CHANCE:
        notes.append(
            "right no more often than by chance: are its images in the same "
            "order, and prepared in the same way?"
        )
    return notes


def _detectable(pair: paired_tests.Flips, candidates: int) -> float | None:
    """The smallest change that could be shown; by more flips, if need be."""
    for changed in range(pair.lost + pair.gained, pair.n + 1):
        least = paired_tests.smallest_detectable(
            changed, pair.n, SIGNIFICANCE / candidates
        )
        if math.isfinite(least):
            return least
    return None


def _disagreement(found: dict, name: str) -> Interval:
    first = next(iter(found.values()))
    return intervals.wilson(int((first != found[name]).sum()), len(first))


def _notes(found: dict, made: dict, name: str) -> list[str]:
    reference = next(iter(found))
    notes = []
    if np.array_equal(found[reference], found[name]):
        notes.append(f"predicts the same as {reference} for every image")
    for one in (reference, name):
        if ties := made[one].ties:
            notes.append(
                f"{one}: {ties:,} images have several largest outputs; the "
                "first of them counts as the prediction"
            )
    return notes
