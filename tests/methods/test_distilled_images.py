"""Images from what BN remembers: by hand, and on a small network."""

import pytest
import torch
from small_network import pixels_of, small
from torch import nn

from ptq.methods.distilled_images import (
    distilled_images,
    statistics_distance,
)


def stored(mean, deviation):
    norm = nn.BatchNorm2d(1, eps=0)
    norm.running_mean.fill_(mean)
    norm.running_var.fill_(deviation**2)
    return nn.Sequential(norm)


def test_distance_by_hand():
    """Stored 1 and 2; a batch of 0 and 2 has mean 1 and deviation 1."""
    batch = torch.tensor([0.0, 2.0]).reshape(2, 1, 1, 1)
    assert statistics_distance(stored(1, 2))(batch) == pytest.approx(0.25)
    assert statistics_distance(stored(1, 1))(batch) == pytest.approx(0)
    # Three away in units of the stored deviation, which is half the batch's.
    far = statistics_distance(stored(2.5, 0.5))(batch)
    assert far == pytest.approx(9 + 1)


def test_distance_adds_all_norms_and_averages_channels():
    one = stored(0, 1)
    batch = torch.tensor([1.0, 3.0]).reshape(2, 1, 1, 1)  # 2 and 1: D = 4
    twice = nn.Sequential(*stored(0, 1), *stored(0, 1))
    assert statistics_distance(one)(batch) == pytest.approx(4)
    assert statistics_distance(twice)(batch) == pytest.approx(8)
    wide = nn.BatchNorm2d(2, eps=0)
    both = torch.cat([batch, batch - 2], 1)  # the second channel fits
    assert statistics_distance(wide)(both) == pytest.approx(2)


def test_pixels_get_the_stored_mean_and_deviation():
    """Through a normalization, too: -0.4 of (p - 0.5) / 0.5 is p = 0.3."""
    for network, normalization in (
        (stored(0.3, 0.1), (0.0, 1.0)),
        (stored(-0.4, 0.2), (0.5, 0.5)),
    ):
        made = distilled_images(network, (1, 6, 6), 8, normalization)
        assert made.dtype == torch.uint8 and made.shape == (8, 1, 6, 6)
        pixels = made.double() / 255
        assert float(pixels.mean()) == pytest.approx(0.3, abs=0.01)
        assert float(pixels.std()) == pytest.approx(0.1, abs=0.01)


def test_a_seed_gives_the_same_images_and_nothing_else_moves():
    network = small().train()
    before = {n: t.clone() for n, t in network.state_dict().items()}
    torch.manual_seed(1)
    state = torch.get_rng_state()
    one, two, other = (
        distilled_images(network, (3, 8, 8), 4, (0.5, 0.5), 5, seed)
        for seed in (0, 0, 1)
    )
    assert torch.equal(one, two) and not torch.equal(one, other)
    assert torch.equal(torch.get_rng_state(), state) and network.training
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, before[name]), name
    assert not any(p.grad is not None for p in network.parameters())


def test_distilled_images_are_nearer_than_noise():
    network = small()
    distance = statistics_distance(network)
    made = distilled_images(network, (3, 8, 8), 16, (0.5, 0.5))
    noise = pixels_of(16, 3, 8, 8)
    near, far = (float(distance(x / 127.5 - 1)) for x in (made, noise))
    assert near < far / 10


@pytest.mark.parametrize(
    "network",
    [
        nn.Sequential(nn.Conv2d(3, 4, 3)),
        nn.Sequential(nn.BatchNorm2d(3, track_running_stats=False)),
    ],
)
def test_without_stored_statistics_it_says_so(network):
    with pytest.raises(ValueError, match="Sequential: no batch norm"):
        distilled_images(network, (3, 8, 8), 2)
