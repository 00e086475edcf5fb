"""Why an engine's code is another than the exact one: what can be shown.

Each cause is a statement that can be false. A code is called a tie, for
instance, only if the exact value lies within float32's last digits of the
middle of two codes, and the engine gave one of these two. What no statement
explains is "unknown".
"""

from collections import Counter

import torch
from torch import Tensor

from ptq.engines import saturating_sums
from ptq.graph import Graph, Node
from ptq.graph.operations import operation
from ptq.quantizer.network import QuantizedNetwork

TIE = "tie"  # exactly halfway between two codes
NEAR_TIE = "near tie"  # halfway, as far as float32 can tell
FLOAT = "float"  # the same, and the operation ran in float
CLIPPING = "clipping"
SATURATION = "saturation"
FUSION = "fusion"
UNKNOWN = "unknown"
# Relative errors: of float64, and of a few operations in float32.
EXACT, ROUGH = 2.0**-44, 2.0**-20
# Saturated sums cost much: they are formed for so many images.
FEW = 4


def exact_values(
    network: QuantizedNetwork, node: Node, given: dict[str, Tensor]
) -> Tensor:
    """A node's result in steps of its grid, not rounded nor clipped.

    It is float64, of the same shape, counted from the zero point.
    ``given`` has the codes of the nodes that it reads, minus their zero
    points, int32, or "images" in float32.
    """
    step = network.grid(node.name).scale.double()
    if node.op == "input":
        return given["images"].double() / step
    if node.name not in network.integers:
        reals = {
            name: network.grid(name).scale.double() * codes
            for name, codes in given.items()
        }
        return _in_float64(network.graph, node, reals) / step
    layer, (name,) = network.integers[node.name], node.inputs
    numbers = (given[name], layer.codes, layer.bias)
    sums = operation(node.op).run(
        *(t.double() for t in numbers), *node.args[3:]
    )
    return sums * _ratio(network, node)


def _in_float64(graph: Graph, node: Node, reals: dict) -> Tensor:
    args = (
        arg.double()
        if isinstance(arg, Tensor) and arg.is_floating_point()
        else arg
        for arg in graph.filled(node.args, reals)
    )
    return operation(node.op).run(*args)


def _ratio(network: QuantizedNetwork, node: Node) -> Tensor:
    """s_x s_w / s_y, float64, broadcast over the node's result."""
    ratio = network.unit(node, torch.float64)
    ratio = ratio / network.grid(node.name).scale.double()
    channel_last = node.op == "linear"
    around = () if channel_last else (1,) * (len(node.shape) - 2)
    return ratio.reshape(-1, *around)


def causes(
    network: QuantizedNetwork,
    node: Node,
    given: dict[str, Tensor],
    mine: Tensor,
    theirs: Tensor,
    in_float: bool = False,
) -> Counter:
    """How many of an engine's codes differ, by the cause.

    ``mine`` are the exact codes of a node and ``theirs`` the engine's, int32
    of its shape, minus zero point, both made of ``given``, as
    ``exact_values`` takes it. ``in_float`` tells that it ran in float.
    """
    left = mine != theirs
    if not left.any():
        return Counter()
    value, found = exact_values(network, node, given), Counter()
    tries = {
        TIE: lambda: _rounded(value, theirs, EXACT, network, node),
        FLOAT if in_float else NEAR_TIE: lambda: _rounded(
            value, theirs, ROUGH, network, node
        ),
        CLIPPING: lambda: _clipped_elsewhere(
            value, theirs, left, network, node
        ),
        SATURATION: lambda: _saturated(network, node, given, theirs, left),
    }
    for cause, explains in tries.items():
        if left.any():
            explained = left & explains()
            found[cause] = int(explained.sum())
            left = left & ~explained
    found[UNKNOWN] = int(left.sum())
    return +found


def _rounded(value, theirs, relative, network, node) -> Tensor:
    """Where both neighbours are right, as the value lies between them."""
    grid = network.grid(node.name)
    zero = int(grid.zero_point)
    slack = relative * (value.abs() + grid.qmax)
    clipped = value.clamp(grid.qmin - zero, grid.qmax - zero)
    return (clipped - theirs).abs() <= 0.5 + slack


def _clipped_elsewhere(value, theirs, left, network, node) -> Tensor:
    """Where the exact value is clipped, and by the engine at another end.

    An end inside the grid must explain all that is left to explain.
    """
    grid = network.grid(node.name)
    zero = int(grid.zero_point)
    low, high = grid.qmin - zero, grid.qmax - zero
    beyond = (value > high + 0.5) | (value < low - 0.5)
    unclipped = beyond & ((value - theirs).abs() <= 0.5 + ROUGH * high)
    least, most = theirs.aminmax()  # no code of the engine is beyond them
    inner = (value > most + 0.5) & (theirs == most)
    inner |= (value < least - 0.5) & (theirs == least)
    both = unclipped | inner
    return both if both[left].all() else unclipped


def _saturated(network, node, given, theirs, left) -> Tensor:
    """All that is left, where sums of saturated pairs explain some images.

    Each order of products is tried; all codes that are left in the images
    tried must be those of the saturated sums.
    """
    layer = network.integers.get(node.name)
    if layer is None or len(node.shape) not in (2, 4):
        return torch.zeros_like(left)
    grids = network.grid(node.inputs[0]), network.grid(node.name)
    zeros = [int(grid.zero_point) for grid in grids]
    some = left.flatten(1).any(1).nonzero()[:FEW, 0]
    codes = given[node.inputs[0]][some] + zeros[0]
    for order in saturating_sums.ORDERS:
        sums = saturating_sums.layer_sums(node, layer, codes, zeros[0], order)
        value = sums * _ratio(network, node)
        told = _rounded(value, theirs[some], ROUGH, network, node)
        if told[left[some]].all():
            return left
    return torch.zeros_like(left)
