"""Whether ONNX Runtime adds whole numbers exactly here: it is asked.

Its fastest kernels for x86 processors without VNNI add two products of uint8
and int8 in 16 bits, which saturate. A setting takes exact kernels instead;
where the fast ones are exact, it costs up to half of the speed.
"""

import functools

import numpy as np
import onnx
from onnx import TensorProto, helper

PRECISE = "session.x64quantprecision"
CHANNELS, SIDE, SEED = 64, 8, 0
# Groups and kernels of the convolutions that are tried.
KERNELS = ((1, 1), (1, 3), (CHANNELS, 3))


@functools.cache
def exact() -> bool:
    """Whether sums are exact without the setting ``PRECISE``."""
    return all(_agrees(*given) for given in KERNELS)


def _agrees(groups: int, kernel: int) -> bool:
    """Ask for a convolution of the farthest codes, and add them here."""
    generator = np.random.default_rng(SEED)
    x = generator.choice([0, 255], (1, CHANNELS, SIDE, SIDE), p=[0.1, 0.9])
    w = generator.choice(
        [-127, 127], (CHANNELS, CHANNELS // groups, kernel, kernel)
    )
    windows = np.lib.stride_tricks.sliding_window_view(
        x.reshape(groups, -1, SIDE, SIDE), (kernel, kernel), (2, 3)
    )
    sums = np.einsum(
        "gchwij,gocij->gohw",
        windows,
        w.reshape(groups, CHANNELS // groups, -1, kernel, kernel),
    ).reshape(1, CHANNELS, *windows.shape[2:4])
    scale = np.abs(sums).max() / 100
    found = _run(x.astype(np.uint8), w.astype(np.int8), groups, scale)
    return np.abs(found.astype(int) - 128 - sums / scale).max() < 1


def _run(x: np.ndarray, w: np.ndarray, groups: int, scale: float):
    # Here, so that an engine without its package can say so.
    import onnxruntime

    one, zero = np.float32(1), {t: np.array(0, t) for t in (x.dtype, w.dtype)}
    constants = {
        "one": one,
        "zero_x": zero[x.dtype],
        "w": w,
        "zero_w": zero[w.dtype],
        "scale": np.float32(scale),
        "middle": np.array(128, np.uint8),
    }
    node = helper.make_node(
        "QLinearConv",
        ["x", "one", "zero_x", "w", "one", "zero_w", "scale", "middle"],
        ["y"],
        group=groups,
    )
    graph = helper.make_graph(
        [node],
        "sums",
        [helper.make_tensor_value_info("x", TensorProto.UINT8, x.shape)],
        [helper.make_tensor_value_info("y", TensorProto.UINT8, None)],
        [
            onnx.numpy_helper.from_array(np.asarray(v), n)
            for n, v in constants.items()
        ],
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8
    )
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, ["CPUExecutionProvider"]
    )
    return session.run(["y"], {"x": x})[0]
