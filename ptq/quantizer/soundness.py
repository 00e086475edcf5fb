"""A quantized network of unknown origin: can integers run it?"""

import math
from math import prod

import torch

from ptq.graph import UnsupportedError
from ptq.graph.soundness import check_name
from ptq.quantizer import function_tables, grid_placement
from ptq.quantizer.affine import Grid
from ptq.quantizer.layer import Layer

BITS = range(1, 9)
# The product of two, and the reciprocal, are normal float32 numbers, and so
# is the product of two codes.
LEAST_SCALE, MOST_SCALE = 2.0**-60, 2.0**40
DTYPES = {
    *(torch.float32, torch.float64, torch.bool, torch.uint8),
    *(torch.int8, torch.int16, torch.int32, torch.int64),
}
LARGEST_TABLE = 2**26
# What a multiplier of 31 bits and a shift stand for is less than this.
MOST_RATIO = 2.0**30


def check(network) -> None:
    """Raise UnsupportedError, in one sentence, where ``network`` is unsound.

    ``network`` is a QuantizedNetwork whose graph is sound. Each layer that is
    not kept in float must have its integers, each result that integers read
    a grid, and none may have more; codes lie on their grids, sums fit into
    32 bits, and what integers multiply by into a fixed-point number.
    """
    nodes = network.graph.nodes
    layers = [
        node.name
        for node in nodes.values()
        if grid_placement.kind(node, network.kept) == "layer"
    ]
    _check_same("integers", network.integers, layers)
    _check_same("grid", network.grids, network.owners.values())
    if beyond := sorted(network.kept - nodes.keys()):
        raise UnsupportedError(f"{beyond[0]}: kept in float, but not there")
    for name in network.graph.unused:
        check_name(name)
    _check_normalization(network)
    for name, grid in network.grids.items():
        _check_grid(name, grid)
    for name, layer in network.integers.items():
        _check_layer(name, layer)
        _check_place(network, name, layer)
    for name, constant in network.graph.constants.items():
        if constant.dtype not in DTYPES or constant.isnan().any():
            raise UnsupportedError(
                f"{name}: a constant of {constant.dtype}, or with nan"
            )
    for node in nodes.values():
        _check_arithmetic(network, node)


def _check_same(what: str, given, expected) -> None:
    if odd := sorted(set(given) ^ set(expected)):
        told = "is missing" if odd[0] not in given else "is too many"
        raise UnsupportedError(f"{odd[0]}: its {what} {told}")


def _check_normalization(network) -> None:
    given, images = network.normalization, network.graph.nodes["input"]
    if given is None:
        return
    fit = len(given) == 2 and len(images.shape) > 1
    for numbers in given:
        fit = fit and len(numbers) in (1, images.shape[1])
        fit = fit and all(
            isinstance(one, float) and abs(one) < MOST_SCALE
            for one in numbers
        )
    if not fit or not all(std > 1 / MOST_SCALE for std in given[1]):
        raise UnsupportedError(
            f"normalization is {str(given)[:60]}: expected mean and std of "
            "one or each channel, finite, std above 0"
        )


def _check_grid(name: str, grid: Grid) -> None:
    """One of activations: codes from 0 on."""
    _check_scale(name, grid)
    most = grid.qmax
    if grid.qmin != 0 or most.bit_length() not in BITS or most & most + 1:
        raise UnsupportedError(
            f"{name}: its codes go from {grid.qmin} to {grid.qmax}: expected "
            "0 to 2^bits - 1, 1 to 8 bits"
        )
    if grid.scale.dim() or grid.axis is not None:
        raise UnsupportedError(f"{name}: it has more than one scale")
    if not 0 <= int(grid.zero_point) <= most:
        raise UnsupportedError(
            f"{name}: its zero point {int(grid.zero_point)} is none of its "
            f"codes, 0 to {most}"
        )


