"""The noise budget against simulation, the shipped network, and faults."""

import copy
import math

import pytest
import torch
from torch import nn

from ptq.data import image_sets
from ptq.engines import eager_layers
from ptq.experiment import strategies
from ptq.graph.module_outputs import capture
from ptq.measure import layer_errors, noise_budget
from ptq.methods import eager_folding
from ptq.networks import recipes

POINTS = layer_errors.LIKE_FOR_LIKE_POINTS
TOLERANCE = 1.5  # dB


def grids(integer):
    return (
        eager_layers.activation_scales(integer),
        eager_layers.weight_scales(integer),
    )


def generator(seed=5):
    return torch.Generator().manual_seed(seed)


def powers_agree(found, expected, rtol):
    torch.testing.assert_close(
        found.mean(), expected.mean(), rtol=rtol, atol=0
    )


@pytest.mark.filterwarnings(r"ignore:torch\.quantize_per_tensor:UserWarning")
@pytest.mark.parametrize("zero_point", [0, 60])
def test_grid_noise_is_what_torch_adds(zero_point):
    y = 2 * torch.randn(100_000, generator=generator())
    y = y.relu() if zero_point == 0 else y
    for scale in (0.03, 0.005):
        codes = torch.quantize_per_tensor(y, scale, zero_point, torch.quint8)
        error = (codes.dequantize() - y).square()
        inside, rounding, clipping = noise_budget.grid_noise(
            y, scale, zero_point
        )
        powers_agree(error[inside], rounding[inside], 0.02)
        torch.testing.assert_close(error[~inside], clipping[~inside])
        assert not rounding[~inside].any() and not clipping[inside].any()


def test_zeros_of_relu_are_exact():
    y = torch.tensor([0.0, 0.4, 30.0])
    inside, rounding, clipping = noise_budget.grid_noise(y, 0.1, 0)
    assert inside.tolist() == [False, True, False]
    torch.testing.assert_close(rounding, torch.tensor([0, 0.01 / 12, 0]))
    torch.testing.assert_close(clipping, torch.tensor([0, 0, 4.5**2]))


def test_codes_of_the_engine_end_where_the_budget_says(quantized, images):
    codes = {}
    for factor in (1, 30):
        y = capture(quantized, ["module.conv1"], factor * images)
        scale, _ = eager_layers.activation_scales(quantized)["conv1"]
        codes[factor] = (y["module.conv1"] / scale).round().max()
    assert codes[1] < 150 and codes[30] == noise_budget.LARGEST_CODE


LAYERS = {
    "conv": (nn.Conv2d(3, 8, 3, padding=1), (3, 6, 6)),
    "strided": (nn.Conv2d(3, 8, 3, stride=2), (3, 7, 7)),
    "linear": (nn.Linear(20, 8), (20,)),
}


@pytest.fixture(params=LAYERS)
def layer_and_shape(request):
    layer, shape = LAYERS[request.param]
    layer = copy.deepcopy(layer)
    for parameter in layer.parameters():
        nn.init.normal_(parameter, generator=generator(1))
    return layer.requires_grad_(False), shape


def test_noise_of_the_input_at_each_output(layer_and_shape):
    layer, shape = layer_and_shape
    variance = torch.rand(1, *shape, generator=generator(2))
    noise = torch.randn(20_000, *shape, generator=generator(3))
    x = torch.ones(1, *shape)
    measured = (layer(x + variance.sqrt() * noise) - layer(x)).square()
    found = noise_budget.layer_noise(layer, 0.0, x, variance)["input"]
    torch.testing.assert_close(
        found, measured.mean(0, keepdim=True), rtol=0.06, atol=0
    )


def test_noise_of_the_weights(layer_and_shape):
    layer, shape = layer_and_shape
    many = list(layer.weight.shape)
    many[0] = 4_000
    w, step = torch.randn(many, generator=generator(2)), 0.2
    x = torch.rand(1, *shape, generator=generator(4)) + 1
    found = noise_budget.layer_noise(layer, step, x, torch.zeros_like(x))
    layer.weight = nn.Parameter(step * (w / step).round() - w, False)
    layer.bias = None
    measured = layer(x).square().mean(1, keepdim=True)
    torch.testing.assert_close(found["weights"], measured, rtol=0.1, atol=0)
    assert not found["input"].any()


def test_what_passes_relu_and_pooling():
    x = torch.tensor([[[[1.0, 3], [2, -4]]]])
    noise = torch.tensor([[[[10.0, 30], [20, 40]]]])
    behind = noise_budget.pass_on(nn.ReLU(), x, noise)
    assert behind.tolist() == [[[[10, 30], [20, 0]]]]
    assert noise_budget.pass_on(nn.MaxPool2d(2), x, noise).item() == 30
    assert noise_budget.pass_on(nn.Identity(), x, noise) is noise


