"""Statistics of designed experiments: over draws, over training seeds.

The repeated unit is the draw or the trained network. Images of one test
set, or variants of one network, are no repetitions.
"""

import itertools
from dataclasses import astuple, dataclass

import numpy as np
import pandas as pd
import scipy

from ptq.evidence import checks, intervals, paired_tests
from ptq.evidence.intervals import Interval
from ptq.evidence.thresholds import MARGIN, SIGNIFICANCE


def p_value(values: np.ndarray) -> float:
    """p of Student's test that the mean of repetitions is zero.

    ``values`` are two or more finite numbers (n,), in any unit, else
    InputError. Of equal ones, as few images give, p is the sign test's.
    """
    values = checks.sample(values, "values", 2)
    if np.ptp(values) == 0:
        return 2 * 0.5 ** len(values) if values[0] else 1.0
    return float(scipy.stats.ttest_1samp(values, 0).pvalue)


def standard_deviation(values: np.ndarray) -> Interval:
    """Standard deviation of repetitions with its chi-square 95 % interval.

    ``values`` are two or more finite numbers (n,), in any unit, which is
    the interval's, too. InputError where they are not.
    """
    values = checks.sample(values, "values", 2)
    free = len(values) - 1
    square = np.var(values, ddof=1)
    ends = [1 - SIGNIFICANCE / 2, SIGNIFICANCE / 2]
    low, high = free * square / scipy.stats.chi2.ppf(ends, free)
    return Interval(*(float(np.sqrt(v)) for v in (square, low, high)))


def paired_differences(
    frame: pd.DataFrame, base: str = "fp32"
) -> pd.DataFrame:
    """Change of accuracy against ``base``, paired by training seed.

    ``frame`` has the columns train_seed, seed, strategy and accuracy (0 to
    1). Returns one row a training seed, one column a strategy: the mean
    over the draws. InputError where a column, ``base``, or a strategy at
    some seed is missing, where one occurs twice, and where an accuracy is
    not from 0 to 1.
    """
    keys = ["train_seed", "seed", "strategy"]
    checks.columns(frame, [*keys, "accuracy"], "frame")
    if base not in set(frame.strategy):
        raise checks.InputError(f"base={base!r}: no such strategy in frame")
    if not checks.sample(frame.accuracy, "accuracy", 1).size == (
        frame.accuracy.between(0, 1).sum()
    ):
        raise checks.InputError("accuracy: expected shares from 0 to 1")
    if frame.duplicated(keys).any():
        twice = frame[frame.duplicated(keys)].iloc[0][keys].tolist()
        raise checks.InputError(f"frame: two rows for {keys} = {twice}")
    table = frame.pivot_table(
        "accuracy", ["train_seed", "seed"], "strategy", aggfunc="mean"
    )
    if table.isna().any(axis=None):
        missing = table.columns[table.isna().any()].tolist()
        raise checks.InputError(f"{missing}: expected at every seed and draw")
    change = table.sub(table[base], axis=0).drop(columns=base)
    return change.groupby("train_seed").mean()


@dataclass(frozen=True)
class Ordering:
    """How one strategy compares with another over training seeds.

    ``difference`` is in accuracy (a share), ``ahead`` counts the seeds in
    which the first is better, ``p`` is that of the paired t-test, and
    ``p_holm`` is adjusted for the orderings asked with it.
    """

    difference: Interval
    ahead: int
    seeds: int
    p: float
    p_holm: float

    @property
    def verdict(self) -> str:
        """One word on the first strategy, by ``paired_tests.verdict``."""
        return paired_tests.verdict(self.difference, self.p_holm)


def orderings(
    changes: pd.DataFrame, pairs: list[tuple[str, str]]
) -> dict[tuple[str, str], Ordering]:
    """Compare pairs of columns of ``paired_differences``, by training seed.

    InputError where a column is missing or holds no finite numbers, and for
    fewer than two seeds.
    """
    checks.columns(changes, {n: 0 for pair in pairs for n in pair}, "changes")
    apart = {(a, b): (changes[a] - changes[b]).to_numpy() for a, b in pairs}
    p_values = [p_value(values) for values in apart.values()]
    return {
        pair: Ordering(
            intervals.mean(values), int((values > 0).sum()), len(values), p, h
        )
        for (pair, values), p, h in zip(
            apart.items(), p_values, paired_tests.holm(p_values), strict=True
        )
    }


def friedman(changes: pd.DataFrame) -> float:
    """p-value of Friedman's test that no strategy ranks above another.

    ``changes`` has a row a training seed and a column a strategy, in any
    unit. InputError for fewer than three strategies or two seeds, and where
    one of the numbers is not finite.
    """
    if len(changes.columns) < 3:
        raise checks.InputError(
            f"changes: {len(changes.columns)} strategies: expected at least 3"
        )
    columns = [checks.sample(changes[n], str(n), 2) for n in changes]
    if np.ptp(columns, axis=0).max() == 0:
        return 1.0
    return float(scipy.stats.friedmanchisquare(*columns).pvalue)


