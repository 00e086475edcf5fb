"""The arithmetic of affine quantization: grids, codes, and their error."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

# The smallest scale torch's observers allow, so that 1 / scale is finite.
SMALLEST_SCALE = torch.finfo(torch.float32).eps
# The smallest of which a product of two, a sum's unit, is a normal float32.
TINY_SCALE = 2.0**-60


@dataclass(frozen=True)
class Grid:
    """A uniform grid: code q in [qmin, qmax] stands for S (q - Z).

    ``scale`` (float32) and ``zero_point`` (int32) have shape () for one grid
    per tensor, or (C,) for one grid per channel, C along ``axis``.
    """

    scale: Tensor
    zero_point: Tensor
    qmin: int
    qmax: int
    axis: int | None = None


def affine_grid(
    low: Tensor,
    high: Tensor,
    qmin: int,
    qmax: int,
    axis: int | None = None,
    smallest: float = SMALLEST_SCALE,
) -> Grid:
    """Grid for values in [low, high], which is widened to contain zero.

    ``low`` and ``high`` are float32 of shape () or (C,). Equation
    (eq-affine-scale); zero is on the grid, as Jacob et al. (2018) require.
    The scale is at least ``smallest``.
    Raises ValueError where low > high, a bound is not finite, or there are
    no codes.
    """
    _check_range(low, high, qmin, qmax)
    low, high = low.clamp(max=0), high.clamp(min=0)
    scale = ((high - low) / (qmax - qmin)).clamp(min=smallest)
    zero_point = (qmin - torch.round(low / scale)).clamp(qmin, qmax)
    return Grid(scale, zero_point.to(torch.int32), qmin, qmax, axis)


def symmetric_grid(
    bound: Tensor,
    qmin: int = -128,
    qmax: int = 127,
    axis: int | None = None,
    smallest: float = SMALLEST_SCALE,
) -> Grid:
    """Grid for weights in [-bound, bound] with zero point 0.

    Equation (eq-symmetric-scale), with torch's divisor: half the number of
    steps, so that ``+bound`` itself lies half a step beyond the last code.
    ``bound`` is float32 of shape () or (C,), the scale at least
    ``smallest``. Raises ValueError where a bound is negative or not finite,
    or there are no codes.
    """
    _check_range(-bound, bound, qmin, qmax)
    scale = (bound / ((qmax - qmin) / 2)).clamp(min=smallest)
    zero_point = torch.zeros_like(scale, dtype=torch.int32)
    return Grid(scale, zero_point, qmin, qmax, axis)


def quantize(x: Tensor, grid: Grid) -> Tensor:
    """Codes (int32, same shape) of float32 ``x``. Equation (eq-quantize).

    Rounds half to even; values beyond the grid, infinite ones too, are
    clipped to its ends (Jacob et al., 2018, 2.1). Raises ValueError where a
    value is NaN, which no code stands for.
    """
    if x.isnan().any():
        raise ValueError("a value is nan: no code stands for it")
    scale, zero_point = _along_axis(grid, x)
    # Multiplying by the reciprocal is what torch's kernels do: it decides
    # on which side the few values nearly halfway between two codes fall.
    codes = torch.round(x * scale.reciprocal()) + zero_point
    return codes.clamp(grid.qmin, grid.qmax).to(torch.int32)


def dequantize(q: Tensor, grid: Grid) -> Tensor:
    """Values of codes ``q``, of their shape, in float32.

    Equation (eq-dequantize).
    """
    scale, zero_point = _along_axis(grid, q)
    return scale * (q - zero_point).to(torch.float32)


def ends(grid: Grid) -> tuple[float, float]:
    """The values of the lowest and the highest code of a grid of shape ()."""
    low, high = dequantize(torch.tensor([grid.qmin, grid.qmax]), grid)
    return float(low), float(high)


def fake_quantize(x: Tensor, grid: Grid) -> Tensor:
    """``x`` moved to the nearest point of the grid.

    float32 in and out, of the same shape. Raises ValueError for NaN.
    """
    return dequantize(quantize(x, grid), grid)


def sqnr(x: Tensor, x_hat: Tensor) -> float:
    """Signal-to-quantization-noise ratio in dB. Equation (eq-sqnr).

    ``x`` is the signal, ``x_hat`` the rounded one, of the same shape.
    Infinite where the two are equal; raises ValueError where shapes differ.
    """
    noise = mse(x, x_hat)
    if noise == 0:
        return math.inf
    return float(10 * torch.log10(x.square().mean() / noise))


def mse(x: Tensor, x_hat: Tensor) -> Tensor:
    """Mean squared difference, a scalar, of two tensors of the same shape.

    The result has shape () and their float dtype. Its unit is that of the
    tensors, squared. Raises ValueError where the shapes differ.
    """
    if x.shape != x_hat.shape:
        raise ValueError(
            f"shapes {tuple(x.shape)} and {tuple(x_hat.shape)} differ: "
            "compare the same point of both networks"
        )
    return (x - x_hat).square().mean()


def _along_axis(grid: Grid, x: Tensor) -> tuple[Tensor, Tensor]:
    """Scale and zero point shaped to broadcast against ``x``."""
    if grid.axis is None:
        return grid.scale, grid.zero_point
    shape = [1] * x.dim()
    shape[grid.axis] = -1
    return grid.scale.reshape(shape), grid.zero_point.reshape(shape)


def _check_range(low: Tensor, high: Tensor, qmin: int, qmax: int) -> None:
    if qmin >= qmax:
        raise ValueError(f"qmin={qmin}, qmax={qmax}: expected qmin < qmax")
    if not (torch.isfinite(low).all() and torch.isfinite(high).all()):
        raise ValueError(f"range [{low}, {high}]: expected finite bounds")
    if (low > high).any():
        raise ValueError(f"range [{low}, {high}]: expected low <= high")
