"""Bits under a budget: by hand, against all choices, on a network."""

import numpy as np
import pytest
import torch
from small_network import pixels_of, small

from ptq.methods import bit_allocation as bits_of
from ptq.methods.least_error_grids import least_error_grids
from ptq.quantizer import quantizing

# Two layers of a byte a bit. Greedy narrows the first, whose step costs
# nothing a byte, and must then narrow the second as well.
SIZES = {"a": {8: 8, 4: 4}, "b": {8: 16, 2: 4}}
COSTS = {"a": {8: 0.0, 4: 1.0}, "b": {8: 0.0, 2: 6.0}}


def test_by_hand_greedy_pays_twice():
    assert bits_of.greedy(COSTS, SIZES, 13) == {"a": 4, "b": 2}
    assert bits_of.exact(COSTS, SIZES, 13) == {"a": 8, "b": 2}
    assert bits_of.greedy(COSTS, SIZES, 20) == {"a": 4, "b": 8}
    assert bits_of.exact(COSTS, SIZES, 24) == {"a": 8, "b": 8}


def drawn(seed, layers=5):
    generator = np.random.default_rng(seed)
    costs, sizes = {}, {}
    for name in map(str, range(layers)):
        count = int(generator.integers(10, 1000))
        fall = generator.random() * 10.0 ** generator.integers(-4, 1)
        costs[name] = {b: fall * 4.0**-b for b in bits_of.BITS}
        sizes[name] = {b: -(-count * b // 8) for b in bits_of.BITS}
    return costs, sizes


@pytest.mark.parametrize("seed", range(4))
def test_exact_is_the_least_of_all_choices(seed):
    costs, sizes = drawn(seed)
    all_choices = bits_of.every(list(costs))
    assert len(all_choices) == len(bits_of.BITS) ** len(costs)
    least = bits_of.total(sizes, dict.fromkeys(costs, 2))
    worse = 0
    for budget in np.linspace(least, 4 * least, 9):
        found = bits_of.exact(costs, sizes, budget)
        fits = [c for c in all_choices if bits_of.total(sizes, c) <= budget]
        best = min(bits_of.total(costs, c) for c in fits)
        assert found in fits
        assert bits_of.total(costs, found) == pytest.approx(best, rel=1e-5)
        other = bits_of.greedy(costs, sizes, budget)
        assert other in fits
        worse += bits_of.total(costs, other) > 1.0001 * best
    assert worse  # greedy is not exact by chance


def test_a_budget_that_nothing_fits_says_what_it_takes():
    told = "budget of 7 bytes.* 8"
    for choose in (bits_of.exact, bits_of.greedy):
        with pytest.raises(bits_of.BudgetError, match=told):
            choose(COSTS, SIZES, 7)


@pytest.fixture(scope="module")
def images():
    return pixels_of(32, 3, 16, 16) / 127.5 - 1


@pytest.fixture(scope="module")
def narrow(images):
    return {
        bits: least_error_grids(
            quantizing.quantize(small(), images, weight_bits=bits)
        )
        for bits in (2, 4, 8)
    }


def test_mixed_is_the_network_of_these_bits(narrow, images):
    chosen = {"conv": 4, "wide": 2, "fc": 8}
    made = bits_of.mixed(narrow, chosen)
    assert {n: layer.bits for n, layer in made.integers.items()} == chosen
    direct = least_error_grids(
        quantizing.quantize(small(), images, weight_bits=chosen)
    )
    assert torch.equal(made(images), direct(images))
    made.integers["wide"].codes.zero_()
    assert narrow[2].integers["wide"].codes.any()  # its own tensors
    assert bits_of.sizes(made)["fc"][2] == -(
        -made.integers["fc"].codes.numel() // 4
    )


def test_noise_is_one_over_sqnr(narrow):
    found = bits_of.noise(narrow)
    for name, shares in found.items():
        assert shares[2] > 4 * shares[4] > 64 * shares[8]
        layer = narrow[4].integers[name]
        node = narrow[4].graph.nodes[name]
        weight = narrow[4].graph.constants[node.constants[0]]
        around = (-1, *[1] * (weight.dim() - 1))
        values = layer.codes * layer.grid.scale.reshape(around)
        share = (values - weight).norm() ** 2 / weight.norm() ** 2
        assert shares[4] == pytest.approx(float(share), rel=1e-4)


def test_divergence_of_one_layer_alone(narrow, images):
    found = bits_of.divergence_alone(narrow, images)
    assert found.keys() == narrow[8].integers.keys()
    base = {of[8] for of in found.values()}
    assert len(base) == 1  # nothing is narrow: one network
    for shares in found.values():
        assert shares[2] > shares[4] > 0
    logits = torch.tensor([[0.0, 0.0], [1.0, 0.0]])
    assert not bits_of.divergences(logits, logits).any()
    even = bits_of.divergences(logits[:1], torch.tensor([[np.log(3.0), 0]]))
    assert even == pytest.approx(np.log(2 / np.sqrt(3)), rel=1e-5)


def test_all_logits_are_those_of_each_choice(images):
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        *(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.Flatten()),
        *(torch.nn.Linear(4 * 14 * 14, 6), torch.nn.ReLU()),
        torch.nn.Linear(6, 4),
    )
    some = {
        bits: quantizing.quantize(network, images, weight_bits=bits)
        for bits in (2, 8)
    }
    found = bits_of.all_logits(some, images, batch=10)
    layers = list(some[8].integers)
    assert len(found) == 8
    for chosen in bits_of.every(layers, some):
        direct = bits_of.mixed(some, chosen)(images)
        assert torch.allclose(
            found[tuple(chosen.values())], direct, atol=1e-5
        )


def test_all_logits_refuses_branches(narrow, images):
    with pytest.raises(ValueError, match="alone"):
        bits_of.all_logits(narrow, images)