def test_budget_in_decibels():
    budget = noise_budget.Budget(200.0, {"rounding": 1.5, "clipping": 0.5})
    assert budget.total == 2 and math.isclose(budget.sqnr, 20)
    assert math.isclose(budget.excess(200.0), 20)
    assert budget.excess(0.0) == -math.inf
    assert noise_budget.Budget(1.0, {}).sqnr == math.inf


@pytest.fixture(scope="module")
def drawn(cifar):
    """Calibration images of three draws, and validation images."""
    train, validation = image_sets.split(recipes.Recipe().seed)
    return (
        [
            image_sets.normalize(
                cifar.train_images[image_sets.draw(train, 100, seed)],
                0.5,
                0.5,
            )
            for seed in range(3)
        ],
        image_sets.normalize(cifar.train_images[validation[:200]], 0.5, 0.5),
    )


def excesses(network, integer, judged, images, points=POINTS):
    """dB over budget of each layer of ``judged``; the budget is that of
    ``integer``."""
    budgets = noise_budget.noise_budget(
        eager_folding.fold(network), *grids(integer), images, POINTS
    )
    errors = layer_errors.layer_errors(network, judged, images, points)
    return {n: budgets[n].excess(e.mse) for n, e in errors.items()}


@pytest.mark.parametrize("draw", range(3))
def test_shipped_network_is_within_budget(network, drawn, draw):
    integer = strategies.folded(network, drawn[0][draw])
    found = excesses(network, integer, integer, drawn[1])
    assert max(map(abs, found.values())) < TOLERANCE, found


def test_untrained_network_is_within_budget(drawn):
    fresh = recipes.untrained("compact_cnn", 3).eval()
    integer = strategies.folded(fresh, drawn[0][0])
    found = excesses(fresh, integer, integer, drawn[1])
    assert max(map(abs, found.values())) < TOLERANCE, found


def test_fused_network_is_within_budget(network, drawn):
    points = POINTS | {"fc1": "relu3"}
    integer = strategies.folded_fused(network, drawn[0][0])
    budgets = noise_budget.noise_budget(
        eager_folding.fold(network), *grids(integer), drawn[1], points
    )
    errors = layer_errors.layer_errors(network, integer, drawn[1], points)
    found = {n: budgets[n].excess(e.mse) for n, e in errors.items()}
    assert max(map(abs, found.values())) < TOLERANCE, found


def test_published_points_break_the_budget(network, drawn):
    integer = strategies.folded(network, drawn[0][0])
    found = excesses(
        network,
        integer,
        integer,
        drawn[1],
        layer_errors.PUBLISHED_POINTS,
    )
    assert min(found["conv1"], found["conv2"]) > 20
    assert max(abs(found["fc1"]), abs(found["fc2"])) < TOLERANCE


def wrong_weight_scale(network, images):
    integer = strategies.folded(network, images)
    layer = eager_layers.quantized_layers(integer)["conv2"]
    weight = layer.weight()
    wrong = torch._make_per_tensor_quantized_tensor(
        weight.int_repr(), 1.1 * weight.q_scale(), 0
    )
    layer.set_weight_bias(wrong, layer.bias())
    return integer


def lost_norm(network, images):
    spoiled = copy.deepcopy(network)
    spoiled.bn2 = nn.BatchNorm2d(64).eval()
    return strategies.folded(spoiled, images)


def shifted_bias(network, images):
    integer = strategies.folded(network, images)
    layer = eager_layers.quantized_layers(integer)["conv2"]
    eager_layers.add_to_bias(layer, torch.full((64,), 0.1))
    return integer


@pytest.mark.parametrize(
    "fault", [wrong_weight_scale, lost_norm, shifted_bias]
)
def test_a_planted_fault_breaks_the_budget_where_it_is(network, drawn, fault):
    calibration, images = drawn[0][0], drawn[1]
    spoiled = fault(network, calibration)
    found = excesses(network, spoiled, spoiled, images)
    assert abs(found["conv1"]) < TOLERANCE
    assert found["conv2"] > 4 * TOLERANCE, found


def test_a_network_that_is_not_folded_is_refused(network, drawn):
    integer = strategies.folded(network, drawn[0][0])
    with pytest.raises(TypeError, match="BatchNorm2d"):
        noise_budget.noise_budget(
            network, *grids(integer), drawn[1][:2], POINTS
        )


def test_an_unknown_point_is_refused(folded_float, quantized, images):
    with pytest.raises(ValueError, match="rely1.*relu1"):
        noise_budget.noise_budget(
            folded_float,
            *grids(quantized),
            images[:2],
            POINTS | {"conv1": "rely1"},
        )


@pytest.mark.parametrize("other", [{"groups": 2}, {"dilation": 2}])
def test_convolutions_of_another_kind_are_refused(other):
    layer = nn.Conv2d(4, 4, 3, **other)
    x = torch.zeros(1, 4, 8, 8)
    with pytest.raises(ValueError, match="groups and dilation"):
        noise_budget.layer_noise(layer, 0.1, x, x)
