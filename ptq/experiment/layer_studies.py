"""Single layers of a lab's network: errors, budgets, parts of the time."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from ptq.engines import eager_layers
from ptq.evidence.intervals import Interval
from ptq.experiment import factors, strategies
from ptq.graph import module_outputs
from ptq.measure import layer_errors, noise_budget
from ptq.measure.layer_errors import LayerError
from ptq.measure.noise_budget import Budget
from ptq.methods import eager_folding

# Parts of the network whose times are added up.
KINDS = {
    "conv1": ("conv1",),
    "conv2": ("conv2",),
    "pooling": ("pool1", "pool2"),
    "BN, ReLU": ("bn1", "relu1", "bn2", "relu2", "relu3"),
    "fc1, fc2": ("fc1", "fc2"),
}


def error_images(lab) -> Tensor:
    """The validation images on which errors of layers are measured.

    Normalized float32 (N, 3, 32, 32); N is the run's number of test images,
    from 20 to 1,280.
    """
    count = min(max(lab.settings["test_images"], 20), 1280)
    return lab.normalize(lab.validation_images[:count])


def at_both_points(
    network: nn.Module, quantized: nn.Module, images: Tensor
) -> tuple[dict[str, LayerError], dict[str, LayerError]]:
    """Errors of layers at the published points, and at the same points.

    ``images`` is float32 (N, 3, 32, 32). Raises what
    ``layer_errors.layer_errors`` raises.
    """
    return tuple(
        layer_errors.layer_errors(network, quantized, images, points)
        for points in (
            layer_errors.PUBLISHED_POINTS,
            layer_errors.LIKE_FOR_LIKE_POINTS,
        )
    )


def errors_by_batch(
    network: nn.Module, quantized: dict[str, nn.Module], images: Tensor
) -> dict[str, dict[str, np.ndarray]]:
    """Errors of layers at the same points, in each of ten batches.

    ``images`` is float32 (N, 3, 32, 32), N at least 10. By network and
    layer: mean squared errors, (10,), in units of the output squared.
    """
    points = layer_errors.LIKE_FOR_LIKE_POINTS
    found = {}
    for name, net in quantized.items():
        errors = [
            layer_errors.layer_errors(network, net, batch, points)
            for batch in images.chunk(10)
        ]
        found[name] = {
            layer: np.array([error[layer].mse for error in errors])
            for layer in points
        }
    return found


def budgets_over_draws(
    lab, images: Tensor, draws: int = 5
) -> tuple[list[dict[str, Budget]], list[dict[str, float]]]:
    """Noise budgets and measured errors of folded networks, a draw each.

    The first network is the lab's; each has its own draw of calibration
    images and its own share of ``images``, float32 (N, 3, 32, 32). By draw
    and layer: the budget, and the mean squared error, in units of the output
    squared. ValueError where there are fewer images than draws.
    """
    if len(images) < draws:
        raise ValueError(f"{len(images)} images: expected {draws} or more")
    points, network = layer_errors.LIKE_FOR_LIKE_POINTS, lab.network
    folded = eager_folding.fold(network)
    count, seed = lab.settings["calibration_images"], lab.settings["seed"]
    train_seed = lab.settings["train_seed"]
    budgets, measured = [], []
    for draw, part in enumerate(images.split(len(images) // draws)[:draws]):
        drawn = factors.draw_images(
            lab.cifar, "training", count, seed + draw, train_seed
        )
        integer = strategies.folded(network, lab.normalize(drawn))
        budgets.append(
            noise_budget.noise_budget(
                folded,
                eager_layers.activation_scales(integer),
                eager_layers.weight_scales(integer),
                part,
                points,
            )
        )
        found = layer_errors.layer_errors(network, integer, part, points)
        measured.append({name: error.mse for name, error in found.items()})
    return budgets, measured


@dataclass(frozen=True)
class Dependence:
    """What a budget misses where noise is not independent, in dB.

    The noise that fc1 makes of its input is over its budget ``as_it_is``,
    and ``by_coin`` if coins draw the signs of the errors. ``averaged``: by
    how much the noise that fc2 makes of its input would change if all units
    of fc1 had the same.
    """

    by_coin: float
    as_it_is: float
    averaged: float


def dependence(
    lab, integer: nn.Module, budget: dict[str, Budget], images: Tensor
) -> Dependence:
    """Take from the noise of the linear layers what errors have in common.

    ``integer`` is the lab's folded network, ``budget`` that of its layers on
    ``images``, float32 (N, 3, 32, 32).
    """
    exact, inexact = (
        module_outputs.capture(net, [name], images)[name].flatten(1)
        for net, name in ((lab.network, "pool2"), (integer, "module.pool2"))
    )
    folded, error = eager_folding.fold(lab.network), inexact - exact
    coin = torch.Generator().manual_seed(lab.settings["seed"])
    signs = 2 * torch.randint(2, error.shape, generator=coin) - 1
    weight = folded.fc1.weight.detach()
    powers = [
        float((e @ weight.T).square().mean()) for e in (error * signs, error)
    ]
    active = module_outputs.capture(folded, ["relu3"], images)["relu3"] > 0
    noise = budget["fc1"].total * active
    each, average = (
        float(
            noise_budget.layer_noise(folded.fc2, 0, noise, v)["input"].mean()
        )
        for v in (noise, noise.mean().expand_as(noise))
    )
    over = 10 * np.log10(powers) - 10 * np.log10(budget["fc1"].noise["input"])
    return Dependence(*over.tolist(), 10 * np.log10(average / each))


def by_kind(
    parts: dict[str, dict[str, np.ndarray]], batch: int
) -> dict[str, dict[str, np.ndarray]]:
    """Milliseconds per image of each kind of part, by network.

    ``parts`` is what ``timer.parts`` found for ``batch`` images, seconds
    (sessions, rounds) by network and part; the values are (rounds,), of all
    sessions.
    """
    return {
        name: {
            kind: sum(1e3 * seconds[part] / batch for part in chosen).ravel()
            for kind, chosen in KINDS.items()
        }
        for name, seconds in parts.items()
    }


def profile(
    floats: dict[str, np.ndarray],
    integers: dict[str, np.ndarray],
    mixed: dict[str, np.ndarray],
) -> dict[str, float]:
    """Median times of pooling and conv2, by what a chapter calls them.

    Of a float, a quantized and a mixed network's ``by_kind``, (rounds,): ms
    per image, or percent of the float (``pooling``, ``conv2``) and of the
    mixed network's time (``conv2_share``).
    """
    first, second, third = (
        {kind: float(np.median(times)) for kind, times in found.items()}
        for found in (floats, integers, mixed)
    )
    return {
        "pooling": 100 * first["pooling"] / sum(first.values()),
        "pooling_float": first["pooling"],
        "pooling_integer": second["pooling"],
        "conv2": 100 * first["conv2"] / sum(first.values()),
        "conv2_float": first["conv2"],
        "conv2_integer": second["conv2"],
        "conv2_mixed": third["conv2"],
        "conv2_share": 100 * third["conv2"] / sum(third.values()),
    }


def bound_verdict(found: list[Interval], bound: float, busy: bool) -> str:
    """A sentence on a rule that allows speed-ups up to ``bound`` (a ratio).

    ``found`` are the speed-ups of networks to which the rule applies. The
    rule is refuted where one lies, with its whole interval, beyond the
    bound. Nothing is judged on a ``busy`` machine or without intervals.
    """
    if busy or any(np.isnan(ratio.low) for ratio in found):
        return "These times are not judged, so the rule is not judged either."
    if any(ratio.low > bound for ratio in found):
        return (
            "The rule is wrong: time is not proportional to "
            "multiply-accumulates."
        )
    if all(ratio.high <= bound for ratio in found):
        return "The rule allows both speed-ups, so they do not refute it."
    return "The speed-ups are too near the bound to refute the rule."
