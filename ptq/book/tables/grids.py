"""Grids: weights and their codes, scales, torch's configurations."""

from torch import Tensor

from ptq.book import show
from ptq.engines.torch_eager import QConfig
from ptq.quantizer.affine import Grid


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
