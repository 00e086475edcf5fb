"""Layers of a network that torch_eager made: codes, grids, sums, biases."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ptq import input_checks
from ptq.engines.eager_settings import layers as nnq
from ptq.engines.eager_settings import quiet

# Large enough for eight products of bytes on a grid of 256 points.
SUM_STEP = 2048.0


def quantized_layers(quantized: nn.Module) -> dict[str, nn.Module]:
    """Name to module of the quantized convolutions and linear layers."""
    return {
        name.removeprefix("module."): module
        for name, module in quantized.named_modules()
        if isinstance(module, nnq.Conv2d | nnq.Linear)
    }


def weight_codes(layer: nn.Module) -> tuple[Tensor, float]:
    """int8 weight codes of a quantized layer, and their scale.

    The codes have the shape of the weights, (C, I, H, W) or (C, F); there
    is one scale for all. Raises RuntimeError, torch's, for weights with a
    grid per channel.
    """
    weight = layer.weight()
    return weight.int_repr(), weight.q_scale()


def weight_scales(quantized: nn.Module) -> dict[str, float]:
    """Scale of each quantized layer's weight codes, in the weights' unit.

    Raises RuntimeError as ``weight_codes`` does.
    """
    return {
        name: weight_codes(layer)[1]
        for name, layer in quantized_layers(quantized).items()
    }


def activation_scales(quantized: nn.Module) -> dict[str, tuple[float, int]]:
    """Scale and zero point of each module whose outputs are codes, by name.

    "quant" is the input's grid. The scale has the unit of the values.
    """
    return {
        name.removeprefix("module."): (float(m.scale), int(m.zero_point))
        for name, m in quantized.named_modules()
        if hasattr(m, "scale") and hasattr(m, "zero_point")
    }


@torch.no_grad()
def pre_activation(layer: nn.Module, x: Tensor) -> Tensor:
    """What a quantized layer sums up for ``x``, before ReLU and rounding.

    ``x`` is the layer's dequantized input, float32 (N, I, H, W) or (N, F);
    the result is float32 (N, C, H, W) or (N, C).
    """
    weight, bias = layer.weight().dequantize(), layer.bias()
    if isinstance(layer, nnq.Conv2d):
        shape = layer.stride, layer.padding, layer.dilation, layer.groups
        return nn.functional.conv2d(x, weight, bias, *shape)
    return nn.functional.linear(x, weight, bias)


@torch.no_grad()
def add_to_bias(layer: nn.Module, shift: Tensor) -> None:
    """Add ``shift``, float32 (C,), to the bias of a quantized layer.

    The layer is changed. Raises ValueError where it has no bias, or the
    shift is not as long and finite.
    """
    bias = layer.bias()
    if bias is None:
        raise ValueError("this layer has no bias: fold BN into it first")
    if shift.shape != bias.shape:
        raise ValueError(
            f"shift of shape {tuple(shift.shape)}: expected "
            f"{tuple(bias.shape)}, one for each channel"
        )
    input_checks.check_finite("shift", shift)
    layer.set_weight_bias(layer.weight(), bias + shift)


@quiet
@torch.no_grad()
def linear_sum(x: Tensor, w: Tensor) -> int:
    """What the selected engine computes for a sum of products of codes.

    ``x`` is uint8 (K,), ``w`` int8 (K,) with K up to 8; both have scale 1
    and zero point 0. The result leaves the engine on a grid of step
    ``SUM_STEP``, so it is exact to half of that.
    """
    packed = torch.ops.quantized.linear_prepack(_codes(w[None]), None)
    summed = torch.ops.quantized.linear(
        _codes(x[None]), packed, SUM_STEP, 128
    )
    return int(summed.dequantize())


def _codes(codes: Tensor) -> Tensor:
    """uint8 or int8 codes as torch's quantized tensor with scale 1."""
    return torch._make_per_tensor_quantized_tensor(codes, 1.0, 0)


@dataclass(frozen=True)
class Change:
    """What differs in one quantized layer between two networks.

    ``weights`` counts weights of another value, ``bias`` is the largest move
    of a bias, ``grid`` tells whether the output's grid is another.
    """

    weights: int
    bias: float
    grid: bool

    def __bool__(self) -> bool:
        """True where anything differs."""
        return bool(self.weights or self.bias or self.grid)


@torch.no_grad()
def changes(before: nn.Module, after: nn.Module) -> dict[str, Change]:
    """Compare two quantized networks number by number, layer by layer.

    Raises ValueError where they do not have the same quantized layers.
    """
    first, second = (quantized_layers(n) for n in (before, after))
    if first.keys() != second.keys():
        raise ValueError(
            f"quantized layers {', '.join(first) or 'none'} and "
            f"{', '.join(second) or 'none'}: expected the same ones"
        )
    return {name: _change(first[name], second[name]) for name in first}


def _change(before: nn.Module, after: nn.Module) -> Change:
    weights = [layer.weight().dequantize() for layer in (before, after)]
    biases = [
        torch.zeros(1) if layer.bias() is None else layer.bias()
        for layer in (before, after)
    ]
    grids = [(float(m.scale), int(m.zero_point)) for m in (before, after)]
    return Change(
        weights=int((weights[0] != weights[1]).sum()),
        bias=float((biases[1] - biases[0]).abs().max()),
        grid=grids[0] != grids[1],
    )
