"""What a grid leaves of weights, of channels and of outputs."""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from ptq.graph.plain_copies import evaluated
from ptq.measure.inference import logits
from ptq.quantizer.affine import fake_quantize, sqnr, symmetric_grid


@dataclass(frozen=True)
class Trial:
    """One layer's weights on one grid, and what the network then predicts.

    ``weight`` and ``weight_hat`` are float32 of the same shape; ``bound`` is
    where the grid ends and ``step`` how far its points lie apart, in the unit
    of the weights. Of ``n`` predictions ``correct`` are right, and
    ``changed`` differ from those of the float network.
    """

    weight: Tensor
    weight_hat: Tensor
    bound: float
    step: float
    correct: int
    changed: int
    n: int

    @property
    def sqnr(self) -> float:
        """Signal-to-quantization-noise ratio of the weights, in dB."""
        return sqnr(self.weight, self.weight_hat)

    @property
    def clipping_share(self) -> float:
        """The share of the squared error that weights beyond the grid have.

        It is nan where there is no error.
        """
        beyond = self.weight.abs() > self.bound
        errors = (self.weight - self.weight_hat).square()
        return float(errors[beyond].sum() / errors.sum())


Trials = dict[tuple[int, int], Trial]


def clipping_trials(
    network: nn.Module,
    layer: str,
    images: Tensor,
    labels: Tensor,
    normalization: tuple,
    bits: Iterable[int] = range(2, 9),
    reaches: Iterable[int] = (20, 40, 60, 80, 100),
) -> tuple[Trials, int]:
    """Put one layer on grids that end at a share of its largest weight.

    Trials by bits and reach (percent of the largest weight), and how many
    predictions of the float network are right. All other layers stay in
    float. ``images`` is uint8 (N, C, H, W), ``labels`` int64 (N,);
    ``normalization`` is that of ``inference.logits``. Equation
    (eq-symmetric-scale). Raises what ``logits`` and ``symmetric_grid``
    raise.
    """
    # Layers take channels last faster, and the copy may be changed.
    probe = evaluated(network).to(memory_format=torch.channels_last)
    place = getattr(probe, layer).weight
    weight = getattr(network, layer).weight.detach()
    before, found = logits(probe, images, normalization).argmax(1), {}
    for width, reach in itertools.product(bits, reaches):
        half, bound = 2 ** (width - 1), weight.abs().max() * reach / 100
        grid = symmetric_grid(bound, -half, half - 1)
        weight_hat = fake_quantize(weight, grid)
        with torch.no_grad():
            place.copy_(weight_hat)
        predicted = logits(probe, images, normalization).argmax(1)
        found[width, reach] = Trial(
            weight,
            weight_hat,
            float(bound),
            float(grid.scale),
            int((predicted == labels).sum()),
            int((predicted != before).sum()),
            len(labels),
        )
    return found, int((before == labels).sum())


def best_reaches(trials: Trials) -> dict[int, int]:
    """By bits, the reach (percent) with the largest SQNR of the weights.

    The longest one where several have it.
    """
    best = {}
    for (bits, reach), trial in trials.items():
        best[bits] = max(best.get(bits, (-np.inf, 0)), (trial.sqnr, reach))
    return {bits: reach for bits, (_, reach) in best.items()}


@dataclass(frozen=True)
class Coded:
    """What a layer's channels look like in the codes of an integer network.

    ``counts`` (C, codes) says how often each channel has each code, which
    stands for ``scale`` (code - ``zero_point``); ``sqnr`` has for each
    channel the dB that are left behind its ReLU.
    """

    title: str
    counts: np.ndarray
    scale: float
    zero_point: int
    sqnr: list[float]

    @property
    def used(self) -> np.ndarray:
        """Number of different codes that each channel has, int64 (C,)."""
        return (self.counts > 0).sum(1)


def coded(
    title: str,
    values: Tensor,
    grid: tuple[float, int],
    outputs: tuple[Tensor, Tensor],
) -> Coded:
    """Count the codes of each channel; compare what comes behind its ReLU.

    ``values`` are dequantized outputs (N, C, H, W) on ``grid`` (scale and
    zero point) of codes from 0; ``outputs`` are those of the ReLU in the
    float and in the integer network, of the same shape.
    """
    scale, zero_point = grid
    codes = (values / scale).round().int() + zero_point
    # Values beyond the calibrated range have codes above 127.
    most = int(codes.max()) + 1
    rows = [c.flatten().bincount(minlength=most) for c in codes.unbind(1)]
    pairs = zip(*(x.unbind(1) for x in outputs), strict=True)
    left = [channel_sqnr(*pair) for pair in pairs]
    return Coded(title, np.stack(rows), scale, zero_point, left)


def channel_sqnr(wanted: Tensor, found: Tensor) -> float:
    """SQNR in dB; nan where the channel is silent in the float network.

    Both are float32 of the same shape. Raises ValueError where shapes
    differ and the float channel is not silent.
    """
    return sqnr(wanted, found) if wanted.any() else float("nan")


@dataclass(frozen=True)
class Channels:
    """A layer's channels in two integer networks, compared.

    ``better`` of ``count`` channels have a larger SQNR in the second network,
    and ``fewer`` have fewer codes in it. ``poorest`` is the number of the
    channel with the fewest codes there, ``codes`` how many it has, ``sqnr``
    what is left of it, in dB. ``before`` and ``after`` are the SQNR of the
    median channel that is not silent.
    """

    count: int
    better: int
    fewer: int
    poorest: int
    codes: int
    sqnr: float
    before: float
    after: float


def channels(first: Coded, second: Coded) -> Channels:
    """Compare one layer's channels in two networks, counted from 0."""
    poorest = int(second.used.argmin())
    return Channels(
        count=len(second.used),
        better=int((np.array(second.sqnr) > np.array(first.sqnr)).sum()),
        fewer=int((second.used < first.used).sum()),
        poorest=poorest,
        codes=int(second.used[poorest]),
        sqnr=second.sqnr[poorest],
        before=float(np.nanmedian(first.sqnr)),
        after=float(np.nanmedian(second.sqnr)),
    )


def tied(outputs: Tensor) -> np.ndarray:
    """Which rows of logits (N, K) have two equal highest ones; bool (N,)."""
    top = outputs.topk(2).values
    return (top[:, 0] == top[:, 1]).numpy()


@dataclass(frozen=True)
class Outputs:
    """Logits of an integer network beside those of the float network.

    ``sqnr`` is in dB; ``at_ends`` is the percentage of logits whose code is
    the first or the last one (0 or 255); ``ties`` counts images.
    """

    sqnr: float
    at_ends: float
    ties: int


def outputs(
    wanted: Tensor, found: Tensor, grid: tuple[float, int]
) -> Outputs:
    """Compare logits (N, K), float32, of a float and an integer network.

    Those ``found`` lie on ``grid`` (scale and zero point) of codes from 0 to
    255. Raises ValueError where shapes differ.
    """
    scale, zero_point = grid
    codes = torch.round(found / scale) + zero_point
    outside = (codes < 1) | (codes > 254)
    return Outputs(
        sqnr(wanted, found),
        100 * float(outside.float().mean()),
        int(tied(found).sum()),
    )
