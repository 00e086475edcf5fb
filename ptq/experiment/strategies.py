"""The named recipes of the comparison, each a network that runs.

Each takes the float network, which it does not change, and calibration
images, float32 (N, 3, 32, 32); ``quantized`` lists what it raises.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ptq import input_checks
from ptq.engines import eager_settings, torch_eager
from ptq.experiment import eager_biases
from ptq.graph.plain_copies import evaluated
from ptq.methods import eager_folding, mixed_precision
from ptq.networks.compact_cnn import BLOCKS, LAYERS
from ptq.registry import Registry

Build = Callable[[nn.Module, Tensor], nn.Module]


@dataclass(frozen=True)
class Strategy:
    """One row of the comparison.

    ``build`` takes the float network and the calibration images, float32 (N,
    3, 32, 32), and returns the network to run. ``float_layers`` are those
    that stay float32; ``advice`` tells a reader who does not know the label
    what to do.
    """

    name: str
    label: str
    build: Build
    float_layers: tuple[str, ...] = ()
    advice: str = ""

    @property
    def bits(self) -> dict[str, int]:
        """Weight bits of each layer."""
        return {n: 32 if n in self.float_layers else 8 for n in LAYERS}


def fp32(network: nn.Module, images: Tensor) -> nn.Module:
    """A copy of the float network as trained, in eval mode.

    ``images`` (N, 3, 32, 32) are not used. Raises InputError where a weight
    cannot be used.
    """
    input_checks.check_weights(network)
    return evaluated(network)


def fp32_folded(network: nn.Module, images: Tensor) -> nn.Module:
    """The float network with BN folded: what folding alone gives.

    ``images`` (N, 3, 32, 32) are not used. Raises UnsupportedError and
    InputError as ``folding.fold`` does.
    """
    return eager_folding.fold(network)


def fp32_channels_last(network: nn.Module, images: Tensor) -> nn.Module:
    """The folded float network, each pixel's channels side by side.

    ``images`` (N, 3, 32, 32) are not used. Raises UnsupportedError and
    InputError as ``folding.fold`` does.
    """
    return eager_folding.fold(network).to(memory_format=torch.channels_last)


def quantized(
    network: nn.Module,
    images: Tensor,
    float_layers: tuple[str, ...] = (),
    fold: bool = True,
    fuse_fc1: bool = False,
    qconfig: eager_settings.QConfig | None = None,
    batch: int = 0,
) -> nn.Module:
    """Integers everywhere but in ``float_layers``, folded or not.

    Folding comes with ReLU fused into the convolutions, as published;
    ``fuse_fc1`` fuses that of fc1, too. ``qconfig`` and ``batch`` are those
    of ``torch_eager``; ``images`` is float32 (N, 3, 32, 32). Raises
    UnsupportedError, naming the part, where the recipe does not take the
    network, InputError where a weight or an image cannot be used, and
    ValueError where a float layer is none of ``LAYERS``.
    """
    fuse = eager_folding.fusable(network) if fold else []
    if fuse_fc1:
        fuse.append(("fc1", "relu3"))
    prepared = torch_eager.prepare(
        eager_folding.fold(network) if fold else network,
        fuse,
        mixed_precision.float_regions(float_layers, BLOCKS),
        qconfig,
    )
    return torch_eager.convert(prepared, images, batch)


def naive(network: nn.Module, images: Tensor) -> nn.Module:
    """As published: no fusion, so BN and ReLU are layers of their own.

    ``images``, float32 (N, 3, 32, 32), and errors as for ``quantized``.
    """
    return quantized(network, images, fold=False)


def bias_correction_published(
    network: nn.Module, images: Tensor
) -> nn.Module:
    """Naive, with the published shift of the biases (which is zero).

    ``images``, float32 (N, 3, 32, 32), and errors as for ``quantized``.
    """
    prepared = torch_eager.prepare(network)
    shifts = eager_biases.published_shifts(network, prepared, images)
    shifted = eager_biases.apply_published(prepared, shifts)
    return torch_eager.convert(shifted, images)


def folded(network: nn.Module, images: Tensor) -> nn.Module:
    """BN folded, ReLU fused into both convolutions, as published.

    ``images``, float32 (N, 3, 32, 32), and errors as for ``quantized``.
    """
    return quantized(network, images)


def folded_fused(network: nn.Module, images: Tensor) -> nn.Module:
    """Folded, with the ReLU fused into fc1 as well.

    ``images``, float32 (N, 3, 32, 32), and errors as for ``quantized``.
    """
    return quantized(network, images, fuse_fc1=True)


def bias_corrected(network: nn.Module, images: Tensor) -> nn.Module:
    """Folded, with biases corrected layer after layer.

    ``images``, float32 (N, 3, 32, 32), calibrate and correct. Errors are
    those of ``quantized``, and ValueError where a layer has no bias.
    """
    return eager_biases.correct_biases(
        eager_folding.fold(network), folded(network, images), images
    )


def mixed_precision_published(
    network: nn.Module, images: Tensor
) -> nn.Module:
    """Naive, with conv2, its BN and its ReLU left in float32.

    ``images``, float32 (N, 3, 32, 32), and errors as for ``quantized``.
    """
    return quantized(network, images, ("conv2",), fold=False)


def mixed_precision_folded(network: nn.Module, images: Tensor) -> nn.Module:
    """Folded, with conv2 and its ReLU left in float32.

    ``images``, float32 (N, 3, 32, 32), and errors as for ``quantized``.
    """
    return quantized(network, images, ("conv2",))


_ROWS = (
    Strategy("fp32", "FP32", fp32, LAYERS),
    Strategy("fp32_folded", "FP32 folded", fp32_folded, LAYERS),
    Strategy(
        "fp32_channels_last",
        "FP32 folded channels-last",
        fp32_channels_last,
        LAYERS,
    ),
    Strategy("naive", "Naive", naive, (), "quantize every layer as it is"),
    Strategy(
        "bias_correction_published",
        "Bias correction as published",
        bias_correction_published,
    ),
    Strategy(
        "bias_correction",
        "Bias correction",
        bias_corrected,
        (),
        "fold batch normalization into the convolutions, quantize, and "
        "correct the biases",
    ),
    Strategy(
        "folded",
        "Folded",
        folded,
        (),
        "fold batch normalization into the convolutions, fuse their "
        "ReLUs, and quantize",
    ),
    Strategy(
        "folded_fused",
        "Folded with fc1 fused",
        folded_fused,
        (),
        "fold batch normalization into the convolutions, fuse every "
        "ReLU into its layer, and quantize",
    ),
    Strategy(
        "mixed_precision_published",
        "Mixed as published",
        mixed_precision_published,
        ("conv2",),
        "quantize all but the second convolution",
    ),
    Strategy(
        "mixed_precision_folded",
        "Mixed folded",
        mixed_precision_folded,
        ("conv2",),
        "fold, and quantize all but the second convolution",
    ),
)
STRATEGIES = Registry("strategy", {row.name: row for row in _ROWS})
get = STRATEGIES.row


def assigned() -> dict[str, tuple[bool, tuple[str, ...]]]:
    """Every choice of folding and float layers, by a name.

    Values are the arguments ``fold`` and ``float_layers`` of ``quantized``.
    A choice that is a strategy has the strategy's name.
    """
    known = {
        (False, LAYERS): "fp32",
        (True, LAYERS): "fp32_folded",
        (False, ()): "naive",
        (True, ()): "folded",
        (False, ("conv2",)): "mixed_precision_published",
        (True, ("conv2",)): "mixed_precision_folded",
    }
    choices = [
        (fold, kept)
        for fold in (True, False)
        for kept in mixed_precision.assignments(LAYERS)
    ]
    return {
        known.get(choice)
        or f"{'folded' if choice[0] else 'unfolded'}, "
        f"{' and '.join(choice[1])} in float": choice
        for choice in choices
    }


def build(name: str, network: nn.Module, images: Tensor) -> nn.Module:
    """The network of a strategy, made of a float network that is kept.

    ``images``, float32 (N, 3, 32, 32), calibrate. Raises UnknownNameError,
    with the strategies there are, for another name, and what ``quantized``
    raises.
    """
    return get(name).build(network, images)
