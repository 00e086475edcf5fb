"""The drawings of the explorers, what they show, and figures of the same."""

import itertools
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

from ptq.book.figures import (
    AFTER,
    BEFORE,
    COLOURS,
    INK,
    MARKERS,
    NEUTRAL,
    SHADES,
    STYLE,
    error_bars,
    figure,
    styled,
)
from ptq.evidence.intervals import Interval
from ptq.measure.grid_effects import Coded, Trial, Trials

# In inches. Text is as large as that of the page on a wide screen, and
# readable on a phone, where the style sheet scales the figure.
WIDTH = 4.2
LETTERS = STYLE | {"font.size": 9}


def _panels(
    height: float, rows: int = 1, gap: float = 0.15, **grid
) -> tuple[Figure, list]:
    """A figure with few marks and fixed margins: small and quick to draw.

    ``height`` and the ``gap`` between rows are in inches.
    """
    bottom, top = 0.45, height - 0.25
    inner = (top - bottom - (rows - 1) * gap) / rows
    with mpl.rc_context(LETTERS):
        made = Figure(figsize=(WIDTH, height))
        axes = made.subplots(rows, squeeze=False, **grid)
    made.subplots_adjust(
        0.75 / WIDTH, bottom / height, 0.97, top / height, hspace=gap / inner
    )
    for axis in axes.flat:
        axis.tick_params(bottom=False, left=False)
        axis.locator_params(nbins=5)
    return made, list(axes.flat)


def _logarithmic(axis, low: float, high: float, label: str) -> None:
    """A logarithmic upright axis, without the many small ticks."""
    axis.set(yscale="log", ylim=(low, high), ylabel=label)
    axis.yaxis.set_major_formatter("{x:g}")
    axis.minorticks_off()


def clipped(trial: Trial) -> Figure:
    """Histogram of the weights in the grid's cells; the noise by weight.

    Above the density per unit of weight, below the share in percent of the
    squared error.
    """
    made, (above, below) = _panels(3.8, 2, sharex=True)
    reach = trial.weight.abs().max().item()
    edges = np.linspace(-reach, reach, 65)
    _densities(above, trial, edges)
    _noise(below, trial, edges)
    below.set_xlim(-1.05 * reach, 1.05 * reach)
    for axis in (above, below):
        axis.legend(loc="upper right", fontsize=8, frameon=False)
    return made


def _densities(axis: Axes, trial: Trial, edges: np.ndarray) -> None:
    """The float weights between the edges, and those on the grid."""
    weight = trial.weight.flatten().numpy()
    density, _ = np.histogram(weight, edges, density=True)
    axis.stairs(density, edges, color=NEUTRAL, label="float weights")
    codes = np.rint(trial.weight_hat.flatten().numpy() / trial.step)
    cells = np.arange(codes.min(), codes.max() + 2) - 0.5
    counts, _ = np.histogram(codes, cells)
    on_grid = counts / len(weight) / trial.step
    seen = np.concatenate([density, on_grid])
    # Whole powers of ten around all values, so that a single weight is
    # visible.
    low, high = np.log10([seen[seen > 0].min() / 2, 2 * seen.max()])
    low, high = 10 ** np.floor(low), 10 ** np.ceil(high)
    axis.stairs(
        on_grid, cells * trial.step,
        baseline=low, fill=True, facecolor=to_rgba(AFTER, 0.5),
        edgecolor=AFTER, linewidth=0.6, label="on the grid",
    )  # fmt: skip
    _logarithmic(axis, low, high, "density")


def _noise(axis: Axes, trial: Trial, edges: np.ndarray) -> None:
    """Whether the squared error comes from rounded or clipped weights."""
    weight = trial.weight.flatten().numpy()
    errors = (trial.weight - trial.weight_hat).square().flatten().numpy()
    beyond = np.abs(weight) > trial.bound
    for chosen, colour, label in (
        (~beyond, AFTER, "rounding"),
        (beyond, BEFORE, "clipping"),
    ):
        noise, _ = np.histogram(weight[chosen], edges, weights=errors[chosen])
        noise = 100 * noise / errors.sum()
        axis.stairs(noise, edges, fill=True, color=colour, label=label)
    axis.set(xlabel="weight", ylabel="share of the noise (%)")


@styled
def trials(found: Trials, reference: int) -> Figure:
    """SQNR and accuracy over bits, a line for each clip (percent).

    ``found`` is keyed by bits and clip; ``reference`` counts the right
    predictions of the float network on the same images.
    """
    made, axes = figure(7.0, 3.0, ncols=2)
    bits = sorted({b for b, _ in found})
    clips = sorted({c for _, c in found}, reverse=True)
    n = next(iter(found.values())).n
    # The lines cross, so each has its own shade and marker.
    shades = itertools.cycle(zip(SHADES, "osD^v", strict=True))
    for clip, (shade, marker) in zip(clips, shades, strict=False):
        rows = [found[b, clip] for b in bits]
        looks = {"marker": marker, "color": shade, "label": f"{clip} %"}
        looks |= {"markersize": 4}
        axes[0].plot(bits, [t.sqnr for t in rows], **looks)
        axes[1].plot(bits, [100 * t.correct / n for t in rows], **looks)
    whole = axes[1].axhline(
        100 * reference / n, color=NEUTRAL, linestyle="--", label="float"
    )
    axes[1].legend(handles=[whole], fontsize=8)
    axes[0].set(xlabel="bits", ylabel="SQNR of the weights (dB)")
    axes[1].set(xlabel="bits", ylabel="validation accuracy (%)")
    axes[0].legend(title="grid reaches", fontsize=8, title_fontsize=8)
    return made


