"""Bits for each layer under a budget of bytes: greedy, exact, enumerated.

The costs of the layers' errors are taken to add up. Then the best choice is
a knapsack with one item of each layer, as in Yao et al. (2021, HAWQ-V3,
arXiv 2011.10680), which an integer program solves exactly.
"""

import copy
from collections.abc import Iterable, Mapping, Sequence
from itertools import product

import numpy as np
import torch
from scipy.optimize import Bounds, LinearConstraint, milp
from torch import Tensor

from ptq.quantizer import affine
from ptq.quantizer.network import QuantizedNetwork

BITS = (2, 3, 4, 6, 8)
# Of the largest cost: the solver stops at a gap of 1e-6.
SCALE = 1e6
Table = Mapping[str, Mapping[int, float]]


class BudgetError(ValueError):
    """No choice fits the budget; says how many bytes the smallest takes."""


def exact(costs: Table, sizes: Table, budget: float) -> dict[str, int]:
    """Bits by layer of the least sum of costs within ``budget`` bytes.

    ``costs`` and ``sizes`` (bytes) are by layer and bits. Raises BudgetError
    where nothing fits.
    """
    _check(sizes, budget)
    pairs = [(layer, bits) for layer in costs for bits in costs[layer]]
    cost, size = (
        np.array([float(of[layer][bits]) for layer, bits in pairs])
        for of in (costs, sizes)
    )
    one_each = np.array([[p[0] == layer for p in pairs] for layer in costs])
    found = milp(
        SCALE * cost / max(cost.max(), 1e-300),
        integrality=np.ones(len(pairs)),
        bounds=Bounds(0, 1),
        constraints=[
            LinearConstraint(one_each.astype(float), 1, 1),
            LinearConstraint(size[None], -np.inf, budget),
        ],
        options={"mip_rel_gap": 0},
    )
    chosen = np.round(found.x).astype(bool)
    return dict(p for p, here in zip(pairs, chosen, strict=True) if here)


def greedy(costs: Table, sizes: Table, budget: float) -> dict[str, int]:
    """Bits by layer: the step that costs least a byte, until all fit.

    All layers begin with most bits. Arguments and error are those of
    ``exact``.
    """
    _check(sizes, budget)
    chosen = {layer: max(of) for layer, of in costs.items()}

    def price(step: tuple[str, int]) -> float:
        layer, bits = step
        saved = sizes[layer][chosen[layer]] - sizes[layer][bits]
        return (costs[layer][bits] - costs[layer][chosen[layer]]) / saved

    while total(sizes, chosen) > budget:
        steps = [
            (layer, bits)
            for layer, now in chosen.items()
            for bits in costs[layer]
            if sizes[layer][bits] < sizes[layer][now]
        ]
        layer, bits = min(steps, key=price)
        chosen[layer] = bits
    return chosen


def total(table: Table, chosen: Mapping[str, int]) -> float:
    """The sum over layers of what ``chosen`` bits cost, or take."""
    return sum(table[layer][bits] for layer, bits in chosen.items())


def every(
    layers: Sequence[str], bits: Iterable[int] = BITS
) -> list[dict[str, int]]:
    """All choices of bits for the layers."""
    found = product(bits, repeat=len(layers))
    return [dict(zip(layers, one, strict=True)) for one in found]


def sizes(
    network: QuantizedNetwork, bits: Iterable[int] = BITS
) -> dict[str, dict[int, int]]:
    """Bytes of each layer's weights, by layer and bits, packed."""
    return {
        name: {b: -(-layer.codes.numel() * b // 8) for b in bits}
        for name, layer in network.integers.items()
    }


def mixed(
    narrow: Mapping[int, QuantizedNetwork], chosen: Mapping[str, int]
) -> QuantizedNetwork:
    """A network whose layers have the ``chosen`` bits.

    ``narrow`` are by the bits of all weights; their activations, and so the
    units of their biases, are the same.
    """
    made = narrow[max(narrow)].copy()
    for name, bits in chosen.items():
        made.integers[name] = copy.deepcopy(narrow[bits].integers[name])
    return made


def noise(narrow: Mapping[int, QuantizedNetwork]) -> dict:
    """1 / SQNR of each layer's weights, by layer and bits: no image is seen.

    ``narrow`` is as ``mixed`` takes it.
    """
    found = {}
    for bits, network in narrow.items():
        for name, layer in network.integers.items():
            node = network.graph.nodes[name]
            weight, _ = network.graph.filled(node.args[1:3], {})
            error = affine.dequantize(layer.codes, layer.grid) - weight
            share = error.square().sum() / weight.square().sum()
            found.setdefault(name, {})[bits] = float(share)
    return found


def divergence_alone(
    narrow: Mapping[int, QuantizedNetwork], images: Tensor
) -> dict:
    """What one narrow layer alone changes, by layer and bits, in nats.

    It is the mean of ``divergences`` from the float network's predictions,
    with all other layers at the most bits of ``narrow``, which is as
    ``mixed`` takes it. ``images`` (N, ...) are as the networks take them,
    without labels.
    """
    most = max(narrow)
    wide = narrow[most]
    exact = wide.graph(wide.normalized(images))

    def mean(network: QuantizedNetwork) -> float:
        return float(divergences(exact, network(images)).mean())

    least = mean(wide)
    return {
        name: {
            bits: least if bits == most else mean(mixed(narrow, {name: bits}))
            for bits in narrow
        }
        for name in wide.integers
    }


def all_logits(
    narrow: Mapping[int, QuantizedNetwork], images: Tensor, batch: int = 100
) -> dict[tuple[int, ...], Tensor]:
    """Logits (N, classes) of every choice, by the bits of layers in order.

    What the layers before compute is computed once for all choices that
    share it. ``narrow`` is as ``mixed`` takes it, ``images`` (N, ...) as the
    networks take them. Raises ValueError where the network has branches.
    """
    wide, most = narrow[max(narrow)], max(narrow)
    parts = []
    for part in images.split(batch):
        found, before = {(): wide.normalized(part)}, "images"
        for node in wide.graph.nodes.values():
            if node.op != "input" and {*node.inputs} != {before}:
                raise ValueError(f"{node}: it does not read {before} alone")
            layer = node.name in wide.integers
            found = {
                (*key, bits) if layer else key: network.compute(
                    node, {before: value}
                )
                for key, value in found.items()
                for bits, network in narrow.items()
                if layer or bits == most
            }
            before = node.name
        parts.append(found)
    return {key: torch.cat([p[key] for p in parts]) for key in parts[0]}


def divergences(exact: Tensor, logits: Tensor) -> Tensor:
    """Kullback-Leibler divergence of each image's classes, float (N,), nats.

    It tells how far the predictions of ``logits`` are from the ``exact``
    ones; both are (N, classes).
    """
    target, found = exact.log_softmax(1), logits.log_softmax(1)
    return (target.exp() * (target - found)).sum(1)


def _check(sizes: Table, budget: float) -> None:
    least = sum(min(of.values()) for of in sizes.values())
    if least > budget:
        raise BudgetError(
            f"a budget of {budget:,.0f} bytes: with the fewest bits the "
            f"weights take {least:,.0f}; allow as many, or fewer bits"
        )
