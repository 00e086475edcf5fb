"""The runtimes' sums are tried; kernels that saturate are found out."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from ptq import engines
from ptq.engines import onnx_runtime, onnx_self_test

# Asked of OpenVINO in a process whose kernels know older instructions only.
OLD = """
import json, warnings, torch
from small_network import pixels_of, small
from ptq.engines import openvino
from ptq.quantizer.quantizing import quantize
pixels = pixels_of(70, 3, 16, 16)
network = quantize(small(), pixels, normalization=(0.5, 0.5))
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    run = openvino.load(network, threads=1)
apart = (run(pixels) - network(pixels)).abs().max()
print(json.dumps({
    "exact": openvino.exact(),
    "told": [str(one.message) for one in told],
    "apart": float(apart / network.grid("fc").scale),
    "precisions": sorted({one.precision for one in run.ran}),
}))
"""


def saturating(content, x):
    """A layer that adds products by pairs in 16 bits."""
    graph = onnx.load_from_string(content).graph
    constants = {
        t.name: onnx.numpy_helper.to_array(t) for t in graph.initializer
    }
    (layer,) = (n for n in graph.node if n.op_type in ("Conv", "Gemm"))
    w, scale = constants["w"].astype(int), constants["scale"]
    x = x.astype(int).reshape(*x.shape[:2], *x.shape[2:] or (1, 1))
    w = w.reshape(*w.shape[:2], *w.shape[2:] or (1, 1))
    groups = layer.attribute[0].i if layer.op_type == "Conv" else 1
    windows = np.lib.stride_tricks.sliding_window_view(x, w.shape[2:], (2, 3))
    inputs, outputs = w.shape[1], w.shape[0] // groups
    result = []
    for out, kernel in enumerate(w):
        first = out // outputs * inputs
        mine = windows[:, first : first + inputs]
        products = mine * kernel[:, None, None]
        products = np.moveaxis(products, 1, -3)
        products = products.reshape(*products.shape[:3], -1)
        if products.shape[-1] % 2:
            products = np.pad(products, [(0, 0)] * 3 + [(0, 1)])
        pairs = products.reshape(*products.shape[:3], -1, 2).sum(-1)
        result.append(pairs.clip(-(2**15), 2**15 - 1).sum(-1))
    found = np.stack(result, 1)
    codes = (np.rint(found / scale) + 128).clip(0, 255) - 128
    return (codes * scale).reshape(len(x), len(w), *found.shape[2:]).squeeze()


@pytest.mark.parametrize("layer", onnx_self_test.LAYERS)
def test_saturating_kernels_are_found_out(layer):
    assert not onnx_self_test.agrees(saturating, layer)


def test_a_zero_point_that_is_passed_over_is_found_out():
    def without(content, images):
        file = onnx.load_from_string(content)
        for tensor in file.graph.initializer:
            if tensor.name == "zero":
                none = onnx.numpy_helper.from_array(np.uint8(0), "zero")
                tensor.CopyFrom(none)
        ask = engines.get("onnx_runtime").asker(file.SerializeToString())
        return ask(["logits"], images)[0]

    layer = onnx_self_test.LAYERS[-1]
    assert onnx_self_test.agrees(without, layer)
    assert not onnx_self_test.agrees(without, layer, zero=128)


@pytest.mark.parametrize("layer", onnx_self_test.LAYERS)
def test_sums_are_exact_where_the_runtime_is_told_so(layer, tmp_path):
    """On every processor, with the setting that the self-test decides on."""
    ran = []

    def precise(content, images):
        options = onnxruntime.SessionOptions()
        options.add_session_config_entry(onnx_runtime.PRECISE, "1")
        options.enable_profiling = True
        options.profile_file_prefix = str(tmp_path / "profile")
        session = onnxruntime.InferenceSession(
            content, options, ["CPUExecutionProvider"]
        )
        (found,) = session.run(["logits"], {"images": images})
        events = json.loads(Path(session.end_profiling()).read_text())
        ran.extend(e.get("args", {}).get("op_name") for e in events)
        return found

    assert onnx_self_test.agrees(precise, layer)
    assert {"QLinearConv", "QGemm"} & set(ran)


@pytest.mark.parametrize("name", ["onnx_runtime", "openvino"])
def test_what_is_tried_is_what_networks_ask(name):
    """Each engine's settings give exact sums, whatever the processor."""
    engine = engines.get(name)
    if (reason := engine.available()) is not True:
        pytest.skip(reason)
    assert onnx_self_test.exact(
        lambda content, images: engine.asker(content)(["logits"], images)[0]
    )


@pytest.mark.parametrize("instructions", ["AVX2", "AVX512_CORE"])
def test_openvino_without_vnni_saturates_and_is_made_safe(instructions):
    """oneDNN, whose kernels it takes, is told to know no newer ones."""
    pytest.importorskip("openvino")
    import torch

    if torch.backends.cpu.get_cpu_capability() not in ("AVX2", "AVX512"):
        pytest.skip("no x86 processor of this kind")
    folder = os.path.dirname(os.path.dirname(__file__))
    where = os.pathsep.join([folder, os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", OLD],
        env=os.environ
        | {"ONEDNN_MAX_CPU_ISA": instructions, "PYTHONPATH": where},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert not found["exact"] and found["apart"] <= 1.01
    assert "integer" not in found["precisions"]
    assert any("not exact on this processor" in one for one in found["told"])
