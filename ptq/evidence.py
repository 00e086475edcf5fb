"""How sure a number is: intervals and paired comparisons, by scipy."""

from dataclasses import dataclass

import numpy as np
from scipy import stats


@dataclass(frozen=True)
class Interval:
    """An estimate and its 95 % confidence interval, in the same unit."""

    value: float
    low: float
    high: float


def accuracy(correct: int, n: int) -> Interval:
    """Share of correct images with its Wilson interval (Wilson, 1927)."""
    if not 0 <= correct <= n or n == 0:
        raise ValueError(f"correct={correct}, n={n}: expected 0..n, n > 0")
    found = stats.binomtest(correct, n).proportion_ci(method="wilson")
    return Interval(correct / n, float(found.low), float(found.high))


def proportions(correct: int, n: int, other: int, other_n: int) -> Interval:
    """Difference of two shares from separate samples, ``other`` minus first.

    Its 95 % interval is Newcombe's (1998, method 10), made of the two Wilson
    intervals. Equation (eq-newcombe).
    """
    first, second = accuracy(correct, n), accuracy(other, other_n)
    value = second.value - first.value
    down = np.hypot(second.value - second.low, first.high - first.value)
    up = np.hypot(second.high - second.value, first.value - first.low)
    return Interval(value, float(value - down), float(value + up))


def mean(values: np.ndarray) -> Interval:
    """Mean of a few independent values with Student's 95 % interval."""
    return _student(values, np.sqrt(1 / len(values)))


def unpaired(first: np.ndarray, second: np.ndarray) -> Interval:
    """Mean of ``second`` minus that of ``first``, of separate samples.

    The 95 % interval is that of Welch (1947): spreads may differ.
    """
    found = stats.ttest_ind(second, first, equal_var=False)
    interval = found.confidence_interval()
    value = float(np.mean(second) - np.mean(first))
    return Interval(value, float(interval.low), float(interval.high))


def prediction(values: np.ndarray) -> Interval:
    """Mean of the values, and where one more would lie with 95 %."""
    return _student(values, np.sqrt(1 + 1 / len(values)))


def _student(values: np.ndarray, factor: float) -> Interval:
    if len(values) < 2:
        raise ValueError(f"{len(values)} values: expected at least 2")
    middle, spread = float(np.mean(values)), np.std(values, ddof=1)
    half = float(stats.t.ppf(0.975, len(values) - 1) * spread * factor)
    return Interval(middle, middle - half, middle + half)


@dataclass(frozen=True)
class Flips:
    """Images on which exactly one of two networks is right.

    ``lost``: the reference was right, the other is wrong; ``gained``: the
    reverse; ``p``: exact McNemar test of equal chances (McNemar, 1947).
    """

    lost: int
    gained: int
    n: int
    p: float


def flips(
    reference: np.ndarray, other: np.ndarray, labels: np.ndarray
) -> Flips:
    """Compare predictions (uint8, (N,)) of two networks on the same images.

    ValueError where the lengths differ.
    """
    if not len(reference) == len(other) == len(labels):
        raise ValueError(
            f"{len(reference)}, {len(other)} predictions for {len(labels)} "
            "labels: expected the same images"
        )
    right, right_too = reference == labels, other == labels
    lost = int((right & ~right_too).sum())
    gained = int((~right & right_too).sum())
    p = stats.binomtest(lost, lost + gained).pvalue if lost + gained else 1.0
    return Flips(lost, gained, len(labels), float(p))


def difference(found: Flips) -> Interval:
    """Change of accuracy (a share) with its paired 95 % interval.

    The adjusted Wald interval of Bonett and Price (2012), which counts one
    lost and one gained image more than were seen.
    """
    z = stats.norm.ppf(0.975)
    lost, gained = (
        (k + 1) / (found.n + 2) for k in (found.lost, found.gained)
    )
    middle = gained - lost
    half = z * np.sqrt((lost + gained - middle**2) / (found.n + 2))
    return Interval(
        (found.gained - found.lost) / found.n,
        float(max(middle - half, -1)),
        float(min(middle + half, 1)),
    )


def smallest_detectable(changed: int, n: int, level: float = 0.05) -> float:
    """Smallest change of accuracy that McNemar's test would have shown.

    ``changed`` of ``n`` images were lost or gained. Infinite where even the
    most one-sided split would not be significant.
    """
    fewest = stats.binom.ppf(level / 2, changed, 0.5) - 1
    return (changed - 2 * fewest) / n if fewest >= 0 else float("inf")


def disagreement(reference: np.ndarray, other: np.ndarray) -> float:
    """Share of images that two networks answer differently.

    Needs no labels, and no change of accuracy can be larger than it.
    """
    if len(reference) != len(other):
        raise ValueError(
            f"{len(reference)} and {len(other)} predictions: expected the "
            "same images"
        )
    return float((reference != other).mean())


