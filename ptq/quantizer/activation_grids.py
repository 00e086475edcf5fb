"""The range of each grid, from what a float network does with images."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from ptq.graph import Graph, Node, UnsupportedError
from ptq.quantizer import affine, observers
from ptq.quantizer.affine import Grid
from ptq.quantizer.observers import BINS, OBSERVERS

BATCH = 64
# More different values than an image of 8 bits has, in some channels.
MOST_POINTS = 256 * 16
# Steps by which the input grid's nearest tie is missed, at least.
CLEARANCE = 1e-3


def activation_grids(
    graph: Graph,
    images: Tensor,
    bits: Mapping[str, int],
    how: str,
    symmetric: bool = False,
) -> dict[str, Grid]:
    """A grid of 2^bits codes, 0 the lowest, over each owner's results.

    ``images`` is float32 (N, ...), ``bits`` are by owner, those of "input"
    among them; ``how`` names one of ``observers.OBSERVERS``. The input's
    grid is ``input_grid``. ``symmetric`` as of ``balanced``. Raises
    UnsupportedError where a result is not finite, or too small for a scale
    in float32, UnknownNameError where there is no such observer.
    """
    owners = bits.keys() - {"input"}
    ranges = _extremes(graph, images, owners)
    if how == "moving_average":
        ranges = _averages(graph, images, owners)
    elif (choose := OBSERVERS.row(how)) is not None:
        found = _histograms(graph, images, ranges)
        ranges = {
            name: choose(histogram, *ranges[name], bits[name])
            for name, histogram in found.items()
        }
    if symmetric:  # no kernel reads logits, and coarser ones make ties
        ranges |= {
            name: balanced(*ends, bits[name])
            for name, ends in ranges.items()
            if name != graph.output
        }
    grids = {
        name: _grid(node, *ranges[name], bits[name])
        for name, node in graph.nodes.items()
        if name in ranges
    }
    points = images.unique(), bits["input"]
    return {"input": input_grid(*points, symmetric)} | grids


def balanced(low: Tensor, high: Tensor, bits: int) -> tuple[Tensor, Tensor]:
    """A range with negative numbers, widened so that 0 has the middle code.

    That is 2^(bits - 1), counted from 0. A range without any stays as it
    is. ``low`` and ``high``, and both new ends, are float32 scalars.
    """
    if low >= 0:
        return low, high
    half = 2 ** (bits - 1)
    scale = torch.maximum(-low / half, high / max(half - 1, 1))
    return -half * scale, (half - 1) * scale


def _grid(node: Node, low: Tensor, high: Tensor, bits: int) -> Grid:
    """Of results that are all zero, torch's least scale."""
    most = 2**bits - 1
    widest = float(torch.maximum(-low, high))
    if 0 < widest < most * affine.TINY_SCALE:
        raise UnsupportedError(
            f"{node} puts out numbers of {widest:.3g} at most: a scale of "
            "such would be lost in float32; multiply its weights, and divide "
            "those behind it"
        )
    smallest = affine.TINY_SCALE if widest else affine.SMALLEST_SCALE
    return affine.affine_grid(low, high, 0, most, smallest=smallest)


def input_grid(
    points: Tensor, bits: int = 8, symmetric: bool = False
) -> Grid:
    """A grid on which no pixel lies halfway between two codes.

    ``points`` (n,) are the values of pixels after normalization. The
    min-max grid of [-1, 1] has every 8-bit pixel halfway: engines round such
    ties differently. So steps are made wider, by as little as will do: for
    [-1, 1] the scale is 1/127 and the zero point 127. Where there are more
    values than 8-bit pixels have, the grid is the min-max one.
    ``symmetric`` as of ``balanced``.
    """
    low, high = points.min().clamp(max=0), points.max().clamp(min=0)
    if symmetric:
        low, high = balanced(low, high, bits)
    most = 2**bits - 1
    if len(points) > MOST_POINTS or low == high:
        smallest = affine.TINY_SCALE if low < high else affine.SMALLEST_SCALE
        return affine.affine_grid(low, high, 0, most, smallest=smallest)
    clearest = -1.0
    for steps in _numbers_of_steps(most):
        wider = (high - low) / steps
        offset = (points.double() / wider.double()) % 1
        clear = float((offset - 0.5).abs().min())
        if clear > clearest:
            clearest, scale = clear, wider
        if clear >= CLEARANCE:
            break
    zero_point = torch.round(-low / scale).to(torch.int32)
    return Grid(scale, zero_point, 0, most)


def _numbers_of_steps(most: int) -> list[float]:
    """Whole numbers that waste little of ``most``, then what is between.

    Those reach down to three quarters, for no more codes than a byte's by
    32nds.
    """
    whole = [most - i for i in range(most // 128 + 1)]
    part = max(most / 255, 1) / 32
    return whole + [most - i * part for i in range(1, 8 * min(most, 255))]


def _extremes(graph, images, owners) -> dict[str, tuple[Tensor, Tensor]]:
    found = {}

    def see(name: str, result: Tensor) -> None:
        low, high = result.aminmax()
        if not torch.isfinite(high - low):
            raise UnsupportedError(
                f"{graph.nodes[name]} puts out {float(low):g} to "
                f"{float(high):g} for these images: expected finite numbers"
            )
        before = found.get(name, (low, high))
        found[name] = (low.minimum(before[0]), high.maximum(before[1]))

    _watch(graph, images, owners, see)
    return found


def _averages(graph, images, owners) -> dict[str, tuple[Tensor, Tensor]]:
    """Moving averages of the extremes of each image."""
    found = {name: [] for name in owners}
    for image in images.split(1):
        _watch(
            graph,
            image,
            owners,
            lambda name, result: found[name].append(result.aminmax()),
        )
    return {
        name: observers.moving_average(each) for name, each in found.items()
    }


def _histograms(graph, images, ranges) -> dict[str, Tensor]:
    found = {name: torch.zeros(BINS) for name in ranges}

    def see(name: str, result: Tensor) -> None:
        low, high = map(float, ranges[name])
        # Of one value only, histc would make a range of its own.
        found[name] += torch.histc(result, BINS, low, high + (low == high))

    _watch(graph, images, ranges, see)
    return found


def _watch(graph: Graph, images: Tensor, names, see: Callable) -> None:
    """Call ``see(name, result)`` for each batch and each of the names."""

    def visit(node, given):
        result = graph.compute(node, given)
        if node.name in names:
            see(node.name, result)
        return result

    for batch in images.split(BATCH):
        graph.walk(batch, visit)
