"""Observers against computations that share nothing with them."""

import math

import numpy as np
import pytest
import torch
from scipy import integrate, optimize, special, stats
from torch import nn

from ptq.quantizer import affine, observers, quantizing
from ptq.quantizer.observers import BINS, OBSERVERS

BEYOND = {
    "laplace": (observers._beyond_laplace, stats.laplace, 1),
    "gauss": (observers._beyond_gauss, stats.norm, 2),
}


def histogram_of(values):
    values = torch.tensor(values, dtype=torch.float32)
    low, high = values.aminmax()
    return torch.histc(values, BINS, float(low), float(high)), low, high


def chosen(name, values, bits=4):
    found = OBSERVERS[name](*histogram_of(values), bits)
    return tuple(map(float, found))


def drawn(name, count=100_000, one_sided=False):
    values = BEYOND[name][1].rvs(size=count, random_state=0)
    return np.maximum(values, 0) if one_sided else values


@pytest.mark.parametrize("steps", [3, 7, 15, 30, 255])
@pytest.mark.parametrize("name", BEYOND)
def test_best_clip_has_the_least_error_by_integration(name, steps):
    beyond, spread, _ = BEYOND[name]

    def error(a):
        far = integrate.quad(
            lambda x: (x - a) ** 2 * spread.pdf(x), a, a + 40, limit=200
        )
        return 2 * far[0] + a**2 / (3 * steps**2)

    best = optimize.minimize_scalar(error, bounds=(0.5, 20), method="bounded")
    found = observers.best_clip(beyond, steps)
    assert found == pytest.approx(best.x, rel=1e-3)
    if name == "laplace":  # a e^a = 3 steps^2
        exact = special.lambertw(3 * steps**2).real
        assert found == pytest.approx(exact, rel=1e-9)


def test_best_clips_are_those_of_the_paper():
    """Banner et al. (2019) round 2^bits to steps: 2.83, 3.86, 5.03."""
    laplace = [
        observers.best_clip(observers._beyond_laplace, 2**b)
        for b in (2, 3, 4)
    ]
    assert laplace == pytest.approx([2.83, 3.86, 5.03], abs=0.04)
    gauss = [
        observers.best_clip(observers._beyond_gauss, 2**b) for b in (2, 3, 4)
    ]
    assert gauss == pytest.approx([1.71, 2.15, 2.55], abs=0.01)


@pytest.mark.parametrize("one_sided", [False, True])
@pytest.mark.parametrize("name", BEYOND)
def test_of_its_distribution_analytic_clipping_is_as_good_as_a_search(
    name, one_sided
):
    values = torch.tensor(drawn(name, one_sided=one_sided)).float()

    def error(low, high):
        grid = affine.affine_grid(low, high, 0, 15)
        return float(affine.mse(values, affine.fake_quantize(values, grid)))

    found = error(*map(torch.tensor, chosen(name, values.tolist())))
    low, high = values.aminmax()
    tried = [error(low * s, high * s) for s in np.linspace(0.1, 1, 91)]
    assert found < 1.1 * min(tried) and min(tried) < 0.6 * tried[-1]


@pytest.mark.parametrize("name", BEYOND)
def test_clipping_by_half_a_distribution_is_that_of_twice_the_steps(name):
    beyond, _, power = BEYOND[name]
    values = drawn(name, one_sided=True)
    low, high = chosen(name, values)
    size = np.mean(values[values > 0] ** power) ** (1 / power)
    expected = size * observers.best_clip(beyond, 30)
    assert low == 0 and high == pytest.approx(expected, rel=0.01)


def kl_by_loops(values, low, high, edges, bits):
    """Nats between a histogram and its grid, one value after another."""
    counts = np.histogram(values, edges)[0].astype(float)
    middle = (edges[:-1] + edges[1:]) / 2
    counts[0] = counts[1]  # zero lies in the first bin
    inside = [j for j, m in enumerate(middle) if low <= m <= high]
    p, codes = np.zeros(BINS), {}
    step = (high - low) / (2**bits - 1)
    for j, count in enumerate(counts):
        p[min(max(j, inside[0]), inside[-1])] += count
        if j in inside and count:
            codes.setdefault(round((middle[j] - low) / step), []).append(j)
    q = np.zeros(BINS)
    for bins in codes.values():
        q[bins] = sum(counts[j] for j in bins) / len(bins)
    p, q = p / p.sum(), np.maximum(q / q.sum(), 1e-9)
    return sum(a * math.log(a / b) for a, b in zip(p, q, strict=True) if a)


def test_entropy_is_least_by_loops():
    values = np.float32(np.maximum(drawn("laplace", 300_000), 0))
    low, high = chosen("entropy", values)
    edges = np.linspace(0, values.max(), BINS + 1)
    found = kl_by_loops(values, low, high, edges, 4)
    tried = [
        kl_by_loops(values, 0, values.max() * share, edges, 4)
        for share in (0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0)
    ]
    assert found <= min(tried) + 1e-6 and found < 0.9 * tried[-1]


def test_percentile_leaves_out_so_many_at_each_end():
    values = np.random.default_rng(0).normal(size=200_000)
    low, high = chosen("percentile", values)
    beyond = [np.mean(values < low), np.mean(values > high)]
    assert beyond == pytest.approx([1e-4, 1e-4], abs=1e-5)


def test_moving_average_weighs_the_last_image_most():
    generator = np.random.default_rng(0)
    ends = torch.tensor(np.sort(generator.normal(size=(30, 2)), 1)).float()
    weights = 0.99 ** np.arange(29, -1, -1)
    expected = np.average(ends.numpy(), axis=0, weights=weights)
    found = torch.stack(observers.moving_average(ends)).numpy()
    assert found == pytest.approx(expected, rel=1e-5)


def test_moving_average_sees_each_image_by_itself():
    """Of one image of ones and many of twos, a range below two."""
    images = torch.full((20, 1, 2, 2), 2.0)
    images[-1] = 1
    network = nn.Sequential(nn.Conv2d(1, 1, 1, bias=False), nn.Flatten())
    nn.init.ones_(network[0].weight)
    made = quantizing.quantize(network, images, observer="moving_average")
    weights = 0.99 ** np.arange(19, -1, -1)
    expected = np.average([2.0] * 19 + [1.0], weights=weights)
    ends = affine.ends(made.grid("1"))
    assert ends == pytest.approx((0, expected), rel=0.01)


@pytest.mark.parametrize("bits", [2, 8, 12])
@pytest.mark.parametrize("name", OBSERVERS)
@pytest.mark.parametrize(
    "values", [[0.0] * 9, [3.0] * 9, [-2.0, -1.0], [0.0, 1e-7], [-5.0, 5.0]]
)
def test_odd_values_have_a_range_inside_of_theirs_and_zero(
    name, values, bits
):
    if OBSERVERS[name] is None:
        values = torch.tensor(values)
        low, high = observers.moving_average([(values.min(), values.max())])
    else:
        low, high = chosen(name, values, bits)
        values = torch.tensor(values)
    least, most = values.min().clamp(max=0), values.max().clamp(min=0)
    assert least - 1e-6 <= low <= high <= most + 1e-6
    affine.affine_grid(*map(torch.as_tensor, (low, high)), 0, 2**bits - 1)
