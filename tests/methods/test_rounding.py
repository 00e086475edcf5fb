"""Methods of rounding: by hand, against the optimum, on whole networks."""

import copy
from itertools import product

import numpy as np
import pytest
import torch
from small_network import pixels_of, small
from torch import nn

from ptq import graph as graphs
from ptq.engines import integers, onnx_runtime
from ptq.graph import UnsupportedError
from ptq.methods import adaround as ada
from ptq.methods import coordinate_descent as cd
from ptq.methods import gptq, layer_moments, least_error_grids
from ptq.methods.bias_matching import match_means
from ptq.methods.rounding_methods import ROUNDINGS
from ptq.methods.rounding_problems import Problem
from ptq.quantizer import quantizing
from ptq.quantizer.network import QuantizedNetwork

METHODS = {
    "means": match_means,
    "gptq": gptq.gptq,
    "descent": cd.coordinate_descent,
    "adaround": lambda net, images: ada.adaround(net, images, steps=50),
}
SOLVERS = {
    "gptq": gptq.compensated,
    "descent": cd.descended,
    "adaround": ada.learned,
}


def problem(weight, gram, scale=1.0, low=-2, high=1, codes=None):
    """One filter; nearest codes unless there are others."""
    weight, gram = (
        torch.tensor(t, dtype=torch.float64) for t in (weight, gram)
    )
    weight, gram = weight[None, :, None], gram[None]
    scale = torch.full((1, 1, 1), scale, dtype=torch.float64)
    nearest = torch.round(weight / scale).clamp(low, high)
    if codes is not None:
        nearest = torch.tensor(codes).double()[None, :, None]
    return Problem(weight, nearest, scale, low, high, gram, gram @ weight)


