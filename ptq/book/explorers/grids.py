"""Explorers of grids and ranges; each function returns one widget."""

import numpy as np
from ipywidgets import VBox
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

from ptq.book.explorers.controls import Choice, explorer, panel, panels
from ptq.book.style import AFTER, BEFORE, NEUTRAL
from ptq.measure.grid_effects import Coded, Trial, Trials

# By number of images: the lowest and highest values (draws,) of a layer.
Draws = dict[int, tuple[np.ndarray, np.ndarray]]


def clipping(trials: Trials, reference: int) -> VBox:
    """Bits and reach of the grid of one layer's weights.

    ``trials`` is keyed by bits and by the grid's reach in percent of the
    largest weight; ``reference`` counts correct predictions of the float
    network.
    """

    def draw(bits: int, clip: int) -> str:
        trial = trials[bits, clip]
        grid = f"{bits} bits, the grid reaching to {clip} % of the largest"
        share = f"{100 * trial.clipping_share:.0f} %"
        error = f"SQNR {trial.sqnr:.1f} dB, {share} of the noise clipped"
        reading = (
            f"{grid}: step {trial.step:.4f}, {error}. Right on "
            f"{trial.correct} of {trial.n} validation images (float: "
            f"{reference}), {trial.changed} predictions changed."
        )
        alt = f"Histogram of the weights on {2**bits} codes, and noise by "
        alt += f"weight: {error}."
        made = clipped(trial)
        return panel(made, f"clip{bits}-{clip}", alt, reading)

    widths, clips = (sorted(set(ends)) for ends in zip(*trials, strict=True))
    bits = {str(b): b for b in widths}
    reaches = {f"{c} %": c for c in clips}
    return explorer(
        [
            Choice("bits", bits, widths[-1], ordered=True),
            Choice("grid reaches", reaches, clips[-1], ordered=True),
        ],
        draw,
    )


def clipped(trial: Trial) -> Figure:
    """Histogram of the weights in the grid's cells; the noise by weight.

    Above the density per unit of weight, below the share in percent of the
    squared error.
    """
    made, (above, below) = panels(3.8, 2, sharex=True)
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
    look = {"facecolor": to_rgba(AFTER, 0.5), "edgecolor": AFTER}
    look |= {"linewidth": 0.6, "label": "on the grid"}
    axis.stairs(on_grid, cells * trial.step, baseline=low, fill=True, **look)
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


def channels(sides: list[Coded], start: int = 0) -> VBox:
    """Each channel of a layer, as two integer networks see it.

    ``sides`` are of one layer; ``start`` is the channel shown at first.
    """

    def draw(chosen: int) -> str:
        parts = [
            f"{side.title[0].upper()}{side.title[1:]}, "
            f"{side.used[chosen]} codes in use, {_left(side.sqnr[chosen])}."
            for side in sides
        ]
        reading = " ".join([f"Channel {chosen}.", *parts])
        made = _channel(sides, chosen)
        alt = f"Two histograms of the values of channel {chosen}."
        return panel(made, f"channel{chosen}", alt, reading)

    options = {str(c): c for c in range(len(sides[0].counts))}
    return explorer([Choice("channel", options, start, ordered=True)], draw)


def _left(decibels: float) -> str:
    """The SQNR of a channel in words; nan means that it is always zero."""
    what = "silent" if np.isnan(decibels) else f"{decibels:.1f} dB"
    return f"{what} behind its ReLU"


def _channel(sides: list[Coded], chosen: int) -> Figure:
    """How often one channel has each value, a row for each network.

    ``chosen`` counts channels from 0.
    """
    made, axes = panels(3.6, len(sides), gap=0.55)
    colours = (BEFORE, AFTER)
    most = 2 * max(side.counts.max() for side in sides)
    for axis, side, colour in zip(axes, sides, colours, strict=True):
        codes = np.arange(side.counts.shape[1] + 1) - side.zero_point
        edges = (codes - 0.5) * side.scale
        counts, look = side.counts[chosen], {"fill": True, "color": colour}
        axis.stairs(np.maximum(counts, 0.5), edges, baseline=0.5, **look)
        axis.set(xlim=edges[[0, -1]])
        axis.set_title(side.title, fontsize=9)
        _logarithmic(axis, 0.5, most, "count")
    axes[-1].set_xlabel("value of the layer's output")
    return made


def _logarithmic(axis, low: float, high: float, label: str) -> None:
    """A logarithmic upright axis, without the many small ticks."""
    axis.set(yscale="log", ylim=(low, high), ylabel=label)
    axis.yaxis.set_major_formatter("{x:g}")
    axis.minorticks_off()


def calibration_ranges(draws: dict[str, Draws]) -> VBox:
    """Ranges of each layer against the number of calibration images.

    ``draws`` gives, for each layer and number of images, the lowest and
    the highest value (draws,) that the layer put out.
    """

    def draw(layer: str, count: int) -> str:
        low, high = draws[layer][count]
        reading = (
            f"{len(low)} draws of {count:,} images: in nine of ten the "
            f"lower end lies {_where(low)}, the upper end {_where(high)}. "
            "Dotted: the ends of all draws, of whatever size."
        )
        made = _ranges(draws[layer], count)
        alt = "One line per draw, from the lowest to the highest value of "
        alt += f"{layer}."
        return panel(made, f"ranges-{layer}-{count}", alt, reading)

    counts = sorted(next(iter(draws.values())))
    sizes = {f"{n:,}": n for n in counts}
    return explorer(
        [
            Choice("layer", {n: n for n in draws}, next(iter(draws))),
            Choice("images", sizes, counts[0], ordered=True),
        ],
        draw,
    )


def _where(ends: np.ndarray) -> str:
    """Where the middle nine of ten values lie, in words."""
    found = (f"{end:.2f}" for end in np.quantile(ends, [0.05, 0.95]))
    low, high = (end.replace("-", "\u2212") for end in found)
    return f"at {low}" if low == high else f"between {low} and {high}"


def _ranges(draws: Draws, count: int) -> Figure:
    """Range of each draw of ``count`` images, sorted by its width.

    ``draws`` gives, for each number of images, the lowest and highest
    values (draws,) that a layer put out. The axis is the same for each.
    """
    made, (axis,) = panels(2.7)
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
