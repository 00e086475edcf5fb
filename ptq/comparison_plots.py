"""Figures that compare strategies, as a whole and class by class."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import (
    FuncNorm,
    LinearSegmentedColormap,
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
    styled,
)
from ptq.labels import name_points, together

# Where a count is zero the page shows through, light or dark; the smallest
# one that is not is seen on either.
MORE, FEWER, LEAST = "#3b6fd4", "#c86400", 0.2


def _fading(*places: tuple[float, tuple]) -> LinearSegmentedColormap:
    """Colours at places from 0 to 1, and nothing for what is masked."""
    return LinearSegmentedColormap.from_list("fading", places, bad=(0,) * 4)


COUNTS = _fading((0, to_rgba(MORE, LEAST)), (1, to_rgba(MORE)))
CHANGES = _fading(
    (0, to_rgba(FEWER)),
    (0.5, to_rgba(FEWER, LEAST)),
    (0.5, to_rgba(MORE, LEAST)),
    (1, to_rgba(MORE)),
)


def paired(frame: pd.DataFrame) -> dict[str, Interval]:
    """Change of accuracy (a share) of ``report.comparison``, by strategy.

    The first row is what others are compared with: 0, and no interval.
    """
    rows = list(frame.itertuples())
    return {rows[0].Index: Interval(0, 0, 0)} | {
        row.Index: Interval(row.change, row.change_low, row.change_high)
        for row in rows[1:]
    }


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


@styled
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


@styled
def frontier(
    times: dict[int, dict[str, Interval]],
    changes: dict[str, Interval],
    optimal: dict[int, list[str]],
    labels: dict[str, str],
    margin: float = 0.005,
) -> Figure:
    """Change of accuracy over time, a panel for each batch size.

    ``times`` gives, by batch size and strategy, the median and quartiles in
    ms per image; ``changes`` the paired change (a share), the first being
    that of the reference, 0. ``optimal`` names the Pareto frontier of each
    batch size, fastest first. The dotted line is a loss of ``margin``.
    """
    made, axes = figure(
        7.0, 2.7 * len(times) + 0.6, nrows=len(times), sharex=True,
        sharey=True, squeeze=False,
    )  # fmt: skip
    for axis, (batch, taken) in zip(axes.flat, times.items(), strict=True):
        _changes_over_time(axis, taken, changes)
        ends = [
            (taken[n].value, 100 * changes[n].value) for n in optimal[batch]
        ]
        axis.step(
            *zip(*ends, strict=True), where="post", color=NEUTRAL,
            linestyle="--", linewidth=1, label="frontier",
        )  # fmt: skip
        axis.axhline(0, color=NEUTRAL, linewidth=0.8, label="as FP32")
        axis.axhline(
            -100 * margin, color=NEUTRAL, linestyle=":",
            label=f"a loss of {100 * margin:g} points",
        )  # fmt: skip
        axis.set_title(f"batch {batch}", fontsize=10)
        axis.margins(0.08)
    axis.set_xscale("log")
    axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.xaxis.set_major_formatter("{x:g}")
    axis.xaxis.set_minor_formatter("")
    axis.set_xlabel("time per image (ms, logarithmic)")
    made.supylabel("change of accuracy (points)", fontsize=10)
    known = axis.get_legend_handles_labels()
    made.legend(*known, loc="outside lower center", ncols=3, fontsize=8)
    for axis, taken in zip(axes.flat, times.values(), strict=True):
        _name(axis, taken, changes, labels, (0, -100 * margin))
    return made


def _changes_over_time(
    axis: Axes, taken: dict[str, Interval], changes: dict[str, Interval]
) -> None:
    """A marker for each strategy, with quartiles and paired interval."""
    for name, change in changes.items():
        axis.errorbar(
            taken[name].value, 100 * change.value,
            xerr=error_bars([taken[name]]), yerr=100 * error_bars([change]),
            color=COLOURS[name], marker=MARKERS[name], markersize=6,
            elinewidth=0.8,
        )  # fmt: skip


def _name(
    axis: Axes,
    taken: dict[str, Interval],
    changes: dict[str, Interval],
    labels: dict[str, str],
    levels: tuple[float, ...],
) -> None:
    """Write the strategies' names; those on one point share a label.

    Names keep off the lines at ``levels``, and off the intervals.
    """
    axis.figure.draw_without_rendering()  # for places on the paper
    places = {n: (taken[n].value, 100 * c.value) for n, c in changes.items()}
    groups = together(axis, places)
    named = {
        "\n".join(_same(group, changes, labels)): places[group[0]]
        for group in groups
    }
    bars = [
        ((x, 100 * c.low), (x, 100 * c.high))
        for (x, _), c in zip(places.values(), changes.values(), strict=True)
    ]
    left, right = axis.get_xlim()
    bars += [((left, level), (right, level)) for level in levels]
    name_points(axis, named, places.values(), bars)


def _same(
    group: list[str], changes: dict[str, Interval], labels: dict[str, str]
) -> list[str]:
    """Names of one label, = where the change is the same, ≈ where near."""
    first, *others = group
    return [labels[first]] + [
        f"{'=' if changes[n] == changes[first] else '≈'} {labels[n]}"
        for n in others
    ]


@styled
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


@styled
def confusion(counts: np.ndarray) -> Figure:
    """One confusion matrix (10, 10) with its counts."""
    made, axis = figure(5.2, 4.6)
    axis.imshow(np.ma.masked_equal(counts, 0), cmap=COUNTS, vmin=0)
    for (row, column), value in np.ndenumerate(counts):
        # Up to there, ink has the stronger contrast, on either page.
        colour = ON_COLOUR if value > 0.8 * counts.max() else INK
        axis.text(
            column, row, str(value),
            ha="center", va="center", fontsize=8, color=colour,
        )  # fmt: skip
    axis.set_xticks(range(10), CLASSES, rotation=90, fontsize=9)
    axis.set_yticks(range(10), CLASSES, fontsize=9)
    axis.set(xlabel="predicted class", ylabel="true class")
    axis.grid(False)
    return made


def _root(change: np.ndarray) -> np.ndarray:
    return np.sign(change) * np.sqrt(np.abs(change))


def _square(root: np.ndarray) -> np.ndarray:
    return np.sign(root) * root**2


@styled
def confusions(
    matrices: dict[str, np.ndarray], difference: bool = False
) -> Figure:
    """Confusion matrices (10, 10) as colours, or their differences."""
    rows = -(-len(matrices) // 3)
    made, axes = figure(
        7.0, 1.9 * rows + 0.9, nrows=rows, ncols=3, squeeze=False
    )
    limit = max(abs(matrix).max() for matrix in matrices.values())
    # By its root, a few images show beside hundreds.
    norm = PowerNorm(0.5, 0, limit)
    if difference:
        norm = FuncNorm((_root, _square), -limit, limit)
    for axis in axes.flat[len(matrices) :]:
        axis.axis("off")
    for i, (title, matrix) in enumerate(matrices.items()):
        axis = axes.flat[i]
        shown = axis.imshow(
            np.ma.masked_equal(matrix, 0),
            CHANGES if difference else COUNTS,
            norm=norm,
        )
        if not matrix.any():
            axis.text(
                4.5, 4.5, "no cell differs" if difference else "no image",
                ha="center", va="center", fontsize=8,
            )  # fmt: skip
        # Names stand at the first of a row and at the last of a column.
        down = CLASSES if i % 3 == 0 else []
        across = CLASSES if i + 3 >= len(matrices) else []
        axis.set_xticks(range(len(across)), across, rotation=90, fontsize=7)
        axis.set_yticks(range(len(down)), down, fontsize=7)
        axis.set_title(title, fontsize=8)
        axis.grid(False)
    made.supxlabel("predicted class", fontsize=9)
    made.supylabel("true class", fontsize=9)
    whole = MaxNLocator(4, integer=True)
    bar = made.colorbar(
        shown, ax=axes, shrink=0.5 if rows > 1 else 1, aspect=30, ticks=whole
    )
    what = "images, difference from FP32" if difference else "images"
    bar.set_label(what, fontsize=9)
    bar.ax.tick_params(labelsize=8)
    return made
