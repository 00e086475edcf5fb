"""Statistics over draws and seeds, against known and simulated answers."""

import itertools

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from ptq.evidence import intervals, paired_tests, replicates
from ptq.evidence.checks import InputError

FACTORS = {"a": (0, 1), "b": (7, 8), "c": ("x", "y")}


def factorial(blocks=5, noise=0.0, seed=0):
    """Response 3a + 0.5b - 2ab, c without effect, shifted by block."""
    drawn = np.random.default_rng(seed)
    rows = []
    for block in range(blocks):
        for a, b, c in itertools.product(*FACTORS.values()):
            signs = 2 * a - 1, 2 * (b - 7) - 1
            value = 3 * signs[0] / 2 + 0.5 * signs[1] / 2
            value += -2 * signs[0] * signs[1] / 2 + 10 * block
            value += noise * drawn.normal()
            rows.append({"train_seed": block, "a": a, "b": b, "c": c})
            rows[-1]["y"] = value
    return pd.DataFrame(rows).sample(frac=1, random_state=seed)


class TestEffects:
    def test_constructed_effects_are_found_and_blocks_taken_out(self):
        found = replicates.effects(factorial(), FACTORS, "y", order=3)
        known = {"a": 3, "b": 0.5, "a × b": -2}
        for term, row in found.iterrows():
            assert row.value == pytest.approx(known.get(term, 0), abs=1e-9)
        assert len(found) == 7

    def test_equals_a_regression_on_the_signs(self):
        frame = factorial(noise=1).sort_values(["train_seed", "a", "b", "c"])
        found = replicates.effects(frame, FACTORS, "y")
        for term, row in found.iterrows():
            codes = [
                frame[n].map(dict(zip(FACTORS[n], (-1, 1), strict=True)))
                for n in term.split(" × ")
            ]
            slope = stats.linregress(np.prod(codes, axis=0), frame.y).slope
            assert row.value == pytest.approx(2 * slope)

    def test_intervals_cover_an_effect_of_zero(self):
        inside = 0
        for seed in range(400):
            frame = factorial(blocks=4, noise=1, seed=seed)
            row = replicates.effects(frame, FACTORS, "y", order=1).loc["c"]
            inside += row.low <= 0 <= row.high
        assert 0.92 <= inside / 400 <= 0.98

    def test_a_hole_or_a_repetition_is_refused(self):
        frame = factorial()
        for broken in (frame.iloc[1:], pd.concat([frame, frame[:1]])):
            with pytest.raises(ValueError, match="8 combinations"):
                replicates.effects(broken, FACTORS, "y")


def seeds(**columns):
    rows = [
        {"train_seed": t, "seed": d, "strategy": name, "accuracy": value}
        for name, values in columns.items()
        for t, pair in enumerate(values)
        for d, value in enumerate(pair)
    ]
    return pd.DataFrame(rows)


def test_drops_are_paired_by_seed_and_averaged_over_draws():
    frame = seeds(
        fp32=[(0.7, 0.7), (0.8, 0.8)], naive=[(0.69, 0.71), (0.77, 0.78)]
    )
    found = replicates.paired_differences(frame)
    np.testing.assert_allclose(found.naive, [0, -0.025], atol=1e-12)
    assert list(found) == ["naive"]
    with pytest.raises(ValueError, match="naive"):
        replicates.paired_differences(frame[:-1])


def test_mean_and_deviation_by_their_formulas():
    values = np.array([1.0, 2.0, 4.0, 9.0])
    mean, deviation = values.mean(), values.std(ddof=1)
    half = 3.182446305 * deviation / 2  # t of 3 degrees, n = 4
    found = intervals.mean(values)
    assert found.value == mean
    assert (found.low, found.high) == pytest.approx(
        (mean - half, mean + half)
    )
    spread = replicates.standard_deviation(values)
    assert spread.value == pytest.approx(deviation)
    # Chi-square quantiles of 3 degrees, from a table.
    assert spread.low == pytest.approx(deviation * (3 / 9.348404) ** 0.5)
    assert spread.high == pytest.approx(deviation * (3 / 0.215795) ** 0.5)
    with pytest.raises(ValueError, match="at least 2"):
        intervals.mean(values[:1])


@pytest.mark.parametrize(
    ("of", "truth"), [(intervals.mean, 2), (replicates.standard_deviation, 1)]
)
def test_intervals_cover_the_truth(of, truth):
    drawn = np.random.default_rng(1).normal(2, 1, (3000, 6))
    found = [of(sample) for sample in drawn]
    share = np.mean([f.low <= truth <= f.high for f in found])
    assert 0.93 <= share <= 0.97


