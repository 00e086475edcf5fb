"""Which layers stay in float, and what a choice loses."""

from dataclasses import dataclass
from itertools import combinations

from ptq.networks.compact_cnn import LAYERS

# The modules that stay in float with a layer; after folding, BN and a fused
# ReLU are identities.
BLOCKS = {
    "conv1": ("conv1", "bn1", "relu1"),
    "conv2": ("conv2", "bn2", "relu2"),
    "fc1": ("fc1", "relu3"),
    "fc2": ("fc2",),
}


def float_regions(float_layers: tuple[str, ...]) -> list[tuple[str, ...]]:
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


@dataclass(frozen=True)
class Regret:
    """What a choice of float layers loses against the best of as many.

    ``lost`` is the difference of their accuracies. It is never negative,
    since the best is chosen by the same accuracies.
    """

    chosen: tuple[str, ...]
    best: tuple[str, ...]
    lost: float


def regret(
    values: dict[tuple[str, ...], float], scores: dict[str, float]
) -> dict[int, Regret]:
    """What ranking layers by ``scores`` loses against the best choice.

    ``values`` gives the accuracy of every assignment. For each number of
    float layers, except none and all, the layers with the highest scores are
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
