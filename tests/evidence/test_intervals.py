"""Intervals and paired tests against published or hand-made numbers."""

import math
from math import comb, sqrt

import numpy as np
import pytest
import torch
from conftest import case31

from ptq.evidence import (
    intervals,
    paired_tests,
    replicates,
    thresholds,
    time_ratios,
)
from ptq.evidence.checks import InputError


def wilson(correct, n, z=1.959963984540054):
    p = correct / n
    middle = p + z**2 / (2 * n)
    root = z * sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    return [(middle + sign * root) / (1 + z**2 / n) for sign in (-1, 1)]


@pytest.mark.parametrize(
    ("correct", "n", "low", "high"),
    # Newcombe (1998), Statistics in Medicine 17, table I, method 3.
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_interval_as_published(correct, n, low, high):
    found = intervals.wilson(correct, n)
    assert found.value == correct / n
    assert (found.low, found.high) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize("correct", [0, 1, 7165, 9999, 10_000])
def test_wilson_interval_by_its_formula(correct):
    found = intervals.wilson(correct, 10_000)
    assert [found.low, found.high] == pytest.approx(
        wilson(correct, 10_000), abs=1e-9
    )
    assert 0 <= found.low <= found.value <= found.high <= 1


@pytest.mark.parametrize(
    ("correct", "n"),
    [(0, 0), (-1, 5), (6, 5), (np.nan, 5), (1.5, 5), ("1", 5)],
)
def test_impossible_counts_are_refused(correct, n):
    with pytest.raises(ValueError, match="correct=|n="):
        intervals.wilson(correct, n)


def predictions(lost, gained, both, neither):
    """Labels, and the predictions of two networks with these counts."""
    n = lost + gained + both + neither
    labels = np.arange(n) % 10
    kinds = np.repeat(np.arange(4), [lost, gained, both, neither])
    wrong = (labels + 1) % 10
    first = np.where((kinds == 0) | (kinds == 2), labels, wrong)
    # Wrong in another way than the first: still no flip.
    other = np.where((kinds == 1) | (kinds == 2), labels, (labels + 2) % 10)
    return first.astype(np.uint8), other.astype(np.uint8), labels


@pytest.mark.parametrize(
    ("lost", "gained"), [(0, 0), (1, 0), (0, 6), (5, 5), (40, 21), (3, 11)]
)
def test_flips_and_exact_mcnemar(lost, gained):
    found = paired_tests.flips(*predictions(lost, gained, both=50, neither=9))
    assert (found.lost, found.gained) == (lost, gained)
    n, few = lost + gained, min(lost, gained)
    tail = sum(comb(n, k) for k in range(few + 1)) / 2**n
    assert found.p == pytest.approx(min(1, 2 * tail), rel=1e-9, abs=0)


@pytest.mark.parametrize("cut", [0, 1, 2])
def test_flips_refuse_other_images(cut):
    arguments = list(predictions(2, 1, 5, 2))
    arguments[cut] = arguments[cut][:-1]
    with pytest.raises(ValueError, match="10.*9|9.*10"):
        paired_tests.flips(*arguments)


@pytest.mark.parametrize("ratio", [0.5, 1.0, 3.0])
def test_speedup_of_a_known_ratio(ratio):
    noise = np.random.default_rng(5)
    slow = ratio * noise.lognormal(0, 0.05, (8, 25))
    fast = noise.lognormal(0, 0.05, (8, 25))
    found = time_ratios.speedup(slow, fast)
    assert found.low <= ratio <= found.high
    assert found.low < found.value < found.high
    assert (found.high - found.low) / ratio < 0.2


def test_speedup_is_students_prediction_of_one_more_session():
    rng = np.random.default_rng(8)
    slow, fast = rng.lognormal(0, 0.1, (2, 6, 5))
    logs = [
        math.log(sorted(a / b)[2]) for a, b in zip(slow, fast, strict=True)
    ]
    middle = sum(logs) / 6
    spread = math.sqrt(sum((v - middle) ** 2 for v in logs) / 5)
    # 2.570582 is the 97.5 % point of Student's t with 5 degrees of freedom.
    half = 2.570582 * spread * math.sqrt(1 + 1 / 6)
    found = time_ratios.speedup(slow, fast)
    expected = [math.exp(v) for v in (middle, middle - half, middle + half)]
    assert [found.value, found.low, found.high] == pytest.approx(expected)


def test_speedup_against_itself_is_exactly_one():
    times = np.random.default_rng(5).lognormal(0, 0.5, (5, 10))
    found = time_ratios.speedup(times, times)
    assert (found.value, found.low, found.high) == (1, 1, 1)


def test_what_slows_both_alike_does_not_blur_their_ratio():
    load = np.random.default_rng(5).uniform(1, 100, (5, 10))
    found = time_ratios.speedup(2 * load, load)
    assert (found.low, found.high) == pytest.approx((2, 2))


@pytest.mark.parametrize("shape", [(1, 2), (1, 40), (2, 20), (3, 3)])
def test_too_few_rounds_or_sessions_have_no_interval(shape):
    found = time_ratios.speedup(np.full(shape, 3.0), np.full(shape, 1.5))
    assert found.value == pytest.approx(2)
    assert np.isnan([found.low, found.high]).all()


@pytest.mark.parametrize(
    ("reference", "other"),
    [
        ([[1.0, 2.0]], [[1.0, 2.0, 3.0]]),
        ([[1.0]], [[1.0, 2.0]]),
        ([1.0, 2.0], [1.0, 2.0]),
        ([[]], [[]]),
        ([], []),
        ([[1.0, -2.0]], [[1.0, 2.0]]),
        ([[1.0, 0.0]], [[1.0, 2.0]]),
        ([[1.0, math.nan]], [[1.0, 2.0]]),
    ],
)
def test_speedup_refuses_what_are_no_times_of_the_same_rounds(
    reference, other
):
    with pytest.raises(ValueError, match="times.*expected"):
        time_ratios.speedup(reference, other)


def test_a_share_of_extra_time_outlives_a_round_without_any():
    extra = np.array([[4.0, 4.0, -1.0], [4.0, 4.0, 4.0], [4.0, 40.0, 4.0]])
    found = time_ratios.share(np.ones((3, 3)), extra)
    assert found.value == 0.25
    assert np.isnan(found.low)  # nine rounds
    found = time_ratios.share(np.ones((3, 6)), np.tile(extra, 2))
    assert (found.low, found.high) == (0.25, 0.25)


def test_no_share_of_extra_time_where_a_session_has_none():
    found = time_ratios.share(np.ones((2, 2)), np.array([[1, 2], [-3, 1]]))
    assert np.isnan([found.value, found.low, found.high]).all()
    with pytest.raises(ValueError, match="times.*expected"):
        time_ratios.share(np.ones((2, 2)), np.full((2, 2), math.nan))


def test_a_slow_session_is_said_though_no_ratio_shows_it():
    rng = np.random.default_rng(9)
    usual = rng.lognormal(0, 0.05, (8, 5))
    assert time_ratios.uneven(usual) == []
    slow = usual * np.where(np.arange(8) == 7, 1.7, 1)[:, None]
    assert time_ratios.unsteady(slow, 1.01 * slow) == []
    (told,) = time_ratios.uneven(slow)
    assert "one of 8 sessions took 1.7 times" in told


def test_two_humps_are_found_and_one_is_not():
    rng = np.random.default_rng(9)
    one = rng.lognormal(0, 0.05, (8, 5))
    slow = rng.permutation(np.repeat([0.042, 0.109], 20)).reshape(8, 5)
    low, high = time_ratios.humps(slow * rng.lognormal(0, 0.02, (8, 5)))
    assert low == pytest.approx(0.042, rel=0.02)
    assert high == pytest.approx(0.109, rel=0.02)
    assert time_ratios.humps(one) is None


def test_one_hump_is_rarely_taken_for_two():
    rng = np.random.default_rng(10)
    found = [
        time_ratios.humps(np.exp(np.abs(rng.normal(0, 0.1, (8, 5)))))
        for _ in range(500)
    ]
    assert sum(two is not None for two in found) <= 10


def test_quartiles_known_answer():
    assert intervals.quartiles([5, 1, 4, 2, 3]) == (2, 3, 4)


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        ({"a": (1, 1), "b": (2, 2), "c": (3, 3)}, ["a", "b", "c"]),
        ({"c": (3, 3), "b": (2, 2), "a": (1, 1)}, ["a", "b", "c"]),
        ({"a": (1, 2), "worse": (2, 1)}, ["a"]),
        ({"dearer": (2, 2), "a": (1, 2)}, ["a"]),
        ({"lower": (1, 1), "a": (1, 2)}, ["a"]),
        ({"first": (1, 1), "second": (1, 1)}, ["first"]),
        ({"a": (1, 1), "inside": (2, 1.5), "b": (2, 2)}, ["a", "b"]),
        ({}, []),
    ],
)
def test_pareto(points, expected):
    cost = {name: point[0] for name, point in points.items()}
    value = {name: point[1] for name, point in points.items()}
    assert time_ratios.pareto(cost, value) == expected


