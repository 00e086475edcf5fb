"""Blocks of a network, and its steps with gradients that pass rounding."""

from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import Tensor

from ptq.graph import Graph, Node
from ptq.graph.operations import operation
from ptq.methods.rounding_problems import on_scale
from ptq.quantizer import affine, grid_placement
from ptq.quantizer.affine import Grid
from ptq.quantizer.network import QuantizedNetwork

BATCH = 64
Step = Callable[[Node, dict[str, Tensor]], Tensor]


def blocks(graph: Graph) -> list[list[Node]]:
    """All nodes in order, in parts that hand on one result only.

    Each part has a layer that mixes channels, so that a depthwise
    convolution stays with the next one; a residual sum stays with both of
    its branches, and a part takes what follows it up to the next layer.
    """
    found, part, end = [], [], 0
    left, alive = Counter(graph.reads()), set()
    for node in graph.nodes.values():
        kind = operation(node.op).kind
        if end and (kind == "layer" or not alive <= {part[-1].name}):
            found.append(part[:end])
            part, end = part[end:], 0
        part.append(node)
        left.subtract(node.inputs)
        alive = {n for n in alive | {node.name} if left[n]}
        if alive <= {node.name} and any(map(_mixes, part)):
            end = len(part)
    return [*found, part]


def _mixes(node: Node) -> bool:
    """Whether a layer reads more than one channel for each of its own."""
    if node.op == "convolution":
        return node.args[6] == 1
    return operation(node.op).kind == "layer"


def run(block: list[Node], step: Step, x: Tensor) -> Tensor:
    """A block's last result, (N, ...), of what it reads, float32 (N, ...).

    ``step(node, given)`` makes a node's value, as in ``Graph.walk``.
    """
    values = {}
    for node in block:
        given = {name: values.get(name, x) for name in node.inputs}
        values[node.name] = step(node, given or {"images": x})
    return values[block[-1].name]


@torch.no_grad()
def run_all(block: list[Node], step: Step, x: Tensor) -> Tensor:
    """``run`` without gradients, few images at once; float32 (N, ...)."""
    return torch.cat([run(block, step, part) for part in x.split(BATCH)])


def differentiable(
    network: QuantizedNetwork,
    filters: Mapping[str, tuple[Tensor, Tensor]],
    rounded: Callable[[Tensor, Grid], Tensor],
) -> Step:
    """A step of ``network`` through which gradients pass.

    ``filters`` are float32 weight and bias of layers by name; other integer
    layers have their own. ``rounded(x, grid)`` puts a result onto its grid.
    """
    return partial(_step, network, filters, rounded)


def _step(network, filters, rounded, node: Node, given: dict) -> Tensor:
    if node.name in network.integers:
        (x,) = given.values()
        weight, bias = filters.get(node.name) or own_filters(network, node)
        result = operation(node.op).run(x, weight, bias, *node.args[3:])
    else:
        result = network.graph.compute(node, given)
    grid = network.grid(node.name)
    moves = grid_placement.kind(node, network.kept) == "move"
    if grid is None or moves and node.op != "clamp":
        return result
    return rounded(result, grid)


def own_filters(
    network: QuantizedNetwork, node: Node
) -> tuple[Tensor, Tensor]:
    """What codes stand for: float32 weight (C_out, ...), bias (C_out,)."""
    layer = network.integers[node.name]
    weight = affine.dequantize(layer.codes, layer.grid)
    return weight, layer.bias * network.unit(node)


def straight_through(x: Tensor, grid: Grid) -> Tensor:
    """``affine.fake_quantize`` whose slope is 1 inside the grid, 0 beyond.

    float32 (N, ...) in and out; the grid has shape ().
    The straight-through estimator of Bengio et al. (2013), arXiv 1308.3432.
    """
    return torch.fake_quantize_per_tensor_affine(
        x, grid.scale, grid.zero_point, grid.qmin, grid.qmax
    )


def along_outputs(numbers: Tensor, weight: Tensor) -> Tensor:
    """``numbers``, () or (C_out,), shaped to broadcast against ``weight``.

    The result is (C_out, 1, ...), or (1, 1, ...).
    """
    return numbers.reshape(-1, *(1 for _ in weight.shape[1:]))


def write(
    network: QuantizedNetwork,
    node: Node,
    codes: Tensor,
    scale: Tensor,
    bias: Tensor,
) -> None:
    """Give a layer these codes, scale and bias, as ``on_scale`` takes them.

    ``codes`` are (C_out, ...), ``scale`` () or (C_out,), ``bias`` (C_out,).
    UnsupportedError where its sums no longer fit.
    """
    numbers = (one.detach().double() for one in (codes, scale, bias))
    layer, given = network.integers[node.name], network.grid(node.inputs[0])
    network.integers[node.name] = on_scale(node, layer, *numbers, given)
