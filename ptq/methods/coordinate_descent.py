"""Coordinate descent: the best code of one weight, all others held, in turn.

COMQ (Zhang et al., 2024, arXiv 2403.07134), with scales; toward the float
network's results, after Qronos (Zhang et al., 2025, arXiv 2505.11695).
"""

import torch
from torch import Tensor

from ptq.methods.rounding_problems import Problem, solved
from ptq.quantizer.network import QuantizedNetwork

SWEEPS = 4


def coordinate_descent(
    network: QuantizedNetwork,
    images: Tensor,
    toward_float: bool = True,
    sweeps: int = SWEEPS,
) -> QuantizedNetwork:
    """A copy with better codes and scales, from those that it has.

    ``images`` (N, ...) are as the network takes them. The target is the
    float network's results; without ``toward_float``, what the float
    filters would make of what the layer reads now. UnsupportedError where
    images do not fit.
    """
    return solved(
        network, images, lambda of: descended(of, sweeps), toward_float
    )


def descended(of: Problem, sweeps: int = SWEEPS) -> tuple[Tensor, Tensor]:
    """Codes (groups, k, C_out / groups) and scale after some sweeps.

    No step makes the error larger: a code's best value is where the error's
    derivative is zero, rounded, as the error is a parabola in it; and so is
    the scale's.
    """
    codes, scale = of.codes.clone(), of.scale
    for _ in range(sweeps):
        values = codes * scale
        for j in range(codes.shape[1]):
            slope = of.pull[:, j] - (of.gram[:, j, None] @ values)[:, 0]
            best = values[:, j] + slope / of.gram[:, j, j, None]
            codes[:, j] = of.nearest(best, scale[:, 0])
            values[:, j] = codes[:, j] * scale[:, 0]
        scale = best_scale(of, codes, scale)
    return codes, scale


def best_scale(of: Problem, codes: Tensor, scale: Tensor) -> Tensor:
    """The scale of least error for these codes, (groups, 1, C_out / groups).

    ``scale`` stays where codes are all zero, or the best is not positive.
    """
    up = (codes * of.pull).sum(1, keepdim=True)
    down = (codes * (of.gram @ codes)).sum(1, keepdim=True)
    if not of.per_channel:
        up, down = (t.sum().expand_as(scale) for t in (up, down))
    return torch.where((up > 0) & (down > 0), up / down, scale)
