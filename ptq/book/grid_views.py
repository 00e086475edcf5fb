"""Figures and tables of grids: weights, scales, configurations, outputs."""

from pathlib import Path

import numpy as np
from torch import Tensor

from ptq.book import explorer_drawings, figures, plots, show
from ptq.engines.eager_settings import QConfig
from ptq.evidence import intervals, network_pairs
from ptq.measure import grid_effects
from ptq.quantizer.affine import Grid


def weights(name: str, folder: Path, weight: Tensor, codes: Tensor) -> None:
    """Histograms of a layer's float weights, and of their codes.

    ``weight`` is float32 and ``codes`` int8, both (C, I, H, W).
    """
    reach = float(weight.abs().max())
    shared = 2 * int(codes.int().abs().median()) + 1
    figures.show(
        plots.histograms(
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


def weight_numbers(
    name: str, weight: Tensor, codes: Tensor, scale: float
) -> None:
    """Table of a few weights, float32 (n,), their codes, and the errors."""
    on_grid = scale * codes
    columns = {"weight": weight, "code × scale": on_grid}
    shown = {n: [f"{v:.5f}" for v in x.tolist()] for n, x in columns.items()}
    errors = [f"{v:+.5f}" for v in (on_grid - weight).tolist()]
    rows = {"weight": shown["weight"], "code": codes.tolist()}
    caption = f"Nine weights of conv2 on a grid of scale {scale:.6f}."
    show.table(rows | shown | {"error": errors}, name, caption)


def clip(
    name: str, folder: Path, trials: grid_effects.Trials, right: int
) -> None:
    """Figure of ``trials``; ``right`` counts the float network's."""
    n = next(iter(trials.values())).n
    best = grid_effects.best_reaches(trials)
    few, many = min(best), max(best)
    figures.show(
        explorer_drawings.trials(trials, right),
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


def scales(
    name: str, used: dict[str, tuple[float, int]], seven: dict[str, Grid]
) -> None:
    """Table of the scales that an engine uses, by module, beside ours.

    Ours are grids of 128 codes over the same ranges.
    """
    rows = []
    for module, (scale, _) in used.items():
        layer = "input" if module == "quant" else module
        ours = float(seven[layer].scale)
        numbers = {
            "range": 127 * ours,
            "engine's scale": scale,
            "range / 127": ours,
            "range / 255": 127 * ours / 255,
        }
        shown = {title: f"{value:.5f}" for title, value in numbers.items()}
        rows.append({"output of": layer} | shown)
    caption = "Scales of the activations: the engine divides by 127, not 255."
    show.table(rows, name, caption)


def defaults(name: str, chosen: dict[str, QConfig]) -> None:
    """Table of torch's own configurations."""
    rows = [
        {
            "torch's configuration": f"`{title}`",
            "activations": f"{grids.bits} bits",
            "their range": grids.observer.replace("minmax", "min-max"),
            "weights": f"per {'channel' if grids.per_channel else 'tensor'}",
        }
        for title, grids in chosen.items()
    ]
    caption = "What the configurations of the installed torch choose."
    show.table(rows, name, caption, text=True)


def outputs(
    name: str,
    caption: str,
    reference: np.ndarray,
    given: dict[str, np.ndarray],
    labels: np.ndarray,
    found: dict[str, grid_effects.Outputs],
) -> None:
    """Table of networks against FP32: predictions, and outputs on a grid.

    Predictions of the ``reference``, those ``given`` by each network, and
    ``labels`` are class numbers (n,).
    """
    pairs = {title: (reference, own) for title, own in given.items()}
    rows = []
    for title, pair in network_pairs.compared(pairs, labels).items():
        right = int((given[title] == labels).sum())
        top = 100 * intervals.accuracy(right, pair.n)
        change, seen = 100 * pair.change, found[title]
        rows.append(
            {
                "activations": title,
                "top-1 (%)": f"{top.value:.2f}",
                "95 % interval": f"{top.low:.1f}–{top.high:.1f}",
                "change (points)": f"{change.low:+.2f} to {change.high:+.2f}",
                "lost / gained": f"{pair.lost} / {pair.gained}",
                "Holm p": f"{pair.holm:.2g}",
                "verdict": pair.verdict,
                "other predictions": pair.disagreement,
                "ties": seen.ties,
                "outputs at an end of the grid (%)": f"{seen.at_ends:.2f}",
                "SQNR of the outputs (dB)": f"{seen.sqnr:.1f}",
            }
        )
    show.table(rows, name, caption)