def test_confusion_counts():
    labels = np.array([0, 0, 0, 3, 9])
    predicted = np.array([0, 3, 3, 3, 0], dtype=np.uint8)
    counts = paired_tests.confusion(predicted, labels)
    assert counts.shape == (10, 10)
    assert counts.sum() == 5
    assert counts[0, 0] == 1
    assert counts[0, 3] == 2
    assert counts[3, 3] == counts[9, 0] == 1


@pytest.mark.parametrize("classes", [0, 12])
def test_confusion_takes_its_classes_from_its_arguments(classes):
    labels, predicted = np.array([[0], [11], [3]]), np.array([0, 2, 3])
    counts = paired_tests.confusion(predicted, labels, classes)
    assert counts.shape == (12, 12)
    assert counts[11, 2] == 1 and counts.sum() == 3
    assert paired_tests.confusion([0, 1], [1, 1]).shape == (2, 2)


@pytest.mark.parametrize(
    ("predicted", "labels", "classes", "message"),
    [
        ([0], [0, 1, 2], 0, "1 in predictions, 3 in labels"),
        ([10], [0], 10, "predictions: image 0 .* has 10: expected 0 to 9"),
        ([0], [10], 10, "labels: image 0 .* has 10: expected 0 to 9"),
        ([0], [-1], 0, "labels: image 0 .* has -1"),
        ([0.5], [1], 0, "predictions: image 0 .* has 0.5"),
        ([0], [1], -1, "classes=-1"),
        ([0], [30_000], 0, "30001 classes: expected at most"),
    ],
)
def test_confusion_refuses_what_it_cannot_count(
    predicted, labels, classes, message
):
    with pytest.raises(InputError, match=message):
        paired_tests.confusion(np.array(predicted), np.array(labels), classes)


