"""Figures that compare networks by accuracy, time and size."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from ptq.book.figures import (
    AFTER,
    BAND,
    BEFORE,
    COLOURS,
    GRID,
    MARKERS,
    NEUTRAL,
    error_bars,
    figure,
    styled,
)
from ptq.book.point_names import name_points, together
from ptq.data.cifar10 import CLASSES
from ptq.evidence import intervals, thresholds
from ptq.evidence.intervals import Interval


def paired(frame: pd.DataFrame) -> dict[str, Interval]:
    """Change of accuracy (a share) of ``Comparison.frame``, by strategy.

    The first row is what others are compared with: 0, and no interval.
    """
    rows = list(frame.itertuples())
    return {rows[0].Index: Interval(0, 0, 0)} | {
        row.Index: Interval(row.change, row.change_low, row.change_high)
        for row in rows[1:]
    }


def relative(frame: pd.DataFrame) -> dict[str, dict[str, Interval]]:
    """Size, time and accuracy of ``Comparison.frame``, its first row 1.

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
    """Each strategy's quantities with their intervals, FP32 being 1.

    ``rows`` is what ``relative`` returns: ratios, by quantity and strategy.
    """
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
    margin: float = thresholds.MARGIN,
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
        _stairs(axis, ends)
        _levels(axis, margin)
        axis.set_title(f"batch {batch}", fontsize=10)
        axis.margins(0.08)
    axis.set(xscale="log", xlabel="time per image (ms, logarithmic)")
    axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.xaxis.set_major_formatter("{x:g}")
    axis.xaxis.set_minor_formatter("")
    made.supylabel("change of accuracy (points)", fontsize=10)
    known = axis.get_legend_handles_labels()
    made.legend(*known, loc="outside lower center", ncols=3, fontsize=8)
    for axis, taken in zip(axes.flat, times.values(), strict=True):
        _name(axis, taken, changes, labels)
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


def _levels(axis: Axes, margin: float) -> None:
    """Lines at no change and at a loss of ``margin`` (a share)."""
    axis.axhline(0, color=NEUTRAL, linewidth=0.8, label="as FP32")
    loss = f"a loss of {100 * margin:g} points"
    axis.axhline(-100 * margin, color=NEUTRAL, linestyle=":", label=loss)


def _stairs(axis: Axes, corners: list[tuple[float, float]]) -> None:
    """The frontier through its points (x, y), from left to right."""
    x, y = np.repeat(corners, 2, axis=0).T
    looks = {"color": NEUTRAL, "linestyle": "--", "linewidth": 1}
    axis.plot(x[1:], y[:-1], **looks, label="frontier")


def _name(
    axis: Axes,
    taken: dict[str, Interval],
    changes: dict[str, Interval],
    labels: dict[str, str],
) -> None:
    """Write the strategies' names; names of one point share a label."""
    axis.figure.draw_without_rendering()  # for places on the paper
    places = {n: (taken[n].value, 100 * c.value) for n, c in changes.items()}
    groups = together(axis, places)
    named = {
        "\n".join(_same(group, changes, labels)): places[group[0]]
        for group in groups
    }
    name_points(axis, named)


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

    ``correct`` (10,) of ``n`` (10,) images a class are right; the bars
    are the 95 % intervals of the first strategy.
    """
    made, axis = figure(7.0, 4.2)
    first = next(iter(correct))
    for place, (right, all_) in enumerate(
        zip(correct[first], n, strict=True)
    ):
        if not all_:
            continue  # a small test set may lack a class
        found = intervals.accuracy(int(right), int(all_))
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
def assignments(
    points: dict[str, dict[str, tuple[Interval, float]]],
    marked: dict[str, tuple[Interval, float]],
    optimal: list[tuple[Interval, float]],
    band: tuple[float, float],
) -> Figure:
    """Accuracy over time of every choice of float layers.

    ``points`` holds, for each series, (ms an image, accuracy as a share) by
    name; ``marked`` are written beside their points; ``optimal`` is the
    frontier, fastest first; ``band`` holds the accuracies, shares, that
    cannot be told from the reference's.
    """
    made, axis = figure(7.0, 4.2)
    low, high = (100 * value for value in band)
    same = "told from FP32 only beyond it"
    axis.axhspan(low, high, color=BAND, zorder=0, label=same)
    for (title, found), colour, marker in zip(
        points.items(), (AFTER, BEFORE), "os", strict=False
    ):
        times, y = zip(*found.values(), strict=True)
        axis.errorbar(
            [time.value for time in times], 100 * np.array(y),
            xerr=error_bars(times), fmt=marker, color=colour,
            label=title, elinewidth=0.8,
        )  # fmt: skip
    _stairs(axis, [_place(point) for point in optimal])
    axis.set(
        xlabel="time per image at batch 64 (ms)",
        ylabel="validation accuracy (%)",
    )
    made.legend(loc="outside lower center", ncols=4, fontsize=8)
    name_points(axis, {n: _place(point) for n, point in marked.items()})
    return made


def _place(point: tuple[Interval, float]) -> tuple[float, float]:
    """Where a point (ms, share) lies, in ms and percent."""
    return point[0].value, 100 * point[1]
