"""Integer weights and biases of a layer."""

import torch
from torch import Tensor

from ptq.quantizer import affine
from ptq.quantizer.affine import Grid
from ptq.quantizer.layer import Layer
from ptq.quantizer.placement import BYTE

# A bias takes at most this, so that sums on top of it fit in 32 bits.
LARGEST_BIAS = 2**30
# Where codes are wider than a byte, sums may have 64 bits.
LARGEST_WIDE_BIAS = 2**46


def is_wide(bits: int, input_grid: Grid) -> bool:
    """Whether weights of so many bits, or their input, outgrow a byte."""
    return max(bits, input_grid.qmax.bit_length()) > BYTE


def integer_layer(
    weight: Tensor, bias: Tensor | None, input_grid: Grid, bits: int, channel
) -> Layer:
    """A layer's codes, nearest to ``weight``, and its bias in whole units.

    ``weight`` is float32 (C_out, ...), ``bias`` float32 (C_out,) or None.
    Codes are -m to m with m = 2^(bits-1) - 1, on one grid for each output
    where ``channel`` is true. One bit is the weight's sign, -1 or 1, times
    the mean size, which has the least squared error (Rastegari et al., 2016,
    3.1). Where the weights are so small that the bias would need more than
    31 bits (47, where codes are wider than a byte), their step is made wider.
    """
    flat = weight.flatten(1).abs()
    if bits == 1:
        bound = flat.mean(1) if channel else flat.mean()
    else:
        bound = flat.amax(1) if channel else flat.max()
    bias = torch.zeros(len(weight)) if bias is None else bias
    most, wide = max(2 ** (bits - 1) - 1, 1), is_wide(bits, input_grid)
    largest = LARGEST_WIDE_BIAS if wide else LARGEST_BIAS
    least = bias.abs() / (input_grid.scale * largest)
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
    whole = torch.round(bias.double() / unit)
    codes = affine.quantize(weight, grid)
    if bits == 1:
        codes = 1 - 2 * (weight < 0).int()
    return Layer(
        codes.to(torch.int8 if bits <= BYTE else torch.int16),
        grid,
        whole.to(torch.int64 if wide else torch.int32),
    )
