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
from ptq.evidence.intervals import Interval
from ptq.evidence.thresholds import MARGIN
from ptq.experiment import float_choices


@style.styled
def frontier(
    times: dict[int, dict[str, Interval]],
    changes: dict[str, Interval],
    optimal: dict[int, list[str]],
    labels: dict[str, str],
) -> Figure:
    """Change of accuracy over time, a panel for each batch size.

    ``times`` gives, by batch size and strategy, the median and quartiles in
    ms per image; ``changes`` the paired change (a share), the first being
    that of the reference, 0. ``optimal`` names the Pareto frontier of each
    batch size, fastest first. The dotted line is a loss of ``MARGIN``.
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
        _levels(axis)
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


def _levels(axis: Axes) -> None:
    """Lines at no change and at a loss of ``MARGIN`` (a share)."""
    axis.axhline(0, color=NEUTRAL, linewidth=0.8, label="as FP32")
    loss = f"a loss of {100 * MARGIN:g} points"
    axis.axhline(-100 * MARGIN, color=NEUTRAL, linestyle=":", label=loss)


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
def drawn_choices(
    frame: pd.DataFrame, marked: dict[str, str], band: float
) -> Figure:
    """Accuracy over time of every choice of float layers.

    ``frame`` is that of ``float_choices.compared``; ``marked`` gives the
    rows whose points are named. An accuracy (a share) that is no further
    than ``band`` from that of "fp32" cannot be told from it.
    """
    made, axis = style.figure(7.0, 4.2)
    top, fp32 = 100 * frame.accuracy, frame.accuracy["fp32"]
    ends = 100 * (fp32 - band), 100 * (fp32 + band)
    same = "told from FP32 only beyond it"
    axis.axhspan(*ends, color=BAND, zorder=0, label=same)
    kinds = {"folded": ("o", AFTER), "unfolded": ("s", BEFORE)}
    for title, (marker, colour) in kinds.items():
        rows = frame[frame.folded == (title == "folded")]
        quartiles = rows.milliseconds_q1, rows.milliseconds_q3
        times = map(Interval, rows.milliseconds, *quartiles)
        look = {"marker": marker, "color": colour, "elinewidth": 0.8}
        style.marks(axis, times, top[rows.index], label=title, **look)
    points = pd.DataFrame({"x": frame.milliseconds, "y": top})
    _stairs(axis, points[frame.frontier].sort_values("x").to_numpy())
    axis.set_xlabel("time per image at batch 64 (ms)")
    axis.set_ylabel("validation accuracy (%)")
    made.legend(loc="outside lower center", ncols=4, fontsize=8)
    name_points(axis, {n: tuple(points.loc[k]) for n, k in marked.items()})
    return made


def choices(
    name: str, frame: pd.DataFrame, chosen: str, folder: Path
) -> None:
    """Show the accuracy of every choice over its time.

    ``frame`` is that of ``float_choices.compared``; ``chosen`` names the
    published choice.
    """
    fastest_first = frame[frame.frontier].sort_values("milliseconds")
    optimal = {_named(row): row.Index for row in fastest_first.itertuples()}
    marked = optimal | {"conv2 (as published)": chosen}
    span = 100 * (frame.accuracy.max() - frame.accuracy.min())
    times = frame.milliseconds.max() / frame.milliseconds.min()
    where = "on" if frame.frontier[chosen] else "not on"
    show.figure(
        drawn_choices(frame, marked, float_choices.band(frame)),
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


def _named(row) -> str:
    """A choice by its float layers."""
    layers = " + ".join(row.float_layers) or "none"
    return layers if row.folded else f"{layers} (unfolded)"
