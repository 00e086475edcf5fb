"""Pairs of networks on the same images: all that is asked of each."""

from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np

from ptq.evidence import checks, intervals, paired_tests
from ptq.evidence.paired_tests import Flips
from ptq.evidence.thresholds import MARGIN, SIGNIFICANCE


@dataclass(frozen=True)
class Paired(Flips):
    """Two networks on the same ``n`` images: the second against the first.

    ``lost`` images only the first predicts right, ``gained`` only the
    second; ``net`` is gained minus lost, ``disagreement`` the images with
    other predictions. ``change`` is the net share with its paired 95 %
    interval, ``p`` McNemar's, ``holm`` that of all pairs of one table.
    ``detectable`` is the smallest net count that would have been shown,
    infinite where none would.
    """

    net: int
    disagreement: int
    change: intervals.Interval
    holm: float
    detectable: float
    verdict: str


def compared(
    pairs: dict[Hashable, tuple[np.ndarray, np.ndarray]],
    labels: np.ndarray,
    classes: int = 0,
    margin: float = MARGIN,
) -> dict[Hashable, Paired]:
    """Compare the predictions of several pairs; Holm's p over all of them.

    Predictions, and ``labels``, hold class numbers (n,), below ``classes``;
    without it, there are as many classes as these show. ``margin`` is as in
    ``paired_tests.verdict``. InputError where they do not fit each other.
    """
    if not classes:
        given = [labels, *(one for pair in pairs.values() for one in pair)]
        shown = (checks.classes(one, "classes").max() for one in given)
        classes = 1 + int(max(shown))
    flips = {
        name: paired_tests.flips(*pair, labels, classes=classes)
        for name, pair in pairs.items()
    }
    adjusted = paired_tests.holm([found.p for found in flips.values()])
    level = SIGNIFICANCE / max(len(flips), 1)
    judged = {}
    for (name, found), holm in zip(flips.items(), adjusted, strict=True):
        changed = found.lost + found.gained
        least = paired_tests.smallest_detectable(changed, found.n, level)
        judged[name] = Paired(
            **vars(found),
            net=found.gained - found.lost,
            disagreement=int((pairs[name][0] != pairs[name][1]).sum()),
            change=paired_tests.difference(found),
            holm=holm,
            detectable=found.n * least,
            verdict=paired_tests.verdict(found, holm, margin),
        )
    return judged


def needed(pair: Paired) -> str:
    """How many images, net, would have shown a difference, in words."""
    if np.isinf(pair.detectable):
        return "more than all of them"
    return f"{pair.detectable:.0f} images"
