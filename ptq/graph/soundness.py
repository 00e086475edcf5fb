"""A graph of unknown origin: is it one that tracing could have made?"""

from dataclasses import replace
from math import prod

import torch
from torch import Tensor

from ptq.graph import arguments
from ptq.graph.errors import UnsupportedError
from ptq.graph.nodes import BATCH, COUNT, Graph, Node
from ptq.graph.operations import operation
from ptq.graph.tracing import IMAGEWISE

# Names stand in messages and in other files' names of tensors.
LONGEST_NAME = 255
# Values that all results of one image may have: 4 GiB in float32.
MOST_VALUES = 2**30
MOST_NODES = 100_000


def sound(graph: Graph) -> Graph:
    """The same graph with the shapes that its operations make.

    Nothing is computed, and no memory taken for results. Raises
    UnsupportedError, in one sentence, where a name, an operation or an
    argument is not as tracing writes it, where a node reads what no node
    before it makes, or where shapes do not fit.
    """
    _check_names(graph)
    on_meta = {n: t.to("meta") for n, t in graph.constants.items()}
    results: dict[str, Tensor] = {}
    made, total = replace(graph, nodes={}, constants=on_meta), 0
    for node in graph.nodes.values():
        _check_reads(graph, node, results)
        first = results[node.inputs[0]] if node.inputs else None
        arguments.check(node, 0 if first is None else first.dim())
        result = _result(made, node, results)
        node = replace(node, shape=_shape(node, result))
        made.nodes[node.name], results[node.name] = node, result
        total += prod(abs(size) for size in node.shape)
        if total > MOST_VALUES:
            raise UnsupportedError(
                f"{node}: results of more than {MOST_VALUES:,} values for an "
                "image"
            )
    if graph.output not in results or made.nodes[graph.output].shape[0] > 0:
        raise UnsupportedError("the output is none of the results")
    return replace(made, constants=graph.constants)


def _check_names(graph: Graph) -> None:
    if not 0 < len(graph.nodes) <= MOST_NODES:
        raise UnsupportedError(f"the graph has {len(graph.nodes)} nodes")
    for node in graph.nodes.values():
        for name in (node.name, *node.constants):
            check_name(name)
        if node.source:
            check_name(node.source)
    first = next(iter(graph.nodes.values()))
    inputs = [n.name for n in graph.nodes.values() if n.op == "input"]
    if inputs != ["input"] or first.op != "input":
        raise UnsupportedError('expected one input, "input", in front')
    read = {c for node in graph.nodes.values() for c in node.constants}
    for name in read.symmetric_difference(graph.constants):
        raise UnsupportedError(f"{name}: a constant missing, or too many")


def check_name(name) -> None:
    """Raise UnsupportedError unless it is a name and no path."""
    whole = isinstance(name, str) and 0 < len(name) <= LONGEST_NAME
    if not whole or not name.isprintable() or {"/", "\\"} & set(name):
        raise UnsupportedError(
            f"{str(name)[:60]!r} is no name: expected at most {LONGEST_NAME} "
            "printable characters without slashes"
        )
    if ".." in name:
        raise UnsupportedError(f"{name!r} is no name: it has two dots")


def _check_reads(graph: Graph, node: Node, results: dict) -> None:
    for name in node.inputs:
        if name not in results:
            where = "itself or later" if name in graph.nodes else "nowhere"
            raise UnsupportedError(
                f"{node}: it reads {name}, which is made {where}; a graph "
                "has no circle and runs from first to last"
            )


def _result(made: Graph, node: Node, results: dict) -> Tensor:
    """A result without memory; for ``COUNT`` images, as in tracing."""
    given = {name: results[name] for name in node.inputs}
    try:
        with torch.device("meta"):
            if node.op == "input":
                return torch.empty(COUNT, *node.shape[1:])
            result = made.compute(node, given)
    except Exception as error:  # torch raises many kinds
        told = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UnsupportedError(f"{node}: {told}") from error
    if not isinstance(result, Tensor) or not result.numel():
        raise UnsupportedError(f"{node}: {node.op} puts out no numbers")
    if node.op == "take":
        _check_positions(node, given)
    return result


def _check_positions(node: Node, given: dict) -> None:
    _, dim, index = node.args
    size = given[node.inputs[0]].shape[dim]
    if not all(0 <= place < size for place in index):
        raise UnsupportedError(f"{node}: a position is not 0 to {size - 1}")


def _shape(node: Node, result: Tensor) -> tuple[int, ...]:
    shape = tuple(n if n % COUNT else BATCH for n in result.shape)
    imagewise = operation(node.op).kind in IMAGEWISE
    if imagewise and (len(shape) < 2 or shape[0] != BATCH):
        raise UnsupportedError(
            f"{node}: its result has shape {shape}: expected the images in "
            "front"
        )
    return shape
