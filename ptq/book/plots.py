"""Figures of data, training, layers, noise and times; paper against ours.

Comparisons of networks are in ``comparison_plots`` and ``confusion_plots``,
designed experiments in ``design_plots``, drawings of the explorers in
``explorer_drawings``.
"""

from collections.abc import Iterable

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from ptq.book import figures
from ptq.book.figures import (
    AFTER,
    BEFORE,
    INK,
    NEUTRAL,
    PAPER,
    figure,
    shaded,
    styled,
)
from ptq.evidence import intervals
from ptq.evidence.intervals import Interval
from ptq.measure.noise_budget import Budget
from ptq.quantizer.affine import Grid, fake_quantize


@styled
def images(pixels: Tensor, titles: Iterable[str]) -> Figure:
    """Images, uint8 (N, 3, 32, 32), ten a row, with a title each."""
    titles = list(titles)
    lines = [line for text in titles for line in text.split("\n")]
    longest = max(map(len, lines), default=0)
    size = 8 if longest < 12 else 7  # else titles overlap
    rows = max(-(-len(pixels) // 10), 1)
    made, axes = figure(7.0, 0.95 * rows, nrows=rows, ncols=10, squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    for axis, image, title in zip(axes.flat, pixels, titles, strict=False):
        axis.imshow(image.permute(1, 2, 0).numpy(), interpolation="none")
        axis.set_title(title, fontsize=size)
    return made


@styled
def stacked(parts: dict[str, dict[str, np.ndarray]], xlabel: str) -> Figure:
    """One bar per network: the medians of its parts, stacked.

    ``parts`` holds, by network and part, the times (rounds,) in the unit
    that ``xlabel`` names; a mark shows the quartiles of their sum.
    """
    made, axis = figure(7.0, 0.6 * len(parts) + 1.6)
    palette = (BEFORE, BEFORE, AFTER, AFTER, NEUTRAL)
    start = np.zeros(len(parts))
    kinds = list(next(iter(parts.values())))
    for i, (kind, colour) in enumerate(zip(kinds, palette, strict=True)):
        width = np.array([np.median(taken[kind]) for taken in parts.values()])
        axis.barh(
            list(parts), width, 0.6, left=start, label=kind,
            **shaded(colour, pale=i % 2 == 1),
        )  # fmt: skip
        start += width
    found = [intervals.quartiles(sum(t.values())) for t in parts.values()]
    spread = figures.error_bars(Interval(q[1], q[0], q[2]) for q in found)
    axis.errorbar(
        [median for _, median, _ in found], list(parts), xerr=spread,
        fmt="D", color=INK, capsize=3, markersize=4, label="sum, quartiles",
    )  # fmt: skip
    axis.invert_yaxis()
    axis.set_xlabel(xlabel)
    made.legend(loc="outside upper center", ncols=3, fontsize=9)
    return made


@styled
def training_curve(history: list[dict], n: int) -> Figure:
    """Loss (nats) and accuracy (percent) per epoch.

    ``history`` has a row an epoch, as ``training.train`` writes it, with
    accuracies as shares; ``n`` validation images were counted.
    """
    made, axes = figure(7.0, 3.0, ncols=2)
    epochs = np.arange(1, len(history) + 1)
    looks = {"train": (BEFORE, "--"), "validation": (AFTER, "-")}
    for axis, what, scale in zip(
        axes, ("loss", "accuracy"), (1, 100), strict=True
    ):
        for part, (colour, style) in looks.items():
            values = [scale * row[f"{part}_{what}"] for row in history]
            axis.plot(epochs, values, style, color=colour, label=part)
        axis.set_xlabel("epoch")
    counts = [round(n * row["validation_accuracy"]) for row in history]
    found = [intervals.accuracy(count, n) for count in counts]
    axes[1].fill_between(
        epochs, [100 * f.low for f in found], [100 * f.high for f in found],
        color=AFTER, alpha=0.3, linewidth=0, label="95 % interval",
    )  # fmt: skip
    best = 1 + int(np.argmax(counts))
    for axis in axes:
        axis.axvline(best, color=NEUTRAL, linestyle=":", label="best epoch")
    axes[0].set_ylabel("cross entropy (nats)")
    axes[1].set_ylabel("accuracy (%)")
    axes[1].legend()
    return made


@styled
def staircase(grid: Grid, low: float, high: float) -> Figure:
    """The rounded value, and its error, of each value in [low, high].

    On the left the values, on the right the error, both in units of ``low``
    and ``high``; dotted: half a step.
    """
    x = torch.linspace(low, high, 2001)
    x_hat = fake_quantize(x, grid)
    made, axes = figure(7.0, 2.9, ncols=2)
    axes[0].plot(x, x, "--", color=NEUTRAL, label="$x$")
    axes[0].plot(x, x_hat, color=AFTER, label=r"$\hat{x}$")
    axes[0].set(xlabel="$x$", ylabel=r"$\hat{x}$")
    axes[0].legend()
    axes[1].plot(x, x_hat - x, color=BEFORE)
    for level in (-0.5, 0.5):
        axes[1].axhline(level * float(grid.scale), color=NEUTRAL, ls=":")
    axes[1].set(xlabel="$x$", ylabel=r"error $\hat{x}-x$")
    return made


@styled
def noise_parts(
    budgets: list[dict[str, Budget]], measured: list[dict[str, float]]
) -> Figure:
    """Predicted noise of each layer by cause, one bar a draw, and measured.

    ``budgets`` and ``measured`` have an item a draw; ``measured`` holds the
    mean squared error by layer. All is drawn relative to the layer's signal.
    """
    made, axis = figure(7.0, 3.6)
    looks = [shaded(c, pale) for c in (AFTER, BEFORE) for pale in (0, 1)]
    layers = list(budgets[0])
    causes = budgets[0][layers[0]].noise
    width = 0.8 / len(budgets)
    for i, (budget, errors) in enumerate(zip(budgets, measured, strict=True)):
        place = np.arange(len(layers)) + (i + 0.5) * width - 0.4
        signal = np.array([budget[n].signal for n in layers]) / 1e3
        start = np.zeros(len(layers))
        for cause, look in zip(causes, looks, strict=True):
            part = np.array([budget[n].noise[cause] for n in layers]) / signal
            axis.bar(
                place, part, 0.85 * width, start, **look,
                label=f"{cause} (predicted)" if i == 0 else None,
            )  # fmt: skip
            start += part
        axis.plot(
            place, np.array([errors[n] for n in layers]) / signal, "D",
            color=INK, markeredgecolor=PAPER, markersize=6,
            label="measured" if i == 0 else None,
        )  # fmt: skip
    axis.set_xticks(range(len(layers)), layers)
    axis.set_ylabel("noise (thousandths of the signal's power)")
    axis.grid(axis="x", visible=False)
    made.legend(loc="outside upper center", ncols=3, fontsize=8)
    return made


@styled
def histograms(
    panels: dict[str, Tensor], xlabels: list[str], bins: list[np.ndarray]
) -> Figure:
    """One histogram a panel, all on one logarithmic axis of counts.

    ``panels`` holds values of any shape by title; ``xlabels`` and the edges
    of ``bins`` are one a panel.
    """
    made, axes = figure(7.0, 2.8, ncols=len(panels), sharey=True)
    colours = (BEFORE, AFTER)
    for i, (title, values) in enumerate(panels.items()):
        axes[i].hist(
            values.flatten().numpy(), bins[i], color=colours[i % 2],
            log=True, histtype="stepfilled",
        )  # fmt: skip
        axes[i].set_title(title, fontsize=10)
        axes[i].set_xlabel(xlabels[i])
    axes[0].set_ylabel("count")
    return made


@styled
def channels(
    before: dict[str, Tensor], after: dict[str, Tensor], ylabel: str
) -> Figure:
    """A value (C,) for each channel, before and after, a panel per layer.

    ``ylabel`` names the quantity and its unit.
    """
    rows = -(-len(before) // 2)
    made, axes = figure(
        7.0, 2.3 * rows + 0.4, nrows=rows, ncols=2, squeeze=False
    )
    for axis, name in zip(axes.flat, before, strict=True):
        order = before[name].argsort()
        for values, marker, colour, label in (
            (before[name], "o", BEFORE, "before"),
            (after[name], "x", AFTER, "after"),
        ):
            axis.plot(
                values[order], marker, color=colour, markersize=3, label=label
            )
        axis.set_title(name, fontsize=10)
        axis.axhline(0, color=NEUTRAL, linewidth=0.8)
    made.supxlabel("channel, sorted by its value before", fontsize=10)
    made.supylabel(ylabel, fontsize=10)
    named = axes.flat[0].get_legend_handles_labels()
    made.legend(*named, loc="outside upper left", ncols=2)
    return made


@styled
def layer_bars(
    series: dict[str, dict[str, float | Interval]],
    ylabel: str,
    colours: Iterable[str] = (BEFORE, AFTER),
) -> Figure:
    """A quantity per layer, one group of bars a layer, log scale.

    ``series`` holds positive values, by title and layer; one of intervals
    gets error bars.
    """
    made, axis = figure(7.0, 3.0)
    layers = list(next(iter(series.values())))
    width = 0.8 / len(series)
    for i, (title, colour) in enumerate(zip(series, colours, strict=True)):
        heights, spread = [series[title][n] for n in layers], None
        if isinstance(heights[0], Interval):
            spread = figures.error_bars(heights)
            heights = [found.value for found in heights]
        bars = axis.bar(
            np.arange(len(layers)) + i * width, heights, width, label=title,
            color=colour, yerr=spread, ecolor=INK, capsize=3,
        )  # fmt: skip
        axis.bar_label(bars, fmt="%.2g", fontsize=8, padding=2)
    axis.set_xticks(np.arange(len(layers)) + 0.4 - width / 2, layers)
    axis.set(yscale="log", ylabel=ylabel)
    axis.margins(y=0.15)
    axis.legend()
    return made


@styled
def forest(
    panels: dict[str, dict[str, tuple[Interval, Interval]]],
) -> Figure:
    """The paper's number and ours with their intervals, row by row.

    ``panels`` holds, by the name of the axis, (paper's, ours) of each row;
    an interval of no width is drawn as a point.
    """
    made, axes = figure(7.0, 3.2, ncols=len(panels), sharey=True)
    for axis, (what, rows) in zip(axes, panels.items(), strict=True):
        for i, (label, colour, marker) in enumerate(
            (("paper", BEFORE, "D"), ("ours", AFTER, "o"))
        ):
            found = [pair[i] for pair in rows.values()]
            axis.errorbar(
                [f.value for f in found],
                np.arange(len(rows)) + (i - 0.5) * 0.3,
                xerr=figures.error_bars(found),
                fmt=marker, color=colour, markersize=5, label=label,
            )  # fmt: skip
        axis.set_yticks(range(len(rows)), list(rows))
        axis.set_xlabel(what)
    axes[0].invert_yaxis()
    marks, names = axes[0].get_legend_handles_labels()
    made.legend(marks, names, loc="outside upper center", ncols=2)
    return made
