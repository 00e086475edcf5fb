"""The variants of two designed experiments, beyond the named strategies."""

import itertools
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn

from ptq.data import cifar10, image_sets
from ptq.engines import eager_settings
from ptq.experiment import eager_biases, strategies
from ptq.graph.plain_copies import evaluated
from ptq.methods import eager_folding

# Calibration images per batch, as published.
BATCH = 64
SIZES = (8, 32, 100, 300, 1000)
SOURCES = ("training", "validation", "noise", "one class")


@dataclass(frozen=True)
class Variant:
    """One way to make the whole network integer; defaults are first levels.

    ``bits`` (7 or 8) and ``observer`` are those of the activations,
    ``images`` is how many calibrate, ``corrected`` is the bias correction.
    """

    folded: bool = False
    fc1_fused: bool = False
    per_channel: bool = False
    bits: int = 7
    observer: str = "minmax"
    images: int = 100
    corrected: bool = False

    @property
    def name(self) -> str:
        """The levels, as a record's name."""
        return "-".join(str(level) for level in asdict(self).values())


# The two levels of each factor; effects are of the second over the first.
FACTORS = {
    "folded": (False, True),
    "fc1_fused": (False, True),
    "per_channel": (False, True),
    "bits": (7, 8),
    "observer": ("minmax", "histogram"),
    "images": (100, 1000),
    "corrected": (False, True),
}
# Names of the observers, factors and levels in tables and figures.
OBSERVERS = {
    "minmax": "min-max",
    "moving_average": "moving average",
    "histogram": "histogram",
}
WORDS = {
    "folded": ("BN and ReLU", "own layers", "folded and fused"),
    "fc1_fused": ("ReLU of fc1", "own layer", "fused"),
    "per_channel": ("weight grids", "per tensor", "per channel"),
    "bits": ("activation bits", "7", "8"),
    "observer": ("observer", OBSERVERS["minmax"], OBSERVERS["histogram"]),
    "images": ("calibration images", "100", "1,000"),
    "corrected": ("biases", "as they are", "corrected"),
}


def in_words(term: str) -> str:
    """A term of ``replicates.effects`` for readers.

    A factor with its levels, "observer: min-max → histogram"; of an
    interaction the factors alone, "observer × activation bits".
    """
    names = term.split(" × ")
    if len(names) > 1:
        return " × ".join(WORDS[name][0] for name in names)
    factor, low, high = WORDS[term]
    return f"{factor}: {low} → {high}"


def factorial(**fixed) -> list[Variant]:
    """Every combination of the factors' levels that has those ``fixed``."""
    levels = [
        (fixed[name],) if name in fixed else both
        for name, both in FACTORS.items()
    ]
    return [
        Variant(**dict(zip(FACTORS, chosen, strict=True)))
        for chosen in itertools.product(*levels)
    ]


def calibrations() -> list[Variant]:
    """The folded network by every number of images and every observer."""
    return [
        Variant(folded=True, observer=observer, images=images)
        for images in SIZES
        for observer in eager_settings.OBSERVERS
    ]


def build(network: nn.Module, images: Tensor, variant: Variant) -> nn.Module:
    """The integer network of a variant, from its share of ``images``.

    ``images`` is normalized float32 (N, 3, 32, 32); the first
    ``variant.images`` of them calibrate, and correct where that is chosen.
    Raises ValueError where there are fewer, and what
    ``strategies.quantized`` raises.
    """
    if len(images) < variant.images:
        raise ValueError(
            f"{len(images)} images: expected {variant.images} or more"
        )
    seen = images[: variant.images]
    qconfig = eager_settings.QConfig(
        variant.per_channel, variant.bits, variant.observer
    )
    source = network if variant.folded else with_biases(network)
    quantized = strategies.quantized(
        source,
        seen,
        fold=variant.folded,
        fuse_fc1=variant.fc1_fused,
        qconfig=qconfig,
        batch=BATCH,
    )
    if not variant.corrected:
        return quantized
    wanted = eager_folding.fold(source) if variant.folded else source
    return eager_biases.correct_biases(wanted, quantized, seen)


def with_biases(network: nn.Module) -> nn.Module:
    """A copy whose convolutions have a bias, of zero, to be corrected."""
    copied = evaluated(network)
    for module in copied.modules():
        if isinstance(module, nn.Conv2d) and module.bias is None:
            module.bias = nn.Parameter(torch.zeros(module.out_channels))
    return copied


def draw_images(
    cifar: cifar10.Cifar10,
    source: str,
    count: int,
    seed: int,
    train_seed: int,
) -> Tensor:
    """``count`` images, uint8 (N, 3, 32, 32), from one of ``SOURCES``.

    "one class" is class ``seed`` modulo 10 of the training images, "noise"
    has independent uniform pixels. Fewer images of the same draw are its
    first ones. Raises ValueError for another source, and where ``count`` is
    not 1 to the images that it has.
    """
    if count < 1:
        raise ValueError(f"count={count}: expected 1 or more images")
    training, validation = image_sets.split(train_seed)
    if source == "noise":
        generator = torch.Generator().manual_seed(seed)
        shape = (count, *cifar.train_images.shape[1:])
        return torch.randint(
            0, 256, shape, dtype=torch.uint8, generator=generator
        )
    same = training[
        cifar.train_labels[training] == seed % len(cifar10.CLASSES)
    ]
    pools = {
        "training": training,
        "validation": validation,
        "one class": same,
    }
    if source not in pools:
        raise ValueError(
            f"source={source!r}: expected one of {', '.join(SOURCES)}"
        )
    return cifar.train_images[image_sets.draw(pools[source], count, seed)]
