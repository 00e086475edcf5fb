"""How much memory the results of a network's operations need at once.

A result lives from the operation that makes it to the last that reads it;
the largest sum of what lives at one time is the peak. Runtimes that plan
their memory (as TensorFlow Lite Micro does; David et al., 2021, 4.4) come
close to it. What a kernel needs for itself is not counted, nor are weights.

Nothing of its own has a reshape, and a clamp that alone reads its input: it
is fused, or done in place. A function of real numbers needs its operands and
its result in float while it runs, beside the codes.
"""

from dataclasses import dataclass
from math import prod

from ptq.graph import Graph, Node
from ptq.quantizer import grid_placement
from ptq.quantizer.network import QuantizedNetwork

FLOAT_BYTES, CODE_BYTES = 4, 1


@dataclass(frozen=True)
class Peak:
    """The largest sum of living results, in bytes for one image.

    ``node`` names the operation that runs at that time.
    """

    bytes: int
    node: str


def of_float(graph: Graph) -> Peak:
    """The peak where every result is float32."""
    return _peak(graph, lambda node: FLOAT_BYTES * _count(node))


def of_codes(network: QuantizedNetwork) -> Peak:
    """The peak where results lie on their grids, one byte a code.

    The input is codes, too; what is computed in float is float32.
    """
    graph = network.graph

    def size(node: Node) -> int:
        coded = network.grid(node.name) is not None
        return _count(node) * (CODE_BYTES if coded else FLOAT_BYTES)

    def more(node: Node) -> int:
        """What a function needs in float besides."""
        if grid_placement.kind(node, network.kept) != "function":
            return 0
        parts = [node, *(graph.nodes[name] for name in set(node.inputs))]
        coded = [part for part in parts if network.grid(part.name)]
        return FLOAT_BYTES * sum(map(_count, coded))

    return _peak(graph, size, more)


def _peak(graph: Graph, size, more=lambda node: 0) -> Peak:
    holders, last = _holders(graph), {}
    for at, node in enumerate(graph.nodes.values()):
        last |= {holders[name]: at for name in (node.name, *node.inputs)}
    last[holders[graph.output]] = len(graph.nodes)
    living, found = {}, []
    for at, node in enumerate(graph.nodes.values()):
        if holders[node.name] == node.name:
            living[node.name] = size(node)
        found.append(Peak(sum(living.values()) + more(node), node.name))
        living = {name: n for name, n in living.items() if last[name] > at}
    return max(found, key=lambda peak: peak.bytes)


def _holders(graph: Graph) -> dict[str, str]:
    """For each node, the one in whose memory its result lies."""
    holders = {}
    for node in graph.nodes.values():
        holders[node.name] = node.name
        if node.op not in ("reshape", "clamp"):
            continue
        (before,) = node.inputs
        if node.op == "reshape" or graph.only_user(before) == node:
            holders[node.name] = holders[before]
    return holders


def _count(node: Node) -> int:
    return prod(node.shape[1:])
