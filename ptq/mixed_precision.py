"""Which layer suffers from quantization, to choose what stays float."""

from dataclasses import dataclass
from itertools import combinations

from torch import Tensor, nn
from torch.nn import functional

from ptq.networks import LAYERS, capture
from ptq.quantizer import mse, sqnr

# Where the float network puts out what the folded integer layer does.
PUBLISHED_POINTS = {
    "conv1": "conv1",
    "conv2": "conv2",
    "fc1": "fc1",
    "fc2": "fc2",
}
LIKE_FOR_LIKE_POINTS = PUBLISHED_POINTS | {"conv1": "relu1", "conv2": "relu2"}


@dataclass(frozen=True)
class LayerError:
    """Error of one layer's output: mean square, and SQNR in dB."""

    mse: float
    sqnr: float


def layer_errors(
    network: nn.Module,
    quantized: nn.Module,
    images: Tensor,
    points: dict[str, str],
) -> dict[str, LayerError]:
    """Error of each integer layer's output against a float module's.

    ``points`` names, for each integer layer, the float module to compare it
    with; ``images`` is float32 (N, 3, 32, 32). Both networks are asked in
    eval mode and left as they are. Raises KeyError where one has no module
    of a name or never uses it, ValueError where the shapes of a pair
    differ, InputError where images are none, not float32, or not finite.
    """
    wanted = capture(network, points.values(), images)
    found = capture(quantized, [f"module.{n}" for n in points], images)
    return {
        name: LayerError(
            float(mse(wanted[point], found[f"module.{name}"])),
            sqnr(wanted[point], found[f"module.{name}"]),
        )
        for name, point in points.items()
    }


# What goes with a layer when it stays float; after folding, BN and a fused
# ReLU are identities.
BLOCKS = {
    "conv1": ("conv1", "bn1", "relu1"),
    "conv2": ("conv2", "bn2", "relu2"),
    "fc1": ("fc1", "relu3"),
    "fc2": ("fc2",),
}


def islands(float_layers: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Modules of each run of neighbouring float layers.

    Raises ValueError where a layer is not one of ``LAYERS``.
    """
    if unknown := set(float_layers) - set(LAYERS):
        raise ValueError(
            f"{sorted(unknown)}: expected layers of {', '.join(LAYERS)}"
        )
    found, before = [], None
    for layer in LAYERS:
        if layer in float_layers:
            if before in float_layers:
                found[-1] += BLOCKS[layer]
            else:
                found.append(BLOCKS[layer])
        before = layer
    return found


def assignments() -> list[tuple[str, ...]]:
    """All choices of layers that stay float, from none to all."""
    return [
        chosen
        for count in range(len(LAYERS) + 1)
        for chosen in combinations(LAYERS, count)
    ]


def divergence(wanted: Tensor, found: Tensor) -> float:
    """Mean Kullback-Leibler divergence (nats) of two networks' answers.

    Both are logits, float32 (N, 10); the first is the reference. Raises
    ValueError where their shapes differ.
    """
    if wanted.shape != found.shape:
        raise ValueError(
            f"logits of shapes {tuple(wanted.shape)} and "
            f"{tuple(found.shape)}: expected the same"
        )
    log_p, log_q = (functional.log_softmax(x, 1) for x in (wanted, found))
    return float((log_p.exp() * (log_p - log_q)).sum(1).mean())


@dataclass(frozen=True)
class Regret:
    """What a choice of float layers loses against the best of as many.

    ``lost`` is the difference of their accuracies, never negative, for the
    best is picked by the accuracies themselves.
    """

    chosen: tuple[str, ...]
    best: tuple[str, ...]
    lost: float


def regret(
    values: dict[tuple[str, ...], float], scores: dict[str, float]
) -> dict[int, Regret]:
    """What ranking layers by ``scores`` loses against the best choice.

    ``values`` gives the accuracy of every assignment. For each number of
    float layers but none and all, the layers with the highest scores are
    kept. Of equally good assignments the chosen one counts as the best.
    """
    ranked = sorted(LAYERS, key=lambda layer: -scores[layer])
    found = {}
    for count in range(1, len(LAYERS)):
        chosen = tuple(n for n in LAYERS if n in ranked[:count])
        rivals = [a for a in values if len(a) == count]
        best = max(rivals, key=lambda a, c=chosen: (values[a], a == c))
        lost = values[best] - values[chosen]
        found[count] = Regret(chosen, best, lost)
    return found
