"""A network drawn from its graph: as traced, and as integers run it."""

import itertools
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ptq.book.drawings.parts import (
    INTEGER,
    PLAIN,
    Box,
    arrow,
    box,
    rounding,
    sheet,
    words,
)
from ptq.book.style import INK, NEUTRAL, styled
from ptq.graph import Graph

# In inches: from row to row, a box of one row, one beside the chain.
PITCH, LOW, ASIDE = 0.27, 0.2, (0.66, 0.36)
HEAD, FOOT = 0.5, 0.32
SHORT = {
    "batch_norm": "BN",
    "average_pool": "average",
    "adaptive_average": "average",
    "max_pool": "maximum",
}


@dataclass(frozen=True)
class _Half:
    """Half of a sheet: the middles of its two lanes, and how boxes look."""

    chain: float
    branch: float
    width: float
    colour: str


TRACED = _Half(1.02, 2.0, 1.1, PLAIN)
INTEGERS = _Half(3.46, 4.5, 1.28, INTEGER)


@styled
def network(before: Graph, after: Graph, owners: dict[str, str]) -> Figure:
    """A graph as traced, and beside it the operations of integers.

    ``after`` is ``before`` folded, ``owners`` names its grids
    (``grid_placement.grid_owners``). A box on the right is as high as what it
    has taken in; a diamond stands where results get a grid of their own.
    Draws a chain of operations and single branches beside it, all BN behind
    layers; ValueError where two branches run side by side.
    """
    chain, branches = _lanes(before)
    made, axis = sheet(PITCH * len(chain) + HEAD + FOOT)
    top = axis.get_ylim()[1] - HEAD
    heights = {n: top - PITCH * row for n, row in (chain | branches).items()}
    alone = {name: name for name in before.nodes}
    for half, title, groups in (
        (TRACED, "as traced", alone),
        (INTEGERS, "in integers", _taken(before, after, owners)),
    ):
        words(axis, (half.chain, top + 0.3), title, weight="bold")
        boxes = _boxes(axis, before, heights, branches, groups, half)
        _join(axis, before, boxes, groups, half)
    for name, here in boxes.items():
        read = after.nodes[name].inputs[:1]
        if owners.get(name) not in [owners.get(one) for one in read]:
            x, y = here.left[0] - 0.1, here.bottom[1] + 0.06
            if name in branches:
                x, y = here.right[0] - 0.1, here.bottom[1] - 0.1
            rounding(axis, (x, y))
    _name_blocks(axis, {name: heights[name] for name in chain})
    rounding(axis, (0.4, 0.14))
    told = "results are rounded to a grid of their own"
    words(axis, (0.52, 0.14), told, points=8, ha="left")
    return made


def _lanes(graph: Graph) -> tuple[dict[str, float], dict[str, float]]:
    """Rows of the nodes on the chain, and of those on branches beside it.

    The chain goes from the output along what is read first.
    """
    names = [graph.output]
    while inputs := graph.nodes[names[-1]].inputs:
        names.append(inputs[0])
    chain = {name: float(i) for i, name in enumerate(reversed(names))}
    branches, spans = {}, []
    for name, last in chain.items():
        for end in graph.nodes[name].inputs:
            branch = [end]
            while branch[-1] not in chain:
                branch.append(graph.nodes[branch[-1]].inputs[0])
            first = chain[branch[-1]]
            for i, one in enumerate(branch[:-1], 1):
                branches[one] = last - (last - first) * i / len(branch)
            if last - first > 1:
                spans.append((first, last))
    spans = sorted(spans)
    meet = [b[0] < a[1] for a, b in itertools.pairwise(spans)]
    if any(meet) or any(len(graph.nodes[n].inputs) > 1 for n in branches):
        raise ValueError("two branches side by side: expected one")
    return chain, branches


def _taken(before: Graph, after: Graph, owners) -> dict[str, str]:
    """For each node, the one whose box it is in: BN and fused clamps."""
    taken = {}
    for name, node in before.nodes.items():
        inside = name not in after.nodes
        if not inside and node.op == "clamp":
            inside = owners[name] == owners.get(after.nodes[name].inputs[0])
        taken[name] = taken[node.inputs[0]] if inside else name
    return taken


def _boxes(
    axis, graph, heights, branches, groups, half: _Half
) -> dict[str, Box]:
    """A box for each group of nodes, by the name of its first one."""
    made = {}
    for name in dict.fromkeys(groups.values()):
        inside = [one for one in groups if groups[one] == name]
        first, last = heights[inside[0]], heights[inside[-1]]
        shown = [n for n in inside if graph.nodes[n].op != "batch_norm"]
        does = ", ".join(_told(graph, one) for one in shown or inside)
        short, aside = name.rpartition(".")[2], name in branches
        between = "\n" if aside or len(inside) > 1 else ": "
        text = does if does.startswith(short) else f"{short}{between}{does}"
        size = ASIDE if aside else (half.width, first - last + LOW)
        x = half.branch if aside else half.chain
        place = (x, (first + last) / 2)
        made[name] = box(axis, place, size, text, half.colour, points=8)
    return made


def _told(graph: Graph, name: str) -> str:
    """What a node does, in a word or two: "conv 3×3"."""
    node = graph.nodes[name]
    if node.op == "convolution":
        kernel = graph.constants[node.args[1].name].shape[2:]
        return f"conv {'×'.join(map(str, kernel))}"
    if node.op == "clamp":
        return {None: "ReLU", 6.0: "ReLU6"}.get(node.args[2], "clamp")
    if node.op == "input":
        return "image"
    return SHORT.get(node.op, node.op)


def _join(axis: Axes, graph: Graph, boxes, groups, half: _Half) -> None:
    """Arrows from each box to those that read it."""
    pairs = {
        (groups[read], groups[node.name])
        for node in graph.nodes.values()
        for read in node.inputs
    }
    for one, other in sorted(pairs):
        if one != other:
            _arrow(axis, boxes[one], boxes[other], half)


def _arrow(axis: Axes, one: Box, other: Box, half: _Half) -> None:
    """Down its lane; else by way of the lane of branches."""
    neighbours = one.bottom[1] - other.top[1] < PITCH
    if one.x == other.x and (neighbours or one.x == half.branch):
        arrow(axis, one.bottom, other.top)
        return
    leaves, enters = one.bottom[1] + LOW / 2, other.top[1] - LOW / 2
    corners, end = [(one.right[0], leaves), (half.branch, leaves)], other.top
    if one.x == half.branch:
        corners = [one.bottom]
    if other.x == half.chain:
        corners.append((half.branch, enters))
        end = (other.right[0], enters)
    axis.plot(*zip(*corners, strict=True), color=INK, linewidth=1)
    arrow(axis, corners[-1], end)


def _name_blocks(axis: Axes, heights: dict[str, float]) -> None:
    """The name of each module with parts, along its rows at the left."""
    inside = [name for name in heights if "." in name]
    for block, names in itertools.groupby(
        inside, lambda name: name.partition(".")[0]
    ):
        rows = [heights[name] for name in names]
        first, last = rows[0] + LOW / 2, rows[-1] - LOW / 2
        axis.plot([0.34, 0.34], [first, last], color=NEUTRAL, linewidth=1)
        middle = (0.2, (first + last) / 2)
        words(axis, middle, block, points=8, rotation=90)
