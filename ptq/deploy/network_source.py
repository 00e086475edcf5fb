"""A reader's network, from the code that makes it and a checkpoint."""

from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from ptq.deploy import code_source, remarks
from ptq.evidence import checks
from ptq.evidence.checks import InputError
from ptq.graph import checkpoints

SEED = 42


@dataclass(frozen=True)
class Source:
    """A float network, and what its code says of it.

    ``normalization`` is (mean, std) of pixels in [0, 1], ``input_shape``
    that of one image, (C, H, W), ``classes`` the names of the outputs; each
    is None where nothing is said. ``notes`` says what was made of the
    checkpoint.
    """

    network: nn.Module
    normalization: tuple | None = None
    input_shape: tuple[int, ...] | None = None
    classes: list[str] | None = None
    notes: list[str] = field(default_factory=list)

    def check(self, images: Tensor) -> None:
        """InputError unless (N, C, H, W) has the shape that the code says."""
        found = tuple(images.shape[1:])
        if self.input_shape not in (None, found):
            raise InputError(
                f"images are {found}, (C, H, W), and the network's code says "
                f"input_shape = {self.input_shape}"
            )


def read(spec: str, checkpoint: str | Path = "") -> Source:
    """The network that ``spec`` makes, with the weights of ``checkpoint``.

    ``spec`` is "package.module:factory" or "path/to/file.py:factory"; the
    factory is called without arguments. ``normalization``, ``input_shape``
    and ``classes`` are read from the factory, else from the network's class,
    else from the factory's module. Without checkpoint, random weights are
    drawn by a fixed seed. Raises InputError, or UnsupportedError for the
    checkpoint, in one sentence.
    """
    factory, module = code_source.found(spec)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        network = code_source.called(spec, factory)
    if not isinstance(network, nn.Module):
        raise InputError(
            f"{spec} returns a {type(network).__name__}: expected a "
            "torch.nn.Module"
        )
    with remarks.collected() as told:
        if checkpoint:
            network = checkpoints.filled(network, checkpoint)
    owners = factory, type(network), module
    said = {
        name: _said(name, owners)
        for name in ("normalization", "input_shape", "classes")
    }
    return Source(network, **_plain(spec, said), notes=told())


def _said(name: str, owners: tuple):
    """The first value of this name; a method or function of it is none."""
    for owner in owners:
        value = getattr(owner, name, None)
        odd = callable(value) or isinstance(value, property)
        if value is not None and not odd:
            return value
    return None


def _plain(spec: str, said: dict) -> dict:
    """Pairs, shapes and names as such; InputError where they are none."""
    try:
        if said["normalization"] is not None:
            mean, std = said["normalization"]
            said["normalization"] = mean, std
        if said["input_shape"] is not None:
            shape = tuple(int(n) for n in said["input_shape"])
            # The number of images, which some write in front.
            said["input_shape"] = shape[-3:] if len(shape) == 4 else shape
        if said["classes"] is not None:
            named = checks.class_names(said["classes"], f"{spec}: classes")
            said["classes"] = named
    except InputError:
        raise
    except (TypeError, ValueError) as error:
        raise InputError(
            f"{spec}: expected normalization = (mean, std), input_shape = "
            "(C, H, W) and classes = [name, ...], where they are given"
        ) from error
    return said
