"""The gain of weights against the network that they were made of."""

import pytest
import torch

from ptq.measure import diagnostics


def test_the_gain_of_weights_is_found_in_noise():
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(8, 3, 3, 3, generator=generator)
    factors = torch.linspace(0.5, 4, 8)
    found = factors[:, None, None, None] * weight
    gain = diagnostics.weight_gain(found, weight)
    assert gain == pytest.approx(float(factors.mean()), rel=1e-6)
    # What is at right angles to a channel's weights is no gain of it.
    noise = torch.randn(8, 27, generator=generator)
    flat = weight.flatten(1)
    along = (noise * flat).sum(1, keepdim=True) / flat.square().sum(1)[
        :, None
    ]
    noisy = found + (noise - along * flat).reshape(found.shape)
    noisy_gain = diagnostics.weight_gain(noisy, weight)
    assert noisy_gain == pytest.approx(gain, rel=1e-5)
