"""The integers of a layer."""

from dataclasses import dataclass

from torch import Tensor

from ptq.quantizer.affine import Grid


@dataclass(frozen=True)
class Layer:
    """The integers of a convolution or linear layer.

    ``codes`` is int8 (int16 for more than 8 bits), of the weight's shape, on
    the symmetric ``grid``, one or one for each output; ``bias`` is int32
    (C,), int64 where codes are wider than a byte, and its unit is the scale
    of the input times that of the weights.
    """

    codes: Tensor
    grid: Grid
    bias: Tensor

    @property
    def bits(self) -> int:
        """Bits of a weight's code; one where all codes are -1 or 1."""
        ends = self.grid.qmin, self.grid.qmax
        if ends == (-1, 1) and (self.codes.abs() == 1).all():
            return 1
        return (self.grid.qmax - self.grid.qmin).bit_length()

    def largest_sum(self, given: Grid) -> int:
        """The most that a sum can be, whatever the images are.

        No partial sum is larger, in whatever order the products are added.
        ``given``, of shape (), is the grid of the layer's input.
        """
        zero = int(given.zero_point)
        farthest = max(given.qmax - zero, zero - given.qmin)
        sums = self.codes.long().abs().flatten(1).sum(1) * farthest
        return int((sums + self.bias.long().abs()).max())
