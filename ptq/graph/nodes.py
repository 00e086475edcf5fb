"""A network as data: operations in the order in which they run."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from ptq.graph.operations import operation

BATCH = -1
# How many images are traced (none is computed): a prime number, so that a
# dimension which grows with the number of images is told by its size.
COUNT = 1009


@dataclass(frozen=True)
class Value:
    """In a node's arguments: what the node of this name puts out."""

    name: str


@dataclass(frozen=True)
class Constant:
    """In a node's arguments: a tensor of the graph, such as a weight."""

    name: str


@dataclass(frozen=True)
class Node:
    """One operation: ``op`` (``operations.operation``) on ``args``.

    ``shape`` is that of its result, with -1 for the number of images;
    ``source`` is the user's line, as "net.py:12", where it is known.
    """

    name: str
    op: str
    args: tuple
    shape: tuple[int, ...]
    source: str = ""

    @cached_property
    def inputs(self) -> list[str]:
        """Names of the nodes that it reads, a name twice if read twice."""
        return [a.name for a in _leaves(self.args) if isinstance(a, Value)]

    @cached_property
    def constants(self) -> list[str]:
        """Names of the tensors that it reads."""
        return [a.name for a in _leaves(self.args) if isinstance(a, Constant)]

    def __str__(self):
        return f"{self.name} ({self.source})" if self.source else self.name


@dataclass
class Graph:
    """Nodes by name, in the order of running, and constants of any shape.

    The first node is the input, ``output`` names the one whose result the
    network returns. Called with float32 images, it computes in float32.
    """

    nodes: dict[str, Node]
    constants: dict[str, Tensor]
    output: str
    unused: tuple[str, ...] = field(default=())

    def __call__(self, images: Tensor) -> Tensor:
        """Logits, float32, of float32 ``images``, (N, ...) as traced."""
        return self.walk(images, self.compute)

    @torch.no_grad()
    def walk(self, images: Tensor, visit: Callable) -> Tensor:
        """The output, where ``visit(node, given)`` makes each node's value.

        ``images`` has shape (N, ...) as traced. ``given`` is a dict from the
        names of the nodes that it reads to their values, for the input from
        "images" to ``images``; a value is dropped when its last reader has
        run.
        """
        values, left = {}, Counter(self.reads())
        for node in self.nodes.values():
            given = {name: values[name] for name in node.inputs}
            if node.op == "input":
                given = {"images": images}
            values[node.name] = visit(node, given)
            left.subtract(node.inputs)
            for name in set(node.inputs):
                if not left[name] and name != self.output:
                    del values[name]
        return values[self.output]

    def compute(self, node: Node, given: dict[str, Tensor]) -> Tensor:
        """A node's result, float32 of its shape, of the values it reads."""
        if node.op == "input":
            return given["images"]
        return operation(node.op).run(*self.filled(node.args, given))

    def filled(self, args, given: dict[str, Tensor]) -> Any:
        """Arguments with tensors of any shape where they name them."""
        if isinstance(args, Value):
            return given[args.name]
        if isinstance(args, Constant):
            return self.constants[args.name]
        if isinstance(args, tuple):
            return tuple(self.filled(a, given) for a in args)
        return args

    def reads(self) -> list[str]:
        """Who is read: a name for each time that a node reads it."""
        return [name for node in self.nodes.values() for name in node.inputs]

    def users(self, name: str) -> list[Node]:
        """The nodes that read ``name``; one that reads it twice, twice."""
        return [
            node
            for node in self.nodes.values()
            for read in node.inputs
            if read == name
        ]

    def only_user(self, name: str) -> Node | None:
        """The node that alone reads ``name``, which is not the output."""
        users = self.users(name)
        alone = len(users) == 1 and name != self.output
        return users[0] if alone else None

    def remove(self, name: str, instead: str) -> None:
        """Take a node out; who read it reads ``instead``."""
        del self.nodes[name]
        for node in self.nodes.values():
            if name in node.inputs:
                args = _renamed(node.args, name, instead)
                self.nodes[node.name] = replace(node, args=args)
        self.output = instead if self.output == name else self.output

    def copy(self) -> "Graph":
        """Another graph; nodes and tensors, never written to, are shared."""
        return replace(
            self, nodes=dict(self.nodes), constants=dict(self.constants)
        )

    def keep(self, name: str, tensor: Tensor) -> Constant:
        """Add a constant of any shape, renamed where its name is taken."""
        while self.constants.get(name, tensor) is not tensor:
            name += "'"
        self.constants[name] = tensor
        return Constant(name)

    def drop_idle(self) -> None:
        """Forget constants that no node reads."""
        read = {c for node in self.nodes.values() for c in node.constants}
        self.constants = {n: self.constants[n] for n in sorted(read)}


def _leaves(args):
    for arg in args:
        if isinstance(arg, tuple):
            yield from _leaves(arg)
        else:
            yield arg


def _renamed(args, old: str, new: str):
    if isinstance(args, tuple):
        return tuple(_renamed(arg, old, new) for arg in args)
    return Value(new) if args == Value(old) else args
