"""How each word of the graph is said in ONNX."""

import itertools
import math

import numpy as np
import torch

from ptq import quantizer
from ptq.graph import Node, UnsupportedError

# torch counts no more than this in "everything from here on".
FAR = np.iinfo(np.int64).max


def write_layer(writer, node: Node, numbers: list[str], result: str) -> None:
    """A convolution or linear layer; ``numbers`` are weight and bias."""
    (x,) = node.inputs
    if node.op == "convolution":
        stride, padding, dilation, groups = node.args[3:]
        settings = {
            "strides": stride,
            "pads": padding * 2,
            "dilations": dilation,
            "group": groups,
        }
        writer.add("Conv", [x, *filter(None, numbers)], result, **settings)
    elif len(node.shape) == 2:
        _gemm(writer, x, numbers, result)
    else:
        _linear_of_many(writer, node, numbers, result)


def _gemm(writer, x: str, numbers: list[str], result: str) -> None:
    writer.add("Gemm", [x, *filter(None, numbers)], result, transB=1)


def _linear_of_many(writer, node: Node, numbers, result: str) -> None:
    """A linear layer of (N, ..., C) by rows, as integers know it only so."""
    network, (x,), name = writer.network, node.inputs, node.name
    shape = network.graph.nodes[x].shape
    rows = _to_shape(writer, x, (-1, shape[-1]), f"{name}.rows")
    if grid := network.grid(x):
        rows = writer.on_grid(rows, grid, f"{rows}.on_grid")
    _gemm(writer, rows, numbers, sums := f"{name}.sums")
    if grid := network.grid(name):
        sums = writer.on_grid(sums, grid, f"{name}.by_row")
    _to_shape(writer, sums, node.shape, result)


def _to_shape(writer, x: str, shape: tuple, result: str) -> str:
    sizes = writer.tensor(f"{result}.shape", np.array(shape, np.int64))
    return writer.add("Reshape", [x, sizes], result)


def simple(kind: str, *names: str):
    """A function of one value; numbers behind it are ONNX's settings."""

    def write(writer, node: Node, result: str) -> None:
        settings = dict(zip(names, node.args[1:], strict=True))
        writer.add(kind, node.inputs, result, **settings)

    return write


def operands(kind: str):
    """An operation on all its arguments, be they values or constants."""

    def write(writer, node: Node, result: str) -> None:
        given = [writer.operand(arg, node.name) for arg in node.args]
        writer.add(kind, given, result)

    return write


def concatenation(writer, node: Node, result: str) -> None:
    writer.add("Concat", node.inputs, result, axis=node.args[1])


def clamp_codes(writer, node: Node, codes: str, grid, result: str) -> None:
    """The bounds' codes clip; where they are the grid's ends, nothing does."""
    ends = [
        -math.inf if node.args[1] is None else node.args[1],
        math.inf if node.args[2] is None else node.args[2],
    ]
    low, high = quantizer.quantize(torch.tensor(ends), grid).tolist()
    if (low, high) == (grid.qmin, grid.qmax):
        writer.add("Identity", [codes], result)
        return
    bounds = [
        writer.tensor(f"{result}.{name}", np.uint8(code))
        for name, code in (("low", low), ("high", high))
    ]
    writer.add("Clip", [codes, *bounds], result)


def clip(writer, node: Node, result: str) -> None:
    if node.args[1:] == (0, None):
        writer.add("Relu", node.inputs, result)
    else:
        bounds = [writer.operand(b, node.name) for b in node.args[1:]]
        writer.add("Clip", [*node.inputs, *bounds], result)


def max_pool(writer, node: Node, result: str) -> None:
    _, kernel, stride, padding, dilation, _ = node.args
    pads = _explicit_pads(writer, node, kernel, stride, padding, dilation)
    writer.add(
        "MaxPool",
        node.inputs,
        result,
        kernel_shape=kernel,
        strides=stride,
        pads=pads,
        dilations=dilation,
    )


