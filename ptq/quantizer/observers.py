"""What a grid should cover, of the values that an operation put out.

Each function takes a histogram (2048,) of the values between ``low`` and
``high``, all float32, and the grid's bits; it returns a lower and an upper
end, float32 of shape (), inside of those two and zero.
"""

import math
from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from ptq.quantizer import affine
from ptq.registry import Registry

BINS = 2048
# Ranges that are tried: shares of the whole one.
SHARES = torch.linspace(0.2, 1.0, 81)
PERCENTILE = 99.99
# Of the ranges seen before, what a moving average keeps at each image.
MOMENTUM = 0.99
# Of a bin that no value of a candidate's grid reaches, instead of zero.
LEAST_SHARE = 1e-9


def moving_average(extremes: Iterable[tuple[Tensor, Tensor]]) -> tuple:
    """Averages of the two ends, in which the last image weighs most.

    ``extremes`` are the least and the largest value of each image in turn,
    scalars as the two ends that are returned. Jacob et al. (2018), 3.1; the
    weights add up to one from the first image on, as those of Adam do.
    """
    total, weight = torch.zeros(2), 0.0
    for low, high in extremes:
        total = MOMENTUM * total + (1 - MOMENTUM) * torch.stack([low, high])
        weight = MOMENTUM * weight + 1 - MOMENTUM
    low, high = total / weight
    return low, high


def centres(low: Tensor, high: Tensor) -> Tensor:
    """The middle of each bin, float32 (2048,), between two scalars."""
    return low + (high - low) / BINS * (torch.arange(BINS) + 0.5)


def least_error(histogram, low, high, bits) -> tuple[Tensor, Tensor]:
    """The share of the range with the least mean squared error.

    ``histogram`` is float32 (2048,); the two ends are scalars.
    """
    middle = centres(low, high)

    def error(share: Tensor) -> Tensor:
        moved = affine.fake_quantize(middle, _grid(low, high, share, bits))
        return (histogram * (middle - moved).square()).sum()

    best = min(SHARES, key=error)
    return low * best, high * best


def percentile(histogram, low, high, bits) -> tuple[Tensor, Tensor]:
    """The range without the outermost 0.01 % at each end.

    ``histogram`` is float32 (2048,); the two ends are scalars (Wu et al.,
    2020).
    """
    share = histogram.cumsum(0) / histogram.sum()
    cut = 1 - PERCENTILE / 100
    width = (high - low) / BINS
    first = int((share < cut).sum())
    last = int((share < 1 - cut).sum()) + 1
    return low + first * width, low + min(last, BINS) * width


def entropy(histogram, low, high, bits) -> tuple[Tensor, Tensor]:
    """The share of the range that keeps the shape of the histogram.

    Migacz (2017): the least divergence sum p log(p / q), where p is the
    histogram, what lies beyond added to its end bins; and q spreads, for
    each code, the values inside evenly over its bins that are not empty. A
    result that is exactly zero is a point of every grid; so the bin of zero
    counts like its neighbour. ``histogram`` is float32 (2048,); the two ends
    are scalars.
    """
    counts, middle = histogram.double(), centres(low, high)
    if low <= 0 <= high:
        zero = int(middle.abs().argmin())
        counts[zero] = counts[zero - 1 if zero else 1]
    best = min(
        SHARES, key=lambda share: divergence(counts, middle, share, bits)
    )
    return low * best, high * best