def holm(p_values: list[float]) -> list[float]:
    """p-values adjusted for looking at all of them (Holm, 1979)."""
    order = np.argsort(p_values)
    scaled = np.asarray(p_values)[order] * np.arange(len(order), 0, -1)
    adjusted = np.empty(len(order))
    adjusted[order] = np.minimum(np.maximum.accumulate(scaled), 1)
    return adjusted.tolist()


def verdict(found: Flips, adjusted_p: float, margin: float = 0.005) -> str:
    """One word on a change of accuracy.

    "better" or "worse" if the adjusted p-value is below 5 %; otherwise
    "non-inferior" if the interval excludes a loss of ``margin`` (a share)
    or more; otherwise "no difference shown".
    """
    if adjusted_p < 0.05:
        return "better" if found.gained > found.lost else "worse"
    if difference(found).low > -margin:
        return "non-inferior"
    return "no difference shown"


def speedup(
    reference: list[float], other: list[float], seed: int
) -> Interval:
    """Ratio of the median times, paired by round, bootstrap percentile.

    Above 1 where ``other`` is faster. Both hold seconds of the same rounds.
    """

    def ratio(slow, fast, axis=-1):
        return np.median(slow, axis=axis) / np.median(fast, axis=axis)

    samples = (np.asarray(reference), np.asarray(other))
    if not 0 < len(samples[0]) == len(samples[1]):
        raise ValueError(
            f"{len(reference)} and {len(other)} times: expected as many, "
            "of the same rounds"
        )
    if len(samples[0]) < 2:
        value = float(ratio(*samples))
        return Interval(value, float("nan"), float("nan"))
    found = stats.bootstrap(
        samples,
        ratio,
        paired=True,
        vectorized=True,
        n_resamples=2000,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return Interval(
        float(ratio(*samples)), float(found.low), float(found.high)
    )


def mean_ratio(pairs: list[tuple], seed: int) -> Interval:
    """Geometric mean, over pairs of networks, of the ratio of their times.

    Each of the pairs holds the seconds (rounds,) of a first and of a second
    network, all of one session; a ratio is that of the medians, first to
    second. The 95 % interval is a bootstrap percentile (Efron, 1979) over
    the rounds, which are drawn alike for all pairs; it says nothing of
    other pairs. ValueError where the numbers of rounds differ.
    """

    def mean(medians):
        first, second = np.log(medians).swapaxes(0, 1)
        return np.exp((first - second).mean(axis=0))

    seconds = np.array(pairs)  # (pairs, 2, rounds)
    value, spread = map(mean, _medians(seconds, seed))
    low, high = np.percentile(spread, [2.5, 97.5])
    return Interval(float(value), float(low), float(high))


def time_verdict(found: Interval, floor: Interval) -> str:
    """One word on a speed-up, given the ratio of one network to itself.

    "faster" or "slower" only where the whole interval lies beyond that of
    ``floor``, the stopwatch's own error.
    """
    if found.low > max(floor.high, 1):
        return "faster"
    if found.high < min(floor.low, 1):
        return "slower"
    return "no difference shown"


def decomposition(steps: list[list[float]], seed: int) -> list[Interval]:
    """Share of each step in the whole speed-up from the first to the last.

    ``steps`` holds the seconds of successive variants, of the same rounds.
    Shares are of the logarithm of the speed-up, so that they add up to 1;
    intervals are bootstrap percentiles over the rounds.
    """

    def shares(medians):
        logs = np.log(medians)
        return -np.diff(logs, axis=0) / (logs[0] - logs[-1])

    values, spread = map(shares, _medians(np.array(steps), seed))
    low, high = np.percentile(spread, [2.5, 97.5], axis=1)
    return [
        Interval(*map(float, found))
        for found in zip(values, low, high, strict=True)
    ]


def _medians(seconds: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Medians over the rounds (last axis), and those of 2000 bootstrap draws.

    Rounds are drawn alike for all networks; the draws are the last axis.
    """
    rounds = seconds.shape[-1]
    drawn = np.random.default_rng(seed).integers(0, rounds, (2000, rounds))
    medians = np.median(seconds, axis=-1)
    return medians, np.median(seconds[..., drawn], axis=-1)


def quartiles(samples: list[float]) -> tuple[float, float, float]:
    """First quartile, median, third quartile of the samples."""
    return tuple(float(q) for q in np.percentile(samples, [25, 50, 75]))


def pareto(cost: dict[str, float], value: dict[str, float]) -> list[str]:
    """Names that no other beats: cheaper at no less value, or the reverse.

    Cheapest first. Of equals in both, the first named stays.
    """
    names, best = [], -np.inf
    for name in sorted(cost, key=lambda n: (cost[n], -value[n])):
        if value[name] > best:
            names.append(name)
            best = value[name]
    return names


def confusion(predictions: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Counts (10, 10): row the true class, column the predicted one."""
    if len(predictions) != len(labels):
        raise ValueError(
            f"{len(predictions)} predictions for {len(labels)} labels"
        )
    counts = np.zeros((10, 10), dtype=int)
    np.add.at(counts, (labels, predictions), 1)
    return counts
