"""The problem that each method of rounding solves, layer by layer.

A layer multiplies patches x, of the result that it reads, by a filter v on
its grid, and shall come near the float network's result y. The bias takes up
the mean error, whatever v is. So what is left is the variance

    E(v) = v' H v - 2 v' g + constant,

where H is the covariance of the x, as the quantized network gives them, and
g that of x and y.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ptq.graph import Node
from ptq.methods.layer_moments import Moments, by_group, moments
from ptq.quantizer import weights
from ptq.quantizer.affine import Grid
from ptq.quantizer.network import Layer, QuantizedNetwork

BATCH = 64
# Added to H, as a share of its mean diagonal: fewer images than inputs of a
# filter, or inputs that are always zero, leave some weights undecided.
RIDGE = 0.01


@dataclass(frozen=True)
class Problem:
    """Of one layer, all float64; a filter has k inputs, of one group.

    ``weight`` (groups, k, C_out / groups) are the float network's filters,
    ``codes`` of the same shape and ``scale`` (groups, 1, C_out / groups)
    those to improve, from ``low`` to ``high``. ``gram`` (groups, k, k) is H.
    ``pull``, of the weights' shape, is g: toward what the filters themselves
    would make of these patches, H w, or toward the float network's results.
    With ``sign``, codes are -1 and 1 only: one bit. ``name`` is the layer's.
    """

    weight: Tensor
    codes: Tensor
    scale: Tensor
    low: int
    high: int
    gram: Tensor
    pull: Tensor
    per_channel: bool = True
    sign: bool = False
    name: str = ""

    def nearest(self, values: Tensor, scale: Tensor) -> Tensor:
        """Codes nearest to ``values``, float64 of their shape."""
        if self.sign:
            return torch.where(values < 0, -1.0, 1.0).to(values.dtype)
        return torch.round(values / scale).clamp(self.low, self.high)

    def error(self, codes: Tensor, scale: Tensor) -> Tensor:
        """E of each filter, (groups, C_out / groups), without its constant.

        ``codes`` and ``scale`` have the shapes of the problem's own.
        """
        v = codes * scale
        return (v * (self.gram @ v - 2 * self.pull)).sum(1)


Solver = Callable[[Problem], tuple[Tensor, Tensor]]


def solved(
    network: QuantizedNetwork,
    images: Tensor,
    solve: Solver,
    toward_float: bool = False,
    ridge: float = RIDGE,
    grows: bool = False,
) -> QuantizedNetwork:
    """A copy whose layers ``solve`` has made anew, one after the other.

    ``solve`` takes a Problem and returns codes and scale of its shapes. Each
    layer sees the results of those before it as they are now; ``images``,
    (N, ...) as the network takes them, need no labels. The biases are such
    that a layer's mean result is the float network's. The ``ridge`` is a
    share of H's mean diagonal; where it ``grows``, a filter with n times as
    many inputs as it sees patches has n times as much. All results that are
    still to be read are held for all images, in both networks.
    UnsupportedError where images do not fit, or a layer's sums no longer.
    """
    made = network.copy()

    def visit(node: Node, given: dict) -> tuple[Tensor, Tensor]:
        if node.op == "input":
            given = {"images": (given["images"], given["images"])}
        seen, exact = (
            {name: pair[i] for name, pair in given.items()} for i in (0, 1)
        )
        wanted = _in_parts(made.graph.compute, node, exact)
        if node.name in made.integers:
            (x,) = seen.values()
            weight, _ = made.graph.filled(node.args[1:3], {})
            of = moments(node, weight, x, wanted)
            times = max(1, weight[0].numel() / of.count) if grows else 1
            of_layer = made, node, weight, of, toward_float
            problem = _problem(*of_layer, ridge * times)
            made.integers[node.name] = _layer(made, node, of, *solve(problem))
        return _in_parts(made.compute, node, seen), wanted

    made.graph.walk(made.normalized(images), visit)
    return made


def _in_parts(compute: Callable, node: Node, given: dict) -> Tensor:
    """A node's result for all images, few at once."""
    parts = zip(*(one.split(BATCH) for one in given.values()), strict=True)
    return torch.cat(
        [compute(node, dict(zip(given, p, strict=True))) for p in parts]
    )


def _problem(made, node, weight, of: Moments, toward_float, ridge) -> Problem:
    layer = made.integers[node.name]
    groups, n = len(of.xx), len(weight)
    weight, codes, scale = (
        by_group(tensor.double(), groups)
        for tensor in (weight, layer.codes, layer.grid.scale.expand(n))
    )
    pull = of.xy if toward_float else of.xx @ weight
    least = torch.finfo(torch.float32).tiny
    added = ridge * of.xx.diagonal(dim1=1, dim2=2).mean(1).clamp(min=least)
    added = added[:, None, None]
    gram = of.xx + added * torch.eye(weight.shape[1], dtype=weight.dtype)
    low, high = layer.grid.qmin, layer.grid.qmax
    per_channel = layer.grid.axis is not None
    return Problem(
        *(weight, codes, scale, low, high, gram),
        pull + added * weight,
        per_channel,
        sign=layer.bits == 1,
        name=node.name,
    )


def _layer(made, node: Node, of: Moments, codes, scale) -> Layer:
    """The layer of these codes, and a bias that keeps the mean result."""
    before, given = made.integers[node.name], made.grid(node.inputs[0])
    bias = (of.y - (of.x[:, None] @ (codes * scale))[:, 0]).flatten()
    filters = codes.mT.reshape(before.codes.shape)
    scale = scale.flatten() if before.grid.axis == 0 else scale.max()
    return on_scale(node, before, filters, scale, bias, given)


def on_scale(
    node: Node,
    before: Layer,
    codes: Tensor,
    scale: Tensor,
    bias: Tensor,
    given: Grid,
) -> Layer:
    """A layer like ``before`` of other numbers, float64, in its dtypes.

    ``codes`` have its weight's shape, ``scale`` is () or (C_out,), ``bias``
    (C_out,) in real units, ``given`` the grid of the input. Where the bias
    would be too large, steps are made wider, as in
    ``weights.integer_layer``. UnsupportedError, naming the ``node``, where
    sums no longer fit.
    """
    step = given.scale.double()
    least = bias.abs() / step / weights.largest_bias(before.bits, given)
    least = least if scale.dim() else least.max()
    wider = scale.maximum(least).float()
    around = (-1, *[1] * (codes.dim() - 1))
    moved = torch.round(codes * (scale / wider).reshape(around))
    whole = torch.round(bias / (wider.double() * step))
    made = Layer(
        moved.to(before.codes.dtype),
        replace(before.grid, scale=wider),
        whole.to(before.bias.dtype),
    )
    return weights.checked(node, made, given)
