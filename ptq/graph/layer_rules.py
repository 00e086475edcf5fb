"""Rules for layers, arithmetic and functions of torch."""

from collections.abc import Callable

from torch import Tensor

from ptq.graph.errors import UnsupportedError
from ptq.graph.moving_rules import reshaped, torch_order, zeros_around
from ptq.graph.nodes import Constant, Value
from ptq.graph.torch_call import Call, each


def convolution(call: Call) -> Value:
    """1-d and 2-d, padded by numbers, "same" or "valid"."""
    weight = _weight(call)
    kernel, given = weight.shape[2:], call["padding"]
    stride, dilation = (
        each(call[name], len(kernel)) for name in ("stride", "dilation")
    )
    x, padding = call.x, (0,) * len(kernel)
    if given == "same":
        total = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
        if any(t % 2 for t in total):
            x = zeros_around(call, x, [(t // 2, t - t // 2) for t in total])
        else:
            padding = tuple(t // 2 for t in total)
    elif given != "valid":
        padding = each(given, len(kernel))
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
        each(call[name], len(kernel))
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


def to_the(exponent: float) -> Callable:
    """A rule for x to a fixed power, such as 1 / x."""
    return lambda call: call.emit("pow", call.x, exponent)


def instance_norm(call: Call) -> Value:
    """GroupNorm with a group for each channel."""
    if not call["use_input_stats"]:
        names = ("weight", "bias", "running_mean", "running_var", "eps")
        given = map(call.given.get, names)
        return call.emit("batch_norm", call.x, *given)
    channels = call.shape_of(call.x)[1]
    given = (call[name] for name in ("weight", "bias", "eps"))
    return call.emit("group_norm", call.x, channels, *given)


def function(word: str, *names: str) -> Callable:
    """A rule for a function of the first argument and these others."""

    def rule(call: Call) -> Value:
        return call.emit(word, call.x, *(call.given[name] for name in names))

    return rule


def same(call: Call) -> Value:
    """What does nothing in eval mode.

    Raises UnsupportedError for dropout that is told to be in training.
    """
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
