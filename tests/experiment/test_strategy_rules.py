"""Rules that choose a word on a row, at their edges."""

from math import inf, nan

import pandas as pd
import pytest
from made_timings import made_timing

from ptq.evidence.intervals import Interval
from ptq.experiment import layer_studies, strategy_rules


@pytest.mark.parametrize(
    ("time_word", "verdict", "known"),
    [
        ("slower", "non-inferior", "stands"),
        ("slower", "no difference shown", "stands"),
        ("slower", "better", "does not stand"),
        ("faster", "worse", "does not stand"),
        ("no difference shown", "worse", "is not settled"),
        ("not judged", "non-inferior", "is not settled"),
        ("not judged", "better", "does not stand"),
    ],
)
def test_claim_on_mixed_precision(time_word, verdict, known):
    assert strategy_rules.mixed_claim(time_word, verdict) == known


def test_change_that_is_needed():
    frame = pd.DataFrame({"detectable": [inf, 0.0021, 0.0187, inf]})
    assert strategy_rules.needed(frame) == "0.21 to 1.87 points"
    assert strategy_rules.needed(frame[:1]) == "more than all of them"


def test_margin_decides_where_no_difference_is_shown():
    row = {"lost": 3, "gained": 1, "n": 1000, "p": 0.625, "p_holm": 0.625}
    frame = pd.DataFrame([row, row, row | {"p_holm": 0.01}])
    for margin, word in (
        (0.001, "no difference shown"),
        (0.05, "non-inferior"),
    ):
        found = strategy_rules.with_margin(frame, margin)
        assert found == [word, "worse"]


@pytest.mark.parametrize(
    ("low", "high", "told"),
    [
        (1.1, 1.2, "allows both"),
        (1.1, 1.4, "too near"),
        (1.31, 1.5, "is wrong"),
        (nan, nan, "not judged"),
    ],
)
def test_bound_on_speedups(low, high, told):
    found = [Interval(1.1, 1.05, 1.15), Interval(1.2, low, high)]
    sentence = layer_studies.bound_verdict(found, 1.3, busy=False)
    assert told in sentence
    assert "not judged" in layer_studies.bound_verdict(found, 1.3, busy=True)


def test_frontier_leaves_the_twin_out():
    times = {"a": 3.0, "b": 1.0, "twin": 0.5}
    timing = made_timing({name: [[t]] for name, t in times.items()})
    frame = pd.DataFrame({"change": {"a": 0.0, "b": -0.01, "twin": 0.1}})
    assert strategy_rules.frontier(frame, timing, "twin") == ["b", "a"]
    assert strategy_rules.frontier(frame, timing, "a") == ["twin"]


def test_verdicts_over_trainings_are_corrected_within_floats_and_integers():
    """A second name of one network is no further question."""
    losses = {"naive": (3, 4, 5.1), "folded": (0, 1, -1.1)}
    losses |= {"fp32_folded": (0, 0, 0)}
    losses["bias_correction_published"] = losses["naive"]
    changes = -pd.DataFrame(losses) / 100
    found = strategy_rules.over_trainings(changes)
    assert [name for name, _ in found] == ["fp32_folded", "naive", "folded"]
    naive = found["naive", "fp32"]
    assert naive.p_holm == pytest.approx(2 * naive.p)
    assert strategy_rules.training_words(changes) == {
        "fp32_folded": "non-inferior",
        "naive": "worse",
        "folded": "no difference shown",
        "bias_correction_published": "worse",
    }
