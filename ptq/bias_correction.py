"""Biases shifted so that quantized layers are right on average."""

import copy
from collections.abc import Iterable

from torch import Tensor, nn

from ptq import engines
from ptq.networks import LAYERS, capture


def mean_shift(wanted: Tensor, found: Tensor) -> Tensor:
    """Mean of ``wanted - found`` for each channel. Equation (eq-bias-shift).

    Both are float32 (N, C, H, W) or (N, C) at the same point of two
    networks; returns (C,). The mean is over images and positions.
    """
    over = [axis for axis in range(wanted.dim()) if axis != 1]
    return (wanted - found).mean(over)


def correct_biases(
    network: nn.Module, quantized: nn.Module, images: Tensor
) -> nn.Module:
    """A copy of ``quantized`` whose layers agree with ``network`` on average.

    Goes from input to output, so that each layer is corrected for what the
    corrected layers before it really hand on (Nagel et al., 2019, 4.2).
    ``network`` is the folded float network that ``quantized`` was made of,
    with its layers listed in the order in which they run; ``images`` is
    float32 (N, 3, 32, 32).
    """
    corrected = copy.deepcopy(quantized)
    layers = engines.integer_layers(corrected)
    wanted = capture(network, layers, images)
    for name, layer in layers.items():
        found = outputs_before_relu(corrected, [name], images)
        engines.add_to_bias(layer, mean_shift(wanted[name], found[name]))
    return corrected


def outputs_before_relu(
    quantized: nn.Module, names: Iterable[str], images: Tensor
) -> dict[str, Tensor]:
    """Outputs of integer layers on their own quantized inputs, float32."""
    layers = engines.integer_layers(quantized)
    inside = {name: f"module.{name}" for name in names}
    inputs = capture(quantized, inside.values(), images, at="input")
    return {
        name: engines.pre_activation(layers[name], inputs[path])
        for name, path in inside.items()
    }


def published_shifts(
    network: nn.Module, prepared: nn.Module, images: Tensor
) -> dict[str, Tensor]:
    """The published shifts: float outputs minus *prepared* outputs.

    ``prepared`` has observers but no quantization yet, so it computes what
    ``network`` computes, and every shift is zero.
    """
    wanted = capture(network, LAYERS, images)
    found = capture(prepared, [f"module.{name}" for name in LAYERS], images)
    return {
        name: mean_shift(wanted[name], found[f"module.{name}"])
        for name in LAYERS
    }


def apply_published(prepared: nn.Module, shifts: dict[str, Tensor]) -> None:
    """Add the shifts to the layers that have a bias, as published."""
    for name, shift in shifts.items():
        bias = getattr(prepared.module, name).bias
        if bias is not None:
            bias.data += shift
