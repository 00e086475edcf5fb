"""Exact integers beside Python's own, and beside the simulation."""

from fractions import Fraction

import pytest
import torch
from small_network import pixels_of
from traps import TRAPS

from ptq.data import image_sets
from ptq.engines import parity
from ptq.engines.parity_causes import UNKNOWN
from ptq.graph import UnsupportedError
from ptq.quantizer.fixed_point import fixed_point, shared_shift
from ptq.quantizer.quantizing import quantize

# Traps with a function of several values in them, which no table holds.
NO_TABLE = {"softmax", "layer norm", "matmul"}


def half_up(number):
    return (2 * number + 1) // 2


@pytest.mark.parametrize("seed", range(3))
def test_products_are_those_of_whole_numbers(seed):
    generator = torch.Generator().manual_seed(seed)
    exponents = torch.randint(-30, 20, (200,), generator=generator)
    ratio = torch.rand(200, generator=generator).double() * 2.0**exponents
    whole = torch.randint(-(2**31), 2**31, (200,), generator=generator)
    made = fixed_point(ratio)
    found = made(whole)
    for r, w, m, s, got in zip(
        ratio, whole, made.multiplier, made.shift, found, strict=True
    ):
        number = Fraction(int(m), 2 ** int(s))
        assert abs(number - Fraction(float(r))) <= Fraction(float(r)) / 2**31
        assert int(got) == half_up(number * int(w))


@pytest.mark.parametrize("wrong", [-1.0, float("nan"), 2.0**30])
def test_a_ratio_of_no_use_is_refused(wrong):
    with pytest.raises(ValueError, match="expected"):
        fixed_point(torch.tensor(wrong))


def test_products_of_one_shift_can_be_added():
    ratios = torch.tensor([3.7, 0.002], dtype=torch.float64)
    shared = shared_shift(ratios)
    for ratio, m in zip(ratios, shared.multiplier, strict=True):
        error = float(ratio) - int(m) / 2 ** int(shared.shift)
        assert abs(error) < 4 / 2**30


def test_codes_are_those_of_the_simulation(shipped, cifar):
    images = image_sets.normalize(cifar.train_images[:96], 0.5, 0.5)
    network = quantize(shipped, images[:64])
    found = parity.compare(network, images[64:], "simulation")
    assert len(found.nodes) == len(network.graph.nodes)
    assert found.largest <= 1 and found.share >= 0.99
    assert found.flips == 0


@pytest.mark.parametrize("name", TRAPS)
def test_traps_are_right_or_refused(name):
    images = pixels_of(16, 3, 16, 16) / 127.5 - 1
    with torch.random.fork_rng():
        torch.manual_seed(1)
        trap = TRAPS[name]().train()
        with torch.no_grad():
            trap(images)
    network = quantize(trap.eval(), images)
    try:
        found = parity.compare(network, images, "simulation")
    except UnsupportedError as error:
        assert "no table" in str(error) or "no codes" in str(error)
        return
    assert found.largest <= 1
    assert not found.causes[UNKNOWN]
