"""Rules for pooling: maxima, means and sums over rows and columns."""

from math import prod

from ptq.graph.errors import UnsupportedError
from ptq.graph.moving_rules import reshaped
from ptq.graph.nodes import BATCH, Value
from ptq.graph.torch_call import Call, each


def adaptive_maximum(call: Call) -> list:
    """Maxima of equal windows; UnsupportedError where they are unequal."""
    shape, given = call.shape[0], call.shape_of(call.x)
    pairs = list(zip(given[2:], shape[2:], strict=True))
    if any(size % wanted for size, wanted in pairs):
        raise UnsupportedError(f"its windows do not share {given} out evenly")
    kernel = tuple(size // wanted for size, wanted in pairs)
    none, ones = (0,) * len(kernel), (1,) * len(kernel)
    args = (call.x, kernel, kernel, none, ones, False)
    return [call.emit("max_pool", *args, shape=shape), None]


def max_pool(call: Call) -> Value:
    """1-d and 2-d, a number or one for each dimension."""
    rank = len(call.shape) - 2
    kernel = each(call["kernel_size"], rank)
    return call.emit(
        "max_pool",
        *(call.x, kernel, each(call["stride"] or kernel, rank)),
        *(each(call["padding"], rank), each(call["dilation"], rank)),
        call["ceil_mode"],
    )


def average_pool(call: Call) -> Value:
    """1-d and 2-d; another divisor is a factor behind it.

    Raises UnsupportedError for a divisor where the size is rounded up.
    """
    rank = len(call.shape) - 2
    kernel = each(call["kernel_size"], rank)
    divisor = call.given.get("divisor_override")
    pooled = call.emit(
        "average_pool",
        *(call.x, kernel, each(call["stride"] or kernel, rank)),
        *(each(call["padding"], rank), call["ceil_mode"]),
        call["count_include_pad"] or divisor is not None,
    )
    if divisor is None:
        return pooled
    if call["ceil_mode"]:
        raise UnsupportedError("it has a divisor and rounds its size up")
    return call.emit("mul_constant", pooled, prod(kernel) / divisor)


def adaptive_average(call: Call) -> Value:
    """Means over windows, however many fit."""
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


def maximum(call: Call) -> Value:
    """Largest values of all rows, columns, or both, as pooling.

    Raises UnsupportedError where it is over other dimensions.
    """
    given = call.shape_of(call.x)
    dims = {dim % len(given) for dim in call["dim"]}
    if len(given) not in (3, 4) or not dims or dims & {0, 1}:
        raise UnsupportedError("its maxima are not of rows or columns")
    kernel = tuple(n if i in dims else 1 for i, n in enumerate(given))[2:]
    size = tuple(1 if i in dims else n for i, n in enumerate(given))
    none, ones = (0,) * len(kernel), (1,) * len(kernel)
    args = (call.x, kernel, kernel, none, ones, False)
    return reshaped(
        call, call.emit("max_pool", *args, shape=size), call.shape
    )


def mean(call: Call) -> Value:
    """Pooling where it is over rows or columns, else a function.

    Raises UnsupportedError where it is over the images of a batch.
    """
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
