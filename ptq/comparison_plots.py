"""Figures that compare strategies, as a whole and class by class."""

import numpy as np
import pandas as pd
from matplotlib.colors import (
    LinearSegmentedColormap,
    Normalize,
    PowerNorm,
    to_rgba,
)
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator

from ptq import evidence
from ptq.data import CLASSES
from ptq.evidence import Interval
from ptq.figures import (
    BAND,
    COLOURS,
    GRID,
    INK,
    MARKERS,
    NEUTRAL,
    ON_COLOUR,
    error_bars,
    figure,
)

# From nothing at all to a colour: the page shows through where a count is
# zero, so that one drawing serves a light page and a dark one.
MORE, FEWER = "#3b6fd4", "#c86400"


def _fading(*colours: tuple) -> LinearSegmentedColormap:
    return LinearSegmentedColormap.from_list("fading", colours)


NONE = to_rgba(MORE, 0)
COUNTS = _fading(NONE, to_rgba(MORE))
CHANGES = _fading(to_rgba(FEWER), to_rgba(FEWER, 0), NONE, to_rgba(MORE))


def relative(frame: pd.DataFrame) -> dict[str, dict[str, Interval]]:
    """Size, time and accuracy of ``report.comparison``, its first row 1.

    The interval of a size is the size; accuracy has the paired one.
    """
    first, rows = frame.iloc[0], list(frame.itertuples())
    sizes = [row.file_bytes / first.file_bytes for row in rows]
    return {
        "size": dict(
            zip(frame.index, map(Interval, sizes, sizes, sizes), strict=True)
        ),
        "time": {
            row.Index: Interval(
                1 / row.speedup, 1 / row.speedup_high, 1 / row.speedup_low
            )
            for row in rows
        },
        "accuracy": {
            row.Index: Interval(
                1 + row.change / first.accuracy,
                1 + row.change_low / first.accuracy,
                1 + row.change_high / first.accuracy,
            )
            for row in rows
        },
    }


def normalized(
    rows: dict[str, dict[str, Interval]], labels: dict[str, str]
) -> Figure:
    """Each strategy's quantities with their intervals, FP32 being 1."""
    made, axes = figure(7.0, 3.6, ncols=len(rows), sharey=True)
    for axis, (what, values) in zip(axes, rows.items(), strict=True):
        for place, name in enumerate(labels):
            found = values[name]
            axis.barh(
                place, found.value, color=COLOURS[name],
                xerr=error_bars([found]), ecolor=NEUTRAL, capsize=2,
            )  # fmt: skip
            axis.annotate(
                f"{found.value:.3g}", (found.high, place), (4, 0),
                textcoords="offset points", va="center", fontsize=8,
            )  # fmt: skip
        axis.set_xlabel(f"{what} (FP32 = 1)")
        axis.axvline(1, color=NEUTRAL, linewidth=0.8, linestyle=":")
        axis.margins(x=0.25)
    axes[0].set_yticks(range(len(labels)), labels.values())
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
        axis.errorbar(
            time.value, 100 * accuracy.value,
            xerr=error_bars([time]), yerr=100 * error_bars([accuracy]),
            color=COLOURS[name], elinewidth=0.8, alpha=0.6,
        )  # fmt: skip
        axis.scatter(
            time.value, 100 * accuracy.value, s=size / 6e3,
            color=COLOURS[name], marker=MARKERS[name], label=labels[name],
            zorder=3,
        )  # fmt: skip
    axis.step(
        [points[n][0].value for n in optimal],
        [100 * points[n][1].value for n in optimal],
        where="post", color=NEUTRAL, linestyle="--", linewidth=1,
    )  # fmt: skip
    axis.set(
        xscale="log",
        xlabel="time per picture at batch 64 (ms, logarithmic)",
        ylabel="top-1 accuracy (%)",
    )
    axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.xaxis.set_major_formatter("{x:g}")
    axis.xaxis.set_minor_formatter("")
    legend = made.legend(loc="outside lower center", ncols=3, fontsize=8)
    for handle in legend.legend_handles:
        handle.set_sizes([40])
    return made


