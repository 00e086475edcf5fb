"""Studies of single layers, on the shipped network."""

from dataclasses import replace

import numpy as np
import pytest

from ptq.data import image_sets
from ptq.engines import eager_layers, torch_eager
from ptq.experiment import laboratory, layer_studies
from ptq.measure import layer_errors, noise_budget
from ptq.methods import eager_folding


@pytest.fixture(scope="module")
def lab(cifar, tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("run"))
    return laboratory.open_experiment(
        test_images=60, calibration_images=40, run_dir=folder
    )


@pytest.mark.parametrize(
    ("asked", "known"), [(3, 20), (300, 300), (9_000, 1280)]
)
def test_errors_are_measured_on_validation_images(lab, asked, known):
    settings = lab.settings | {"test_images": asked}
    images = layer_studies.error_images(replace(lab, settings=settings))
    same = image_sets.normalize(lab.validation_images[:known], 0.5, 0.5)
    assert images.equal(same)


def test_control_is_zero_only_at_the_same_points(network, images):
    prepared = torch_eager.prepare(
        eager_folding.fold(network), eager_folding.fusable(network)
    )
    published, alike = layer_studies.at_both_points(network, prepared, images)
    assert max(error.mse for error in alike.values()) < 1e-8
    assert published["conv2"].mse > 0.1 and published["fc1"].mse < 1e-8


def test_each_draw_has_its_own_images_and_network(lab):
    images = layer_studies.error_images(lab)
    budgets, measured = layer_studies.budgets_over_draws(lab, images, 3)
    assert len(budgets) == len(measured) == 3
    # The first draw is that of the lab, on the first third.
    integer, first = lab.build("folded"), images[:20]
    _, alike = layer_studies.at_both_points(lab.network, integer, first)
    assert measured[0] == {name: error.mse for name, error in alike.items()}
    assert measured[0] != measured[1] != measured[2]
    known = noise_budget.noise_budget(
        eager_folding.fold(lab.network),
        eager_layers.activation_scales(integer),
        eager_layers.weight_scales(integer),
        first,
        layer_errors.LIKE_FOR_LIKE_POINTS,
    )
    assert budgets[0] == known
    with pytest.raises(ValueError, match="expected 61 or more"):
        layer_studies.budgets_over_draws(lab, images, 61)


def test_signs_by_coin_make_noise_as_the_budget_says(lab):
    images = layer_studies.error_images(lab)
    budgets, _ = layer_studies.budgets_over_draws(lab, images, 1)
    found = layer_studies.dependence(
        lab, lab.build("folded"), budgets[0], images
    )
    assert abs(found.by_coin) < 0.5 < abs(found.as_it_is)
    assert found.averaged < -1


def test_errors_by_batch_are_those_of_ten_parts(lab):
    images, folded = layer_studies.error_images(lab), lab.build("folded")
    errors = layer_studies.errors_by_batch(
        lab.network, {"folded": folded}, images
    )
    _, third = layer_studies.at_both_points(
        lab.network, folded, images[12:18]
    )
    for layer, values in errors["folded"].items():
        assert values.shape == (10,) and values[2] == third[layer].mse


def test_kinds_of_parts_add_up_to_the_whole():
    rng = np.random.default_rng(2)
    names = sum(layer_studies.KINDS.values(), ())
    parts = {
        net: {name: rng.random((2, 3)) for name in names}
        for net in ("fp32", "folded", "mixed_precision_folded")
    }
    kinds = layer_studies.by_kind(parts, batch=50)
    for net, taken in parts.items():
        whole = 1e3 * sum(taken.values()).ravel() / 50
        assert sum(kinds[net].values()) == pytest.approx(whole)
    found = layer_studies.profile(*kinds.values())
    pools = parts["fp32"]["pool1"] + parts["fp32"]["pool2"]
    assert found["pooling_float"] == pytest.approx(20 * np.median(pools))
    assert 0 < found["conv2"] < 100 and 0 < found["conv2_share"] < 100
