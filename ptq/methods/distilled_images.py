"""Calibration images without data, distilled from what BN remembers.

ZeroQ (Cai et al., 2020, arXiv 2001.00281), section 3.1: noise is moved until
each batch normalization sees the mean and the deviation that it stored in
training. Here each channel's counts in its stored deviation, so that wide
channels weigh no more than narrow ones.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ptq.graph.plain_copies import evaluated

STEPS = 100
# Of Adam, in the range of pixels, at the first step; it falls to zero.
RATE = 0.1


def distilled_images(
    network: nn.Module,
    shape: tuple[int, int, int],
    count: int,
    normalization: tuple = (0.0, 1.0),
    steps: int = STEPS,
    seed: int = 0,
) -> Tensor:
    """Images, uint8 (count, C, H, W), on which BN sees what it remembers.

    ``shape`` is (C, H, W), ``normalization`` (mean, std) of pixels in
    [0, 1], numbers or one for each channel. No image and no label is read;
    ``seed`` draws the noise. Pixels stay in their range. Raises ValueError
    as ``statistics_distance`` does.
    """
    distance = statistics_distance(network)
    mean, std = (torch.tensor(v).reshape(-1, 1, 1) for v in normalization)
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.rand((count, *shape), generator=generator)
    pixels.requires_grad_()
    adam = torch.optim.Adam([pixels], RATE)
    falling = torch.optim.lr_scheduler.CosineAnnealingLR(adam, steps)
    for _ in range(steps):
        adam.zero_grad()
        distance((pixels - mean) / std).backward()
        adam.step()
        falling.step()
        pixels.detach().clamp_(0, 1)
    return (255 * pixels.detach()).round().to(torch.uint8)


def statistics_distance(network: nn.Module) -> Callable[[Tensor], Tensor]:
    """How far a batch's statistics are from those that BN stored.

    A function of images, float32 (N, C, H, W), normalized, that gives a
    scalar to differentiate: the sum of ``statistics_distances``, which says
    what is raised. Equation (eq-distilled).
    """
    distances = statistics_distances(network)
    return lambda images: distances(images).sum()


def statistics_distances(network: nn.Module) -> Callable[[Tensor], Tensor]:
    """The same for each BN of ``network`` that runs, which stays as it is.

    A function of images, float32 (N, C, H, W), normalized, that gives float32
    (n,): the mean over channels of (m - M)^2 / S^2 + (s / S - 1)^2, where m
    and s are mean and deviation of a channel in the batch, M and S the stored
    ones. ValueError where no BN stores any.
    """
    watched = evaluated(network).requires_grad_(False)
    found = []

    def see(norm: nn.Module, given: tuple[Tensor]) -> None:
        (x,) = given
        axes = [0, *range(2, x.dim())]
        stored = norm.running_var + norm.eps
        mean = (x.mean(axes) - norm.running_mean).square() / stored
        size = (x.var(axes, correction=0) + norm.eps) / stored
        found.append((mean + (size.sqrt() - 1).square()).mean())

    kinds = nn.BatchNorm1d, nn.BatchNorm2d
    norms = [m for m in watched.modules() if isinstance(m, kinds)]
    stored = [m for m in norms if m.running_var is not None]
    if not stored:
        raise ValueError(
            f"{type(network).__name__}: no batch normalization with running "
            "statistics: expected a trained network with some, before folding"
        )
    for norm in stored:
        norm.register_forward_pre_hook(see)

    def distances(images: Tensor) -> Tensor:
        found.clear()
        watched(images)
        return torch.stack(found or [torch.zeros(())])

    return distances
