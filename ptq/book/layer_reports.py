"""Figures and tables on single layers: their errors, and their times."""

from pathlib import Path

import numpy as np
from torch import Tensor, nn

from ptq.book import figures, plots, show
from ptq.evidence import intervals
from ptq.experiment import layer_studies
from ptq.experiment.strategies import STRATEGIES
from ptq.measure import layer_errors
from ptq.measure.layer_errors import LIKE_FOR_LIKE_POINTS, LayerError
from ptq.measure.noise_budget import Budget

Errors = dict[str, LayerError]


def sensitivity_figure(
    name: str, published: Errors, alike: Errors, folder: Path
) -> None:
    """Draw each layer's error as published and like for like."""
    factor = float(f"{published['conv2'].mse / alike['conv2'].mse:.1g}")
    series = {"published points": published, "like for like": alike}
    figures.show(
        plots.layer_bars(
            {t: {n: e.mse for n, e in s.items()} for t, s in series.items()},
            "MSE of the layer's output",
        ),
        folder,
        name,
        caption="Layer-wise error at the published points, and at the same "
        "points of both networks: the published comparison overstates the "
        f"error of conv2 {factor:,.0f}-fold.",
        alt="Bars of the mean squared error per layer on a logarithmic "
        "axis. The published bars of conv1 and conv2 are much higher than "
        "the like-for-like bars; those of fc1 and fc2 are equal.",
    )


def sensitivity_table(
    name: str, published: Errors, alike: Errors, n: int
) -> None:
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


def largest_miss(
    budgets: list[dict[str, Budget]], measured: list[dict[str, float]]
) -> float:
    """By how many dB a measured error is off its budget, at most."""
    return max(
        abs(budget[layer].excess(error))
        for budget, errors in zip(budgets, measured, strict=True)
        for layer, error in errors.items()
    )


def budget_figure(
    name: str,
    budgets: list[dict[str, Budget]],
    measured: list[dict[str, float]],
    folder: Path,
) -> None:
    """Draw the noise of each layer by cause, and as it was measured."""
    figures.show(
        plots.noise_parts(budgets, measured),
        folder,
        name,
        caption="Where the noise of each layer comes from, for five draws "
        "of calibration images. The bars are predictions: no quantized "
        "layer was run for them. The measured totals differ from them by "
        f"{largest_miss(budgets, measured):.1f} dB at most.",
        alt="Four groups of five stacked bars, a group for each layer, and "
        "a mark for the measured noise near the top of each bar. Rounding "
        "and the noise of the input are the large parts.",
    )


def budget_table(
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


def stability_table(
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


def profile_figure(
    name: str,
    parts: dict[str, dict[str, np.ndarray]],
    batch: int,
    macs_share: float,
    busy: list[str],
    folder: Path,
) -> dict[str, float]:
    """Draw where the time of each network goes; return the ``profile``.

    ``parts`` and ``busy`` are what ``timer.parts`` found for ``batch``
    images, (sessions, rounds) by network and part; in the first, the float
    network, conv2 has the share ``macs_share`` of the work.
    """
    profiles = layer_studies.by_kind(parts, batch)
    found = layer_studies.profile(*profiles.values())
    told = f" This machine was busy: {'; '.join(busy)}." if busy else ""
    labelled = {STRATEGIES[n].label: kinds for n, kinds in profiles.items()}
    figures.show(
        plots.stacked(labelled, f"time per image at batch {batch} (ms)"),
        folder,
        name,
        caption="In the float network, max pooling takes "
        f"{found['pooling']:.0f} % of the time without one "
        f"multiply-accumulate; conv2 has {100 * macs_share:.0f} % of them "
        f"and takes {found['conv2']:.0f} %. (Medians; the mark is the sum, "
        f"with its quartiles.){told}",
        alt="Three stacked bars of time by part of the network, and a mark "
        f"at their sum. Pooling takes {found['pooling_float']:.3f} ms of "
        f"FP32 and {found['pooling_integer']:.3f} ms of the folded network.",
    )
    return found


def batches_figure(
    name: str, errors: dict[str, dict[str, np.ndarray]], folder: Path
) -> None:
    """Draw the layers' errors in two networks, over batches of images.

    ``errors`` holds mean squared errors (batches,), by strategy and layer,
    as ``layer_studies.errors_by_batch`` finds them; the second strategy is
    compared with the first, batch by batch.
    """
    first, second = errors.values()
    changes = [
        f"{_percent(second[layer] / first[layer] - 1)} in {layer}"
        for layer in first
    ]
    series = {
        STRATEGIES[strategy].label: {
            layer: intervals.mean(values) for layer, values in found.items()
        }
        for strategy, found in errors.items()
    }
    colours = [figures.COLOURS[strategy] for strategy in errors]
    figures.show(
        plots.layer_bars(series, "MSE of the layer's output", colours),
        folder,
        name,
        caption="Layer-wise error, like for like; bars: 95 % interval over "
        "ten batches of images. Correcting the biases changes it, batch by "
        f"batch, by {', '.join(changes)}.",
        alt="Bars of the mean squared error of four layers on a logarithmic "
        "axis, folded with and without bias correction, with error bars.",
    )


def _percent(changes: np.ndarray) -> str:
    """The mean of changes (shares) with its interval, in percent."""
    found = 100 * intervals.mean(changes)
    return f"{found.value:+.1f} % ({found.low:+.1f} to {found.high:+.1f})"
