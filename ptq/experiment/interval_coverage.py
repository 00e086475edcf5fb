"""How often intervals of time hold: on simulated clocks and this machine.

An interval says where the ratio of two networks' times lies in the next
session. This module makes intervals, runs the next session, and counts the
hits.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from ptq import paths
from ptq.data.cifar10 import SHAPE
from ptq.evidence import time_ratios
from ptq.measure import host, timer
from ptq.networks import compact_cnn

FILE = paths.REFERENCE / "coverage.json"
ROUNDS, BATCH = 40, 16
Clock = Callable[[np.random.Generator, int, int], np.ndarray]


def quiet(rng: np.random.Generator, sessions: int, rounds: int) -> np.ndarray:
    """Factors (2, sessions, rounds) on two networks' times: little noise."""
    of_session = rng.normal(0, 0.01, (2, sessions, 1))
    return np.exp(of_session + _late(rng, sessions, rounds))


def drifting(
    rng: np.random.Generator, sessions: int, rounds: int
) -> np.ndarray:
    """As ``quiet``; a walk slows both alike, each a little on its own.

    Returns factors, float64 (2, sessions, rounds).
    """
    both = np.cumsum(rng.normal(0, 0.1, (1, sessions, 1)), axis=1)
    own = np.cumsum(rng.normal(0, 0.005, (2, sessions, 1)), axis=1)
    return quiet(rng, sessions, rounds) * np.exp(both + own)


def two_humped(
    rng: np.random.Generator, sessions: int, rounds: int
) -> np.ndarray:
    """As ``quiet``; in 3 to 7 of 10 sessions a network takes 2.2 times.

    Returns factors, float64 (2, sessions, rounds).
    """
    share = rng.uniform(0.3, 0.7)
    slow = rng.random((2, sessions, 1)) < share
    return quiet(rng, sessions, rounds) * np.where(slow, 2.2, 1)


CLOCKS = {"quiet": quiet, "drifting": drifting, "two humps": two_humped}


def _late(rng, sessions: int, rounds: int) -> np.ndarray:
    """Interruptions make calls longer, never shorter."""
    return np.abs(rng.normal(0, 0.02, (2, sessions, rounds)))


def simulated(clock: Clock, trials: int, seed: int) -> dict[str, int]:
    """Hits and false verdicts on two equal networks, timed by a clock.

    ``trials`` pairs of a result, of as many sessions and rounds as the
    book's, and of the session after it.
    """
    rng = np.random.default_rng(seed)
    counts = timer.sessions_of(ROUNDS)
    found = {"trials": trials, "inside": 0, "judged": 0}
    for _ in range(trials):
        first, second = clock(rng, len(counts) + 1, counts[0])
        twin, _ = clock(rng, len(counts) + 1, counts[0])
        _count(found, first, second, twin)
    return found


def _count(found: dict, first, second, twin) -> None:
    """Seconds (sessions, rounds); the last session is the one to predict."""
    ratio = time_ratios.speedup(first[:-1], second[:-1])
    floor = time_ratios.speedup(first[:-1], twin[:-1])
    came = np.median(first[-1] / second[-1])
    word = time_ratios.time_verdict(ratio, floor)
    found["inside"] += bool(ratio.low <= came <= ratio.high)
    found["judged"] += word in (time_ratios.FASTER, time_ratios.SLOWER)


class Twice(nn.Module):
    """A network that does the work of another one two times."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The outputs of the network for ``x``, of the second time.

        ``x`` is float32 (N, 3, 32, 32); outputs are float32 (N, 10).
        """
        self.network(x)
        return self.network(x)


def one_result(seed: int) -> dict[str, list]:
    """Seconds of one result of this machine, (sessions, rounds) by name.

    A network at batch 16 with one thread; "equal" is a copy of it, "twice"
    does its work two times, "A/A" is the timer's own copy.
    """
    network = compact_cnn.CompactCNN().eval()
    nets = {"once": network, "equal": network, "twice": Twice(network)}
    plan = [timer.Conditions(tuple(nets), BATCH, 1)]
    images = torch.zeros(BATCH, *SHAPE)
    found = timer.compare(nets, images, plan, ROUNDS, seed)[0]
    return {n: v.tolist() for n, v in found.seconds.items()} | {
        "busy": found.busy
    }


def real(trials: int) -> dict:
    """Hits and verdicts on this machine, by pair, and how often it was busy.

    Each result is made by a new process; its interval is compared with the
    first session of the next process.
    """
    made = [
        json.loads(
            subprocess.run(
                [
                    sys.executable,
                    "-m",
                    "ptq.experiment.interval_coverage",
                    str(seed),
                ],
                capture_output=True,
                check=True,
                text=True,
            ).stdout
        )
        for seed in tqdm(range(trials + 1), desc="sessions")
    ]
    found = {}
    for pair in ("equal", "twice"):
        found[pair] = {"trials": trials, "inside": 0, "judged": 0}
        for now, later in zip(made[:-1], made[1:], strict=True):
            times = (
                np.array([*now[name], later[name][0]])
                for name in ("once", pair, timer.TWIN)
            )
            _count(found[pair], *times)
    found["busy"] = sum(bool(result["busy"]) for result in made)
    return found


def keep(trials: int, target: Path = FILE) -> dict:
    """Count everything and write it to ``target``."""
    found = {
        "simulated": {
            name: simulated(clock, max(trials, 1000), seed)
            for seed, (name, clock) in enumerate(CLOCKS.items())
        },
        "real": real(trials),
        "machine": host.machine(),
        "measured": time.strftime("%Y-%m-%d", time.gmtime()),
    }
    paths.write_json(target, found)
    return found


if __name__ == "__main__":
    print(json.dumps(one_result(int(sys.argv[1]))))
