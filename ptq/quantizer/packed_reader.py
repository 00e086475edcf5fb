"""From the text and tensors of a file back to a quantized network.

They come from outside: whatever they hold, one sentence says what is wrong
with it, or the network is all that they say. ``packed_writer`` tells what is
in them.
"""

import math

import numpy as np
import torch
from torch import Tensor

from ptq.graph import Constant, Graph, Node, UnsupportedError, Value
from ptq.graph.arguments import DEPTH
from ptq.graph.nodes import BATCH
from ptq.graph.operations import operation
from ptq.graph.soundness import sound
from ptq.quantizer import affine, bit_packing, range_coding
from ptq.quantizer.affine import Grid
from ptq.quantizer.layer import Layer
from ptq.quantizer.packed_writer import CODED, PACKED, is_sign, read_besides

LARGEST_NUMBER = 2**63 - 1
FIELDS = {
    *("images", "nodes", "output", "unused", "kept", "normalization"),
    *("layers", "grids"),
}


def parts(text: dict, tensors: dict[str, Tensor]) -> dict:
    """The parts that ``packed_writer.described`` made of a QuantizedNetwork.

    ``tensors`` are of any shape. Raises UnsupportedError, or one of
    ``tensor_files.DAMAGES``, where they are no such parts: names, kinds and
    shapes are checked here, whether integers can run them is not. Biases of
    the float graph are zeros: their unit is known to the whole network only.
    """
    if text.keys() != FIELDS:
        odd = sorted(text.keys() ^ FIELDS)
        raise UnsupportedError(f"its graph lacks, or adds, {str(odd)[:60]}")
    rest = dict(tensors)
    integers = _layers(text["layers"], rest)
    grids = _grids(text["grids"], _taken(rest, "grid_scales"))
    graph = _graph(text)
    _add_layers(graph, integers)
    for name in read_besides(graph, integers):
        graph.constants[name] = _taken(rest, f"constants/{name}")
    if rest:
        odd = sorted(rest)[0]
        raise UnsupportedError(f"its tensor {odd!r:.60} is too many")
    return {
        "graph": sound(graph),
        "integers": integers,
        "grids": grids,
        "kept": frozenset(_typed(text["kept"], str)),
        "normalization": _normalization(text["normalization"]),
    }


def add_biases(network) -> None:
    """Give the float graph of what ``parts`` made its layers' biases.

    Where two layers share them, the first layer's.
    """
    graph, layers = network.graph, network.integers
    stored = read_besides(graph, layers)
    for name in reversed(layers):
        bias = graph.nodes[name].args[2]
        if bias is not None and bias.name not in stored:
            unit = network.unit(graph.nodes[name])
            graph.constants[bias.name] = layers[name].bias * unit


def _typed(given, *kinds: type) -> list:
    """A list of one kind; ValueError where it is none."""
    if type(given) is not list or {type(one) for one in given} - {*kinds}:
        raise ValueError(f"{str(given)[:60]}: expected a list of {kinds}")
    return given


def _unique(rows: list) -> dict:
    made = dict(rows)
    if len(made) < len(rows):
        raise ValueError("a name stands there twice")
    return made


def _sizes(given) -> tuple[int, ...]:
    sizes = tuple(_typed(given, int))
    if not all(0 < size < 2**31 for size in sizes):
        raise ValueError(f"sizes {str(given)[:60]}: expected 1 or more")
    return sizes


def _layers(rows: list, rest: dict[str, Tensor]) -> dict[str, Layer]:
    """Layers by name; their tensors are taken out of ``rest``."""
    biases, scales = _taken(rest, "biases"), _taken(rest, "weight_scales")
    made = []
    for name, given, low, high, bits, each in rows:
        shape, _ = _sizes(given), _typed([low, high, bits], int)
        channels = shape[0] if _typed([each], bool)[0] else 1
        bias, biases = _cut(biases, shape[0])
        scale, scales = _cut(scales, channels)
        scale = scale if each else scale[0]
        zero = torch.zeros_like(scale, dtype=torch.int32)
        grid = Grid(scale, zero, low, high, 0 if each else None)
        coded = f"{CODED}{name}" in rest
        stored = _taken(rest, f"{CODED if coded else PACKED}{name}")
        codes = _codes(name, stored, coded, shape, grid, bits)
        layer = Layer(codes, grid, bias)
        if layer.bits != bits:
            raise ValueError(
                f"{name}: it needs {layer.bits} bits, not {bits}"
            )
        made.append((name, layer))
    if biases.numel() or scales.numel():
        raise ValueError("more biases or scales than layers need")
    return _unique(made)


