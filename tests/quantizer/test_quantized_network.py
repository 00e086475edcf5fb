"""A quantized network as data: made, shown, copied, saved, and exact."""

import copy
import math

import numpy as np
import pytest
import torch
from small_network import NORMALIZATIONS, Small, pixels_of, small
from torch import nn
from traps import Call

from ptq.graph import UnsupportedError
from ptq.quantizer import activation_grids, affine, quantizing
from ptq.quantizer.network import QuantizedNetwork
from ptq.quantizer.quantizing import quantize
from ptq.registry import UnknownNameError


@pytest.fixture(scope="module")
def pixels():
    return pixels_of(32, 3, 16, 16)


@pytest.fixture(scope="module")
def images(pixels):
    return pixels / 127.5 - 1


@pytest.fixture(scope="module")
def network(images):
    return quantize(small(), images)


def test_sums_and_codes_are_exact_integers(network, images):
    """The first layer again, by int64 numpy and one float64 multiplier."""
    node, layer = network.graph.nodes["conv"], network.integers["conv"]
    grid, result = network.grid("input"), network.grid("conv")
    x = np.rint(images.double().numpy() / float(grid.scale)).astype(np.int64)
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (2, 3))
    windows = windows[:, :, ::2, ::2]
    sums = np.einsum(
        "nchwij,ocij->nohw", windows, layer.codes.numpy().astype(np.int64)
    )
    sums += layer.bias.numpy()[None, :, None, None]
    seen = {}

    def visit(visited, given):
        if visited is node:
            seen["sums"] = network.sums(node, given)
        seen[visited.name] = network.compute(visited, given)
        return seen[visited.name]

    network.graph.walk(images, visit)
    assert np.array_equal(seen["sums"].numpy(), sums)
    unit = layer.grid.scale.double() * float(grid.scale)
    exact = sums * (unit / float(result.scale)).numpy()[None, :, None, None]
    codes = np.rint(exact) + int(result.zero_point)
    right = (
        codes.clip(0, 255) - int(result.zero_point)
    ) * result.scale.item()
    near_tie = np.abs(exact - np.floor(exact) - 0.5) < 1e-4
    wrong = np.abs(seen["conv"].numpy() - right) > 1e-5
    assert not (wrong & ~near_tie).any() and near_tie.mean() < 1e-3


def test_biases_are_whole_units_of_both_scales(network):
    layer, node = network.integers["fc"], network.graph.nodes["fc"]
    _, bias = network.graph.filled(node.args[1:3], {})
    unit = network.unit(node)
    assert layer.bias.dtype == torch.int32
    assert (layer.bias * unit - bias).abs().le(unit / 2 * 1.001).all()


def test_placement(network):
    owners = network.owners
    # BN and ReLU are one with the convolution; SiLU is in float.
    clamp = next(n for n in network.graph.nodes.values() if n.op == "clamp")
    assert owners["conv"] == owners[clamp.name] == clamp.name
    assert int(network.grid("conv").zero_point) == 0
    assert owners["pool"] == "pool" and owners["wide"] == "wide"
    moved = next(n for n in network.graph.nodes.values() if n.op == "reshape")
    assert network.grid(moved.name) is network.grid("pool")
    assert list(network.in_float()) == ["act"]


def test_a_relu_with_a_second_reader_beside_it_is_not_fused(images):
    class Both(Small):
        def forward(self, x):
            x = self.bn(self.conv(x))
            x = x.relu() + x
            return self.fc(self.pool(x).flatten(1))

    made = quantize(Both().eval(), images)
    clamp = next(n for n in made.graph.nodes.values() if n.op == "clamp")
    assert made.owners["conv"] == "conv" == made.owners[clamp.name]
    assert int(made.grid("conv").zero_point) > 0


def test_the_given_network_is_left_alone(images):
    network = small().train()
    before = copy.deepcopy(network.state_dict())
    first = quantize(network, images)
    assert network.training
    after = network.state_dict()
    assert all(torch.equal(after[n], t) for n, t in before.items())
    assert torch.equal(
        first(images), quantize(network.eval(), images)(images)
    )


