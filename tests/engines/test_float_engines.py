"""Float references on each engine: FP32 is FP32, bfloat16 is named so."""

import pytest
import torch
from small_network import pixels_of, small

from ptq.engines import FLOATS, float_engines
from ptq.graph import UnsupportedError
from ptq.quantizer.quantizing import quantize
from ptq.registry import UnknownNameError


@pytest.fixture(scope="module")
def pixels():
    return pixels_of(8, 3, 16, 16)


@pytest.fixture(scope="module")
def network(pixels):
    return quantize(small(), pixels, normalization=(0.5, 0.5))


@pytest.mark.parametrize("name", FLOATS)
def test_logits_are_those_of_the_float_reference(name, network, pixels):
    if (reason := float_engines.available(name)) is not True:
        pytest.skip(reason)
    run = float_engines.load(name, network, threads=1)
    found = run(pixels)
    exact = network.graph(network.normalized(pixels))
    assert found.dtype == torch.float32 and found.shape == exact.shape
    apart = (found - exact).abs().max() / exact.abs().max()
    in_bfloat = FLOATS[name][1] == "bfloat16"
    assert 1e-4 < apart < 0.05 if in_bfloat else apart < 1e-5
    kinds = {one.precision for one in run.ran}
    assert ("bfloat16" in kinds) == in_bfloat and "integer" not in kinds
    # Also those whose kernel is called as what follows them, or the result.
    computed = {o.node for o in run.ran if o.precision != "conversion"}
    assert {"conv", "wide", "fc"} <= computed


def test_another_precision_than_the_row_s_is_refused(network, monkeypatch):
    """As OpenVINO does by itself where the processor has bfloat16."""
    torch_float = pytest.importorskip("ptq.engines.torch_float")
    plain = torch_float.load_float

    def other(network, dtype, threads):
        swapped = {"float32": "bfloat16", "bfloat16": "float32"}[dtype]
        return plain(network, swapped, threads)

    monkeypatch.setattr(torch_float, "load_float", other)
    monkeypatch.setattr(torch_float, "float_available", lambda dtype: True)
    for name in ("torch_fp32", "torch_bfloat16"):
        with pytest.raises(UnsupportedError, match=f"{name} does not run"):
            float_engines.load(name, network)


def test_an_unknown_row_is_refused():
    with pytest.raises(UnknownNameError, match="did you mean openvino_fp32"):
        float_engines.available("openvino_f32")
