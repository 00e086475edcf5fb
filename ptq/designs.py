"""What the designed experiments say: over draws, over training seeds.

The unit that is repeated is the draw or the trained network; pictures of
one test set, or variants of one network, are no repetitions.
"""

import itertools
from dataclasses import astuple, dataclass

import numpy as np
import pandas as pd
from scipy import optimize, stats

from ptq import evidence
from ptq.evidence import Interval


def p_value(values: np.ndarray) -> float:
    """p of Student's test that the mean of repetitions is zero."""
    if np.ptp(values) == 0:
        return float(values[0] == 0)
    return float(stats.ttest_1samp(values, 0).pvalue)


def verdict(change: Interval, p_holm: float, margin: float = 0.005) -> str:
    """One word on a mean change of accuracy (a share) over repetitions.

    The words are those of ``evidence.verdict``.
    """
    if p_holm < 0.05:
        return "better" if change.value > 0 else "worse"
    return "non-inferior" if change.low > -margin else "no difference shown"


def deviation_over(values: np.ndarray) -> Interval:
    """Standard deviation of repetitions with its chi-square 95 % interval."""
    free = len(values) - 1
    square = np.var(values, ddof=1)
    low, high = free * square / stats.chi2.ppf([0.975, 0.025], free)
    return Interval(*(float(np.sqrt(v)) for v in (square, low, high)))


def drops(frame: pd.DataFrame, base: str = "fp32") -> pd.DataFrame:
    """Change of accuracy against ``base``, paired by training seed.

    ``frame`` has the columns train_seed, seed, strategy and accuracy (0 to
    1). Returns one row a training seed, one column a strategy: the mean
    over the draws. ValueError where a strategy is missing for a seed.
    """
    table = frame.pivot_table(
        "accuracy", ["train_seed", "seed"], "strategy", aggfunc="mean"
    )
    if table.isna().any(axis=None):
        missing = table.columns[table.isna().any()].tolist()
        raise ValueError(f"{missing}: expected at every seed and draw")
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
        """One word on the first strategy, as of ``verdict``."""
        return verdict(self.difference, self.p_holm)


def orderings(
    changes: pd.DataFrame, pairs: list[tuple[str, str]]
) -> dict[tuple[str, str], Ordering]:
    """Compare pairs of columns of ``drops``, each paired by training seed."""
    apart = {(a, b): (changes[a] - changes[b]).to_numpy() for a, b in pairs}
    p_values = [p_value(values) for values in apart.values()]
    return {
        pair: Ordering(
            evidence.mean(values), int((values > 0).sum()), len(values), p, h
        )
        for (pair, values), p, h in zip(
            apart.items(), p_values, evidence.holm(p_values), strict=True
        )
    }


def same_ranking(changes: pd.DataFrame) -> float:
    """p-value of Friedman's test that no strategy ranks above another."""
    columns = (changes[name] for name in changes)
    return float(stats.friedmanchisquare(*columns).pvalue)


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
    ValueError where a block is not a full factorial.
    """
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
            effect = astuple(evidence.mean(found))
            rows[" × ".join(term)] = (*effect, p_value(found))
    table = pd.DataFrame.from_dict(
        rows, orient="index", columns=["value", "low", "high", "p"]
    )
    table["p_holm"] = evidence.holm(table.p.tolist())
    return table


def _check_full(frame: pd.DataFrame, factors: list[str], block: str) -> None:
    counts = frame.groupby(block)[factors].value_counts()
    combinations = 2 ** len(factors)
    sizes = counts.groupby(block).size()
    if (counts != 1).any() or (sizes != combinations).any():
        raise ValueError(
            f"expected each of {combinations} combinations once in every "
            f"{block}"
        )


def cells(frame: pd.DataFrame, factors: dict[str, tuple]) -> pd.DataFrame:
    """Rows of a table that are combinations of the factors, typed as such.

    A table read from a file has "True" and 7.0 where the levels are True
    and 7, and rows of other networks, which have no levels.
    """
    rows = frame.dropna(subset=list(factors)).copy()
    for name, levels in factors.items():
        as_text = {str(level): level for level in levels}
        column = rows[name]
        if not isinstance(levels[0], str | bool):
            column = column.astype(type(levels[0]))
        rows[name] = column.astype(str).map(as_text)
    return rows


def safe_share(changes: np.ndarray, margin: float = 0.005) -> Interval:
    """Share of draws that lose less than ``margin``, Wilson's interval."""
    return evidence.accuracy(int((changes > -margin).sum()), len(changes))


def safe_sizes(
    frame: pd.DataFrame, margin: float = 0.005, share: float = 0.85
) -> list[int]:
    """Numbers of images with which few draws lose ``margin`` or more.

    ``frame`` has the columns images and change (a share), one row a draw. At
    95 % confidence at least ``share`` of the draws lose less.
    """
    return [
        int(count)
        for count, found in frame.groupby("images").change
        if safe_share(found.to_numpy(), margin).low >= share
    ]


def power(mean: float, deviation: float, count: int) -> float:
    """Chance that Student's test at 5 % shows a true mean other than zero.

    ``deviation`` is the standard deviation of the ``count`` repetitions, in
    the unit of ``mean``; the test asks both sides. ValueError where there
    are fewer than two repetitions or they do not differ.
    """
    if count < 2 or deviation <= 0:
        raise ValueError(
            f"count={count}, deviation={deviation}: expected at least 2 "
            "repetitions, and a deviation above 0"
        )
    edge = stats.t.ppf(0.975, count - 1) ** 2
    # The square of t, for both sides at once; scipy's is wrong at exactly 0.
    beyond = max(count * (mean / deviation) ** 2, 1e-12)
    return float(stats.ncf.sf(edge, 1, count - 1, beyond))


def smallest_shown(
    deviation: float, count: int, chance: float = 0.8
) -> float:
    """Smallest true mean that so many repetitions show with this ``chance``.

    In the unit of ``deviation``, their standard deviation. A mean that is
    not shown may be anything smaller. ValueError as of ``power``.
    """
    power(0, deviation, count)
    return float(
        optimize.brentq(
            lambda mean: power(mean, deviation, count) - chance,
            0,
            100 * deviation,
        )
    )
