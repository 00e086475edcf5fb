"""Normalization in the first layer: the same numbers, or a refusal."""

import pytest
import torch
from small_network import NORMALIZATIONS, pixels_of
from torch import nn

from ptq.graph import UnsupportedError, fold, on_pixels, trace
from ptq.quantizer.network import normalize


def both(network, normalization, images, channels):
    """What a network puts out, by its own normalization and by the new."""
    plain = tuple(
        tuple(torch.tensor(v).expand(channels).tolist())
        for v in normalization
    )
    real = normalize(images, *plain)
    graph = fold(trace(network.eval(), real))
    made, (mean, std) = on_pixels(graph, *plain)
    assert (255 * mean) == pytest.approx(round(255 * mean))
    return graph(real), made(normalize(images, [mean], [std]))


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
@pytest.mark.parametrize("groups", [1, 3])
def test_without_padding_any_normalization_moves(normalization, groups):
    network = nn.Conv2d(3, 6, 3, groups=groups, bias=groups == 1)
    before, after = both(network, normalization, pixels_of(4, 3, 8, 8), 3)
    torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-4)


def test_padding_stands_for_half_a_pixel_more():
    network = nn.Conv2d(3, 6, 3, padding=1)
    before, after = both(network, (0.5, 0.5), pixels_of(4, 3, 8, 8), 3)
    apart = (after - before).abs()
    assert apart[..., 1:-1, 1:-1].max() < 1e-5
    most = network.weight.abs().sum((1, 2, 3)).max() * 0.5 / (255 * 0.5)
    assert 1e-5 < apart.max() <= most


def test_two_layers_may_read_the_images():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Conv2d(1, 2, 3), nn.Conv2d(1, 2, 3)

        def forward(self, x):
            return self.a(x) * self.b(x)

    images = pixels_of(4, 1, 8, 8)
    before, after = both(Two(), (0.1307, 0.3081), images, 1)
    torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("network", "reason"),
    [
        (nn.Conv2d(3, 6, 3, padding=1), "its zeros would be 10 pixels off"),
        (nn.Sequential(nn.ReLU(), nn.Conv2d(3, 6, 3)), "clamp reads the"),
    ],
)
def test_what_cannot_read_pixels_is_told(network, reason):
    with pytest.raises(UnsupportedError, match=reason):
        both(network, NORMALIZATIONS[3], pixels_of(4, 3, 8, 8), 3)
