"""Times of the float and the INT8 network, each as its file runs."""

import time

import torch
from torch import Tensor, nn

from ptq.evidence import time_ratios
from ptq.experiment.results import Timing
from ptq.measure import host, timer

FLOAT, INT8, EAGER = "float", "INT8", "float in PyTorch"
ROUNDS = 15
BATCH, THREADS = 64, 1
CONDITIONS = ((1, timer.HOT), (1, timer.COLD), (BATCH, timer.HOT))


def measured(
    networks: dict[str, nn.Module], images: Tensor, rounds: int, seed: int
) -> list[Timing]:
    """Times of one batch, in turns, with the first network twice.

    ``images``, float32 (N, C, H, W), are repeated where they are fewer than
    a batch of 64; one thread computes. Batch 1 hot (a loop over one network)
    and cold (after the others), and batch 64 hot. ``networks`` map the names
    ``FLOAT``, ``INT8``, ... to modules. ValueError where there are no rounds.
    """
    repeats = -(-BATCH // len(images))
    images = torch.cat([images] * repeats)[:BATCH]
    names = tuple(networks)
    plan = [timer.Conditions(names, n, THREADS, m) for n, m in CONDITIONS]
    found = timer.compare(networks, images, plan, rounds, seed)
    return [
        Timing(
            name=conditions.title,
            key="",
            batch=conditions.batch,
            threads=conditions.threads,
            mode=conditions.mode,
            engine="ONNX Runtime",
            machine=host.machine(),
            measured=time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
            busy=samples.busy
            + time_ratios.unsteady(
                samples.seconds[names[0]], samples.seconds[timer.TWIN]
            ),
            seconds={n: v.tolist() for n, v in samples.seconds.items()},
        )
        for conditions, samples in zip(plan, found, strict=True)
    ]
