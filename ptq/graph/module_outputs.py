"""Outputs of named modules, in eval mode."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from ptq import input_checks
from ptq.graph import plain_copies


def evaluated(network: nn.Module) -> nn.Module:
    """A deep copy in eval mode, to be asked in the place of ``network``.

    A forward may keep what it computes: features, counts, a mask made at the
    first call. In inference mode such a mask would break the next training,
    and in a trace it is no tensor. Raises UnsupportedError, naming the
    attribute, where ``network`` holds what cannot be copied.
    """
    return plain_copies.deep(network).eval()


def to_ask(network: nn.Module) -> nn.Module:
    """``evaluated``; of a runtime, which holds no numbers, ``network``.

    A copy of a runtime is loaded anew, and the forward of one keeps nothing.
    """
    if network.training or network.state_dict():
        return evaluated(network)
    return network


@contextmanager
def evaluating(*given: nn.Module) -> Iterator[None]:
    """Put networks into eval mode for a while.

    Afterwards every module has the training flag that it had, so that
    whoever goes on training finds dropout and batch normalization as left.
    """
    flags = {m: m.training for network in given for m in network.modules()}
    try:
        for network in given:
            network.eval()
        yield
    finally:
        for module, flag in flags.items():
            module.training = flag


@torch.no_grad()
def capture(
    network: nn.Module, names: Iterable[str], images: Tensor, at="output"
) -> dict[str, Tensor]:
    """Outputs (or inputs) of the named modules for ``images``.

    ``images`` is float32 (N, 3, 32, 32); ``at`` is "output" or "input".
    Quantized tensors come back dequantized to float32, in the order in which
    the modules ran. Runs a copy in eval mode, since observers would record
    the images, too. Raises KeyError where a name is unknown or its module
    never ran, InputError where the images are none, not float32, not finite,
    or do not fit.
    """
    input_checks.check_normalized(images)
    seen = {}

    def keep(name):
        def hook(module, given, output):
            tensor = output if at == "output" else given[0]
            seen[name] = tensor.dequantize().clone()

        return hook

    copied = evaluated(network)
    modules, names = dict(copied.named_modules()), list(names)
    if unknown := [name for name in names if name not in modules]:
        raise KeyError(f"{', '.join(unknown)}: no such module")
    for name in names:
        modules[name].register_forward_hook(keep(name))
    with input_checks.fitting(copied, images):
        copied(images)
    if idle := [name for name in names if name not in seen]:
        raise KeyError(f"{', '.join(idle)}: never used by the network")
    return seen
