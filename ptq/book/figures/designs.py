"""Designed experiments: over draws, seeds and factors."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ptq.book import style
from ptq.book.style import AFTER, NEUTRAL
from ptq.evidence.intervals import Interval
from ptq.evidence.thresholds import SIGNIFICANCE
from ptq.experiment import factors


@style.styled
def ranges(bounds: dict[str, dict[int, np.ndarray]], ylabel: str) -> Figure:
    """Upper end of a range over the number of images, a panel per layer.

    ``bounds`` holds, per layer and number of images, values (draws,) in
    the unit that ``ylabel`` names; the line is their median, the band holds
    the central 90 %.
    """
    made, axes = style.figure(7.0, 2.6, ncols=len(bounds), squeeze=False)
    for axis, (layer, found) in zip(axes.flat, bounds.items(), strict=True):
        counts = list(found)
        low, middle, high = np.percentile(
            [found[count] for count in counts], [5, 50, 95], axis=1
        )
        axis.fill_between(counts, low, high, color=AFTER, alpha=0.25)
        axis.plot(counts, middle, "o-", color=AFTER, markersize=4)
        axis.set_title(layer, fontsize=10)
        axis.set_ylim(bottom=0)
        _logarithmic(axis, counts[::2])
    made.supxlabel("calibration images (logarithmic)", fontsize=10)
    axes.flat[0].set_ylabel(ylabel)
    return made


@style.styled
def bands(frame: pd.DataFrame, margin: float) -> Figure:
    """Change of accuracy over the number of images, a panel per source.

    ``frame`` has the columns source, images, observer and change (a share),
    one row a draw. Marks are medians, bars hold the central 95 % of draws;
    the dotted line is a loss of ``margin`` (a share).
    """
    sources = [s for s in factors.SOURCES if s in set(frame.source)]
    rows = -(-len(sources) // 2)
    panels = {"nrows": rows, "ncols": 2, "sharex": True, "sharey": True}
    made, axes = style.figure(7.0, 2.5 * rows, squeeze=False, **panels)
    for axis, source in zip(axes.flat, sources, strict=False):
        for i, (observer, label) in enumerate(factors.OBSERVERS.items()):
            of_both = (frame.source == source) & (frame.observer == observer)
            low, middle, high = (
                100 * frame[of_both].groupby("images").change.quantile(q)
                for q in (SIGNIFICANCE / 2, 0.5, 1 - SIGNIFICANCE / 2)
            )
            look = style.observer_look(observer) | {"label": label}
            look |= {"markersize": 5, "elinewidth": 1, "capsize": 2}
            look["linestyle"] = "-"
            shifted = middle.index * 1.12 ** (i - 1)
            found = map(Interval, middle, low, high)
            style.marks(axis, shifted, found, **look)
        axis.axhline(0, color=NEUTRAL, linewidth=0.8)
        axis.axhline(-100 * margin, color=NEUTRAL, linestyle=":")
        axis.set_title(source, fontsize=10)
        _logarithmic(axis, sorted(frame.images.unique()))
    made.supxlabel("calibration images (logarithmic)", fontsize=10)
    made.supylabel("change of accuracy (points)", fontsize=10)
    style.legend(made, axes.flat[0], ncols=3)
    return made


def _logarithmic(axis: Axes, counts: list[int]) -> None:
    """A logarithmic x axis with ticks only at these counts."""
    axis.set_xscale("log")
    axis.set_xticks(counts, [f"{count:,}" for count in counts])
    axis.minorticks_off()


@style.styled
def seeds(
    changes: pd.DataFrame, means: dict[str, Interval], labels: dict[str, str]
) -> Figure:
    """Change of accuracy of each strategy at each training seed.

    ``changes`` (a share) has a row a seed and a column a strategy, one of
    ``labels``; thick bars are the means with their intervals.
    """
    made, axis = style.figure(7.0, 0.42 * len(labels) + 1.0)
    thick = {"elinewidth": 2.5, "markersize": 9}
    for row, name in enumerate(labels):
        values, look = (
            100 * changes[name],
            style.look(name) | {"linestyle": "none"},
        )
        axis.plot(values, [row] * len(values), markersize=5, **look)
        look["marker"] = "|"
        style.marks(axis, [100 * means[name]], [row + 0.28], **look | thick)
    axis.axvline(0, color=NEUTRAL, linewidth=0.8)
    axis.set_yticks(range(len(labels)), labels.values())
    axis.invert_yaxis()
    label = "change of accuracy against the same seed's FP32 (points)"
    axis.set_xlabel(label)
    return made


@style.styled
def effects(tables: dict[str, pd.DataFrame], terms: list[str]) -> Figure:
    """Effects with their intervals, a panel per response.

    Each table has value, low and high (in the response's unit) by term, of
    ``factors.FACTORS``; a filled marker is an effect whose Holm-adjusted p
    is below 5 %.
    """
    panels = {"ncols": len(tables), "sharey": True, "squeeze": False}
    made, axes = style.figure(7.0, 0.27 * len(terms) + 1.1, **panels)
    for axis, (title, table) in zip(axes.flat, tables.items(), strict=True):
        for row, term in enumerate(terms):
            found = table.loc[term]
            shown = found.p_holm < SIGNIFICANCE
            colour = AFTER if shown else NEUTRAL
            look = {"marker": "o", "color": colour, "capsize": 2}
            look["markerfacecolor"] = AFTER if shown else "none"
            interval = Interval(found["value"], found.low, found.high)
            style.marks(axis, [interval], [row], markersize=5, **look)
        axis.axvline(0, color=NEUTRAL, linewidth=0.8)
        axis.set_xlabel(title, fontsize=8)
    words = [factors.in_words(term) for term in terms]
    axes.flat[0].set_yticks(range(len(terms)), words, fontsize=8)
    axes.flat[0].invert_yaxis()
    return made
