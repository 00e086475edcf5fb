"""Rules for what only moves values: reshaping, cutting, padding, taking."""

from collections.abc import Callable

import torch
from torch.nn import functional as F

from ptq.graph.errors import UnsupportedError
from ptq.graph.nodes import BATCH, Value
from ptq.graph.torch_call import Call, each


def reshape(call: Call) -> Value:
    """view, flatten, squeeze and their like: by their result's shape."""
    return reshaped(call, call.x, call.shape)


def reshaped(call: Call, x: Value, shape: tuple) -> Value:
    """``x`` in another shape, or as it is where it has that one.

    Raises UnsupportedError unless one dimension grows with the images.
    """
    if shape == call.shape_of(x):
        return x
    if shape.count(BATCH) != 1:
        raise UnsupportedError(
            f"its result has shape {shape}: expected one dimension that "
            "grows with the number of images"
        )
    return call.emit("reshape", x, shape, shape=shape)


def permute(call: Call) -> Value:
    """permute, transpose, swapaxes and t: dimensions in another order."""
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


def movedim(call: Call) -> Value:
    """A dimension, or several, put elsewhere."""
    rank = len(call.shape)
    source, target = (
        [dim % rank for dim in each(call[name], 1)]
        for name in ("source", "destination")
    )
    order = [dim for dim in range(rank) if dim not in source]
    for place, dim in sorted(zip(target, source, strict=True)):
        order.insert(place, dim)
    return call.emit("permute", call.x, tuple(order))


def channel_shuffle(call: Call) -> Value:
    """Channels of each group by turns (ShuffleNet)."""
    batch, channels, *sizes = call.shape
    groups, rest = call["groups"], tuple(range(3, 3 + len(sizes)))
    inner = (batch, groups, channels // groups, *sizes)
    x = reshaped(call, call.x, inner)
    turned = (batch, channels // groups, groups, *sizes)
    x = call.emit("permute", x, (0, 2, 1, *rest), shape=turned)
    return reshaped(call, x, call.shape)


def pixel_shuffle(call: Call) -> Value:
    """Channels become rows and columns in between."""
    batch, channels, high, wide = call.shape
    r = call["upscale_factor"]
    inner = (batch, channels, r, r, high // r, wide // r)
    x = reshaped(call, call.x, inner)
    turned = (batch, channels, high // r, r, wide // r, r)
    x = call.emit("permute", x, (0, 1, 4, 2, 5, 3), shape=turned)
    return reshaped(call, x, call.shape)


def pixel_unshuffle(call: Call) -> Value:
    """Rows and columns in between become channels."""
    batch, channels, high, wide = call.shape
    r = call["downscale_factor"]
    inner = (batch, channels // r**2, high, r, wide, r)
    x = reshaped(call, call.x, inner)
    turned = (batch, channels // r**2, r, r, high, wide)
    x = call.emit("permute", x, (0, 1, 3, 5, 2, 4), shape=turned)
    return reshaped(call, x, call.shape)


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
    """x[:, a:b:step]; UnsupportedError where it takes some images only."""
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
    """x[:, i]; UnsupportedError where it takes one image of a batch."""
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
    return reshaped(call, x, shape)


def flip(call: Call) -> Value:
    """The order of some dimensions turned around."""
    x, given = call.x, call.shape_of(call.x)
    for dim in (dim % len(given) for dim in call["dims"]):
        x = _taken(call, x, dim, range(given[dim] - 1, -1, -1))
    return x


def roll(call: Call) -> Value:
    """Some dimensions turned round; UnsupportedError for the flattened x."""
    if not call["dims"]:
        raise UnsupportedError("it rolls over all dimensions: expected dims")
    x, given = call.x, call.shape_of(call.x)
    for shift, dim in zip(call["shifts"], call["dims"], strict=True):
        size = given[dim % len(given)]
        index = [(i - shift) % size for i in range(size)] if size > 0 else ()
        x = _taken(call, x, dim % len(given), index)
    return x


def index_select(call: Call) -> Value:
    """Positions by a constant; UnsupportedError where they are computed."""
    if isinstance(call["index"], Value):
        raise UnsupportedError("its positions depend on the images")
    index = call.tensor(call["index"]).tolist()
    return _taken(call, call.x, call["dim"] % len(call.shape), index)


def index(call: Call) -> Value:
    """x[:, [2, 0, 1]]; UnsupportedError for several lists, or computed."""
    lists = [(i, n) for i, n in enumerate(call["indices"]) if n is not None]
    if len(lists) != 1 or isinstance(lists[0][1], Value):
        raise UnsupportedError("expected one list of positions, constant")
    ((dim, positions),) = lists
    found = call.tensor(positions)
    if found.dtype == torch.bool:
        found = found.nonzero().flatten()
    return _taken(call, call.x, dim, found.tolist())


def nearest(call: Call) -> Value:
    """Nearest upsampling, by asking torch which positions it takes."""
    x = call.x
    for dim in range(2, len(call.shape)):
        places = torch.arange(call.shape_of(x)[dim])[None, None].float()
        taken = F.interpolate(places, size=call.shape[dim], mode="nearest")
        x = _taken(call, x, dim, taken.flatten().long().tolist())
    return x


def pad(mode: str = "") -> Callable:
    """A rule for padding by this mode, or that of the argument "mode".

    It raises UnsupportedError where it pads by a number that is not 0.
    """

    def rule(call: Call) -> Value:
        given = list(call.given.values())[1]
        pairs = list(zip(given[::2], given[1::2], strict=True))[::-1]
        kind = mode or call["mode"]
        if kind == "constant":
            if call.given.get("value"):
                raise UnsupportedError("it pads by another number than 0")
            return zeros_around(call, call.x, pairs)
        x, first = call.x, len(call.shape) - len(pairs)
        for dim, (before, after) in enumerate(pairs, first):
            places = torch.arange(call.shape_of(x)[dim])[None, None].float()
            padded = F.pad(places, (before, after), kind).flatten().long()
            x = _taken(call, x, dim, padded.tolist())
        return x

    return rule


def zeros_around(call: Call, x, pairs: list) -> Value:
    """Zeros before and after; ``pairs`` are of the last dimensions."""
    given = call.shape_of(x)
    first = len(given) - len(pairs)
    size = list(given)
    for dim, (before, after) in enumerate(pairs, first):
        size[dim] += before + after
    return call.emit("pad", x, torch_order(pairs), shape=tuple(size))


def torch_order(pairs) -> tuple[int, ...]:
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
