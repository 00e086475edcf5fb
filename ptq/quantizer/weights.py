"""Integer weights and biases of a layer."""

import torch
from torch import Tensor

from ptq.graph import Node, UnsupportedError
from ptq.quantizer import affine
from ptq.quantizer.affine import Grid
from ptq.quantizer.grid_placement import BYTE
from ptq.quantizer.layer import Layer

# A bias takes at most this, so that sums on top of it fit in 32 bits.
LARGEST_BIAS = 2**30
# Where codes are wider than a byte, sums may have 64 bits.
LARGEST_WIDE_BIAS = 2**46
# What sums of products of bytes have in an engine, and of wider codes in
# ``engines.integers``, which leaves room for a multiplier.
SUM_BITS, WIDE_SUM_BITS = 32, 52


def is_wide(bits: int, input_grid: Grid) -> bool:
    """Whether weights of so many bits, or their input, outgrow a byte."""
    return max(bits, input_grid.qmax.bit_length()) > BYTE


def largest_bias(bits: int, input_grid: Grid) -> int:
    """The most units that a bias takes beside weights of so many bits."""
    wide = is_wide(bits, input_grid)
    return LARGEST_WIDE_BIAS if wide else LARGEST_BIAS


def checked(node: Node, layer: Layer, input_grid: Grid) -> Layer:
    """The layer, once its sums are known to fit, whatever the images are.

    Raises UnsupportedError, naming the node, where they may need more than
    32 bits (52, where codes are wider than a byte).
    """
    wide = is_wide(layer.bits, input_grid)
    room = WIDE_SUM_BITS if wide else SUM_BITS
    if layer.largest_sum(input_grid) >= 2 ** (room - 1):
        raise UnsupportedError(
            f"{node}: its sums may need more than {room} bits: fewer "
            "weight_bits, or keep it in float by keep_float"
        )
    return layer


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
    least = bias.abs() / (input_grid.scale * largest_bias(bits, input_grid))
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
