"""Which modules belong together in a network: the user's choice, checked.

Groups are fused, regions stay in float. The user names both; the traced graph
shows which names would change what the network computes: those are refused.
"""

import itertools
from collections import Counter

from torch import fx, nn

from ptq.graph.allow_list import (
    UnsupportedError,
    inside_functionals,
    operation,
)

FUSED = (
    (nn.Conv2d, nn.ReLU),
    (nn.Linear, nn.ReLU),
    (nn.Conv2d, nn.BatchNorm2d),
    (nn.Conv2d, nn.BatchNorm2d, nn.ReLU),
)


def blocks(
    network: nn.Module, graph: fx.Graph
) -> list[tuple[str, str, str | None]]:
    """(convolution, BN, ReLU or None) for each of the ``blocks``.

    Raises UnsupportedError where the network has none or a part of that
    name, or where a block's modules do not follow one another.
    """
    kind = type(network).__name__
    given = getattr(network, "blocks", None)
    if isinstance(given, nn.Module):
        raise UnsupportedError(
            f"{kind} has a part named blocks, where the recipe expects its "
            "list of (convolution, batch norm, ReLU): rename the part"
        )
    if not isinstance(given, tuple | list):
        raise UnsupportedError(
            f"{kind} has no list `blocks`: set it to the tuples of names "
            "(convolution, batch norm, ReLU or None), or to () for none"
        )
    found = [_block(block) for block in given]
    chains = [tuple(filter(None, block)) for block in found]
    _check_apart(chains)
    for chain in chains:
        _check_chain(network, graph, chain)
    return found


def check_fused(
    network: nn.Module, graph: fx.Graph, groups: list[tuple[str, ...]]
) -> None:
    """Raise UnsupportedError unless each group is one operation.

    Each module must use the output of the one before it, no other may, their
    kinds must be among ``FUSED``, and no module be in two groups.
    """
    _check_apart(groups)
    for names in groups:
        _check_chain(network, graph, names)
        kinds = tuple(type(network.get_submodule(name)) for name in names)
        if kinds not in FUSED:
            raise UnsupportedError(
                f"group {tuple(names)}: no rule to fuse "
                f"{', '.join(kind.__name__ for kind in kinds)}"
            )


def check_regions(
    network: nn.Module, graph: fx.Graph, regions: list[tuple[str, ...]]
) -> None:
    """Raise UnsupportedError unless these modules can stay in float.

    Their modules must be direct parts of the network, which must list its
    parts in the order in which they run.
    """
    if not all(regions):
        raise UnsupportedError("a float region of no modules: expected names")
    parts = [name for name, _ in network.named_children()]
    for name in (name for region in regions for name in region):
        if name not in parts:
            raise UnsupportedError(
                f"{name!r} is no direct part of the network: expected some "
                f"of {', '.join(parts)}"
            )
    check_order(network, graph)


def check_order(network: nn.Module, graph: fx.Graph) -> None:
    """Raise UnsupportedError unless parts run in the order of their list.

    A part that holds no weights may be left out.
    """
    ran = order(graph)
    parts = [name for name, _ in network.named_children() if name in ran]
    if ran != parts:
        raise UnsupportedError(
            f"the network lists its parts as {', '.join(parts)} and runs "
            f"them as {', '.join(ran)}: list them in the order of running"
        )


def order(graph: fx.Graph) -> list[str]:
    """Direct parts of the network, in the order in which they first run."""
    calls = (n.target for n in graph.nodes if n.op == "call_module")
    return list(dict.fromkeys(call.partition(".")[0] for call in calls))


def costs(network: nn.Module, graph: fx.Graph) -> list[tuple[str, str]]:
    """Modules that are correct but lose precision, with a sentence each."""
    found = []
    modules = dict(network.named_modules())
    inside = inside_functionals(graph, modules)
    for node in graph.nodes:
        module = modules.get(node.target) if node.op == "call_module" else 0
        if isinstance(module, nn.AvgPool2d | nn.AdaptiveAvgPool2d):
            text = (
                f"{node.target} averages, and its means stay on the grid of "
                "its input, which can cost some dB: "
                f"keep_float=[({node.target!r},)] of torch_eager.prepare "
                "avoids it for a direct part of the network"
            )
            found.append((node.target, text))
        if node in inside and operation(node) == "cat":
            (user,) = node.users
            owner = str(user.target).rpartition(".")[0]
            text = (
                f"{owner} puts all that it joins on one grid, so a branch of "
                "small values loses precision: compare layer_errors"
            )
            found.append((owner, text))
    return found


def _block(block) -> tuple[str, str, str | None]:
    names = tuple(block) if isinstance(block, tuple | list) else ()
    names += (None,) if len(names) == 2 else ()
    if len(names) != 3 or not all(isinstance(n, str) for n in names[:2]):
        raise UnsupportedError(
            f"block {block!r}: expected the names of a convolution, its "
            "batch norm and its ReLU, or None where there is no ReLU"
        )
    return names


def _check_apart(groups) -> None:
    names = Counter(itertools.chain.from_iterable(groups))
    if twice := [name for name, count in names.items() if count > 1]:
        raise UnsupportedError(
            f"{twice[0]} is named {names[twice[0]]} times in the groups: "
            "each module belongs to one"
        )


def _check_chain(network, graph: fx.Graph, names) -> None:
    """Refuse names that are no chain, each the only user of the former."""
    modules = dict(network.named_modules())
    nodes = {n.target: n for n in graph.nodes if n.op == "call_module"}
    if unknown := [name for name in names if name not in nodes]:
        raise UnsupportedError(
            f"group {tuple(names)}: the network uses no module {unknown[0]!r}"
        )
    for first, second in itertools.pairwise(names):
        before = nodes[second].args[0]
        # What folding left of a batch norm is no step.
        while (
            before is not nodes[first]
            and type(modules.get(before.target)) is nn.Identity
        ):
            before = before.args[0]
        if before is not nodes[first]:
            raise UnsupportedError(
                f"group {tuple(names)}: {second} does not take the output "
                f"of {first}"
            )
        if len(before.users) > 1:
            raise UnsupportedError(
                f"group {tuple(names)}: the output of {first} is used "
                f"elsewhere, too, so {second} cannot be merged with it"
            )