def test_labels_as_a_column_give_the_right_value():
    """As Keras gives them; broadcast they gave +6.0 points."""
    first, second, labels = case31()
    column = labels[:, None]
    for truth in (labels, column, column.astype(float), torch.tensor(labels)):
        found = paired_tests.flips(first[:, None], second, truth)
        assert found == paired_tests.Flips(3, 1, 1000, 0.625)
        assert paired_tests.difference(found).value == -0.002
    assert paired_tests.disagreement(first[:, None], second) == 0.004


def bad_classes(labels):
    """Labels that are no class of any network, and what is said of them."""
    spoilt = labels.astype(float)
    spoilt[4] = np.nan
    return {
        r"image 9 \(from 0\) has 10": labels + 1,
        "image 0 .* has 255": np.full_like(labels, 255),
        "text: expected class numbers": labels.astype(str),
        "image 4 .* has nan": spoilt,
        "True and False": labels > 3,
        "objects": labels.astype(object),
        r"shape \(20, 10\).*argmax": np.eye(10)[labels],
        "image 0 .* has -1": labels - 1,
        "empty": labels[:0],
    }


@pytest.mark.parametrize("message", bad_classes(np.arange(20) % 10))
def test_what_is_no_class_is_refused(message):
    labels = np.arange(20) % 10
    bad = bad_classes(labels)[message]
    with pytest.raises(InputError, match=f"labels: .*{message}|{message}"):
        paired_tests.flips(labels, labels, bad)
    if "has 10" not in message and "has 255" not in message:
        with pytest.raises(InputError, match=message):
            paired_tests.disagreement(labels, bad)
        with pytest.raises(InputError, match=message):
            paired_tests.confusion(bad, labels)


