"""Times of the float and the INT8 network, each as its file runs."""

import time

import torch
from torch import Tensor, nn

from ptq.experiment.results import Timing, timing_of
from ptq.measure import timer

FLOAT, INT8, EAGER = "float", "INT8", "float in PyTorch"
ROUNDS = 15
# The largest batch, and how long one may take, so that rounds end.
BATCH, MOST_SECONDS = 64, 0.5
THREADS = 1


def measured(
    networks: dict[str, nn.Module], images: Tensor, rounds: int, seed: int
) -> list[Timing]:
    """Times of one batch, in turns, with the first network twice.

    ``images``, float32 (N, C, H, W), are repeated where they are too few;
    one thread computes. Batch 1 hot (a loop over one network) and cold
    (after the others), and a full batch hot: 64, or what takes at most half
    a second. ``networks`` map the names ``FLOAT``, ``INT8``, ... to modules.
    ValueError where there are no rounds.
    """
    batch = _full_batch(networks, images[:1])
    images = torch.cat([images] * -(-batch // len(images)))
    kinds = [(1, timer.HOT), (1, timer.COLD), (batch, timer.HOT)]
    names = tuple(networks)
    plan = [
        timer.Conditions(names, count, THREADS, mode)
        for count, mode in dict.fromkeys(kinds)
    ]
    found = timer.compare(networks, images, plan, rounds, seed)
    return [
        timing_of(*pair, "ONNX Runtime")
        for pair in zip(plan, found, strict=True)
    ]


def _full_batch(networks: dict[str, nn.Module], image: Tensor) -> int:
    """A power of two, at most 64, by the slowest call for one image."""

    def once(network: nn.Module) -> float:
        began = time.perf_counter()
        network(image)
        return time.perf_counter() - began

    with torch.inference_mode(), timer.pinned_threads(THREADS):
        slowest = max(
            min(once(network) for _ in range(3))
            for network in networks.values()
        )
    fitting = max(int(MOST_SECONDS / slowest), 1)
    return min(BATCH, 2 ** (fitting.bit_length() - 1))
