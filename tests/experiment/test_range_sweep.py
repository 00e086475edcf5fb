"""The sweep of ranges: what is said of observers, repairs and sources."""

import pandas as pd
import pytest
import scipy

from ptq.book import tables
from ptq.experiment import committed_sweeps, range_sweep
from ptq.experiment.range_study import CALIBRATED, CHOICES, OBSERVED, REPAIRED

NETWORKS = ("compact_cnn", "resnet8", "depthwise")
# How many more images than on average each of five trainings gains: of
# mean 0 and standard deviation 1.
TRAININGS = {42: -1, 1: -1, 2: 0, 3: 1, 4: 1}


def table(lost=None):
    """A reference of three networks; ``lost`` of 1,000 images by name."""
    lost = lost or {}
    rows = [
        {
            "network": network,
            "train_seed": seed,
            "strategy": name,
            "lost": lost.get(name, 3),
            "gained": 3 + more,
            "n": 1000,
            "accuracy": 0.9 + (3 + more - lost.get(name, 3)) / 1000,
            "cpu_seconds": 7.0 if name.endswith("distilled") else 0.5,
        }
        for network in NETWORKS
        for seed, more in TRAININGS.items()
        for name in ("fp32", *CHOICES)
    ]
    return pd.DataFrame(rows)


def ladder(bits):
    """Each observer loses ten images more than the one before it."""
    return {c.name: 3 + 10 * i for i, c in enumerate(OBSERVED[bits].values())}


def test_the_average_is_judged_among_the_rows_of_its_table():
    """Of 14 rows: Welch's p of 27 images lost, times 14."""
    name = OBSERVED[4]["gauss"].name
    frame = table({name: 30})
    found = range_sweep.judged(frame, OBSERVED)
    assert len(found) == 14
    one = found.loc[(4, "gauss")]
    assert one.change.value == pytest.approx(-0.027)
    # 2.179 is Student's quantile at twelve degrees of freedom.
    half = 2.1788 * 0.001 / 15**0.5
    assert one.change.high - one.change.value == pytest.approx(half, rel=1e-4)
    p = 2 * scipy.stats.t.sf(27 * 15**0.5, 12)
    assert one.p == pytest.approx(14 * p)
    assert one.verdict == "worse"
    assert set(found.verdict.drop((4, "gauss"))) == {"non-inferior"}
    assert range_sweep.basis(frame) == (
        "over trainings (5 of compact CNN, 5 of ResNet8, 5 of depthwise CNN)"
    )


def test_a_network_has_the_interval_of_its_trainings():
    name = OBSERVED[4]["gauss"].name
    found = range_sweep.changes(table({name: 30}), OBSERVED)
    assert len(found) == len(NETWORKS) * 14
    one = found.loc[("resnet8", 4, "gauss")]
    assert one.change.value == pytest.approx(-0.027)
    # 2.776 is Student's quantile at four degrees of freedom.
    half = 2.7764 * 0.001 / 5**0.5
    assert one.change.high - one.change.value == pytest.approx(half, rel=1e-4)
    assert one.accuracy == pytest.approx(0.9 - 0.027)


def test_observers_that_differ_at_four_bits_only_are_said_to():
    told = range_sweep.about_observers(table(ladder(4)))
    assert told["shape"] == "not contradicted" and told["shown_eight"] == 0
    assert told["asked_four"] == told["shown_four"] == 6
    assert told["differ_eight"] == "none"
    assert told["differ_four"].endswith("analytic, Laplace, analytic, Gauss")
    assert told["best_four"] == "min-max"
    assert told["worst_four"] == "analytic, Gauss"
    assert told["apart_four"] == pytest.approx(6)
    assert told["apart_eight"] == pytest.approx(0)


def test_observers_that_differ_at_eight_bits_contradict_the_shape():
    told = range_sweep.about_observers(table(ladder(8)))
    assert told["shape"] == "contradicted" and told["shown_four"] == 0