def test_label_that_nobody_predicts_needs_the_number_of_classes():
    labels, predicted = np.array([0, 1, 2]), np.array([0, 1, 1])
    with pytest.raises(InputError, match="image 2 .* has 2: no network"):
        paired_tests.flips(predicted, predicted, labels)
    assert paired_tests.flips(predicted, predicted, labels, classes=3).n == 3
    with pytest.raises(InputError, match="expected 0 to 1"):
        paired_tests.flips(predicted, predicted, labels, classes=2)


def test_reference_that_is_never_right_is_refused():
    labels = np.arange(20) % 10
    wrong = (labels + 1) % 10
    for other in (wrong, labels):
        with pytest.raises(InputError, match="right on none of 20 images"):
            paired_tests.flips(wrong, other, labels)
    assert paired_tests.flips(labels, wrong, labels).lost == 20


def test_chance_is_the_share_of_shuffles_with_as_many_right():
    generator = np.random.default_rng(2)
    labels = generator.choice(4, 200, p=[0.6, 0.2, 0.1, 0.1])
    predicted = labels.copy()
    predicted[:140] = generator.choice(4, 140, p=[0.6, 0.2, 0.1, 0.1])
    for likely in (predicted, generator.permutation(labels)):
        right = (likely == labels).sum()
        shuffles = np.array(
            [
                (generator.permutation(labels) == likely).sum()
                for _ in range(20_000)
            ]
        )
        # Half of the shuffles with exactly as many: the limit is smooth.
        share = (shuffles > right).mean() + (shuffles == right).mean() / 2
        assert paired_tests.by_chance(likely, labels) == pytest.approx(
            share, abs=0.01
        )
    assert paired_tests.by_chance(np.zeros(200, int), labels) == 1
    assert paired_tests.by_chance(labels, labels) < 1e-9


@pytest.mark.parametrize(
    ("lost", "gained", "n", "p"),
    [
        (-1, 2, 10, 0.5),
        (6, 5, 10, 0.5),
        (0, 0, 0, 1.0),
        (1.5, 0, 10, 0.5),
        (1, 1, 10, 1.5),
        (1, 1, 10, np.nan),
        (np.nan, 1, 10, 0.5),
        ("1", 1, 10, 0.5),
        (True, 1, 10, 0.5),
    ],
)
def test_impossible_flips_are_refused(lost, gained, n, p):
    with pytest.raises(InputError):
        paired_tests.Flips(lost, gained, n, p)


@pytest.mark.parametrize(
    ("p_values", "message"),
    [
        ([0.1, np.nan], "value 1 .* has nan"),
        ([0.1, 1.2], "value 1 .* has 1.2: expected 0 to 1"),
        ([-0.1], "value 0 .* has -0.1"),
        (["0.1"], "text"),
        ([[0.1]], r"shape \(1, 1\)"),
    ],
)
def test_holm_refuses_what_is_no_p_value(p_values, message):
    with pytest.raises(InputError, match=message):
        paired_tests.holm(p_values)


def test_holm_of_nothing_is_nothing():
    assert paired_tests.holm([]) == []


SAMPLES = {
    "one": ([1.0], "1 values: expected at least 2"),
    "nan": ([1.0, np.nan], "value 1 .* has nan"),
    "inf": ([np.inf, 1.0], "value 0 .* has inf"),
    "text": (["a", "b"], "text"),
    "table": (np.ones((2, 2)), r"shape \(2, 2\)"),
    "number": (3.0, r"shape \(\)"),
    "ragged": ([[1.0], [1.0, 2.0]], "no array of numbers"),
}


@pytest.mark.parametrize("kind", SAMPLES)
@pytest.mark.parametrize(
    "function",
    [
        intervals.mean,
        intervals.prediction_interval,
        replicates.p_value,
        replicates.standard_deviation,
        lambda values: intervals.welch(values, [1.0, 2.0]),
        lambda values: intervals.welch([1.0, 2.0], values),
    ],
)
def test_samples_are_finite_numbers(function, kind):
    values, message = SAMPLES[kind]
    with pytest.raises(InputError, match=message):
        function(values)


