"""Pixels that are the first layer's codes: in the file and in engines."""

import onnx
import pytest
import torch
from small_network import pixels_of, small

from ptq import engines
from ptq.engines import onnx_file, parity
from ptq.graph import UnsupportedError
from ptq.quantizer.network import QuantizedNetwork
from ptq.quantizer.quantizing import quantize


@pytest.fixture(scope="module")
def pixels():
    return pixels_of(64, 3, 16, 16)


@pytest.fixture(scope="module")
def made(pixels):
    return quantize(small(), pixels, normalization=(0.5, 0.5), on_pixels=True)


def first_words(network):
    """What the file does to images before the first layer."""
    nodes = onnx_file.model(network, pixels=True).graph.node
    found = {}
    for node in nodes:
        found.setdefault(node.input[0], node)
    words, name = [], "images"
    while name in found and found[name].op_type != "Conv":
        words.append(found[name].op_type)
        name = found[name].output[0]
    return words


def test_the_file_converts_nothing(made, pixels):
    usual = quantize(small(), pixels, normalization=(0.5, 0.5))
    assert first_words(made) == ["DequantizeLinear"]
    assert "QuantizeLinear" in first_words(usual)
    shape = onnx_file.model(made, pixels=True).graph.input[0].type.tensor_type
    assert shape.elem_type == onnx.TensorProto.UINT8


def test_it_computes_what_the_usual_one_does(made, pixels):
    usual = quantize(small(), pixels, normalization=(0.5, 0.5))
    float_ = usual.graph(usual.normalized(pixels))
    reach = float(float_.abs().max())
    for network in (made, usual):
        error = (network(pixels) - float_).abs().max() / reach
        assert error < 0.06


@pytest.mark.parametrize("name", ["onnx_runtime", "openvino"])
def test_engines_take_them(name, made, pixels):
    engine = engines.get(name)
    if (reason := engine.available()) is not True:
        pytest.skip(reason)
    run = engine.load(made, threads=1, pixels=True)
    step = made.grid("fc").scale
    assert (run(pixels) - made(pixels)).abs().max() <= 1.01 * step
    for files in (run(pixels), engine.load(made, threads=1)(pixels)):
        assert (files.argmax(1) != made(pixels).argmax(1)).sum() <= 1
    assert (
        max(parity.steps_apart(made, made.normalized(pixels), name).values())
        < 2
    )


def test_it_is_kept_in_the_packed_file(made, pixels, tmp_path):
    made.save(tmp_path / "a.ptq")
    again = QuantizedNetwork.load(tmp_path / "a.ptq")
    assert torch.equal(again(pixels), made(pixels))
    assert first_words(again) == ["DequantizeLinear"]


def test_it_needs_pixels(pixels):
    real = pixels / 127.5 - 1
    for images, norm in ((real, (0.5, 0.5)), (real, None)):
        with pytest.raises(UnsupportedError, match="expected uint8 images"):
            quantize(small(), images, normalization=norm, on_pixels=True)
