"""Ranges of channels, and the error behind each layer."""

import pytest
import torch
from torch import nn

from ptq import graph
from ptq.measure import channel_ranges
from ptq.quantizer import affine
from ptq.quantizer.quantizing import quantize


@pytest.fixture(scope="module")
def two_channels():
    network = nn.Sequential(
        nn.Conv2d(1, 2, 1, bias=False), nn.ReLU(), nn.Flatten()
    )
    with torch.no_grad():
        network[0].weight.copy_(
            torch.tensor([1.0, 1 / 200])[:, None, None, None]
        )
    return network


def image_batch():
    return torch.rand(20, 1, 4, 4, generator=torch.Generator().manual_seed(0))


def test_ranges_and_codes_are_those_of_the_weights(two_channels):
    traced = graph.trace(two_channels, image_batch())
    (ranges,) = channel_ranges.weight_ranges(traced).values()
    assert ranges.tolist() == pytest.approx([1, 1 / 200])
    codes = channel_ranges.codes_of_channels(ranges)
    assert codes.tolist() == pytest.approx([127, 0.635])


def test_sqnr_behind_a_layer_is_that_of_its_values(two_channels):
    images = image_batch()
    for per_channel in (True, False):
        made = quantize(two_channels, images, per_channel=per_channel)
        (found,) = channel_ranges.sqnr_of_layers(made, images).values()
        with torch.inference_mode():
            by_hand = affine.sqnr(two_channels(images), made(images))
        assert found == pytest.approx(by_hand)


def test_what_a_branch_adds_is_compared_before_it_is_added():
    class Added(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(1, 1, 3, padding=1)

        def forward(self, x):
            return x + self.conv(x)

    images = image_batch()
    made = quantize(Added().eval(), images)
    found = channel_ranges.sqnr_of_layers(made, images)
    assert found.keys() == {"conv"} and found["conv"] > 30
