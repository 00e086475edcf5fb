"""Mean errors that a bias correction leaves, and the sentence on them."""

import pandas as pd
import pytest
import torch

from ptq.experiment import (
    correction_study,
    eager_biases,
    strategies,
)
from ptq.methods import eager_folding


def test_a_correction_leaves_nothing_on_its_own_images(network, images):
    float_network = eager_folding.fold(network)
    before = strategies.folded(network, images)
    after = eager_biases.correct_biases(float_network, before, images)
    errors = [
        correction_study.mean_errors(float_network, quantized, images)
        for quantized in (before, after)
    ]
    left = correction_study.percent_left(errors[1], errors[0])
    assert left.keys() == errors[0].keys() and max(left.values()) < 1
    assert errors[0]["conv2"].shape == (64,)
    same = correction_study.percent_left(errors[0], errors[0])
    assert set(same.values()) == {100.0}


def test_each_count_takes_the_first_images_of_each_draw(network, images):
    float_network = eager_folding.fold(network)
    before = strategies.folded(network, images)
    draws = [images, images.flip(0)]
    found = correction_study.left_by_count(
        float_network, before, draws, [1, len(images)], images
    )
    assert found[1].shape == (2, 4)
    assert (found[1].loc[0] != found[1].loc[1]).any()
    assert (found[len(images)] < 1).all(axis=None)
    alone = eager_biases.correct_biases(float_network, before, images[:1])
    left = correction_study.percent_left(
        correction_study.mean_errors(float_network, alone, images),
        correction_study.mean_errors(float_network, before, images),
    )
    assert found[1].loc[0].to_dict() == pytest.approx(left)
    assert torch.equal(draws[0], images)


@pytest.mark.parametrize(
    ("largest", "told"),
    [
        ({1: 150, 64: 99, 100: 20}, "With 64 or 100 images it harmed no"),
        ({1: 150, 16: 101, 64: 99}, "With 64 images it harmed no layer"),
        ({1: 50}, "With 1 image it harmed no layer in any draw."),
        ({1: 150}, "Each number of images harmed some layer"),
    ],
)
def test_harmless_numbers_make_a_sentence(largest, told):
    left = {n: pd.DataFrame({"conv1": [9, p]}) for n, p in largest.items()}
    assert correction_study.harmless(left).startswith(told)
