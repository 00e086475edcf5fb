"""Instruments for a quantized network with a fault.

``layer_errors.layer_errors`` is the third instrument beside these two.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ptq.engines import torch_eager
from ptq.graph.activations import capture


@dataclass(frozen=True)
class GridUse:
    """One activation grid, and the values that it has to represent.

    ``grid`` holds the ends of the grid after calibration, ``values`` the
    smallest and the largest value; units are those of the values.
    """

    grid: tuple[float, float]
    values: tuple[float, float]

    @property
    def share(self) -> float:
        """Range of the values (with zero) per range of the grid.

        About 1 where calibration saw similar values; a half wastes one bit;
        far above 1, values may be clipped.
        """
        low, high = min(self.values[0], 0.0), max(self.values[1], 0.0)
        return (high - low) / (self.grid[1] - self.grid[0])


def grid_use(
    prepared: nn.Module, quantized: nn.Module, images: Tensor, bits: int = 7
) -> dict[str, GridUse]:
    """How ``images`` fill the grids of ``quantized``, by module.

    ``prepared`` is the network before its conversion: its outputs are not
    rounded yet. "quant" is the input's grid. ``images`` is float32 (N, 3, 32,
    32), normalized as they will be when the network is used; ``bits`` are
    those that the observers planned for, torch's default seven. Both networks
    are left as they are. Raises KeyError where a module of ``quantized`` is
    none of ``prepared``, InputError where images are none, not float32, or
    not finite.
    """
    last = 2**bits - 1
    grids = torch_eager.activation_scales(quantized)
    inside = {n: f"module.{n}" for n in grids if n != "quant"}
    seen = capture(prepared, inside.values(), images)
    values = {"quant": images} | {n: seen[p] for n, p in inside.items()}
    return {
        name: GridUse(
            (scale * (0 - zero_point), scale * (last - zero_point)),
            (float(values[name].min()), float(values[name].max())),
        )
        for name, (scale, zero_point) in grids.items()
    }


@dataclass(frozen=True)
class Change:
    """What differs in one quantized layer between two networks.

    ``weights`` counts weights of another value, ``bias`` is the largest move
    of a bias, ``grid`` tells whether the output's grid is another.
    """

    weights: int
    bias: float
    grid: bool

    def __bool__(self) -> bool:
        """True where anything differs."""
        return bool(self.weights or self.bias or self.grid)


@torch.no_grad()
def changes(before: nn.Module, after: nn.Module) -> dict[str, Change]:
    """Compare two quantized networks number by number, layer by layer.

    Raises ValueError where they do not have the same quantized layers.
    """
    first, second = (torch_eager.quantized_layers(n) for n in (before, after))
    if first.keys() != second.keys():
        raise ValueError(
            f"quantized layers {', '.join(first) or 'none'} and "
            f"{', '.join(second) or 'none'}: expected the same ones"
        )
    return {name: _change(first[name], second[name]) for name in first}


def _change(before: nn.Module, after: nn.Module) -> Change:
    weights = [layer.weight().dequantize() for layer in (before, after)]
    biases = [
        torch.zeros(1) if layer.bias() is None else layer.bias()
        for layer in (before, after)
    ]
    grids = [(float(m.scale), int(m.zero_point)) for m in (before, after)]
    return Change(
        weights=int((weights[0] != weights[1]).sum()),
        bias=float((biases[1] - biases[0]).abs().max()),
        grid=grids[0] != grids[1],
    )
