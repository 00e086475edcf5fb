"""Figures of the sweep of roundings: what is lost, by bits and method."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ptq.book import show
from ptq.book.style import FAMILIES, INK, NEUTRAL, figure, styled
from ptq.experiment.rounding_sweep import METHODS, Case
from ptq.methods.rounding_methods import ROUNDINGS
from ptq.networks import recipes

# Ink, marker and place beside the tick, by the name of the method.
LOOKS = {
    "nearest": (FAMILIES["naive"], "o", -0.25),
    "means": (FAMILIES["mixed_precision"], "v", -0.15),
    "gptq": (FAMILIES["bias_correction"], "s", -0.05),
    "descent_own": (FAMILIES[""], "D", 0.05),
    "descent": (FAMILIES["folded"], "P", 0.15),
    "adaround": (INK, "X", 0.25),
}
# Losses up to here are drawn to scale, larger ones by their logarithm.
LINEAR = 1.0


def lost_by_bits(
    name: str, changes: dict[tuple[str, Case], np.ndarray], folder: Path
) -> None:
    """Show the accuracy lost by bits, method and network.

    ``changes`` are ``rounding_sweep.changes``, shares (trainings,).
    """
    worst, best = (
        min(
            100 * shares.mean()
            for (_, case), shares in changes.items()
            if case == Case(2, 4, method)
        )
        for method in ("nearest", "descent")
    )
    show.figure(
        panels(changes),
        folder,
        name,
        "Accuracy lost by bits of weights (W) and activations (A), a mark "
        f"for each training. At W2A4 the nearest code loses up to "
        f"{-worst:.0f} points on average, descent toward float up to "
        f"{-best:.1f}. The axis is linear up to one point, then logarithmic.",
        "A panel a network. From left to right bits fall and losses "
        "rise; the marks of the nearest code rise to the top at W2A4.",
    )


@styled
def panels(changes: dict[tuple[str, Case], np.ndarray]) -> Figure:
    """Points lost, a panel a network; ``changes`` are shares (trainings,)."""
    networks = list(dict.fromkeys(network for network, _ in changes))
    rows = -(-len(networks) // 2)
    size = 7.0, 2.5 * rows + 0.6
    made, axes = figure(
        *size, nrows=rows, ncols=2, squeeze=False, sharey=True
    )
    titles = [Case(*bits, "nearest").bits for bits in METHODS]
    for axis, network in zip(axes.flat, networks, strict=False):
        for (of, case), shares in changes.items():
            if of == network:
                _marks(axis, titles.index(case.bits), case, shares)
        axis.axhline(0, color=NEUTRAL, linewidth=0.8)
        axis.set_yscale("symlog", linthresh=LINEAR)
        axis.set_yticks([0, 1, 10, 80], ["0", "1", "10", "80"])
        axis.minorticks_off()
        axis.set_title(recipes.get(network).label, fontsize=10)
        axis.set_xticks(range(len(titles)), titles)
    for axis in axes.flat[len(networks) :]:
        axis.set_visible(False)
    made.supylabel("accuracy lost (points)", fontsize=10)
    named = {}
    for axis in axes.flat:
        lines, labels = axis.get_legend_handles_labels()
        named |= dict(zip(labels, lines, strict=True))
    order = [r.label for r in ROUNDINGS.values() if r.label in named]
    made.legend(
        [named[label] for label in order],
        order,
        loc="outside upper center",
        ncols=3,
        fontsize=9,
    )
    return made


def _marks(axis: Axes, tick: int, case: Case, shares: np.ndarray) -> None:
    """A mark for each training, beside the tick of the case's bits."""
    ink, marker, beside = LOOKS[case.rounding]
    look = {"color": ink, "markersize": 5, "alpha": 0.8}
    look["label"] = ROUNDINGS.row(case.rounding).label
    places = np.full(len(shares), tick + beside)
    axis.plot(places, -100 * shares, marker, **look)
