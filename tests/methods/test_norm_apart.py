"""Batch normalization as a convolution of its own."""

import pytest
import torch
from torch import nn

from ptq.methods.norm_apart import norm_apart
from ptq.networks import recipes
from ptq.quantizer.quantizing import quantize


@pytest.mark.parametrize("name", recipes.NETWORKS)
def test_it_computes_the_same_and_is_not_folded_away(name):
    network = recipes.untrained(name, 3)
    generator = torch.Generator().manual_seed(1)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.running_mean, module.weight, module.bias):
                tensor.data.normal_(generator=generator)
            module.running_var.uniform_(0.5, 2, generator=generator)
    images = torch.randn(8, 3, 32, 32, generator=generator)
    network.eval()
    apart = norm_apart(network)
    norms = [n for n, m in network.named_modules() if "Norm" in repr(m)[:12]]
    with torch.inference_mode():
        torch.testing.assert_close(
            apart(images), network(images), rtol=1e-4, atol=1e-4
        )
    layers = quantize(apart, images).integers
    assert norms and set(norms) <= set(layers)
    assert not set(norms) & set(quantize(network, images).integers)


def test_bn_without_statistics_is_refused_by_name():
    network = nn.Sequential(nn.BatchNorm2d(3, track_running_stats=False))
    with pytest.raises(ValueError, match="^0: BN without running stat"):
        norm_apart(network)
