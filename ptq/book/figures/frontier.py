"""Accuracy over time: where a strategy or a choice of float layers lies."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from ptq.book import show, style
from ptq.book.point_names import name_points, together
from ptq.book.style import AFTER, BAND, BEFORE, NEUTRAL
from ptq.evidence import thresholds
from ptq.evidence.intervals import Interval
from ptq.experiment import float_choices


@style.styled
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
    panels = {"nrows": len(times), "sharex": True, "sharey": True}
    height = 2.7 * len(times) + 0.6
    made, axes = style.figure(7.0, height, squeeze=False, **panels)
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
    style.legend(made, axis, "lower center", ncols=3, fontsize=8)
    for axis, taken in zip(axes.flat, times.values(), strict=True):
        _name(axis, taken, changes, labels)
    return made


def _changes_over_time(
    axis: Axes, taken: dict[str, Interval], changes: dict[str, Interval]
) -> None:
    """A marker for each strategy, with quartiles and paired interval."""
    for name, change in changes.items():
        look = style.look(name) | {"markersize": 6, "elinewidth": 0.8}
        style.marks(axis, [taken[name]], [100 * change], **look)


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


@style.styled
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
    made, axis = style.figure(7.0, 4.2)
    low, high = (100 * value for value in band)
    same = "told from FP32 only beyond it"
    axis.axhspan(low, high, color=BAND, zorder=0, label=same)
    for (title, found), colour, marker in zip(
        points.items(), (AFTER, BEFORE), "os", strict=False
    ):
        times, y = zip(*found.values(), strict=True)
        look = {"marker": marker, "color": colour, "elinewidth": 0.8}
        style.marks(axis, times, 100 * np.array(y), label=title, **look)
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


def choices(
    name: str, frame: pd.DataFrame, chosen: str, folder: Path
) -> None:
    """Show the accuracy of every choice over its time.

    ``frame`` is that of ``float_choices.compared``; ``chosen`` names the
    published choice.
    """
    rows = {row.Index: row for row in frame.itertuples()}
    fastest_first = frame[frame.frontier].sort_values("milliseconds").index
    optimal = {_named(rows[n]): _point(rows[n]) for n in fastest_first}
    band, fp32 = float_choices.band(frame), rows["fp32"].accuracy
    span = 100 * (frame.accuracy.max() - frame.accuracy.min())
    times = frame.milliseconds.max() / frame.milliseconds.min()
    where = "on" if rows[chosen].frontier else "not on"
    show.figure(
        assignments(
            {
                title: {
                    _named(row): _point(row)
                    for row in rows.values()
                    if row.folded == folded
                }
                for title, folded in (("folded", True), ("unfolded", False))
            },
            optimal | {"conv2 (as published)": _point(rows[chosen])},
            list(optimal.values()),
            (fp32 - band, fp32 + band),
        ),
        folder,
        name,
        f"All choices of float layers span {span:.2f} points of "
        f"accuracy, and {times:.1f}-fold times (bars: quartiles). The float "
        "layers are written beside each point of the frontier; the "
        f"published choice is {where} it.",
        f"Scatter of validation accuracy over time for {len(frame)} "
        "networks, in front of a band around the accuracy of FP32; float "
        f"layers of the fastest: {next(iter(optimal))}.",
    )


def _point(row) -> tuple[Interval, float]:
    """Milliseconds per image, with quartiles, and the share right."""
    quartiles = row.milliseconds_q1, row.milliseconds_q3
    return Interval(row.milliseconds, *quartiles), row.accuracy


def _named(row) -> str:
    """A choice by its float layers."""
    layers = " + ".join(row.float_layers) or "none"
    return layers if row.folded else f"{layers} (unfolded)"
