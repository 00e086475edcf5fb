"""Every figure of the book; each function returns a Figure."""

from collections.abc import Iterable

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator
from torch import Tensor

from ptq import data
from ptq.evidence import Interval
from ptq.figures import AFTER, BEFORE, COLOURS, MARKERS, NEUTRAL, figure
from ptq.quantizer import Grid, fake_quantize


def images(
    pixels: Tensor, titles: Iterable[str], columns: int = 10
) -> Figure:
    """Pictures, uint8 (N, 3, 32, 32), in rows, with a title each."""
    rows = -(-len(pixels) // columns)
    made, axes = figure(
        7.0, 0.95 * rows, nrows=rows, ncols=columns, squeeze=False
    )
    for axis in axes.flat:
        axis.axis("off")
    for axis, picture, title in zip(axes.flat, pixels, titles, strict=False):
        axis.imshow(picture.permute(1, 2, 0).numpy())
        axis.set_title(title, fontsize=8)
    return made


def shares(parts: dict[str, dict[str, int]]) -> Figure:
    """Per layer, its share of each quantity, in percent."""
    made, axis = figure(7.0, 2.6)
    layers = list(next(iter(parts.values())))
    height = 0.8 / len(parts)
    for i, (title, counts) in enumerate(parts.items()):
        percent = [100 * counts[n] / sum(counts.values()) for n in layers]
        bars = axis.barh(
            np.arange(len(layers)) + i * height,
            percent,
            height,
            label=title,
            color=(AFTER, BEFORE)[i % 2],
        )
        axis.bar_label(bars, fmt="%.1f", padding=3, fontsize=8)
    axis.set_yticks(np.arange(len(layers)) + 0.4 - height / 2, layers)
    axis.invert_yaxis()
    axis.set(xlabel="share of the whole network (%)", xlim=(0, 108))
    axis.legend(loc="lower right")
    return made


def stacked(parts: dict[str, dict[str, float]], xlabel: str) -> Figure:
    """One bar a network, made of the same parts in the same order."""
    made, axis = figure(7.0, 0.55 * len(parts) + 1.3)
    palette = ("#0072b2", "#56b4e9", "#d55e00", "#e69f00", "#999999")
    kinds = list(next(iter(parts.values())))
    start = np.zeros(len(parts))
    for kind, colour in zip(kinds, palette, strict=False):
        width = np.array([values[kind] for values in parts.values()])
        axis.barh(list(parts), width, left=start, color=colour, label=kind)
        start += width
    axis.invert_yaxis()
    axis.set_xlabel(xlabel)
    axis.legend(loc="lower right")
    return made


def training_curve(history: list[dict]) -> Figure:
    """Loss and accuracy per epoch, training against validation."""
    made, axes = figure(7.0, 2.8, ncols=2)
    epochs = np.arange(1, len(history) + 1)
    for axis, what, scale in (
        (axes[0], "loss", 1),
        (axes[1], "accuracy", 100),
    ):
        for part, colour, style in (
            ("train", BEFORE, "--"),
            ("validation", AFTER, "-"),
        ):
            values = [scale * row[f"{part}_{what}"] for row in history]
            axis.plot(epochs, values, style, color=colour, label=part)
        axis.set_xlabel("epoch")
    axes[0].set_ylabel("cross entropy (nats)")
    axes[1].set_ylabel("accuracy (%)")
    axes[0].legend()
    return made


def confusion(counts: np.ndarray) -> Figure:
    """One confusion matrix (10, 10) with its counts."""
    made, axis = figure(5.2, 4.6)
    axis.imshow(counts, cmap="Blues")
    for (row, column), value in np.ndenumerate(counts):
        colour = "white" if value > 0.6 * counts.max() else "#333333"
        axis.text(
            column,
            row,
            str(value),
            ha="center",
            va="center",
            fontsize=8,
            color=colour,
        )
    axis.set_xticks(range(10), data.CLASSES, rotation=90, fontsize=9)
    axis.set_yticks(range(10), data.CLASSES, fontsize=9)
    axis.set(xlabel="predicted class", ylabel="true class")
    axis.grid(False)
    return made


def confusions(
    matrices: dict[str, np.ndarray], difference: bool = False
) -> Figure:
    """Confusion matrices (10, 10) as colours, or their differences."""
    rows = -(-len(matrices) // 3)
    made, axes = figure(7.0, 2.5 * rows, nrows=rows, ncols=3, squeeze=False)
    limit = max(abs(matrix).max() for matrix in matrices.values())
    for axis in axes.flat[len(matrices) :]:
        axis.axis("off")
    for axis, (title, matrix) in zip(
        axes.flat, matrices.items(), strict=False
    ):
        shown = axis.imshow(
            matrix,
            cmap="PuOr_r" if difference else "Blues",
            vmin=-limit if difference else 0,
            vmax=limit,
        )
        short = [name[:4] for name in data.CLASSES]
        axis.set_xticks(range(10), short, rotation=90, fontsize=7)
        axis.set_yticks(range(10), short, fontsize=7)
        axis.set_title(title, fontsize=8)
        axis.grid(False)
    made.supxlabel("predicted class", fontsize=9)
    made.supylabel("true class", fontsize=9)
    bar = made.colorbar(shown, ax=axes, shrink=0.5, aspect=30)
    bar.set_label("pictures more than FP32" if difference else "pictures")
    return made


def staircase(grid: Grid, low: float, high: float) -> Figure:
    """What a grid makes of each value in [low, high], and the error."""
    x = torch.linspace(low, high, 2001)
    x_hat = fake_quantize(x, grid)
    made, axes = figure(7.0, 2.9, ncols=2)
    axes[0].plot(x, x, "--", color=NEUTRAL, label="$x$")
    axes[0].plot(x, x_hat, color=AFTER, label=r"$\hat{x}$")
    axes[0].set(xlabel="$x$", ylabel=r"$\hat{x}$")
    axes[0].legend()
    axes[1].plot(x, x_hat - x, color=BEFORE)
    half = float(grid.scale) / 2
    for level in (-half, half):
        axes[1].axhline(level, color=NEUTRAL, linestyle=":")
    axes[1].set(xlabel="$x$", ylabel=r"error $\hat{x}-x$")
    return made


def histograms(
    panels: dict[str, Tensor], xlabels: list[str], bins: list[np.ndarray]
) -> Figure:
    """One histogram a panel, on a logarithmic count axis."""
    made, axes = figure(7.0, 2.8, ncols=len(panels))
    colours = (BEFORE, AFTER)
    for i, (title, values) in enumerate(panels.items()):
        axes[i].hist(
            values.flatten().numpy(), bins[i], color=colours[i % 2], log=True
        )
        axes[i].set_title(title, fontsize=10)
        axes[i].set_xlabel(xlabels[i])
    axes[0].set_ylabel("count")
    return made


def channels(
    before: dict[str, Tensor], after: dict[str, Tensor], ylabel: str
) -> Figure:
    """A value for each channel, before and after, a panel per layer."""
    rows = -(-len(before) // 2)
    made, axes = figure(7.0, 2.4 * rows, nrows=rows, ncols=2, squeeze=False)
    for axis, name in zip(axes.flat, before, strict=True):
        order = before[name].argsort()
        for values, marker, colour, label in (
            (before[name], ".", BEFORE, "before"),
            (after[name], "x", AFTER, "after"),
        ):
            axis.plot(
                values[order], marker, color=colour, markersize=4, label=label
            )
        axis.set_title(name, fontsize=10)
        axis.axhline(0, color=NEUTRAL, linewidth=0.8)
    made.supxlabel("channel, sorted by its value before", fontsize=10)
    made.supylabel(ylabel, fontsize=10)
    axes.flat[0].legend()
    return made


def layer_bars(series: dict[str, dict[str, float]], ylabel: str) -> Figure:
    """A quantity per layer, one group of bars a layer, log scale."""
    made, axis = figure(7.0, 3.0)
    layers = list(next(iter(series.values())))
    width = 0.8 / len(series)
    for i, (title, values) in enumerate(series.items()):
        bars = axis.bar(
            np.arange(len(layers)) + i * width,
            [values[n] for n in layers],
            width,
            label=title,
            color=(BEFORE, AFTER)[i % 2],
        )
        axis.bar_label(bars, fmt="%.2g", fontsize=8, padding=2)
    axis.set_xticks(np.arange(len(layers)) + 0.4 - width / 2, layers)
    axis.set(yscale="log", ylabel=ylabel)
    axis.margins(y=0.15)
    axis.legend()
    return made


def normalized(
    rows: dict[str, dict[str, float]], labels: dict[str, str]
) -> Figure:
    """Size, latency and accuracy of each strategy, FP32 being 1."""
    made, axes = figure(7.0, 3.2, ncols=3, sharey=True)
    names = list(labels)
    for axis, (what, values) in zip(axes, rows.items(), strict=True):
        bars = axis.barh(
            [labels[n] for n in names],
            [values[n] for n in names],
            color=[COLOURS[n] for n in names],
        )
        axis.bar_label(bars, fmt="%.3g", fontsize=8, padding=2)
        axis.set_xlabel(what)
        axis.axvline(1, color=NEUTRAL, linewidth=0.8, linestyle=":")
        axis.margins(x=0.22)
    axes[0].invert_yaxis()
    return made


def frontier(
    points: dict[str, tuple[Interval, Interval, float]],
    optimal: list[str],
    labels: dict[str, str],
) -> Figure:
    """Accuracy over latency; area of a point is the file's size.

    ``points`` gives latency (ms), accuracy (0 to 1) and bytes; ``optimal``
    are the names on the Pareto frontier, fastest first.
    """
    made, axis = figure(7.0, 4.2)
    for name, (time, accuracy, size) in points.items():
        y = [100 * v for v in (accuracy.value, accuracy.low, accuracy.high)]
        axis.errorbar(
            time.value, y[0],
            xerr=[[time.value - time.low], [time.high - time.value]],
            yerr=[[y[0] - y[1]], [y[2] - y[0]]],
            color=COLOURS[name], elinewidth=0.8, alpha=0.6,
        )  # fmt: skip
        axis.scatter(
            time.value, y[0], s=size / 6e3, color=COLOURS[name],
            marker=MARKERS[name], label=labels[name], zorder=3,
        )  # fmt: skip
    axis.step(
        [points[n][0].value for n in optimal],
        [100 * points[n][1].value for n in optimal],
        where="post", color=NEUTRAL, linestyle="--", linewidth=1,
    )  # fmt: skip
    axis.set(
        xscale="log",
        xlabel="time per image at batch 64 (ms, logarithmic)",
        ylabel="top-1 accuracy (%)",
    )
    axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.xaxis.set_major_formatter("{x:g}")
    axis.xaxis.set_minor_formatter("")
    legend = made.legend(loc="outside right center", fontsize=8)
    for handle in legend.legend_handles:
        handle.set_sizes([40])
    return made


def class_accuracy(
    values: dict[str, np.ndarray], labels: dict[str, str]
) -> Figure:
    """Accuracy of each class, a marker per strategy."""
    made, axis = figure(7.0, 3.8)
    for i, (name, accuracies) in enumerate(values.items()):
        offset = (i - len(values) / 2) * 0.08
        axis.plot(
            np.arange(10) + offset, 100 * accuracies, MARKERS[name],
            color=COLOURS[name], label=labels[name], markersize=5,
        )  # fmt: skip
    axis.set_xticks(range(10), data.CLASSES, rotation=40, ha="right")
    axis.set_ylabel("accuracy of the class (%)")
    made.legend(loc="outside right center", fontsize=8)
    return made


def assignments(
    points: dict[str, dict[str, tuple[float, float]]],
    marked: dict[str, tuple[float, float]],
    optimal: list[tuple[float, float]],
    band: tuple[float, float],
) -> Figure:
    """Accuracy over time of every choice of float layers.

    ``points`` holds, for each series, (ms, accuracy) by name; ``marked``
    are written beside their points; ``optimal`` is the frontier, fastest
    first; ``band`` is the accuracy that cannot be told from the reference's.
    """
    made, axis = figure(7.0, 4.0)
    low, high = (100 * value for value in band)
    axis.axhspan(low, high, color="#eeeeee", label="not told from FP32")
    for (title, found), colour, marker in zip(
        points.items(), (AFTER, BEFORE), "os", strict=False
    ):
        x, y = zip(*found.values(), strict=True)
        axis.plot(x, 100 * np.array(y), marker, color=colour, label=title)
    x, y = zip(*optimal, strict=True)
    axis.step(
        x, 100 * np.array(y), "--", where="post", color=NEUTRAL, linewidth=1
    )
    for name, (milliseconds, accuracy) in marked.items():
        axis.annotate(
            name,
            (milliseconds, 100 * accuracy),
            textcoords="offset points",
            xytext=(5, 6),
            fontsize=8,
        )
    axis.set(
        xlabel="time per image at batch 64 (ms)",
        ylabel="validation accuracy (%)",
    )
    axis.legend(fontsize=8)
    return made
