"""The one time result of a run: every strategy, under every condition."""

import hashlib
import os
from pathlib import Path

from torch import nn

from ptq import paths
from ptq.experiment import results, strategies
from ptq.measure import host, timer


def of_run(
    lab, batch: int = 64, threads: int = 0, mode: str = timer.HOT
) -> results.Timing:
    """All strategies under one condition, from the run folder of ``lab``.

    Times all conditions now, unless this was done with this code and these
    settings. Batch 64 also times every assignment of chapter 5. ``threads``
    of 0 stands for the experiment's setting. KeyError lists the known
    conditions.
    """
    plan = _plan(lab)
    batch = min(batch, len(lab.test_images))
    threads = threads or lab.settings["threads"]
    wanted = timer.Conditions((), batch, threads, mode).title
    if wanted not in (known := [c.title for c in plan]):
        raise KeyError(f"{wanted}: expected one of {', '.join(known)}")
    path = lab.run_folder / paths.TIMINGS / f"{wanted}.json"
    if path.exists():
        found = results.load_timing(path)
        if found.key == _key(lab):
            return found
    return next(t for t in _measure(lab, plan) if t.name == wanted)


def of_networks(
    lab, title: str, networks: dict[str, nn.Module]
) -> list[results.Timing]:
    """A time result of a chapter's own networks: batch 64 hot, 1 hot, cold.

    With the experiment's number of threads. Their names in the run folder
    begin with ``title``.
    """
    threads = lab.settings["threads"]
    plan = [
        timer.Conditions(tuple(networks), batch, threads, mode)
        for batch, mode in _batches(lab)
    ]
    return compare(lab, networks, plan, f"{title}-")


def stamp(run_folder: Path) -> list[str]:
    """A value that changes when the times of a run are measured again."""
    found = (run_folder / paths.TIMINGS).glob("batch*.json")
    return [hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(found)]


def _key(lab) -> str:
    settings = ("seed", "calibration_images", "rounds")
    return lab.key(*settings, processor=host.machine()["processor"])


def _plan(lab) -> list[timer.Conditions]:
    names = tuple(strategies.STRATEGIES)
    every = tuple(dict.fromkeys((*names, *strategies.assigned())))
    own = lab.settings["threads"]
    return [
        timer.Conditions(
            every if batch > 1 and threads == own else names,
            batch,
            threads,
            mode,
        )
        for threads in sorted({1, own, os.cpu_count() or 1})
        for batch, mode in _batches(lab)
    ]


def _batches(lab) -> list[tuple[int, str]]:
    full = min(64, len(lab.test_images))
    return [(full, timer.HOT), (1, timer.HOT), (1, timer.COLD)]


def _measure(lab, plan: list[timer.Conditions]) -> list[results.Timing]:
    networks = {name: lab.build(name) for name in strategies.STRATEGIES}
    for name, (fold, kept) in strategies.assigned().items():
        if name not in networks:
            networks[name] = strategies.quantized(
                lab.network, lab.calibration, kept, fold
            )
    return compare(lab, networks, plan)


def compare(
    lab,
    networks: dict[str, nn.Module],
    plan: list[timer.Conditions],
    title: str = "",
) -> list[results.Timing]:
    """Time networks under each condition of ``plan``; keep the times.

    They go to the run folder of ``lab``, under names that begin with
    ``title``. The images are the first ones of its test set.
    """
    images = lab.normalize(lab.test_images[:64])
    rounds, seed = lab.settings["rounds"], lab.settings["seed"]
    found = timer.compare(networks, images, plan, rounds, seed)
    timings = results.timings(plan, found, lab.engine, title, _key(lab))
    for timing in timings:
        timing.save(lab.run_folder / paths.TIMINGS)
    return timings
