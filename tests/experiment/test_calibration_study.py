"""What draws of calibration images are said to show."""

import itertools

import numpy as np
import pandas as pd
import pytest

from ptq.book import tables
from ptq.experiment import (
    calibration_study,
    committed_sweeps,
    factors,
    laboratory,
)


def study(**shifts):
    """Fifty draws of everything: noise, and what an observer loses."""
    noise = np.random.default_rng(2)
    rows = [
        (seed, source, images, name, noise.normal(shifts.get(name, 0), 1e-3))
        for seed, source, images, name in itertools.product(
            range(1, 51), factors.SOURCES, factors.SIZES, factors.OBSERVERS
        )
    ]
    columns = ["seed", "source", "images", "observer", "change"]
    frame = pd.DataFrame(rows, columns=columns)
    frame["source"] = pd.Categorical(frame.source, factors.SOURCES)
    frame["observer"] = pd.Categorical(frame.observer, [*factors.OBSERVERS])
    return frame


def test_spreads_tell_a_loss_from_noise():
    frame = study(histogram=-0.01)
    rows = tables.designs.spread_rows(frame[frame.observer == "histogram"])
    assert [(row["source"], int(row["images"])) for row in rows] == list(
        itertools.product(factors.SOURCES, factors.SIZES)
    )
    assert {row["verdict"] for row in rows} == {"worse"}
    assert {row["lose < 0.5"] for row in rows} == {"0 % (≥ 0 %)"}
    assert all(-1.05 < float(row["mean change"]) < -0.95 for row in rows)
    assert all(-1.5 < float(row["worst"]) < -1.1 for row in rows)
    rows = tables.designs.spread_rows(frame[frame.observer == "minmax"])
    words = [row["verdict"] for row in rows]
    assert words.count("non-inferior") >= 19
    assert {row["lose < 0.5"] for row in rows} == {"100 % (≥ 93 %)"}
    found = frame[(frame.observer == "minmax") & (frame.source == "noise")]
    known = 100 * found[found.images == 8].change.std()
    assert rows[10]["standard deviation"].startswith(f"{known:.2f} (0.0")


def test_questions_pair_draws_and_take_classes_as_ten_values():
    frame = study()
    gains = frame.seed / 100 * (frame.images == 1000)
    minmax = frame.observer == "minmax"
    lifted = minmax & (frame.source == "training")
    frame["change"] += gains * lifted
    # One class is far off: ten of fifty draws, one of ten classes.
    bad = minmax & (frame.source == "one class") & (frame.seed % 10 == 3)
    frame.loc[bad, "change"] -= 0.1
    asked = calibration_study.questions(frame)
    assert len(asked) == len(factors.OBSERVERS) * len(factors.SOURCES)
    more = asked["minmax", calibration_study.MORE]
    assert more.change.value == pytest.approx(0.255, abs=1e-3)
    assert (more.verdict, more.said) == ("better", "rises")
    other = asked["minmax", "one class, not training"]
    assert other.change.value == pytest.approx(-0.01, abs=1e-3)
    assert other.verdict == "no difference shown"
    assert other.said == "is not shown to change"
    assert asked["histogram", "noise, not training"].verdict == "non-inferior"
    p_values = [a.p_holm for a in asked.values()]
    assert max(p_values) == 1 and more.p_holm < 1e-6
    rows = tables.designs.question_rows(asked)
    assert rows[0]["observer"] == "min-max" and len(rows) == len(asked)


def test_enough_counts_draws_of_every_size():
    frame = study()
    frame.loc[frame.images == 8, "change"] = -0.02
    enough = {("minmax", "noise"): "none"}
    (row,) = tables.designs.enough_rows(frame, enough, 0.005)
    assert row["observer"] == "min-max" and row["enough"] == "none"
    assert (row["8"], row["32"], row["1,000"]) == (0, 50, 50)


@pytest.mark.parametrize(
    ("sizes", "word"),
    [([8, 32], "is enough"), ([32, 100], "not enough"), ([], "not enough")],
)
def test_least_number_of_images(sizes, word):
    assert calibration_study.least_is_enough(sizes).endswith(word)


def test_luck_is_within_trainings():
    rows = [
        {"train_seed": t, "seed": s, "strategy": name, "accuracy": value}
        for t, level in ((1, 0.5), (2, 0.9))
        for s, apart in ((1, 0.01), (2, 0.03))
        for name, value in (("a", level + apart), ("b", level))
    ]
    found = calibration_study.luck(pd.DataFrame(rows), "a", "b")
    assert found == pytest.approx(np.std([0.01, 0.03], ddof=1))


@pytest.fixture
def lab(cifar, tmp_path):
    return laboratory.open_experiment(run_dir=str(tmp_path), test_images=200)


def test_ranges_hold_what_they_have_seen(lab):
    ends = calibration_study.ends_of_ranges(lab, [1, 2])
    assert list(ends) == ["conv1", "conv2", "fc1", "fc2"]
    for name, found in ends.items():
        low, high = (np.array([found[n][i] for n in found]) for i in (0, 1))
        assert low.shape == (len(factors.SIZES), 2)
        assert (np.diff(low, axis=0) <= 0).all()
        assert (np.diff(high, axis=0) >= 0).all()
        # Behind the ReLUs of the convolutions nothing is below zero.
        assert (low.min() == 0) == name.startswith("conv")


def test_part_of_a_sweep_is_measured_again(lab):
    frame, manifest = calibration_study.load()
    there = lab.shipped(test_images=200)
    images = factors.draw_images(there.cifar, "training", 1000, 1, 42)
    rows = frame[(frame.seed == 1) & (frame.source == "training")]
    chosen = factors.calibrations()[:2]

    def measure(variant):
        return there.evaluate_variant(variant, images, source="training")

    again = committed_sweeps.measured_again
    found = again(chosen, measure, rows, manifest)
    # Of 200 images, not of 10,000: the row is told to belong to another.
    assert len(found) == 2 and (found.now <= 200).all()
    table, manifest = committed_sweeps.load("replication")
    point = table[(table.train_seed == 42) & (table.seed == 42)]
    found = again(["naive"], there.measure, point, manifest)
    assert list(found.index) == ["naive"]


def test_moving_average_is_min_max_in_one_batch():
    frame, _ = calibration_study.load()
    one_batch = frame[frame.images <= factors.BATCH]
    assert calibration_study.twins(one_batch) == len(one_batch) / 3
    more = frame[frame.images > factors.BATCH]
    assert calibration_study.twins(more) < len(more) / 100
