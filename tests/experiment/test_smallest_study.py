"""The smallest files: the reference's rows, and the levels they reach."""

import pandas as pd
import pytest

from ptq.book.tables import smallest as tables
from ptq.experiment import committed_sweeps, smallest_study


def row(strategy, kilobytes, lost, gained, validation=3500):
    return {
        "network": "compact_cnn",
        "train_seed": 42,
        "strategy": strategy,
        "n": 10_000,
        "correct": 7000 + gained - lost,
        "accuracy": (7000 + gained - lost) / 10_000,
        "lost": lost,
        "gained": gained,
        "file_bytes": 1000 * kilobytes,
        "validation_correct": validation,
        "cpu_seconds": 10.0,
    }


def found(*rows):
    exact = row("fp32", 2000, float("nan"), float("nan"))
    exact |= {"correct": 7000, "accuracy": 0.7}
    return smallest_study.rows(pd.DataFrame([exact, *rows]))


def words(*rows):
    return [level.word for level in smallest_study.levels(found(*rows))]


def test_rows_have_paired_intervals_and_no_float_network():
    frame = found(row("price_1e-07", 90, 300, 200), row("fc1_4", 280, 20, 20))
    assert frame.strategy.tolist() == ["fc1_4", "price_1e-07"]
    change = frame.change.iloc[1]
    assert change.value == pytest.approx(-0.01)
    assert change.low < -0.01 < change.high < 0
    assert frame.p.iloc[0] == 1 and frame.p.iloc[1] < 0.001
    shown = tables.file_rows(frame)
    assert shown[0]["weights"] == "fc1 at 4 bits"
    assert shown[1]["weights"] == "1e-07 nats a bit"
    assert shown[1]["file (kB)"] == "90.0"


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
    assert level.row.p > 0.05 and level.row.change.low < -0.005
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
    assert told == "Files of at most 70 kB: 1 of compact CNN, seed 42."
    told = tables.choice_words(found(small, other, large))
    assert told.endswith(": 2 of compact CNN, seed 42.")
    assert ": none of compact" in tables.choice_words(found(large))


def test_a_price_is_told_once():
    rows = [row(f"price_{p}e-07", 60, 9, 9) for p in (3.6, 3.3, 3.6)]
    assert tables.prices(found(*rows)) == ["3.3e-07", "3.6e-07"]
    assert tables.prices(found(row("fc1_4", 280, 9, 9))) == []


def test_the_reference_has_a_float_network_beside_each_row():
    frame, _ = committed_sweeps.load("smallest")
    keys = ["network", "train_seed"]
    exact = frame[frame.strategy == "fp32"].drop_duplicates(keys)
    rows = smallest_study.rows(frame)
    assert len(rows) >= 3 and (rows.file_bytes < 300_000).all()
    for row_ in rows.itertuples():
        same = exact[(exact[keys] == (row_.network, row_.train_seed)).all(1)]
        (correct,) = same.correct
        assert row_.correct - correct == row_.gained - row_.lost


def test_the_twin_is_told_by_all_its_files():
    frame, _ = committed_sweeps.load("smallest")
    rows = smallest_study.rows(frame)
    told = smallest_study.about_twin(rows)
    twin = rows[rows.network == "compact_cnn_tuned"]
    twin = twin[twin.strategy.str.startswith("price")]
    assert told["tuned_asked"] == len(twin) > 1
    assert told["tuned_each"].count(" kB ") == len(twin)
    assert told["tuned_each"].endswith(f"{told['tuned_change']:+.2f}")
    assert told["tuned"] == pytest.approx(twin.file_bytes.iloc[-1] / 1000)
    assert told["tuned_near"] > 70 > told["tuned"]
    assert told["tuned_level"] == "missed"


def test_three_bits_are_told_for_both_trainings():
    frame, _ = committed_sweeps.load("smallest")
    told = smallest_study.about_even(smallest_study.rows(frame))
    # Counted by hand: right of 10,000, beside 7165 and 8548 in floats.
    assert told["even"].value == pytest.approx((7140 - 7165) / 100)
    assert told["even_tuned"].value == pytest.approx((8492 - 8548) / 100)
    assert told["even"].low > -1 and told["even_tuned"].low > -1


def test_both_prices_about_the_level_are_told():
    frame, _ = committed_sweeps.load("smallest")
    told = smallest_study.about_price(frame)
    assert told["near_kb"] > 70 > told["under_kb"]
    assert told["near_price"] < told["under_price"]
    changes = {
        100 * row_.change for row_ in smallest_study.rows(frame).itertuples()
    }
    assert {told["near_change"], told["under_change"]} <= changes
    # Counted by hand: 3574 right in floats, of 5,000.
    assert told["near_validation"] == pytest.approx((3529 - 3574) / 50)
    assert told["under_validation"] == pytest.approx((3548 - 3574) / 50)
    assert told["under_smaller"] == pytest.approx(2_181_671 / 68_027)
