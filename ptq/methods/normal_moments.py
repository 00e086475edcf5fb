"""Means and variances of results, without an image: what BN remembers.

Behind batch normalization a channel has the mean beta and the standard
deviation gamma; taken as normal, it has a known mean behind ReLU or ReLU6,
too (Nagel et al., 2019, appendix C).
"""

import math

import torch
from torch import Tensor

from ptq.graph import Graph, Node
from ptq.graph.norm_folding import (
    by_input,
    has_channels,
    over_inputs,
    weight_and_bias,
)

# (mean, variance) by a node's name, float64 (C,) each.
Moments = dict[str, tuple[Tensor, Tensor]]
# A bound that is none lies this many standard deviations away.
FAR = 40.0


def normal_moments(graph: Graph) -> Moments:
    """Mean and variance of each channel, for all nodes where they are known.

    ``graph`` is traced, with its BN. A layer in front of BN counts as the
    one that it becomes by folding. Sums, and the inputs of a layer, count as
    independent; positions at an edge as others. Where a maximum is pooled,
    knowledge ends. An average keeps its input's variance, as a bound.
    """
    found: Moments = {}
    for node in graph.nodes.values():
        given = [found.get(name) for name in node.inputs]
        made = _of_result(graph, node, given)
        if made is not None:
            found[node.name] = made
    for node in graph.nodes.values():
        before = node.inputs[0] if node.inputs else None
        alone = before and graph.only_user(before) == node
        if alone and node.op == "batch_norm":
            found[before] = found[node.name]
    return found


def _of_result(graph: Graph, node: Node, given: list):
    if node.op == "batch_norm":
        gamma, beta = graph.filled(node.args[1:3], {})
        zeros = torch.zeros(node.shape[1], dtype=torch.float64)
        gamma = zeros + 1 if gamma is None else gamma.double()
        beta = zeros if beta is None else beta.double()
        return beta, gamma.square()
    if not given or None in given:
        return None
    if node.op == "clamp":
        return clipped_normal(*given[0], *node.args[1:])
    if node.op == "add":
        (first, one), (second, other) = given
        return first + second, one + other
    if node.op in ("average_pool", "adaptive_average"):
        return given[0]
    if node.op == "reshape" and len(node.shape) == 2:
        times = node.shape[1] // len(given[0][0])
        return tuple(each.repeat_interleave(times) for each in given[0])
    if has_channels(node):
        return _of_layer(graph, node, *given[0])
    return None


def _of_layer(graph: Graph, node: Node, mean: Tensor, variance: Tensor):
    weight, bias = weight_and_bias(graph, node)
    view = by_input(node, weight, len(mean))
    variance = over_inputs(view.square(), variance)
    return over_inputs(view, mean) + bias, variance


def clipped_normal(
    mean: Tensor, variance: Tensor, low: float | None, high: float | None
) -> tuple[Tensor, Tensor]:
    """Mean and variance of a normal variable, cut at two bounds.

    ``mean`` and ``variance`` are float64 (C,), and so is what is returned;
    None is no bound. Nagel et al. (2019), equation 19, with a second bound.
    """
    size = variance.sqrt().clamp(min=torch.finfo(torch.float64).tiny)
    low = mean - FAR * size if low is None else torch.full_like(mean, low)
    high = mean + FAR * size if high is None else torch.full_like(mean, high)
    a, b = (low - mean) / size, (high - mean) / size
    below, above = torch.special.ndtr(a), torch.special.ndtr(-b)
    inside = torch.special.ndtr(b) - below
    at_a, at_b = (
        size * (-t.square() / 2).exp() / math.sqrt(2 * math.pi)
        for t in (a, b)
    )
    first = low * below + high * above + mean * inside + at_a - at_b
    second = low.square() * below + high.square() * above
    second = second + (mean.square() + variance) * inside
    second = second + (mean + low) * at_a - (mean + high) * at_b
    return first, (second - first.square()).clamp(min=0)


def divided(moments: Moments, by: dict[str, Tensor]) -> Moments:
    """Moments of results that are divided ``by``, (C,) by a node's name."""
    return moments | {
        name: (moments[name][0] / s, moments[name][1] / s.square())
        for name, s in by.items()
        if name in moments
    }
