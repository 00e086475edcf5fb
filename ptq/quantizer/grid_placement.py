"""Where codes flow: which result lies on which grid, as integers need it.

- Layers, sums, products, concatenations and averages read codes and put out
  codes, on a new grid.
- What only moves values (pooling by maximum, reshaping, padding by zeros)
  stays on the grid of its input: nothing is rounded again.
- A clamp (ReLU, ReLU6) that alone reads such a result is fused: the result
  goes right onto the grid of the clamped values, whose ends clip as the
  clamp does. One whose input has a second reader stays on its grid.
- Functions of real numbers are computed in float. Their input carries codes
  wherever integers made it; their result, where integers read it.
"""

from ptq.graph import Graph, Node
from ptq.graph.operations import operation

INTEGER = ("layer", "join", "average")
BYTE = 8  # bits


def kind(node: Node, kept: frozenset[str]) -> str:
    """The operation's kind; "function" where it is kept in float."""
    found = operation(node.op).kind
    in_float = found == "unknown" or found in INTEGER and node.name in kept
    return "function" if in_float else found


def grid_owners(graph: Graph, kept: frozenset[str]) -> dict[str, str]:
    """For each node whose result carries codes, who the grid is named after.

    Nodes of the same owner share a grid, which covers the owner's values.
    ``kept`` names the layers (and sums and pools) that stay in float.
    """
    needed, owners = _read_as_codes(graph, kept), {}
    for node in graph.nodes.values():
        found = kind(node, kept)
        if found == "move":
            (before,) = node.inputs
            if before in owners:
                owners[node.name] = owners[before]
        elif found == "input":
            owners[node.name] = node.name
        elif found in INTEGER or node.name in needed:
            owners[node.name] = _last_clamp(graph, node)
    return owners


def _read_as_codes(graph: Graph, kept: frozenset[str]) -> set[str]:
    """Nodes whose results integers read, through moves, or the caller."""
    needed = {graph.output}
    for node in reversed(list(graph.nodes.values())):
        found = kind(node, kept)
        if found in INTEGER or found == "move" and node.name in needed:
            needed.update(node.inputs)
    return needed


def _last_clamp(graph: Graph, node: Node) -> str:
    """The clamp that a result meets on its only way, else its own name.

    Moves in between do not matter: they commute with a clamp.
    """
    owner, user = node.name, graph.only_user(node.name)
    while user is not None and operation(user.op).kind == "move":
        owner = user.name if user.op == "clamp" else owner
        user = graph.only_user(user.name)
    return owner
