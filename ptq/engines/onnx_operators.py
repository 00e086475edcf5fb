"""How each word of the graph is said in ONNX."""

import itertools
import math

import numpy as np
import torch
from onnx import TensorProto

from ptq.engines.onnx_functions import FUNCTIONS
from ptq.engines.onnx_shorthand import operands, simple, to_shape
from ptq.graph import Node, UnsupportedError
from ptq.quantizer import affine


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
    rows = to_shape(writer, x, (-1, shape[-1]), f"{name}/rows")
    given, made = _grids(network, node)
    rows = _on_grid(writer, rows, given)
    _gemm(writer, rows, numbers, sums := f"{name}/sums")
    sums = _on_grid(writer, sums, made)
    to_shape(writer, sums, node.shape, result)


def concatenation(writer, node: Node, result: str) -> None:
    """Concat."""
    writer.add("Concat", node.inputs, result, axis=node.args[1])


def clamp_codes(writer, node: Node, codes: str, grid, result: str) -> None:
    """Clip by the bounds' codes, unless they are the grid's ends."""
    ends = [
        -math.inf if node.args[1] is None else node.args[1],
        math.inf if node.args[2] is None else node.args[2],
    ]
    low, high = affine.quantize(torch.tensor(ends), grid).tolist()
    if (low, high) == (grid.qmin, grid.qmax):
        writer.add("Identity", [codes], result)
        return
    bounds = [
        writer.tensor(f"{result}/{name}", np.uint8(code))
        for name, code in (("low", low), ("high", high))
    ]
    writer.add("Clip", [codes, *bounds], result)


def max_pool(writer, node: Node, result: str) -> None:
    """MaxPool, its size rounded up by padding, which is below the kernel."""
    _, kernel, stride, padding, dilation, _ = node.args
    pads = _explicit_pads(writer, node, kernel, stride, padding, dilation)
    settings = {}
    if any(p >= k for p, k in zip(pads, kernel * 2, strict=True)):
        pads, settings = padding * 2, {"ceil_mode": 1}
    writer.add(
        "MaxPool",
        node.inputs,
        result,
        kernel_shape=kernel,
        strides=stride,
        pads=pads,
        dilations=dilation,
        **settings,
    )


