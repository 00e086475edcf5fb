"""OpenVINO: the book's networks, code for code; what ran, and how."""

from dataclasses import replace

import pytest
import torch
from small_network import pixels_of, small

from ptq.data import image_sets
from ptq.engines import openvino
from ptq.engines.parity import steps_apart
from ptq.graph import UnsupportedError
from ptq.quantizer import affine
from ptq.quantizer.quantizing import quantize

if (reason := openvino.available()) is not True:
    pytest.skip(reason, allow_module_level=True)
# Predictions of the runtime that may differ from the simulation's.
MOST_OTHER = 5 / 10_000

needs_integers = pytest.mark.skipif(
    not openvino.exact(), reason="OpenVINO takes no integers here"
)


@pytest.fixture(scope="module")
def images():
    return pixels_of(32, 3, 16, 16) / 127.5 - 1


@pytest.fixture(scope="module")
def trained(shipped, cifar):
    return quantize(
        shipped, cifar.train_images[:64], normalization=(0.5, 0.5)
    )


def other_predictions(network, pixels):
    """The share of predictions that are not the simulation's."""
    run = openvino.load(network, threads=1, pixels=True)
    with torch.inference_mode():
        wanted = [network(part).argmax(1) for part in pixels.split(250)]
    found = run(pixels).argmax(1)
    return float((torch.cat(wanted) != found).float().mean())


def test_it_predicts_as_the_simulation(trained, cifar):
    assert other_predictions(trained, cifar.test_images[:100]) <= 0.01


@pytest.mark.slow
def test_all_test_images(trained, cifar):
    assert other_predictions(trained, cifar.test_images) <= MOST_OTHER


def test_layer_by_layer(trained, cifar):
    images = image_sets.normalize(cifar.train_images[:64], 0.5, 0.5)
    apart = steps_apart(trained, images, engine="openvino")
    assert max(apart.values()) <= 1 and len(apart) >= 10


@needs_integers
def test_a_trained_network_runs_in_integers_throughout(trained):
    run = openvino.load(trained, threads=1, pixels=True)
    nodes = trained.graph.nodes
    for one in run.ran:
        of_codes = one.precision in ("integer", "conversion")
        assert of_codes or nodes[one.node].op in openvino.IN_FLOAT, one
    kernels = {one.node: one.operator for one in run.ran}
    for layer in trained.integers:
        assert kernels[layer].endswith("_I8"), kernels


@needs_integers
@pytest.mark.parametrize("shipped", ["resnet8"], indirect=True)
def test_codes_around_the_middle_are_signed_and_the_same(shipped, cifar):
    """The first layer reads pixels, another a sum's other side."""
    network = quantize(
        *(shipped, cifar.train_images[:64]),
        **{"normalization": (0.5, 0.5), "on_pixels": True, "symmetric": True},
    )
    middle = {
        n for n, grid in network.grids.items() if grid.zero_point == 128
    }
    assert "input" in middle and len(middle) > 4
    assert network.graph.output not in middle
    run = openvino.load(network, threads=1, pixels=True)
    kernels = [one.operator for one in run.ran if one.precision == "integer"]
    assert kernels[0].endswith("_i8" if openvino.centred() else "_I8")
    with torch.inference_mode():
        wanted = network(cifar.test_images[:200]).argmax(1)
    assert (run(cifar.test_images[:200]).argmax(1) != wanted).sum() <= 1


@pytest.mark.parametrize("bits", [2, 4, 7])
def test_fewer_bits(bits, images):
    made = quantize(small(), images, activation_bits=bits, weight_bits=bits)
    assert max(steps_apart(made, images, engine="openvino").values()) <= 1


@needs_integers
@pytest.mark.parametrize("shipped", ["resnet8"], indirect=True)
def test_fused_sums_have_other_codes_and_no_less_accuracy(trained, cifar):
    images, labels = cifar.test_images[:500], cifar.test_labels[:500]
    with torch.inference_mode():
        wanted = trained.graph(trained.normalized(images))
    found = [
        openvino.load(trained, 1, pixels=True, fuse_sums=fuse)(images)
        for fuse in (False, True)
    ]
    assert not torch.equal(*found)
    apart, fused = ((one - wanted).square().mean().sqrt() for one in found)
    assert fused < apart
    right = [(one.argmax(1) == labels).sum() for one in (wanted, found[1])]
    assert right[1] >= right[0] - 5


@needs_integers
def test_falling_back_to_float_is_an_error(images):
    """A convolution without integers in the file runs in float."""
    made = quantize(small(), images)
    layers = {n: layer for n, layer in made.integers.items() if n != "wide"}
    with pytest.raises(UnsupportedError, match=r"wide \(Convolution .*f32\)"):
        openvino.load(replace(made, integers=layers))


def test_kept_float_is_the_simulation_s(images):
    made = quantize(small(), images, keep_float=["wide"])
    apart = steps_apart(made, images, engine="openvino")
    assert max(apart.values()) <= 1


def test_a_file_of_pixels_has_the_same_codes():
    """All 256 values of a pixel, in each channel."""
    pixels = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16)
    pixels = pixels.expand(2, 3, -1, -1).contiguous()
    made = quantize(
        small(), pixels, normalization=((0.5, 0.4, 0.3), (0.2, 0.25, 0.3))
    )
    found = openvino.inside(made, pixels=True)(pixels)
    wanted = affine.quantize(made.normalized(pixels), made.grid("input"))
    assert torch.equal(found["input"].int(), wanted)
    run = openvino.load(made, threads=1, pixels=True)
    for wrong in (made.normalized(pixels), pixels[:, :1]):
        with pytest.raises(UnsupportedError, match="expected"):
            run(wrong)


def test_its_own_choice_of_fp32_is_not_taken():
    """It takes bfloat16 by itself where the processor has it."""
    core = openvino.core()
    capable = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    settings = openvino.settings(threads=1)
    made = openvino.compiled(_a_file(), settings)
    hint = made.get_property("INFERENCE_PRECISION_HINT")
    assert hint.to_string() == "f32"
    if "BF16" not in capable:
        return
    default = openvino.compiled(_a_file(), {})
    hint = default.get_property("INFERENCE_PRECISION_HINT")
    assert hint.to_string() == "bf16"


def _a_file():
    network = quantize(small(), pixels_of(8, 3, 16, 16) / 127.5 - 1)
    return openvino.onnx_file.float_model(network.graph).SerializeToString()
