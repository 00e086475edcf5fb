"""A call of torch, as a rule of translation sees it."""

from collections.abc import Callable
from dataclasses import dataclass

from ptq.graph.nodes import Value


@dataclass
class Call:
    """One call of torch, as ``torch.export`` found it.

    ``given`` are its arguments by name, with Value and Constant for
    tensors; ``shape`` is that of the result (a list of them for several).
    ``emit(op, *args, shape=...)`` adds a node and returns its Value;
    ``shape_of`` tells a Value's or Constant's shape, ``tensor`` a
    Constant's tensor, and ``keep`` makes a Constant of a tensor.
    """

    name: str
    given: dict
    shape: tuple
    emit: Callable
    shape_of: Callable
    tensor: Callable
    keep: Callable

    def __getitem__(self, argument: str):
        return self.given[argument]

    @property
    def x(self) -> Value:
        """The first argument."""
        return next(iter(self.given.values()))


def each(value, length: int) -> tuple:
    """A number for each dimension, where one or many are given."""
    many = value if isinstance(value, tuple) else (value,)
    return many if len(many) == length else many * length
