"""How sure a number is: intervals and paired comparisons, by scipy."""

from dataclasses import dataclass

import numpy as np
from scipy import stats

from ptq import checks

# The level of every test and, as 95 %, of every interval. The usual one:
# one claim in twenty about equal networks is wrong, and what is asked
# several times is corrected for (``holm``).
SIGNIFICANCE = 0.05
# The loss of accuracy (a share) that a user would not mind: half a point.
# It is a convention, chosen before anything was measured. It is stricter
# than the usual demand on benchmarks, 99 % of the float accuracy, and still
# large enough for ten thousand images to exclude it.
MARGIN = 0.005
LARGEST_MATRIX = 20_000


@dataclass(frozen=True)
class Interval:
    """An estimate and its 95 % confidence interval, in the same unit."""

    value: float
    low: float
    high: float


def accuracy(correct: int, n: int) -> Interval:
    """Share of correct images with its Wilson interval (Wilson, 1927).

    ``correct`` of ``n`` images, whole numbers. InputError (a ValueError)
    where they are not 0 to n, or n is 0.
    """
    correct, n = checks.count(correct, "correct"), checks.count(n, "n", 1)
    if correct > n:
        raise checks.InputError(f"correct={correct}: more than n={n} images")
    found = stats.binomtest(correct, n).proportion_ci(method="wilson")
    return Interval(correct / n, float(found.low), float(found.high))


def proportions(correct: int, n: int, other: int, other_n: int) -> Interval:
    """Difference of two shares from separate samples, ``other`` minus first.

    Its 95 % interval is Newcombe's (1998, method 10), made of the two Wilson
    intervals. Equation (eq-newcombe). Counts, and InputError, as for
    ``accuracy``.
    """
    first, second = accuracy(correct, n), accuracy(other, other_n)
    value = second.value - first.value
    down = np.hypot(second.value - second.low, first.high - first.value)
    up = np.hypot(second.high - second.value, first.value - first.low)
    return Interval(value, float(value - down), float(value + up))


def mean(values: np.ndarray) -> Interval:
    """Mean of a few independent values with Student's 95 % interval.

    ``values`` are two or more finite numbers (n,), in any unit. InputError
    where they are not.
    """
    return _student(values, lambda n: np.sqrt(1 / n))


def unpaired(first: np.ndarray, second: np.ndarray) -> Interval:
    """Mean of ``second`` minus that of ``first``, of separate samples.

    Both are two or more finite numbers (n,), in the same unit; InputError
    where they are not. The 95 % interval is that of Welch (1947): spreads
    may differ.
    """
    first = checks.sample(first, "first", 2)
    second = checks.sample(second, "second", 2)
    value = float(np.mean(second) - np.mean(first))
    if np.ptp(first) == np.ptp(second) == 0:
        return Interval(value, value, value)
    found = stats.ttest_ind(second, first, equal_var=False)
    interval = found.confidence_interval()
    return Interval(value, float(interval.low), float(interval.high))


def prediction(values: np.ndarray) -> Interval:
    """Mean of the values, and where one more would lie with 95 %.

    ``values``, and InputError, as for ``mean``.
    """
    return _student(values, lambda n: np.sqrt(1 + 1 / n))


def _student(values: np.ndarray, factor) -> Interval:
    values = checks.sample(values, "values", 2)
    middle, spread = float(np.mean(values)), np.std(values, ddof=1)
    wide = stats.t.ppf(1 - SIGNIFICANCE / 2, len(values) - 1)
    half = float(wide * spread * factor(len(values)))
    return Interval(middle, middle - half, middle + half)


@dataclass(frozen=True)
class Flips:
    """Images on which exactly one of two networks is right.

    ``lost``: the reference was right, the other is wrong; ``gained``: the
    reverse; both of ``n`` images. ``p``: exact McNemar test of equal chances
    (McNemar, 1947). InputError where these cannot be counts of n images, or
    p is no probability.
    """

    lost: int
    gained: int
    n: int
    p: float

    def __post_init__(self):
        lost = checks.count(self.lost, "lost")
        gained = checks.count(self.gained, "gained")
        if lost + gained > checks.count(self.n, "n", least=1):
            raise checks.InputError(
                f"lost={lost}, gained={gained}: more than n={self.n} images"
            )
        checks.p_values([self.p], "p")


def flips(
    reference: np.ndarray,
    other: np.ndarray,
    labels: np.ndarray,
    classes: int = 0,
) -> Flips:
    """Compare predictions of two networks on the same images.

    All three hold class numbers, of any integer type, (N,) or (N, 1).
    ``classes`` is the number of classes; without it, a label beyond all
    predictions is refused. InputError where the numbers are no classes,
    where the lengths differ, and where the reference is right on no image:
    then it has nothing to lose, and no comparison means anything.
    """
    reference, other = _predictions(reference, other, classes)
    labels = checks.classes(labels, "labels", classes)
    checks.same_images(reference=reference, other=other, labels=labels)
    if not classes:
        checks.known_labels(labels, reference, other)
    right, right_too = reference == labels, other == labels
    if not right.any():
        raise checks.InputError(
            f"reference: right on none of {len(labels)} images, so nothing "
            "can be lost; are these labels of these images, in this order?"
        )
    lost = int((right & ~right_too).sum())
    gained = int((~right & right_too).sum())
    return Flips(lost, gained, len(labels), mcnemar(lost, gained))


def mcnemar(lost: int, gained: int) -> float:
    """p of the exact McNemar test that losing and gaining are as likely.

    1 where nothing was lost or gained. InputError for negative counts.
    """
    lost = checks.count(lost, "lost")
    both = lost + checks.count(gained, "gained")
    return float(stats.binomtest(lost, both).pvalue) if both else 1.0


