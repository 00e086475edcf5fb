"""An upper bound for each channel, where a clamp such as ReLU6 has one."""

from dataclasses import replace

import torch
from torch import Tensor

from ptq.graph import Graph, Node, Value


def bounds(graph: Graph, node: Node) -> Tensor | None:
    """Where a node cuts each channel, float64 (C,); None if it does not.

    ``node`` is a clamp, or a minimum that ``bound`` has put in its place.
    """
    if node.op == "minimum":
        return graph.filled(node.args[1], {}).double().flatten()
    if node.op != "clamp" or node.args[2] is None:
        return None
    return torch.full((node.shape[1],), node.args[2], dtype=torch.float64)


def bound(graph: Graph, node: Node, upper: Tensor) -> None:
    """Cut channels at ``upper``, float64 (C,), where ``node`` cut them.

    The node becomes a minimum, which integers run as a table. In front of it
    stands a clamp at the highest bound, for the lower end. ``graph`` is
    changed.
    """
    known = node.op == "minimum"
    clamp = graph.nodes[node.inputs[0]] if known else node
    args = clamp.args[0], clamp.args[1], float(upper.max())
    if not known and upper.min() == upper.max():
        graph.nodes[node.name] = replace(node, args=args)
        return
    clamp = replace(clamp, name=f"{node.name}.clamp", args=args)
    around = (-1, *[1] * (len(node.shape) - 2))
    kept = graph.keep(f"{node.name}.upper", upper.float().reshape(around))
    args = Value(clamp.name), kept
    two = (clamp, replace(node, op="minimum", args=args))
    graph.nodes = {
        new.name: new
        for old in graph.nodes.values()
        if old.name != clamp.name
        for new in (two if old.name == node.name else (old,))
    }