def average_pool(writer, node: Node, result: str) -> None:
    """GlobalAveragePool or AveragePool, its size rounded up by padding.

    Raises UnsupportedError, naming the node, where that padding would count.
    """
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
    grids = _grids(network, node)
    windows = [
        [(i * n // k, -(-(i + 1) * n // k)) for i in range(k)]
        for n, k in zip(size, wanted, strict=True)
    ]
    means = []
    for i, place in enumerate(itertools.product(*windows)):
        label = f"{node.name}/window{i}"
        starts, ends = zip(*place, strict=True)
        cut = _slice(writer, x, range(2, 2 + len(size)), starts, ends, label)
        cut = _on_grid(writer, cut, grids[0])
        mean = writer.add("GlobalAveragePool", [cut], f"{label}/mean")
        means.append(_on_grid(writer, mean, grids[1]))
    for axis in range(1 + len(size), 1, -1):
        count = wanted[axis - 2]
        groups = [means[i : i + count] for i in range(0, len(means), count)]
        means = []
        for i, group in enumerate(groups):
            last = len(groups) == 1
            label = result if last else f"{node.name}/joined{axis}/{i}"
            writer.add("Concat", group, label, axis=axis)
            means.append(label if last else _on_grid(writer, label, grids[1]))


def _grids(network, node: Node) -> tuple:
    """Of what a node reads and puts out; none where it stays in float."""
    if node.name in network.kept:
        return None, None
    return network.grid(node.inputs[0]), network.grid(node.name)


def _on_grid(writer, x: str, grid) -> str:
    return writer.on_grid(x, grid, f"{x}/on_grid") if grid else x


def _slice(writer, x: str, axes, starts, ends, result: str) -> str:
    given = [
        writer.tensor(f"{result}/{name}", np.array(list(values), np.int64))
        for name, values in zip(
            ("starts", "ends", "axes"), (starts, ends, axes), strict=True
        )
    ]
    return writer.add("Slice", [x, *given], result)


def reshape(writer, node: Node, result: str) -> None:
    """Reshape."""
    to_shape(writer, node.inputs[0], node.args[1], result)


def part(writer, node: Node, result: str) -> None:
    """Slice of one dimension."""
    x, dim, start, end = node.args
    _slice(writer, x.name, [dim], [start], [end], result)


def take(writer, node: Node, result: str) -> None:
    """Gather along one dimension."""
    x, dim, index = node.args
    places = writer.tensor(f"{result}/index", np.array(index, np.int64))
    writer.add("Gather", [x.name, places], result, axis=dim)


def pad(writer, node: Node, result: str) -> None:
    """Pad of real numbers, by 0."""
    x, pads = node.args
    zero = writer.tensor(f"{result}/zero", np.float32(0))
    _pad(writer, x.name, pads, zero, len(node.shape), result)


def pad_codes(writer, node: Node, codes: str, grid, result: str) -> None:
    """Pad of codes, by that of zero."""
    zero = _zero_code(writer, grid, result)
    _pad(writer, codes, node.args[1], zero, len(node.shape), result)


def _zero_code(writer, grid, name: str) -> str:
    return writer.tensor(f"{name}/zero", np.uint8(int(grid.zero_point)))


def _pad(writer, x: str, pads, zero: str, rank: int, result: str) -> str:
    """``zero`` by torch's order of pads, the last dimension's first."""
    starts, ends = [0] * rank, [0] * rank
    pairs = zip(pads[::2], pads[1::2], strict=True)
    for i, (before, after) in enumerate(pairs, 1):
        starts[-i], ends[-i] = before, after
    both = writer.tensor(f"{result}/pads", np.array(starts + ends, np.int64))
    return writer.add("Pad", [x, both, zero], result)


def spread_codes(writer, node: Node, codes: str, grid, result: str) -> None:
    """Zeros between values: a new dimension behind each, padded, merged."""
    x, strides, pads = node.args
    channels, *size = writer.network.graph.nodes[x.name].shape[1:]
    zero = _zero_code(writer, grid, result)
    apart = (-1, channels, *(k for n in size for k in (n, 1)))
    wide = (n * s for n, s in zip(size, strides, strict=True))
    between = [k for s in reversed(strides) for k in (0, s - 1, 0, 0)]
    y = to_shape(writer, codes, apart, f"{result}/apart")
    y = _pad(writer, y, between, zero, len(apart), f"{result}/between")
    y = to_shape(writer, y, (-1, channels, *wide), f"{result}/wide")
    _pad(writer, y, pads, zero, len(node.shape), result)


def look_up(writer, node: Node, entries, result: str) -> None:
    """Codes of a function, by the table ``entries`` of ``network.table``."""
    codes = writer.codes[node.inputs[0]]
    label = f"{result}/places"
    places = writer.add("Cast", [codes], label, to=TensorProto.INT32)
    table = entries[:, 0].numpy().astype(np.uint8)
    table = writer.tensor(f"{result}/table", table)
    writer.add("Gather", [table, places], result)


# Functions that ONNX Runtime looks up faster than it computes them; others,
# such as SiLU and GELU, it computes in float in less time.
BY_TABLE = {"mish", "softplus"}
# What moves codes so that no runtime need see real numbers.
ON_CODES = {"clamp": clamp_codes, "pad": pad_codes, "spread": spread_codes}
WRITERS = {
    "add": operands("Add"),
    "mul": operands("Mul"),
    "cat": concatenation,
    "average_pool": average_pool,
    "adaptive_average": adaptive_average,
    "max_pool": max_pool,
    "reshape": reshape,
    "permute": simple("Transpose", "perm"),
    "part": part,
    "take": take,
    "pad": pad,
} | FUNCTIONS
