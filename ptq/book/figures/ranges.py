"""Figures of ranges: what observers cover, and images that tell them."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from ptq.book import show
from ptq.book.style import AFTER, BEFORE, figure, styled
from ptq.experiment.image_sources import SOURCES


def covered(
    name: str,
    values: Tensor,
    ends: dict[str, tuple[float, float]],
    decibels: dict[str, float],
    folder: Path,
) -> None:
    """Show what each observer covers of ``values``, float32 of any shape.

    ``ends`` of ranges and the SQNR in ``decibels`` are by the observer's
    name in words.
    """
    widest = max(ends, key=lambda one: ends[one][1])
    best = max(decibels, key=decibels.get)
    show.figure(
        reach(values, ends, decibels),
        folder,
        name,
        "Values of one result, and the range that each observer gives to its "
        f"16 codes, with the SQNR. The widest is {widest}; {best} has the "
        "highest SQNR.",
        "Above, a histogram with a logarithmic axis falling over its whole "
        "range. Below, a bar for each observer from zero to the end of its "
        "range; most end far before the largest value.",
    )


@styled
def reach(
    values: Tensor,
    ends: dict[str, tuple[float, float]],
    decibels: dict[str, float],
) -> Figure:
    """A histogram, and a bar for the range of each observer.

    ``values`` are float32 of any shape; the rest is as ``covered`` has it.
    """
    made, (above, below) = figure(
        7.0, 4.4, nrows=2, sharex=True, height_ratios=(1, 1.2)
    )
    flat = values.flatten().numpy()
    look = {"color": BEFORE, "log": True, "histtype": "stepfilled"}
    above.hist(flat, np.linspace(flat.min(), flat.max(), 120), **look)
    above.set_ylabel("count")
    places = range(len(ends))
    lows, highs = np.array(list(ends.values())).T
    below.barh(places, highs - lows, left=lows, color=AFTER, height=0.55)
    for place, (words, high) in enumerate(zip(ends, highs, strict=True)):
        told = f"{decibels[words]:.1f} dB"
        beside = {"textcoords": "offset points", "va": "center"}
        below.annotate(told, (high, place), (5, 0), fontsize=9, **beside)
    below.set_yticks(places, list(ends), fontsize=9)
    below.invert_yaxis()
    below.grid(axis="y", visible=False)
    below.set_xlim(right=1.12 * max(highs.max(), flat.max()))
    below.set_xlabel("value")
    return made


def sources(name: str, pixels: dict[str, Tensor], folder: Path) -> None:
    """Show images of several sources, a row each.

    ``pixels`` are uint8 (N, 3, 32, 32), by a name of
    ``image_sources.SOURCES``.
    """
    rows = {SOURCES.row(one).label: of for one, of in pixels.items()}
    show.figure(
        image_rows(rows),
        folder,
        name,
        f"Images that may calibrate, a row each: {', '.join(rows)}. The "
        "distilled ones show no object; BN sees in them what it stored.",
        f"{len(rows)} rows of small images. Training images show animals and "
        "vehicles; distilled images are coloured blotches without an "
        "object; digits are white on black; noise is coloured grain.",
    )


@styled
def image_rows(pixels: dict[str, Tensor]) -> Figure:
    """Rows of images, uint8 (N, 3, 32, 32), by the row's name.

    A row of fewer images than the others ends earlier.
    """
    columns = max(map(len, pixels.values()))
    shape = {"nrows": len(pixels), "ncols": columns, "squeeze": False}
    made, axes = figure(7.0, 0.65 * len(pixels), **shape)
    for axis in axes.flat:
        axis.set_axis_off()
    for row, (words, images) in zip(axes, pixels.items(), strict=True):
        for axis, image in zip(row, images, strict=False):
            axis.imshow(image.permute(1, 2, 0).numpy(), interpolation="none")
        # Without its axis, an image has no label of its own.
        row[0].text(
            *(-0.1, 0.5, words.replace(" ", "\n", 1)),
            transform=row[0].transAxes,
            ha="right",
            va="center",
            fontsize=9,
        )
    return made