def average_pool(writer, node: Node, result: str) -> None:
    _, kernel, stride, padding, ceil, count_padding = node.args
    size = writer.network.graph.nodes[node.inputs[0]].shape[2:]
    if size == kernel and not any(padding):
        writer.add("GlobalAveragePool", node.inputs, result)
        return
    pads = _explicit_pads(
        writer, node, kernel, stride, padding, (1,) * len(kernel)
    )
    more = pads != list(padding) * 2
    if more and any(padding) and count_padding:
        raise UnsupportedError(
            f"{node}: ONNX has no average that counts its padding and "
            "rounds its size up"
        )
    writer.add(
        "AveragePool",
        node.inputs,
        result,
        kernel_shape=kernel,
        strides=stride,
        pads=pads,
        count_include_pad=int(count_padding and not more),
    )


def _explicit_pads(writer, node: Node, kernel, stride, padding, dilation):
    """Padding in which a size that is rounded up comes out by itself."""
    size = writer.network.graph.nodes[node.inputs[0]].shape[2:]
    ends = [
        max(
            padding[i],
            (out - 1) * stride[i]
            + dilation[i] * (kernel[i] - 1)
            + 1
            - size[i]
            - padding[i],
        )
        for i, out in enumerate(node.shape[2:])
    ]
    return [*padding, *ends]


