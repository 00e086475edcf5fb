"""Sums of products as processors without VNNI form them: in pairs, clipped.

They multiply unsigned bytes by signed ones and add two products in 16 bits,
which saturate. Which two products are neighbours depends on the kernel.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from ptq.graph import Node
from ptq.quantizer.network import Layer

LARGEST = 2**15 - 1
# Orders of a window's products that kernels have.
ORDERS = ("channels last", "channels first")


def sum_in_pairs(x: Tensor, w: Tensor) -> Tensor:
    """Sum of ``x * w`` as an engine without VNNI computes it, int64 (...).

    ``x`` holds uint8 codes and ``w`` int8 codes, (..., K) with K even. The
    two products of neighbours are added in 16 bits, which saturate; the sum
    of the pairs has 32 bits. Equation (eq-pairs).
    """
    products = x.long() * w.long()
    pairs = products.unflatten(-1, (-1, 2)).sum(-1)
    return pairs.clamp(-LARGEST - 1, LARGEST).sum(-1)


def layer_sums(
    node: Node, layer: Layer, codes: Tensor, zero: int, order: str = ORDERS[0]
) -> Tensor:
    """A layer's sums in pairs, less those of the zero point, and its bias.

    ``node`` is a 2-d convolution or a linear layer, ``codes`` (N, ...) are
    its input's, from 0 to 255, ``zero`` is their zero point, and ``order``
    one of ``ORDERS``. The result is int64, of the node's shape.
    """
    if node.op == "linear":
        x = codes.reshape(-1, 1, 1, 1, codes.shape[-1])
        groups, w = 1, layer.codes[:, :, None]
    else:
        x, groups = _windows(node, layer, codes, zero), node.args[6]
        w = layer.codes.flatten(2)
    w = w.unflatten(0, (groups, -1))  # (groups, outputs, channels, places)
    if order == "channels last":
        x, w = x.transpose(3, 4), w.transpose(2, 3)
    x, w = x.flatten(3), w.flatten(2)
    x, w = (F.pad(t.long(), (0, t.shape[-1] % 2)) for t in (x, w))
    outputs = [sum_in_pairs(x, w[:, None, j]) for j in range(w.shape[1])]
    sums = torch.stack(outputs, 2).flatten(1, 2)  # (N, outputs, windows)
    extra = layer.codes.long().flatten(1).sum(1) * zero - layer.bias.long()
    return (sums - extra[:, None]).reshape(-1, *node.shape[1:])


def _windows(node: Node, layer: Layer, codes: Tensor, zero: int) -> Tensor:
    """What each output reads: (N, groups, windows, channels, places)."""
    stride, (high, wide), dilation, groups = node.args[3:]
    around = F.pad(codes.double(), (wide, wide, high, high), value=zero)
    kernel = layer.codes.shape[2:]
    found = F.unfold(around, kernel, dilation, 0, stride)
    shape = (len(codes), groups, layer.codes.shape[1], kernel.numel(), -1)
    return found.reshape(shape).movedim(4, 2)
