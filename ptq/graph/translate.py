"""Rules for layers, arithmetic, pooling and functions of torch."""

from collections.abc import Callable
from math import prod

from torch import Tensor

from ptq.graph.call import Call
from ptq.graph.errors import UnsupportedError
from ptq.graph.moves import reshaped, torch_order, zeros_around
from ptq.graph.nodes import BATCH, Constant, Value


def _tuple(value, length: int) -> tuple:
    """A number for each dimension, where one or many are given."""
    many = value if isinstance(value, tuple) else (value,)
    return many if len(many) == length else many * length


def convolution(call: Call) -> Value:
    """1-d and 2-d, padded by numbers, "same" or "valid"."""
    weight = _weight(call)
    kernel, given = weight.shape[2:], call["padding"]
    stride, dilation = (
        _tuple(call[name], len(kernel)) for name in ("stride", "dilation")
    )
    x, padding = call.x, (0,) * len(kernel)
    if given == "same":
        total = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
        if any(t % 2 for t in total):
            x = zeros_around(call, x, [(t // 2, t - t // 2) for t in total])
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
    x = call.emit("spread", call.x, stride, torch_order(pads), shape=shape)
    ones = (1,) * len(kernel)
    return call.emit(
        "convolution",
        *(x, call.keep(call["weight"].name, flipped), call["bias"]),
        *(ones, (0,) * len(kernel), dilation, groups),
    )


def linear(call: Call) -> Value:
    """A linear layer of (N, ..., C)."""
    _weight(call)
    return call.emit("linear", call.x, call["weight"], call["bias"])


def matmul(call: Call) -> Value:
    """A linear layer where the second operand is a constant matrix."""
    first, second = list(call.given.values())[:2]
    if isinstance(second, Constant) and len(call.shape_of(second)) == 2:
        turned = call.keep(second.name, call.tensor(second).T.contiguous())
        return call.emit("linear", first, turned, None)
    return call.emit("matmul", first, second)


def batch_norm(call: Call) -> Value:
    """By running statistics; UnsupportedError where it keeps none."""
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
        ends = tuple(ends)
        if any(isinstance(e, Value | Constant) for e in ends):
            raise UnsupportedError("its bounds are tensors, not numbers")
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
    """Results joined; UnsupportedError where a constant is among them."""
    values = call["tensors"]
    if not all(isinstance(value, Value) for value in values):
        raise UnsupportedError("it joins a constant to a result")
    return call.emit("cat", values, call["dim"] % len(call.shape))


def stack(call: Call) -> Value:
    """cat, along a new dimension of 1; raises UnsupportedError as it does."""
    if not all(isinstance(value, Value) for value in call["tensors"]):
        raise UnsupportedError("it joins a constant to a result")
    dim = call["dim"] % len(call.shape)
    one = (*call.shape[:dim], 1, *call.shape[dim + 1 :])
    values = tuple(reshaped(call, value, one) for value in call["tensors"])
    return call.emit("cat", values, dim)


def power(call: Call) -> Value:
    """x to a number; UnsupportedError where it is to a tensor."""
    if not isinstance(call["exponent"], int | float):
        raise UnsupportedError("its exponent is no number")
    return call.emit("pow", call.x, call["exponent"])


def instance_norm(call: Call) -> Value:
    """GroupNorm with a group for each channel."""
    if not call["use_input_stats"]:
        names = ("weight", "bias", "running_mean", "running_var", "eps")
        given = map(call.given.get, names)
        return call.emit("batch_norm", call.x, *given)
    channels = call.shape_of(call.x)[1]
    given = (call[name] for name in ("weight", "bias", "eps"))
    return call.emit("group_norm", call.x, channels, *given)


def adaptive_maximum(call: Call) -> list:
    shape, given = call.shape[0], call.shape_of(call.x)
    pairs = list(zip(given[2:], shape[2:], strict=True))
    if any(size % wanted for size, wanted in pairs):
        raise UnsupportedError(f"its windows do not share {given} out evenly")
    kernel = tuple(size // wanted for size, wanted in pairs)
    none, ones = (0,) * len(kernel), (1,) * len(kernel)
    args = (call.x, kernel, kernel, none, ones, False)
    return [call.emit("max_pool", *args, shape=shape), None]


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
    return reshaped(call, pooled, call.shape)


def total(call: Call) -> Value:
    """A mean, times how many it is of."""
    averaged = mean(call)
    sizes = (
        prod(abs(n) for n in shape)
        for shape in (call.shape_of(call.x), call.shape)
    )
    return call.emit("mul_constant", averaged, next(sizes) / next(sizes))


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
    if not isinstance(weight, Constant) or isinstance(call["bias"], Value):
        raise UnsupportedError("its weights are computed from the input")
    tensor = call.tensor(weight)
    if tensor.dim() > 4:
        raise UnsupportedError("it is 3-d: 1-d and 2-d are supported")
    return tensor
