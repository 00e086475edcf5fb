"""How sure a number is: intervals and paired comparisons, by scipy."""

from dataclasses import astuple, dataclass

import diptest
import numpy as np
from scipy import stats

# Below that, times have no interval and no verdict.
MIN_ROUNDS, MIN_SESSIONS = 10, 3
FASTER, SLOWER = "faster", "slower"
NOT_SHOWN, TOO_FEW = "no difference shown", "too few rounds"


@dataclass(frozen=True)
class Interval:
    """An estimate and its 95 % confidence interval, in the same unit."""

    value: float
    low: float
    high: float

    def __rmul__(self, factor: float) -> "Interval":
        """The same estimate in another unit, as of ``100 * share``."""
        return Interval(*(factor * v for v in astuple(self)))


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


def enough(seconds: np.ndarray) -> bool:
    """Whether times (sessions, rounds) are enough for an interval."""
    return len(seconds) >= MIN_SESSIONS and np.size(seconds) >= MIN_ROUNDS


def speedup(reference: np.ndarray, other: np.ndarray) -> Interval:
    """How many times faster ``other`` is than ``reference``.

    Both hold seconds, (sessions, rounds), of the same rounds. The value is
    the geometric mean, over sessions, of the ratio of the medians; the
    interval is where that ratio lies in the next session, with 95 %
    (Student's prediction of one more value, on the logarithm, as in
    ``prediction``). Bounds are NaN below ten rounds or three sessions.
    ValueError where the shapes differ or a time is not positive.
    """
    return mean_ratio([(reference, other)])


def mean_ratio(pairs: list[tuple[np.ndarray, np.ndarray]]) -> Interval:
    """Geometric mean, over pairs of networks, of the ratio of their times.

    Each pair holds the seconds (sessions, rounds) of a first and a second
    network; a ratio is that of the medians, first to second. The interval is
    that of ``speedup``; it says nothing of other pairs. Errors as there.
    """
    seconds = _times([times for pair in pairs for times in pair])
    first, second = (
        np.log(np.median(seconds, axis=-1))
        .reshape(len(pairs), 2, -1)
        .swapaxes(0, 1)
    )
    found = _next_session((first - second).mean(axis=0), seconds[0])
    return Interval(*(float(np.exp(v)) for v in astuple(found)))


def decomposition(steps: list[np.ndarray]) -> list[Interval]:
    """Share of each step in the whole speed-up from the first to the last.

    ``steps`` holds the seconds (sessions, rounds) of successive variants, of
    the same rounds. Shares are of the logarithm of the speed-up, so that
    they add up to 1; intervals are those of the next session. Errors as in
    ``speedup``.
    """
    seconds = _times(steps)
    logs = np.log(np.median(seconds, axis=-1))  # (steps, sessions)
    shares = -np.diff(logs, axis=0) / (logs[0] - logs[-1])
    return [_next_session(share, seconds[0]) for share in shares]


def _next_session(values: np.ndarray, seconds: np.ndarray) -> Interval:
    """Mean over sessions, and where the next one's value lies with 95 %."""
    if enough(seconds):
        return prediction(values)
    return Interval(float(np.mean(values)), float("nan"), float("nan"))


def _times(seconds: list[np.ndarray]) -> np.ndarray:
    shapes = sorted({np.shape(times) for times in seconds})
    if len(shapes) != 1 or len(shapes[0]) != 2 or 0 in shapes[0]:
        raise ValueError(
            f"times of shapes {shapes}: expected (sessions, rounds), the "
            "same for all networks"
        )
    found = np.array(seconds, dtype=float)
    if not (np.isfinite(found) & (found > 0)).all():
        raise ValueError("times: expected positive, finite seconds")
    return found


def time_verdict(found: Interval, floor: Interval) -> str:
    """One word on a speed-up, given the ratio of one network to itself.

    "faster" or "slower" only where the whole interval lies beyond that of
    ``floor``, the timer's own error; "too few rounds" without intervals.
    """
    if np.isnan([found.low, floor.low]).any():
        return TOO_FEW
    if found.low > max(floor.high, 1):
        return FASTER
    if found.high < min(floor.low, 1):
        return SLOWER
    return NOT_SHOWN


def humps(seconds: np.ndarray) -> tuple[float, float] | None:
    """Medians of the two humps of times (sessions, rounds), if there are two.

    Two are said where Hartigan's dip test (Hartigan and Hartigan, 1985)
    rejects one at 1 % and the medians on both sides of the best split are
    5 % apart or more; else None.
    """
    logs = np.sort(np.log(seconds), axis=None)
    if len(logs) < MIN_ROUNDS or diptest.diptest(logs)[1] >= 0.01:
        return None
    within = [
        logs[:i].var() * i + logs[i:].var() * (len(logs) - i)
        for i in range(1, len(logs))
    ]
    split = int(np.argmin(within)) + 1
    low, high = (float(np.exp(np.median(p))) for p in np.split(logs, [split]))
    return (low, high) if high > 1.05 * low else None


def quartiles(samples: np.ndarray) -> tuple[float, float, float]:
    """First quartile, median, third quartile of samples of any shape."""
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
