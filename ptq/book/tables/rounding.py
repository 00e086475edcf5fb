"""Tables of the sweep of roundings: methods by bits, steps, levels."""

import numpy as np
import pandas as pd

from ptq.evidence import intervals, paired_tests, replicates
from ptq.evidence.intervals import Interval
from ptq.experiment import rounding_sweep
from ptq.experiment.rounding_sweep import LEVELS, Case
from ptq.networks import recipes

MISSED, REACHED = "missed", "reached"
ON_AVERAGE = "on average"


def method_rows(frame: pd.DataFrame) -> list[dict[str, str]]:
    """Mean change of accuracy in points, a row for each method and bits.

    ``frame`` is the reference. A network has a column, with half the width
    of its 95 % interval where it was trained more than once; CPU seconds are
    medians over all trained networks.
    """
    changes = rounding_sweep.changes(frame)
    seconds = frame.groupby("strategy").cpu_seconds.median()
    rows = {}
    for (network, case), shares in changes.items():
        first = {"bits": case.bits, "method": case.label}
        row = rows.setdefault(case, first)
        row[recipes.get(network).label] = _points(shares)
    order = [case for case in _in_order(rows)]
    titles = [recipes.get(name).label for name in recipes.NETWORKS]
    return [
        {"bits": rows[case]["bits"], "method": rows[case]["method"]}
        | {title: rows[case].get(title, "–") for title in titles}
        | {"CPU s": f"{seconds[case.name]:.1f}"}
        for case in order
    ]


def _in_order(cases) -> list[Case]:
    """By bits as they are tried; from cheap to dear."""
    bits = list(rounding_sweep.METHODS)
    return sorted(
        cases, key=lambda case: bits.index((case.weights, case.activations))
    )


def _points(shares: np.ndarray) -> str:
    if len(shares) == 1:
        return f"{100 * shares[0]:+.2f}"
    found = 100 * intervals.mean(shares)
    return f"{found.value:+.2f} ± {found.high - found.value:.2f}"


def gain_rows(
    gains: dict[tuple[Case, Case], np.ndarray],
) -> list[dict[str, str]]:
    """What each method gains over the next cheaper one, a row a pair.

    ``gains`` are ``rounding_sweep.gains``, shares (networks,); Holm's
    correction is over all rows.
    """
    adjusted = paired_tests.holm(
        [replicates.p_value(v) for v in gains.values()]
    )
    rows = []
    for ((better, worse), shares), p in zip(
        gains.items(), adjusted, strict=True
    ):
        mean = intervals.mean(shares)
        rows.append(
            {
                "bits": better.bits,
                "method": better.label,
                "over": worse.label,
                "networks": len(shares),
                "gain (points)": f"{100 * mean:+.2f}",
                "Holm p": f"{p:.2g}",
                "verdict": paired_tests.verdict(mean, p),
            }
        )
    return rows


def level_rows(frame: pd.DataFrame) -> list[dict[str, str]]:
    """Whether the levels are reached, by the method chosen on validation.

    ``frame`` is the reference. A level is reached if the interval of the
    loss lies within it; of one training, the loss itself.
    """
    changes = rounding_sweep.changes(frame)
    rows = []
    for network, bits, allowed in LEVELS:
        case = rounding_sweep.chosen(frame, network, bits)
        shares = changes[network, case]
        found = Interval(shares[0], float("nan"), float("nan"))
        if len(shares) > 1:
            found = intervals.mean(shares)
        rows.append(
            {
                "network": recipes.get(network).label,
                "bits": case.bits,
                "method": case.label,
                "may lose (points)": f"{allowed:.1f}",
                "trainings": len(shares),
                "change (points)": f"{100 * found:+.2f}",
                "level": level_word(100 * found, allowed),
            }
        )
    return rows


def level_word(change: Interval, allowed: float) -> str:
    """The word on a change and the loss that is allowed, both in points."""
    if change.value < -allowed:
        return MISSED
    return ON_AVERAGE if change.low < -allowed else REACHED