def test_one_image_as_in_a_batch(network, images):
    whole = network(images)
    single = torch.cat([network(image[None]) for image in images])
    assert torch.equal(whole, single)


@pytest.mark.parametrize(("channels", "size"), [(1, (31, 45)), (4, (17, 9))])
def test_other_channels_and_odd_sizes(channels, size):
    images = pixels_of(16, channels, *size) / 127.5 - 1
    made = quantize(small(channels), images)
    assert made(images).shape == (16, 10)
    with pytest.raises(UnsupportedError, match=rf"expected \(N, {channels},"):
        made(images[:, :, 1:])


def test_fewer_bits_cost_more(images):
    network = small()
    with torch.no_grad():
        want = network(images)

    def error(**bits):
        got = quantize(network, images, **bits)(images)
        return float((got - want).square().mean())

    for kind in ("weight_bits", "activation_bits"):
        errors = [error(**{kind: bits}) for bits in (8, 6, 4, 2)]
        assert errors == sorted(errors) and math.isfinite(errors[-1])


@pytest.mark.parametrize("observer", activation_grids.OBSERVERS)
def test_observers(observer, images):
    made = quantize(small(), images, observer=observer, activation_bits=4)
    widest = quantize(small(), images, activation_bits=4)
    for name, grid in made.grids.items():
        assert grid.scale <= widest.grids[name].scale * 1.001


def test_least_error_is_least(images):
    """No other share of the range has less error on these images."""
    network = small()
    graph = quantize(network, images).graph
    seen = {}

    def visit(node, given):
        seen[node.name] = graph.compute(node, given)
        return seen[node.name]

    graph.walk(images, visit)
    values = seen["wide"]

    def error(low, high):
        step = (high - low) / 15
        zero = torch.round(-low / step)
        codes = (torch.round(values / step) + zero).clamp(0, 15)
        return float(((codes - zero) * step - values).square().mean())

    made = quantize(network, images, observer="mse", activation_bits=4)
    grid = made.grid("wide")
    low = (0 - grid.zero_point) * grid.scale
    found = error(low, low + 15 * grid.scale)
    tried = [
        error(values.min() * share, values.max() * share)
        for share in torch.linspace(0.2, 1, 17)
    ]
    assert found <= min(tried) * 1.02


def test_keep_float(images):
    made = quantize(small(), images, keep_float=["conv", "add"])
    assert set(made.integers) == {"wide", "fc"}
    assert set(made.in_float()) == {"conv", "add", "act"}
    assert made.layers().loc["conv", "bits"] == 32
    names = ["conv", "act", "wide", "add", "pool", "fc"]
    everything = quantize(small(), images, keep_float=names)
    with torch.no_grad():
        want = small()(images)
    apart = (everything(images) - want).abs().max()
    # The input and the logits still lie on grids of 8 bits.
    assert apart < 3 * everything.grid("fc").scale


def test_table(network):
    table = network.layers()
    assert list(table.index) == ["conv", "wide", "fc"]
    macs = [3 * 8 * 9 * 64, 8 * 8 * 9 * 64, 72 * 10]
    assert table.macs.tolist() == macs
    assert table.bytes.tolist() == [216 + 32, 576 + 32, 720 + 40]
    assert table.macs_share.sum() == pytest.approx(1)
    assert "act: silu, small_network.py:" in str(network)


def test_narrow_branches_are_named(images):
    class Wide(Small):
        def forward(self, x):
            x = self.bn(self.conv(x))
            x = torch.cat([50 * self.wide(x)[:, :4], x[:, :4]], 1)
            return self.fc(self.pool(x).flatten(1))

    made = quantize(Wide().eval(), images)
    ((name, text),) = made.narrow_branches().items()
    assert name == "part@2" and "of 256 codes in cat" in text


