"""Copies of networks: to be asked, traced, or changed."""

import copy
from collections import deque
from collections.abc import Iterator
from contextlib import suppress

from torch import Tensor, nn
from torch.nn.utils import (
    parametrize,
    remove_spectral_norm,
    remove_weight_norm,
)

from ptq.graph.errors import UnsupportedError


def unwrapped(model):
    """The network inside of parallel training and of torch.compile."""
    while True:
        if isinstance(
            model,
            nn.DataParallel | nn.parallel.DistributedDataParallel,
        ):
            model = model.module
        elif hasattr(model, "_orig_mod"):
            model = model._orig_mod
        else:
            return model


def of(model: nn.Module) -> nn.Module:
    """A deep copy whose weights are no longer computed of others.

    Weights by weight_norm and its like are computed once and for all.
    ``model`` is left as it is. Raises UnsupportedError, naming the attribute,
    where it holds what cannot be copied.
    """
    copied = deep(model)
    for module in copied.modules():
        _take_off(module)
    return copied


def deep(model: nn.Module) -> nn.Module:
    """A deep copy, also where a hook or a forward left computed tensors.

    Raises UnsupportedError, naming the attribute that cannot be copied.
    """
    seen = set()
    computed = {
        id(tensor): tensor.detach().clone()
        for module in model.modules()
        for tensor in _computed(vars(module), seen)
    }
    try:
        return copy.deepcopy(model, computed)
    except Exception as error:  # a class may raise what it likes
        raise UnsupportedError(
            f"{type(model).__name__} cannot be copied: {_uncopied(model)}"
            f"{error}; take what is no weight out of the network"
        ) from error


def evaluated(network: nn.Module) -> nn.Module:
    """A deep copy in eval mode, to be asked in the place of ``network``.

    A forward may keep what it computes: features, counts, a mask made at the
    first call. In inference mode such a mask would break the next training,
    and in a trace it is no tensor. Raises UnsupportedError, naming the
    attribute, where ``network`` holds what cannot be copied.
    """
    return deep(network).eval()


def _computed(held, seen: set[int]) -> Iterator[Tensor]:
    """Tensors with a history in a value, or in what it holds.

    ``seen`` are what was looked at: a list may hold itself.
    """
    if isinstance(held, Tensor):
        if held.grad_fn is not None:
            yield held
    elif isinstance(held, dict | list | tuple | set | deque):
        if id(held) in seen:
            return
        seen.add(id(held))
        for one in held.values() if isinstance(held, dict) else held:
            yield from _computed(one, seen)


def _uncopied(model: nn.Module) -> str:
    """The attribute that cannot be copied, "layer.lock: ", if one is."""
    for name, module in model.named_modules():
        for attribute, value in vars(module).items():
            if attribute.startswith("_") and isinstance(value, dict):
                continue  # tensors, modules and hooks
            try:
                copy.deepcopy(value)
            except Exception:
                return f"{name}.{attribute}: ".lstrip(".")
    return ""


def _take_off(module: nn.Module) -> None:
    if names := list(getattr(module, "parametrizations", {})):
        # A copy has the class of its original, which loses its weight with
        # the parametrization: so the copy gets a class of its own.
        shared = type(module)
        module.__class__ = type(
            shared.__name__, shared.__bases__, dict(vars(shared))
        )
    for name in names:
        parametrize.remove_parametrizations(module, name)
    for remove in (remove_weight_norm, remove_spectral_norm):
        with suppress(ValueError):
            remove(module)
