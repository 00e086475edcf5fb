"""Which layers stay in float, and what a choice loses."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations


def float_regions(
    float_layers: Sequence[str], blocks: Mapping[str, tuple[str, ...]]
) -> list[tuple[str, ...]]:
    """Modules of each run of neighbouring float layers.

    ``blocks`` names, for each layer in the order of execution, the modules
    that stay in float with it. Raises ValueError where a layer is none of
    these.
    """
    if unknown := set(float_layers) - blocks.keys():
        raise ValueError(
            f"{sorted(unknown)}: expected layers of {', '.join(blocks)}"
        )
    found, before = [], None
    for layer, modules in blocks.items():
        if layer in float_layers:
            if before in float_layers:
                found[-1] += modules
            else:
                found.append(modules)
        before = layer
    return found


def assignments(layers: Sequence[str]) -> list[tuple[str, ...]]:
    """All choices of layers that stay float, from none to all."""
    return [
        chosen
        for count in range(len(layers) + 1)
        for chosen in combinations(layers, count)
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
    layers = max(values, key=len)
    ranked = sorted(layers, key=lambda layer: -scores[layer])
    found = {}
    for count in range(1, len(layers)):
        chosen = tuple(n for n in layers if n in ranked[:count])
        rivals = [a for a in values if len(a) == count]
        best = max(rivals, key=lambda a, c=chosen: (values[a], a == c))
        lost = values[best] - values[chosen]
        found[count] = Regret(chosen, best, lost)
    return found
