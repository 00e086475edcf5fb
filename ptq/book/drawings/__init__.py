"""Drawings of ideas, each made of the network or numbers that it is given."""

from ptq.book.drawings import captioned, graphs, networks, numbers

__all__ = ["captioned", "graphs", "networks", "numbers"]
