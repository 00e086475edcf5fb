"""Which bits each layer gets in a packed file of a given size."""

from ptq.measure import resources
from ptq.methods import bit_allocation
from ptq.quantizer.network import QuantizedNetwork


class Files:
    """Bits by layer for files of so many bytes.

    ``narrow`` are networks by the bits of all weights, on grids of least
    error; the packed file of the widest has ``size`` bytes.
    """

    def __init__(self, narrow: dict[int, QuantizedNetwork], size: int):
        self.narrow, widest = narrow, max(narrow)
        self.costs = bit_allocation.noise(narrow)
        self.sizes = bit_allocation.sizes(narrow[widest])
        wide = bit_allocation.total(self.sizes, self.all(widest))
        self.rest = size - wide

    def all(self, bits: int) -> dict[str, int]:
        """So many bits for each layer."""
        return dict.fromkeys(self.costs, bits)

    def size(self, bits: dict[str, int]) -> int:
        """Bytes of the packed file."""
        made = bit_allocation.mixed(self.narrow, bits)
        return resources.packed_bytes(made)

    def within(self, most: int) -> dict[str, int]:
        """Bits by layer of the least error in at most so many bytes.

        The fewest bits for all where no file is so small.
        """
        budget, fewest = most - self.rest, self.all(min(self.narrow))
        while True:
            try:
                bits = bit_allocation.exact(self.costs, self.sizes, budget)
            except bit_allocation.BudgetError:
                return fewest
            if (more := self.size(bits) - most) <= 0:
                return bits
            budget -= more
