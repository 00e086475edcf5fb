"""Times of the float and the INT8 network, each as its file runs."""

import time
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from ptq.experiment import results
from ptq.experiment.results import Timing
from ptq.graph.module_outputs import asking
from ptq.measure import timer

FLOAT, INT8, EAGER = "float", "INT8", "float in PyTorch"
ROUNDS = 15
# The largest batch, and how long one may take, so that rounds end.
BATCH, MOST_SECONDS = 64, 0.5
THREADS = 1


def measured(
    networks: dict[str, nn.Module],
    images: Tensor,
    rounds: int,
    seed: int,
    threads: Iterable[int] = (THREADS,),
    engine: str = "ONNX Runtime",
    cold: bool = True,
) -> list[Timing]:
    """Times of one batch, in turns, with the first network twice.

    ``images`` (N, C, H, W), as the networks take them, are repeated where
    they are too few. For each number of ``threads``: batch 1 hot (a loop
    over one network) and, with ``cold``, after the others; and a full batch
    hot: 64, or what takes at most half a second. ``networks`` are modules by
    their names. ValueError where there are no rounds.
    """
    batch = full_batch(networks, images[:1])
    modes = (timer.HOT, timer.COLD) if cold else (timer.HOT,)
    kinds = dict.fromkeys(
        [*((1, mode) for mode in modes), (batch, timer.HOT)]
    )
    plan = [
        timer.Conditions(tuple(networks), count, several, mode)
        for several in threads
        for count, mode in kinds
    ]
    return under(plan, networks, images, rounds, seed, engine)


def under(
    plan: list[timer.Conditions],
    networks: dict[str, nn.Module],
    images: Tensor,
    rounds: int,
    seed: int,
    engine: str,
) -> list[Timing]:
    """Times under each condition of ``plan``; all else as ``measured``.

    ``images`` is (N, C, H, W), repeated where they are too few.
    """
    most = max(conditions.batch for conditions in plan)
    images = torch.cat([images] * -(-most // len(images)))
    found = timer.compare(networks, images, plan, rounds, seed)
    return results.timings(plan, found, engine)


def full_batch(networks: dict[str, nn.Module], image: Tensor) -> int:
    """A power of two, at most 64, by the slowest call for one image.

    ``image`` is (1, C, H, W), as the networks take it.
    """

    def once(network: nn.Module) -> float:
        began = time.perf_counter()
        network(image)
        return time.perf_counter() - began

    slowest = 0.0
    with timer.pinned_threads(THREADS):
        for network in networks.values():
            with asking(network) as asked:
                slowest = max(slowest, min(once(asked) for _ in range(3)))
    fitting = max(int(MOST_SECONDS / slowest), 1)
    return min(BATCH, 2 ** (fitting.bit_length() - 1))