def adaptive_average(writer, node: Node, result: str) -> None:
    """Each window by itself: cut out, averaged, and joined to the others."""
    network, (x,) = writer.network, node.inputs
    size, wanted = network.graph.nodes[x].shape[2:], node.args[1]
    grids = network.grid(x), network.grid(node.name)
    windows = [
        [(i * n // k, -(-(i + 1) * n // k)) for i in range(k)]
        for n, k in zip(size, wanted, strict=True)
    ]
    means = []
    for i, place in enumerate(itertools.product(*windows)):
        label = f"{node.name}.window{i}"
        starts, ends = zip(*place, strict=True)
        cut = _slice(writer, x, range(2, 2 + len(size)), starts, ends, label)
        cut = _on_grid(writer, cut, grids[0])
        mean = writer.add("GlobalAveragePool", [cut], f"{label}.mean")
        means.append(_on_grid(writer, mean, grids[1]))
    for axis in range(1 + len(size), 1, -1):
        count = wanted[axis - 2]
        groups = [means[i : i + count] for i in range(0, len(means), count)]
        means = []
        for i, group in enumerate(groups):
            last = len(groups) == 1
            label = result if last else f"{node.name}.joined{axis}.{i}"
            writer.add("Concat", group, label, axis=axis)
            means.append(label if last else _on_grid(writer, label, grids[1]))


def _on_grid(writer, x: str, grid) -> str:
    return writer.on_grid(x, grid, f"{x}.on_grid") if grid else x


def _slice(writer, x: str, axes, starts, ends, result: str) -> str:
    given = [
        writer.tensor(f"{result}.{name}", np.array(list(values), np.int64))
        for name, values in zip(
            ("starts", "ends", "axes"), (starts, ends, axes), strict=True
        )
    ]
    return writer.add("Slice", [x, *given], result)


def reshape(writer, node: Node, result: str) -> None:
    _to_shape(writer, node.inputs[0], node.args[1], result)


def part(writer, node: Node, result: str) -> None:
    x, dim, start, end = node.args
    _slice(writer, x.name, [dim], [start], [end], result)


def take(writer, node: Node, result: str) -> None:
    x, dim, index = node.args
    places = writer.tensor(f"{result}.index", np.array(index, np.int64))
    writer.add("Gather", [x.name, places], result, axis=dim)


def pad(writer, node: Node, result: str) -> None:
    x, pads = node.args
    zero = writer.tensor(f"{result}.zero", np.float32(0))
    _pad(writer, x.name, pads, zero, len(node.shape), result)


def pad_codes(writer, node: Node, codes: str, grid, result: str) -> None:
    zero = _zero_code(writer, grid, result)
    _pad(writer, codes, node.args[1], zero, len(node.shape), result)


def _zero_code(writer, grid, name: str) -> str:
    return writer.tensor(f"{name}.zero", np.uint8(int(grid.zero_point)))


def _pad(writer, x: str, pads, zero: str, rank: int, result: str) -> str:
    """``zero`` by torch's order of pads, the last dimension's first."""
    starts, ends = [0] * rank, [0] * rank
    pairs = zip(pads[::2], pads[1::2], strict=True)
    for i, (before, after) in enumerate(pairs, 1):
        starts[-i], ends[-i] = before, after
    both = writer.tensor(f"{result}.pads", np.array(starts + ends, np.int64))
    return writer.add("Pad", [x, both, zero], result)


def spread_codes(writer, node: Node, codes: str, grid, result: str) -> None:
    """Zeros between values: a new dimension behind each, padded, merged."""
    x, strides, pads = node.args
    channels, *size = writer.network.graph.nodes[x.name].shape[1:]
    zero = _zero_code(writer, grid, result)
    apart = (-1, channels, *(k for n in size for k in (n, 1)))
    wide = (n * s for n, s in zip(size, strides, strict=True))
    between = [k for s in reversed(strides) for k in (0, s - 1, 0, 0)]
    y = _to_shape(writer, codes, apart, f"{result}.apart")
    y = _pad(writer, y, between, zero, len(apart), f"{result}.between")
    y = _to_shape(writer, y, (-1, channels, *wide), f"{result}.wide")
    _pad(writer, y, pads, zero, len(node.shape), result)


def batch_norm(writer, node: Node, result: str) -> None:
    x, gamma, beta, mean, variance, eps = node.args
    size = node.shape[1]
    given = [
        writer.operand(arg, node.name)
        or writer.tensor(f"{node.name}.{name}", np.full(size, fill, "f4"))
        for arg, name, fill in (
            (gamma, "ones", 1),
            (beta, "zeros", 0),
            (mean, "", 0),
            (variance, "", 1),
        )
    ]
    writer.add("BatchNormalization", [x.name, *given], result, epsilon=eps)


def silu(writer, node: Node, result: str) -> None:
    (x,) = node.inputs
    gate = writer.add("Sigmoid", [x], f"{result}.gate")
    writer.add("Mul", [x, gate], result)


def hardsigmoid(writer, node: Node, result: str) -> None:
    writer.add("HardSigmoid", node.inputs, result, alpha=1 / 6, beta=0.5)


def hardswish(writer, node: Node, result: str) -> None:
    hardsigmoid(writer, node, gate := f"{result}.gate")
    writer.add("Mul", [*node.inputs, gate], result)


def mish(writer, node: Node, result: str) -> None:
    (x,) = node.inputs
    soft = writer.add("Softplus", [x], f"{result}.soft")
    gate = writer.add("Tanh", [soft], f"{result}.gate")
    writer.add("Mul", [x, gate], result)


def gelu(writer, node: Node, result: str) -> None:
    """0.5 x (1 + erf(x / sqrt 2)), or torch's approximation by tanh."""
    (x,), name = node.inputs, f"{result}."

    def step(kind: str, label: str, first: str, second) -> str:
        if not isinstance(second, str):
            second = writer.tensor(f"{name}{label}.by", np.float32(second))
        return writer.add(kind, [first, second], name + label)

    if node.args[1] == "tanh":
        square = step("Mul", "square", x, x)
        scaled = step("Mul", "scaled", square, 0.044715)
        inner = step("Mul", "cubic", step("Add", "one", scaled, 1.0), x)
        inner = step("Mul", "inner", inner, math.sqrt(2 / math.pi))
        curve = writer.add("Tanh", [inner], f"{name}curve")
    else:
        inner = step("Mul", "inner", x, 1 / math.sqrt(2))
        curve = writer.add("Erf", [inner], f"{name}curve")
    half = step("Mul", "half", x, 0.5)
    gate = step("Add", "gate", curve, 1.0)
    writer.add("Mul", [half, gate], result)


def prelu(writer, node: Node, result: str) -> None:
    x, slope = node.args
    slopes = writer.network.graph.constants[slope.name]
    around = (-1, *(1 for _ in node.shape[2:]))
    slopes = writer.tensor(f"{node.name}.slope", slopes.reshape(around))
    writer.add("PRelu", [x.name, slopes], result)


def softplus(writer, node: Node, result: str) -> None:
    x, beta, _ = node.args
    if beta != 1:
        raise UnsupportedError(f"{node}: ONNX has Softplus of beta 1 only")
    writer.add("Softplus", [x.name], result)


def layer_norm(writer, node: Node, result: str) -> None:
    x, shape, weight, bias, eps = node.args
    gain = writer.operand(weight, node.name) or writer.tensor(
        f"{node.name}.ones", np.ones(shape, np.float32)
    )
    given = [x.name, gain, writer.operand(bias, node.name)]
    given = given if given[-1] else given[:-1]
    settings = {"axis": -len(shape), "epsilon": eps}
    writer.add("LayerNormalization", given, result, **settings)


def group_norm(writer, node: Node, result: str) -> None:
    """Each group as a channel of its own, then gain and shift."""
    x, groups, weight, bias, eps = node.args
    rows = _to_shape(writer, x.name, (0, groups, -1), f"{result}.groups")
    plain = [
        writer.tensor(f"{node.name}.{label}", np.full(groups, fill, "f4"))
        for label, fill in (("ones", 1), ("zeros", 0))
    ]
    label = f"{result}.normal"
    writer.add("InstanceNormalization", [rows, *plain], label, epsilon=eps)
    steps = [
        (kind, writer.network.graph.constants[arg.name], arg.name)
        for kind, arg in (("Mul", weight), ("Add", bias))
        if arg is not None
    ]
    y = _to_shape(writer, label, node.shape, f"{result}.back")
    for kind, numbers, name in steps:
        around = (-1, *(1 for _ in node.shape[2:]))
        numbers = writer.tensor(f"{name}.around", numbers.reshape(around))
        y = writer.add(kind, [y, numbers], f"{result}.{kind}")
    writer.add("Identity", [y], result)


def mean(writer, node: Node, result: str) -> None:
    x, dims, keep = node.args
    writer.add("ReduceMean", [x.name], result, axes=dims, keepdims=int(keep))


# What moves codes so that no runtime need see real numbers.
ON_CODES = {"clamp": clamp_codes, "pad": pad_codes, "spread": spread_codes}
WRITERS = {
    "add": operands("Add"),
    "mul": operands("Mul"),
    "cat": concatenation,
    "average_pool": average_pool,
    "adaptive_average": adaptive_average,
    "clamp": clip,
    "clip": clip,
    "max_pool": max_pool,
    "reshape": reshape,
    "permute": simple("Transpose", "perm"),
    "part": part,
    "take": take,
    "pad": pad,
    "batch_norm": batch_norm,
    "add_constant": operands("Add"),
    "mul_constant": operands("Mul"),
    "sub": operands("Sub"),
    "div": operands("Div"),
    "matmul": operands("MatMul"),
    "mean": mean,
    "softmax": simple("Softmax", "axis"),
    "layer_norm": layer_norm,
    "group_norm": group_norm,
    "sigmoid": simple("Sigmoid"),
    "tanh": simple("Tanh"),
    "silu": silu,
    "hardsigmoid": hardsigmoid,
    "hardswish": hardswish,
    "gelu": gelu,
    "elu": simple("Elu", "alpha"),
    "leaky_relu": simple("LeakyRelu", "alpha"),
    "prelu": prelu,
    "softplus": softplus,
    "mish": mish,
    "exp": simple("Exp"),
    "sqrt": simple("Sqrt"),
    "abs": simple("Abs"),
    "neg": simple("Neg"),
}
