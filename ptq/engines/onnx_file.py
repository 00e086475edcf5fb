"""A QDQ ONNX file of a quantized network, with its own codes and scales.

Each result that carries codes is followed by QuantizeLinear and
DequantizeLinear; a runtime fuses them with the operation in between to one
of integers. Activations are uint8, weights int8, biases int32.
"""

from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor

from ptq import paths
from ptq.engines import onnx_operators
from ptq.graph import Constant, Graph, Node, UnsupportedError, Value
from ptq.quantizer import affine, grid_placement
from ptq.quantizer.affine import Grid
from ptq.quantizer.network import QuantizedNetwork, all_pixels, normalize

OPSET = 17
IR_VERSION = 8  # what opset 17 came with
STORED_MOST = 255  # the largest uint8
LAYERS = ("convolution", "linear")


def model(network: QuantizedNetwork, pixels=False) -> onnx.ModelProto:
    """The network as ONNX: ``images`` (N, ...) in, float32 ``logits`` out.

    Images are float32, normalized; with ``pixels`` they are uint8, and the
    file normalizes them. Raises UnsupportedError, naming the node, where
    ONNX has no operation that does the same or codes are wider than a byte,
    or where the network does not know how to normalize pixels.
    """
    _refuse_wide(network)
    writer = Writer(network, pixels)
    for node in network.graph.nodes.values():
        writer.write(node)
    writer.add("Identity", [network.graph.output], "logits")
    nodes, tensors = writer.needed("logits")
    taken = TensorProto.UINT8 if pixels else TensorProto.FLOAT
    images, logits = (
        helper.make_tensor_value_info(
            label, kind, ["N", *network.graph.nodes[name].shape[1:]]
        )
        for label, kind, name in (
            ("images", taken, "input"),
            ("logits", TensorProto.FLOAT, network.graph.output),
        )
    )
    made = helper.make_model(
        helper.make_graph(
            nodes,
            "ptq",
            [images],
            [logits],
            tensors,
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="ptq",
    )
    onnx.checker.check_model(made)
    return made


def _refuse_wide(network: QuantizedNetwork) -> None:
    """Raise UnsupportedError, naming the first node with wider codes."""
    bits = [(name, layer.bits) for name, layer in network.integers.items()]
    for name, grid in network.grids.items():
        bits.append((name, grid.qmax.bit_length()))
    for name, count in bits:
        if count > grid_placement.BYTE:
            raise UnsupportedError(
                f"{network.graph.nodes[name]}: codes of {count} bits, where "
                f"ONNX's integers have {grid_placement.BYTE}: the engines "
                "simulation and integers run them"
            )


def float_model(graph: Graph) -> onnx.ModelProto:
    """The float reference as ONNX; shapes, and errors, as of ``model``."""
    return model(QuantizedNetwork(graph, {}, {}, frozenset(graph.nodes)))


def save(network: QuantizedNetwork, path: str | Path, pixels=False) -> int:
    """Write the ONNX file of ``model``; the number of its bytes.

    Raises UnsupportedError as ``model``, OSError where it cannot be
    written.
    """
    content = model(network, pixels).SerializeToString()
    paths.write_whole(Path(path), content)
    return len(content)


class Writer:
    """Nodes and tensors of the file, as they are written one by one.

    A result is called as its node: dequantized, where it carries codes,
    which are then called "NAME/codes". No name of a module has a slash.
    """

    def __init__(self, network: QuantizedNetwork, pixels: bool = False):
        if pixels and network.normalization is None:
            raise UnsupportedError(
                "the network knows no normalization of pixels: give "
                "normalization=(mean, std) when it is quantized"
            )
        self.network, self.pixels = network, pixels
        self.codes: dict[str, str] = {}
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: dict[str, TensorProto] = {}

    def write(self, node: Node) -> None:
        """The operation of a node, then its grid, if it has one."""
        grid = self.network.grid(node.name)
        if grid and self._by_codes(node, grid):
            self._dequantize(f"{node.name}/codes", grid, node.name)
            return
        if node.op == "input" and self.pixels:
            self._pixels(grid)
            return
        result = f"{node.name}/float" if grid else node.name
        if node.op == "input" and not grid:
            self.add("Identity", ["images"], result)
        elif node.op == "input":
            result = "images"
        elif node.name in self.network.integers:
            self._layer(node, result)
        else:
            self._plain(node, result)
        if grid:
            self.on_grid(result, grid, node.name)

    def _by_codes(self, node: Node, grid: Grid) -> bool:
        """Whether codes could be written without real numbers in between."""
        result = f"{node.name}/codes"
        if node.op in onnx_operators.ON_CODES:
            codes = self.codes[node.inputs[0]]
            write = onnx_operators.ON_CODES[node.op]
            write(self, node, codes, grid, result)
            return True
        if node.op in onnx_operators.BY_TABLE:
            entries = self.network.table(node)
            if entries is not None:
                onnx_operators.look_up(self, node, entries, result)
                return True
        return False

    def add(self, kind: str, inputs: list[str], output: str, **settings):
        """An ONNX node of the output's name; returns that name."""
        self.nodes.append(
            helper.make_node(kind, inputs, [output], output, **settings)
        )
        return output

    def needed(self, output: str) -> tuple[list, list]:
        """Nodes and tensors on the way to ``output``.

        Where only codes of a result are read, its real numbers are not:
        ONNX Runtime would compute them, in up to half of its time.
        """
        wanted, kept = {output}, []
        for node in reversed(self.nodes):
            if wanted.intersection(node.output):
                kept.append(node)
                wanted.update(node.input)
        tensors = [t for n, t in self.initializers.items() if n in wanted]
        return kept[::-1], tensors

    def tensor(self, name: str, array) -> str:
        """A constant, stored once for each name; returns the name."""
        if isinstance(array, Tensor):
            array = array.detach().numpy()
        array = np.ascontiguousarray(array).reshape(np.shape(array))
        self.initializers[name] = numpy_helper.from_array(array, name)
        return name

    def on_grid(self, real: str, grid: Grid, output: str) -> str:
        """Quantize and dequantize; ``output`` names the result."""
        codes = f"{output}/codes"
        self.add("QuantizeLinear", [real, *self._grid(output, grid)], codes)
        codes = self._clipped(codes, grid)
        return self._dequantize(codes, grid, output)

    def _clipped(self, codes: str, grid: Grid) -> str:
        if grid.qmax == STORED_MOST:
            return codes
        most = self.tensor(f"{codes}/most", np.uint8(grid.qmax))
        return self.add("Clip", [codes, "", most], f"{codes}/clipped")

    def _pixels(self, grid: Grid) -> None:
        """Pixels p to codes: (p - 255 mean) / (255 std S), rounded, + Z.

        It is what normalization and the input's grid do, in one step. Where
        each pixel is its own code, nothing is left to do.
        """
        if self._are_codes(grid):
            self._dequantize("images", grid, "input")
            return
        _, channels, *size = self.network.graph.nodes["input"].shape
        mean, std = (
            np.broadcast_to(numbers, channels)
            for numbers in self.network.normalization
        )
        offset = (255 * mean).reshape(-1, *(1 for _ in size))
        step = 255 * std * float(grid.scale)
        if (step == step[0]).all():
            step = step[0]  # for one step a runtime is faster
        zero = np.full_like(step, int(grid.zero_point), np.uint8)
        real = self.add(
            "Cast", ["images"], "input/pixels", to=TensorProto.FLOAT
        )
        offset = self.tensor("input/offset", offset.astype("f4"))
        centred = self.add("Sub", [real, offset], "input/centred")
        step = self.tensor("input/step", step.astype("f4"))
        zero = self.tensor("input/zero", zero)
        codes = "input/codes"
        self.add("QuantizeLinear", [centred, step, zero], codes, axis=1)
        self._dequantize(self._clipped(codes, grid), grid, "input")

    def _are_codes(self, grid: Grid) -> bool:
        """Whether codes are the pixels, all 256 of each channel."""
        pixels = all_pixels(self.network.graph.nodes["input"].shape[1])
        real = normalize(pixels, *self.network.normalization)
        return torch.equal(affine.quantize(real, grid), pixels.int())

    def _dequantize(self, codes: str, grid: Grid, output: str) -> str:
        self.codes[output] = codes
        given = [codes, *self._grid(output, grid)]
        return self.add("DequantizeLinear", given, output)

    def _grid(self, name: str, grid: Grid, kind=np.uint8) -> tuple[str, str]:
        zero = grid.zero_point.numpy().astype(kind)
        return (
            self.tensor(f"{name}/scale", grid.scale),
            self.tensor(f"{name}/zero_point", zero),
        )

    def _layer(self, node: Node, result: str) -> None:
        layer = self.network.integers[node.name]
        names = [f"{node.name}/{part}" for part in ("weight", "bias")]
        axis = {} if layer.grid.axis is None else {"axis": layer.grid.axis}
        codes = self.tensor(f"{names[0]}/codes", layer.codes)
        scale, zero = self._grid(names[0], layer.grid, np.int8)
        self.add("DequantizeLinear", [codes, scale, zero], names[0], **axis)
        whole = self.tensor(f"{names[1]}/codes", layer.bias)
        unit = self.tensor(f"{names[1]}/scale", self.network.unit(node))
        self.add("DequantizeLinear", [whole, unit], names[1], **axis)
        onnx_operators.write_layer(self, node, names, result)

    def _plain(self, node: Node, result: str) -> None:
        """An operation on real numbers."""
        layer, grids = node.op in LAYERS, self.network.grids
        asked = grids and (layer or node.name in self.network.kept)
        made = f"{node.name}/real" if asked else result
        if layer:
            given = [self.operand(arg, node.name) for arg in node.args[1:3]]
            onnx_operators.write_layer(self, node, given, made)
        elif node.op in onnx_operators.WRITERS:
            onnx_operators.WRITERS[node.op](self, node, made)
        else:
            raise UnsupportedError(
                f"{node}: no ONNX operation is known for {node.op}: write "
                "it by others, or leave it out of the network"
            )
        if asked:
            self._stays_float(node, made, result)

    def _stays_float(self, node: Node, real: str, result: str) -> None:
        """ONNX Runtime makes integers by itself of what is between codes.

        A maximum with the lowest number, which changes nothing, prevents it.
        """
        lowest = self.tensor(f"{node.name}/lowest", np.finfo("f4").min)
        self.add("Max", [real, lowest], result)

    def operand(self, arg, name: str) -> str:
        """What ONNX calls an argument: a result, a tensor, or a number."""
        if arg is None:
            return ""
        if isinstance(arg, Value):
            return arg.name
        if isinstance(arg, Constant):
            tensor = self.network.graph.constants[arg.name]
            return self.tensor(f"{arg.name}/constant", tensor)
        return self.tensor(f"{name}/{arg:g}", np.float32(arg))