def filters(seed, groups=6, k=9, outputs=1, float_target=False):
    """Depthwise filters of neighbouring pixels, which are much alike."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, dtype=torch.float64, generator=generator)

    mixed = normal(groups, 40, k) + 2 * normal(groups, 40, 1)
    gram = mixed.mT @ mixed / 40
    weight = normal(groups, k, outputs)
    scale = 2 * weight.abs().mean(1, keepdim=True)
    pull = gram @ weight
    if float_target:
        pull = pull + 0.3 * normal(groups, k, outputs)
    codes = torch.round(weight / scale).clamp(-2, 1)
    return Problem(weight, codes, scale, -2, 1, gram, pull)


TOGETHER = [[1.0, 0.99], [0.99, 1.0]]


@pytest.mark.parametrize("name", SOLVERS)
def test_by_hand_errors_of_alike_inputs_add_up(name):
    """0.4 + 0.4 is rounded to 0 + 0, though 1 + 0 is nearer."""
    of = problem([0.4, 0.4], TOGETHER)
    assert of.codes.flatten().tolist() == [0, 0]
    codes, scale = SOLVERS[name](of)
    assert sorted(codes.flatten().tolist()) == [0, 1]
    assert of.error(codes, scale) < of.error(of.codes, of.scale) / 5
    if name == "descent":  # the sum is 0.8: so is the scale, nearly
        assert scale.item() == pytest.approx(0.796)


@pytest.mark.parametrize("name", ["gptq", "adaround"])
def test_inputs_that_have_nothing_in_common_are_rounded_nearest(name):
    weight = [0.4, -0.4, 0.7, -1.6]
    of = problem(weight, np.diag([1.0, 5.0, 2.0, 0.1]))
    codes, _ = SOLVERS[name](of)
    assert codes.flatten().tolist() == [0, 0, 1, -2]


def test_descent_may_stand_where_only_two_steps_at_once_help():
    against = [[1.0, -0.9], [-0.9, 1.0]]
    start = problem([0.6, 0.6], against, codes=[0, 0])
    codes, _ = cd.descended(start, sweeps=1)
    assert codes.flatten().tolist() == [0, 0]
    better = torch.ones_like(codes)
    assert start.error(better, start.scale) < start.error(codes, start.scale)


@pytest.mark.parametrize("name", SOLVERS)
def test_codes_of_one_bit_stay_signs(name):
    of = filters(0, float_target=True)
    signs = torch.where(of.weight < 0, -1.0, 1.0).double()
    given = {"codes": signs, "low": -1, "high": 1, "sign": True}
    of = Problem(**vars(of) | given)
    codes, scale = SOLVERS[name](of)
    assert (codes.abs() == 1).all()
    before = of.error(signs, of.scale).sum()
    assert of.error(codes, scale).sum() <= before
    if name == "descent":
        assert of.error(codes, scale).sum() < before


def optimum(of):
    """Least error of each filter at its scale, over all 4^k codes."""
    every = torch.tensor(list(product(range(-2, 2), repeat=9))).double()
    found = []
    for gram, pull, scale in zip(of.gram, of.pull, of.scale, strict=True):
        v = every * scale
        errors = ((v @ gram) * v).sum(1) - 2 * (v @ pull)[:, 0]
        found.append(errors.min())
    return torch.stack(found)


@pytest.mark.parametrize("float_target", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_between_the_optimum_and_nearest_rounding(seed, float_target):
    of = filters(seed, float_target=float_target)
    least = optimum(of)
    nearest = of.error(of.codes, of.scale)[:, 0]
    for name, solve in SOLVERS.items():
        codes, _ = solve(of)
        found = of.error(codes, of.scale)[:, 0]
        assert (found >= least - 1e-9).all(), name
        assert found.sum() < nearest.sum(), name
        gained = (nearest - found).sum() / (nearest - least).sum()
        assert gained > 0.5, (name, gained)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("per_channel", [True, False])
def test_descent_never_makes_the_error_larger(seed, per_channel):
    of = filters(seed, outputs=3, float_target=True)
    if not per_channel:
        scale = of.scale.mean().expand_as(of.scale)
        of = Problem(**vars(of) | {"scale": scale, "per_channel": False})
    errors = [of.error(of.codes, of.scale)]
    for sweeps in range(1, 6):
        codes, scale = cd.descended(of, sweeps)
        assert codes.min() >= -2 and codes.max() <= 1
        errors.append(of.error(codes, scale))
    errors = torch.stack(errors)
    if not per_channel:
        errors = errors.sum((1, 2))
        assert scale.unique().numel() == 1
    assert (errors.diff(dim=0) <= 1e-9).all()
    assert errors[-1].sum() < errors[0].sum()


LAYERS = {
    "grouped": (nn.Conv2d(4, 6, 3, 2, 1, groups=2), (4, 9, 8)),
    "depthwise": (nn.Conv2d(4, 4, 3, padding=1, groups=4), (4, 6, 7)),
    "dilated": (nn.Conv2d(2, 3, (2, 3), dilation=(1, 2)), (2, 8, 8)),
    "1-d": (nn.Conv1d(4, 6, 3, 2, 1, groups=2), (4, 11)),
    "linear": (nn.Linear(5, 3), (5,)),
    "tokens": (nn.Linear(5, 3), (4, 5)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_the_quadratic_form_is_the_variance_of_the_error(name, monkeypatch):
    """Of any filters, on the results that the layer really puts out."""
    monkeypatch.setattr(layer_moments, "MOST_NUMBERS", 500)
    layer, shape = LAYERS[name]
    torch.manual_seed(0)
    exact = torch.randn(20, *shape) + 0.5
    seen = exact + 0.1 * torch.randn_like(exact)
    traced = graphs.trace(nn.Sequential(layer).eval(), exact)
    node = traced.nodes[traced.output]
    weight, _ = traced.filled(node.args[1:3], {})
    with torch.no_grad():
        wanted = layer(exact)
        other = copy.deepcopy(layer)
        other.weight.add_(0.2 * torch.randn_like(weight))
        other.bias.zero_()
        found = other(seen)
    of = layer_moments.moments(node, weight, seen, wanted)
    axis = found.dim() - 1 if isinstance(layer, nn.Linear) else 1
    over = [d for d in range(found.dim()) if d != axis]
    variance = (found - wanted).double().var(over, correction=0)
    v = layer_moments.by_group(other.weight.detach().double(), len(of.xx))
    form = (v * (of.xx @ v - 2 * of.xy)).sum(1).flatten()
    own = wanted.double().var(over, correction=0)
    torch.testing.assert_close(form + own, variance, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(of.y.flatten(), wanted.double().mean(over))


@pytest.fixture(scope="module")
def images():
    return pixels_of(64, 3, 16, 16) / 127.5 - 1


def low(images, bits=3, **choices):
    given = {"weight_bits": bits} | choices
    return quantizing.quantize(small(), images, **given)


def output_error(network, images):
    with torch.no_grad():
        return float(
            (network(images) - network.graph(images)).square().mean()
        )


@pytest.mark.parametrize("channel", [True, False])
def test_least_error_is_least(images, channel):
    before = low(images, per_channel=channel)
    made = least_error_grids.least_error_grids(before)
    for name, layer in made.integers.items():
        weight, _ = made.graph.filled(made.graph.nodes[name].args[1:3], {})
        flat = weight.double().reshape(len(weight) if channel else 1, -1)
        assert (layer.grid.qmin, layer.grid.qmax) == (-4, 3)
        assert layer.codes.min() >= -4 and layer.codes.max() <= 3
        scale = layer.grid.scale.double().reshape(-1, 1)
        codes = layer.codes.reshape(flat.shape)
        found = (codes * scale - flat).square().sum(1)
        for factor in np.linspace(0.3, 3, 200):
            tried = scale * factor
            moved = torch.round(flat / tried).clamp(-4, 3) * tried
            assert ((moved - flat).square().sum(1) >= found * 0.98).all()


def test_least_error_of_the_weights_may_be_more_error_of_the_results():
    """It clips the one weight that matters: it sees no data."""
    weight = torch.tensor([[1.0] + [0.3] * 8]).double()
    codes, scale = least_error_grids.least_error(weight, -1, 1)
    assert codes.flatten().tolist() == [1] * 9
    assert scale.item() == pytest.approx((1 + 8 * 0.3) / 9)
    gram = np.diag([100.0] + [0.01] * 8)
    of = problem(weight[0].tolist(), gram, low=-1)
    assert of.codes.flatten().tolist() == [1] + [0] * 8  # min-max
    fitted = of.error(codes.mT[None], scale[None])
    assert fitted > of.error(of.codes, of.scale)
    _, better = cd.descended(of)
    assert better.item() == pytest.approx(1, abs=0.01)


def layer_means(network, images):
    """Mean results of each layer before its grid: integers', floats'."""
    means = {}

    def integer(node, given):
        if node.name in network.integers:
            found = network.sums(node, given).double().transpose(1, -1)
            found = (found * network.unit(node).double()).flatten(0, -2)
            means[node.name] = [found.mean(0)]
        return network.compute(node, given)

    def exact(node, given):
        result = network.graph.compute(node, given)
        if node.name in means:
            flat = result.double().transpose(1, -1).flatten(0, -2)
            means[node.name].append(flat.mean(0))
        return result

    for visit in (integer, exact):
        network.graph.walk(images, visit)
    return means


@pytest.mark.parametrize("name", METHODS)
def test_mean_results_are_the_float_networks(name, images):
    made = METHODS[name](low(images), images)
    found = layer_means(made, images)
    assert found.keys() == made.integers.keys()
    for layer, (integer, exact) in found.items():
        unit = made.unit(made.graph.nodes[layer])
        apart = (integer - exact).abs()
        assert (apart <= unit * 0.5 + 2e-5).all(), layer


def test_matching_means_does_nothing_where_errors_have_none(images):
    """An image and its negative: whatever is lost comes back."""
    both = torch.cat([images, -images])
    network = nn.Sequential(nn.Flatten(), nn.Linear(768, 4)).eval()
    before = quantizing.quantize(network, both, weight_bits=2)
    after = match_means(before, both)
    (old,), (new,) = (n.integers.values() for n in (before, after))
    assert torch.equal(old.codes, new.codes)
    assert (old.bias - new.bias).abs().max() <= 1


@pytest.mark.parametrize("bits", [2, 3, 4])
def test_each_method_is_better_than_what_it_starts_from(bits, images):
    start = low(images, bits)
    errors = {"nearest": output_error(start, images)}
    for name, method in METHODS.items():
        errors[name] = output_error(method(start, images), images)
    assert errors["gptq"] < errors["means"] < errors["nearest"], errors
    assert errors["descent"] < errors["means"], errors


@pytest.mark.parametrize("name", METHODS)
def test_the_argument_stays_and_the_result_is_the_same_again(name, images):
    start = low(images, activation_bits=4)
    saved = copy.deepcopy(start)
    state = torch.get_rng_state()
    first, second = (METHODS[name](start, images) for _ in range(2))
    assert torch.equal(torch.get_rng_state(), state)
    for layer, was in saved.integers.items():
        now = start.integers[layer]
        assert torch.equal(now.codes, was.codes)
        assert torch.equal(now.bias, was.bias)
        assert torch.equal(now.grid.scale, was.grid.scale)
        one, other = first.integers[layer], second.integers[layer]
        assert torch.equal(one.codes, other.codes)
        assert torch.equal(one.bias, other.bias)
        assert one.codes.dtype == torch.int8
        assert one.bias.dtype == torch.int32
    assert torch.equal(first(images), second(images))


def test_pixels_are_as_good_as_normalized_images():
    pixels = pixels_of(32, 3, 16, 16)
    start = low(pixels, normalization=(0.5, 0.5))
    first, second = (
        gptq.gptq(start, given) for given in (pixels, pixels / 127.5 - 1)
    )
    assert torch.equal(first(pixels), second(pixels))


def test_layers_in_float_are_left_alone(images):
    start = low(images, keep_float=["wide"])
    made = cd.coordinate_descent(start, images)
    assert set(made.integers) == {"conv", "fc"}
    assert output_error(made, images) < output_error(start, images)


def test_channels_without_weights_and_inputs_that_are_zero(images):
    network = small()
    with torch.no_grad():
        network.wide.weight[3] = 0
        network.bn.bias[2] = -100  # never above zero behind ReLU
    start = quantizing.quantize(network, images, weight_bits=3)
    start = least_error_grids.least_error_grids(start)
    for name, method in METHODS.items():
        made = method(start, images)
        assert torch.isfinite(made(images)).all(), name
        assert not made.integers["wide"].codes[3].any(), name


@pytest.mark.skipif(
    onnx_runtime.available() is not True, reason="needs ONNX Runtime"
)
def test_engines_run_what_was_rounded(images):
    start = least_error_grids.least_error_grids(low(images, 4))
    made = gptq.gptq(start, images)
    assert made.integers["wide"].codes.min() == -8
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten())
    start = quantizing.quantize(network.eval(), images, weight_bits=4)
    plain = gptq.gptq(least_error_grids.least_error_grids(start), images)
    step = float(plain.grid(plain.graph.output).scale)
    for engine in (integers, onnx_runtime):
        found = engine.load(plain)(images)
        assert (found - plain(images)).abs().max() <= step * 1.01


def test_a_rounded_layer_that_outgrows_its_sums_is_refused():
    """Grids of least error clip: codes, and so sums, become larger."""
    network = nn.Linear(100_000, 1).eval()
    with torch.no_grad():
        network.weight.copy_(torch.linspace(0.15, 0.2, 100_000)[None])
        network.weight[0, 0] = 0.3
    made = quantizing.quantize(network, torch.rand(4, 100_000))
    with pytest.raises(UnsupportedError, match="sums may need more than 32"):
        least_error_grids.least_error_grids(made)


def test_codes_wider_than_a_byte_keep_their_fine_steps(images):
    """Their biases have room beyond 31 bits, so no step is made wider."""
    start = low(images, 16, activation_bits=16)
    for method in METHODS.values():
        made = method(start, images)
        for name, layer in made.integers.items():
            before = start.integers[name].grid.scale
            assert (layer.grid.scale <= before * 1.001).all(), name


def test_named_methods_begin_on_grids_of_least_error(images):
    """From any network of few bits; each is better than the nearest."""
    start = low(images, 2)
    errors = {}
    for name, method in ROUNDINGS.items():
        made = method.run(start, images)
        assert made.integers["wide"].grid.qmin == -2, name
        errors[name] = output_error(made, images)
    assert min(errors, key=errors.get) in ("descent", "adaround")
    assert max(errors, key=errors.get) == "nearest"


def test_three_values_hold_zeros_that_two_cannot():
    """By hand: 1, 0, 0, 0 are codes of three values; signs leave 0.75."""
    weight, gram = [1.0, 0.0, 0.0, 0.0], np.eye(4)
    three = problem(weight, gram, low=-1)
    codes, scale = cd.descended(three)
    assert codes.flatten().tolist() == weight and scale.item() == 1
    assert 1 + three.error(codes, scale).item() == 0
    two = problem(weight, gram, low=-1, codes=[1, 1, 1, 1])
    two = Problem(**vars(two) | {"sign": True})
    codes, scale = cd.descended(two)
    assert codes.flatten().tolist() == [1] * 4 and scale.item() == 0.25
    assert 1 + two.error(codes, scale).item() == 0.75


def test_a_network_of_three_values_is_a_file(images, tmp_path):
    start = least_error_grids.least_error_grids(low(images, 2), False)
    made = cd.coordinate_descent(start, images)
    codes = [layer.codes.unique() for layer in made.integers.values()]
    assert all(found.tolist() == [-1, 0, 1] for found in codes)
    packed, coded = (made.save(tmp_path / "n", coded=c) for c in (0, 1))
    assert coded < packed
    loaded = QuantizedNetwork.load(tmp_path / "n")
    assert torch.equal(loaded(images), made(images))
