"""Our arithmetic against torch's observers and kernels, code for code."""

import math

import pytest
import torch
from torch.ao.quantization import MinMaxObserver, PerChannelMinMaxObserver

from ptq.quantizer import calibration
from ptq.quantizer.affine import (
    affine_grid,
    dequantize,
    fake_quantize,
    mse,
    quantize,
    sqnr,
    symmetric_grid,
)

pytestmark = pytest.mark.filterwarnings(
    r"ignore:torch\.quantize_per_tensor:UserWarning"
)
BITS = range(2, 9)


def tensors(count):
    """Random tensors of very different ranges, some of one sign only."""
    generator = torch.Generator().manual_seed(3)
    for _ in range(count):
        size, shift = torch.randn(2, generator=generator) * 3
        x = torch.randn(4, 200, generator=generator) + shift
        yield x * 10**size


EDGES = {
    "zeros": torch.zeros(1, 8),
    "positive constant": torch.full((1, 8), 3.7),
    "negative constant": torch.full((1, 8), -0.2),
    "all positive": torch.linspace(2, 5, 99)[None],
    "all negative": torch.linspace(-5, -2, 99)[None],
    "tiny": torch.linspace(-1e-9, 1e-9, 99)[None],
    "lopsided": torch.tensor([[-1e-6, 1e6]]),
}
CASES = [*EDGES.values(), *tensors(60)]


def observed(observer, x):
    observer(x)
    return observer.calculate_qparams()


def affine(x, qmax):
    return affine_grid(*calibration.minmax(x), 0, qmax)


def symmetric(x):
    return symmetric_grid(x.abs().max())


@pytest.mark.parametrize("bits", BITS)
def test_affine_grid_and_values_are_those_of_torch(bits):
    qmax = 2**bits - 1
    for x in CASES:
        scale, zero = observed(
            MinMaxObserver(torch.quint8, quant_min=0, quant_max=qmax), x
        )
        grid = affine(x, qmax)
        assert torch.equal(grid.scale, scale[0])
        assert torch.equal(grid.zero_point, zero[0])
        expected = torch.fake_quantize_per_tensor_affine(
            x, float(scale), int(zero), 0, qmax
        )
        assert torch.equal(fake_quantize(x, grid), expected)


@pytest.mark.parametrize("qmax", [127, 255])
def test_activation_codes_are_those_of_torch(qmax):
    for x in CASES:
        scale, zero = observed(
            MinMaxObserver(torch.quint8, quant_min=0, quant_max=qmax), x
        )
        codes = torch.quantize_per_tensor(
            x, float(scale), int(zero), torch.quint8
        ).int_repr()
        # torch has no 7-bit type: the scale alone keeps codes in 0..127.
        assert torch.equal(quantize(x, affine(x, qmax)), codes.int())


def test_weight_grid_and_codes_are_those_of_torch():
    for x in CASES:
        scale, zero = observed(
            MinMaxObserver(torch.qint8, torch.per_tensor_symmetric), x
        )
        grid = symmetric(x)
        assert torch.equal(grid.scale, scale[0])
        assert torch.equal(grid.zero_point, zero[0])
        theirs = torch.quantize_per_tensor(
            x, float(scale), int(zero), torch.qint8
        )
        assert torch.equal(quantize(x, grid), theirs.int_repr().int())
        assert torch.equal(fake_quantize(x, grid), theirs.dequantize())


@pytest.mark.parametrize("axis", [0, 1])
def test_per_channel_grids_and_codes_are_those_of_torch(axis):
    for x in tensors(20):
        x = x * torch.tensor([0.01, 1, 5, 300])[:, None]
        x = x if axis == 0 else x.t().contiguous()
        observer = PerChannelMinMaxObserver(
            axis, torch.qint8, torch.per_channel_symmetric
        )
        scale, zero = observed(observer, x)
        grid = symmetric_grid(x.abs().amax(1 - axis), axis=axis)
        assert torch.equal(grid.scale, scale)
        assert torch.equal(grid.zero_point, zero.int())
        theirs = torch.quantize_per_channel(x, scale, zero, axis, torch.qint8)
        assert torch.equal(quantize(x, grid), theirs.int_repr().int())
        torch.testing.assert_close(
            dequantize(theirs.int_repr(), grid), theirs.dequantize()
        )


