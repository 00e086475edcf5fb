"""Words and counts on the rows of the comparison of all strategies."""

import numpy as np
import pandas as pd
from torch import nn

from ptq.evidence import paired_tests, replicates, time_ratios
from ptq.evidence.replicates import Ordering
from ptq.experiment.results import Timing
from ptq.experiment.strategies import STRATEGIES
from ptq.measure import resources

# One network under a second name: no row of its own in a correction.
TWINS = {"bias_correction_published": "naive"}


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


def over_trainings(
    changes: pd.DataFrame,
) -> dict[tuple[str, str], Ordering]:
    """Each strategy against FP32 over trainings, by (its name, "fp32").

    ``changes`` are shares, a row a training and a column a strategy, as of
    ``replicates.paired_differences``. Float strategies stand first; Holm's
    correction is within these and within the quantized ones. A twin has no
    entry.
    """
    names = [n for n in STRATEGIES if n in changes and n not in TWINS]
    bare = [name for name in names if name.startswith("fp32")]
    found = {}
    for group in (bare, [name for name in names if name not in bare]):
        pairs = [(name, "fp32") for name in group if name != "fp32"]
        found |= replicates.orderings(changes.assign(fp32=0.0), pairs)
    return found


def training_words(changes: pd.DataFrame) -> dict[str, str]:
    """The verdict over trainings by strategy; a twin has its network's.

    ``changes`` are those of ``over_trainings``.
    """
    found = over_trainings(changes)
    words = {name: order.verdict for (name, _), order in found.items()}
    twins = {twin: words[of] for twin, of in TWINS.items() if of in words}
    return words | twins


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
