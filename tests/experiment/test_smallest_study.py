"""The smallest files: the reference's rows, and the levels they reach."""

import pandas as pd
import pytest

from ptq.book.tables import smallest as tables
from ptq.experiment import committed_sweeps, smallest_study


def row(strategy, kilobytes, lost, gained, validation=3500, train_seed=42):
    return {
        "network": "compact_cnn",
        "train_seed": train_seed,
        "strategy": strategy,
        "n": 10_000,
        "correct": 7000 + gained - lost,
        "accuracy": (7000 + gained - lost) / 10_000,
        "lost": lost,
        "gained": gained,
        "file_bytes": 1000 * kilobytes,
        "validation_correct": validation,
        "validation_images": 5000,
        "cpu_seconds": 10.0,
    }


def found(*rows):
    exact = [
        row("fp32", 2000, float("nan"), float("nan"), 3600, seed)
        | {"correct": 7000, "accuracy": 0.7}
        for seed in {r["train_seed"] for r in rows}
    ]
    return smallest_study.rows(pd.DataFrame([*exact, *rows]))


def words(*rows):
    return [level.word for level in smallest_study.levels(found(*rows))]


def test_rows_of_one_training_have_paired_intervals():
    frame = found(row("price_1e-07", 90, 300, 200), row("fc1_4", 280, 20, 20))
    assert frame.strategy.tolist() == ["fc1_4", "price_1e-07"]
    change = frame.change.iloc[1]
    assert change.value == pytest.approx(-0.01)
    assert change.low < -0.01 < change.high < 0
    shown = tables.file_rows(frame)
    assert shown[0]["weights"] == "fc1 at 4 bits"
    assert shown[1]["weights"] == "1e-07 nats a bit"
    assert shown[1]["file (kB)"] == "90.0"


def test_trainings_are_one_row_with_students_interval():
    made = [
        row("fc1_2", 150 + seed, 100 * seed, 50, 3500 + seed, seed)
        for seed in (1, 2, 3)
    ]
    (one,) = found(*made).itertuples()
    assert (one.trainings, one.file_bytes) == (3, 153_000)
    assert one.change.value == pytest.approx(-0.015)
    # t of 2 degrees of freedom, 4.303, by the deviation 0.01 / sqrt(3).
    half = 4.3027 * 0.01 / 3**0.5
    assert one.change.high == pytest.approx(-0.015 + half, abs=1e-6)
    assert one.validation == pytest.approx((3502 - 3600) / 5000)


def test_a_training_with_a_larger_file_misses_the_size():
    made = [
        row("price_1e-07", size, 100, 100, train_seed=size)
        for size in (69, 71)
    ]
    assert words(*made) == []
    assert words(made[0]) == ["reached"]


def test_rows_of_few_values_are_named_by_them():
    names = ("inner_3", "fc1_2", "fc1_ternary", "fc1_binary")
    assert [tables.in_words(name) for name in names] == [
        "conv2 and fc1 at 3 bits",
        "fc1 at 2 bits",
        "fc1 of -1, 0 and 1",
        "fc1 at 1 bit",
    ]


def test_three_bits_may_cost_a_point():
    assert words(row("inner_3", 220, 229, 204)) == ["reached"]
    assert words(row("inner_3", 220, 300, 210)) == ["open"]
    assert words(row("inner_3", 220, 300, 100)) == ["missed"]


def test_four_bits_are_missed_where_a_loss_is_shown():
    assert words(row("fc1_4", 280, 30, 25)) == ["reached"]
    assert words(row("fc1_4", 280, 200, 50)) == ["missed"]
    assert words(row("fc1_4", 280, 50, 200)) == ["reached"]


def test_that_nothing_is_shown_does_not_reach_a_level():
    """Of 30 more lost, p is 0.16, and a loss of half a point may be."""
    (level,) = smallest_study.levels(found(row("fc1_4", 280, 240, 210)))
    assert level.row.change.high > 0 > -0.005 > level.row.change.low
    assert level.word == "open"


