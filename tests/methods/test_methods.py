"""Folding, bias correction, and the error of each layer."""

import copy

import pytest
import torch
from torch import nn

from ptq.engines import eager_layers, torch_eager
from ptq.experiment import eager_biases, strategies
from ptq.graph.module_outputs import capture
from ptq.measure import inference, layer_errors
from ptq.methods import bias_correction, eager_folding, mixed_precision
from ptq.networks.compact_cnn import LAYERS
from ptq.registry import UnknownNameError


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("groups", [1, 4])
def test_folded_convolution_is_convolution_then_norm(seed, bias, groups):
    torch.manual_seed(seed)
    conv = nn.Conv2d(4, 8, 3, padding=1, bias=bias, groups=groups)
    bn = nn.BatchNorm2d(8).eval()
    nn.init.uniform_(bn.weight, -2, 2)
    nn.init.normal_(bn.bias)
    bn.running_mean.normal_(0, 3)
    bn.running_var.uniform_(1e-3, 10)
    x = torch.randn(5, 4, 9, 9)
    found = eager_folding.fold_batch_norm(conv, bn)(x)
    torch.testing.assert_close(found, bn(conv(x)), rtol=1e-4, atol=1e-4)


def test_folded_network_is_the_unfolded_one(network, folded_float, pixels):
    torch.testing.assert_close(
        inference.logits(folded_float, pixels, (0.5, 0.5)),
        inference.logits(network, pixels, (0.5, 0.5)),
        rtol=1e-4,
        atol=1e-4,
    )
    norms = [m for m in folded_float.modules() if type(m) is nn.BatchNorm2d]
    assert not norms


@pytest.mark.parametrize("conv", ["conv1", "conv2"])
def test_folding_is_that_of_torch(network, folded_float, conv):
    theirs = getattr(torch_eager.fuse_modules(network, network.blocks), conv)[
        0
    ]
    ours = getattr(folded_float, conv)
    torch.testing.assert_close(ours.weight, theirs.weight)
    torch.testing.assert_close(ours.bias, theirs.bias)


@pytest.mark.parametrize("name", strategies.STRATEGIES)
def test_building_leaves_the_network_alone(name, network, images):
    before = copy.deepcopy(network.state_dict())
    kinds = [type(module) for module in network.modules()]
    strategies.build(name, network, images)
    assert [type(module) for module in network.modules()] == kinds
    for key, value in network.state_dict().items():
        assert torch.equal(value, before[key]), key


def test_an_unknown_strategy_is_refused(network, images):
    with pytest.raises(UnknownNameError, match="nave.*folded_fused.*naive"):
        strategies.build("nave", network, images)


def test_published_bias_correction_is_the_naive_network(
    network, images, pixels
):
    shifts = eager_biases.published_shifts(
        network, torch_eager.prepare(network), images
    )
    assert set(shifts) == set(LAYERS)
    assert all(shift.eq(0).all() for shift in shifts.values())
    built = strategies.bias_correction_published(network, images)
    naive = strategies.naive(network, images)
    assert torch.equal(
        inference.logits(built, pixels, (0.5, 0.5)),
        inference.logits(naive, pixels, (0.5, 0.5)),
    )


@pytest.mark.parametrize("name", LAYERS)
def test_correction_removes_a_known_offset(
    folded_float, quantized, images, name
):
    clean = eager_biases.correct_biases(folded_float, quantized, images)
    spoiled = copy.deepcopy(clean)
    right = eager_layers.quantized_layers(clean)[name].bias()
    offset = torch.linspace(-0.7, 0.9, len(right))
    eager_layers.add_to_bias(
        eager_layers.quantized_layers(spoiled)[name], offset
    )
    again = eager_biases.correct_biases(folded_float, spoiled, images)
    found = eager_layers.quantized_layers(again)[name].bias()
    torch.testing.assert_close(found, right, rtol=0, atol=1e-4)


