"""Scales of least squared error of the weights, in place of min-max ones."""

from dataclasses import replace

import torch
from torch import Tensor

from ptq.methods.rounding_problems import on_scale
from ptq.quantizer.affine import SMALLEST_SCALE
from ptq.quantizer.network import QuantizedNetwork

# Shares of the largest weight that the largest code is tried at.
SHARES = torch.linspace(0.2, 1.0, 81, dtype=torch.float64)
ROUNDS = 10
FULL_BITS = 8


def least_error_grids(
    network: QuantizedNetwork, full_range: bool = True
) -> QuantizedNetwork:
    """A copy whose weights lie on the grids that move them least.

    Below 8 bits codes are then -2^(bits-1) to 2^(bits-1) - 1, one more than
    a symmetric range, unless ``full_range`` is false. Biases stay, in units
    of the new scales; so does a layer of one bit, whose scale is such that
    the error is least. UnsupportedError where a layer's sums no longer fit.
    """
    made = network.copy()
    for name, layer in made.integers.items():
        if layer.bits == 1:
            continue
        node = made.graph.nodes[name]
        weight, _ = made.graph.filled(node.args[1:3], {})
        wide = full_range and layer.bits < FULL_BITS
        low = -layer.grid.qmax - wide
        channels = len(weight) if layer.grid.axis == 0 else 1
        flat = weight.double().reshape(channels, -1)
        codes, scale = least_error(flat, low, layer.grid.qmax)
        before = replace(layer, grid=replace(layer.grid, qmin=low))
        made.integers[name] = on_scale(
            node,
            before,
            codes.reshape(weight.shape),
            scale[:, 0] if layer.grid.axis == 0 else scale[0, 0],
            layer.bias * made.unit(node).double(),
            made.grid(node.inputs[0]),
        )
    return made


def least_error(weight: Tensor, low: int, high: int) -> tuple[Tensor, Tensor]:
    """Codes (C, k) and scales (C, 1), float64, of least squared error.

    ``weight`` is float64 (C, k). The best of 81 scales, and then the best
    scale for its codes and the best codes for that, in turn, which never
    makes the error larger.
    """

    def nearest(scale: Tensor) -> Tensor:
        return torch.round(weight / scale).clamp(low, high)

    bound = weight.abs().amax(1, keepdim=True)
    tried = (SHARES[:, None, None] * bound / high).clamp(SMALLEST_SCALE)
    errors = [(nearest(s) * s - weight).square().sum(1) for s in tried]
    best = torch.stack(errors).argmin(0)
    scale = tried[best, torch.arange(len(weight))]
    for _ in range(ROUNDS):
        codes = nearest(scale)
        up = (codes * weight).sum(1, keepdim=True)
        down = codes.square().sum(1, keepdim=True)
        scale = torch.where(up > 0, up / down, scale)
    return nearest(scale), scale
