"""Multiplication by a real number, done by integers."""

from dataclasses import dataclass

import torch
from torch import Tensor

# Bits of a multiplier; with sums of 32 bits, products fit in 63.
MULTIPLIER_BITS = 31
MOST_SHIFT = 62
# Products with wider sums are formed in two parts, the lower one of so many
# bits.
LOW_BITS = 20


@dataclass(frozen=True)
class FixedPoint:
    """Real numbers m 2^-s: ``multiplier`` m and ``shift`` s, both int64.

    Both have the shape of the numbers, such as () or (C, 1, 1).
    """

    multiplier: Tensor
    shift: Tensor

    def __call__(self, whole: Tensor) -> Tensor:
        """The products with whole numbers, rounded to int64.

        ``whole`` is of any integer dtype, below 2^31 in size, and its shape
        broadcasts with the multiplier's. Halves are rounded up, as adding a
        half and shifting does (Jacob et al., 2018, 2.2, round to nearest).
        """
        half = torch.ones_like(self.shift) << (self.shift - 1)
        return (whole.long() * self.multiplier + half) >> self.shift

    def wide(self, whole: Tensor) -> Tensor:
        """The same products for int64 ``whole`` (...), below 2^51 in size.

        A product may need 82 bits: its lower part is formed, rounded and
        shifted first, and then added to the higher one. Raises ValueError
        where a number is 2^11 or more, whose products cannot be of use.
        """
        if (self.shift < LOW_BITS).any():
            raise ValueError("a ratio for wide sums: expected below 2^11")
        half = torch.ones_like(self.shift) << (self.shift - 1)
        high, low = whole >> LOW_BITS, whole & (2**LOW_BITS - 1)
        carried = (low * self.multiplier + half) >> LOW_BITS
        left = self.shift - LOW_BITS
        return (high * self.multiplier + carried) >> left


def fixed_point(ratio: Tensor) -> FixedPoint:
    """The nearest fixed-point number to each ``ratio``, of any shape.

    The relative error is at most 2^-31 where a ratio lies between 2^-31 and
    2^30. Raises ValueError where one is negative, not finite, or larger.
    """
    ratio = ratio.double()
    if not (torch.isfinite(ratio).all() and (ratio >= 0).all()):
        raise ValueError(f"ratio {ratio}: expected finite, not negative")
    if (ratio >= 2.0 ** (MULTIPLIER_BITS - 1)).any():
        raise ValueError(f"ratio {ratio}: expected less than 2^30")
    _, exponent = torch.frexp(ratio)
    shift = (MULTIPLIER_BITS - exponent.long()).clamp(max=MOST_SHIFT)
    return FixedPoint(torch.round(ratio * 2.0**shift).long(), shift)


def shared_shift(ratios: Tensor) -> FixedPoint:
    """Ratios (n,) with one shift, so that their products can be added.

    The largest one keeps 30 bits, for the sum of several products must fit.
    """
    found = fixed_point(ratios.max())
    shift = (found.shift - 1).clamp(min=1)
    return FixedPoint(torch.round(ratios.double() * 2.0**shift).long(), shift)
