"""A QDQ ONNX file of a quantized network, with its own codes and scales.

Each result that carries codes is followed by QuantizeLinear and
DequantizeLinear; a runtime fuses them with the operation in between to one
of integers. Activations are uint8, weights int8, biases int32.
"""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor

from ptq import paths
from ptq.engines import onnx_operators
from ptq.graph import Constant, Graph, Node, UnsupportedError, Value
from ptq.quantizer.affine import Grid
from ptq.quantizer.network import QuantizedNetwork

OPSET = 17
IR_VERSION = 8  # what opset 17 came with
STORED_MOST = 255  # the largest uint8


def model(network: QuantizedNetwork) -> onnx.ModelProto:
    """The network as ONNX: float32 ``images`` (N, ...) in, ``logits`` out.

    Raises UnsupportedError, naming the node, where ONNX has no operation
    that does the same.
    """
    writer = Writer(network)
    for node in network.graph.nodes.values():
        writer.write(node)
    writer.add("Identity", [network.graph.output], "logits")
    shapes = (
        network.graph.nodes[name].shape
        for name in ("input", network.graph.output)
    )
    images, logits = (
        helper.make_tensor_value_info(
            name, TensorProto.FLOAT, ["N", *shape[1:]]
        )
        for name, shape in zip(("images", "logits"), shapes, strict=True)
    )
    made = helper.make_model(
        helper.make_graph(
            writer.nodes,
            "ptq",
            [images],
            [logits],
            list(writer.initializers.values()),
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="ptq",
    )
    onnx.checker.check_model(made)
    return made


def float_model(graph: Graph) -> onnx.ModelProto:
    """The float reference as ONNX; shapes, and errors, as of ``model``."""
    return model(QuantizedNetwork(graph, {}, {}, frozenset(graph.nodes)))


def save(network: QuantizedNetwork, path: str | Path) -> int:
    """Write the ONNX file; the number of its bytes.

    Raises UnsupportedError as ``model``, OSError where it cannot be
    written.
    """
    content = model(network).SerializeToString()
    paths.write_whole(Path(path), content)
    return len(content)


class Writer:
    """Nodes and tensors of the file, as they are written one by one.

    A result is called as its node: dequantized, where it carries codes,
    which are then called "NAME/codes". No name of a module has a slash.
    """

    def __init__(self, network: QuantizedNetwork):
        self.network = network
        self.codes: dict[str, str] = {}
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: dict[str, TensorProto] = {}

    def write(self, node: Node) -> None:
        """The operation of a node, then its grid, if it has one."""
        grid = self.network.grid(node.name)
        if grid and node.op in onnx_operators.ON_CODES:
            codes = self.codes[node.inputs[0]]
            write = onnx_operators.ON_CODES[node.op]
            write(self, node, codes, grid, f"{node.name}/codes")
            self._dequantize(f"{node.name}/codes", grid, node.name)
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

    def add(self, kind: str, inputs: list[str], output: str, **settings):
        """An ONNX node of the output's name; returns that name."""
        self.nodes.append(
            helper.make_node(kind, inputs, [output], output, **settings)
        )
        return output

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
        if grid.qmax < STORED_MOST:
            most = self.tensor(f"{output}/most", np.uint8(grid.qmax))
            codes = self.add("Clip", [codes, "", most], f"{codes}/clipped")
        return self._dequantize(codes, grid, output)

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
        if node.op in ("convolution", "linear"):
            self._float_layer(node, result)
        elif node.op in onnx_operators.WRITERS:
            onnx_operators.WRITERS[node.op](self, node, result)
        else:
            raise UnsupportedError(
                f"{node}: no ONNX operation is known for {node.op}"
            )

    def _float_layer(self, node: Node, result: str) -> None:
        """A layer that stays in float, whatever stands around it.

        ONNX Runtime quantizes float weights between codes by itself. A
        maximum with the lowest number, which changes nothing, prevents it.
        """
        given = [self.operand(arg, node.name) for arg in node.args[1:3]]
        if not self.network.grids:
            onnx_operators.write_layer(self, node, given, result)
            return
        onnx_operators.write_layer(self, node, given, f"{node.name}/real")
        lowest = self.tensor(f"{node.name}/lowest", np.finfo("f4").min)
        self.add("Max", [f"{node.name}/real", lowest], result)

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