def divergence(counts: Tensor, middle: Tensor, share, bits: int) -> float:
    """How far the grid over a share of the range is from the histogram.

    ``counts``, float64 (2048,), and ``middle``, float32 (2048,), are the
    histogram; the result is in nats. Of a share without values, infinite.
    """
    width = middle[1] - middle[0]
    low, high = middle[0] - width / 2, middle[-1] + width / 2
    grid = _grid(low, high, share, bits)
    inside = (middle >= low * share) & (middle <= high * share)
    kept = torch.where(inside, counts, 0.0)
    if not kept.any():
        return math.inf
    first, last = inside.nonzero()[[0, -1], 0]
    whole = kept.clone()
    whole[first] += counts[:first].sum()
    whole[last] += counts[last + 1 :].sum()
    codes = affine.quantize(middle, grid).long()
    filled = (kept > 0).double()
    sums, bins = (
        torch.zeros(2**bits, dtype=torch.float64).index_add(0, codes, given)
        for given in (kept, filled)
    )
    spread = filled * (sums / bins.clamp(min=1))[codes]
    p = whole / whole.sum()
    q = (spread / spread.sum()).clamp(min=LEAST_SHARE)
    return float((p * (p / q).log())[p > 0].sum())


def laplace(histogram, low, high, bits) -> tuple[Tensor, Tensor]:
    """The best range of values that are spread as Laplace says.

    ACIQ (Banner et al., 2019): of the size of the values, by their mean
    distance from the middle. ``histogram`` is float32 (2048,); the two ends
    are scalars.
    """
    return _clipped(histogram, low, high, bits, 1, _beyond_laplace)


def gauss(histogram, low, high, bits) -> tuple[Tensor, Tensor]:
    """The best range of values that are spread as Gauss says.

    ACIQ (Banner et al., 2019): of the size of the values, by their standard
    deviation. ``histogram`` is float32 (2048,); the two ends are scalars.
    """
    return _clipped(histogram, low, high, bits, 2, _beyond_gauss)


def best_clip(beyond: Callable[[float], float], steps: float) -> float:
    """Where to clip a symmetric distribution of size 1, for least error.

    ``beyond(a)`` is the mean of x - a where x > a, else 0. Values in [-a, a]
    are off by a^2 / (3 steps^2) in the square mean, others by their distance
    from a. The sum's derivative is zero where beyond(a) = a / (6 steps^2):
    the left falls and the right rises, so that halving finds it.
    """
    low, high = 0.0, 64.0
    for _ in range(60):
        middle = (low + high) / 2
        if beyond(middle) > middle / (6 * steps**2):
            low = middle
        else:
            high = middle
    return middle


def _beyond_laplace(a: float) -> float:
    return math.exp(-a) / 2


def _beyond_gauss(a: float) -> float:
    density = math.exp(-a * a / 2) / math.sqrt(2 * math.pi)
    return density - a * math.erfc(a / math.sqrt(2)) / 2


def _clipped(histogram, low, high, bits, power, beyond):
    """A range by the best clip, of one half of it where values have a sign.

    What is never negative counts as the upper half of a symmetric
    distribution, which would have twice the steps; its zeros are left out.
    """
    middle, steps = centres(low, high), 2**bits - 1
    width = (high - low) / BINS
    if low >= 0:
        counts = histogram * (middle > width)
        size = _mean(counts, middle**power) ** (1 / power)
        return low, high.minimum(size * best_clip(beyond, 2 * steps))
    around = _mean(histogram, middle)
    size = _mean(histogram, (middle - around).abs() ** power) ** (1 / power)
    reach = size * best_clip(beyond, steps)
    return low.maximum(around - reach), high.minimum(around + reach)


def _mean(counts: Tensor, values: Tensor) -> Tensor:
    return (counts * values).sum() / counts.sum().clamp(min=1)


def _grid(low: Tensor, high: Tensor, share, bits: int) -> affine.Grid:
    least = affine.TINY_SCALE
    ends = low * share, high * share
    return affine.affine_grid(*ends, 0, 2**bits - 1, smallest=least)


# The first two see values themselves, without a histogram.
OBSERVERS = Registry(
    "observer",
    {
        "minmax": None,
        "moving_average": None,
        "percentile": percentile,
        "mse": least_error,
        "entropy": entropy,
        "laplace": laplace,
        "gauss": gauss,
    },
)
