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
    measured = dict.fromkeys(network for network, _ in changes)
    titles = [recipes.get(name).label for name in measured]
    return [
        {"bits": rows[case]["bits"], "method": rows[case]["method"]}
        | {title: rows[case].get(title, "–") for title in titles}
        | {"CPU s": f"{seconds[case.name]:.1f}"}
        for case in _in_order(rows)
    ]


def _in_order(cases) -> list[Case]:
    """By bits as they are tried; from cheap to dear."""
    bits = list(rounding_sweep.METHODS)
    return sorted(
        cases, key=lambda case: bits.index((case.weights, case.activations))
    )


def _points(shares: np.ndarray) -> str:
    found = 100 * _mean(shares)
    half = f" ± {found.high - found.value:.2f}" * (len(shares) > 1)
    return f"{found.value:+.2f}{half}"


def gain_rows(
    gains: dict[tuple[Case, Case], np.ndarray],
) -> list[dict[str, str]]:
    """What each method gains over the next cheaper one, a row a pair.

    ``gains`` are ``rounding_sweep.gains``, shares (networks,). Holm's
    correction is over all rows of two or more networks; the others have no
    interval.
    """
    repeated = {pair: v for pair, v in gains.items() if len(v) > 1}
    adjusted = paired_tests.holm(
        [replicates.p_value(v) for v in repeated.values()]
    )
    holm = dict(zip(repeated, adjusted, strict=True))
    rows = []
    for (better, worse), shares in gains.items():
        mean, pair = _mean(shares), (better, worse)
        row = {"bits": better.bits, "method": better.label}
        row |= {"over": worse.label, "networks": len(shares)}
        row |= {"gain (points)": f"{100 * mean:+.2f}"}
        told = {"Holm p": "–", "verdict": "one network"}
        if pair in holm:
            word = paired_tests.verdict(mean, holm[pair])
            told = {"Holm p": f"{holm[pair]:.2g}", "verdict": word}
        rows.append(row | told)
    return rows


def _mean(shares: np.ndarray) -> Interval:
    """The mean with its interval; one share has none."""
    if len(shares) > 1:
        return intervals.mean(shares)
    return Interval(float(shares[0]), float("nan"), float("nan"))


def level_rows(frame: pd.DataFrame) -> list[dict[str, str]]:
    """Whether the levels are reached, by the method chosen on validation.

    ``frame`` is the reference. A level is reached if the interval of the
    loss lies within it; of one training, the loss itself.
    """
    changes = rounding_sweep.changes(frame)
    rows = []
    asked = [level for level in LEVELS if level[0] in set(frame.network)]
    for network, bits, allowed in asked:
        case = rounding_sweep.chosen(frame, network, bits)
        shares = changes[network, case]
        found = _mean(shares)
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


def told(frame: pd.DataFrame) -> dict[str, float | str]:
    """Numbers and words of the reference that a text quotes, by name.

    Mean changes in points are called NETWORK_CASE; ``shown`` names the steps
    with a verdict, and one word each the levels that have it; sizes are in
    kB, ``slower`` is how often descent fits into the time of AdaRound.
    """
    changes = rounding_sweep.changes(frame)
    found = {
        f"{network}_{case.name}": 100 * float(shares.mean())
        for (network, case), shares in changes.items()
    }
    steps = [
        f"{row['method']} over {row['over']} at {row['bits']}"
        for row in gain_rows(rounding_sweep.gains(changes))
        if row["verdict"] in ("better", "worse")
    ]
    words = {"shown": steps, REACHED: [], ON_AVERAGE: [], MISSED: []}
    for row in level_rows(frame):
        change = row["change (points)"].split()[0]
        level = f"{row['network']} {row['bits']} ({change})"
        words[row["level"]].append(level)
    for name, listed in words.items():
        found[name.replace(" ", "_")] = "; ".join(listed) or "none"
    sizes = frame[frame.network == "resnet8"].groupby("strategy").file_bytes
    found |= {f"{n}_kb": size / 1000 for n, size in sizes.first().items()}
    seconds = frame.groupby("strategy").cpu_seconds.median()
    slower = seconds["w2a4_adaround"] / seconds["w2a4_descent"]
    return found | {"slower": slower}
