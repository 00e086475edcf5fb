"""Errors of the results on each grid of a quantized network."""

import pytest
import torch
from small_network import pixels_of, small

from ptq.measure.layer_errors import graph_errors, noisiest
from ptq.quantizer import affine
from ptq.quantizer.quantizing import quantize


@pytest.fixture(scope="module")
def images():
    return pixels_of(16, 3, 16, 16) / 127.5 - 1


def test_errors_are_those_of_the_outputs_and_of_what_is_behind_relu(images):
    network = small()
    quantized = quantize(network, images)
    found = graph_errors(quantized, images)
    assert found.keys() == quantized.grids.keys()
    with torch.no_grad():
        wanted = network(images), network.bn(network.conv(images)).relu()
    assert found["fc"].sqnr == pytest.approx(
        affine.sqnr(wanted[0], quantized(images)), abs=0.01
    )
    # The owner of the first layer's grid is the ReLU that it has fused.
    owner = quantized.owners["conv"]
    assert owner != "conv"
    noise = 10 ** (-found[owner].sqnr / 10) * wanted[1].square().mean()
    assert found[owner].mse == pytest.approx(float(noise), rel=1e-3)


def test_fewer_bits_make_larger_errors_and_pixels_are_normalized():
    pixels, network = pixels_of(16, 3, 16, 16), small()

    def errors(bits):
        made = quantize(
            network, pixels, weight_bits=bits, normalization=(0.5, 0.5)
        )
        return graph_errors(made, pixels)

    fine, coarse = errors(8), errors(4)
    for name in fine.keys() - {"input"}:
        assert fine[name].sqnr > coarse[name].sqnr + 3, name


@pytest.mark.parametrize("layer", ["conv", "wide", "fc"])
def test_the_noisiest_layer_is_the_one_with_few_bits(images, layer):
    made = quantize(small(), images, weight_bits={layer: 3})
    found = noisiest(made, images)
    assert found[0] == layer and set(found) == {"conv", "wide", "fc"}
