"""PyTorch's integer engine; the one module that uses torch.ao.quantization.

The eager-mode flow that the reproduced work uses is deprecated: when it
goes, only this file has to change.
"""

import copy
import functools
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.ao import quantization as ao
from torch.ao.nn import quantized as nnq

from ptq import networks, paths

PREFERRED = ("x86", "fbgemm", "qnnpack", "onednn")


class EngineError(ValueError):
    """This machine has no such engine."""


def available() -> list[str]:
    """Integer engines of this build of torch, the preferred one first."""
    found = torch.backends.quantized.supported_engines
    return [name for name in PREFERRED if name in found]


def choose(name: str = "auto") -> str:
    """The engine ``name``, or the preferred one for "auto".

    Raises EngineError, naming the engines of this machine.
    """
    engines = available()
    if name == "auto" and engines:
        return engines[0]
    if name not in engines:
        known = ", ".join(engines) or "none"
        raise EngineError(
            f"engine={name!r}: this machine has {known}; expected one of "
            "these or 'auto'"
        )
    return name


def select(name: str = "auto") -> str:
    """Make torch pack and run integer layers with the chosen engine."""
    chosen = choose(name)
    torch.backends.quantized.engine = chosen
    return chosen


def _quiet(function: Callable) -> Callable:
    """Silence torch's notices that this API is deprecated, nothing else."""

    @functools.wraps(function)
    def call(*args, **kwargs):
        with warnings.catch_warnings():
            for message in (
                r"torch\.ao\.quantization is deprecated",
                r".*quantized tensor creation functions",
                r".*reduce_range will be deprecated",
                r"TypedStorage is deprecated",
            ):
                warnings.filterwarnings("ignore", message)
            return function(*args, **kwargs)

    return call


@_quiet
def prepare(
    network: nn.Module,
    fuse: Iterable[tuple[str, ...]] = (),
    keep_float: Iterable[tuple[str, ...]] = (),
) -> nn.Module:
    """A copy of ``network`` with stubs and observers (default qconfig).

    ``fuse`` lists groups of modules to fuse first. ``keep_float`` lists
    islands, each of modules that follow one another: they stay float32.
    """
    copied = copy.deepcopy(network).eval()
    if groups := [list(group) for group in fuse]:
        copied = ao.fuse_modules(copied, groups)
    wrapped = ao.QuantWrapper(copied)
    wrapped.qconfig = ao.default_qconfig
    for island in keep_float:
        _island(wrapped, island)
    return ao.prepare(wrapped)


def _island(wrapped: nn.Module, names: tuple[str, ...]) -> None:
    """Leave the modules ``names`` in float, with stubs at the shores.

    Where the island begins or ends with the network, the wrapper's own stub
    goes instead, so that nothing is quantized only to be dequantized.
    """
    network = wrapped.module
    for name in names:
        getattr(network, name).qconfig = None
    children = [name for name, _ in network.named_children()]
    parts = {name: [getattr(network, name)] for name in names}
    if names[0] == children[0]:
        wrapped.quant = nn.Identity()
    else:
        parts[names[0]].insert(0, ao.DeQuantStub())
    if names[-1] == children[-1]:
        wrapped.dequant = nn.Identity()
    else:
        parts[names[-1]].append(ao.QuantStub())
    for name, modules in parts.items():
        if len(modules) > 1:
            setattr(network, name, nn.Sequential(*modules))


@_quiet
def convert(prepared: nn.Module, images: Tensor) -> nn.Module:
    """Show ``images`` to the observers, then make the layers integer.

    ``images`` is float32 (N, 3, 32, 32). The prepared network is kept.
    """
    with torch.no_grad():
        prepared(images)
        return ao.convert(prepared)


def fuse_modules(network: nn.Module, groups: Iterable[tuple]) -> nn.Module:
    """torch's own fusion, to check ours against; returns a copy."""
    copied = copy.deepcopy(network).eval()
    return _quiet(ao.fuse_modules)(copied, [list(g) for g in groups])


def integer_layers(quantized: nn.Module) -> dict[str, nn.Module]:
    """Name to module of the integer convolutions and linear layers."""
    return {
        name.removeprefix("module."): module
        for name, module in quantized.named_modules()
        if isinstance(module, nnq.Conv2d | nnq.Linear)
    }


def weight_codes(layer: nn.Module) -> tuple[Tensor, float]:
    """int8 weight codes of an integer layer, and their scale."""
    weight = layer.weight()
    return weight.int_repr(), weight.q_scale()


def activation_scales(quantized: nn.Module) -> dict[str, tuple[float, int]]:
    """Scale and zero point of each module that puts out codes."""
    return {
        name.removeprefix("module."): (float(m.scale), int(m.zero_point))
        for name, m in quantized.named_modules()
        if hasattr(m, "scale") and hasattr(m, "zero_point")
    }


@torch.no_grad()
def pre_activation(layer: nn.Module, x: Tensor) -> Tensor:
    """What an integer layer sums up for ``x``, before ReLU and rounding.

    ``x`` is the layer's dequantized input, float32; so is the result.
    """
    weight, bias = layer.weight().dequantize(), layer.bias()
    if isinstance(layer, nnq.Conv2d):
        return nn.functional.conv2d(
            x, weight, bias, layer.stride, layer.padding
        )
    return nn.functional.linear(x, weight, bias)


@torch.no_grad()
def add_to_bias(layer: nn.Module, shift: Tensor) -> None:
    """Add ``shift``, float32 (C,), to the bias of an integer layer."""
    bias = layer.bias()
    if bias is None:
        raise ValueError("this layer has no bias: fold BN into it first")
    layer.set_weight_bias(layer.weight(), bias + shift)


@_quiet
def save_state(network: nn.Module, path: Path) -> int:
    """Write the state of a float or integer network; the file's bytes."""
    packed = networks.pack(network.state_dict())
    paths.write_whole(path, packed)
    return len(packed)


@_quiet
def load_state(network: nn.Module, path: Path) -> nn.Module:
    """Fill ``network``, built by the same strategy, from a saved file."""
    network.load_state_dict(torch.load(path, weights_only=True))
    return network
