"""Functions of one number as tables over codes.

A function that reads codes and puts out codes has as many results as its
input has codes: 256 of a byte (for each channel, where constants differ).
They are computed in float64, so that they are the same on every machine.
"""

import torch
from torch import Tensor

from ptq.graph import Graph, Node
from ptq.graph.operations import operation
from ptq.quantizer import affine
from ptq.quantizer.affine import Grid

# Each result depends on one number, and on constants of its channel.
BY_NUMBER = frozenset(
    {
        *("add_constant", "mul_constant", "batch_norm", "clip", "pow"),
        "minimum",
        *("sigmoid", "hardsigmoid", "tanh", "exp", "sqrt", "abs", "neg"),
        *("silu", "hardswish", "gelu", "mish", "softplus"),
        *("elu", "selu", "leaky_relu", "prelu"),
    }
)


def table(graph: Graph, node: Node, given: Grid, made: Grid) -> Tensor | None:
    """Codes of the results, int32 (codes, C), for each code of ``given``.

    ``node.op`` is one of ``BY_NUMBER``, ``given`` and ``made`` are the grids
    of the node's input and result; C is the size of dimension 1. None where
    constants differ inside a channel, or a result is NaN.
    """
    shape = graph.nodes[node.inputs[0]].shape
    count = given.qmax - given.qmin + 1
    around = (count, shape[1], *(1 for _ in shape[2:]))
    codes = torch.arange(given.qmin, given.qmax + 1)
    values = given.scale.double() * (codes - given.zero_point)
    column = values.reshape(-1, *(1 for _ in shape[1:])).expand(around)
    filled = graph.filled(node.args, {node.inputs[0]: column})
    results = operation(node.op).run(*map(_precise, filled))
    if results.shape != around or results.isnan().any():
        return None
    return _nearest(results, made).reshape(around[:2])


def look_up(x: Tensor, entries: Tensor, given: Grid, made: Grid) -> Tensor:
    """Values on the grid ``made``, float32, of ``x`` on the grid ``given``.

    ``x`` is float32 (N, C, ...), ``entries`` what ``table`` made.
    """
    channels = entries.shape[1]
    channel = torch.arange(channels).reshape(-1, *(1 for _ in x.shape[2:]))
    codes = affine.quantize(x, given) - given.qmin
    found = entries.flatten()[codes * channels + channel]
    return affine.dequantize(found, made)


def _precise(arg):
    is_float = isinstance(arg, Tensor) and arg.is_floating_point()
    return arg.double() if is_float else arg


def _nearest(values: Tensor, grid: Grid) -> Tensor:
    codes = torch.round(values / grid.scale.double()) + grid.zero_point
    return codes.clamp(grid.qmin, grid.qmax).to(torch.int32)