def channel(sides: list[Coded], chosen: int) -> Figure:
    """How often one channel has each value, a row for each network.

    ``chosen`` counts channels from 0.
    """
    made, axes = _panels(3.6, len(sides), gap=0.55)
    colours = (BEFORE, AFTER)
    most = 2 * max(side.counts.max() for side in sides)
    for axis, side, colour in zip(axes, sides, colours, strict=True):
        codes = np.arange(side.counts.shape[1] + 1) - side.zero_point
        edges = (codes - 0.5) * side.scale
        axis.stairs(
            np.maximum(side.counts[chosen], 0.5), edges, baseline=0.5,
            fill=True, color=colour,
        )  # fmt: skip
        axis.set(xlim=edges[[0, -1]])
        axis.set_title(side.title, fontsize=9)
        _logarithmic(axis, 0.5, most, "count")
    axes[-1].set_xlabel("value of the layer's output")
    return made


@styled
def channel_overview(sides: list[Coded]) -> Figure:
    """Codes in use and SQNR (dB) of every channel, in both networks."""
    made, axes = figure(7.0, 3.0, ncols=2)
    order = np.argsort(sides[0].used)
    looks = (("o", BEFORE), ("x", AFTER))
    for side, (marker, colour) in zip(sides, looks, strict=True):
        kind = {"color": colour, "markersize": 4, "label": side.title}
        axes[0].plot(side.used[order], marker, **kind)
        axes[1].plot(np.array(side.sqnr)[order], marker, **kind)
    axes[0].set(ylabel="codes in use", ylim=(0, None))
    axes[1].set_ylabel("SQNR behind the ReLU (dB)")
    made.supxlabel("channel, sorted by codes in use", fontsize=10)
    handles = axes[0].get_legend_handles_labels()
    made.legend(*handles, loc="outside upper left", ncols=2)
    return made


@dataclass(frozen=True)
class Quantity:
    """One measure of all strategies, with intervals, for an axis.

    ``title`` names it and its unit, which is that of the ``values``.
    """

    title: str
    values: dict[str, Interval]
    high_is_good: bool = False


def against(x: Quantity, y: Quantity) -> Figure:
    """Strategies by two measures, with the intervals of both.

    ``x`` and ``y`` have the same strategies; a line at 0 where an interval
    holds it.
    """
    made, (axis,) = _panels(3.0)
    for name in x.values:
        across, up = x.values[name], y.values[name]
        axis.errorbar(
            across.value, up.value,
            xerr=error_bars([across]), yerr=error_bars([up]),
            marker=MARKERS[name], color=COLOURS[name], elinewidth=0.8,
            markersize=7, markeredgecolor=INK, markeredgewidth=0.5,
        )  # fmt: skip
    for values, line in ((x.values, axis.axvline), (y.values, axis.axhline)):
        if any(found.low < 0 < found.high for found in values.values()):
            line(0, color=NEUTRAL, linewidth=0.8, zorder=0)
    axis.set(xlabel=x.title, ylabel=y.title)
    return made


def mark(name: str) -> Figure:
    """The marker of a strategy, alone, for a legend in the text.

    KeyError for a name that is not in ``figures.COLOURS``.
    """
    with mpl.rc_context(STYLE):
        made = Figure(figsize=(0.16, 0.16))
        axis = made.add_axes((0, 0, 1, 1))
    axis.axis("off")
    axis.plot(
        [0], [0], MARKERS[name], color=COLOURS[name], markersize=7,
        markeredgecolor=INK, markeredgewidth=0.5,
    )  # fmt: skip
    return made


Draws = dict[int, tuple[np.ndarray, np.ndarray]]


def ranges(draws: Draws, count: int) -> Figure:
    """Range of each draw of ``count`` images, sorted by its width.

    ``draws`` gives, for each number of images, the lowest and highest
    values (draws,) that a layer put out. The axis is the same for each.
    """
    made, (axis,) = _panels(2.7)
    low, high = draws[count]
    order = np.argsort(high - low)
    axis.hlines(np.arange(len(order)), low[order], high[order], color=AFTER)
    ends = np.concatenate([np.concatenate(pair) for pair in draws.values()])
    for end in (ends.min(), ends.max()):
        axis.axvline(end, color=NEUTRAL, linestyle=":")
    margin = 0.03 * (ends.max() - ends.min())
    axis.set(
        xlim=(ends.min() - margin, ends.max() + margin),
        xlabel="value of the layer's output",
        ylabel="draw, narrowest first",
    )
    return made