def class_accuracy(
    correct: dict[str, np.ndarray], n: np.ndarray, labels: dict[str, str]
) -> Figure:
    """Accuracy of each class, a marker per strategy.

    ``correct`` (10,) of ``n`` (10,) pictures a class are right; the bars
    are the 95 % intervals of the first strategy.
    """
    made, axis = figure(7.0, 4.2)
    first = next(iter(correct))
    for place, (right, all_) in enumerate(
        zip(correct[first], n, strict=True)
    ):
        if not all_:
            continue  # a small test set may lack a class
        found = evidence.accuracy(int(right), int(all_))
        axis.bar(
            place, 100 * (found.high - found.low), 0.84, 100 * found.low,
            color=BAND, edgecolor=GRID,
            label=None if place else f"{labels[first]}, 95 % interval",
        )  # fmt: skip
    for i, (name, right) in enumerate(correct.items()):
        offset = (i - (len(correct) - 1) / 2) * 0.08
        axis.plot(
            np.arange(10) + offset, 100 * right / np.where(n, n, np.nan),
            MARKERS[name],
            color=COLOURS[name], label=labels[name], markersize=4,
        )  # fmt: skip
    axis.set_xticks(range(10), CLASSES, rotation=40, ha="right")
    axis.set_ylabel("accuracy of the class (%)")
    axis.use_sticky_edges = False  # room below the lowest interval
    axis.margins(0.02)
    made.legend(loc="outside lower center", ncols=3, fontsize=8)
    return made


def confusion(counts: np.ndarray) -> Figure:
    """One confusion matrix (10, 10) with its counts."""
    made, axis = figure(5.2, 4.6)
    axis.imshow(counts, cmap=COUNTS)
    for (row, column), value in np.ndenumerate(counts):
        # Up to there, ink has the stronger contrast, on either page.
        colour = ON_COLOUR if value > 0.85 * counts.max() else INK
        axis.text(
            column, row, str(value),
            ha="center", va="center", fontsize=8, color=colour,
        )  # fmt: skip
    axis.set_xticks(range(10), CLASSES, rotation=90, fontsize=9)
    axis.set_yticks(range(10), CLASSES, fontsize=9)
    axis.set(xlabel="predicted class", ylabel="true class")
    axis.grid(False)
    return made


def confusions(
    matrices: dict[str, np.ndarray], difference: bool = False
) -> Figure:
    """Confusion matrices (10, 10) as colours, or their differences."""
    rows = -(-len(matrices) // 3)
    made, axes = figure(
        7.0, 1.9 * rows + 0.9, nrows=rows, ncols=3, squeeze=False
    )
    limit = max(abs(matrix).max() for matrix in matrices.values())
    # By its root, a few mistakes show beside hundreds of right answers.
    norm = PowerNorm(0.5, 0, limit)
    if difference:
        norm = Normalize(-limit, limit)
    for axis in axes.flat[len(matrices) :]:
        axis.axis("off")
    for i, (title, matrix) in enumerate(matrices.items()):
        axis = axes.flat[i]
        shown = axis.imshow(
            matrix, CHANGES if difference else COUNTS, norm=norm
        )
        # Names stand at the first of a row and at the last of a column.
        down = CLASSES if i % 3 == 0 else []
        across = CLASSES if i + 3 >= len(matrices) else []
        axis.set_xticks(range(len(across)), across, rotation=90, fontsize=7)
        axis.set_yticks(range(len(down)), down, fontsize=7)
        axis.set_title(title, fontsize=8)
        axis.grid(False)
    made.supxlabel("predicted class", fontsize=9)
    made.supylabel("true class", fontsize=9)
    whole = MaxNLocator(integer=True)
    bar = made.colorbar(
        shown, ax=axes, shrink=0.5 if rows > 1 else 1, aspect=30, ticks=whole
    )
    what = "pictures, difference from FP32" if difference else "pictures"
    bar.set_label(what, fontsize=9)
    return made