def test_sources_are_held_to_training_images():
    lost = {CALIBRATED[8]["distilled"].name: 103}
    lost |= {CALIBRATED[4]["noise"].name: 303}
    told = range_sweep.about_sources(table(lost))
    assert told["distilled_eight"].startswith(
        "-10.0 (-10.1 to -9.9), worse ("
    )
    assert told["distilled_eight"].count(" -10.0") == 3
    assert "worse" not in told["wide_eight"] + told["distilled_four"]
    assert told["worst_noise_four"] == pytest.approx(30)
    assert told["worst_noise_eight"] == pytest.approx(0)
    assert told["distilled_seconds"] == 7


def test_equalizing_is_told_by_network_with_its_interval():
    lost = {REPAIRED[False]["equalized"].name: 128}
    told = range_sweep.equalizing(table(lost))
    # Each training loses as much.
    assert told.split("; ") == [
        f"{name} -12.5 (-12.5 to -12.5)"
        for name in ("compact CNN", "ResNet8", "depthwise CNN")
    ]


def test_a_repair_gains_over_another_in_each_training():
    frame = table({REPAIRED[True]["equalized"].name: 13})
    better = frame.strategy == REPAIRED[True]["analytic biases"].name
    frame.loc[better, "gained"] += 10 * frame.train_seed.isin([1, 2])
    repairs = "equalized", "analytic biases"
    found = range_sweep.gain(frame, "resnet8", True, *repairs)
    assert found.value == pytest.approx(1.4)
    # Of 1, 2, 2, 1, 1 points: Student's quantile by their spread.
    half = 2.7764 * 0.3**0.5 / 5**0.5
    assert found.high - found.value == pytest.approx(half, rel=1e-4)


def test_clipping_observers_are_advised_for_few_bits_only():
    """What chapter 17 says of them, in the reference."""
    frame, _ = committed_sweeps.load("ranges")
    found = range_sweep.judged(frame, OBSERVED).verdict
    for observer in ("mse", "percentile"):
        assert found[8, observer] not in range_sweep.SHOWN
        assert found[4, observer] == "better"


def test_tables_have_a_row_a_choice_and_a_column_a_network():
    lost = {REPAIRED[False]["equalized"].name: 128}
    frame = table(lost | ladder(4) | {CALIBRATED[8]["noise"].name: 43})
    rows = tables.ranges.observer_rows(frame)
    assert [row["bits"] for row in rows] == ["8"] * 7 + ["4"] * 7
    assert rows[0]["observer"] == "min-max, against FP32"
    assert rows[-1]["ResNet8"] == "-6.0 ± 0.1"
    assert rows[-1]["average of the networks"] == "-6.0 ± 0.1 worse"
    assert rows[0]["average of the networks"] == "+0.0 ± 0.1"
    repairs = tables.ranges.repair_rows(frame)
    labels = ["compact CNN", "ResNet8", "depthwise CNN"]
    assert list(repairs[0])[2:] == [*labels, "average of the networks"]
    told = {(r["one grid"], r["what is done"]): r["ResNet8"] for r in repairs}
    assert told["a layer", "equalized"].startswith("-12.5 ± ")
    assert told["a channel", "equalized"] == "+0.0 ± 0.1"
    changes = range_sweep.repaired(frame, "resnet8")
    assert changes[False]["equalized"] == pytest.approx(-12.5)


def test_sources_have_a_row_in_each_network():
    frame = table({CALIBRATED[8]["noise"].name: 43})
    rows = tables.ranges.source_rows(frame)
    assert len(rows) == 4 * 5
    assert rows[3]["network"] == "average of the networks"
    assert rows[3]["images"] == rows[8]["images"] == "uniform noise"
    assert rows[3]["8 bits (points)"] == "-4.0 (-4.1 to -3.9) worse"
    assert rows[3]["4 bits (points)"].endswith(") non-inferior")
    assert rows[8]["network"] == "compact CNN"
    assert rows[8]["8 bits (points)"] == "-4.0 (-4.1 to -3.9)"
    assert rows[4]["images"] == "distilled, logits' range times 4"
