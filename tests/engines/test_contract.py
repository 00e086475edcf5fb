"""Each engine of the table: what any of them owes its caller."""

import os
import subprocess
import sys
import types

import pytest
import torch
from small_network import pixels_of, small

from ptq import engines
from ptq.engines import contract, time_shares
from ptq.graph import UnsupportedError
from ptq.input_checks import InputError
from ptq.quantizer import affine
from ptq.quantizer.quantizing import quantize
from ptq.registry import UnknownNameError


@pytest.fixture(scope="module")
def pixels():
    return pixels_of(70, 3, 16, 16)


@pytest.fixture(scope="module")
def network(pixels):
    return quantize(small(), pixels, normalization=(0.5, 0.5))


@pytest.fixture(params=engines.ENGINES)
def engine(request):
    found = engines.get(request.param)
    if (reason := found.available()) is not True:
        pytest.skip(reason)
    return found


def test_logits_are_those_of_the_simulation(engine, network, pixels):
    before = torch.get_num_threads()
    logits = engine.load(network, threads=1)(pixels)
    assert torch.get_num_threads() == before
    assert logits.dtype == torch.float32 and logits.shape == (70, 10)
    apart = (logits - network(pixels)).abs().max()
    assert apart <= (0 if engine.EXACT else 1.01 * network.grid("fc").scale)


def test_any_number_of_images_as_pixels_or_normalized(
    engine, network, pixels
):
    run = engine.load(network, threads=1)
    assert torch.equal(run(pixels), run(pixels / 255 * 2 - 1))
    assert torch.equal(run(pixels[:1]), run(pixels)[:1])
    given = pixels.clone()
    run(given)
    assert torch.equal(given, pixels)
    for wrong in (pixels[:, :1], pixels[:0], pixels.double()):
        with pytest.raises(UnsupportedError, match="expected"):
            run(wrong)


def test_threads_change_no_code(engine, network, pixels):
    one, two, chosen = (
        engine.load(network, threads=count)(pixels)
        for count in (1, min(2, os.cpu_count()), 0)
    )
    assert torch.equal(one, two) and torch.equal(one, chosen)


def test_threads_without_cores_are_refused(engine, network):
    for count in (os.cpu_count() + 1, 10**9, -1, 1.0, True):
        with pytest.raises(InputError, match=f"^threads={count}: expected"):
            engine.load(network, threads=count)


def test_a_loaded_network_is_a_copy_or_stays_as_it_is(
    engine, network, pixels
):
    before = network(pixels)
    engine.load(network, threads=1)(pixels)
    assert torch.equal(network(pixels), before)


def test_what_ran_is_told(engine, pixels):
    images = pixels / 127.5 - 1
    made = quantize(small(), images, keep_float=["wide"])
    if engine.__name__ == engines.ENGINES["integers"]:
        with pytest.raises(UnsupportedError, match="wide: kept in float"):
            engine.load(made)
        made = quantize(small(), images)
        assert all(r.precision == "integer" for r in engine.load(made).ran)
        return
    ran = {
        one.node: one.precision
        for one in engine.load(made, threads=1).ran
        if one.precision != "conversion"
    }
    assert ran["conv"] == ran["fc"] == "integer"
    in_float = "add" in engine.IN_FLOAT
    assert ran["add"] == ("float" if in_float else "integer")
    assert ran["wide"] == "float"


def test_time_is_told_of_what_runs(engine, network, pixels):
    if not hasattr(engine, "spent"):
        pytest.skip("it tells no time")
    few = pixels[:32]
    kept = quantize(
        *(small(), pixels),
        **{"normalization": (0.5, 0.5), "keep_float": ["conv", "wide"]},
    )
    for made, inside in ((network, "integer"), (kept, "float")):
        spent = engine.spent(made, few)
        assert all(seconds >= 0 for _, seconds in spent)
        precisions = {"conv": inside, "wide": inside, "fc": "integer"}
        ran = {(one.node, one.precision) for one, _ in spent}
        assert set(precisions.items()) <= ran
        for node, precision in precisions.items():
            other = {"integer": "float", "float": "integer"}[precision]
            assert (node, other) not in ran
        name = engine.__name__.rpartition(".")[2]
        found = time_shares.shares(made, few, name)
        assert found.keys() == {one.precision for one, _ in spent}
        assert sum(found.values()) == pytest.approx(1)


