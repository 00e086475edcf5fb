"""What flows inside a network: codes of each node's result, by its name."""

from collections.abc import Callable

from torch import Tensor

from ptq.graph import Node
from ptq.quantizer import affine
from ptq.quantizer.network import QuantizedNetwork


def walked(network: QuantizedNetwork, compute: Callable) -> Callable:
    """A function from images (N, ...) to codes, int32, by the node's name.

    ``compute`` is as ``integers.Integers.compute``. Codes are told of nodes
    that have a grid.
    """

    def codes(images: Tensor) -> dict[str, Tensor]:
        found = {}

        def visit(node: Node, given: dict[str, Tensor]) -> Tensor:
            result = compute(node, given)
            if grid := network.grid(node.name):
                found[node.name] = result + grid.zero_point
            return result

        network.graph.walk(network.normalized(images), visit)
        return found

    return codes


class Simulated:
    """The simulation, from codes to codes, as exact integers compute."""

    def __init__(self, network: QuantizedNetwork):
        self._network = network

    def compute(self, node: Node, given: dict[str, Tensor]) -> Tensor:
        """A node's result: codes minus zero point, int32 of its shape.

        ``given`` has those of the nodes that it reads. What has no grid is
        float32, here and there.
        """
        reals = {name: self._real(name, v) for name, v in given.items()}
        result = self._network.compute(node, reals)
        if (grid := self._network.grid(node.name)) is None:
            return result
        return affine.quantize(result, grid) - grid.zero_point

    def _real(self, name: str, value: Tensor) -> Tensor:
        grid = self._network.grid(name)  # None of "images"
        return value if grid is None else grid.scale * value
