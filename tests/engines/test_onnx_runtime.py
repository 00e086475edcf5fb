"""ONNX Runtime: the book's networks, code for code; what ran, and how."""

from dataclasses import replace

import onnx
import pytest
import torch
from small_network import NORMALIZATIONS, Small, pixels_of, small
from torch.nn import functional as F
from traps import Call

from ptq.data import image_sets
from ptq.engines import onnx_file, onnx_runtime
from ptq.engines.parity import steps_apart
from ptq.graph import UnsupportedError
from ptq.quantizer import affine
from ptq.quantizer.quantizing import quantize

# INT8 may cost this many points of accuracy, per channel.
MOST_LOST = 0.3
# Predictions of the runtime that may differ from the simulation's.
MOST_OTHER = 5 / 10_000


@pytest.fixture(scope="module")
def images():
    return pixels_of(32, 3, 16, 16) / 127.5 - 1


def predictions(network, images):
    with torch.inference_mode():
        found = [network(batch).argmax(1) for batch in images.split(250)]
    return torch.cat(found)


def compare(shipped, cifar, count, calibration, per_channel):
    """Predictions in float, simulated, by the runtime; and the labels."""
    calibration = image_sets.normalize(
        cifar.train_images[:calibration], 0.5, 0.5
    )
    network = quantize(shipped, calibration, per_channel=per_channel)
    run = onnx_runtime.load(network, threads=1)
    images = image_sets.normalize(cifar.test_images[:count], 0.5, 0.5)
    assert {one.precision for one in run.ran} == {"integer", "conversion"}
    return (
        *(predictions(n, images) for n in (shipped, network, run)),
        cifar.test_labels[:count],
    )


@pytest.mark.parametrize("per_channel", [True, False])
def test_runtime_predicts_as_the_simulation(shipped, cifar, per_channel):
    _, simulated, ran, _ = compare(shipped, cifar, 100, 64, per_channel)
    assert (simulated != ran).sum() <= 1


@pytest.mark.slow
@pytest.mark.parametrize("per_channel", [True, False])
def test_all_test_images(shipped, cifar, per_channel):
    exact, simulated, ran, labels = compare(
        shipped, cifar, 10_000, 512, per_channel
    )
    assert (simulated != ran).float().mean() <= MOST_OTHER
    right = [float((p == labels).float().mean()) for p in (exact, ran)]
    if per_channel:
        assert 100 * (right[0] - right[1]) <= MOST_LOST


def test_layer_by_layer(shipped, cifar):
    images = image_sets.normalize(cifar.train_images[:64], 0.5, 0.5)
    apart = steps_apart(quantize(shipped, images), images)
    assert max(apart.values()) <= 1 and len(apart) >= 10


@pytest.mark.parametrize("bits", [2, 3, 4, 5, 6, 7])
def test_fewer_bits(bits, images):
    made = quantize(small(), images, activation_bits=bits, weight_bits=bits)
    run = onnx_runtime.load(made, threads=1)
    assert max(steps_apart(made, images).values()) <= 1
    step = made.grid("fc").scale
    assert (run(images) - made(images)).abs().max() <= 1.01 * step


def operators_of(run):
    """The first operator of each node that is no conversion."""
    found = {}
    for one in run.ran:
        if one.precision != "conversion":
            found.setdefault(one.node, one.operator)
    return found


def test_what_ran_is_listed(images):
    run = onnx_runtime.load(quantize(small(), images), threads=1)
    operators = operators_of(run)
    assert operators["conv"] == operators["wide"] == "QLinearConv"
    assert operators["add"] == "QLinearAdd" and operators["fc"] == "QGemm"
    in_float = {one.node for one in run.ran if one.precision == "float"}
    assert in_float == {"act"}


def test_kept_float_runs_in_float(images):
    """ONNX Runtime would quantize its weights by itself, without a word."""
    made = quantize(small(), images, keep_float=["wide"])
    run = onnx_runtime.load(made, threads=1)
    assert operators_of(run)["wide"] == "Conv"
    assert "QLinearConv" not in {
        o.operator for o in run.ran if o.node == "wide"
    }
    assert max(steps_apart(made, images).values()) <= 1


MIDDLES = {
    "sine": torch.sin,
    "rounded": torch.round,
    "larger": lambda x: torch.maximum(x, x.flip(3)),
    "CELU": lambda x: F.celu(x, 0.7),
    "average": lambda x: F.avg_pool2d(x, 2),
    "uneven": lambda x: F.adaptive_avg_pool2d(x, 5),
    "global": lambda x: x * x.mean((2, 3), keepdim=True),
    "sum": lambda x: x + x.flip(3),
    "joined": lambda x: torch.cat([x, x.flip(3)], 2),
    "sigmoid": torch.sigmoid,
    "leaky": F.leaky_relu,
    "softmax": lambda x: x.softmax(1),
    "rows": lambda x: F.linear(x, torch.eye(8)[:, :8] / 3),
}


