"""What the sweep over calibration images shows: draws, sources, sizes.

Its table has one row a network: the draw (``seed``), the ``source`` and
number of ``images``, the ``observer``, and the ``change`` of accuracy (a
share) against the float network, which a chapter adds.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy

from ptq.evidence import intervals, paired_tests, replicates
from ptq.evidence.intervals import Interval
from ptq.evidence.thresholds import MARGIN
from ptq.experiment import committed_sweeps, factors
from ptq.experiment.laboratory import Experiment
from ptq.graph import module_outputs
from ptq.measure import layer_errors
from ptq.methods import eager_folding

FEW, USUAL, MANY = 8, 100, 1000
MORE = "1,000 images, not 8"
# What is found of a mean change, as a sentence says it.
SAID = {"better": "rises", "worse": "falls"}


def load() -> tuple[pd.DataFrame, dict]:
    """Table and manifest of the sweep; sources and observers in order.

    ReferenceError where they are missing or damaged.
    """
    frame, manifest = committed_sweeps.load("calibration")
    frame["source"] = pd.Categorical(frame.source, factors.SOURCES)
    frame["observer"] = pd.Categorical(frame.observer, [*factors.OBSERVERS])
    return frame, manifest


def twins(frame: pd.DataFrame) -> int:
    """How many networks by moving average predict as those by min-max."""
    keys = ["seed", "source", "images"]
    wide = frame.pivot(index=keys, columns="observer", values="predictions")
    return int((wide.moving_average == wide.minmax).sum())


def ends_of_ranges(
    lab: Experiment, draws: Sequence[int]
) -> dict[str, dict[int, tuple[np.ndarray, np.ndarray]]]:
    """Ranges of the layers, over draws of training images of each size.

    By layer and number of images, the lowest and the highest value that the
    layer puts out, both (draws,). Fewer images are the first of the draw.
    """
    network, points = (
        eager_folding.fold(lab.network),
        layer_errors.LIKE_FOR_LIKE_POINTS,
    )
    found = {name: {n: [] for n in factors.SIZES} for name in points}
    for draw in draws:
        images = factors.draw_images(
            lab.cifar, "training", MANY, draw, lab.settings["train_seed"]
        )
        outputs = module_outputs.capture(
            network, points.values(), lab.normalize(images)
        )
        for name, point in points.items():
            values = outputs[point].flatten(1)
            for count, ends in found[name].items():
                seen = values[:count]
                ends.append((float(seen.min()), float(seen.max())))
    return {
        name: {n: tuple(np.array(ends).T) for n, ends in sizes.items()}
        for name, sizes in found.items()
    }


def least_is_enough(sizes: list[int]) -> str:
    """Whether the smallest number of images that was tried is enough.

    ``sizes`` are those of ``replicates.safe_sizes``.
    """
    word = "enough" if factors.SIZES[0] in sizes else "not enough"
    return f"The smallest number that was tried is {word}"


@dataclass(frozen=True)
class Asked:
    """A question to the draws: a mean change (a share), and the word on it.

    ``p_holm`` is adjusted for the questions asked with it.
    """

    change: Interval
    p_holm: float
    verdict: str

    @property
    def said(self) -> str:
        """What the accuracy does, as a sentence says it."""
        return SAID.get(self.verdict, "is not shown to change")


def questions(
    frame: pd.DataFrame, margin: float = MARGIN
) -> dict[tuple[str, str], Asked]:
    """What more images bring, and other ones cost, by observer and question.

    More images of one draw are paired by draw. Draws of another source are
    separate samples (Welch, 1947); those of one class enter as ten means,
    for draws of a class are no repetitions of the choice of a class.
    """
    columns = ["observer", "source", "images"]
    wide = frame.pivot(index="seed", columns=columns, values="change")
    wide = wide.sort_index(axis=1)
    asked = {}
    for name in factors.OBSERVERS:
        own = wide[name, "training"]
        more = (own[MANY] - own[FEW]).to_numpy()
        asked[name, MORE] = intervals.mean(more), replicates.p_value(more)
    for name, source in itertools.product(
        factors.OBSERVERS, factors.SOURCES[1:]
    ):
        usual, other = (wide[name, s, USUAL] for s in ("training", source))
        if source == "one class":
            other = other.groupby(other.index % 10).mean()
        p = scipy.stats.ttest_ind(usual, other, equal_var=False).pvalue
        found = intervals.welch(usual, other), float(p)
        asked[name, f"{source}, not training"] = found
    adjusted = paired_tests.holm([p for _, p in asked.values()])
    return {
        key: Asked(change, p, paired_tests.verdict(change, p, margin))
        for (key, (change, _)), p in zip(asked.items(), adjusted, strict=True)
    }


def luck(table: pd.DataFrame, first: str, second: str) -> float:
    """How far the difference of two strategies moves from draw to draw.

    Root of the mean variance within a training, a share. ``table`` is that
    of the sweep "replication".
    """
    keys = ["train_seed", "seed"]
    wide = table.pivot(index=keys, columns="strategy", values="accuracy")
    apart = (wide[first] - wide[second]).groupby("train_seed")
    return float(np.sqrt(apart.var().mean()))
