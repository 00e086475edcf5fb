"""AdaRound: up or down is learned for all weights of a layer at once.

Nagel et al. (2020), with the layer's error as a quadratic form, so that no
step of the descent needs an image.
"""

from collections.abc import Iterable

import torch
from torch import Tensor

from ptq.methods.rounding_problems import Problem, solved
from ptq.quantizer.network import QuantizedNetwork

STEPS, RATE = 1000, 0.02
# The sigmoid is stretched beyond 0 and 1, so that it reaches both.
STRETCH = 1.2
# Weight of the penalty, its exponent at first and last, share without it.
PENALTY, SHARPNESS, WARM = 0.3, (20.0, 2.0), 0.2


def adaround(
    network: QuantizedNetwork,
    images: Tensor,
    toward_float: bool = True,
    steps: int = STEPS,
) -> QuantizedNetwork:
    """A copy where each weight is rounded up or down as its layer likes.

    Scales stay as they are. ``images`` (N, ...) are as the network takes
    them. UnsupportedError where they do not fit.
    """
    return solved(
        network, images, lambda of: learned(of, steps), toward_float
    )


@torch.enable_grad()
def learned(of: Problem, steps: int = STEPS) -> tuple[Tensor, Tensor]:
    """Codes (groups, k, C_out / groups) by AdaRound, and the old scale.

    Equations 21 to 25: h(V) in [0, 1] is added to the lower code, and a
    penalty drives it to the ends. The error is in units of that of nearest
    rounding. Codes of one bit, which no fraction lies between, stay.
    """
    if of.sign:
        return of.codes, of.scale
    down = torch.floor(of.weight / of.scale)
    share = of.weight / of.scale - down
    best = torch.linalg.solve(of.gram, of.pull)

    def error(codes: Tensor) -> Tensor:
        left = codes.clamp(of.low, of.high) * of.scale - best
        return (left * (of.gram @ left)).sum()

    unit = error(torch.round(of.weight / of.scale))
    free = begun(share).requires_grad_()
    optimizer = torch.optim.Adam([free], RATE)
    for step in range(steps):
        up = relaxed(free)
        loss = error(down + up) / unit + penalty([up], step / steps)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    codes = down + (free.detach() > 0)
    return codes.clamp(of.low, of.high), of.scale


def relaxed(free: Tensor) -> Tensor:
    """Shares of a step above the lower codes: h(V) in [0, 1], equation 23.

    ``free`` is V, of any shape; the result has its shape and dtype.
    """
    return ((torch.sigmoid(free) - 0.5) * STRETCH + 0.5).clamp(0, 1)


def begun(share: Tensor) -> Tensor:
    """The V at which h(V) is ``share``, of its shape and dtype."""
    return torch.logit((share + (STRETCH - 1) / 2) / STRETCH)


def penalty(shares: Iterable[Tensor], done: float) -> Tensor | float:
    """The price of shares between 0 and 1, which grows ever sharper.

    ``shares`` are tensors of any shape, ``done`` the part of the steps that
    is done. A scalar, 0 in the first steps; equation 24.
    """
    late = (done - WARM) / (1 - WARM)
    if late < 0:
        return 0.0
    first, last = SHARPNESS
    sharp = first + (last - first) * late
    undecided = (1 - (2 * up - 1).abs().pow(sharp) for up in shares)
    return PENALTY * sum(one.mean() for one in undecided)
