"""Pooling of whole numbers: sums of windows, and their places."""

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as F

from ptq.graph import Node


def window_sums(node: Node, whole: Tensor) -> Tensor:
    """Sums over a pooling's windows, int64, of (N, C, H, W) or (N, C, L)."""
    if node.op == "adaptive_average":
        for dim, wanted in enumerate(node.args[1], 2):
            whole = _shares(whole, dim, wanted)
        return whole
    _, kernel, stride, padding, ceil, _ = node.args
    if whole.dim() == 3:
        flat = F.avg_pool2d(
            *(whole[:, :, None], (1, *kernel), (1, *stride)),
            *((0, *padding), ceil, True, 1),
        )
        return flat[:, :, 0]
    return F.avg_pool2d(whole, kernel, stride, padding, ceil, True, 1)


def max_pool1d(x, kernel, stride, padding, dilation, ceil) -> Tensor:
    """Largest of each window of (N, C, L): torch has none of integers."""
    pairs = zip(
        (1, 1, 0, 1), (kernel, stride, padding, dilation), strict=True
    )
    settings = [(first, *given) for first, given in pairs]
    return F.max_pool2d(x[:, :, None], *settings, ceil)[:, :, 0]


def places(node: Node, size: tuple) -> Tensor:
    """How many values each window's mean is of, int64 (1, 1, ...).

    ``size`` is that of the images, (H, W) or (L,). Zeros around them count
    where the pooling says so.
    """
    if node.op == "average_pool" and node.args[5]:
        pads = node.args[3]
        size = (n + 2 * pad for n, pad in zip(size, pads, strict=True))
        none = (0,) * len(pads)
        node = replace(node, args=(*node.args[:3], none, *node.args[4:]))
    found = window_sums(node, torch.ones(1, 1, *size, dtype=torch.long))
    # Rounded up, torch drops a window that would begin in the zeros.
    return found[(..., *(slice(n) for n in node.shape[2:]))]


def _shares(whole: Tensor, dim: int, wanted: int) -> Tensor:
    """Sums of ``wanted`` windows that share a dimension out, as torch's."""
    size = whole.shape[dim]
    sums = [
        whole.narrow(dim, i * size // wanted, length).sum(dim, keepdim=True)
        for i in range(wanted)
        for length in [-(-(i + 1) * size // wanted) - i * size // wanted]
    ]
    return torch.cat(sums, dim)
