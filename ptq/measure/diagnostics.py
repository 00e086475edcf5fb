"""How values fill the grids of a quantized network, and its weights."""

from dataclasses import dataclass

from torch import Tensor, nn

from ptq.graph.module_outputs import capture


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
    prepared: nn.Module,
    scales: dict[str, tuple[float, int]],
    images: Tensor,
    bits: int = 7,
) -> dict[str, GridUse]:
    """How ``images`` fill the grids of a quantized network, by module.

    ``prepared`` is the network before its conversion: its outputs are not
    rounded yet. ``scales`` are scale and zero point of each grid, by module;
    "quant" is the input's. ``images`` is float32 (N, C, H, W), normalized as
    they will be when the network is used; ``bits`` are those that the
    observers planned for, torch's default seven. The network is left as it
    is. Raises KeyError where a module of ``scales`` is none of ``prepared``,
    InputError where images are none, not float32, or not finite.
    """
    last = 2**bits - 1
    inside = {n: f"module.{n}" for n in scales if n != "quant"}
    seen = capture(prepared, inside.values(), images)
    values = {"quant": images} | {n: seen[p] for n, p in inside.items()}
    return {
        name: GridUse(
            (scale * (0 - zero_point), scale * (last - zero_point)),
            (float(values[name].min()), float(values[name].max())),
        )
        for name, (scale, zero_point) in scales.items()
    }


def weight_gain(found: Tensor, weight: Tensor) -> float:
    """The factor that makes ``found`` of ``weight``, a mean over channels.

    Both are float32 (C_out, ...); in each output channel, the factor is that
    of least squares.
    """
    found, weight = (w.detach().flatten(1) for w in (found, weight))
    gains = (found * weight).sum(1) / weight.square().sum(1)
    return float(gains.mean())
