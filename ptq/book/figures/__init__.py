"""Figures of what was measured: each module draws one kind of thing."""

from ptq.book.figures import (
    comparison,
    confusion,
    corruptions,
    data,
    designs,
    four_networks,
    frontier,
    grids,
    growth,
    layers,
    ranges,
    rounding,
    smallest,
    strategies,
)

__all__ = [
    "comparison",
    "confusion",
    "corruptions",
    "data",
    "designs",
    "four_networks",
    "frontier",
    "grids",
    "growth",
    "layers",
    "ranges",
    "rounding",
    "smallest",
    "strategies",
]
