"""Figures of several networks: recipes, trainings, ranges of channels."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from ptq.book import show
from ptq.book.style import (
    AFTER,
    BEFORE,
    FAMILIES,
    INK,
    NEUTRAL,
    error_bars,
    figure,
    styled,
)
from ptq.evidence.intervals import Interval
from ptq.experiment import network_study
from ptq.networks import recipes

# Of the networks, in the order of their table; they stand beside no strategy.
COLOURS = [
    FAMILIES[n] for n in ("fp32", "naive", "folded", "bias_correction")
]
MARKERS = "os^Dv"
# Per channel or per tensor, folded or not: in grey, lines and marks differ.
CHOICES = {
    "per_channel": (AFTER, "-", "o"),
    "per_tensor": (BEFORE, "-", "s"),
    "per_channel_apart": (AFTER, ":", "^"),
    "per_tensor_apart": (BEFORE, ":", "v"),
}


# What a recipe of training gains, and what quantization changes.
GROUPS = {
    "the recipe, a step": (FAMILIES["bias_correction"], "D"),
    "quantization of the published network": (AFTER, "o"),
    "quantization of the tuned network": (BEFORE, "s"),
}


def recipe(
    name: str, changes: list[dict[str, Interval]], folder: Path
) -> None:
    """Show what steps of a recipe and what quantizations change.

    ``changes`` are intervals in points by the row's name, a group each of
    ``GROUPS``; the last step is the sum of all.
    """
    gain = list(changes[0].values())[-1].value
    most = max(abs(v.value) for group in changes[1:] for v in group.values())
    show.figure(
        forest(dict(zip(GROUPS, changes, strict=True))),
        folder,
        name,
        "Mean changes of accuracy over trainings, with 95 % intervals. The "
        f"recipe gains {gain:.1f} points. No quantization to eight bits "
        f"changes the mean by more than {most:.2f} points.",
        "Rows of points with error bars on one axis. The steps of the recipe "
        "spread far to the right, and their sum furthest; all quantizations "
        "to eight bits, of the published and of the tuned network, crowd at "
        "zero.",
    )


@styled
def forest(groups: dict[str, dict[str, Interval]]) -> Figure:
    """Intervals in points, by the row's name, in the ``GROUPS``."""
    count = sum(map(len, groups.values())) + len(groups)
    made, axis = figure(7.0, 0.25 * count + 0.8)
    ticks, place = {}, 0
    for title, rows in groups.items():
        colour, marker = GROUPS[title]
        look = {"color": colour, "fontsize": 9, "weight": "bold"}
        place_of = {"xycoords": ("axes fraction", "data"), "ha": "right"}
        axis.annotate(title, (1, place), va="center", **place_of, **look)
        places = place + 1 + np.arange(len(rows))
        bars = {"fmt": marker, "color": colour, "markersize": 5, "capsize": 3}
        values = [found.value for found in rows.values()]
        axis.errorbar(values, places, xerr=error_bars(rows.values()), **bars)
        ticks |= dict(zip(places, rows, strict=True))
        place = places[-1] + 1
    axis.axvline(0, color=NEUTRAL, linewidth=0.8)
    axis.set_yticks(list(ticks), ticks.values(), fontsize=9)
    axis.set_ylim(place - 0.4, -0.7)
    axis.grid(axis="y", visible=False)
    axis.set_xlabel("change of accuracy (points)")
    return made


def trainings(
    name: str, changes: dict[tuple[str, str], np.ndarray], folder: Path
) -> None:
    """Show the change of accuracy of each training by each choice.

    ``changes`` holds shares (trainings,) by network and choice.
    """
    means = {pair: 100 * shares.mean() for pair, shares in changes.items()}
    worst = min(means, key=means.get)
    show.figure(
        changes_by_row(changes),
        folder,
        name,
        "Change of accuracy of every training, and the mean where there are "
        f"several. The largest mean loss, {abs(min(means[worst], 0)):.2f} "
        f"points, is that of the {_in_words(*worst)}.",
        "A row for each network and choice, with an open mark for each "
        "training and a bar at the mean. The folded choices lie close to "
        "zero.",
    )


@styled
def changes_by_row(changes: dict[tuple[str, str], np.ndarray]) -> Figure:
    """Change of accuracy of each training, a row a choice of a network.

    ``changes`` are shares (trainings,); a bar is the mean of two or more.
    """
    made, axis = figure(7.0, 0.27 * len(changes) + 1.1)
    for row, ((network, _), shares) in enumerate(changes.items()):
        colour, marker = look(network)
        ring = {"color": colour, "markersize": 5, "markerfacecolor": "none"}
        axis.plot(100 * shares, np.full(len(shares), row), marker, **ring)
        if len(shares) > 1:
            dash = {"color": colour, "markersize": 13, "markeredgewidth": 2.5}
            axis.plot(100 * shares.mean(), row, "|", **dash)
    axis.axvline(0, color=NEUTRAL, linewidth=0.8)
    words = [_in_words(*pair) for pair in changes]
    axis.set_yticks(range(len(changes)), words, fontsize=8)
    axis.invert_yaxis()
    axis.set_xlabel("change of accuracy against the same training (points)")
    return made


