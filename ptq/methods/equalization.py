"""Cross-layer equalization: equal ranges for channels that share a grid.

ReLU lets a positive factor pass. So a layer's channel may be divided by s,
and what the next layer makes of it multiplied by s: the float network stays
the same. Nagel et al. (2019), 4.1 and 4.2.

ReLU6 does not let it pass: min(x, 6) / s is min(x / s, 6 / s). Here each
channel then gets a bound of its own, which is exact; replacing ReLU6 by ReLU,
as the paper does, is not.
"""

from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor

from ptq.graph import Graph, Node
from ptq.graph.norm_folding import (
    by_input,
    has_channels,
    over_inputs,
    set_weight_and_bias,
    weight_and_bias,
)
from ptq.methods.channel_bounds import bound, bounds
from ptq.methods.normal_moments import Moments

ROUNDS = 20
# Channels lie over this many standard deviations of a normal distribution.
SIGMAS = 3
POOLS = ("max_pool", "average_pool", "adaptive_average")


@dataclass(frozen=True)
class Pair:
    """A layer, the only one that reads it, and what lies in between."""

    first: str
    between: tuple[str, ...]
    second: str


def pairs(graph: Graph) -> list[Pair]:
    """Layers between which each channel may be scaled, in order.

    Between them are ReLU or ReLU6, pooling, and flattening only.
    """
    found = []
    for first in graph.nodes.values():
        between, node = [], first
        while (node := graph.only_user(node.name)) and _passes(graph, node):
            between.append(node.name)
        if node and has_channels(first) and has_channels(node):
            found.append(Pair(first.name, tuple(between), node.name))
    return found


def _passes(graph: Graph, node: Node) -> bool:
    """Whether a factor for each channel goes through."""
    if node.op == "clamp":
        return node.args[1] == 0
    shape = graph.nodes[node.inputs[0]].shape
    flat = node.op == "reshape" and node.shape == (-1, prod(shape[1:]))
    return flat or node.op in ("minimum", *POOLS)


def equalize(
    graph: Graph, rounds: int = ROUNDS
) -> tuple[Graph, dict[str, Tensor]]:
    """A graph that computes the same, with weights of more equal ranges.

    For each pair, s = sqrt(r1 / r2), where r1 and r2 (C,) are the largest
    weights that make a channel, and that read it: afterwards both are
    sqrt(r1 r2) (equation 11). Pairs that share a layer go on in turn,
    ``rounds`` times. ``graph`` has its BN folded, and stays. The second
    value tells by what channels are divided, float64 (C,), by the name of
    the node whose result it is.
    """
    made, found = graph.copy(), pairs(graph)
    names = dict.fromkeys(n for p in found for n in (p.first, p.second))
    layers = {n: weight_and_bias(graph, graph.nodes[n]) for n in names}
    by = {pair: torch.ones(1, dtype=torch.float64) for pair in found}
    for pair in found * rounds:
        weight, bias = layers[pair.first]
        behind, rest = layers[pair.second]
        view = by_input(graph.nodes[pair.second], behind, len(bias))
        s = _factors(weight, view)
        by[pair] = by[pair] * s
        around = (-1, *[1] * (weight.dim() - 1))
        layers[pair.first] = weight / s.reshape(around), bias / s
        grown = view * s.reshape(len(view), 1, -1, 1)
        layers[pair.second] = grown.reshape(behind.shape), rest
    for name, numbers in layers.items():
        set_weight_and_bias(made, made.nodes[name], *numbers)
    for pair in found:
        _bound(made, pair, lambda now, s: now / s, by[pair])
    made.drop_idle()
    return made, {
        name: _spread(graph.nodes[name], by[pair])
        for pair in found
        for name in (pair.first, *pair.between)
    }


def _factors(weight: Tensor, view: Tensor) -> Tensor:
    """By what to divide each channel; one for those that nothing uses."""
    makes = weight.abs().flatten(1).amax(1)
    reads = view.abs().amax((1, 3)).flatten()
    return torch.where(makes * reads > 0, (makes / reads).sqrt(), 1.0)


def absorb(graph: Graph, moments: Moments) -> tuple[Graph, dict[str, Tensor]]:
    """A graph with large biases moved on, where ReLU does not cut them.

    A channel of mean m and standard deviation d, by ``moments`` of its
    layer, hardly ever is below c = m - 3 d; where c > 0, the bias may be less
    by c, and what reads it gets c more (equation 15). Exact but for the
    values below c. Layers that pad are left out: their zeros would have to
    move as well. Returns the graph, and c, float64 (C,), by layer.
    """
    made, taken = graph.copy(), {}
    for pair in pairs(graph):
        if pair.first not in moments or not _shifts(graph, pair):
            continue
        mean, variance = moments[pair.first]
        c = (mean - SIGMAS * variance.sqrt()).clamp(min=0)
        for node in [made.nodes[name] for name in pair.between]:
            upper = bounds(made, node)
            if upper is not None:
                c = c.minimum(upper.reshape(len(c), -1)[:, 0])
        first, second = made.nodes[pair.first], made.nodes[pair.second]
        weight, bias = weight_and_bias(made, first)
        behind, rest = weight_and_bias(made, second)
        more = over_inputs(by_input(second, behind, len(bias)), c)
        set_weight_and_bias(made, first, weight, bias - c)
        set_weight_and_bias(made, second, behind, rest + more)
        _bound(made, pair, lambda now, c: now - c, c)
        taken[pair.first] = c
    made.drop_idle()
    return made, taken


def _shifts(graph: Graph, pair: Pair) -> bool:
    """Whether adding to a channel adds the same to all that is read."""
    second = graph.nodes[pair.second]
    padded = second.op == "convolution" and any(second.args[4])
    words = {graph.nodes[name].op for name in pair.between}
    return not padded and words <= {"clamp", "minimum", "reshape"}


def _bound(graph: Graph, pair: Pair, change, by: Tensor) -> None:
    """Change where each channel is cut on the way, if it is."""
    for node in [graph.nodes[name] for name in pair.between]:
        upper = bounds(graph, node)
        if upper is not None and graph.only_user(node.name).op != "minimum":
            bound(graph, node, change(upper, _spread(node, by)))


def _spread(node: Node, channels: Tensor) -> Tensor:
    """A number for each channel of a node, which may be flattened."""
    return channels.repeat_interleave(node.shape[1] // len(channels))
