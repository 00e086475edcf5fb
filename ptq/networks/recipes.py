"""The book's networks, and the recipe that trains each of them."""

from dataclasses import dataclass, fields, replace

import torch
from torch import nn

from ptq.input_checks import InputError
from ptq.networks.compact_cnn import CompactCNN
from ptq.networks.depthwise import Depthwise
from ptq.networks.resnet8 import ResNet8


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
        short = "cnn" if self.network == "compact_cnn" else self.network
        return f"{short}-seed{self.seed}-epochs{self.epochs}{changed}"


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
# Each network's class and its usual recipe.
NETWORKS = {
    "compact_cnn": (CompactCNN, Recipe()),
    "compact_cnn_tuned": (CompactCNN, replace(_MODERN, learning_rate=0.1)),
    "resnet8": (ResNet8, replace(_MODERN, learning_rate=0.3)),
    # Depthwise convolutions gain nothing by bfloat16.
    "depthwise": (
        Depthwise,
        replace(_MODERN, learning_rate=0.3, bfloat16=False),
    ),
}


def of(network: str, seed: int = 42, epochs: int | None = None) -> Recipe:
    """The recipe of a network, with its usual number of epochs if None.

    InputError names the networks that there are.
    """
    if network not in NETWORKS:
        raise InputError(
            f"network={network}: expected one of {', '.join(NETWORKS)}"
        )
    _, usual = NETWORKS[network]
    usual = replace(usual, network=network, seed=seed)
    return usual if epochs is None else replace(usual, epochs=epochs)


def untrained(network: str, seed: int) -> nn.Module:
    """The network before training; torch's global generator is left as is.

    InputError names the networks that there are.
    """
    of(network)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made, _ = NETWORKS[network]
        return made()