def test_per_channel_affine_grids_are_those_of_torch():
    for x in tensors(20):
        observer = PerChannelMinMaxObserver(
            0, torch.quint8, torch.per_channel_affine
        )
        scale, zero = observed(observer, x)
        grid = affine_grid(x.amin(1), x.amax(1), 0, 255, axis=0)
        assert torch.equal(grid.scale, scale)
        assert torch.equal(grid.zero_point, zero.int())


@pytest.mark.parametrize("bits", BITS)
def test_zero_is_exact_and_errors_are_half_a_step_at_most(bits):
    for x in CASES:
        for grid in (affine(x, 2**bits - 1), symmetric(x)):
            assert fake_quantize(torch.zeros(1), grid) == 0
            error = (fake_quantize(x, grid) - x).abs().max()
            # One part in a million for the rounding of float32 itself.
            assert error <= grid.scale / 2 + 1e-6 * x.abs().max()


def test_values_beyond_the_grid_are_clipped_to_its_ends():
    grid = affine_grid(torch.tensor(-1.0), torch.tensor(3.0), 0, 127)
    x = torch.tensor([-math.inf, -1e30, -9.0, 9.0, 1e30, math.inf])
    assert quantize(x, grid).tolist() == [0, 0, 0, 127, 127, 127]


def test_halves_are_rounded_to_even():
    grid = symmetric_grid(torch.tensor(127.5))
    assert grid.scale == 1
    x = torch.tensor([-1.5, -0.5, 0.5, 1.5, 2.5])
    assert quantize(x, grid).tolist() == [-2, 0, 0, 2, 2]


@pytest.mark.parametrize("bits", BITS)
def test_uniform_values_have_six_decibels_a_bit(bits):
    # Error S^2 / 12 with S = 2 / (2^b - 1) against a signal of 1 / 3.
    x = torch.linspace(-1, 1, 200_001)
    found = sqnr(x, fake_quantize(x, affine(x, 2**bits - 1)))
    assert found == pytest.approx(20 * math.log10(2**bits - 1), abs=0.05)


@pytest.mark.parametrize("x", [torch.ones(3), torch.zeros(3)])
def test_sqnr_of_equal_tensors_is_infinite(x):
    assert sqnr(x, x.clone()) == math.inf


def test_mse_known_answer():
    assert mse(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 5.0])) == 4.5


@pytest.mark.parametrize("measure", [sqnr, mse])
def test_other_shapes_are_refused_and_named(measure):
    # These two would broadcast to a number that means nothing.
    with pytest.raises(ValueError, match=r"\(4, 3\).*\(1, 3\)"):
        measure(torch.ones(4, 3), torch.ones(1, 3))


@pytest.mark.parametrize(
    ("low", "high", "qmin", "qmax", "message"),
    [
        (math.nan, 1.0, 0, 127, "finite"),
        (-1.0, math.nan, 0, 127, "finite"),
        (-math.inf, 1.0, 0, 127, "finite"),
        (2.0, 1.0, 0, 127, "low <= high"),
        ([0.0, 2.0], [1.0, 1.0], 0, 127, "low <= high"),
        (0.0, 1.0, 127, 127, "qmin < qmax"),
        (0.0, 1.0, 128, 0, "qmin < qmax"),
    ],
)
def test_bad_ranges_are_refused(low, high, qmin, qmax, message):
    with pytest.raises(ValueError, match=message):
        affine_grid(torch.tensor(low), torch.tensor(high), qmin, qmax)


@pytest.mark.parametrize("bound", [-1.0, math.nan, math.inf])
def test_bad_bounds_are_refused(bound):
    with pytest.raises(ValueError, match="expected"):
        symmetric_grid(torch.tensor(bound))


def test_minmax_keeps_what_was_seen_before():
    seen = calibration.minmax(torch.tensor([-1.0, 2.0]))
    seen = calibration.minmax(torch.tensor([0.5, 3.0]), seen)
    assert [float(v) for v in seen] == [-1.0, 3.0]
