"""Drawings of ideas, each made of the network or numbers that it is given."""

from ptq.book.drawings import graphs, networks, numbers

__all__ = ["graphs", "networks", "numbers"]
