"""What torch calls an operation, in the words of the graph."""

from collections.abc import Callable
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor
from torch.nn import functional as F

from ptq.graph.errors import UnsupportedError
from ptq.graph.nodes import BATCH, Constant, Value


@dataclass
class Call:
    """One call of torch, as ``torch.export`` found it.

    ``given`` are its arguments by name, with Value and Constant for
    tensors; ``shape`` is that of the result (a list of them for several).
    ``emit(op, *args, shape=...)`` adds a node and returns its Value;
    ``shape_of`` tells a Value's or Constant's shape, ``tensor`` a
    Constant's tensor, and ``keep`` makes a Constant of a tensor.
    """

    name: str
    given: dict
    shape: tuple
    emit: Callable
    shape_of: Callable
    tensor: Callable
    keep: Callable

    def __getitem__(self, argument: str):
        return self.given[argument]

    @property
    def x(self) -> Value:
        """The first argument."""
        return next(iter(self.given.values()))


def _tuple(value, length: int) -> tuple:
    """A number for each dimension, where one or many are given."""
    many = value if isinstance(value, tuple) else (value,)
    return many if len(many) == length else many * length


def convolution(call: Call) -> Value:
    weight = _weight(call)
    kernel, given = weight.shape[2:], call["padding"]
    stride, dilation = (
        _tuple(call[name], len(kernel)) for name in ("stride", "dilation")
    )
    x, padding = call.x, (0,) * len(kernel)
    if given == "same":
        total = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
        if any(t % 2 for t in total):
            x = _zeros_around(call, x, [(t // 2, t - t // 2) for t in total])
        else:
            padding = tuple(t // 2 for t in total)
    elif given != "valid":
        padding = _tuple(given, len(kernel))
    return call.emit(
        "convolution",
        *(x, call["weight"], call["bias"]),
        *(stride, padding, dilation, call["groups"]),
    )


def transposed_convolution(call: Call) -> Value:
    """A convolution, by the flipped kernel, of the spread-out input."""
    weight, groups = _weight(call), call["groups"]
    (inputs, outputs), kernel = weight.shape[:2], weight.shape[2:]
    split = weight.reshape(groups, inputs // groups, outputs, *kernel)
    flipped = split.transpose(1, 2).flip(tuple(range(3, split.dim())))
    flipped = flipped.reshape(groups * outputs, inputs // groups, *kernel)
    stride, padding, extra, dilation = (
        _tuple(call[name], len(kernel))
        for name in ("stride", "padding", "output_padding", "dilation")
    )
    pads, sizes = [], call.shape_of(call.x)[2:]
    for i, k in enumerate(kernel):
        first = dilation[i] * (k - 1) - padding[i]
        pads.append((first, first + extra[i] - stride[i] + 1))
    shape = call.shape_of(call.x)[:2] + tuple(
        n * s + a + b
        for n, s, (a, b) in zip(sizes, stride, pads, strict=True)
    )
    x = call.emit("spread", call.x, stride, _torch_order(pads), shape=shape)
    ones = (1,) * len(kernel)
    return call.emit(
        "convolution",
        *(x, call.keep(call["weight"].name, flipped), call["bias"]),
        *(ones, (0,) * len(kernel), dilation, groups),
    )


def linear(call: Call) -> Value:
    _weight(call)
    return call.emit("linear", call.x, call["weight"], call["bias"])


def matmul(call: Call) -> Value:
    first, second = list(call.given.values())[:2]
    if isinstance(second, Constant) and len(call.shape_of(second)) == 2:
        turned = call.keep(second.name, call.tensor(second).T.contiguous())
        return call.emit("linear", first, turned, None)
    return call.emit("matmul", first, second)


def batch_norm(call: Call) -> Value:
    if call["training"] or call["running_mean"] is None:
        raise UnsupportedError(
            "it keeps no running statistics, so it normalizes each batch by "
            "itself, and no fixed arithmetic does that"
        )
    names = ("input", "weight", "bias", "running_mean", "running_var", "eps")
    return call.emit("batch_norm", *map(call.given.get, names))


def clamp(low: str | float | None, high: str | float | None) -> Callable:
    """A rule for bounds that are numbers, or arguments of these names."""

    def rule(call: Call) -> Value:
        ends = (
            call.given.get(e) if isinstance(e, str) else e
            for e in (low, high)
        )
        low_, high_ = (None if e is None else float(e) for e in ends)
        zero_inside = (low_ or 0) <= 0 <= (high_ or 0)
        word = "clamp" if zero_inside else "clip"
        return call.emit(word, call.x, low_, high_)

    return rule


def arithmetic(both: str, constant: str | None, turn: Callable) -> Callable:
    """A rule for two operands; a constant second one is ``turn``-ed."""

    def rule(call: Call) -> Value:
        first, second = list(call.given.values())[:2]
        if call.given.get("rounding_mode"):
            raise UnsupportedError("it divides to whole numbers")
        if (alpha := call.given.get("alpha", 1)) != 1:
            second = _scaled(call, second, alpha)
        if both in ("add", "mul") and not isinstance(first, Value):
            first, second = second, first
        if constant and not isinstance(second, Value):
            plain = isinstance(second, Constant)
            operand = call.tensor(second) if plain else second
            turned = turn(operand)
            if plain:
                turned = call.keep(second.name, turned)
            return call.emit(constant, first, turned)
        return call.emit(both, first, second)

    return rule


def reversed_sub(call: Call) -> Value:
    """3 - x"""
    negative = _scaled(call, call.x, -call.given.get("alpha", 1))
    word = "add" if isinstance(call["other"], Value) else "add_constant"
    return call.emit(word, negative, call["other"])


def _scaled(call: Call, operand, factor):
    if isinstance(operand, Value):
        shape = call.shape_of(operand)
        return call.emit("mul_constant", operand, factor, shape=shape)
    if isinstance(operand, Constant):
        return call.keep(operand.name, call.tensor(operand) * factor)
    return operand * factor


def cat(call: Call) -> Value:
    values = call["tensors"]
    if not all(isinstance(value, Value) for value in values):
        raise UnsupportedError("it joins a constant to a result")
    return call.emit("cat", values, call["dim"] % len(call.shape))


def max_pool(call: Call) -> Value:
    rank = len(call.shape) - 2
    kernel = _tuple(call["kernel_size"], rank)
    return call.emit(
        "max_pool",
        *(call.x, kernel, _tuple(call["stride"] or kernel, rank)),
        *(_tuple(call["padding"], rank), _tuple(call["dilation"], rank)),
        call["ceil_mode"],
    )


def average_pool(call: Call) -> Value:
    rank = len(call.shape) - 2
    kernel = _tuple(call["kernel_size"], rank)
    divisor = call.given.get("divisor_override")
    pooled = call.emit(
        "average_pool",
        *(call.x, kernel, _tuple(call["stride"] or kernel, rank)),
        *(_tuple(call["padding"], rank), call["ceil_mode"]),
        call["count_include_pad"] or divisor is not None,
    )
    if divisor is None:
        return pooled
    if call["ceil_mode"]:
        raise UnsupportedError("it has a divisor and rounds its size up")
    return call.emit("mul_constant", pooled, prod(kernel) / divisor)


def adaptive_average(call: Call) -> Value:
    return _windows(call, call.x, call.shape[2:], call.shape)


def _windows(call: Call, x, size: tuple, shape: tuple) -> Value:
    """Means of windows: equal ones where the sizes divide."""
    given = call.shape_of(x)[2:]
    if given == tuple(size):
        return x
    if any(g % s for g, s in zip(given, size, strict=True)):
        return call.emit("adaptive_average", x, tuple(size), shape=shape)
    kernel = tuple(g // s for g, s in zip(given, size, strict=True))
    none = (0,) * len(kernel)
    return call.emit(
        "average_pool", x, kernel, kernel, none, False, True, shape=shape
    )


def mean(call: Call) -> Value:
    given = call.shape_of(call.x)
    dims = call.given.get("dim") or ()
    dims = dims if isinstance(dims, tuple) else (dims,)
    dims = {dim % len(given) for dim in dims}
    images = len(given) in (3, 4) and given[0] == BATCH
    if not dims or 0 in dims:
        raise UnsupportedError("it averages over the images of a batch")
    if not images or 1 in dims:
        dims = tuple(sorted(dims))
        return call.emit("mean", call.x, dims, call["keepdim"])
    size = [1 if i in dims else n for i, n in enumerate(given)]
    pooled = _windows(call, call.x, tuple(size[2:]), tuple(size))
    return _reshaped(call, pooled, call.shape)


def reshape(call: Call) -> Value:
    return _reshaped(call, call.x, call.shape)


def _reshaped(call: Call, x: Value, shape: tuple) -> Value:
    if shape == call.shape_of(x):
        return x
    if shape.count(BATCH) != 1:
        raise UnsupportedError(
            f"its result has shape {shape}: expected one dimension that "
            "grows with the number of images"
        )
    return call.emit("reshape", x, shape, shape=shape)


def permute(call: Call) -> Value:
    rank = len(call.shape)
    if "dims" in call.given:
        order = [dim % rank for dim in call["dims"]]
    else:
        order = list(range(rank))
        first, second = (
            call.given.get(n, i) % rank
            for i, n in enumerate(("dim0", "dim1"))
        )
        order[first], order[second] = second, first
    if order == list(range(rank)):
        return call.x
    return call.emit("permute", call.x, tuple(order))


def channel_shuffle(call: Call) -> Value:
    batch, channels, *sizes = call.shape
    groups, rest = call["groups"], tuple(range(3, 3 + len(sizes)))
    inner = (batch, groups, channels // groups, *sizes)
    x = _reshaped(call, call.x, inner)
    turned = (batch, channels // groups, groups, *sizes)
    x = call.emit("permute", x, (0, 2, 1, *rest), shape=turned)
    return _reshaped(call, x, call.shape)


def pixel_shuffle(call: Call) -> Value:
    batch, channels, high, wide = call.shape
    r = call["upscale_factor"]
    inner = (batch, channels, r, r, high // r, wide // r)
    x = _reshaped(call, call.x, inner)
    turned = (batch, channels, high // r, r, wide // r, r)
    x = call.emit("permute", x, (0, 1, 4, 2, 5, 3), shape=turned)
    return _reshaped(call, x, call.shape)


def parts(call: Call) -> list[Value]:
    """split, chunk and unbind: one node for each part."""
    given = call.shape_of(call.x)
    dim, start, found = call["dim"] % len(given), 0, []
    for shape in call.shape:
        length = shape[dim] if len(shape) == len(given) else 1
        found.append(_part(call, call.x, dim, start, start + length, shape))
        start += length
    return found


def piece(call: Call) -> Value:
    """x[:, a:b:step]"""
    given = call.shape_of(call.x)
    dim, step = call["dim"] % len(given), call.given.get("step", 1)
    if call.shape == given:
        return call.x
    if given[dim] == BATCH:
        raise UnsupportedError("it takes some images of a batch only")
    start, end, step = slice(call["start"], call["end"], step).indices(
        given[dim]
    )
    if step == 1:
        return _part(call, call.x, dim, start, end, call.shape)
    return _taken(call, call.x, dim, range(start, end, step))


def select(call: Call) -> Value:
    given = call.shape_of(call.x)
    dim = call["dim"] % len(given)
    if given[dim] == BATCH:
        raise UnsupportedError("it takes one image of a batch only")
    index = call["index"] % given[dim]
    return _part(call, call.x, dim, index, index + 1, call.shape)


def _part(call: Call, x, dim: int, start: int, end: int, shape) -> Value:
    size = list(call.shape_of(x))
    size[dim] = end - start
    x = call.emit("part", x, dim, start, end, shape=tuple(size))
    return _reshaped(call, x, shape)


def flip(call: Call) -> Value:
    x, given = call.x, call.shape_of(call.x)
    for dim in (dim % len(given) for dim in call["dims"]):
        x = _taken(call, x, dim, range(given[dim] - 1, -1, -1))
    return x


def nearest(call: Call) -> Value:
    """Nearest upsampling, by asking torch which positions it takes."""
    x = call.x
    for dim in range(2, len(call.shape)):
        places = torch.arange(call.shape_of(x)[dim])[None, None].float()
        taken = F.interpolate(places, size=call.shape[dim], mode="nearest")
        x = _taken(call, x, dim, taken.flatten().long().tolist())
    return x


def pad(mode: str = "") -> Callable:
    """A rule for padding by this mode, or that of the argument "mode"."""

    def rule(call: Call) -> Value:
        given = list(call.given.values())[1]
        pairs = list(zip(given[::2], given[1::2], strict=True))[::-1]
        kind = mode or call["mode"]
        if kind == "constant":
            if call.given.get("value"):
                raise UnsupportedError("it pads by another number than 0")
            return _zeros_around(call, call.x, pairs)
        x, first = call.x, len(call.shape) - len(pairs)
        for dim, (before, after) in enumerate(pairs, first):
            places = torch.arange(call.shape_of(x)[dim])[None, None].float()
            padded = F.pad(places, (before, after), kind).flatten().long()
            x = _taken(call, x, dim, padded.tolist())
        return x

    return rule


def _zeros_around(call: Call, x, pairs: list) -> Value:
    given = call.shape_of(x)
    first = len(given) - len(pairs)
    size = list(given)
    for dim, (before, after) in enumerate(pairs, first):
        size[dim] += before + after
    return call.emit("pad", x, _torch_order(pairs), shape=tuple(size))


def _torch_order(pairs) -> tuple[int, ...]:
    """Pads as torch wants them, those of the last dimension first."""
    return tuple(n for pair in reversed(list(pairs)) for n in pair)


def _taken(call: Call, x, dim: int, index) -> Value:
    size = list(call.shape_of(x))
    index = tuple(index)
    if size[dim] == BATCH:
        raise UnsupportedError("it reorders the images of a batch")
    if index == tuple(range(size[dim])):
        return x
    size[dim] = len(index)
    return call.emit("take", x, dim, index, shape=tuple(size))


def function(word: str, *names: str) -> Callable:
    """A rule for a function of the first argument and these others."""

    def rule(call: Call) -> Value:
        return call.emit(word, call.x, *(call.given[name] for name in names))

    return rule


def same(call: Call) -> Value:
    if call.given.get("train"):
        raise UnsupportedError(
            "it drops values at random in eval mode, too: give it "
            "training=self.training"
        )
    return call.x


def _weight(call: Call) -> Tensor:
    weight = call["weight"]
    if not isinstance(weight, Constant):
        raise UnsupportedError("its weights are computed from the input")
    tensor = call.tensor(weight)
    if tensor.dim() > 4:
        raise UnsupportedError("it is 3-d: 1-d and 2-d are supported")
    return tensor
