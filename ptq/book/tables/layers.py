"""Layers side by side: errors, budgets, and other readings."""

import numpy as np
import pandas as pd
from torch import Tensor, nn

from ptq.book import show
from ptq.measure import layer_errors
from ptq.measure.layer_errors import LIKE_FOR_LIKE_POINTS, LayerError
from ptq.measure.noise_budget import Budget

Errors = dict[str, LayerError]


def readings(
    columns: dict[str, tuple[dict, str]], what: str = "layer"
) -> list[dict[str, str]]:
    """A row for each name that a reading has; "–" where a column has none.

    ``columns`` holds readings by name, and the format that writes one
    ("{:.1f}", "{0.share:.2f}"); ``what`` is the title of the names. The
    order is that of the longest column.
    """
    longest = max((found for found, _ in columns.values()), key=len)
    return [
        {what: name}
        | {
            title: form.format(found[name]) if name in found else "–"
            for title, (found, form) in columns.items()
        }
        for name in longest
    ]


def sensitivity(name: str, published: Errors, alike: Errors, n: int) -> None:
    """Show the errors of the figure, measured on ``n`` images."""
    rows = [
        {
            "layer": layer,
            "MSE, published": f"{published[layer].mse:.2g}",
            "MSE": f"{error.mse:.2g}",
            "SQNR (dB)": f"{error.sqnr:.1f}",
        }
        for layer, error in alike.items()
    ]
    caption = f"Layer-wise error on {n:,} validation images."
    show.table(rows, name, caption)


def budget(
    name: str, budget: dict[str, Budget], alike: Errors, published: Errors
) -> None:
    """Show the causes of each layer's noise, and the errors beside it."""
    rows = []
    for layer, found in budget.items():
        over = found.excess(published[layer].mse)
        causes = {
            f"{cause} (%)": f"{100 * noise / found.total:.1f}"
            for cause, noise in found.noise.items()
        }
        rows.append(
            {"layer": layer}
            | causes
            | {
                "predicted (dB)": f"{found.sqnr:.1f}",
                "measured (dB)": f"{alike[layer].sqnr:.1f}",
                "over budget, published (dB)": f"{over:+.1f}",
            }
        )
    show.table(
        rows,
        name,
        "The budget of the network of the first draw: shares of the causes, "
        "and SQNR. The last column: by how much the published MSE exceeds "
        "the budget.",
    )


def stability(
    name: str, network: nn.Module, quantized: nn.Module, images: Tensor
) -> float:
    """Show each layer's SQNR on five sets of the images.

    ``images`` is float32 (N, 3, 32, 32). Returns the largest spread of a
    layer's SQNR between sets, in dB.
    """
    size, rows, found = len(images) // 5, [], []
    for i, part in enumerate(images.split(size)[:5]):
        errors = layer_errors.layer_errors(
            network, quantized, part, LIKE_FOR_LIKE_POINTS
        )
        found.append([error.sqnr for error in errors.values()])
        words = {layer: f"{e.sqnr:.1f}" for layer, e in errors.items()}
        rows.append({"images": f"{size * i + 1}–{size * (i + 1)}"} | words)
    caption = "SQNR in dB of each layer's output, on five sets of images."
    show.table(rows, name, caption)
    return float(np.ptp(found, axis=0).max())


def errors_left(name: str, found: dict[int, pd.DataFrame]) -> None:
    """Show what is left with some numbers of images."""
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
