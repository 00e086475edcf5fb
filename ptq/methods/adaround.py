"""AdaRound: up or down is learned for all weights of a layer at once.

Nagel et al. (2020), with the layer's error as a quadratic form, so that no
step of the descent needs an image.
"""

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
    start = torch.logit((share + (STRETCH - 1) / 2) / STRETCH)
    free = start.clone().requires_grad_()
    optimizer = torch.optim.Adam([free], RATE)
    for step in range(steps):
        up = (torch.sigmoid(free) - 0.5) * STRETCH + 0.5
        up = up.clamp(0, 1)
        loss = error(down + up) / unit
        done = (step / steps - WARM) / (1 - WARM)
        if done >= 0:
            first, last = SHARPNESS
            sharp = first + (last - first) * done
            undecided = 1 - (2 * up - 1).abs().pow(sharp)
            loss = loss + PENALTY * undecided.mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    codes = down + (free.detach() > 0)
    return codes.clamp(of.low, of.high), of.scale
