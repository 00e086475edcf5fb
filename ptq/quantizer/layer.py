"""The integers of a layer."""

from dataclasses import dataclass

from torch import Tensor

from ptq.quantizer.affine import Grid


@dataclass(frozen=True)
class Layer:
    """The integers of a convolution or linear layer.

    ``codes`` is int8, of the weight's shape, on the symmetric ``grid``, one
    or one for each output; ``bias`` is int32 (C,), and its unit is the scale
    of the input times that of the weights.
    """

    codes: Tensor
    grid: Grid
    bias: Tensor

    @property
    def bits(self) -> int:
        """Bits of a weight's code."""
        return (self.grid.qmax - self.grid.qmin).bit_length()