@pytest.mark.parametrize("name", MIDDLES)
def test_whatever_is_kept_between_codes_runs_in_float(name, images):
    class Chain(Small):
        def forward(self, x):
            x = self.wide(self.act(self.conv(x)))
            return self.fc(self.pool(x).flatten(1))

    network = Chain()
    network.act = Call(MIDDLES[name])
    made = quantize(network, images, keep_float=["act"])
    run = onnx_runtime.load(made, threads=1)
    assert made.kept
    inside = [one for one in run.ran if one.node in made.kept]
    assert "float" in {one.precision for one in inside}
    # Slices and the like may pick codes before they are numbers.
    assert not [o for o in inside if o.operator.startswith(("QL", "QG"))]
    assert max(steps_apart(made, images).values()) <= 1


def test_what_only_moves_values_cannot_be_kept(images):
    network = small()
    network.act = torch.nn.MaxPool2d(3, 1, 1)
    with pytest.raises(UnsupportedError, match="'act': max_pool only moves"):
        quantize(network, images, keep_float=["act"])


def test_falling_back_to_float_is_an_error(images):
    """A convolution without integers in the file runs in float."""
    made = quantize(small(), images)
    layers = {n: layer for n, layer in made.integers.items() if n != "wide"}
    with pytest.raises(UnsupportedError, match=r"wide \(.*Conv\) in float"):
        onnx_runtime.load(replace(made, integers=layers))


@pytest.mark.parametrize("bits", [8, 7, 4])
@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_a_file_of_pixels_has_the_same_codes(normalization, bits):
    """All 256 values of a pixel, in each channel."""
    pixels = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16)
    pixels = pixels.expand(2, 3, -1, -1).contiguous()
    made = quantize(
        small(), pixels, normalization=normalization, activation_bits=bits
    )
    normalized, plain = made.normalized(pixels), made.grid("input")
    codes = onnx_runtime.inside(made)(normalized)["input"]
    # Where each pixel is its own code, the file has no others.
    found = onnx_runtime.inside(made, pixels=True)(pixels)
    found = found.get("input", pixels)
    assert torch.equal(codes, found)
    assert torch.equal(found.int(), affine.quantize(normalized, plain))
    float_file, pixel_file = (
        onnx_runtime.load(made, threads=1, pixels=pixels)
        for pixels in (False, True)
    )
    assert torch.equal(float_file(normalized), pixel_file(pixels))
    with pytest.raises(UnsupportedError, match="expected uint8"):
        pixel_file(normalized)
    with pytest.raises(UnsupportedError, match="images have shape"):
        pixel_file(pixels[:, :1])


def test_pixels_need_a_normalization(images):
    with pytest.raises(UnsupportedError, match="knows no normalization"):
        onnx_file.model(quantize(small(), images), pixels=True)


def test_file_is_plain_onnx(images, tmp_path):
    """Opset 17, uint8 and int8 codes, int32 biases, scales without shape."""
    made = quantize(small(), images, per_channel=False)
    model = onnx_file.model(made)
    assert model.opset_import[0].version == 17
    tensors = {t.name: t for t in model.graph.initializer}
    kinds = onnx.TensorProto
    assert tensors["conv/weight/codes"].data_type == kinds.INT8
    assert tensors["conv/bias/codes"].data_type == kinds.INT32
    assert tensors["pool/zero_point"].data_type == kinds.UINT8
    scales = [t for name, t in tensors.items() if name.endswith("/scale")]
    assert scales and not any(list(t.dims) for t in scales)


def test_functions_that_onnx_lacks_are_named(images):
    network = small()
    network.act = Call(torch.erfinv)
    network.bn.weight.data.mul_(0.01)  # into its domain
    made = quantize(network, images, keep_float=["act"])
    with pytest.raises(UnsupportedError, match=r"act.erfinv .*no ONNX oper"):
        onnx_file.model(made)


def test_a_linear_network_of_rows(images):
    class Rows(Small):
        def forward(self, x):
            x = self.bn(self.conv(x)).relu().flatten(2)
            return self.head(x).relu().mean(1)

    network = Rows()
    network.head = torch.nn.Linear(64, 10)
    network.bn.running_mean.normal_()
    made = quantize(network, images)
    run = onnx_runtime.load(made, threads=1)
    assert "QGemm" in {one.operator for one in run.ran if one.node == "head"}
    assert max(steps_apart(made, images).values()) <= 1
    macs = made.layers().macs["head"]
    assert macs == 8 * 64 * 10  # a row for each of eight channels


def test_nothing_is_computed_in_vain(shipped, cifar):
    """Each result in the file is read; each real one by who needs it."""
    made = quantize(
        shipped, cifar.train_images[:64], normalization=(0.5, 0.5)
    )
    for pixels in (False, True):
        graph = onnx_file.model(made, pixels).graph
        read = {name for node in graph.node for name in node.input}
        for node in graph.node:
            assert set(node.output) <= read | {"logits"}, node.name
        assert {tensor.name for tensor in graph.initializer} <= read
