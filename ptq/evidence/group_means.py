"""The mean of several groups of repetitions, as of networks by trainings."""

from collections.abc import Iterable

import numpy as np
import scipy

from ptq.evidence import checks
from ptq.evidence.intervals import Interval
from ptq.evidence.replicates import p_value
from ptq.evidence.thresholds import SIGNIFICANCE


def average(groups: Iterable[np.ndarray]) -> tuple[Interval, float]:
    """Mean of the means of groups with its 95 % interval, and p that it is 0.

    A group, as a network with its trainings, is two or more finite numbers
    (n,), all in one unit, else InputError. Each counts the same. Spreads may
    differ: degrees of freedom are Welch's (1947), by Satterthwaite's formula.
    It tells of these groups, not of others. Where no group spreads there is
    no interval, and p is ``replicates.p_value`` of all numbers.
    """
    groups = [checks.sample(one, "groups", 2) for one in groups]
    if not groups:
        raise checks.InputError("groups: expected at least one")
    value = float(np.mean([one.mean() for one in groups]))
    free = np.array([len(one) - 1 for one in groups])
    parts = np.array([np.var(one) for one in groups]) / free
    if not parts.any():
        return Interval(value, value, value), p_value(np.concatenate(groups))
    error = np.sqrt(parts.sum()) / len(groups)
    spread = scipy.stats.t(parts.sum() ** 2 / (parts**2 / free).sum())
    half = float(spread.ppf(1 - SIGNIFICANCE / 2) * error)
    p = float(2 * spread.sf(abs(value) / error))
    return Interval(value, value - half, value + half), p
