"""The words that a graph is written in, and how each computes in float.

Functional, method, module and in-place forms of one thing have one word
here; ``translate`` maps them to it.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

aten = torch.ops.aten


@dataclass(frozen=True)
class Operation:
    """A word: how it computes, and what it is to a quantizer.

    ``kind`` is "input"; "layer" (weights and integer sums); "join" and
    "average" (values of several origins on one new grid); "move" (each
    result is one of the values read, or zero, or a bound: it stays on its
    input's grid); "function" (of real numbers, computed in float);
    "unknown" (a function that has no word here).
    """

    run: Callable | None
    kind: str


def convolution(x, weight, bias, stride, padding, dilation, groups) -> Tensor:
    """1-d or 2-d convolution of (N, C, ...), zeros around it.

    The settings hold a number for each dimension of (...).
    """
    none = (0,) * len(stride)
    return torch.convolution(
        x, weight, bias, stride, padding, dilation, False, none, groups
    )


def batch_norm(x, gamma, beta, mean, variance, eps) -> Tensor:
    """By fixed statistics (C,), of (N, C, ...); gamma and beta or None."""
    return F.batch_norm(x, mean, variance, gamma, beta, eps=eps)


def clamp(x, low, high) -> Tensor:
    """Values of ``x``, of any shape, between two bounds; None is no bound.

    ReLU is (0, None), ReLU6 (0, 6), Hardtanh (-1, 1).
    """
    return torch.clamp(x, low, high)


def max_pool(x, kernel, stride, padding, dilation, ceil) -> Tensor:
    """Largest value of each window of (N, C, H, W) or (N, C, L)."""
    pool = (F.max_pool1d, F.max_pool2d)[x.dim() - 3]
    return pool(x, kernel, stride, padding, dilation, ceil_mode=ceil)


def average_pool(x, kernel, stride, padding, ceil, count_padding) -> Tensor:
    """Mean of each window of (N, C, H, W) or (N, C, L)."""
    pool = (F.avg_pool1d, F.avg_pool2d)[x.dim() - 3]
    return pool(x, kernel, stride, padding, ceil, count_padding)


def adaptive_average(x, size) -> Tensor:
    """Means over windows that share rows and columns of an image out.

    ``x`` is (N, C, H, W) or (N, C, L), ``size`` how many there are.
    """
    pool = (F.adaptive_avg_pool1d, F.adaptive_avg_pool2d)[x.dim() - 3]
    return pool(x, size)


def part(x, dim, start, end) -> Tensor:
    """Positions start to end - 1 of a dimension of ``x``, of any shape."""
    return x.narrow(dim, start, end - start)


def take(x, dim, index) -> Tensor:
    """Positions ``index`` of a dimension of ``x``, of any shape.

    Flips, nearest upsampling, and padding by reflection, repetition or
    wrapping around are all of this kind.
    """
    return x.index_select(dim, torch.tensor(index))


def pad(x, pads) -> Tensor:
    """Zeros around ``x``, of any shape; negative numbers crop.

    ``pads`` are in torch's order: those of the last dimension first.
    """
    return F.pad(x, pads)


def spread(x, strides, pads) -> Tensor:
    """Zeros between the values of (N, C, ...), then around them.

    A transposed convolution is a convolution of this.
    """
    sizes = [n * s for n, s in zip(x.shape[2:], strides, strict=True)]
    spaced = x.new_zeros(*x.shape[:2], *sizes)
    spaced[(..., *(slice(None, None, s) for s in strides))] = x
    return F.pad(spaced, pads)


def gelu(x, approximate) -> Tensor:
    """``x`` of any shape; ``approximate`` is "none" or "tanh"."""
    return F.gelu(x, approximate=approximate)


OPERATIONS = {
    "input": Operation(None, "input"),
    "convolution": Operation(convolution, "layer"),
    "linear": Operation(F.linear, "layer"),
    "add": Operation(torch.add, "join"),
    "mul": Operation(torch.mul, "join"),
    "cat": Operation(torch.cat, "join"),
    "average_pool": Operation(average_pool, "average"),
    "adaptive_average": Operation(adaptive_average, "average"),
    "clamp": Operation(clamp, "move"),
    "max_pool": Operation(max_pool, "move"),
    "reshape": Operation(torch.reshape, "move"),
    "permute": Operation(torch.permute, "move"),
    "part": Operation(part, "move"),
    "take": Operation(take, "move"),
    "pad": Operation(pad, "move"),
    "spread": Operation(spread, "move"),
    "batch_norm": Operation(batch_norm, "function"),
    # With a number or a constant tensor: the second argument is no value.
    "clip": Operation(clamp, "function"),  # to an interval without zero
    "minimum": Operation(torch.minimum, "function"),  # a bound a channel
    "add_constant": Operation(torch.add, "function"),
    "mul_constant": Operation(torch.mul, "function"),
    "sub": Operation(torch.sub, "function"),
    "div": Operation(torch.div, "function"),
    "matmul": Operation(torch.matmul, "function"),
    "mean": Operation(torch.mean, "function"),
    "softmax": Operation(torch.softmax, "function"),
    "layer_norm": Operation(F.layer_norm, "function"),
    "group_norm": Operation(F.group_norm, "function"),
    "sigmoid": Operation(torch.sigmoid, "function"),
    "tanh": Operation(torch.tanh, "function"),
    "silu": Operation(F.silu, "function"),
    "hardsigmoid": Operation(F.hardsigmoid, "function"),
    "hardswish": Operation(F.hardswish, "function"),
    "gelu": Operation(gelu, "function"),
    "elu": Operation(F.elu, "function"),
    "leaky_relu": Operation(F.leaky_relu, "function"),
    "prelu": Operation(F.prelu, "function"),
    "softplus": Operation(F.softplus, "function"),
    "mish": Operation(F.mish, "function"),
    "selu": Operation(F.selu, "function"),
    "pow": Operation(torch.pow, "function"),
    "log_softmax": Operation(torch.log_softmax, "function"),
    "exp": Operation(torch.exp, "function"),
    "sqrt": Operation(torch.sqrt, "function"),
    "abs": Operation(torch.abs, "function"),
    "neg": Operation(torch.neg, "function"),
}


def operation(word: str) -> Operation:
    """The operation of a word, or of torch's own name, "aten.sin.default".

    Raises KeyError where it is neither, takes no tensor first, or would
    change it.
    """
    if word in OPERATIONS:
        return OPERATIONS[word]
    try:
        _, name, overload = word.split(".")
        found = getattr(getattr(aten, name), overload)
    except (ValueError, AttributeError):
        raise KeyError(f"there is no operation {word!r}") from None
    first = [str(taken.type) for taken in found._schema.arguments[:1]]
    if found._schema.is_mutable or first != ["Tensor"]:
        raise KeyError(f"{word!r} is no operation on a tensor")
    return Operation(found, "unknown")
