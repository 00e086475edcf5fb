"""Every choice of float layers: predictions, times, and rankings judged.

A choice goes by its name in ``strategies.assigned``. The columns of
``compared`` are ``folded`` and ``float_layers`` (a tuple of names); those of
``Comparison.frame`` for the accuracy; the fields of
``network_pairs.Paired``, with Holm's correction over all choices; those of
``comparison.Times``; and ``frontier``: whether no other choice is as
accurate and faster, or as fast and more accurate.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ptq.evidence import intervals, network_pairs, thresholds, time_ratios
from ptq.evidence.intervals import Interval
from ptq.experiment import comparison, strategies
from ptq.experiment.results import Timing
from ptq.methods import mixed_precision
from ptq.networks.compact_cnn import LAYERS

# The loss of a choice that is the best one.
NOTHING = Interval(0.0, float("nan"), float("nan"))


def compared(
    predictions: dict[str, np.ndarray],
    reference: np.ndarray,
    labels: np.ndarray,
    timing: Timing,
) -> pd.DataFrame:
    """One row a choice, against the float network's predictions.

    ``reference``, ``labels`` and each of the ``predictions`` are classes
    (N,). ``timing`` holds the times of all choices.
    """
    pairs = network_pairs.compared(
        {name: (reference, found) for name, found in predictions.items()},
        labels,
    )
    rows = {}
    for name, (fold, kept) in strategies.assigned().items():
        correct = int((predictions[name] == labels).sum())
        right = intervals.wilson(correct, len(labels))
        rows[name] = {
            "folded": fold,
            "float_layers": kept,
            **comparison.columns("accuracy", right),
            **vars(pairs[name]),
            **vars(comparison.times(timing, "fp32", name)),
        }
    frame = pd.DataFrame.from_dict(rows, orient="index")
    optimal = time_ratios.pareto(
        frame.milliseconds.to_dict(), frame.accuracy.to_dict()
    )
    return frame.assign(frontier=frame.index.isin(optimal))


def band(frame: pd.DataFrame) -> float:
    """The change (a share) beyond which every choice differs from FP32.

    It is the largest of those that the rows of ``compared`` need for Holm's
    first step; no row can change by more than the share of its flips.
    """
    flips = frame.lost + frame.gained
    return float((np.minimum(frame.detectable, flips) / frame.n).max())


@dataclass(frozen=True)
class Summary:
    """All choices in a few numbers.

    ``band`` is that of ``band``, in points; ``told`` choices differ from
    FP32 significantly. The most accurate one gains ``best_gain`` points,
    with ``best_p``, both before any correction.
    """

    band: float
    told: int
    best_gain: Interval
    best_p: float


def summary(frame: pd.DataFrame) -> Summary:
    """Sum up ``compared``."""
    best = frame.loc[frame.accuracy.idxmax()]
    return Summary(
        band=100 * band(frame),
        told=int((frame.holm < thresholds.SIGNIFICANCE).sum()),
        best_gain=100 * best.change,
        best_p=best.p,
    )


@dataclass(frozen=True)
class Factor:
    """By what one change multiplies the time, over pairs of networks.

    ``mean`` is the geometric mean, with the interval of the next session;
    ``least`` and ``most`` are of single pairs. ``word`` is on the speed.
    """

    mean: Interval
    least: float
    most: float
    word: str


def factors(timing: Timing) -> dict[str, Factor]:
    """What each change does to the time, all else being equal."""
    found = {}
    for change, pairs in _pairs().items():
        times = [[timing.of(name) for name in pair] for pair in pairs]
        ratios = [np.median(b) / np.median(a) for a, b in times]
        found[change] = Factor(
            time_ratios.mean_ratio([(b, a) for a, b in times]),
            min(ratios),
            max(ratios),
            timing.word(time_ratios.mean_ratio(times)),
        )
    return found


def _pairs() -> dict[str, list[tuple[str, str]]]:
    """By change: names of choices before and after it, for each pair."""
    named = {choice: name for name, choice in strategies.assigned().items()}
    found = {
        f"{layer} in float": [
            (named[fold, tuple(n for n in kept if n != layer)], name)
            for (fold, kept), name in named.items()
            if layer in kept
        ]
        for layer in LAYERS
    }
    found["BN unfolded"] = [
        (name, named[False, kept])
        for (fold, kept), name in named.items()
        if fold
    ]
    return found


@dataclass(frozen=True)
class Ranking:
    """A metric's ranking of the layers, worst first, and what it loses.

    ``regrets`` are the choices of one, two and three float layers, and
    ``losses`` their shares of images lost against the best ones, with 95 %
    intervals. ``p`` is the smallest of theirs, by Holm's correction over all
    pairs of a best and another choice, and ``verdict`` a word on them.
    """

    layers: list[str]
    regrets: dict[int, mixed_precision.Regret]
    losses: dict[int, Interval]
    p: float
    verdict: str


def rankings(
    scores: dict[str, dict[str, float]],
    predictions: dict[str, np.ndarray],
    labels: np.ndarray,
) -> tuple[dict[str, Ranking], list[float]]:
    """Judge metrics by the folded choices that they would make.

    ``scores`` gives, by metric and layer, a number that is high where the
    layer should stay float; ``labels`` and each of the ``predictions`` are
    classes (N,). Second: the adjusted p of all pairs that differ.
    """
    known = {
        kept: predictions[name]
        for name, (fold, kept) in strategies.assigned().items()
        if fold
    }
    right = {kept: (found == labels).mean() for kept, found in known.items()}
    regrets = {
        metric: mixed_precision.regret(right, score)
        for metric, score in scores.items()
    }
    judged = network_pairs.compared(
        {
            (r.best, r.chosen): (known[r.best], known[r.chosen])
            for found in regrets.values()
            for r in found.values()
            if r.lost > 0
        },
        labels,
    )
    return {
        metric: _ranking(scores[metric], found, judged)
        for metric, found in regrets.items()
    }, [pair.holm for pair in judged.values()]


def _ranking(score: dict[str, float], regrets: dict, judged: dict) -> Ranking:
    pairs = {k: judged.get((r.best, r.chosen)) for k, r in regrets.items()}
    unlike = [pair for pair in pairs.values() if pair]
    ranked = ("worse", "no difference shown", "non-inferior")
    words = {pair.verdict for pair in unlike}
    return Ranking(
        sorted(LAYERS, key=lambda layer: -score[layer]),
        regrets,
        {k: _loss(p.change) if p else NOTHING for k, p in pairs.items()},
        min([1.0, *(pair.holm for pair in unlike)]),
        next((word for word in ranked if word in words), "the best"),
    )


def _loss(change: Interval) -> Interval:
    return Interval(-change.value, -change.high, -change.low)
