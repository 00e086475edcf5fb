"""What grids do to values: weights, outputs, channels, and their errors."""

import itertools
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from ptq.book import show, style
from ptq.book.style import AFTER, BEFORE, NEUTRAL
from ptq.measure import grid_effects
from ptq.quantizer.affine import Grid, fake_quantize


def rounded(
    name: str, grid: Grid, ends: tuple[float, float], folder: Path
) -> None:
    """Show how a ``grid`` of eight points rounds the values between ends."""
    show.figure(
        staircase(grid, *ends),
        folder,
        name,
        f"A grid of eight points, {float(grid.scale):.3f} apart. Inside the "
        f"range the error stays below half a step, {grid.scale / 2:.3f} "
        "(dotted); outside it grows without bound.",
        "Left: a staircase of eight steps around the diagonal, flat beyond "
        "both ends. Right: a sawtooth error within half a step that grows "
        "linearly outside the range.",
    )


@style.styled
def staircase(grid: Grid, low: float, high: float) -> Figure:
    """The rounded value, and its error, of each value in [low, high].

    On the left the values, on the right the error, both in units of ``low``
    and ``high``; dotted: half a step.
    """
    x = torch.linspace(low, high, 2001)
    x_hat = fake_quantize(x, grid)
    made, axes = style.figure(7.0, 2.9, ncols=2)
    axes[0].plot(x, x, "--", color=NEUTRAL, label="$x$")
    axes[0].plot(x, x_hat, color=AFTER, label=r"$\hat{x}$")
    axes[0].set(xlabel="$x$", ylabel=r"$\hat{x}$")
    axes[0].legend()
    axes[1].plot(x, x_hat - x, color=BEFORE)
    for level in (-0.5, 0.5):
        axes[1].axhline(level * float(grid.scale), color=NEUTRAL, ls=":")
    axes[1].set(xlabel="$x$", ylabel=r"error $\hat{x}-x$")
    return made


@style.styled
def _histograms(
    panels: dict[str, Tensor], xlabels: list[str], bins: list[np.ndarray]
) -> Figure:
    """A histogram each of two tensors, on one logarithmic axis of counts."""
    made, axes = style.figure(7.0, 2.8, ncols=2, sharey=True)
    looks = {"log": True, "histtype": "stepfilled"}
    for axis, (title, values), xlabel, edges, colour in zip(
        axes, panels.items(), xlabels, bins, (BEFORE, AFTER), strict=True
    ):
        axis.hist(values.flatten().numpy(), edges, color=colour, **looks)
        axis.set_title(title, fontsize=10)
        axis.set_xlabel(xlabel)
    axes[0].set_ylabel("count")
    return made


def weights(name: str, folder: Path, weight: Tensor, codes: Tensor) -> None:
    """Show histograms of a layer's float weights, and of their codes.

    ``weight`` is float32 and ``codes`` int8, both (C, I, H, W).
    """
    reach = float(weight.abs().max())
    shared = 2 * int(codes.int().abs().median()) + 1
    show.figure(
        _histograms(
            {"FP32": weight, "INT8": codes},
            ["weight", "code"],
            [np.linspace(-reach, reach, 128), np.arange(-128.5, 128.5)],
        ),
        folder,
        name,
        "Weights of conv2. The grid must reach the rare largest weight, so "
        f"half of all weights share {shared} of the 256 codes.",
        "Two histograms of the same bell shape: left the float weights, "
        "right their integer codes from −128 to 127.",
    )


def codes(
    name: str, folder: Path, apart: Tensor, fused: Tensor, zero_point: int
) -> None:
    """Show histograms of fc1's output codes (N, 128), ReLU apart and fused.

    Codes below the ``zero_point`` of the first stand for negative values.
    """
    show.figure(
        _histograms(
            {"ReLU apart": apart, "ReLU fused": fused},
            ["output code of fc1"] * 2,
            [np.arange(-0.5, 128.5)] * 2,
        ),
        folder,
        name,
        f"With ReLU apart, the {zero_point} codes below the zero point of "
        "fc1 hold values that ReLU deletes next; fused, all 128 codes hold "
        "values that are used.",
        "Two histograms of integer codes from 0 to 127. Left, the codes "
        "spread on both sides of the zero point; right, they start at zero.",
    )


def clip(
    name: str, folder: Path, trials: grid_effects.Trials, right: int
) -> None:
    """Show ``trials``; ``right`` counts the float network's."""
    best = grid_effects.best_reaches(trials)
    few, many = min(best), max(best)
    n = next(iter(trials.values())).n
    show.figure(
        _lines(trials, right / n),
        folder,
        name,
        f"conv2 on grids of {few} to {many} bits that end at 20 to 100 % of "
        f"its largest weight; {n:,} validation images. The best SQNR is at "
        f"{best[few]} % of the largest weight for {few} bits and at "
        f"{best[many]} % for {many}. Dashed: the float network.",
        "Left: SQNR over bits, five lines; with few bits the shorter grids "
        "are on top, with many bits their lines level off. Right: the "
        "accuracy comes near the float network's within a few bits.",
    )


