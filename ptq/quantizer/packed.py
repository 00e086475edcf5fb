"""A quantized network as a text and tensors, at its real bits, and back.

The text (JSON) holds ``nodes``, each with name, operation, arguments and
line of code; ``layers``, with the shape of the weights, their lowest and
highest code, and whether each output has a scale of its own; ``grids`` of
activations, each with bits and zero point; and what else the network knows.
In arguments "%NAME" is a result, "$NAME" a constant, "=TEXT" a text, and
"#inf" and "#-inf" are the two infinite numbers.

Of the tensors, "codes/NAME" holds a layer's codes, packed (``bit_codes``);
"biases", "weight_scales" and "grid_scales" those of all, one after another;
"constants/NAME" what else the graph reads. Float weights of integer layers
are not there: what is read back has those that the codes stand for.
"""

import math

import torch
from torch import Tensor

from ptq.graph import Constant, Graph, Node, UnsupportedError, Value
from ptq.graph.arguments import DEPTH
from ptq.graph.nodes import BATCH
from ptq.graph.operations import operation
from ptq.graph.soundness import sound
from ptq.quantizer import affine, bit_codes
from ptq.quantizer.affine import Grid
from ptq.quantizer.layer import Layer

DTYPES = {
    *(torch.float32, torch.float64, torch.bool, torch.uint8),
    *(torch.int8, torch.int16, torch.int32, torch.int64),
}
LARGEST_NUMBER = 2**63 - 1
FIELDS = {
    *("images", "nodes", "output", "unused", "kept", "normalization"),
    *("layers", "grids"),
}


def described(network) -> tuple[dict, dict[str, Tensor]]:
    """Text and tensors of a sound QuantizedNetwork, of any shapes.

    Raises UnsupportedError, naming it, for an argument or a constant that no
    file holds.
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
                layer.grid.axis is not None,
            ]
            for name, layer in layers.items()
        ],
        "grids": [
            [name, grid.qmax.bit_length(), int(grid.zero_point)]
            for name, grid in network.grids.items()
        ],
    }
    return text, _tensors(network)


def _tensors(network) -> dict[str, Tensor]:
    layers, graph = network.integers, network.graph
    tensors = {
        "biases": _joined((x.bias for x in layers.values()), torch.int32),
        "weight_scales": _joined(x.grid.scale for x in layers.values()),
        "grid_scales": _joined(x.scale for x in network.grids.values()),
    }
    for name, layer in layers.items():
        packed = bit_codes.pack(
            layer.codes.numpy(), layer.grid.qmin, layer.bits
        )
        tensors[f"codes/{name}"] = torch.from_numpy(packed)
    for name in _read_besides(graph, layers):
        constant = graph.constants[name].detach()
        if constant.dtype not in DTYPES:
            raise UnsupportedError(
                f"{name} is {constant.dtype}, which no file holds"
            )
        tensors[f"constants/{name}"] = constant.contiguous().clone()
    return tensors


def _joined(parts, dtype=torch.float32) -> Tensor:
    return torch.cat(
        [torch.zeros(0, dtype=dtype), *(p.ravel() for p in parts)]
    )


def _read_besides(graph: Graph, layers) -> list[str]:
    """Constants that nodes read, but for the layers' own."""
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


def parts(text: dict, tensors: dict[str, Tensor]) -> dict:
    """The parts of a QuantizedNetwork, of which ``described`` made these.

    ``tensors`` are of any shape. Raises UnsupportedError, or one of
    ``files.DAMAGES``, where they are no such parts: names, kinds and shapes
    are checked here, whether integers can run them is not. Biases of the
    float graph are zeros: their unit is known to the whole network only.
    """
    if text.keys() != FIELDS:
        odd = sorted(text.keys() ^ FIELDS)
        raise UnsupportedError(f"its graph lacks, or adds, {str(odd)[:60]}")
    rest = dict(tensors)
    integers = _layers(text["layers"], rest)
    grids = _grids(text["grids"], _taken(rest, "grid_scales"))
    graph = _graph(text)
    for name in [name for name in rest if name.startswith("constants/")]:
        graph.constants[name.partition("/")[2]] = rest.pop(name)
    if rest:
        raise UnsupportedError(f"{sorted(rest)[0][:60]}: unknown tensor")
    _add_layers(graph, integers)
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
    read_besides = _read_besides(graph, layers)
    for name in reversed(layers):
        bias = graph.nodes[name].args[2]
        if bias is not None and bias.name not in read_besides:
            whole = layers[name].bias
            graph.constants[bias.name] = whole * network.unit(
                graph.nodes[name]
            )


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
    for name, given, low, high, each in rows:
        shape, _ = _sizes(given), _typed([low, high], int)
        channels = shape[0] if _typed([each], bool)[0] else 1
        bias, biases = _cut(biases, shape[0])
        scale, scales = _cut(scales, channels)
        scale = scale if each else scale[0]
        grid = Grid(
            *(scale, torch.zeros_like(scale, dtype=torch.int32)),
            *(low, high, 0 if each else None),
        )
        bits, packed = (
            (high - low).bit_length(),
            _taken(rest, f"codes/{name}"),
        )
        if bits not in range(1, 9) or packed.dtype != torch.uint8:
            raise ValueError(f"{name}: {packed.dtype} for {bits} bits")
        codes = bit_codes.unpack(packed.numpy(), shape, low, bits)
        if codes.min() < -128 or codes.max() > 127:
            raise ValueError(f"{name}: its codes do not fit into 8 bits")
        codes = torch.from_numpy(codes).to(torch.int8)
        made.append((name, Layer(codes, grid, bias)))
    if biases.numel() or scales.numel():
        raise ValueError("more biases or scales than layers need")
    return _unique(made)


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
        if not 1 <= bits <= 16 or not 0 <= zero < 2**bits:
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
    """What ``_plain`` wrote."""
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
