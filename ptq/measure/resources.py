"""What a network costs: bytes and multiply-accumulates."""

import tempfile
from pathlib import Path

import torch
from torch import Tensor, nn

from ptq.graph import module_outputs
from ptq.quantizer.network import QuantizedNetwork


def payload_bytes(network: nn.Module) -> int:
    """Bytes of all numbers in the network's state, without file headers.

    The network may be a float or an integer one.
    """

    def count(value) -> int:
        if isinstance(value, Tensor):
            return value.numel() * value.element_size()
        if isinstance(value, tuple | list):
            return sum(count(part) for part in value)
        return 0

    return sum(count(value) for value in network.state_dict().values())


def packed_bytes(network: QuantizedNetwork, coded: bool = False) -> int:
    """The size of the file that ``save`` writes, in bytes; errors are its."""
    with tempfile.TemporaryDirectory() as folder:
        return network.save(Path(folder) / "packed", coded)


def counted_bytes(
    network: nn.Module, bits: dict[str, int], folded: bool
) -> dict[str, int]:
    """Bytes that a network of these widths needs, by what they hold.

    Counted from the shapes of the float ``network`` and the weight ``bits``
    of its layers, not from any saved state, so that the two can disagree. A
    grid of codes is a scale of 4 bytes and a zero point of 8 (of 4 behind
    an unfolded BN).
    """
    layers = {name: getattr(network, name) for name in bits}
    integer = [name for name, width in bits.items() if width < 32]
    weights = sum(n.weight.numel() * bits[k] for k, n in layers.items()) // 8
    biases = sum(
        4 * len(layer.weight)
        for layer in layers.values()
        if folded or layer.bias is not None
    )
    grids = 12 * (1 + len(layers)) if integer else 0
    norms = 0
    for conv, bn, *_ in () if folded else network.blocks:
        norms += 4 * 4 * getattr(network, bn).num_features + 8
        grids += 8 if conv in integer else 0
    return {"weights": weights, "biases": biases, "BN": norms, "grids": grids}


def macs(network: nn.Module, shape: tuple[int, ...]) -> dict[str, int]:
    """Multiply-accumulates for one image, per convolution and linear.

    ``shape`` is that of an image, (C, H, W). Raises InputError where it
    does not fit the network.
    """
    layers = {
        name: module
        for name, module in network.named_modules()
        if isinstance(module, nn.Conv2d | nn.Linear)
    }
    outputs = module_outputs.capture(network, layers, torch.zeros(1, *shape))
    return {
        name: outputs[name].numel() * module.weight[0].numel()
        for name, module in layers.items()
    }
