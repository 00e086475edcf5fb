"""Figures of several networks: recipes, trainings, ranges of channels."""

from collections.abc import Iterable

import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

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
from ptq.networks import recipes

# A colour and a marker for each network; they stand beside no strategy.
NETWORKS = {
    "compact_cnn": (FAMILIES["fp32"], "o"),
    "compact_cnn_tuned": (FAMILIES["naive"], "s"),
    "resnet8": (FAMILIES["folded"], "^"),
    "depthwise": (FAMILIES["bias_correction"], "D"),
}
# Per channel or per tensor, folded or not: in grey, lines and marks differ.
CHOICES = {
    "per_channel": (AFTER, "-", "o"),
    "per_tensor": (BEFORE, "-", "s"),
    "per_channel_apart": (AFTER, ":", "^"),
    "per_tensor_apart": (BEFORE, ":", "v"),
}


@styled
def forest(
    groups: dict[str, dict[str, Interval]],
    colours: Iterable[str],
    xlabel: str,
) -> Figure:
    """Intervals in groups of rows on one axis, in the unit of ``xlabel``.

    ``groups`` maps titles to intervals by the row's name; each group has
    one of ``colours``, and a marker of its own.
    """
    count = sum(map(len, groups.values())) + len(groups)
    made, axis = figure(7.0, 0.25 * count + 0.8)
    ticks, place = {}, 0
    for (title, rows), colour, marker in zip(
        groups.items(), colours, "Dos^", strict=False
    ):
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
    axis.set_xlabel(xlabel)
    return made


@styled
def trainings(
    changes: dict[tuple[str, str], np.ndarray], labels: dict[str, str]
) -> Figure:
    """Change of accuracy of each training, a row a choice of a network.

    ``changes`` holds shares (trainings,) by network and choice, whose names
    in words are in ``labels``; a bar is the mean of two or more.
    """
    made, axis = figure(7.0, 0.27 * len(changes) + 1.1)
    for row, ((network, _), shares) in enumerate(changes.items()):
        colour, marker = NETWORKS[network]
        axis.plot(
            100 * shares,
            np.full(len(shares), row),
            marker,
            color=colour,
            markersize=5,
            markerfacecolor="none",
        )
        if len(shares) > 1:
            axis.plot(
                100 * shares.mean(),
                row,
                "|",
                color=colour,
                markersize=13,
                markeredgewidth=2.5,
            )
    axis.axvline(0, color=NEUTRAL, linewidth=0.8)
    words = [
        f"{recipes.get(name).label}, {labels[choice]}"
        for name, choice in changes
    ]
    axis.set_yticks(range(len(changes)), words, fontsize=8)
    axis.invert_yaxis()
    axis.set_xlabel("change of accuracy against the same training (points)")
    return made


@styled
def channel_codes(codes: dict[str, dict[str, Tensor]]) -> Figure:
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
        colour, marker = NETWORKS[network]
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


@styled
def sqnr_lines(
    panels: dict[str, dict[str, dict[str, float]]], labels: dict[str, str]
) -> Figure:
    """SQNR (dB) of each layer by choice, a panel a network.

    ``panels`` holds, by network and choice, the SQNR by layer; ``labels``
    has the choices' names in words.
    """
    made, axes = figure(
        7.0, 3.0, ncols=len(panels), sharey=True, squeeze=False
    )
    for axis, (network, series) in zip(
        axes.flat, panels.items(), strict=True
    ):
        for choice, found in series.items():
            colour, line, marker = CHOICES[choice]
            axis.plot(
                range(1, len(found) + 1),
                list(found.values()),
                line,
                marker=marker,
                color=colour,
                markersize=4,
                label=labels[choice],
            )
        axis.set_title(recipes.get(network).label, fontsize=10)
        axis.xaxis.get_major_locator().set_params(integer=True)
    made.supxlabel("layer, in order", fontsize=10)
    axes.flat[0].set_ylabel("SQNR behind the layer (dB)")
    named = axes.flat[0].get_legend_handles_labels()
    made.legend(*named, loc="outside upper center", ncols=4, fontsize=9)
    return made
