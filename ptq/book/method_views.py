"""What methods do to a network: folding, then bias correction."""

from pathlib import Path

import numpy as np
import pandas as pd
from torch import Tensor

from ptq.book import explorer_drawings, figures, plots, show
from ptq.measure import grid_effects


def channels(
    name: str, folder: Path, sides: list[grid_effects.Coded]
) -> None:
    """Figure of the channels of conv1, unfolded and folded."""
    found = grid_effects.channels(*sides)
    figures.show(
        explorer_drawings.channel_overview(sides),
        folder,
        name,
        "Channels of conv1. Behind ReLU, the median channel has "
        f"{found.before:.1f} dB unfolded and {found.after:.1f} dB folded; "
        f"the poorest channel has {found.codes} codes.",
        f"Two panels over the {found.count} channels of conv1. Left: codes "
        "in use, unfolded and folded. Right: the SQNR behind the ReLU, "
        f"higher in the folded network for {found.better} channels.",
    )


def codes(
    name: str, folder: Path, apart: Tensor, fused: Tensor, zero_point: int
) -> None:
    """Histograms of fc1's output codes (N, 128), ReLU apart and fused.

    Codes below the ``zero_point`` of the first stand for negative values.
    """
    figures.show(
        plots.histograms(
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


def mean_errors(
    name: str,
    folder: Path,
    found: list[dict[str, Tensor]],
    left: dict[str, float],
) -> None:
    """Figure of mean errors (C,) by layer, uncorrected and corrected.

    ``left`` is the percentage that the correction leaves, by layer.
    """
    shares = ", ".join(f"{p:.0f} % in {n}" for n, p in left.items())
    figures.show(
        plots.channels(*found, "mean output error"),
        folder,
        name,
        "On validation images, which the correction never saw, it leaves of "
        f"the mean absolute error: {shares}.",
        "Four panels, one for each layer, with the mean error of each "
        "channel. Before the correction the errors spread widely around "
        "zero; after it they lie close to zero.",
    )


def errors_left(name: str, found: dict[int, pd.DataFrame]) -> None:
    """Table of what is left with some numbers of images."""
    rows = [
        {"calibration images": count}
        | {
            f"{layer} (%)": f"{p.mean():.0f} ({p.min():.0f}–{p.max():.0f})"
            for layer, p in frame.items()
        }
        for count, frame in found.items()
    ]
    draws = len(next(iter(found.values())))
    caption = (
        "Mean error on validation images, in percent of the uncorrected one: "
        f"mean over {draws} draws (smallest to largest)."
    )
    show.table(rows, name, caption)