def _predictions(reference, other, classes: int = 0) -> tuple:
    if classes:
        classes = checks.count(classes, "classes", least=1)
    reference = checks.classes(reference, "reference", classes)
    other = checks.classes(other, "other", classes)
    checks.same_images(reference=reference, other=other)
    return reference, other


def by_chance(predictions: np.ndarray, labels: np.ndarray) -> float:
    """p that as many would be right if labels were dealt out at random.

    Both hold class numbers (N,). The labels are shuffled among the images:
    of the number right, Hoeffding (1951) gives mean and variance, and the
    normal distribution the share of shuffles with as many. A network that
    always says one class, or files in another order, get a large p.
    InputError where these are no class numbers of the same images.
    """
    predictions = checks.classes(predictions, "predictions")
    labels = checks.classes(labels, "labels")
    checks.same_images(predictions=predictions, labels=labels)
    n, size = len(labels), 1 + int(max(predictions.max(), labels.max()))
    rows = np.bincount(predictions, minlength=size).astype(float)
    columns = np.bincount(labels, minlength=size).astype(float)
    both = rows * columns
    outside = (both * (n - rows) * (n - columns)).sum()
    square = outside + both.sum() ** 2 - (both**2).sum()
    above = (predictions == labels).sum() - both.sum() / n
    if n < 2 or square == 0:
        return 1.0
    return float(stats.norm.sf(above / np.sqrt(square / (n**2 * (n - 1)))))


def difference(found: Flips) -> Interval:
    """Change of accuracy (a share) with its paired 95 % interval.

    The adjusted Wald interval of Bonett and Price (2012), which counts one
    lost and one gained image more than were seen.
    """
    z = stats.norm.ppf(1 - SIGNIFICANCE / 2)
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


def smallest_detectable(
    changed: int, n: int, level: float = SIGNIFICANCE
) -> float:
    """Smallest change of accuracy that McNemar's test would have shown.

    A share. ``changed`` of ``n`` images were lost or gained. Infinite where
    even the most one-sided split would not be significant at ``level``.
    InputError where the counts are impossible or the level is not between 0
    and 1.
    """
    n = checks.count(n, "n", least=1)
    if not checks.count(changed, "changed") <= n:
        raise checks.InputError(f"changed={changed}: more than n={n} images")
    level = checks.between(level, "level")
    fewest = stats.binom.ppf(level / 2, changed, 0.5) - 1
    return (changed - 2 * fewest) / n if fewest >= 0 else float("inf")


def disagreement(reference: np.ndarray, other: np.ndarray) -> float:
    """Share of images for which two networks predict different classes.

    Both hold class numbers, (N,) or (N, 1). Needs no labels, and no change
    of accuracy can be larger than it. InputError where these are no class
    numbers, or of other lengths.
    """
    reference, other = _predictions(reference, other)
    return float((reference != other).mean())


def holm(p_values: list[float]) -> list[float]:
    """p-values adjusted for looking at all of them (Holm, 1979).

    InputError where one is not from 0 to 1. None give none.
    """
    given = checks.p_values(p_values)
    order = np.argsort(given)
    scaled = given[order] * np.arange(len(order), 0, -1)
    adjusted = np.empty(len(order))
    adjusted[order] = np.minimum(np.maximum.accumulate(scaled), 1)
    return adjusted.tolist()


def verdict(
    found: Flips | Interval, adjusted_p: float, margin: float = MARGIN
) -> str:
    """One word on a change of accuracy.

    ``found`` is the flips of one pair of networks, or the mean change (a
    share, with its interval) over repetitions. "better" or "worse" if the
    adjusted p-value is below ``SIGNIFICANCE``; otherwise "non-inferior" if
    the interval excludes a loss of ``margin`` (a share) or more; otherwise
    "no difference shown". InputError where p is not from 0 to 1, the margin
    not between 0 and 1, or the change no number.
    """
    change = difference(found) if isinstance(found, Flips) else found
    checks.sample([change.value], "change", 1)
    p = checks.p_values([adjusted_p], "adjusted_p")[0]
    margin = checks.between(margin, "margin")
    if p < SIGNIFICANCE:
        return "better" if change.value > 0 else "worse"
    return "non-inferior" if change.low > -margin else "no difference shown"


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

    Cheapest first. Of equals in both, the first named stays. InputError
    where the names differ, or a number is not finite.
    """
    if cost.keys() != value.keys():
        odd = sorted(cost.keys() ^ value.keys())
        raise checks.InputError(f"cost and value: only one names {odd}")
    for name, numbers in (("cost", cost), ("value", value)):
        checks.sample(list(numbers.values()) or [0], name, 1)
    names, best = [], -np.inf
    for name in sorted(cost, key=lambda n: (cost[n], -value[n])):
        if value[name] > best:
            names.append(name)
            best = value[name]
    return names


def confusion(
    predictions: np.ndarray, labels: np.ndarray, classes: int = 0
) -> np.ndarray:
    """Counts (K, K): row the true class, column the predicted one.

    Both hold class numbers, (N,) or (N, 1). K is ``classes``, else one more
    than the largest number. InputError where these are no class numbers
    below K, or of other lengths.
    """
    if classes:
        classes = checks.count(classes, "classes", least=1)
    predictions = checks.classes(predictions, "predictions", classes)
    labels = checks.classes(labels, "labels", classes)
    checks.same_images(predictions=predictions, labels=labels)
    size = classes or 1 + int(max(predictions.max(), labels.max()))
    if size > LARGEST_MATRIX:
        raise checks.InputError(
            f"{size} classes: expected at most {LARGEST_MATRIX}, for the "
            "matrix has their square of cells"
        )
    counts = np.zeros((size, size), dtype=int)
    np.add.at(counts, (labels, predictions), 1)
    return counts