def test_pixels_or_normalized_images(pixels, images):
    given = {"normalization": (0.5, 0.5)}
    made = quantize(small(), pixels, **given)
    assert torch.equal(made(pixels), made(pixels / 255 * 2 - 1))
    with pytest.raises(UnsupportedError, match="uint8: expected float32"):
        quantize(small(), images)(pixels)


def pixels_as_floats(images):
    return images * 127.5 + 127.5


def shares(images):
    return images / 2 + 0.5


@pytest.mark.parametrize(
    "change", [pixels_as_floats, shares, lambda x: 2 * x]
)
def test_images_of_another_range_are_noticed(change, network, images):
    with pytest.warns(UserWarning, match="are they normalized as those"):
        network(change(images))


@pytest.mark.parametrize("asked", [lambda x: x, shares, lambda x: 2.5 * x])
def test_images_of_a_far_smaller_range_are_noticed(asked, images):
    """All of them would fall on a few of 256 codes."""
    made = quantize(small(), pixels_as_floats(images))
    with pytest.warns(UserWarning, match="are they normalized as those"):
        made(asked(images))


@pytest.mark.filterwarnings("error")
def test_images_of_one_colour_are_images(network, images):
    network(torch.full_like(images[:1], -0.5))
    network(images[:1] / 10)


@pytest.mark.parametrize("change", [pixels_as_floats, shares])
def test_calibration_of_another_range_is_noticed(change, images):
    with pytest.warns(UserWarning, match="are they normalized as those"):
        quantize(small(), change(images), normalization=(0.5, 0.5))


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"weight_bits": 17}, "weight_bits=17: expected a whole number"),
        ({"activation_bits": 0}, "activation_bits=0: .*number from 1 to 16"),
        ({"weight_bits": 8.0}, "weight_bits=8.0: expected a whole number"),
        ({"weight_bits": True}, "weight_bits=True: expected a whole number"),
        ({"activation_bits": {"conv": 4.0}}, "activation_bits=4.0: expected"),
        ({"weight_bits": {3: 8}}, "weight_bits for 3: .*none of this name"),
        ({"per_channel": "no"}, "per_channel='no': expected True or False"),
        ({"symmetric": None}, "symmetric=None: expected True or False"),
        ({"on_pixels": 2}, "on_pixels=2: expected True or False"),
        ({"keep_float": None}, "keep_float: None is no name"),
        ({"keep_float": ["conv", 3]}, "keep_float: 3 is no name"),
        ({"keep_float": ["covn"]}, "keep_float='covn'.*near are conv"),
        ({"keep_float": "bn"}, "keep_float='bn'.*after folding"),
    ],
)
def test_refused_choices(choice, message, images):
    with pytest.raises(UnsupportedError, match=message):
        quantize(small(), images, **choice)


def test_an_observer_is_a_name(images):
    with pytest.raises(UnknownNameError, match=r"observer=\['mse'\]: expect"):
        quantize(small(), images, observer=["mse"])


def test_bits_may_be_integers_of_numpy(images):
    bits = {"weight_bits": np.int64(4), "activation_bits": np.uint8(8)}
    made = quantize(small(), images, **bits, per_channel=np.True_)
    want = quantize(small(), images, weight_bits=4)
    assert torch.equal(made(images), want(images))


def test_functions_without_a_rule_are_named_or_kept(images):
    network = small()
    network.act = Call(torch.sin)
    with pytest.raises(UnsupportedError, match=r"act.sin \(traps.py:"):
        quantize(network, images)
    made = quantize(network, images, keep_float=["act"])
    assert "kept by request" in made.in_float()["act.sin"]


def test_no_images(network, images):
    with pytest.raises(UnsupportedError, match="with N at least 1"):
        network(images[:0])