def test_two_bits_need_the_interval_and_the_bytes():
    assert words(row("fc1_2", 150, 100, 100)) == ["reached"]
    assert words(row("fc1_2", 161, 100, 100)) == ["missed"]
    assert words(row("fc1_2", 150, 140, 100)) == ["open"]
    assert words(row("fc1_2", 150, 240, 100)) == ["missed"]


def test_the_small_file_is_chosen_on_validation_images():
    """Not the one that is best on test images, nor one too large."""
    small = row("price_4e-07", 60, 300, 150, validation=3400)
    best_seen = row("price_3e-07", 69, 300, 190, validation=3450)
    large = row("price_1e-07", 71, 10, 10, validation=3600)
    (level,) = smallest_study.levels(found(small, best_seen, large))
    assert level.row.strategy == "price_3e-07"
    assert level.word == "open"
    # Non-inferior: the interval counts, not the change alone.
    assert words(row("price_3e-07", 69, 300, 250)) == ["reached"]
    assert words(row("price_3e-07", 69, 300, 210)) == ["open"]
    assert words(row("price_3e-07", 69, 400, 210)) == ["missed"]
    assert words(large) == []
    assert tables.level_rows([level])[0]["file (kB)"] == "69.0"


def test_files_within_the_level_are_counted():
    small, other = (row(f"price_{p}e-07", 60, 9, 9) for p in (4, 5))
    large = row("price_1e-07", 71, 9, 9)
    told = tables.choice_words(found(small, large))
    assert told == "Files of at most 70 kB: 1 of the compact CNN."
    told = tables.choice_words(found(small, other, large))
    assert told.endswith(": 2 of the compact CNN.")
    assert ": none of the compact" in tables.choice_words(found(large))


def test_the_reference_has_each_row_for_all_trainings():
    frame, _ = committed_sweeps.load("smallest")
    exact = frame[frame.strategy == "fp32"]
    keys = ["network", "train_seed"]
    before = exact.drop_duplicates(keys).set_index(keys).correct
    for one in frame[frame.strategy != "fp32"].itertuples():
        correct = before[one.network, one.train_seed]
        assert one.correct - correct == one.gained - one.lost
    rows = smallest_study.rows(frame)
    assert set(rows.trainings) == {5}
    assert (rows.file_bytes < 300_000).all()


def test_files_at_a_price_are_told():
    frame, _ = committed_sweeps.load("smallest")
    told = smallest_study.about_prices(frame)
    for key, network in (
        ("published", "compact_cnn"),
        ("tuned", "compact_cnn_tuned"),
    ):
        of = frame[frame.network == network]
        priced = of[of.strategy.str.startswith("price")]
        assert told[f"{key}_asked"] == priced.strategy.nunique()
        assert told[f"{key}_each"].count(" kB ") == told[f"{key}_asked"]
        smallest = priced.groupby("strategy").file_bytes.max().min()
        assert told[f"{key}_kb"] == smallest / 1000 <= 70
        fp32 = of[of.strategy == "fp32"].file_bytes.max()
        assert told[f"{key}_smaller"] == fp32 / smallest
        assert told[f"{key}_each"].endswith(f"{told[f'{key}_change']:+.2f}")


def test_three_bits_are_told_for_both_networks():
    frame, _ = committed_sweeps.load("smallest")
    told = smallest_study.about_even(smallest_study.rows(frame))
    for key, network in (
        ("even", "compact_cnn"),
        ("even_tuned", "compact_cnn_tuned"),
    ):
        of = frame[frame.network == network].drop_duplicates(
            ["train_seed", "strategy"]
        )
        of = of.pivot(
            index="train_seed", columns="strategy", values="correct"
        )
        change = (of.inner_3 - of.fp32).mean() / 100
        assert told[key].value == pytest.approx(change)


def test_a_price_is_told_once():
    rows = [row(f"price_{p}e-07", 60, 9, 9) for p in (3.6, 3.3, 3.6)]
    assert tables.prices(found(*rows)) == ["3.3e-07", "3.6e-07"]
    assert tables.prices(found(row("fc1_4", 280, 9, 9))) == []