def effects(
    frame: pd.DataFrame,
    factors: dict[str, tuple],
    response: str,
    block: str = "train_seed",
    order: int = 2,
) -> pd.DataFrame:
    """Main effects and interactions of two-level factors, with intervals.

    ``frame`` has one row for each block and combination of levels. The
    effect of a term is the mean ``response`` where its product of signs is
    +1 minus where it is -1 (Box, Hunter and Hunter, 2005, chapter 5); the
    blocks are its repetitions. Returns a row a term ("a × b"), up to
    ``order`` factors: value, low, high, p, and p by Holm over all rows.
    InputError where a column is missing, a response is not finite, a factor
    has another level than its two, there is only one block, or a block is
    not a full factorial.
    """
    checks.columns(frame, [block, response, *factors], "frame")
    checks.sample(frame[response], response, 1)
    _check_levels(frame, factors)
    _check_full(frame, list(factors), block)
    signs = {
        name: np.where(frame[name] == high, 1, -1)
        for name, (_, high) in factors.items()
    }
    rows = {}
    for size in range(1, order + 1):
        for term in itertools.combinations(factors, size):
            product = np.prod([signs[name] for name in term], axis=0)
            signed = 2 * product * frame[response]
            found = signed.groupby(frame[block]).mean().to_numpy()
            effect = astuple(intervals.mean(found))
            rows[" × ".join(term)] = (*effect, p_value(found))
    table = pd.DataFrame.from_dict(
        rows, orient="index", columns=["value", "low", "high", "p"]
    )
    table["p_holm"] = paired_tests.holm(table.p.tolist())
    return table


def _check_levels(frame: pd.DataFrame, factors: dict[str, tuple]) -> None:
    for name, levels in factors.items():
        if len(set(levels)) != 2 or len(levels) != 2:
            raise checks.InputError(
                f"{name}: levels {levels}: expected two different ones"
            )
        if not (known := frame[name].isin(levels)).all():
            raise checks.InputError(
                f"{name}: level {frame[name][~known].iloc[0]} in the "
                f"frame: expected {levels[0]!r} or {levels[1]!r}"
            )


def _check_full(frame: pd.DataFrame, factors: list[str], block: str) -> None:
    if frame[block].nunique() < 2:
        raise checks.InputError(f"{block}: expected at least 2 blocks")
    counts = frame.groupby(block)[factors].value_counts()
    combinations = 2 ** len(factors)
    sizes = counts.groupby(block).size()
    if (counts != 1).any() or (sizes != combinations).any():
        raise checks.InputError(
            f"expected each of {combinations} combinations once in every "
            f"{block}"
        )


def cells(frame: pd.DataFrame, factors: dict[str, tuple]) -> pd.DataFrame:
    """Rows of a table that are combinations of the factors, typed as such.

    A table read from a file has "True" and 7.0 where the levels are True
    and 7, and rows of other networks, which have no levels. InputError where
    a column is missing, or holds a level that its factor does not have.
    """
    if missing := [name for name in factors if name not in frame]:
        raise checks.InputError(f"frame: no column {missing[0]!r}")
    rows = frame.dropna(subset=list(factors)).copy()
    for name, levels in factors.items():
        rows[name] = _typed(rows[name], levels)
    return rows


def _typed(column: pd.Series, levels: tuple) -> pd.Series:
    """The levels that a column of a file means."""
    found = {str(level): level for level in levels}
    if not isinstance(levels[0], str | bool):
        found |= {str(float(level)): level for level in levels}
    typed = column.astype(str).map(found)
    if (odd := typed.isna()).any():
        raise checks.InputError(
            f"{column.name}: level {column[odd].iloc[0]} in the frame: "
            f"expected one of {list(levels)}"
        )
    return typed


def safe_share(changes: np.ndarray, margin: float = MARGIN) -> Interval:
    """Share of draws that lose less than ``margin``, Wilson's interval.

    ``changes`` are changes of accuracy (shares), (n,), and so is the margin.
    InputError where they are not finite numbers, at least one, or the margin
    is not between 0 and 1.
    """
    changes = checks.sample(changes, "changes", 1)
    margin = checks.between(margin, "margin")
    return intervals.wilson(int((changes > -margin).sum()), len(changes))


def safe_sizes(
    frame: pd.DataFrame, margin: float = MARGIN, share: float = 0.85
) -> list[int]:
    """Numbers of images with which few draws lose ``margin`` or more.

    ``frame`` has the columns images and change (a share), one row a draw. At
    95 % confidence at least ``share`` of the draws lose less. InputError
    where a column is missing or holds no finite numbers, and where margin or
    share is not between 0 and 1.
    """
    checks.columns(frame, ["images", "change"], "frame")
    share = checks.between(share, "share")
    return [
        int(count)
        for count, found in frame.groupby("images").change
        if safe_share(found.to_numpy(), margin).low >= share
    ]


def power(
    mean: float, deviation: float, count: int, level: float = SIGNIFICANCE
) -> float:
    """Chance that Student's test at ``level`` shows a true mean, not zero.

    ``deviation`` is the standard deviation of the ``count`` repetitions, in
    the unit of ``mean``; the test asks both sides. ValueError where there
    are fewer than two repetitions or they do not differ.
    """
    if count < 2 or deviation <= 0:
        raise ValueError(
            f"count={count}, deviation={deviation}: expected at least 2 "
            "repetitions, and a deviation above 0"
        )
    edge = scipy.stats.t.ppf(1 - level / 2, count - 1) ** 2
    # The square of t, for both sides at once; scipy's is wrong at exactly 0.
    beyond = max(count * (mean / deviation) ** 2, 1e-12)
    return float(scipy.stats.ncf.sf(edge, 1, count - 1, beyond))


def smallest_shown(
    deviation: float, count: int, chance: float = 0.8, tests: int = 1
) -> float:
    """Smallest true mean that so many repetitions show with this ``chance``.

    In the unit of ``deviation``, their standard deviation. A mean that is
    not shown may be anything smaller. Of several ``tests`` it is what Holm's
    correction shows whatever the others are. ValueError as of ``power``.
    """
    level = SIGNIFICANCE / tests
    power(0, deviation, count)
    return float(
        scipy.optimize.brentq(
            lambda mean: power(mean, deviation, count, level) - chance,
            0,
            100 * deviation,
        )
    )
