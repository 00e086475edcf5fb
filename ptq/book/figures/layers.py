"""Layers side by side: their errors, the noise in them, and their times."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from ptq.book import show, style
from ptq.book.style import AFTER, BEFORE, INK, NEUTRAL, PAPER
from ptq.evidence import intervals
from ptq.evidence.intervals import Interval
from ptq.experiment import layer_studies
from ptq.experiment.strategies import STRATEGIES
from ptq.measure.layer_errors import LayerError
from ptq.measure.noise_budget import Budget

Errors = dict[str, LayerError]


@style.styled
def bars(
    series: dict[str, dict[str, float | Interval]],
    ylabel: str,
    colours: Iterable[str] = (BEFORE, AFTER),
) -> Figure:
    """A quantity per layer, one group of bars a layer, log scale.

    ``series`` holds positive values, by title and layer; one of intervals
    gets error bars.
    """
    made, axis = style.figure(7.0, 3.0)
    layers = list(next(iter(series.values())))
    width = 0.8 / len(series)
    for i, (title, colour) in enumerate(zip(series, colours, strict=True)):
        heights, look = [series[title][n] for n in layers], {"color": colour}
        if isinstance(heights[0], Interval):
            look["yerr"] = style.error_bars(heights)
            look |= {"ecolor": INK, "capsize": 3}
            heights = [found.value for found in heights]
        places = np.arange(len(layers)) + i * width
        drawn = axis.bar(places, heights, width, label=title, **look)
        axis.bar_label(drawn, fmt="%.2g", fontsize=8, padding=2)
    axis.set_xticks(np.arange(len(layers)) + 0.4 - width / 2, layers)
    axis.set(yscale="log", ylabel=ylabel)
    axis.margins(y=0.15)
    axis.legend()
    return made


def sensitivity(
    name: str, published: Errors, alike: Errors, folder: Path
) -> None:
    """Show each layer's error as published and like for like."""
    factor = float(f"{published['conv2'].mse / alike['conv2'].mse:.1g}")
    series = {"published points": published, "like for like": alike}
    show.figure(
        bars(
            {t: {n: e.mse for n, e in s.items()} for t, s in series.items()},
            "MSE of the layer's output",
        ),
        folder,
        name,
        "Layer-wise error at the published points, and at the same points "
        "of both networks: the published comparison overstates the error of "
        f"conv2 {factor:,.0f}-fold.",
        "Bars of the mean squared error per layer on a logarithmic axis. The "
        "published bars of conv1 and conv2 are much higher than the "
        "like-for-like bars; those of fc1 and fc2 are equal.",
    )


def batches(
    name: str, errors: dict[str, dict[str, np.ndarray]], folder: Path
) -> None:
    """Show the layers' errors in two networks, over batches of images.

    ``errors`` holds mean squared errors (batches,), by strategy and layer,
    as ``layer_studies.errors_by_batch`` finds them; the second strategy is
    compared with the first, batch by batch.
    """
    first, second = errors.values()
    changes = [
        f"{_percent(second[layer] / first[layer] - 1)} in {layer}"
        for layer in first
    ]
    series = {
        STRATEGIES[strategy].label: {
            layer: intervals.mean(values) for layer, values in found.items()
        }
        for strategy, found in errors.items()
    }
    show.figure(
        bars(series, "MSE of the layer's output", map(style.colour, errors)),
        folder,
        name,
        "Layer-wise error, like for like; bars: 95 % interval over ten "
        "batches of images. Correcting the biases changes it, batch by "
        f"batch, by {', '.join(changes)}.",
        "Bars of the mean squared error of four layers on a logarithmic "
        "axis, folded with and without bias correction, with error bars.",
    )


def _percent(changes: np.ndarray) -> str:
    """The mean of changes (shares) with its interval, in percent."""
    found = 100 * intervals.mean(changes)
    return f"{found.value:+.1f} % ({found.low:+.1f} to {found.high:+.1f})"


def largest_miss(
    budgets: list[dict[str, Budget]], measured: list[dict[str, float]]
) -> float:
    """By how many dB a measured error is off its budget, at most."""
    return max(
        abs(budget[layer].excess(error))
        for budget, errors in zip(budgets, measured, strict=True)
        for layer, error in errors.items()
    )


