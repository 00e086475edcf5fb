"""Integer weights and biases of a layer."""

import torch
from torch import Tensor

from ptq.quantizer import affine
from ptq.quantizer.affine import Grid
from ptq.quantizer.layer import Layer

# A bias takes at most this, so that sums on top of it fit in int32.
LARGEST_BIAS = 2**30


def integer_layer(
    weight: Tensor, bias: Tensor | None, input_grid: Grid, bits: int, channel
) -> Layer:
    """A layer's codes, nearest to ``weight``, and its bias in whole units.

    ``weight`` is float32 (C_out, ...), ``bias`` float32 (C_out,) or None.
    Codes are -m to m with m = 2^(bits-1) - 1, on one grid for each output
    where ``channel`` is true. Where the weights are so small that the bias
    would need more than 31 bits, their step is made wider.
    """
    flat = weight.flatten(1).abs()
    bound = flat.amax(1) if channel else flat.max()
    bias = torch.zeros(len(weight)) if bias is None else bias
    most = 2 ** (bits - 1) - 1
    least = bias.abs() / (input_grid.scale * LARGEST_BIAS)
    least = least if channel else least.max()
    axis = 0 if channel else None
    grid = affine.symmetric_grid(
        bound.maximum(least * most),
        -most,
        most,
        axis,
        smallest=affine.TINY_SCALE,
    )
    unit = grid.scale.double() * input_grid.scale.double()
    whole = torch.round(bias.double() / unit).to(torch.int32)
    return Layer(affine.quantize(weight, grid).to(torch.int8), grid, whole)