def test_orderings_count_seeds_and_pair_them():
    changes = pd.DataFrame({"a": [3.0, 2, 5, 4], "b": [2.0, 1.5, 5, 2]})
    changes["c"] = changes.a - [1.0, 1.1, 0.9, 1.0]
    found = replicates.orderings(changes, [("a", "b"), ("a", "c")])
    first, second = found.values()
    assert (first.ahead, first.seeds) == (3, 4)
    known = stats.ttest_rel(changes.a, changes.b)
    assert first.p == pytest.approx(known.pvalue, rel=1e-9, abs=0)
    assert first.difference.value == pytest.approx(0.875)
    assert first.p_holm == first.p and second.p_holm == 2 * second.p
    assert first.verdict == "no difference shown"
    assert second.verdict == "better"


def test_same_ranking_tells_order_from_noise():
    drawn = np.random.default_rng(2).normal(size=(8, 4))
    noise = pd.DataFrame(drawn, columns=list("abcd"))
    assert replicates.friedman(noise) > 0.05
    assert replicates.friedman(noise + [0, 9, 18, 27]) < 0.001


def test_safe_share_counts_what_stays_within_the_margin():
    changes = np.array([-0.01, -0.0049, 0.0, 0.002])
    assert replicates.safe_share(changes).value == 0.75


def test_repetitions_without_spread_have_a_sharp_mean():
    assert intervals.mean(np.zeros(4)) == replicates.Interval(0, 0, 0)
    assert replicates.p_value(np.zeros(4)) == 1
    # By signs: four of four, on either side.
    assert replicates.p_value(np.ones(4)) == 2 / 16


@pytest.mark.parametrize(
    ("low", "high", "p", "word"),
    [
        (0.001, 0.003, 0.01, "better"),
        (-0.009, -0.001, 0.01, "worse"),
        (-0.009, -0.001, 0.06, "no difference shown"),
        (-0.0049, 0.001, 0.3, "non-inferior"),
    ],
)
def test_verdict_over_seeds(low, high, p, word):
    found = replicates.Interval((low + high) / 2, low, high)
    assert paired_tests.verdict(found, p) == word


def test_cells_read_from_a_file_have_their_levels_again(tmp_path):
    factors = {"on": (False, True), "bits": (7, 8), "how": ("x", "y")}
    rows = list(itertools.product(*factors.values()))
    frame = pd.DataFrame(rows, columns=list(factors))
    other = pd.DataFrame([{"on": None}])
    path = tmp_path / "table.csv"
    pd.concat([frame, other]).to_csv(path, index=False)
    found = replicates.cells(pd.read_csv(path), factors)
    assert [tuple(row) for row in found.to_numpy()] == rows


def test_safe_sizes_are_those_with_few_bad_draws():
    def changes(bad):
        return [-0.005] * bad + [-0.004] * (50 - bad)

    rows = [
        (count, change)
        for count, bad in ((8, 0), (32, 2), (100, 3))
        for change in changes(bad)
    ]
    frame = pd.DataFrame(rows, columns=["images", "change"])
    # Wilson's limits of 50, 48 and 47 of 50: 0.929, 0.865 and 0.838.
    assert replicates.safe_sizes(frame) == [8, 32]
    assert replicates.safe_sizes(frame, share=0.9) == [8]
    assert replicates.safe_sizes(frame, margin=0.001) == []
    few = frame[frame.images == 8].head(10)
    assert replicates.safe_sizes(few) == []


def test_power_is_the_share_of_tests_that_show_it():
    values = np.random.default_rng(11).normal(0.2, 0.15, (4000, 5))
    shown = stats.ttest_1samp(values, 0, axis=1).pvalue < 0.05
    assert replicates.power(0.2, 0.15, 5) == pytest.approx(
        shown.mean(), abs=0.02
    )
    assert replicates.power(0, 0.15, 5) == pytest.approx(0.05)


@pytest.mark.parametrize("count", [2, 5, 20])
@pytest.mark.parametrize("chance", [0.5, 0.8, 0.99])
def test_smallest_shown_is_shown_with_that_chance(count, chance):
    found = replicates.smallest_shown(0.15, count, chance)
    assert replicates.power(found, 0.15, count) == pytest.approx(chance)
    # The unit is free, and more repetitions show less.
    assert replicates.smallest_shown(15, count, chance) == pytest.approx(
        100 * found
    )
    assert replicates.smallest_shown(0.15, count + 1, chance) < found