@style.styled
def _lines(trials: grid_effects.Trials, accuracy: float) -> Figure:
    """SQNR and accuracy over bits, a line for each reach (percent).

    ``accuracy`` is that of the float network, a share.
    """
    made, (left, right) = style.figure(7.0, 3.0, ncols=2)
    bits, reaches = (sorted(set(ends)) for ends in zip(*trials, strict=True))
    # The lines cross, so each has its own shade and marker.
    shades = itertools.cycle(zip(style.SHADES, "osD^v", strict=True))
    for reach, (shade, marker) in zip(reaches[::-1], shades, strict=False):
        rows = [trials[b, reach] for b in bits]
        looks = {"marker": marker, "color": shade, "markersize": 4}
        left.plot(bits, [t.sqnr for t in rows], label=f"{reach} %", **looks)
        right.plot(bits, [100 * t.correct / t.n for t in rows], **looks)
    whole = {"color": NEUTRAL, "linestyle": "--", "label": "float"}
    right.axhline(100 * accuracy, **whole)
    right.legend(fontsize=8)
    left.set(xlabel="bits", ylabel="SQNR of the weights (dB)")
    right.set(xlabel="bits", ylabel="validation accuracy (%)")
    left.legend(title="grid reaches", fontsize=8, title_fontsize=8)
    return made


@style.styled
def channels(
    before: dict[str, Tensor], after: dict[str, Tensor], ylabel: str
) -> Figure:
    """A value (C,) for each channel, before and after, a panel per layer.

    ``ylabel`` names the quantity and its unit.
    """
    rows = -(-len(before) // 2)
    panels = {"nrows": rows, "ncols": 2, "squeeze": False}
    made, axes = style.figure(7.0, 2.3 * rows + 0.4, **panels)
    for axis, name in zip(axes.flat, before, strict=True):
        order = before[name].argsort()
        for found, (marker, look) in zip(
            (before, after), _sides("before", "after"), strict=True
        ):
            axis.plot(found[name][order], marker, markersize=3, **look)
        axis.set_title(name, fontsize=10)
        axis.axhline(0, color=NEUTRAL, linewidth=0.8)
    made.supxlabel("channel, sorted by its value before", fontsize=10)
    made.supylabel(ylabel, fontsize=10)
    style.legend(made, axes.flat[0], "upper left", ncols=2)
    return made


def _sides(*titles: str) -> list[tuple[str, dict[str, str]]]:
    """Marker and looks of two states of one thing."""
    return [
        (marker, {"color": colour, "label": title})
        for marker, colour, title in zip(
            "ox", (BEFORE, AFTER), titles, strict=True
        )
    ]


def mean_errors(
    name: str,
    folder: Path,
    found: list[dict[str, Tensor]],
    left: dict[str, float],
) -> None:
    """Show mean errors (C,) by layer, uncorrected and corrected.

    ``left`` is the percentage that the correction leaves, by layer.
    """
    shares = ", ".join(f"{p:.0f} % in {n}" for n, p in left.items())
    show.figure(
        channels(*found, "mean output error"),
        folder,
        name,
        "On validation images, which the correction never saw, it leaves of "
        f"the mean absolute error: {shares}.",
        "Four panels, one for each layer, with the mean error of each "
        "channel. Before the correction the errors spread widely around "
        "zero; after it they lie close to zero.",
    )


def channel_codes(
    name: str, folder: Path, sides: list[grid_effects.Coded]
) -> None:
    """Show the channels of conv1, unfolded and folded."""
    found = grid_effects.channels(*sides)
    show.figure(
        _channel_codes(sides),
        folder,
        name,
        "Channels of conv1. Behind ReLU, the median channel has "
        f"{found.before:.1f} dB unfolded and {found.after:.1f} dB folded; "
        f"the poorest channel has {found.codes} codes.",
        f"Two panels over the {found.count} channels of conv1. Left: codes "
        "in use, unfolded and folded. Right: the SQNR behind the ReLU, "
        f"higher in the folded network for {found.better} channels.",
    )


@style.styled
def _channel_codes(sides: list[grid_effects.Coded]) -> Figure:
    """Codes in use and SQNR (dB) of every channel, in both networks."""
    made, axes = style.figure(7.0, 3.0, ncols=2)
    order = np.argsort(sides[0].used)
    looks = _sides(*(side.title for side in sides))
    for side, (marker, look) in zip(sides, looks, strict=True):
        axes[0].plot(side.used[order], marker, markersize=4, **look)
        sqnr = np.array(side.sqnr)[order]
        axes[1].plot(sqnr, marker, markersize=4, **look)
    axes[0].set(ylabel="codes in use", ylim=(0, None))
    axes[1].set_ylabel("SQNR behind the ReLU (dB)")
    made.supxlabel("channel, sorted by codes in use", fontsize=10)
    style.legend(made, axes[0], "upper left", ncols=2)
    return made
