"""A quantized network as a text and tensors, at its real bits, and back.

The text (JSON) holds ``nodes``, each with name, operation, arguments and
line of code; ``layers``, with the shape of the weights, their lowest and
highest code, bits, and whether each output has a scale of its own; ``grids``
of activations, each with bits and zero point; and what else it knows. In
arguments "%NAME" is a result, "$NAME" a constant, "=TEXT" a text, and "#inf"
and "#-inf" are the two infinite numbers.

Of the tensors, "codes/NAME" holds a layer's codes, packed (``bit_packing``);
of codes -1 and 1, at one bit, whether each is 1; "coded/NAME" the same by an
entropy coder (``range_coding``), where that was asked for and is shorter;
"biases", "weight_scales" and "grid_scales" those of all, one after another;
"constants/NAME" what else the graph reads. Float weights of integer layers
are not there: what is read back has those that the codes stand for.
"""

import math

import numpy as np
import torch
from torch import Tensor

from ptq.graph import Constant, Graph, Node, UnsupportedError, Value
from ptq.quantizer import bit_packing, range_coding
from ptq.quantizer.layer import Layer

PACKED, CODED = "codes/", "coded/"


def described(network, coded: bool) -> tuple[dict, dict[str, Tensor]]:
    """Text and tensors of a sound QuantizedNetwork, of any shapes.

    With ``coded``, codes are entropy coded where that makes them shorter.

    Raises UnsupportedError, naming it, for an argument that no file holds.
    """
    graph, layers = network.graph, network.integers
    text = {
        "images": list(graph.nodes["input"].shape[1:]),
        "nodes": [
            [node.name, node.op, _plain(node.args, node), node.source]
            for node in graph.nodes.values()
        ],
        "output": graph.output,
        "unused": list(graph.unused),
        "kept": sorted(network.kept),
        "normalization": network.normalization,
        "layers": [
            [
                *(name, list(layer.codes.shape)),
                *(layer.grid.qmin, layer.grid.qmax),
                *(layer.bits, layer.grid.axis is not None),
            ]
            for name, layer in layers.items()
        ],
        "grids": [
            [name, grid.qmax.bit_length(), int(grid.zero_point)]
            for name, grid in network.grids.items()
        ],
    }
    return text, _tensors(network, coded)


def _tensors(network, coded: bool) -> dict[str, Tensor]:
    layers, graph = network.integers, network.graph
    tensors = {
        "biases": _joined((x.bias for x in layers.values()), torch.int32),
        "weight_scales": _joined(x.grid.scale for x in layers.values()),
        "grid_scales": _joined(x.scale for x in network.grids.values()),
    }
    for name, layer in layers.items():
        where, codes = _codes(layer, coded)
        tensors[f"{where}{name}"] = torch.from_numpy(codes)
    for name in read_besides(graph, layers):
        constant = graph.constants[name].detach()
        tensors[f"constants/{name}"] = constant.contiguous().clone()
    return tensors


def _codes(layer: Layer, coded: bool) -> tuple[str, np.ndarray]:
    """Where a layer's codes go, and their bytes, uint8 (n,)."""
    codes, low = layer.codes.numpy(), layer.grid.qmin
    if is_sign(low, layer.grid.qmax, layer.bits):
        codes, low = codes > 0, 0
    packed = bit_packing.pack(codes, low, layer.bits)
    if coded:
        above = (codes.astype(np.int16) - low).astype(np.uint8)
        short = range_coding.encode(above, layer.bits)
        worth = len(short) * range_coding.MOST_A_BYTE >= codes.size
        if worth and len(short) < len(packed):
            return CODED, short
    return PACKED, packed


def is_sign(low: int, high: int, bits: int) -> bool:
    """Whether one bit stands for -1 and 1, as zero is not used."""
    return (low, high, bits) == (-1, 1, 1)


def _joined(parts, dtype=torch.float32) -> Tensor:
    return torch.cat(
        [torch.zeros(0, dtype=dtype), *(p.ravel() for p in parts)]
    )


def read_besides(graph: Graph, layers) -> list[str]:
    """Names of constants that nodes read, but for the layers' own."""
    read = {
        name
        for node in graph.nodes.values()
        for name in node.constants
        if node.name not in layers
    }
    return sorted(read)


def _plain(given, node: Node):
    if isinstance(given, Value):
        return f"%{given.name}"
    if isinstance(given, Constant):
        return f"${given.name}"
    if isinstance(given, str):
        return f"={given}"
    if isinstance(given, tuple):
        return [_plain(one, node) for one in given]
    if isinstance(given, float) and math.isinf(given):
        return f"#{given}"
    if given is not None and type(given) not in (bool, int, float):
        raise UnsupportedError(
            f"{node}: {type(given).__name__} in {node.op}, which no file "
            "holds"
        )
    return given
