"""Intervals and paired tests against published or hand-made numbers."""

import math
from math import comb, sqrt

import numpy as np
import pytest

from ptq import evidence


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
    found = evidence.accuracy(correct, n)
    assert found.value == correct / n
    assert (found.low, found.high) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize("correct", [0, 1, 7165, 9999, 10_000])
def test_wilson_interval_by_its_formula(correct):
    found = evidence.accuracy(correct, 10_000)
    assert [found.low, found.high] == pytest.approx(
        wilson(correct, 10_000), abs=1e-9
    )
    assert 0 <= found.low <= found.value <= found.high <= 1


@pytest.mark.parametrize(("correct", "n"), [(0, 0), (-1, 5), (6, 5)])
def test_impossible_counts_are_refused(correct, n):
    with pytest.raises(ValueError, match=f"correct={correct}, n={n}"):
        evidence.accuracy(correct, n)


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
    found = evidence.flips(*predictions(lost, gained, both=50, neither=9))
    assert (found.lost, found.gained) == (lost, gained)
    n, few = lost + gained, min(lost, gained)
    tail = sum(comb(n, k) for k in range(few + 1)) / 2**n
    assert found.p == pytest.approx(min(1, 2 * tail))


@pytest.mark.parametrize("cut", [0, 1, 2])
def test_flips_refuse_other_images(cut):
    arguments = list(predictions(2, 1, 5, 2))
    arguments[cut] = arguments[cut][:-1]
    with pytest.raises(ValueError, match="10.*9|9.*10"):
        evidence.flips(*arguments)


@pytest.mark.parametrize("ratio", [0.5, 1.0, 3.0])
def test_speedup_of_a_known_ratio(ratio):
    noise = np.random.default_rng(5)
    slow = ratio * noise.lognormal(0, 0.05, (8, 25))
    fast = noise.lognormal(0, 0.05, (8, 25))
    found = evidence.speedup(slow, fast)
    assert found.low <= ratio <= found.high
    assert found.low < found.value < found.high
    assert (found.high - found.low) / ratio < 0.2


def test_speedup_is_students_prediction_of_one_more_session():
    rng = np.random.default_rng(8)
    slow, fast = rng.lognormal(0, 0.1, (2, 6, 5))
    logs = [
        math.log(sorted(a)[2] / sorted(b)[2])
        for a, b in zip(slow, fast, strict=True)
    ]
    middle = sum(logs) / 6
    spread = math.sqrt(sum((v - middle) ** 2 for v in logs) / 5)
    # 2.570582 is the 97.5 % point of Student's t with 5 degrees of freedom.
    half = 2.570582 * spread * math.sqrt(1 + 1 / 6)
    found = evidence.speedup(slow, fast)
    expected = [math.exp(v) for v in (middle, middle - half, middle + half)]
    assert [found.value, found.low, found.high] == pytest.approx(expected)


def test_speedup_against_itself_is_exactly_one():
    times = np.random.default_rng(5).lognormal(0, 0.5, (5, 10))
    found = evidence.speedup(times, times)
    assert (found.value, found.low, found.high) == (1, 1, 1)


def test_what_slows_both_alike_does_not_blur_their_ratio():
    load = np.random.default_rng(5).uniform(1, 100, (5, 10))
    found = evidence.speedup(2 * load, load)
    assert (found.low, found.high) == pytest.approx((2, 2))


@pytest.mark.parametrize("shape", [(1, 2), (1, 40), (2, 20), (3, 3)])
def test_too_few_rounds_or_sessions_have_no_interval(shape):
    found = evidence.speedup(np.full(shape, 3.0), np.full(shape, 1.5))
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
        evidence.speedup(reference, other)


def test_two_humps_are_found_and_one_is_not():
    rng = np.random.default_rng(9)
    one = rng.lognormal(0, 0.05, (8, 5))
    slow = rng.permutation(np.repeat([0.042, 0.109], 20)).reshape(8, 5)
    low, high = evidence.humps(slow * rng.lognormal(0, 0.02, (8, 5)))
    assert low == pytest.approx(0.042, rel=0.02)
    assert high == pytest.approx(0.109, rel=0.02)
    assert evidence.humps(one) is None


def test_one_hump_is_rarely_taken_for_two():
    rng = np.random.default_rng(10)
    found = [
        evidence.humps(np.exp(np.abs(rng.normal(0, 0.1, (8, 5)))))
        for _ in range(500)
    ]
    assert sum(two is not None for two in found) <= 10


def test_quartiles_known_answer():
    assert evidence.quartiles([5, 1, 4, 2, 3]) == (2, 3, 4)


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
    assert evidence.pareto(cost, value) == expected


def test_confusion_counts():
    labels = np.array([0, 0, 0, 3, 9])
    predicted = np.array([0, 3, 3, 3, 0], dtype=np.uint8)
    counts = evidence.confusion(predicted, labels)
    assert counts.shape == (10, 10)
    assert counts.sum() == 5
    assert counts[0, 0] == 1
    assert counts[0, 3] == 2
    assert counts[3, 3] == counts[9, 0] == 1


@pytest.mark.parametrize(
    ("predicted", "labels"),
    [([0], [0, 1, 2]), ([0, 1], [0, 1, 2]), ([-1], [0]), ([0.5], [0])],
)
def test_confusion_refuses_what_it_cannot_count(predicted, labels):
    with pytest.raises((ValueError, IndexError)):
        evidence.confusion(np.array(predicted), np.array(labels))


def test_mean_ratio_by_hand():
    """Four times and a quarter of the time are, on average, the same."""
    slow, fast = np.full((3, 4), 8.0), np.full((3, 4), 2.0)
    found = evidence.mean_ratio([(slow, fast), (fast, slow)])
    assert found.value == pytest.approx(1)
    assert [found.low, found.high] == pytest.approx([1, 1])
    found = evidence.mean_ratio([(slow, fast), (fast, fast)])
    assert found.value == pytest.approx(2)


def test_mean_ratio_of_one_pair_is_its_speedup():
    slow, fast = np.random.default_rng(3).uniform(1, 2, (2, 5, 3))
    found = evidence.mean_ratio([(slow, fast)])
    assert found == evidence.speedup(slow, fast)
    back = evidence.mean_ratio([(fast, slow)])
    assert back.low == pytest.approx(1 / found.high)