def budget(
    name: str,
    budgets: list[dict[str, Budget]],
    measured: list[dict[str, float]],
    folder: Path,
) -> None:
    """Show the noise of each layer by cause, and as it was measured.

    ``budgets`` and ``measured`` have an item a draw; ``measured`` holds the
    mean squared error by layer.
    """
    show.figure(
        _noise(budgets, measured),
        folder,
        name,
        "Where the noise of each layer comes from, for five draws of "
        "calibration images. The bars are predictions: no quantized layer "
        "was run for them. The measured totals differ from them by "
        f"{largest_miss(budgets, measured):.1f} dB at most.",
        "Four groups of five stacked bars, a group for each layer, and a "
        "mark for the measured noise near the top of each bar. Rounding and "
        "the noise of the input are the large parts.",
    )


@style.styled
def _noise(
    budgets: list[dict[str, Budget]], measured: list[dict[str, float]]
) -> Figure:
    """One bar a draw, all relative to the layer's signal."""
    made, axis = style.figure(7.0, 3.6)
    looks = [
        style.shaded(c, pale) for c in (AFTER, BEFORE) for pale in (0, 1)
    ]
    layers = list(budgets[0])
    width = 0.8 / len(budgets)
    mark = {"color": INK, "markeredgecolor": PAPER, "markersize": 6}
    for i, (draw, errors) in enumerate(zip(budgets, measured, strict=True)):
        place = np.arange(len(layers)) + (i + 0.5) * width - 0.4
        signal = np.array([draw[n].signal for n in layers]) / 1e3
        start = np.zeros(len(layers))
        for cause, look in zip(draw[layers[0]].noise, looks, strict=True):
            part = np.array([draw[n].noise[cause] for n in layers]) / signal
            look["label"] = None if i else f"{cause} (predicted)"
            axis.bar(place, part, 0.85 * width, start, **look)
            start += part
        mark["label"] = None if i else "measured"
        total = np.array([errors[n] for n in layers]) / signal
        axis.plot(place, total, "D", **mark)
    axis.set_xticks(range(len(layers)), layers)
    axis.set_ylabel("noise (thousandths of the signal's power)")
    axis.grid(axis="x", visible=False)
    made.legend(loc="outside upper center", ncols=3, fontsize=8)
    return made


def profile(
    name: str,
    parts: dict[str, dict[str, np.ndarray]],
    batch: int,
    macs_share: float,
    busy: list[str],
    folder: Path,
) -> dict[str, float]:
    """Show where the time of each network goes; return the ``profile``.

    ``parts`` and ``busy`` are what ``timer.parts`` found for ``batch``
    images, (sessions, rounds) by network and part; in the first, the float
    network, conv2 has the share ``macs_share`` of the work.
    """
    profiles = layer_studies.by_kind(parts, batch)
    found = layer_studies.profile(*profiles.values())
    told = f" This machine was busy: {'; '.join(busy)}." if busy else ""
    labelled = {STRATEGIES[n].label: kinds for n, kinds in profiles.items()}
    show.figure(
        stacked(labelled, f"time per image at batch {batch} (ms)"),
        folder,
        name,
        "In the float network, max pooling takes "
        f"{found['pooling']:.0f} % of the time without one "
        f"multiply-accumulate; conv2 has {100 * macs_share:.0f} % of them "
        f"and takes {found['conv2']:.0f} %. (Medians; the mark is the sum, "
        f"with its quartiles.){told}",
        "Three stacked bars of time by part of the network, and a mark at "
        f"their sum. Pooling takes {found['pooling_float']:.3f} ms of FP32 "
        f"and {found['pooling_integer']:.3f} ms of the folded network.",
    )
    return found


@style.styled
def stacked(parts: dict[str, dict[str, np.ndarray]], xlabel: str) -> Figure:
    """One bar per network: the medians of its parts, stacked.

    ``parts`` holds, by network and part, the times (rounds,) in the unit
    that ``xlabel`` names; a mark shows the quartiles of their sum.
    """
    made, axis = style.figure(7.0, 0.6 * len(parts) + 1.6)
    palette = (BEFORE, BEFORE, AFTER, AFTER, NEUTRAL)
    start = np.zeros(len(parts))
    kinds = list(next(iter(parts.values())))
    for i, (kind, colour) in enumerate(zip(kinds, palette, strict=True)):
        width = np.array([np.median(taken[kind]) for taken in parts.values()])
        look = style.shaded(colour, pale=i % 2 == 1)
        axis.barh(list(parts), width, 0.6, left=start, label=kind, **look)
        start += width
    found = [intervals.quartiles(sum(t.values())) for t in parts.values()]
    sums = [Interval(middle, low, high) for low, middle, high in found]
    look = {"marker": "D", "color": INK, "capsize": 3, "markersize": 4}
    style.marks(axis, sums, parts, label="sum, quartiles", **look)
    axis.invert_yaxis()
    axis.set_xlabel(xlabel)
    made.legend(loc="outside upper center", ncols=3, fontsize=9)
    return made
