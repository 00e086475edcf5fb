"""Words and counts on the rows of the comparison of all strategies."""

import numpy as np
import pandas as pd
from torch import nn

from ptq.evidence import paired_tests, time_ratios
from ptq.experiment.results import Timing
from ptq.experiment.strategies import STRATEGIES
from ptq.measure import resources


def needed(frame: pd.DataFrame) -> str:
    """What change makes a row of ``Comparison.frame`` better or worse.

    In points, from the least to the most that a row needs.
    """
    found = 100 * frame.detectable[np.isfinite(frame.detectable)]
    if found.empty:
        return "more than all of them"
    return f"{found.min():.2f} to {found.max():.2f} points"


def with_margin(frame: pd.DataFrame, margin: float) -> list[str]:
    """Verdicts on all rows but the first, with another margin (a share).

    ``frame`` is that of ``Comparison.frame``.
    """
    return [
        paired_tests.verdict(
            paired_tests.Flips(row.lost, row.gained, row.n, row.p),
            row.p_holm,
            margin,
        )
        for row in frame[1:].itertuples()
    ]


def counted_bytes(
    network: nn.Module, states: dict[str, list[str]]
) -> dict[str, dict[str, int]]:
    """Bytes that each strategy's network needs, by what they hold.

    ``network`` is the float network; ``states`` names the entries of each
    strategy's state, which tell whether BN is folded.
    """
    return {
        name: resources.counted_bytes(
            network,
            STRATEGIES[name].bits,
            folded=not any("bn1.weight" in key for key in keys),
        )
        for name, keys in states.items()
    }


def frontier(frame: pd.DataFrame, timing: Timing, left_out: str) -> list[str]:
    """Strategies on the frontier of accuracy and time, fastest first.

    By medians of the time and counts of right predictions; ``left_out`` is
    the twin of another strategy.
    """
    rivals = [name for name in frame.index if name != left_out]
    return time_ratios.pareto(
        {name: timing.milliseconds(name).value for name in rivals},
        frame.change[rivals].to_dict(),
    )


def mixed_claim(time_word: str, verdict: str) -> str:
    """Whether the paper's verdict on mixed precision stands.

    It says: slower, and not more accurate. ``time_word`` is that on its
    speed, as of ``Timing.word``, ``verdict`` that on its accuracy.
    """
    if time_word == time_ratios.SLOWER and verdict != "better":
        return "stands"
    if time_word == time_ratios.FASTER or verdict == "better":
        return "does not stand"
    return "is not settled"
