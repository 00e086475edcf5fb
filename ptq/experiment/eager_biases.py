"""Biases of integer networks shifted: in order, and as published."""

import copy
from collections.abc import Iterable

from torch import Tensor, nn

from ptq.engines import eager_layers
from ptq.graph.module_outputs import capture
from ptq.methods.bias_correction import mean_shift
from ptq.networks.compact_cnn import LAYERS


def correct_biases(
    network: nn.Module, quantized: nn.Module, images: Tensor
) -> nn.Module:
    """A copy of ``quantized`` whose layers agree with ``network`` on average.

    Goes from input to output, so that the correction of a layer includes the
    effect of the corrected layers before it (Nagel et al., 2019, 4.2).
    ``network`` is the folded float network that ``quantized`` was made of;
    ``images`` is float32 (N, 3, 32, 32). Both networks are kept. Raises
    ValueError where a layer has no bias, KeyError where ``network`` lacks a
    layer, InputError where images are none, not float32, or not finite.
    """
    corrected = copy.deepcopy(quantized)
    layers = eager_layers.quantized_layers(corrected)
    # In the order of execution, not of their names.
    for name, wanted in capture(network, layers, images).items():
        found = outputs_before_relu(corrected, [name], images)
        shift = mean_shift(wanted, found[name])
        eager_layers.add_to_bias(layers[name], shift)
    return corrected


def outputs_before_relu(
    quantized: nn.Module, names: Iterable[str], images: Tensor
) -> dict[str, Tensor]:
    """Outputs of quantized layers for their own quantized inputs.

    ``images`` is float32 (N, 3, 32, 32); outputs are float32 (N, C, H, W) or
    (N, C), by layer, before ReLU and rounding. Raises KeyError where a name
    is no quantized layer, InputError where images cannot be shown.
    """
    layers = eager_layers.quantized_layers(quantized)
    inside = {name: f"module.{name}" for name in names}
    inputs = capture(quantized, inside.values(), images, at="input")
    return {
        name: eager_layers.pre_activation(layers[name], inputs[path])
        for name, path in inside.items()
    }


def published_shifts(
    network: nn.Module, prepared: nn.Module, images: Tensor
) -> dict[str, Tensor]:
    """The published shifts: float outputs minus *prepared* outputs.

    ``prepared`` has observers but no quantization yet, so it computes what
    ``network`` computes, and every shift is zero. ``images`` is float32
    (N, 3, 32, 32); shifts are float32 (C,), by layer of ``LAYERS``.
    """
    wanted = capture(network, LAYERS, images)
    found = capture(prepared, [f"module.{name}" for name in LAYERS], images)
    return {
        name: mean_shift(wanted[name], found[f"module.{name}"])
        for name in LAYERS
    }


def apply_published(
    prepared: nn.Module, shifts: dict[str, Tensor]
) -> nn.Module:
    """A copy with the shifts added where a layer has a bias, as published.

    ``shifts`` holds float32 (C,) by layer of ``prepared``.
    """
    shifted = copy.deepcopy(prepared)
    for name, shift in shifts.items():
        bias = getattr(shifted.module, name).bias
        if bias is not None:
            bias.data += shift
    return shifted
