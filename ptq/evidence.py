"""How sure a number is: intervals and paired comparisons, by scipy."""

from dataclasses import astuple, dataclass

import diptest
import numpy as np
from scipy import stats

from ptq import checks

# The level of every test and, as 95 %, of every interval. The usual one:
# one claim in twenty about equal networks is wrong, and what is asked
# several times is corrected for (``holm``).
SIGNIFICANCE = 0.05
LEVEL = 1 - SIGNIFICANCE
# The loss of accuracy (a share) that a user would not mind: half a point.
# It is a convention, chosen before anything was measured. It is stricter
# than the usual demand on benchmarks, 99 % of the float accuracy, and still
# large enough for ten thousand images to exclude it.
MARGIN = 0.005
LARGEST_MATRIX = 20_000
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
    """Share of correct images with its Wilson interval (Wilson, 1927).

    ``correct`` of ``n`` images, whole numbers. InputError (a ValueError)
    where they are not 0 to n, or n is 0.
    """
    correct, n = checks.count(correct, "correct"), checks.count(n, "n", 1)
    if correct > n:
        raise checks.InputError(f"correct={correct}: more than n={n} images")
    found = stats.binomtest(correct, n).proportion_ci(LEVEL, "wilson")
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
    interval = found.confidence_interval(LEVEL)
    return Interval(value, float(interval.low), float(interval.high))


def prediction(values: np.ndarray) -> Interval:
    """Mean of the values, and where one more would lie with 95 %.

    ``values`` (n,), and InputError, as for ``mean``.
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
    """The share of images for which two networks predict different classes.

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


def enough(seconds: np.ndarray) -> bool:
    """Whether times (sessions, rounds) are enough for an interval."""
    return len(seconds) >= MIN_SESSIONS and np.size(seconds) >= MIN_ROUNDS


def speedup(reference: np.ndarray, other: np.ndarray) -> Interval:
    """How many times faster ``other`` is than ``reference``.

    Both hold seconds, (sessions, rounds), of the same rounds. The ratio of a
    session is the median of those of its rounds: what slows a round down
    slows both. The value is the geometric mean over sessions; the interval
    is where the ratio of the next session lies, with 95 % (Student's
    prediction of one more value, on the logarithm, as in ``prediction``).
    Bounds are NaN below ten rounds or three sessions. InputError where the
    shapes differ or a time is not positive.
    """
    return mean_ratio([(reference, other)])


def mean_ratio(pairs: list[tuple[np.ndarray, np.ndarray]]) -> Interval:
    """Geometric mean, over pairs of networks, of the ratio of their times.

    Each pair holds the seconds (sessions, rounds) of a first and a second
    network; ratios, first to second, and the interval are as in ``speedup``.
    It says nothing of other pairs. Errors as there.
    """
    seconds = _times([times for pair in pairs for times in pair])
    logs = np.log(seconds)
    ratios = np.median(logs[::2] - logs[1::2], axis=-1)  # (pairs, sessions)
    found = _next_session(ratios.mean(axis=0), seconds[0])
    return Interval(*(float(np.exp(v)) for v in astuple(found)))


def decomposition(steps: list[np.ndarray]) -> list[Interval]:
    """Share of each step in the whole speed-up from the first to the last.

    ``steps`` holds the seconds (sessions, rounds) of successive variants, of
    the same rounds. Shares are of the logarithm of the speed-up, so that
    they add up to 1; intervals are those of the next session. Errors as in
    ``speedup``.
    """
    seconds = _times(steps)
    logs = np.median(-np.diff(np.log(seconds), axis=0), axis=-1)
    shares = logs / logs.sum(axis=0)
    return [_next_session(share, seconds[0]) for share in shares]


def _next_session(values: np.ndarray, seconds: np.ndarray) -> Interval:
    """Mean over sessions, and where the next one's value lies with 95 %."""
    if enough(seconds):
        return prediction(values)
    return Interval(float(np.mean(values)), float("nan"), float("nan"))


def _times(seconds: list[np.ndarray]) -> np.ndarray:
    shapes = sorted({np.shape(times) for times in seconds})
    if len(shapes) != 1 or len(shapes[0]) != 2 or 0 in shapes[0]:
        raise checks.InputError(
            f"times of shapes {shapes}: expected (sessions, rounds), the "
            "same for all networks"
        )
    found = np.array(seconds, dtype=float)
    if not (np.isfinite(found) & (found > 0)).all():
        raise checks.InputError("times: expected positive, finite seconds")
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