def _check_scale(name: str, grid: Grid) -> None:
    scale, zero = grid.scale, grid.zero_point
    if scale.dtype != torch.float32 or zero.dtype != torch.int32:
        raise UnsupportedError(
            f"{name}: its grid is of {scale.dtype} and {zero.dtype}: "
            "expected float32 and int32"
        )
    if scale.shape != zero.shape:
        raise UnsupportedError(f"{name}: a zero point is missing")
    usable = (scale >= LEAST_SCALE) & (scale <= MOST_SCALE)
    if not usable.all():
        odd = float(scale[~usable].flatten()[0])
        raise UnsupportedError(
            f"{name}: its scale is {odd:g}: expected {LEAST_SCALE:.1g} to "
            f"{MOST_SCALE:.1g}"
        )


def _check_layer(name: str, layer: Layer) -> None:
    codes, grid = layer.codes, layer.grid
    _check_scale(name, grid)
    low, high = grid.qmin, grid.qmax
    if not -128 <= low <= 0 <= high <= 127 or layer.bits not in BITS:
        raise UnsupportedError(
            f"{name}: its codes go from {low} to {high}: expected at most "
            "-128 to 127, with zero"
        )
    if grid.zero_point.any():
        raise UnsupportedError(f"{name}: weights whose zero point is not 0")
    channels = (len(codes),)
    shape = () if grid.axis is None else channels
    if grid.axis not in (None, 0) or tuple(grid.scale.shape) != shape:
        raise UnsupportedError(
            f"{name}: scales {tuple(grid.scale.shape)}: expected one, or one "
            f"for each of {len(codes)} outputs"
        )
    whole = codes.dtype == torch.int8 and layer.bias.dtype == torch.int32
    if not whole or tuple(layer.bias.shape) != channels:
        raise UnsupportedError(
            f"{name}: codes are {codes.dtype}, biases {layer.bias.dtype} "
            f"{tuple(layer.bias.shape)}: expected int8, and int32 {channels}"
        )
    if codes.min() < low or codes.max() > high:
        raise UnsupportedError(
            f"{name}: a code is beyond its grid, {low} to {high}"
        )


def _check_place(network, name: str, layer: Layer) -> None:
    """A layer and the node that it stands for."""
    node = network.graph.nodes[name]
    weight, bias = network.graph.filled(node.args[1:3], {})
    alike = weight.shape == layer.codes.shape
    if not alike or bias is not None and bias.shape != layer.bias.shape:
        raise UnsupportedError(f"{name}: its codes have another shape")
    if layer.largest_sum(network.grid(node.inputs[0])) >= 2**31:
        raise UnsupportedError(f"{name}: its sums may need more than 32 bits")


def _check_arithmetic(network, node) -> None:
    """Multipliers and tables of a node are such as integers can have."""
    kind, grid = (
        grid_placement.kind(node, network.kept),
        network.grid(node.name),
    )
    given = [network.grid(name) for name in node.inputs]
    if grid is not None and len(node.shape) < 2:
        raise UnsupportedError(f"{node}: codes without channels")
    if node.op in function_tables.BY_NUMBER and grid and given[0]:
        shape = network.graph.nodes[node.inputs[0]].shape
        if (given[0].qmax + 1) * prod(shape[1:2]) > LARGEST_TABLE:
            raise UnsupportedError(f"{node}: its table would be too large")
    if kind not in grid_placement.INTEGER:
        return
    if None in (grid, *given):
        raise UnsupportedError(f"{node}: integers read what has no grid")
    scales = [one.scale.double() for one in given]
    if node.op == "mul":
        scales = [scales[0] * scales[1]]
    if kind == "layer":
        scales = [scales[0] * network.integers[node.name].grid.scale.double()]
    most = max(float((s / grid.scale.double()).max()) for s in scales)
    if not most < MOST_RATIO or math.isnan(most):
        raise UnsupportedError(
            f"{node}: a step of its input is {most:.3g} of its own: expected "
            "less than 2^30"
        )
