"""Rounding that pays for bits: errors, weighed, plus a price on code lengths.

The codes of a layer are written by an entropy coder, which gives a frequent
code few bits. Entropy-constrained scalar quantization (Chou, Lookabaugh and
Gray, 1989) inside coordinate descent: codes for given lengths, and lengths
for given codes, in turn. A network's error is measured as in Kunstner et al.
(2019, arXiv 1905.12558): in nats of what it predicts, by Fisher's
information.
"""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from ptq.graph import Graph, Node
from ptq.methods.coordinate_descent import best_scale, descended
from ptq.methods.rounding_problems import Problem, solved
from ptq.quantizer.network import QuantizedNetwork

SWEEPS = 6
# Larger than for rounding alone: to a price, directions that few images
# show look free of errors. It grows where inputs outnumber the images.
RIDGE = 0.5
# Slopes of so many weights are kept up to date at once.
BLOCK = 64


def rate_distortion(
    network: QuantizedNetwork,
    images: Tensor,
    prices: Mapping[str, float],
    importance: Mapping[str, Tensor] | None = None,
    sweeps: int = SWEEPS,
) -> QuantizedNetwork:
    """A copy with codes that err little and are short to write.

    ``prices`` are nats of predictions for one bit, by layer; other layers
    are rounded by coordinate descent toward the float network. ``images``
    (N, ...) are as the network takes them. ``importance`` is
    ``fisher_information`` of the float network, computed from ``images``
    where it is not given. UnsupportedError where images do not fit.
    """
    if importance is None:
        given = network.normalized(images)
        importance = fisher_information(network.graph, given)

    def solve(of: Problem) -> tuple[Tensor, Tensor]:
        if of.name not in prices:
            return descended(of)
        return priced(of, prices[of.name], importance[of.name], sweeps)

    return solved(network, images, solve, True, RIDGE, grows=True)


def priced(
    of: Problem, price: float, importance: Tensor, sweeps: int = SWEEPS
) -> tuple[Tensor, Tensor]:
    """Codes (groups, k, C_out / groups) and scale of small error and length.

    ``importance``, float (C_out,), makes nats of a filter's error. The price
    rises to ``price`` over the sweeps.
    """
    each = (importance.double() / 2).reshape(of.scale[:, 0].shape)
    codes, scale = descended(of, 1)
    every = torch.arange(of.low, of.high + 1, dtype=codes.dtype)
    for sweep in range(sweeps):
        length = code_lengths(codes, of.low, of.high)
        paid = price * (sweep + 1) / sweeps * length[:, None, None]
        values, steps = codes * scale, every[:, None, None] * scale[:, 0]

        def nearest(best, curve, paid=paid, steps=steps):
            cost = each * curve * (steps - best).square() + paid
            return cost.argmin(0)

        for first in range(0, codes.shape[1], BLOCK):
            some = slice(first, first + BLOCK)
            gram = of.gram[:, some, some]
            slope = of.pull[:, some] - of.gram[:, some] @ values
            for i, j in enumerate(range(codes.shape[1])[some]):
                curve = gram[:, i, i, None]
                chosen = nearest(values[:, j] + slope[:, i] / curve, curve)
                codes[:, j] = every[chosen]
                moved = codes[:, j] * scale[:, 0] - values[:, j]
                values[:, j] += moved
                slope -= gram[:, :, i, None] * moved[:, None]
        scale = best_scale(of, codes, scale)
    return codes, scale


def code_lengths(codes: Tensor, low: int, high: int) -> Tensor:
    """Bits of each code from ``low`` to ``high``, by how often it is used.

    ``codes`` are of any shape; float64 (high - low + 1,). Half a use more
    for each: what is not used yet can still be.
    """
    above = (codes.flatten() - low).long()
    counts = torch.bincount(above, minlength=high - low + 1).double() + 0.5
    return -(counts / counts.sum()).log2()


def fisher_information(
    graph: Graph, images: Tensor, seed: int = 0, batch: int = 250
) -> dict[str, Tensor]:
    """What a small error of each output costs, by layer: float32 (C_out,).

    An error of variance v in output c of a layer, at all its places, changes
    the predictions by about v/2 times this, in nats (KL divergence). It is
    the mean of the squared derivatives of log p(y), y drawn from the float
    network's own p: no labels. ``images`` is float32 (N, ...), normalized.
    """
    generator = torch.Generator().manual_seed(seed)
    sums = {}
    for part in images.split(batch):
        results = {}

        def visit(node: Node, given: dict, results=results) -> Tensor:
            with torch.enable_grad():
                result = graph.compute(node, given)
                if "weight" not in str(node.args[1:2]):
                    return result
                if not result.requires_grad:
                    result.requires_grad_()
                result.retain_grad()
                results[node.name] = result
            return result

        logits = graph.walk(part, visit)
        drawn = torch.multinomial(
            logits.detach().softmax(1), 1, generator=generator
        )
        functional.cross_entropy(
            logits, drawn[:, 0], reduction="sum"
        ).backward()
        for name, result in results.items():
            squares = result.grad.square()
            axis = -1 if graph.nodes[name].op == "linear" else 1
            total = squares.movedim(axis, 0).flatten(1).sum(1)
            sums[name] = sums.get(name, 0) + total
    return {name: total / len(images) for name, total in sums.items()}
