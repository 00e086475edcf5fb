"""Observed tensors to ranges: what a grid must cover."""

from torch import Tensor, nn

from ptq.graph.module_outputs import capture
from ptq.quantizer.affine import Grid, affine_grid

Range = tuple[Tensor, Tensor]


def minmax(x: Tensor, seen: Range | None = None) -> Range:
    """Smallest and largest value of ``x`` and of what was ``seen`` before.

    ``x`` is float32 of any shape; both ends are float32 of shape ().
    Equation (eq-minmax), the min-max observer (Krishnamoorthi, 2018).
    Raises ValueError where ``x`` holds no values.
    """
    if x.numel() == 0:
        raise ValueError("no values: a range needs one or more")
    low, high = x.min(), x.max()
    if seen is None:
        return low, high
    return low.minimum(seen[0]), high.maximum(seen[1])


def activation_grids(
    network: nn.Module, names: list[str], images: Tensor, qmax: int
) -> dict[str, Grid]:
    """Min-max grid on [0, qmax] for the output of each named module.

    ``images`` is float32 (N, 3, 32, 32); "input" names the images
    themselves. Each grid has shape (). Raises KeyError where a module is
    unknown or unused, InputError where images are none, not float32, not
    finite, or do not fit the network.
    """
    outputs = {"input": images} | capture(network, names, images)
    return {
        name: affine_grid(*minmax(tensor), 0, qmax)
        for name, tensor in outputs.items()
    }
