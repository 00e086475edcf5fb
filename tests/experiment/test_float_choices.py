"""Every choice of float layers: tables by hand, on made predictions."""

import itertools
import math

import numpy as np
import pytest
from conftest import case31
from made_timings import made_timing

from ptq.evidence import paired_tests
from ptq.evidence.intervals import Interval
from ptq.experiment import float_choices, strategies
from ptq.measure.timer import TWIN

CHOICES = strategies.assigned()
# What each float layer, and an unfolded BN, multiplies the time by.
COST = {"conv1": 2.0, "conv2": 3.0, "fc1": 1.5, "fc2": 1.25, "BN": 1.75}


def timing(busy=()):
    rounds = 1 + np.random.default_rng(1).random((4, 10)) / 100
    seconds = {
        name: rounds
        * math.prod([1 if fold else COST["BN"], *(COST[n] for n in kept)])
        for name, (fold, kept) in CHOICES.items()
    }
    first = {"fp32": seconds.pop("fp32")}
    seconds = first | seconds | {TWIN: first["fp32"]}
    return made_timing(seconds, batch=10, busy=busy)


@pytest.fixture(scope="module")
def frame():
    """All predict as the reference, but fc1 in float: lost 3, gained 1."""
    first, second, labels = case31()
    predictions = {
        name: second if "fc1" in kept else first
        for name, (_, kept) in CHOICES.items()
    }
    return float_choices.compared(predictions, first, labels, timing())


def test_rows_have_counts_words_and_times(frame):
    assert list(frame.index) == list(CHOICES)
    changed = frame[[("fc1" in kept) for kept in frame.float_layers]]
    assert len(changed) == 16
    assert (changed.lost == 3).all() and (changed.gained == 1).all()
    assert (changed.accuracy == 0.698).all()
    rest = frame.drop(changed.index)
    assert (rest.accuracy == 0.7).all() and (rest.lost == 0).all()
    assert (frame.holm == 1).all()
    assert frame.loc["fp32", "time_verdict"] == "reference"
    # Folded, all quantized, is the fastest, and none is more accurate.
    assert frame.index[frame.frontier].tolist() == ["folded"]
    costs = COST["BN"] * math.prod(COST[n] for n in COST if n != "BN")
    assert frame.loc["folded", "speedup"] == pytest.approx(costs)


def test_beyond_the_band_every_choice_differs(frame):
    first, second, labels = case31()
    found = float_choices.summary(frame)
    assert found.told == 0
    # Of four flips, none would be shown: the band is the share of flips.
    assert found.band == pytest.approx(0.4)
    assert found.best_gain.value == 0 and found.best_p == 1
    # Of many flips, Holm's first step says how many must be lost.
    worse = first.copy()
    worse[:40] = (labels[:40] + 1) % 10
    predictions = dict.fromkeys(CHOICES, worse)
    many = float_choices.compared(predictions, first, labels, timing())
    assert many.lost.eq(40).all() and (many.verdict == "worse").all()
    lost = round(1000 * float_choices.band(many))
    worst, near = ((40 - net) // 2 for net in (lost, lost - 2))
    assert paired_tests.mcnemar(worst, 40 - worst) < 0.05 / 32
    assert paired_tests.mcnemar(near, 40 - near) >= 0.05 / 32


def test_factors_are_what_each_change_costs():
    found = float_choices.factors(timing())
    assert list(found) == [
        *(f"{layer} in float" for layer in list(COST)[:4]),
        "BN unfolded",
    ]
    for (change, factor), cost in zip(
        found.items(), COST.values(), strict=True
    ):
        assert factor.mean.value == pytest.approx(cost), change
        assert factor.least == pytest.approx(factor.most)
        assert factor.word == "slower"
    quiet = float_choices.factors(timing(["other programs computed"]))
    assert {factor.word for factor in quiet.values()} == {"not judged"}


def test_rankings_are_judged_on_the_images_that_differ():
    """conv2 is best in float; fc1 in float loses 40 images."""
    first, _, labels = case31()
    worse = first.copy()
    worse[:40] = (labels[:40] + 1) % 10
    predictions = {
        name: worse if "fc1" in kept else first
        for name, (_, kept) in CHOICES.items()
    }
    layers = ("conv1", "conv2", "fc1", "fc2")
    scores = {
        "good": dict(zip(layers, (2, 3, 0, 1), strict=True)),
        "bad": dict(zip(layers, (1, 2, 3, 0), strict=True)),
    }
    found, p_holm = float_choices.rankings(scores, predictions, labels)
    good, bad = found.values()
    assert good.layers == ["conv2", "conv1", "fc2", "fc1"]
    assert good.verdict == "the best" and good.p == 1
    assert [f"{loss:.2f}" for loss in good.losses.values()] == ["0.00"] * 3
    assert bad.layers == ["fc1", "conv2", "conv1", "fc2"]
    assert bad.verdict == "worse"
    lost = bad.losses[1]
    assert isinstance(lost, Interval) and lost.low < lost.value < lost.high
    assert [loss.value for loss in bad.losses.values()] == [0.04] * 3
    assert len(p_holm) == 3 and bad.p == min(p_holm)
    known = 3 * paired_tests.mcnemar(40, 0)
    assert bad.p == pytest.approx(known)


def test_all_pairs_of_a_change_differ_in_nothing_else():
    for change, pairs in float_choices._pairs().items():
        assert len(pairs) == len(set(pairs)) == 16
        for before, after in pairs:
            (fold, kept), (fold2, kept2) = CHOICES[before], CHOICES[after]
            if change == "BN unfolded":
                assert fold and not fold2 and kept == kept2
            else:
                assert fold == fold2
                assert {*kept2} - {*kept} == {change.split()[0]}
    known = itertools.chain(*float_choices._pairs().values())
    assert {name for pair in known for name in pair} == CHOICES.keys()
