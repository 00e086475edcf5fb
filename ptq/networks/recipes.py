"""The book's networks: a row each, with the recipe that trains it."""

from dataclasses import dataclass, fields, replace
from importlib import import_module

import torch
from torch import Tensor, nn

from ptq import data
from ptq.data import image_sets
from ptq.registry import Registry


@dataclass(frozen=True)
class Recipe:
    """How a network is trained; cross entropy throughout.

    The defaults are the published recipe: Adam at a constant rate, nothing
    augmented. ``seed`` fixes the split, the initial weights, the batch order
    and the augmentation. ``train_images`` of the 45,000 are used (all but in
    quick tests). ``optimizer`` is "adam" or "sgd" (Nesterov, momentum 0.9);
    ``schedule`` is "constant", or "one-cycle": ``learning_rate`` is reached
    after a fifth of the steps and falls to zero, both on a line (Smith and
    Topin, 2017). ``augmentation`` is "none" or "crop and flip".
    ``weight_decay`` acts on weights, not on biases and BN. ``bfloat16``
    computes in it on processors with AMX, where that is twice as fast.
    """

    seed: int = 42
    epochs: int = 20
    train_images: int = 45_000
    batch: int = 64
    learning_rate: float = 1e-3
    network: str = "compact_cnn"
    optimizer: str = "adam"
    schedule: str = "constant"
    augmentation: str = "none"
    weight_decay: float = 0.0
    bfloat16: bool = False

    @property
    def name(self) -> str:
        """File name that differs where the trained network would."""
        usual = of(self.network, self.seed, self.epochs)
        changed = "".join(
            f"-{field.name}{getattr(self, field.name)}".replace(" ", "")
            for field in fields(self)
            if getattr(self, field.name) != getattr(usual, field.name)
        )
        return f"{self.network}-seed{self.seed}-epochs{self.epochs}{changed}"


# Chosen on validation images; book/reference/recipes.csv has the trials.
_MODERN = Recipe(
    epochs=60,
    batch=256,
    optimizer="sgd",
    schedule="one-cycle",
    augmentation="crop and flip",
    weight_decay=5e-4,
    bfloat16=True,
)


@dataclass(frozen=True)
class Network:
    """A row: where a network is made, how trained, and what it is shown.

    ``label`` is its name in words, ``made`` MODULE:CLASS, ``recipe`` the
    usual one, ``data_set`` a name in ``data.DATA_SETS``, and
    ``normalization`` (mean, std) of pixels in [0, 1], each for all channels
    or one a channel.
    """

    label: str
    made: str
    recipe: Recipe
    data_set: str = "cifar10"
    normalization: tuple = (0.5, 0.5)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of an image, (C, H, W)."""
        return data.get(self.data_set).SHAPE

    @property
    def classes(self) -> list[str]:
        """Names of the classes, in the order of their numbers."""
        return data.get(self.data_set).CLASSES

    def normalize(self, images: Tensor) -> Tensor:
        """float32 of uint8 pixels (N, C, H, W), as the network takes them.

        Errors are those of ``image_sets.normalize``.
        """
        return image_sets.normalize(images, *self.normalization)


NETWORKS = Registry(
    "network",
    {
        "compact_cnn": Network(
            "compact CNN",
            "ptq.networks.compact_cnn:CompactCNN",
            Recipe(),
        ),
        "compact_cnn_tuned": Network(
            "tuned compact CNN",
            "ptq.networks.compact_cnn:CompactCNN",
            replace(_MODERN, learning_rate=0.1),
        ),
        "resnet8": Network(
            "ResNet8",
            "ptq.networks.resnet8:ResNet8",
            replace(_MODERN, learning_rate=0.3),
        ),
        # Depthwise convolutions gain nothing by bfloat16.
        "depthwise": Network(
            "depthwise CNN",
            "ptq.networks.depthwise:Depthwise",
            replace(_MODERN, learning_rate=0.3, bfloat16=False),
        ),
    },
)
get = NETWORKS.row


def of(network: str, seed: int = 42, epochs: int | None = None) -> Recipe:
    """The recipe of a network, with its usual number of epochs if None.

    UnknownNameError names the networks that there are.
    """
    usual = replace(get(network).recipe, network=network, seed=seed)
    return usual if epochs is None else replace(usual, epochs=epochs)


def untrained(network: str, seed: int) -> nn.Module:
    """The network before training; torch's global generator is left as is.

    UnknownNameError names the networks that there are.
    """
    module, name = get(network).made.split(":")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return getattr(import_module(module), name)()
