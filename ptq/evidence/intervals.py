"""How sure a number is: intervals of shares, means and differences."""

from dataclasses import astuple, dataclass

import numpy as np
import scipy

from ptq.evidence import checks
from ptq.evidence.thresholds import SIGNIFICANCE

LEVEL = 1 - SIGNIFICANCE


@dataclass(frozen=True)
class Interval:
    """An estimate and its 95 % confidence interval, in the same unit."""

    value: float
    low: float
    high: float

    def __format__(self, form: str) -> str:
        """Value and bounds, each in a format of numbers: "9.90 (9.50–10.20)".

        With a sign, "+0.12 (-0.10 to +0.34)"; the value alone where there
        are no bounds. ValueError where the format does not fit numbers.
        """
        value, low, high = (format(number, form) for number in astuple(self))
        if np.isnan(self.low):
            return value
        joint = " to " if "+" in form or self.low < 0 else "–"
        return f"{value} ({low}{joint}{high})"

    def __rmul__(self, factor: float) -> "Interval":
        """The same estimate in another unit, as of ``100 * share``."""
        return Interval(*(factor * v for v in astuple(self)))


def wilson(correct: int, n: int) -> Interval:
    """Share of correct images with its Wilson interval (Wilson, 1927).

    ``correct`` of ``n`` images, whole numbers. InputError (a ValueError)
    where they are not 0 to n, or n is 0.
    """
    correct, n = checks.count(correct, "correct"), checks.count(n, "n", 1)
    if correct > n:
        raise checks.InputError(f"correct={correct}: more than n={n} images")
    found = scipy.stats.binomtest(correct, n).proportion_ci(LEVEL, "wilson")
    return Interval(correct / n, float(found.low), float(found.high))


def newcombe(correct: int, n: int, other: int, other_n: int) -> Interval:
    """Difference of two shares from separate samples, ``other`` minus first.

    Its 95 % interval is Newcombe's (1998, method 10), made of the two Wilson
    intervals. Equation (eq-newcombe). Counts, and InputError, as for
    ``wilson``.
    """
    first, second = wilson(correct, n), wilson(other, other_n)
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


def welch(first: np.ndarray, second: np.ndarray) -> Interval:
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
    found = scipy.stats.ttest_ind(second, first, equal_var=False)
    interval = found.confidence_interval(LEVEL)
    return Interval(value, float(interval.low), float(interval.high))


def prediction_interval(values: np.ndarray) -> Interval:
    """Mean of the values, and where one more would lie with 95 %.

    ``values`` (n,), and InputError, as for ``mean``.
    """
    return _student(values, lambda n: np.sqrt(1 + 1 / n))


def _student(values: np.ndarray, factor) -> Interval:
    values = checks.sample(values, "values", 2)
    middle, spread = float(np.mean(values)), np.std(values, ddof=1)
    wide = scipy.stats.t.ppf(1 - SIGNIFICANCE / 2, len(values) - 1)
    half = float(wide * spread * factor(len(values)))
    return Interval(middle, middle - half, middle + half)


def quartiles(samples: np.ndarray) -> tuple[float, float, float]:
    """First quartile, median, third quartile of samples of any shape."""
    return tuple(float(q) for q in np.percentile(samples, [25, 50, 75]))
