"""What should have run in integers and did not: told, not hidden."""

from collections.abc import Collection, Iterable

from ptq.engines.contract import Ran
from ptq.graph import UnsupportedError
from ptq.quantizer import grid_placement
from ptq.quantizer.network import QuantizedNetwork


def refuse(
    engine: str,
    network: QuantizedNetwork,
    ran: Iterable[Ran],
    in_float: Collection[str] = (),
) -> None:
    """Raise UnsupportedError, naming the nodes, where integers were due.

    Convolutions, linear layers, sums, products, concatenations and pooling
    are due unless they were kept in float. ``in_float`` names operations for
    which ``engine`` has no integers: they read and write codes.
    """
    if fallen := _fallen_back(network, list(ran), in_float):
        raise UnsupportedError(
            f"{engine} runs {', '.join(fallen)} in float: keep_float "
            "accepts that by name"
        )


def _fallen_back(network, ran: list[Ran], in_float) -> list[str]:
    """Each node that was due, with the operator that ran instead."""
    wanted = {
        node.name
        for node in network.graph.nodes.values()
        if node.op not in in_float and _is_due(network, node)
    }
    by_integers = {one.node for one in ran if one.precision == "integer"}
    others = {}
    for one in ran:
        if one.precision not in ("integer", "conversion"):
            others.setdefault(one.node, one.operator)
    fallen = [f"{n} ({others[n]})" for n in wanted & others.keys()]
    return sorted(fallen + list(wanted - by_integers - others.keys()))


def _is_due(network: QuantizedNetwork, node) -> bool:
    if grid_placement.kind(node, network.kept) in grid_placement.INTEGER:
        return True
    return node.op == "max_pool" and network.grid(node.name) is not None
