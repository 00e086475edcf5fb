"""Two saved benches of one network on one machine, side by side."""

import numpy as np

from ptq.bench.competitors import FLOAT
from ptq.bench.measuring import Bench
from ptq.bench.report import Report, Table
from ptq.evidence import time_ratios
from ptq.evidence.checks import InputError
from ptq.evidence.intervals import Interval
from ptq.experiment.results import NOT_JUDGED, Timing
from ptq.measure.timer import TWIN

MACHINE = ("processor", "architecture", "system", "cores", "features")
HEAD = ("", "before", "now", "verdict")


def check(before: Bench, machine: dict, network: str, macs: int) -> None:
    """InputError unless times of ``before`` may stand beside such others.

    ``machine`` is as of ``host.machine``; ``macs`` are multiply-accumulates.
    """
    pairs = {
        name: (before.machine.get(name), machine[name]) for name in MACHINE
    }
    pairs |= {
        "network": (before.network, network),
        "multiply-accumulates": (before.macs, macs),
    }
    unlike = [
        f"{name} {first}, now {second}"
        for name, (first, second) in pairs.items()
        if first != second
    ]
    if unlike:
        raise InputError(
            f"not comparable: {'; '.join(unlike)}; expected two runs of one "
            "network on one machine"
        )


def report(before: Bench, now: Bench) -> Report:
    """How many times as fast as ``FLOAT`` each row was, and is.

    Ratios are compared, since a machine's clock may change from run to run.
    What only one of the two has is named. InputError where the two are not
    comparable.
    """
    check(before, now.machine, now.network, now.macs)
    versions = [
        f"{name} {before.versions.get(name)}, now {version}"
        for name, version in now.versions.items()
        if version != before.versions.get(name)
    ]
    first, second = (
        {one.conditions: one for one in run.timings} for run in (before, now)
    )
    alone = _alone("before", before, now) + _alone("now", now, before)
    return Report(
        f"{now.network}: times {FLOAT} as it came, before and now",
        [f"Versions: {'; '.join(versions) or 'the same'}", *alone],
        [_table(first[key], second[key]) for key in second if key in first],
    )


def _alone(when: str, run: Bench, other: Bench) -> list[str]:
    """A sentence on the rows and conditions that only one run has."""
    conditions = {one.conditions for one in other.timings}
    found = [name for name in run.rows if name not in other.rows]
    found += [
        one.conditions
        for one in run.timings
        if one.conditions not in conditions
    ]
    return [f"Only {when}: {'; '.join(found)}"] if found else []


def _table(before: Timing, now: Timing) -> Table:
    rows = []
    for name in now.seconds:
        if name in (FLOAT, TWIN) or name not in before.seconds:
            continue
        ratios = [one.speedup(FLOAT, name) for one in (before, now)]
        busy = before.busy or now.busy
        word = NOT_JUDGED if busy else changed(*ratios)
        told = [f"{one:.2f}" for one in map(now.judged, ratios)]
        rows.append((name, *told, word))
    return Table(f"One image: {now.conditions}", HEAD, rows)


def changed(before: Interval, now: Interval) -> str:
    """ "faster" or "slower" only where the whole intervals lie apart."""
    if np.isnan([before.low, now.low]).any():
        return time_ratios.TOO_FEW
    if now.low > before.high:
        return time_ratios.FASTER
    if now.high < before.low:
        return time_ratios.SLOWER
    return time_ratios.NOT_SHOWN
