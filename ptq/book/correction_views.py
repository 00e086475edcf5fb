"""Figure and table of the mean errors that a bias correction leaves."""

from pathlib import Path

import pandas as pd
from torch import Tensor

from ptq.book import figures, plots, show


def errors(
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


def left(name: str, found: dict[int, pd.DataFrame]) -> None:
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