def test_one_of_several_tests_shows_only_larger_means():
    """Shown whatever the others are: with a p below 5 % by their number."""
    alone = replicates.smallest_shown(0.15, 5)
    least = replicates.smallest_shown(0.15, 5, tests=6)
    assert least > 1.5 * alone
    values = np.random.default_rng(12).normal(least, 0.15, (4000, 5))
    found = stats.ttest_1samp(values, 0, axis=1).pvalue < 0.05 / 6
    assert found.mean() == pytest.approx(0.8, abs=0.02)


@pytest.mark.parametrize(("deviation", "count"), [(0.1, 1), (0.0, 5)])
def test_no_spread_says_nothing_of_power(deviation, count):
    with pytest.raises(ValueError, match="at least 2 repetitions"):
        replicates.smallest_shown(deviation, count)


FRAME = seeds(fp32=[(0.7, 0.7), (0.8, 0.8)], naive=[(0.69, 0.7), (0.7, 0.8)])
CHANGES = pd.DataFrame({"a": [3.0, 2, 5], "b": [2.0, 1, 5], "c": [1.0, 2, 3]})
DRAWS = pd.DataFrame({"images": [8, 8], "change": [0.0, -0.001]})
REFUSED = {
    "no column": (
        lambda: replicates.paired_differences(FRAME.drop(columns="accuracy")),
        "no column 'accuracy'",
    ),
    "no base": (
        lambda: replicates.paired_differences(FRAME, "float"),
        "base='float'",
    ),
    "percent": (
        lambda: replicates.paired_differences(FRAME.assign(accuracy=70.0)),
        "expected shares from 0 to 1",
    ),
    "hole": (
        lambda: replicates.paired_differences(FRAME.assign(accuracy=np.nan)),
        "'accuracy' has empty cells",
    ),
    "twice": (
        lambda: replicates.paired_differences(pd.concat([FRAME, FRAME[:1]])),
        "two rows for",
    ),
    "no rows": (
        lambda: replicates.paired_differences(FRAME[:0]),
        "no such|no rows",
    ),
    "unknown pair": (
        lambda: replicates.orderings(CHANGES, [("a", "z")]),
        "no column 'z'",
    ),
    "one seed": (
        lambda: replicates.orderings(CHANGES[:1], [("a", "b")]),
        "1 values: expected at least 2",
    ),
    "two strategies": (
        lambda: replicates.friedman(CHANGES[["a", "b"]]),
        "2 strategies: expected at least 3",
    ),
    "ranking of nan": (
        lambda: replicates.friedman(CHANGES.replace(5.0, np.nan)),
        "has nan",
    ),
    "level": (
        # All rows would be taken for the low level.
        lambda: replicates.effects(factorial(), FACTORS | {"b": (7, 9)}, "y"),
        "b: level 8 in the frame: expected 7 or 9",
    ),
    "same levels": (
        lambda: replicates.effects(factorial(), FACTORS | {"b": (7, 7)}, "y"),
        "b: levels .*two different",
    ),
    "no factor": (
        lambda: replicates.effects(factorial(), FACTORS | {"d": (0, 1)}, "y"),
        "no column 'd'",
    ),
    "no response": (
        lambda: replicates.effects(factorial(), FACTORS, "z"),
        "no column 'z'",
    ),
    "infinite": (
        lambda: replicates.effects(
            factorial().assign(y=np.inf), FACTORS, "y"
        ),
        "y: value 0 .* has inf",
    ),
    "one block": (
        lambda: replicates.effects(factorial(blocks=1), FACTORS, "y"),
        "at least 2 blocks",
    ),
    "cell": (
        lambda: replicates.cells(pd.DataFrame({"b": [7, 6]}), {"b": (7, 8)}),
        "b: level 6 in the frame",
    ),
    "no cells": (
        lambda: replicates.cells(pd.DataFrame({"a": [1]}), {"b": (7, 8)}),
        "no column 'b'",
    ),
    "share of nothing": (lambda: replicates.safe_share([]), "0 values"),
    "share of nan": (lambda: replicates.safe_share([np.nan]), "has nan"),
    "share margin": (lambda: replicates.safe_share([0.0], 5), "margin=5"),
    "sizes share": (
        lambda: replicates.safe_sizes(DRAWS, share=85),
        "share=85",
    ),
    "sizes column": (
        lambda: replicates.safe_sizes(DRAWS.drop(columns="images")),
        "no column 'images'",
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_designs_refuse_in_one_sentence(kind):
    call, message = REFUSED[kind]
    with pytest.raises(InputError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_ranking_of_equal_strategies_tells_nothing():
    equal = pd.DataFrame(dict.fromkeys("abc", [0.1, 0.2, 0.3]))
    assert replicates.friedman(equal) == 1