def test_refused_images(images):
    for change in (lambda x: x[:0], lambda x: x.log()):
        with pytest.raises(UnsupportedError, match="images"):
            quantize(small(), change(images))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: x.to_sparse(), "images are sparse"),
        (lambda x: x.to("meta"), "images are .*not on the CPU"),
        (lambda x: x.numpy(), "images are a ndarray"),
        (lambda x: None, "images are a NoneType"),
        (lambda x: x.double(), "images are float64: expected float32"),
        (lambda x: (x * 9).byte(), r"uint8: expected .*normalization=\(mean"),
    ],
)
def test_refused_kinds_of_images(change, message, network, images):
    """By all who take images, also with a graph or a normalization."""
    pixels = {} if "uint8" in message else {"normalization": (0.5, 0.5)}
    for given in (small(), network.graph):
        with pytest.raises(UnsupportedError, match=message):
            quantize(given, change(images), **pixels)
    with pytest.raises(UnsupportedError, match=message.partition(".*")[0]):
        network(change(images))


@pytest.mark.parametrize(("mean", "std"), NORMALIZATIONS)
@pytest.mark.parametrize("bits", [8, 7, 4])
def test_no_pixel_is_a_tie_on_the_input_grid(mean, std, bits):
    pixels = np.arange(256)[:, None] / 255
    points = (pixels - np.array(mean)) / np.array(std)
    points = np.unique(points.astype(np.float32))
    grid = activation_grids.input_grid(torch.from_numpy(points), bits)
    steps = points.astype(np.float64) / float(grid.scale)
    assert np.abs(steps % 1 - 0.5).min() > 5e-4
    codes = np.rint(steps) + int(grid.zero_point)
    assert codes.min() >= 0 and codes.max() <= 2**bits - 1
    # Hardly a step wider than the widest grid without clipping.
    assert np.ptp(codes) >= (2**bits - 1) * 0.9


@pytest.mark.parametrize("bits", [2, 8, 12])
def test_a_balanced_range_has_zero_in_the_middle(bits):
    """And no more of it is left out than before."""
    for low, high in ((-1.0, 3.0), (-3.0, 1.0), (-2.0, 0.0)):
        ends = activation_grids.balanced(
            torch.tensor(low), torch.tensor(high), bits
        )
        grid = affine.affine_grid(*ends, 0, 2**bits - 1)
        assert grid.zero_point == 2 ** (bits - 1)
        least, most = affine.ends(grid)
        assert least <= low + 1e-6 and most >= high - 1e-6
        assert least == pytest.approx(low) or most == pytest.approx(high)
    only = torch.tensor(0.0), torch.tensor(3.0)
    assert activation_grids.balanced(*only, bits) == only


def test_symmetric_leaves_logits_and_pixels(images):
    pixels = pixels_of(8, 3, 16, 16)
    asked = {"normalization": (0.47, 0.25), "symmetric": True}
    plain = quantize(small(), pixels, **asked)
    codes = quantize(
        small(), pixels, **asked | {"normalization": (0.5, 0.25)}, on_pixels=1
    )
    usual = quantize(small(), pixels, normalization=(0.47, 0.25))
    assert plain.grid("input").zero_point == 128
    assert usual.grid("input").zero_point != 128
    output = plain.graph.output
    assert plain.grid(output) == usual.grid(output)
    found = affine.quantize(codes.normalized(pixels), codes.grid("input"))
    assert torch.equal(found, pixels.int())
    assert codes.grid("input").zero_point == 128


def test_input_grid_of_the_book():
    points = torch.arange(256) / 127.5 - 1
    grid = activation_grids.input_grid(points)
    assert grid.scale == torch.tensor(1 / 127) and grid.zero_point == 127
    # The min-max grid has each of the 256 pixels halfway between two codes.
    halfway = (torch.arange(256).double() * 2 / 255 - 1) / (2 / 255) % 1
    assert (halfway - 0.5).abs().max() < 1e-9