def look(network: str) -> tuple[str, str]:
    """Colour and marker of a row of ``recipes.NETWORKS``, by its place."""
    place = list(recipes.NETWORKS).index(network)
    return COLOURS[place % len(COLOURS)], MARKERS[place % len(MARKERS)]


def _in_words(network: str, choice: str) -> str:
    label = network_study.CHOICES[choice].label
    return f"{recipes.get(network).label}, {label}"


def channel_codes(
    name: str,
    codes: dict[str, dict[str, Tensor]],
    narrow: dict[str, float],
    folder: Path,
) -> None:
    """Show how much of a shared grid each channel uses.

    ``codes`` holds, by network and layer, the largest code of each channel,
    (C,); ``narrow`` the median of each network's narrowest layer.
    """
    show.figure(
        codes_by_layer(codes),
        folder,
        name,
        "The largest code of each channel on the grid that its layer "
        "shares, and the median of the layer. In the narrowest layer of the "
        "depthwise CNN, the median channel uses codes up to "
        f"{narrow['depthwise']:.0f}; in that of the compact CNN, up to "
        f"{narrow['compact_cnn']:.0f}.",
        "Four panels, one a network; a column of marks for each layer, on a "
        "logarithmic axis up to 127. Most marks lie above 10; a layer of the "
        "published network has most of its channels far below.",
    )


@styled
def codes_by_layer(codes: dict[str, dict[str, Tensor]]) -> Figure:
    """The largest code of every channel, a panel a network.

    ``codes`` holds, by network and layer, (C,) on the grid that the layer's
    channels share. The dash is a layer's median. Below the dotted line a
    channel is all zeros, however far.
    """
    rows = -(-len(codes) // 2)
    made, axes = figure(
        7.0, 2.2 * rows + 0.4, nrows=rows, ncols=2, squeeze=False, sharey=True
    )
    for axis, (network, layers) in zip(axes.flat, codes.items(), strict=True):
        colour, marker = look(network)
        for place, found in enumerate(layers.values()):
            heights = found.clamp(min=0.4)
            places = np.full(len(found), place)
            small = {"markersize": 2.5, "markeredgewidth": 0, "alpha": 0.5}
            dash = {"markersize": 9, "markeredgewidth": 2}
            axis.plot(places, heights, marker, color=colour, **small)
            axis.plot(place, heights.median(), "_", color=INK, **dash)
        axis.axhline(0.5, color=NEUTRAL, linestyle=":")
        axis.set_title(recipes.get(network).label, fontsize=10)
        axis.set_yscale("log")
        axis.set_yticks([1, 10, 127], ["1", "10", "127"])
        axis.minorticks_off()
        axis.set_xticks(range(len(layers)), range(1, len(layers) + 1))
        axis.tick_params(axis="x", labelsize=7)
    made.supxlabel("layer, in order", fontsize=10)
    made.supylabel("largest code of a channel", fontsize=10)
    return made


def sqnr(
    name: str,
    panels: dict[str, dict[str, dict[str, float]]],
    lead: float,
    folder: Path,
) -> None:
    """Show the SQNR (dB) of each layer, by network and choice.

    ``lead`` is what grids per channel gain on average in the depthwise
    network, in dB.
    """
    show.figure(
        sqnr_lines(panels),
        folder,
        name,
        "SQNR behind each layer, the errors of the layers before it "
        f"included. Grids per channel gain {lead:.1f} dB on average in the "
        "depthwise CNN.",
        "Two panels of falling lines, resnet8 and depthwise; the line of "
        "grids per channel runs a few decibels above that per tensor.",
    )


@styled
def sqnr_lines(panels: dict[str, dict[str, dict[str, float]]]) -> Figure:
    """SQNR (dB) by layer, and by network and choice: a panel a network."""
    made, axes = figure(
        7.0, 3.0, ncols=len(panels), sharey=True, squeeze=False
    )
    for axis, (network, series) in zip(
        axes.flat, panels.items(), strict=True
    ):
        for choice, found in series.items():
            colour, line, marker = CHOICES[choice]
            drawn = {"marker": marker, "color": colour, "markersize": 4}
            drawn["label"] = network_study.CHOICES[choice].label
            places = range(1, len(found) + 1)
            axis.plot(places, list(found.values()), line, **drawn)
        axis.set_title(recipes.get(network).label, fontsize=10)
        axis.xaxis.get_major_locator().set_params(integer=True)
    made.supxlabel("layer, in order", fontsize=10)
    axes.flat[0].set_ylabel("SQNR behind the layer (dB)")
    named = axes.flat[0].get_legend_handles_labels()
    made.legend(*named, loc="outside upper center", ncols=4, fontsize=9)
    return made
