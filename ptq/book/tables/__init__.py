"""Tables: numbers of a run as text, each module for one kind of thing."""

from ptq.book.tables import (
    choices,
    corruptions,
    designs,
    four_networks,
    grids,
    layers,
    learned,
    networks,
    ranges,
    rounding,
    smallest,
    times,
)

__all__ = [
    "choices",
    "corruptions",
    "designs",
    "four_networks",
    "grids",
    "layers",
    "learned",
    "networks",
    "ranges",
    "rounding",
    "smallest",
    "times",
]
