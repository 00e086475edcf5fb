"""Exact integers: a quantized network without a float inside.

Between the codes of the images and those of the logits there are whole
numbers only: sums of products, multipliers of 31 bits with a shift, tables
for functions. Sums have 32 bits where a layer's codes prove that none is
larger, else 64. What another engine computes can be compared with this, code
by code.
"""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from ptq import input_checks
from ptq.engines import integer_pooling
from ptq.engines.contract import Ran
from ptq.engines.inner_codes import walked
from ptq.graph import Node, UnsupportedError
from ptq.graph.operations import operation
from ptq.quantizer import affine, grid_placement
from ptq.quantizer.fixed_point import LOW_BITS, fixed_point, shared_shift
from ptq.quantizer.network import QuantizedNetwork

# It rounds halves up, and multiplies by 31 bits: the simulation does not.
EXACT = False
IN_FLOAT = frozenset()
BATCH = 250
INT32 = 2**31  # no larger sum fits


class Integers:
    """A network in exact integers; call it with images.

    ``largest`` tells of each layer the most that a sum can be, from its
    codes, whatever the images are: sums up to 2^31 - 1 have 32 bits. Raises
    UnsupportedError, naming it, for what is kept in float, for a function
    that no table holds, and for sums beyond 2^51.
    """

    def __init__(self, network: QuantizedNetwork):
        if network.kept:
            raise UnsupportedError(
                f"{', '.join(sorted(network.kept))}: kept in float, which "
                "exact integers cannot run"
            )
        self._network, self._graph = network, network.graph
        nodes = self._graph.nodes.values()
        self.largest = {
            name: layer.largest_sum(self._read(name))
            for name, layer in network.integers.items()
        }
        self._steps = {node.name: self._step(node) for node in nodes}
        self.ran = [
            Ran(node.name, node.op, "integer")
            for node in nodes
            if node.op != "input"
        ]

    def __call__(self, images: Tensor) -> Tensor:
        """Logits, float32, of images as ``QuantizedNetwork`` takes them."""
        grid = self._network.grid(self._graph.output)
        return affine.dequantize(self.codes(images), grid)

    def codes(self, images: Tensor) -> Tensor:
        """Codes of the logits, int32 (N, classes)."""
        found = []
        for batch in self._network.normalized(images).split(BATCH):
            found.append(self._graph.walk(batch, self.compute))
        zero = self._network.grid(self._graph.output).zero_point
        return torch.cat(found) + zero

    def compute(self, node: Node, given: dict[str, Tensor]) -> Tensor:
        """A node's result: codes minus zero point, int32 of its shape.

        ``given`` has those of the nodes that it reads.
        """
        return self._steps[node.name](given)

    def _step(self, node: Node) -> Callable:
        kind = grid_placement.kind(node, self._network.kept)
        make = {
            "input": self._input,
            "layer": self._layer,
            "move": self._move,
            "average": self._average,
            "function": self._function,
        }
        if node.op in BY_WORD:
            return BY_WORD[node.op](self, node)
        if kind not in make:
            raise UnsupportedError(f"{node}: no integers for {node.op}")
        return make[kind](node)

    def _scale(self, name: str) -> Tensor:
        return self._network.grid(name).scale.double()

    def _read(self, name: str) -> affine.Grid:
        """The grid of what a node reads first."""
        return self._network.grid(self._graph.nodes[name].inputs[0])

    def _farthest(self, name: str) -> int:
        """How far from the zero point a node's codes can be."""
        grid = self._network.grid(name)
        return grid.qmax - grid.qmin

    def _onto_grid(self, node: Node, whole: Tensor) -> Tensor:
        """Whole numbers clipped to the grid's ends, minus its zero point."""
        grid = self._network.grid(node.name)
        zero = int(grid.zero_point)
        return whole.clamp(grid.qmin - zero, grid.qmax - zero).int()

    def _input(self, node: Node) -> Callable:
        grid = self._network.grid(node.name)

        def step(given):
            codes = affine.quantize(given["images"], grid)
            return codes - grid.zero_point

        return step

    def _layer(self, node: Node) -> Callable:
        layer, (name,) = self._network.integers[node.name], node.inputs
        unit = self._scale(name) * layer.grid.scale.double()
        around = [-1] + [1] * (len(node.shape) - 2)
        ratio = (unit / self._scale(node.name)).expand(len(layer.codes))
        largest = self.largest[node.name]
        scaled = _scaled(node, ratio.reshape(around), largest)
        run = operation(node.op).run
        # torch has no dilated convolution of int32.
        dilated = node.op == "convolution" and max(node.args[5]) > 1
        narrow = largest < INT32 and not dilated
        dtype = torch.int32 if narrow else torch.int64
        codes, bias = layer.codes.to(dtype), layer.bias.to(dtype)

        def step(given):
            whole = given[name].to(dtype)
            sums = run(whole, codes, bias, *node.args[3:])
            return self._onto_grid(node, scaled(sums))

        return step

    def _add(self, node: Node) -> Callable:
        ratios = torch.stack([self._scale(n) for n in node.inputs])
        shared = shared_shift(ratios / self._scale(node.name))
        half = 1 << (int(shared.shift) - 1)

        def step(given):
            pairs = zip(node.inputs, shared.multiplier, strict=True)
            total = sum(given[name].long() * m for name, m in pairs)
            return self._onto_grid(node, (total + half) >> shared.shift)

        return step

    def _mul(self, node: Node) -> Callable:
        first, second = node.inputs
        ratio = self._scale(first) * self._scale(second)
        largest = self._farthest(first) * self._farthest(second)
        scaled = _scaled(node, ratio / self._scale(node.name), largest)
        return lambda given: self._onto_grid(
            node, scaled(given[first].long() * given[second])
        )

    def _cat(self, node: Node) -> Callable:
        grid = self._network.grid(node.name)
        moved = {
            name: fixed_point(self._scale(name) / grid.scale.double())
            for name in node.inputs
        }

        def step(given):
            parts = (
                given[name]
                if self._network.grid(name) == grid
                else moved[name](given[name])
                for name in node.inputs
            )
            joined = torch.cat([part.long() for part in parts], node.args[1])
            return self._onto_grid(node, joined)

        return step

    def _average(self, node: Node) -> Callable:
        """The sum of each window, times s_x / (count s_y)."""
        (name,) = node.inputs
        size = self._graph.nodes[name].shape[2:]
        count = integer_pooling.places(node, size)
        ratio = self._scale(name) / (count * self._scale(node.name))
        largest = int(count.max()) * self._farthest(name)
        scaled = _scaled(node, ratio, largest)
        return lambda given: self._onto_grid(
            node,
            scaled(integer_pooling.window_sums(node, given[name].long())),
        )

    def _move(self, node: Node) -> Callable:
        flat = node.op == "max_pool" and len(node.shape) == 3
        run = integer_pooling.max_pool1d if flat else operation(node.op).run

        return lambda given: run(*self._graph.filled(node.args, given))

    def _clamp(self, node: Node) -> Callable:
        (name,) = node.inputs
        grid = self._network.grid(node.name)
        zero = int(grid.zero_point)
        low, high = (
            None
            if bound is None
            else int(affine.quantize(torch.tensor(float(bound)), grid)) - zero
            for bound in node.args[1:]
        )
        return lambda given: self._onto_grid(
            node, given[name].clamp(low, high)
        )

    def _function(self, node: Node) -> Callable:
        """A table: the code of the result for each code."""
        table = self._network.table(node)
        if table is None:
            raise UnsupportedError(
                f"{node}: {node.op} is no function from code to code: exact "
                "integers have no table for it"
            )
        (name,) = node.inputs
        read, made = self._network.grid(name), self._network.grid(node.name)
        channel = torch.arange(table.shape[1])
        channel = channel.reshape(1, -1, *[1] * (len(node.shape) - 2))

        def step(given):
            place = given[name] + read.zero_point - read.qmin
            return table[place.long(), channel] - made.zero_point

        return step


def _scaled(node: Node, ratio: Tensor, largest: int) -> Callable:
    """Products of ``ratio`` with whole numbers up to ``largest``."""
    made = fixed_point(ratio)
    if largest < INT32:
        return made
    if largest >= 2**51 or (made.shift < LOW_BITS).any():
        raise UnsupportedError(
            f"{node}: its sums may be {largest:,}: expected less than 2^51, "
            "and a multiplier below 2^11; give it fewer bits"
        )
    return made.wide


# Operations that no kind of them has in common.
BY_WORD = {
    "add": Integers._add,
    "mul": Integers._mul,
    "cat": Integers._cat,
    "clamp": Integers._clamp,
}


def available() -> Literal[True]:
    """True: it needs torch only."""
    return True


def load(network: QuantizedNetwork, threads: int = 0) -> Integers:
    """The network in exact integers; ``threads`` are torch's own.

    Raises UnsupportedError as ``Integers`` does, and InputError as all.
    """
    input_checks.check_threads(threads)
    return Integers(network)


def inside(network: QuantizedNetwork, fused: bool = True) -> Callable:
    """Codes of each node's result, as ``contract.Engine`` says."""
    return walked(network, load(network).compute)
