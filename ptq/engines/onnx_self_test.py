"""Whether a runtime adds whole numbers exactly here: it is asked.

Kernels for x86 processors without VNNI add two products of uint8 and int8 in
16 bits, which saturate; kernels of new instructions have given wrong numbers,
too (microsoft/onnxruntime issue 26324). So each runtime that reads ONNX files
is asked for layers of the farthest codes on this processor, and its codes are
compared with whole numbers.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper

SIDE, IMAGES, SEED = 8, 4, 0
MIDDLE, MOST = 128, 100  # the code of zero, and of the largest sum from it

# A file's content and its input "images" to its output "logits".
Ask = Callable[[bytes, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Layer:
    """A layer that is tried; a linear one where ``kernel`` is 0."""

    inputs: int
    outputs: int
    kernel: int
    groups: int = 1


LAYERS = (
    Layer(64, 64, 1),
    Layer(64, 64, 3),
    Layer(64, 64, 3, 64),
    Layer(3, 64, 3),
    Layer(4096, 16, 0),
)


def exact(ask: Ask, zero: int = 0) -> bool:
    """Whether all of ``LAYERS`` come out right; ``zero`` as of ``agrees``."""
    return all(agrees(ask, layer, zero) for layer in LAYERS)


def agrees(ask: Ask, layer: Layer, zero: int = 0) -> bool:
    """Ask for a layer of the farthest codes, and add them here.

    ``zero`` is the zero point of its input, which no sum has.
    """
    generator = np.random.default_rng(SEED)
    size = () if layer.kernel == 0 else (SIDE, SIDE)
    x = generator.choice(
        [0, 255], (IMAGES, layer.inputs, *size), p=[0.1, 0.9]
    )
    shape = layer.outputs, layer.inputs // layer.groups
    w = generator.choice([-127, 127], (*shape, *[layer.kernel] * len(size)))
    far = x - zero
    sums = (
        far @ w.T if layer.kernel == 0 else _convolved(far, w, layer.groups)
    )
    scale = np.float32(np.abs(sums).max() / MOST)
    file = _file(w.astype(np.int8), layer, scale, zero)
    codes = ask(file.SerializeToString(), x.astype(np.uint8)) / scale
    return bool(np.abs(codes - sums / scale).max() < 1)


def _convolved(x: np.ndarray, w: np.ndarray, groups: int) -> np.ndarray:
    """Sums of a convolution without padding, int64 (N, C, H, W)."""
    kernel, count = w.shape[2:], len(x)
    windows = np.lib.stride_tricks.sliding_window_view(
        x.reshape(count, groups, -1, SIDE, SIDE), kernel, (3, 4)
    )
    parts = w.reshape(groups, len(w) // groups, *w.shape[1:])
    sums = np.einsum("ngchwij,gocij->ngohw", windows, parts)
    return sums.reshape(count, len(w), *windows.shape[3:5])


def _file(
    w: np.ndarray, layer: Layer, scale: np.float32, zero: int
) -> onnx.ModelProto:
    """The layer between codes, as ``onnx_file`` writes them."""
    constants = {
        "one": np.float32(1),
        "zero": np.uint8(zero),
        "w": w,
        "none_w": np.int8(0),
        "scale": scale,
        "middle": np.uint8(MIDDLE),
    }
    operation, settings = "Conv", {"group": layer.groups}
    if layer.kernel == 0:
        operation, settings = "Gemm", {"transB": 1}
    nodes = [
        helper.make_node(kind, given, [result], **settings)
        for kind, given, result, settings in (
            ("DequantizeLinear", ["images", "one", "zero"], "x", {}),
            ("DequantizeLinear", ["w", "one", "none_w"], "weight", {}),
            (operation, ["x", "weight"], "y", settings),
            ("QuantizeLinear", ["y", "scale", "middle"], "codes", {}),
            ("DequantizeLinear", ["codes", "scale", "middle"], "logits", {}),
        )
    ]
    size = () if layer.kernel == 0 else (SIDE, SIDE)
    taken = helper.make_tensor_value_info(
        "images", TensorProto.UINT8, ["N", layer.inputs, *size]
    )
    given = helper.make_tensor_value_info("logits", TensorProto.FLOAT, None)
    initializers = [
        onnx.numpy_helper.from_array(np.asarray(value), name)
        for name, value in constants.items()
    ]
    graph = helper.make_graph(nodes, "sums", [taken], [given], initializers)
    opset = helper.make_opsetid("", 17)
    return helper.make_model(graph, opset_imports=[opset], ir_version=8)
