"""Figures of the sweep of corruptions: what is lost, by kind and strength."""

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from ptq.book import show, style
from ptq.book.style import FAMILIES, NEUTRAL
from ptq.book.tables.corruptions import interval
from ptq.data.corruptions import CORRUPTIONS, STRENGTHS
from ptq.experiment.corruption_study import CLEAN, Condition, label, methods
from ptq.networks import recipes

# Ink, marker and place beside the tick, by method.
LOOKS = {
    "int8": (FAMILIES["folded"], "o", -0.15),
    "w4a4": (FAMILIES["naive"], "s", 0.0),
    "w2a4": (FAMILIES["bias_correction"], "^", 0.15),
}


def cost_by_strength(name: str, frame: pd.DataFrame, folder: Path) -> None:
    """Show the change of accuracy by corruption, strength and bits.

    ``frame`` is the reference.
    """
    graded = frame[(frame.strength > 0) & frame.change.notna()]
    ends = graded.change.idxmin(), graded.change.idxmax()
    most, least = (_told(graded.loc[end]) for end in ends)
    show.figure(
        panels(frame),
        folder,
        name,
        "Change of accuracy against FP32 on the same images, by strength of "
        "a corruption; 0 is clean. Bars: 95 % intervals over images. Each "
        "network has a scale of its own. The "
        f"lowest mark is {most}, the highest {least}.",
        "A row of panels for each network, a column for each corruption. "
        "The lines of eight bits stay near zero; those of fewer bits leave "
        "it, in some panels below and in others above.",
    )


def _told(row: pd.Series) -> str:
    """A mark of the figure in words."""
    kind = CORRUPTIONS.row(row.corruption).label
    return (
        f"{recipes.get(row.network).label} {label(row.method)} with {kind} "
        f"at strength {row.strength:.0f} "
        f"({interval(row, 'change').value:+.1f} points)"
    )


@style.styled
def panels(frame: pd.DataFrame) -> Figure:
    """Points, a panel for each network and corruption of the reference."""
    networks = [n for n in recipes.NETWORKS if n in set(frame.network)]
    of = frame.set_index(["network", "strategy"])
    made, axes = style.figure(
        7.0,
        1.55 * len(networks) + 0.8,
        nrows=len(networks),
        ncols=len(CORRUPTIONS),
        sharex=True,
        sharey="row",
        squeeze=False,
    )
    for row, network in zip(axes, networks, strict=True):
        for axis, (name, kind) in zip(row, CORRUPTIONS.items(), strict=True):
            for method in methods(network)[1:]:
                _line(axis, of.loc[network], method, name)
            axis.axhline(0, color=NEUTRAL, linewidth=0.8)
            if network == networks[0]:
                axis.set_title(kind.label, fontsize=10)
        row[0].set_ylabel(recipes.get(network).label, fontsize=9)
    for axis in axes[-1]:
        axis.set_xticks([0, *STRENGTHS])
    made.supxlabel("strength of the corruption", fontsize=10)
    made.supylabel("change of accuracy (points)", fontsize=10)
    named = {}
    for axis in axes[:, 0]:
        lines, labels = axis.get_legend_handles_labels()
        named |= dict(zip(labels, lines, strict=True))
    made.legend(
        named.values(), named, loc="outside upper center", ncols=3, fontsize=9
    )
    return made


def _line(axis, of: pd.DataFrame, method: str, name: str) -> None:
    """Changes of one method, clean and by strength, with their bars."""
    ink, marker, beside = LOOKS[method]
    asked = [CLEAN, *(Condition(name, s) for s in STRENGTHS)]
    found = [
        interval(of.loc[f"{method}_{condition.name}"], "change")
        for condition in asked
    ]
    drawn = {"color": ink, "marker": marker, "markersize": 3.5}
    drawn |= {"linewidth": 1.0, "elinewidth": 0.8, "label": label(method)}
    places = [condition.strength + beside for condition in asked]
    style.marks(axis, places, found, **drawn, linestyle="-")
