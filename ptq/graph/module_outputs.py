"""Outputs of named modules, in eval mode."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from ptq import input_checks
from ptq.graph import plain_copies
from ptq.graph.errors import UnsupportedError


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


@contextmanager
def asking(network: Callable) -> Iterator[Callable]:
    """What to ask in the place of ``network``: of a module a copy, in eval.

    Itself where it is no module, where it ``keeps_nothing``, as a runtime,
    whose copy is loaded anew, says of itself, or where it cannot be copied.
    No gradients are kept meanwhile.
    """
    asked, mode = network, torch.inference_mode
    is_module = isinstance(network, nn.Module)
    if is_module and not getattr(network, "keeps_nothing", False):
        try:
            asked = plain_copies.evaluated(network)
        except UnsupportedError:
            # What a forward keeps in inference mode cannot be trained with.
            mode = torch.no_grad
    with evaluating(*[asked] * is_module), mode():
        yield asked


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

    copied = plain_copies.evaluated(network)
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
