"""Figures of folding: channels and codes, before and after."""

from pathlib import Path

import numpy as np
from torch import Tensor

from ptq.book import explorer_drawings, figures, plots
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