def test_corrected_layers_are_right_on_average(
    folded_float, quantized, images
):
    corrected = eager_biases.correct_biases(folded_float, quantized, images)
    wanted = capture(folded_float, LAYERS, images)
    layers = eager_layers.quantized_layers(corrected)
    assert layers.keys() == set(LAYERS)
    for name, layer in layers.items():
        inside = f"module.{name}"
        x = capture(corrected, [inside], images, at="input")[inside]
        error = bias_correction.mean_shift(
            wanted[name], eager_layers.pre_activation(layer, x)
        )
        assert error.abs().max() < 1e-4, name


def test_correction_leaves_the_quantized_network_alone(
    folded_float, quantized, images, pixels
):
    before = inference.logits(quantized, pixels, (0.5, 0.5))
    corrected = eager_biases.correct_biases(folded_float, quantized, images)
    assert torch.equal(
        inference.logits(quantized, pixels, (0.5, 0.5)), before
    )
    assert not torch.equal(
        inference.logits(corrected, pixels, (0.5, 0.5)), before
    )


def test_a_layer_without_bias_is_refused(network, images):
    layers = eager_layers.quantized_layers(strategies.naive(network, images))
    with pytest.raises(ValueError, match="no bias"):
        eager_layers.add_to_bias(layers["conv1"], torch.zeros(32))


@pytest.mark.parametrize("name", ["conv1", "conv2"])
def test_unlike_points_of_one_shape_have_a_large_error(
    network, quantized, images, name
):
    like, unlike = (
        layer_errors.layer_errors(network, quantized, images, points)
        for points in (
            layer_errors.LIKE_FOR_LIKE_POINTS,
            layer_errors.PUBLISHED_POINTS,
        )
    )
    assert unlike[name].mse > 100 * like[name].mse
    assert unlike[name].sqnr < 5 < 25 < like[name].sqnr


def test_points_of_other_shapes_are_refused(network, quantized, images):
    shapes = r"\(64, 32, 16, 16\).*\(64, 32, 32, 32\)"
    with pytest.raises(ValueError, match=shapes):
        layer_errors.layer_errors(
            network, quantized, images, {"conv1": "pool1"}
        )


def test_regret_by_hand():
    """conv2 alone and conv1 with fc2 are best; ties go to the chosen."""
    values = dict.fromkeys(mixed_precision.assignments(LAYERS), 0.70)
    values |= {("conv2",): 0.73, ("conv1", "fc2"): 0.75}
    values |= {("conv1", "fc1"): 0.72, ("conv2", "fc1", "fc2"): 0.70}
    # Keeps fc1, then conv1 and fc1, then all but conv2.
    scores = {"conv1": 3.0, "conv2": 1.0, "fc1": 4.0, "fc2": 2.0}
    found = mixed_precision.regret(values, scores)
    assert list(found) == [1, 2, 3]
    assert (found[1].chosen, found[1].best) == (("fc1",), ("conv2",))
    assert found[1].lost == pytest.approx(0.03)
    assert found[2].chosen == ("conv1", "fc1")
    assert found[2].best == ("conv1", "fc2")
    assert found[2].lost == pytest.approx(0.03)
    assert found[3].chosen == found[3].best == ("conv1", "fc1", "fc2")
    assert found[3].lost == 0


def test_the_best_ranking_has_no_regret():
    # Each layer in float adds its worth, so the order of worth is right.
    worth = {"conv1": 0.01, "conv2": 0.04, "fc1": 0.02, "fc2": 0.03}
    values = {
        a: 0.6 + sum(worth[n] for n in a)
        for a in mixed_precision.assignments(LAYERS)
    }
    found = mixed_precision.regret(values, worth)
    assert [r.lost for r in found.values()] == [0, 0, 0]
    worst = {layer: -score for layer, score in worth.items()}
    found = mixed_precision.regret(values, worst)
    lost = [r.lost for r in found.values()]
    assert lost == pytest.approx([0.03, 0.04, 0.03])
