"""The integer engine: what it builds, saves, and computes."""

import pytest
import torch
from torch import nn

from ptq.engines import eager_layers, eager_settings, torch_eager
from ptq.experiment import strategies
from ptq.graph.module_outputs import capture
from ptq.measure import inference
from ptq.networks import recipes
from ptq.networks.compact_cnn import LAYERS
from ptq.quantizer import affine, calibration

MIXED = ["mixed_precision_published", "mixed_precision_folded"]


@pytest.mark.parametrize("name", ["cudnn", "", "X86"])
def test_an_unknown_engine_is_refused(name):
    with pytest.raises(eager_settings.EngineError) as caught:
        eager_settings.select(name)
    for valid in (*eager_settings.available(), "auto"):
        assert valid in str(caught.value)


@pytest.mark.parametrize("name", eager_settings.available())
def test_torch_uses_the_selected_engine(name):
    assert eager_settings.select(name) == name
    assert torch.backends.quantized.engine == name
    assert eager_settings.select("auto") == eager_settings.available()[0]
    assert torch.backends.quantized.engine == eager_settings.available()[0]


@pytest.mark.parametrize("name", eager_settings.available())
def test_every_engine_is_near_the_float_network(
    name, network, images, pixels
):
    eager_settings.select(name)
    found = inference.logits(
        strategies.folded(network, images), pixels, (0.5, 0.5)
    )
    assert (
        affine.sqnr(inference.logits(network, pixels, (0.5, 0.5)), found) > 20
    )


@pytest.mark.parametrize("name", strategies.STRATEGIES)
def test_saved_file_loads_as_the_same_network(
    name, network, images, pixels, tmp_path
):
    built = strategies.build(name, network, images)
    path = tmp_path / f"{name}.pt"
    assert torch_eager.save_state(built, path) == path.stat().st_size
    # Nothing of the trained network may come from elsewhere than the file.
    other = recipes.untrained("compact_cnn", 0)
    blank = strategies.build(name, other, torch.zeros(1, 3, 32, 32))
    loaded = torch_eager.load_state(blank, path)
    assert torch.equal(
        inference.logits(loaded, pixels, (0.5, 0.5)),
        inference.logits(built, pixels, (0.5, 0.5)),
    )
    renamed = tmp_path / "a-much-longer-name.pt"
    torch_eager.save_state(loaded, renamed)
    assert renamed.read_bytes() == path.read_bytes()


@pytest.mark.parametrize("name", strategies.STRATEGIES)
def test_number_of_quantized_layers(name, network, images):
    found = eager_layers.quantized_layers(
        strategies.build(name, network, images)
    )
    bits = strategies.STRATEGIES[name].bits
    assert set(found) == {layer for layer in LAYERS if bits[layer] == 8}
    expected = 0 if name.startswith("fp32") else 3 if "mixed" in name else 4
    assert len(found) == expected


@pytest.mark.parametrize("name", MIXED)
def test_float_region_stays_float(name, network, folded_float, images):
    built = strategies.build(name, network, images)
    convs = [m for m in built.modules() if isinstance(m, nn.Conv2d)]
    source = folded_float if name.endswith("folded") else network
    assert len(convs) == 1
    assert torch.equal(convs[0].weight, source.conv2.weight)
    taken = []
    convs[0].register_forward_hook(lambda *seen: taken.extend(seen[1:]))
    inference.logits(
        built, torch.zeros(1, 3, 32, 32, dtype=torch.uint8), (0.5, 0.5)
    )
    (given,), put_out = taken
    assert given.dtype == put_out.dtype == torch.float32


def test_engine_rounds_weights_as_our_arithmetic(network, images):
    built = strategies.naive(network, images)
    layers = eager_layers.quantized_layers(built)
    assert layers.keys() == set(LAYERS)
    for name, layer in layers.items():
        weight = getattr(network, name).weight.detach()
        grid = affine.symmetric_grid(weight.abs().max())
        codes, scale = eager_layers.weight_codes(layer)
        assert scale == grid.scale
        assert torch.equal(codes.int(), affine.quantize(weight, grid))


def test_engine_uses_the_activation_grids_of_our_arithmetic(network, images):
    scales = eager_layers.activation_scales(strategies.naive(network, images))
    names = ["conv1", "bn1", "conv2", "bn2", "fc1", "fc2"]
    grids = calibration.activation_grids(network, names, images, 127)
    grids["quant"] = grids.pop("input")
    assert scales == {
        name: (float(grid.scale), int(grid.zero_point))
        for name, grid in grids.items()
    }


@pytest.mark.parametrize("name", LAYERS)
def test_pre_activation_is_what_the_layer_rounds(quantized, images, name):
    inside = f"module.{name}"
    x = capture(quantized, [inside], images, at="input")[inside]
    rounded = capture(quantized, [inside], images)[inside]
    scale, zero = eager_layers.activation_scales(quantized)[name]
    # The engine clips to uint8, which with zero point 0 is the fused ReLU.
    expected = eager_layers.pre_activation(
        eager_layers.quantized_layers(quantized)[name], x
    ).clamp(-zero * scale, (255 - zero) * scale)
    assert (rounded - expected).abs().max() < 0.501 * scale


def test_torch_has_more_than_one_default():
    found = eager_settings.defaults()
    assert found["default_qconfig"] == eager_settings.QConfig(bits=7)
    for name, expected in {
        "x86": eager_settings.QConfig(True, 7, "histogram"),
        "onednn": eager_settings.QConfig(True, 8, "histogram"),
        "qnnpack": eager_settings.QConfig(False, 8, "histogram"),
    }.items():
        assert found[f'get_default_qconfig("{name}")'] == expected


def test_default_qconfig_is_what_the_published_strategies_use(
    network, images
):
    plain, ours = (
        eager_layers.activation_scales(
            torch_eager.convert(
                torch_eager.prepare(network, qconfig=qconfig), images
            )
        )
        for qconfig in (None, eager_settings.defaults()["default_qconfig"])
    )
    assert plain == ours
