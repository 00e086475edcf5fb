"""A noise budget: what the error of each layer should be, and why."""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from ptq import input_checks
from ptq.graph import allow_list, module_groups, plain_copies

BATCH = 250
# Calibrated ranges use codes 0 to 127, but the engine's kernels clip at 255.
LARGEST_CODE = torch.iinfo(torch.quint8).max


@dataclass(frozen=True)
class Budget:
    """Mean square of one layer's output, and of its noise by cause."""

    signal: float
    noise: dict[str, float]

    @property
    def total(self) -> float:
        """The predicted mean squared error, in units of output squared."""
        return sum(self.noise.values())

    @property
    def sqnr(self) -> float:
        """The predicted SQNR in dB. Equation (eq-sqnr)."""
        return _decibels(self.signal, self.total)

    def excess(self, mse: float) -> float:
        """By how many dB a measured mean squared error exceeds the budget."""
        return _decibels(mse, self.total)


def _decibels(above: float, below: float) -> float:
    """Ratio of two powers in dB, infinite where either is zero."""
    if min(above, below) == 0:
        return -math.inf if above == 0 else math.inf
    return 10 * math.log10(above / below)


def grid_noise(
    y: Tensor, scale: float, zero_point: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Noise that codes 0 to 255 add to each element of float32 ``y``.

    Returns which elements lie inside the grid (bool), the expected square
    of the rounding there, and the square of the clipping elsewhere (float32,
    in units of ``y`` squared), all of the same shape as ``y``. Equation
    (eq-grid-noise). An element on the lowest code, such as a zero of ReLU, is
    exact.
    """
    low, high = (scale * (q - zero_point) for q in (0, LARGEST_CODE))
    inside = (y > low) & (y < high)
    return inside, inside * scale**2 / 12, (y - y.clamp(low, high)).square()


def layer_noise(
    layer: nn.Module, step: float, x: Tensor, noise: Tensor
) -> dict[str, Tensor]:
    """Noise of a layer's sums: from its input's noise, and its weights'.

    ``layer`` is a float convolution or linear layer, ``step`` the scale of
    its weight codes, ``x`` its float32 input, (N, C, H, W) or (N, C), and
    ``noise`` the variance of each element of it, of the same shape. Equations
    (eq-input-noise) and (eq-weight-noise), both float32 in units of the
    output squared; the second has one channel, (N, 1, H, W) or (N, 1), as it
    is the same in all; the first has the shape of the layer's output. Raises
    ValueError where a convolution is grouped or dilated.
    """
    dilation = getattr(layer, "dilation", (1, 1))
    if getattr(layer, "groups", 1) != 1 or max(dilation) != 1:
        raise ValueError(
            f"{layer}: expected a convolution without groups and dilation"
        )
    squares = layer.weight.detach().square()
    ones = torch.ones_like(squares[:1])

    def sums(values: Tensor, weight: Tensor) -> Tensor:
        if isinstance(layer, nn.Conv2d):
            return functional.conv2d(
                values, weight, None, layer.stride, layer.padding
            )
        return functional.linear(values, weight)

    return {
        "input": sums(noise, squares),
        "weights": step**2 / 12 * sums(x.square(), ones),
    }


def pass_on(module: nn.Module, x: Tensor, noise: Tensor) -> Tensor:
    """Noise after a ReLU, a max pooling or an identity with input ``x``.

    ``x`` is float32 (N, C, H, W) or (N, F), ``noise`` the variance of each of
    its elements; returns that of each element of the output. A ReLU removes
    it where its output is zero; a pool keeps that of its largest element.
    Raises TypeError for another module.
    """
    if isinstance(module, nn.ReLU):
        return noise * (x > 0)
    if isinstance(module, nn.MaxPool2d):
        _, winner = functional.max_pool2d(
            x,
            module.kernel_size,
            module.stride,
            module.padding,
            module.dilation,
            module.ceil_mode,
            return_indices=True,
        )
        return noise.flatten(2).gather(2, winner.flatten(2)).view_as(winner)
    if isinstance(module, nn.Identity):
        return noise
    raise TypeError(f"no rule for the noise after {type(module).__name__}")


@torch.no_grad()
def noise_budget(
    network: nn.Module,
    grids: Mapping[str, tuple[float, int]],
    steps: Mapping[str, float],
    images: Tensor,
    points: Mapping[str, str],
) -> dict[str, Budget]:
    """Predict the noise at each layer's output. Equation (eq-budget).

    ``network`` is the folded float network, a chain of modules. Its integer
    twin is not run and lends its scales: ``grids``, scale and zero point of
    each layer's output, and of the input as "quant"; ``steps``, the scale of
    each layer's weight codes. ``points`` names, for each layer, the float
    module whose output the layer's codes stand for; ``images`` is float32
    (N, C, H, W). Raises ValueError where a point is no module of
    ``network``, TypeError where one is not folded, UnsupportedError where
    not all its modules run in the order in which it lists them, InputError
    where images are none, not float32, or not finite.
    """
    input_checks.check_normalized(images)
    network = plain_copies.evaluated(network)
    children = dict(network.named_children())
    ran = module_groups.order(allow_list.check(network))
    if ran != list(children):
        raise allow_list.UnsupportedError(
            f"the network lists {', '.join(children)} and runs "
            f"{', '.join(ran)}: expected a chain of all that it lists"
        )
    if odd := sorted(set(points.values()) - children.keys()):
        raise ValueError(f"{odd}: expected points of {', '.join(children)}")
    sums = {name: Counter() for name in points}
    for batch in images.split(BATCH):
        share = len(batch) / len(images)
        for name, parts in _walk(network, grids, steps, batch, points):
            for cause, power in parts.items():
                sums[name][cause] += share * float(power.mean())
    return {
        name: Budget(parts.pop("signal"), dict(parts))
        for name, parts in sums.items()
    }


def _walk(network, grids, steps, x, points):
    """Yield each layer with its signal and its noise, element by element."""
    ends = {point: name for name, point in points.items()}
    _, rounding, clipping = grid_noise(x, *grids["quant"])
    noise = {"input": rounding + clipping}
    for name, module in network.named_children():
        if name in steps:
            arriving = noise["input"]
            if isinstance(module, nn.Linear):
                x, arriving = x.flatten(1), arriving.flatten(1)
            noise = layer_noise(module, steps[name], x, arriving)
        else:
            noise = {k: pass_on(module, x, v) for k, v in noise.items()}
        x = module(x)
        if name in ends:
            inside, rounding, clipping = grid_noise(x, *grids[ends[name]])
            noise = {k: v * inside for k, v in noise.items()}
            noise |= {"rounding": rounding, "clipping": clipping}
            yield ends[name], {"signal": x.square()} | noise
            noise = {"input": sum(noise.values())}
