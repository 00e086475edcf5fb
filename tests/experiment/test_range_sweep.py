"""The sweep of ranges: what is said of observers, repairs and sources."""

import pandas as pd
import pytest
import scipy

from ptq.book import tables
from ptq.experiment import committed_sweeps, range_sweep
from ptq.experiment.range_study import CALIBRATED, CHOICES, OBSERVED, REPAIRED

# How many more images than on average each training gains: of mean 0 and
# standard deviation 1.
FIVE = {42: -1, 1: -1, 2: 0, 3: 1, 4: 1}
TRAININGS = {
    "compact_cnn": {42: -1, 1: 0, 3: 1},
    "resnet8": FIVE,
    "depthwise": FIVE,
}


def table(lost=None):
    """A reference of three networks.

    ``lost`` are images of 1,000 by name, or by network and name; else 3.
    """
    lost = lost or {}
    return pd.DataFrame(
        {
            "network": network,
            "train_seed": seed,
            "strategy": name,
            "lost": (gone := lost.get((network, name), lost.get(name, 3))),
            "gained": 3 + more,
            "n": 1000,
            "accuracy": 0.9 + (3 + more - gone) / 1000,
            "cpu_seconds": 7.0 if name.endswith("distilled") else 0.5,
        }
        for network, trainings in TRAININGS.items()
        for seed, more in trainings.items()
        for name in ("fp32", *CHOICES)
    )


def ladder(bits):
    """Each observer loses ten images more than the one before it."""
    return {c.name: 3 + 10 * i for i, c in enumerate(OBSERVED[bits].values())}


def test_the_average_is_judged_among_the_rows_of_its_table():
    """Of 14 rows: Welch's p of 27 images lost, times 14."""
    name = OBSERVED[4]["gauss"].name
    frame = table({name: 30, ("resnet8", name): 60})
    found = range_sweep.judged(frame, OBSERVED)
    assert len(found) == 14
    one = found.loc[(4, "gauss")]
    # Of 27, 57 and 27: each network counts the same.
    assert one.change.value == pytest.approx(-0.037)
    error = (1 / 3 + 1 / 5 + 1 / 5) ** 0.5 / 3000
    free = (11 / 15) ** 2 / (1 / 9 / 2 + 2 * 1 / 25 / 4)
    half = error * scipy.stats.t.ppf(0.975, free)
    assert one.change.high - one.change.value == pytest.approx(half)
    p = 2 * scipy.stats.t.sf(0.037 / error, free)
    assert one.p == pytest.approx(14 * p)
    assert one.verdict == "worse"
    assert set(found.verdict.drop((4, "gauss"))) == {"non-inferior"}
    assert range_sweep.basis(frame) == (
        "over trainings (3 of compact CNN, 5 of ResNet8, 5 of depthwise CNN)"
    )


def test_a_network_has_the_interval_of_its_trainings():
    name = OBSERVED[4]["gauss"].name
    found = range_sweep.changes(table({name: 30}), OBSERVED)
    assert len(found) == len(TRAININGS) * 14
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
    assert told["better_four"] == 0
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
    name = CALIBRATED[8]["distilled"].name
    lost = {name: 103, ("depthwise", name): 133}
    noise = CALIBRATED[4]["noise"].name
    told = range_sweep.about_sources(table(lost | {("resnet8", noise): 303}))
    assert told["distilled_eight"] == (
        "-11.0 (-11.1 to -10.9), worse "
        "(compact CNN -10.0, ResNet8 -10.0, depthwise CNN -13.0)"
    )
    assert "worse" not in told["wide_eight"] + told["distilled_four"]
    # Each training gains as much from room.
    assert f"{told['room_eight']:+.1f}" == "+11.0 (+11.0 to +11.0)"
    assert told["worst_noise_four"] == pytest.approx(30)
    assert told["worst_noise_eight"] == pytest.approx(0)
    assert told["distilled_seconds"] == 7


def test_equalizing_is_told_by_network_with_its_interval():
    name = REPAIRED[False]["equalized"].name
    told = range_sweep.equalizing(table({name: 128, ("resnet8", name): 53}))
    # Each training loses as much.
    assert told.split("; ") == [
        "compact CNN -12.5 (-12.5 to -12.5)",
        "ResNet8 -5.0 (-5.0 to -5.0)",
        "depthwise CNN -12.5 (-12.5 to -12.5)",
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
    name = REPAIRED[False]["equalized"].name
    frame = table({name: 128, ("compact_cnn", name): 53} | ladder(4))
    rows = tables.ranges.observer_rows(frame)
    assert [row["bits"] for row in rows] == ["8"] * 7 + ["4"] * 7
    assert rows[0]["observer"] == "min-max, against FP32"
    assert rows[-1]["ResNet8"] == "-6.0 ± 0.1"
    assert rows[-1]["average of the networks"] == "-6.0 ± 0.1 worse"
    assert rows[0]["average of the networks"] == "+0.0 ± 0.1"
    repairs = tables.ranges.repair_rows(frame)
    told = {(r["one grid"], r["what is done"]): r for r in repairs}
    assert list(told["a layer", "equalized"].items())[2:] == [
        ("compact CNN", "-5.0 ± 0.2"),
        ("ResNet8", "-12.5 ± 0.1"),
        ("depthwise CNN", "-12.5 ± 0.1"),
        ("average of the networks", "-10.0 ± 0.1 worse"),
    ]
    assert told["a channel", "equalized"]["ResNet8"] == "+0.0 ± 0.1"
    changes = range_sweep.repaired(frame, "resnet8")
    assert changes[False]["equalized"] == pytest.approx(-12.5)


def test_sources_have_a_row_in_each_network():
    name = CALIBRATED[8]["noise"].name
    frame = table({name: 43, ("depthwise", name): 103})
    rows = tables.ranges.source_rows(frame)
    noise = [row for row in rows if row["images"] == "uniform noise"]
    assert [row["network"] for row in noise] == [
        *("average of the networks", "compact CNN"),
        *("ResNet8", "depthwise CNN"),
    ]
    assert [row["8 bits (points)"] for row in noise] == [
        "-6.0 (-6.1 to -5.9) worse",
        "-4.0 (-4.2 to -3.8)",
        "-4.0 (-4.1 to -3.9)",
        "-10.0 (-10.1 to -9.9)",
    ]
    assert noise[0]["4 bits (points)"].endswith(") non-inferior")
    assert rows[4]["images"] == "distilled, logits' range times 4"
