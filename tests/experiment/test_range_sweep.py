"""The sweep of ranges: what is said of observers, repairs and sources."""

import numpy as np
import pandas as pd
import pytest
import scipy

from ptq.book import tables
from ptq.evidence import paired_tests
from ptq.experiment import range_sweep
from ptq.experiment.range_study import CALIBRATED, CHOICES, OBSERVED, REPAIRED

NETWORKS = ("compact_cnn", "resnet8", "depthwise")
SEEDS = (42, 1)


def table(lost=None):
    """A reference of six trainings; ``lost`` are shares by name."""
    rows = [
        {
            "network": network,
            "train_seed": seed,
            "strategy": name,
            "accuracy": 0.9 - (lost or {}).get(name, 0),
            "correct": round(1000 * (0.9 - (lost or {}).get(name, 0))),
            "n": 1000,
            "disagreement": 0.02 + (lost or {}).get(name, 0),
            "cpu_seconds": 7.0 if name.endswith("distilled") else 0.5,
        }
        for network in NETWORKS
        for seed in SEEDS
        for name in ("fp32", *CHOICES)
    ]
    return pd.DataFrame(rows)


def ladder(bits):
    """Each observer loses a point more than the one before it."""
    of = enumerate(OBSERVED[bits].values())
    return {choice.name: 0.01 * place for place, choice in of}


def strategies(correct, differ, network="resnet8"):
    """Three strategies of one trained network, on a hundred images."""
    pairs = zip("abc", correct, differ, strict=True)
    return [
        {"network": network, "train_seed": 1, "strategy": name, "n": 100}
        | {"correct": right, "accuracy": right / 100}
        | {"disagreement": changed / 100}
        for name, right, changed in pairs
    ]


def test_strategies_alike_by_hand():
    """3 * (25 + 0 + 25) / (10 + 5 + 0) is 10; of two networks, 20."""
    one = strategies((90, 95, 100), (10, 5, 0))
    two = one + strategies((90, 95, 100), (10, 5, 0), "depthwise")
    for rows, statistic, free in ((one, 10, 2), (two, 20, 4)):
        p = range_sweep.alike(pd.DataFrame(rows), list("abc"))
        assert p == pytest.approx(scipy.stats.chi2.sf(statistic, free))
    same = pd.DataFrame(strategies((90, 90, 90), (0, 0, 0)))
    assert range_sweep.alike(same, list("abc")) == 1


def test_p_is_never_below_cochrans():
    """On predictions of which all that differ from FP32's are flips."""
    right = np.ones((3, 100), dtype=bool)
    right[0, :10], right[1, 5:9] = False, False
    frame = pd.DataFrame(strategies(right.sum(1), (10, 4, 0)))
    bound = range_sweep.alike(frame, list("abc"))
    assert paired_tests.cochran(right) <= bound < 0.05


def test_a_difference_by_hand():
    """Two networks: -2 and -4 points, 8 + 4 and 9 + 4 changed of 100."""
    rows = strategies((90, 92, 0), (8, 4, 0))
    rows += strategies((91, 95, 0), (9, 4, 0), "depthwise")
    found, p = range_sweep.difference(pd.DataFrame(rows), "a", "b")
    assert found.value == pytest.approx(-0.03)
    error = np.sqrt(0.25 / 100) / 2  # of both networks
    assert found.high - found.value == pytest.approx(1.96 * error, rel=1e-3)
    assert p == pytest.approx(2 * scipy.stats.norm.sf(0.03 / error))


def test_observers_that_differ_at_four_bits_only_are_said_to():
    told = range_sweep.about_observers(table(ladder(4)))
    assert told["trained"] == 6
    assert told["shape"] == "not contradicted" and told["p_eight"] == 1
    assert told["at_four"] == "shown" and told["p_four"] < 1e-6
    assert told["apart_eight"] == pytest.approx(0)
    assert told["worst_four"] == "analytic, Gauss"
    assert told["apart_four"] == pytest.approx(6)


def test_observers_that_differ_at_eight_bits_contradict_the_shape():
    told = range_sweep.about_observers(table(ladder(8)))
    assert told["shape"] == "contradicted" and told["p_eight"] < 1e-6
    assert told["at_four"] == "not shown" and told["p_four"] == 1


def test_sources_are_held_to_real_images_and_to_each_other():
    lost = {CALIBRATED[4]["noise"].name: 0.3}
    lost |= {CALIBRATED[4]["digits"].name: 0.02}
    told = range_sweep.about_sources(table(lost))
    assert told["noise_real_four"].value == pytest.approx(-30)
    assert told["noise_real_four_verdict"] == "worse"
    assert told["distilled_noise_four"].value == pytest.approx(30)
    assert told["distilled_digits_four_verdict"] == "better"
    assert told["distilled_real_four_verdict"] == "no difference shown"
    assert told["noise_real_eight"].value == pytest.approx(0)
    assert told["each_eight"].startswith("compact CNN +0.0 (")
    assert told["each_four"].count(";") == 2
    assert told["distilled_seconds"] == 7


def test_tables_have_a_row_a_choice_and_a_column_a_network():
    lost = {REPAIRED[False]["equalized"].name: 0.125}
    frame = table(lost | ladder(4) | {CALIBRATED[8]["noise"].name: 0.04})
    rows = tables.ranges.observer_rows(frame)
    assert [row["bits"] for row in rows] == ["8"] * 7 + ["4"] * 7
    assert rows[-1]["observer"] == "analytic, Gauss"
    assert rows[-1]["ResNet8"] == "-6.0 ± 0.0"
    repairs = tables.ranges.repair_rows(frame)
    assert list(repairs[0])[2:] == ["compact CNN", "ResNet8", "depthwise CNN"]
    told = {(r["one grid"], r["what is done"]): r["ResNet8"] for r in repairs}
    assert told["a layer", "equalized"] == "-12.5 ± 0.0"
    assert told["a channel", "equalized"] == "+0.0 ± 0.0"
    sources = tables.ranges.source_rows(frame)
    assert len(sources) == 8
    assert sources[3]["images"] == "uniform noise"
    assert sources[3]["depthwise CNN"] == "-4.0 ± 0.0"
    changes = range_sweep.repaired(frame, "resnet8")
    assert changes[False]["equalized"] == pytest.approx(-12.5)
