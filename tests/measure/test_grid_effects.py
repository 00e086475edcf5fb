"""What a grid leaves of weights, channels and outputs."""

import numpy as np
import pytest
import torch

from ptq.measure import grid_effects, inference
from ptq.quantizer import affine


def test_clipping_share_counts_what_lies_beyond_the_grid():
    weight = torch.tensor([0.0, 1.0, 3.0])
    weight_hat = torch.tensor([0.0, 2.0, 0.0])
    trial = grid_effects.Trial(weight, weight_hat, 2.0, 1.0, 0, 0, 1)
    assert trial.clipping_share == pytest.approx(9 / 10)


def test_coded_counts_codes_and_compares_channels():
    values = torch.tensor([0.0, 0.5, 1.0, 1.0]).reshape(1, 1, 2, 2)
    silent = torch.zeros_like(values)
    both = torch.cat([values, silent], 1)
    side = grid_effects.coded("x", both, (0.5, 1), (both, both * 1.1))
    assert side.counts.tolist() == [[0, 1, 1, 2], [0, 4, 0, 0]]
    assert side.used.tolist() == [3, 1]
    assert side.sqnr[0] == pytest.approx(20) and np.isnan(side.sqnr[1])


def test_trials_change_one_layer_and_leave_the_network(network, pixels):
    labels = inference.logits(network, pixels, (0.5, 0.5)).argmax(1)
    labels[:10] = (labels[:10] + 1) % 10
    before = network.conv2.weight.detach().clone()
    trials, right = grid_effects.clipping_trials(
        network,
        "conv2",
        pixels,
        labels,
        (0.5, 0.5),
        bits=(2, 8),
        reaches=(40, 100),
    )
    assert right == len(pixels) - 10
    assert torch.equal(network.conv2.weight, before)
    whole, coarse = trials[8, 100], trials[2, 40]
    assert whole.n == len(pixels) and coarse.changed > whole.changed
    assert coarse.correct <= right + 10
    bound = before.abs().max() * 0.4
    grid = affine.symmetric_grid(bound, -2, 1)
    assert torch.equal(coarse.weight_hat, affine.fake_quantize(before, grid))
    assert trials.keys() == {(2, 40), (2, 100), (8, 40), (8, 100)}


def test_the_best_reach_has_the_largest_sqnr():
    weight = torch.tensor([1.0, 2.0, 4.0])

    def trial(error):
        return grid_effects.Trial(weight, weight + error, 4, 1, 0, 0, 1)

    trials = {(2, 50): trial(0.1), (2, 100): trial(0.2)}
    trials |= {(8, 50): trial(0.1), (8, 100): trial(0.1)}
    assert grid_effects.best_reaches(trials) == {2: 50, 8: 100}


def test_outputs_on_a_grid_by_hand():
    found = torch.tensor([[1.0, 1.0, -0.5], [94.0, 93.5, 0.0]])
    assert grid_effects.tied(found).tolist() == [True, False]
    # Scale 0.5 and zero point 67: 94 has code 255, the last one.
    seen = grid_effects.outputs(found + 1, found, (0.5, 67))
    assert seen.ties == 1 and seen.at_ends == pytest.approx(100 / 6)
    assert seen.sqnr == pytest.approx(affine.sqnr(found + 1, found))


def test_channels_of_two_networks_are_compared_one_by_one():
    def side(used, decibels):
        counts = np.array([[1] * n + [0] * (4 - n) for n in used])
        return grid_effects.Coded("x", counts, 1.0, 0, decibels)

    nan = float("nan")
    found = grid_effects.channels(
        side([4, 3, 2], [10.0, nan, 20.0]), side([3, 1, 2], [12.0, nan, 19.0])
    )
    assert (found.count, found.better, found.fewer) == (3, 1, 2)
    assert (found.poorest, found.codes) == (1, 1) and np.isnan(found.sqnr)
    assert (found.before, found.after) == (15.0, 15.5)