def test_copy_is_another_network(network, images):
    before, other = network(images), network.copy()
    other.integers["fc"].codes.zero_()
    other.grids["pool"].scale.mul_(2)
    for constant in other.graph.constants.values():
        constant.zero_()
    assert torch.equal(network(images), before)
    assert not torch.equal(other(images), before)


def test_constant_results_have_a_grid(images):
    network = small()
    network.act = Call(lambda x: x.relu() * 0.0)
    made = quantize(network, images)
    assert all(grid.scale > 0 for grid in made.grids.values())
    assert torch.isfinite(made(images)).all()


def test_sums_beyond_32_bits_are_refused():
    """70,000 codes of 127 times 255, if all agree, are too much."""
    images = torch.zeros(2, 70_000)
    images[0] = 1.0
    network = nn.Sequential(nn.Linear(70_000, 2, bias=False))
    with torch.no_grad():
        network[0].weight.fill_(1.0)
    with pytest.raises(UnsupportedError, match="0: its sums may need more"):
        quantize(network, images)
    made = quantize(network, images, weight_bits=7)
    assert made(images)[0, 0] == pytest.approx(70_000, rel=0.01)


@pytest.mark.parametrize(
    ("factors", "message"),
    [
        # By what the initial weights are, its results are too small, too.
        ((1, 1e-22), "2(: its largest weight is| puts out)"),
        ((1e-22, 1), "0 puts out"),
    ],
)
def test_numbers_too_small_for_a_scale_are_refused(factors, message, images):
    network = nn.Sequential(
        *(nn.Conv2d(3, 8, 3, bias=False), nn.Flatten()),
        *(nn.Linear(1568, 2), nn.Softmax(1)),
    )
    with torch.no_grad():
        for layer, factor in zip(network[::2], factors, strict=False):
            layer.weight.mul_(factor)
    with pytest.raises(UnsupportedError, match=message):
        quantize(network, images)


def test_networks_without_layers_are_told_too(images):
    assert "No integer arithmetic" in str(quantize(nn.MaxPool2d(2), images))


def test_branches_in_float_are_told_too(images):
    def both(x):
        return torch.cat([torch.sigmoid(x), torch.tanh(x)], 1)

    network = nn.Sequential(Call(both), nn.Conv2d(6, 2, 1))
    kept = [n for n in quantize(network, images).graph.nodes if "cat" in n]
    made = quantize(network, images, keep_float=kept)
    assert all(name in str(made) for name in kept)


def test_bits_by_layer_and_by_result(images, tmp_path):
    made = quantize(
        small(),
        images,
        weight_bits={"wide": 4, "fc": 2},
        activation_bits={"pool": 3},
    )
    table = made.layers()
    assert table.bits.to_dict() == {"conv": 8, "wide": 4, "fc": 2}
    assert table.input_bits.to_dict() == {"conv": 8, "wide": 8, "fc": 3}
    assert table.bytes["fc"] == 720 * 2 / 8 + 40
    made.save(tmp_path / "a.ptq")
    loaded = QuantizedNetwork.load(tmp_path / "a.ptq")
    assert loaded.layers().equals(table)
    assert torch.equal(loaded(images), made(images))


def test_inner_bits_leave_the_first_and_the_last_layer(network, images):
    given = quantizing.inner_bits(network, 3, 4)
    table = quantize(small(), images, **given).layers()
    assert table.bits.to_dict() == {"conv": 8, "wide": 3, "fc": 8}
    assert table.input_bits.to_dict() == {"conv": 8, "wide": 4, "fc": 8}


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"weight_bits": {"wid": 4}}, "weight_bits for 'wid'.*near are wide"),
        ({"weight_bits": {"act": 4}}, "weight_bits for 'act'.*none of this"),
        ({"activation_bits": {"poo": 4}}, "activation_bits.*near are pool"),
        ({"weight_bits": {"fc": 40}}, "weight_bits=40: expected"),
    ],
)
def test_refused_bits_by_name(choice, message, images):
    with pytest.raises(UnsupportedError, match=message):
        quantize(small(), images, **choice)
