"""Networks compared: strategies side by side, and the paper beside us."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ptq.book import style
from ptq.book.style import AFTER, BAND, BEFORE, GRID, NEUTRAL
from ptq.data.cifar10 import CLASSES
from ptq.evidence import intervals
from ptq.evidence.intervals import Interval


def paired(frame: pd.DataFrame) -> dict[str, Interval]:
    """Change of accuracy (a share) of ``Comparison.frame``, by strategy.

    The first row is what others are compared with: 0, and no interval.
    """
    changes = frame[["change", "change_low", "change_high"]].astype(float)
    changes.iloc[0] = 0
    return {name: Interval(*row) for name, *row in changes.itertuples()}


def relative(frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Size, time and accuracy of ``Comparison.frame``, its first row 1.

    By quantity: value, low and high of each strategy. The interval of a size
    is the size; accuracy has the paired one.
    """
    first, changes = frame.iloc[0], ("change", "change_low", "change_high")
    speedups = ("speedup", "speedup_high", "speedup_low")
    found = {
        "size": [frame.file_bytes / first.file_bytes] * 3,
        "time": [1 / frame[column] for column in speedups],
        "accuracy": [1 + frame[c] / first.accuracy for c in changes],
    }
    ends = ["value", "low", "high"]
    return {n: pd.concat(v, axis=1, keys=ends) for n, v in found.items()}


@style.styled
def normalized(frame: pd.DataFrame) -> Figure:
    """What ``relative`` gives of each strategy, with intervals."""
    rows = relative(frame)
    made, axes = style.figure(7.0, 3.6, ncols=len(rows), sharey=True)
    look = {"color": list(map(style.colour, frame.index)), "capsize": 2}
    for axis, (what, found) in zip(axes, rows.items(), strict=True):
        spread = found["value"] - found.low, found.high - found["value"]
        bars = axis.barh(
            frame.label, found["value"], xerr=spread, ecolor=NEUTRAL, **look
        )
        axis.bar_label(bars, fmt="{:.3g}", padding=4, fontsize=8)
        axis.set_xlabel(f"{what} (FP32 = 1)")
        axis.axvline(1, color=NEUTRAL, linewidth=0.8, linestyle=":")
        axis.margins(x=0.25)
    axes[0].invert_yaxis()
    return made


@style.styled
def class_accuracy(
    correct: dict[str, np.ndarray], n: np.ndarray, labels: dict[str, str]
) -> Figure:
    """Accuracy of each class, a marker per strategy.

    ``correct`` (10,) of ``n`` (10,) images a class are right; the bars
    are the 95 % intervals of the first strategy.
    """
    made, axis = style.figure(7.0, 4.2)
    first = next(iter(correct))
    seen = np.flatnonzero(n)  # a small test set may lack a class
    rights = map(int, correct[first][seen])
    found = [
        100 * intervals.wilson(right, int(count))
        for right, count in zip(rights, n[seen], strict=True)
    ]
    low, high = np.array([(f.low, f.high) for f in found]).T
    look = {"color": BAND, "edgecolor": GRID}
    told = f"{labels[first]}, 95 % interval"
    axis.bar(seen, high - low, 0.84, low, label=told, **look)
    for i, (name, right) in enumerate(correct.items()):
        places = np.arange(10) + (i - (len(correct) - 1) / 2) * 0.08
        look = style.look(name) | {"linestyle": "none", "markersize": 4}
        shares = 100 * right / np.where(n, n, np.nan)
        axis.plot(places, shares, label=labels[name], **look)
    axis.set_xticks(range(10), CLASSES, rotation=40, ha="right")
    axis.set_ylabel("accuracy of the class (%)")
    axis.use_sticky_edges = False  # room below the lowest interval
    axis.margins(0.02)
    made.legend(loc="outside lower center", ncols=3, fontsize=8)
    return made


@style.styled
def forest(
    panels: dict[str, dict[str, tuple[Interval, Interval]]],
) -> Figure:
    """The paper's number and ours with their intervals, row by row.

    ``panels`` holds, by the name of the axis, (paper's, ours) of each row;
    an interval of no width is drawn as a point.
    """
    made, axes = style.figure(7.0, 3.2, ncols=len(panels), sharey=True)
    for axis, (what, rows) in zip(axes, panels.items(), strict=True):
        for i, (label, colour, marker) in enumerate(
            (("paper", BEFORE, "D"), ("ours", AFTER, "o"))
        ):
            found = [pair[i] for pair in rows.values()]
            look = {"marker": marker, "color": colour, "markersize": 5}
            places = np.arange(len(rows)) + (i - 0.5) * 0.3
            style.marks(axis, found, places, label=label, **look)
        axis.set_yticks(range(len(rows)), list(rows))
        axis.set_xlabel(what)
    axes[0].invert_yaxis()
    style.legend(made, axes[0], ncols=2)
    return made
