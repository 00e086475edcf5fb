"""Means and second moments of what a layer reads and shall put out."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

from torch import Tensor
from torch.nn import functional as F

from ptq.graph import Node

# Numbers of patches that are held at once.
MOST_NUMBERS = 2**23


@dataclass(frozen=True)
class Moments:
    """Of patches x and results y, by group; all float64.

    ``x`` (groups, k) and ``y`` (groups, C_out / groups) are means, ``xx``
    (groups, k, k) and ``xy`` (groups, k, C_out / groups) covariances.
    ``count`` patches a group were seen.
    """

    x: Tensor
    y: Tensor
    xx: Tensor
    xy: Tensor
    count: int


def moments(node: Node, weight: Tensor, x: Tensor, y: Tensor) -> Moments:
    """Moments of what a layer reads, ``x``, and of results ``y``.

    ``x`` is float32 (N, ...) and ``y`` (N, ...) as the node has them, each
    of another network if need be; ``weight`` (C_out, ...) tells the kernel.
    Few patches are held at once. Products are added up in float32 within a
    part, and in float64 over the parts.
    """
    count, sums = 0, [0.0] * 4
    for patch, result in _patches(node, weight, x, y):
        count += patch.shape[1]
        turned = patch.mT
        new = patch.sum(1), result.sum(1), turned @ patch, turned @ result
        sums = [
            old + one.double() for old, one in zip(sums, new, strict=True)
        ]
    x, y, xx, xy = (one / count for one in sums)
    xx = xx - x[:, :, None] * x[:, None]
    return Moments(x, y, xx, xy - x[:, :, None] * y[:, None], count)


def by_group(weight: Tensor, groups: int) -> Tensor:
    """Filters (C_out, ...) as columns, (groups, k, C_out / groups)."""
    return weight.reshape(groups, len(weight) // groups, -1).mT


def _patches(node: Node, weight, x, y) -> Iterator[tuple[Tensor, Tensor]]:
    """Parts: patches (groups, n, k), results (groups, n, C_out / groups)."""
    if node.op == "linear":
        x, y = (t.reshape(-1, t.shape[-1]) for t in (x, y))
        rows = max(MOST_NUMBERS // x.shape[1], 1)
        for part in zip(x.split(rows), y.split(rows), strict=True):
            yield tuple(t[None] for t in part)
        return
    stride, padding, dilation, groups = node.args[3:]
    if x.dim() == 3:  # one row of an image
        x, y, weight = x[:, :, None], y[:, :, None], weight[:, :, None]
        stride, dilation = (1, *stride), (1, *dilation)
        padding = (0, *padding)
    numbers = weight[0].numel() * groups * prod(y.shape[2:])
    size = max(MOST_NUMBERS // numbers, 1)
    for some, result in zip(x.split(size), y.split(size), strict=True):
        columns = F.unfold(some, weight.shape[2:], dilation, padding, stride)
        yield tuple(
            t.reshape(len(t), groups, -1, columns.shape[2])
            .permute(1, 0, 3, 2)
            .flatten(1, 2)
            for t in (columns, result)
        )