def _codes(name: str, stored: Tensor, coded: bool, shape, grid: Grid, bits):
    low, high = grid.qmin, grid.qmax
    sign = is_sign(low, high, bits)
    if bits not in range(1, 9) or stored.dtype != torch.uint8:
        raise ValueError(f"{name}: {stored.dtype} for {bits} bits")
    if not sign and bits != (high - low).bit_length():
        raise ValueError(f"{name}: {bits} bits for codes {low} to {high}")
    low = 0 if sign else low
    if coded:
        above = range_coding.decode(stored.numpy(), math.prod(shape), bits)
        codes = above.astype(np.int16).reshape(shape) + low
    else:
        codes = bit_packing.unpack(stored.numpy(), shape, low, bits)
    codes = 2 * codes - 1 if sign else codes
    if codes.min() < -128 or codes.max() > 127:
        raise ValueError(f"{name}: its codes do not fit into 8 bits")
    return torch.from_numpy(codes).to(torch.int8)


def _taken(rest: dict[str, Tensor], name: str) -> Tensor:
    if name not in rest:
        raise UnsupportedError(f"its tensor {name!r:.60} is missing")
    return rest.pop(name)


def _cut(numbers: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The first ``count`` numbers, copied, and the rest."""
    if numbers.dim() != 1 or len(numbers) < count:
        raise ValueError("fewer biases or scales than layers need")
    return numbers[:count].clone(), numbers[count:]


def _grids(rows: list, scales: Tensor) -> dict[str, Grid]:
    if scales.shape != (len(rows),):
        raise ValueError(f"{len(rows)} grids and {scales.numel()} scales")
    made = []
    for (name, bits, zero), scale in zip(rows, scales, strict=True):
        _typed([bits, zero], int)
        if not 1 <= bits <= 8 or not 0 <= zero < 2**bits:
            raise UnsupportedError(
                f"{name}: zero point {zero} on a grid of {bits} bits"
            )
        zero = torch.tensor(zero, dtype=torch.int32)
        made.append((name, Grid(scale.clone(), zero, 0, 2**bits - 1)))
    return _unique(made)


def _graph(text: dict) -> Graph:
    images = (BATCH, *_sizes(text["images"]))
    nodes = []
    for name, word, args, source in text["nodes"]:
        _typed([name, word, source], str)
        args = _args(_typed([args], list)[0])
        shape = images if word == "input" else ()
        nodes.append((name, Node(name, word, args, shape, source)))
    unused = tuple(_typed(text["unused"], str))
    return Graph(_unique(nodes), {}, text["output"], unused)


def _args(given, depth: int = 0):
    """Arguments, as ``packed_writer`` writes them."""
    if type(given) is list and depth <= DEPTH:
        return tuple(_args(one, depth + 1) for one in given)
    if given is None or type(given) in (bool, float):
        return given
    if type(given) is int and abs(given) <= LARGEST_NUMBER:
        return given
    if given in ("#inf", "#-inf"):
        return float(given[1:])
    makers = {"%": Value, "$": Constant, "=": str}
    if type(given) is str and given[:1] in makers:
        return makers[given[0]](given[1:])
    raise ValueError(f"{str(given)[:60]} is no argument")


def _add_layers(graph: Graph, integers: dict[str, Layer]) -> None:
    """Float weights that the codes stand for, and zeros for biases.

    Where two layers share them, the first layer's; where something else
    reads them, the file has them.
    """
    for name, layer in integers.items():
        node = graph.nodes.get(name)
        if node is None or operation(node.op).kind != "layer":
            raise UnsupportedError(f"{name!r:.60}: no layer has this name")
        _, weight, bias = node.args[:3]
        if {type(weight), type(bias)} - {Constant, type(None)}:
            raise UnsupportedError(f"{node}: its weights are no constants")
        values = affine.dequantize(layer.codes, layer.grid)
        graph.constants.setdefault(weight.name, values)
        if bias is not None:
            zeros = torch.zeros(len(layer.bias))
            graph.constants.setdefault(bias.name, zeros)


def _normalization(given):
    if given is None:
        return None
    mean, std = given
    return tuple(tuple(_typed(numbers, float)) for numbers in (mean, std))