def test_samples_without_spread_differ_sharply():
    found = intervals.welch([1.0, 1.0], [3.0, 3.0, 3.0])
    assert found == intervals.Interval(2, 2, 2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((11, 10), "changed=11"),
        ((-1, 10), "changed=-1"),
        ((1, 0), "n=0"),
        ((1, 10, 0), "level=0"),
        ((1, 10, np.nan), "level=nan"),
    ],
)
def test_smallest_detectable_refuses_impossible_counts(arguments, message):
    with pytest.raises(InputError, match=message):
        paired_tests.smallest_detectable(*arguments)


@pytest.mark.parametrize(
    ("p", "margin", "message"),
    [
        (np.nan, 0.005, "adjusted_p"),
        (1.5, 0.005, "adjusted_p"),
        (0.5, 0, "margin=0"),
        (0.5, -0.01, "margin=-0.01"),
        (0.5, np.nan, "margin=nan"),
        (0.5, 1.5, "margin=1.5"),
    ],
)
@pytest.mark.parametrize(
    "found", [paired_tests.Flips(1, 1, 10, 1.0), intervals.Interval(0, -1, 1)]
)
def test_verdict_refuses_what_is_no_p_or_margin(found, p, margin, message):
    with pytest.raises(InputError, match=message):
        paired_tests.verdict(found, p, margin)


def test_verdict_on_no_number_is_refused():
    nothing = intervals.Interval(np.nan, np.nan, np.nan)
    with pytest.raises(InputError, match="nan"):
        paired_tests.verdict(nothing, 0.01)


def test_one_rule_of_verdicts_for_flips_and_means():
    found = paired_tests.Flips(105, 95, 10_000, 0.5)
    mean = paired_tests.difference(found)
    for p in (0.01, 0.5):
        for margin in (0.002, thresholds.MARGIN):
            words = {
                paired_tests.verdict(f, p, margin) for f in (found, mean)
            }
            assert len(words) == 1


def test_pareto_refuses_other_names_and_nan():
    with pytest.raises(InputError, match="only one names .*'b'"):
        time_ratios.pareto({"a": 1, "b": 2}, {"a": 1})
    with pytest.raises(InputError, match="value: value 0 .* has nan"):
        time_ratios.pareto({"a": 1}, {"a": np.nan})


def test_mean_ratio_by_hand():
    """Four times and a quarter of the time are, on average, the same."""
    slow, fast = np.full((3, 4), 8.0), np.full((3, 4), 2.0)
    found = time_ratios.mean_ratio([(slow, fast), (fast, slow)])
    assert found.value == pytest.approx(1)
    assert [found.low, found.high] == pytest.approx([1, 1])
    found = time_ratios.mean_ratio([(slow, fast), (fast, fast)])
    assert found.value == pytest.approx(2)


def test_mean_ratio_of_one_pair_is_its_speedup():
    slow, fast = np.random.default_rng(3).uniform(1, 2, (2, 5, 3))
    found = time_ratios.mean_ratio([(slow, fast)])
    assert found == time_ratios.speedup(slow, fast)
    back = time_ratios.mean_ratio([(fast, slow)])
    assert back.low == pytest.approx(1 / found.high)


@pytest.mark.parametrize(
    ("numbers", "form", "text"),
    [
        ((9.9, 9.5, 10.2), ".2f", "9.90 (9.50–10.20)"),
        ((0.12, -0.1, 0.34), "+.2f", "+0.12 (-0.10 to +0.34)"),
        ((0.12, -0.1, 0.34), ".1f", "0.1 (-0.1 to 0.3)"),
        ((2.0, np.nan, np.nan), ".2f", "2.00"),
    ],
)
def test_an_interval_writes_itself(numbers, form, text):
    assert f"{intervals.Interval(*numbers):{form}}" == text


def test_an_interval_refuses_a_format_of_words():
    with pytest.raises(ValueError, match="format"):
        format(intervals.Interval(1.0, 0.5, 1.5), "d")
