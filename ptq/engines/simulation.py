"""The simulation: a network's own forward, as an engine beside others."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

import torch
from torch import Tensor

from ptq import input_checks
from ptq.engines.contract import Ran
from ptq.engines.inner_codes import Simulated, walked
from ptq.quantizer import grid_placement
from ptq.quantizer.network import QuantizedNetwork

EXACT = True
IN_FLOAT = frozenset()
BATCH = 64


class Runner:
    """A network that simulates itself; call it with images."""

    def __init__(self, network: QuantizedNetwork, threads: int):
        input_checks.check_threads(threads)
        self._network, self._threads = network, threads
        self.ran = [
            Ran(node.name, node.op, _precision(network, node))
            for node in network.graph.nodes.values()
            if node.op != "input"
        ]

    def __call__(self, images: Tensor) -> Tensor:
        """Logits, float32, of images as ``QuantizedNetwork`` takes them.

        Raises UnsupportedError where they do not fit.
        """
        with torch_threads(self._threads):
            if len(images) <= BATCH:
                return self._network(images)
            return torch.cat([self._network(b) for b in images.split(BATCH)])


def available() -> Literal[True]:
    """True: it needs torch only."""
    return True


def load(network: QuantizedNetwork, threads: int = 0) -> Runner:
    """The network on ``threads`` threads of torch (0: as torch is set)."""
    return Runner(network, threads)


def inside(network: QuantizedNetwork, fused: bool = True) -> Callable:
    """Codes of each node's result, as ``contract.Engine`` says."""
    return walked(network, Simulated(network).compute)


def _precision(network: QuantizedNetwork, node) -> str:
    is_function = grid_placement.kind(node, network.kept) == "function"
    if is_function and network.table(node) is None:
        return "float"
    return "float" if network.grid(node.name) is None else "integer"


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Set torch's threads for a while; 0 leaves them.

    Each call of a network does so: who loads it has checked ``count``.
    """
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(count or before)
        yield
    finally:
        torch.set_num_threads(before)