def test_rates_are_of_layers_in_integers(engine, pixels):
    if not hasattr(engine, "spent"):
        pytest.skip("it tells no time")
    name = engine.__name__.rpartition(".")[2]
    kept = quantize(
        *(small(), pixels),
        **{"normalization": (0.5, 0.5), "keep_float": ["wide"]},
    )
    rates = time_shares.layer_rates(kept, pixels[:32], name)
    # What the engine's clock is too coarse for has no rate.
    assert set() < rates.keys() <= {"conv", "fc"}
    assert min(rates.values()) > 0


def test_a_rate_is_of_one_call(network, pixels, monkeypatch):
    """An engine that tells of two calls, the first time disturbed."""
    told = iter([4.0, 1.0, 1.0])

    def spent(asked, images):
        seconds = next(told)
        layer = contract.Ran("conv", "kernel", "integer")
        beside = contract.Ran("conv", "copy", "conversion")
        return [(layer, seconds), (layer, seconds), (beside, 9.0)]

    found = types.ModuleType("told")
    found.spent, found.CALLS = spent, 2
    monkeypatch.setitem(sys.modules, "told", found)
    monkeypatch.setitem(engines.ENGINES, "told", "told")
    macs = network.layers()["macs"]["conv"]
    rates = time_shares.layer_rates(network, pixels[:5], "told")
    assert rates == {"conv": pytest.approx(5 * macs)}


def test_two_loads_give_the_same(engine, network, pixels):
    one, two = (engine.load(network, threads=1)(pixels) for _ in range(2))
    assert torch.equal(one, two)


def test_codes_inside_are_those_of_what_runs(engine, network, pixels):
    if not hasattr(engine, "inside"):
        pytest.skip("it tells no codes")
    codes = engine.inside(network)(network.normalized(pixels))
    assert "conv" in codes and codes.keys() <= network.owners.keys()
    for name, found in codes.items():
        grid, (least, most) = network.grid(name), found.int().aminmax()
        assert grid.qmin <= least <= most <= grid.qmax
    logits = engine.load(network, threads=1)(pixels)
    found = affine.dequantize(codes["fc"].int(), network.grid("fc"))
    torch.testing.assert_close(found, logits)


def test_an_unknown_engine_is_refused():
    with pytest.raises(UnknownNameError) as refusal:
        engines.get("tensorrt")
    assert str(refusal.value) == (
        "engine='tensorrt': expected one of " + ", ".join(engines.ENGINES)
    )


def test_the_table_alone_loads_nothing_heavy():
    code = "import sys; from ptq import engines; print(*sys.modules)"
    asked = subprocess.run([sys.executable, "-c", code], capture_output=True)
    loaded = asked.stdout.decode().split()
    assert "ptq.engines" in loaded
    heavy = {"torch", "onnx", "onnxruntime", "openvino"}
    assert not heavy & set(loaded)


@pytest.mark.parametrize(
    ("name", "package", "title"),
    [
        ("onnx_runtime", "onnxruntime", "ONNX Runtime"),
        ("openvino", "openvino", "OpenVINO"),
    ],
)
def test_a_missing_package_is_told(
    monkeypatch, network, name, package, title
):
    monkeypatch.setattr(engines, name, engines.get(name))
    monkeypatch.delitem(sys.modules, engines.ENGINES[name])
    monkeypatch.setitem(sys.modules, package, None)
    engine = engines.get(name)
    reason = f"it needs the package {package}: pip install {package}"
    assert engine.available() == reason
    with pytest.raises(UnsupportedError, match=f"{title}: {reason}"):
        engine.load(network)
