"""Figures that a reader turns; each is one widget that needs no kernel."""

from ptq.book.explorers import grids, guesses, networks

__all__ = ["grids", "guesses", "networks"]
