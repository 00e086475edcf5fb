"""What the recipe takes: an allow-list, and one sentence for the rest.

The engine runs much that it gets wrong without a word: a PReLU, reflected
borders, a module that is used twice. So only what is known to come out right
is let through. A traced graph is read here to refuse; nothing is found in it
or changed by it.
"""

import itertools
from collections import Counter

from torch import fx, nn
from torch.ao.nn.quantized import FloatFunctional
from torch.nn.utils import parametrize

from ptq import inputs
from ptq.networks import evaluating

WEIGHTED = (nn.Conv2d, nn.Linear, nn.BatchNorm2d)
# Each use of these needs a grid, or a place, of its own.
ONCE = (*WEIGHTED, nn.ReLU)
TAKEN = (
    *ONCE,
    nn.MaxPool2d,
    nn.AvgPool2d,
    nn.AdaptiveAvgPool2d,
    nn.Flatten,
    nn.Dropout,
    nn.Dropout2d,
    nn.Identity,
    FloatFunctional,
)
CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)
# Between modules, tensors may change their shape only.
SHAPES = {"flatten", "reshape", "view", "contiguous", "size", "getattr"}
SUMS = {"add", "cat", "mul", "add_relu"}
FUSED = (
    (nn.Conv2d, nn.ReLU),
    (nn.Linear, nn.ReLU),
    (nn.Conv2d, nn.BatchNorm2d),
    (nn.Conv2d, nn.BatchNorm2d, nn.ReLU),
)
INSTEAD = {
    "BatchNorm1d": "fold it by hand into the linear layer before it, whose "
    "weights W become W g[:, None] with g = gamma / sqrt(variance + eps)",
    "add": "add by a module torch.ao.nn.quantized.FloatFunctional()",
    "cat": "join by a module torch.ao.nn.quantized.FloatFunctional()",
    "mean": "average by modules nn.AdaptiveAvgPool2d(1) and nn.Flatten()",
    "relu": "use a module nn.ReLU(), one for each place",
}


class CostWarning(UserWarning):
    """A step that the recipe takes, but that loses precision."""


class UnsupportedError(ValueError):
    """The recipe does not take this network; names the part and why."""


def check(network: nn.Module) -> fx.Graph:
    """The calls of a float network; all of them are on the allow-list.

    Raises UnsupportedError, naming the first module or function that is
    not, and InputError where a weight is not a finite float32 number.
    """
    if not isinstance(network, nn.Module):
        raise UnsupportedError(
            f"a {type(network).__name__}: expected a torch.nn.Module"
        )
    for name, module in network.named_modules():
        _check_module(name or "the network", module)
    inputs.check_weights(network)
    graph = _trace(network)
    _check_ends(graph)
    modules = dict(network.named_modules())
    _check_uses(graph, modules)
    _check_functions(graph, modules)
    return graph


def groups(
    network: nn.Module, graph: fx.Graph
) -> list[tuple[str, str, str | None]]:
    """(convolution, BN, ReLU or None) for each of the ``blocks``.

    Raises UnsupportedError where the network has none or a part of that
    name, or where a block's modules do not follow one another.
    """
    kind = type(network).__name__
    blocks = getattr(network, "blocks", None)
    if isinstance(blocks, nn.Module):
        raise UnsupportedError(
            f"{kind} has a part named blocks, where the recipe expects its "
            "list of (convolution, batch norm, ReLU): rename the part"
        )
    if not isinstance(blocks, tuple | list):
        raise UnsupportedError(
            f"{kind} has no list `blocks`: set it to the tuples of names "
            "(convolution, batch norm, ReLU or None), or to () for none"
        )
    found = [_block(block) for block in blocks]
    for conv, bn, relu in found:
        chain = [name for name in (conv, bn, relu) if name is not None]
        _check_chain(network, graph, chain)
    return found


def check_fused(
    network: nn.Module, graph: fx.Graph, names: tuple[str, ...]
) -> None:
    """Raise UnsupportedError unless the named modules are one operation.

    Each must take what the one before it puts out, nobody else may, and
    their kinds must be among ``FUSED``.
    """
    _check_chain(network, graph, names)
    kinds = tuple(type(network.get_submodule(name)) for name in names)
    if kinds not in FUSED:
        raise UnsupportedError(
            f"group {tuple(names)}: no rule to fuse "
            f"{', '.join(kind.__name__ for kind in kinds)}"
        )


def costs(network: nn.Module, graph: fx.Graph) -> list[tuple[str, str]]:
    """Modules that run right but lose precision, and a sentence on each."""
    found = []
    modules = dict(network.named_modules())
    inside = _inside_functionals(graph, modules)
    for node in graph.nodes:
        module = modules.get(node.target) if node.op == "call_module" else 0
        if isinstance(module, nn.AvgPool2d | nn.AdaptiveAvgPool2d):
            text = (
                f"{node.target} averages, and its means stay on the grid of "
                "its input, which can cost some dB: "
                f"keep_float=[({node.target!r},)] of engines.prepare avoids "
                "it for a direct part of the network"
            )
            found.append((node.target, text))
        if node in inside and _called(node) == "cat":
            (user,) = node.users
            owner = str(user.target).rpartition(".")[0]
            text = (
                f"{owner} puts all that it joins on one grid, so a branch of "
                "small values loses precision: compare layer_errors"
            )
            found.append((owner, text))
    return found


def check_regions(
    network: nn.Module, graph: fx.Graph, regions: list[tuple[str, ...]]
) -> None:
    """Raise UnsupportedError unless islands of float can be laid out.

    Their modules must be direct parts of the network, which must list its
    parts in the order in which they run.
    """
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


def _block(block) -> tuple[str, str, str | None]:
    names = tuple(block) if isinstance(block, tuple | list) else ()
    names += (None,) if len(names) == 2 else ()
    if len(names) != 3 or not all(isinstance(n, str) for n in names[:2]):
        raise UnsupportedError(
            f"block {block!r}: expected the names of a convolution, its "
            "batch norm and its ReLU, or None where there is no ReLU"
        )
    return names


def _check_module(name: str, module: nn.Module) -> None:
    kind = type(module)
    if parametrize.is_parametrized(module) or (
        isinstance(module, WEIGHTED) and "weight" not in module._parameters
    ):
        raise UnsupportedError(
            f"{name}: its weight is computed at each call (weight_norm or a "
            "parametrization); remove that first, keeping the weight"
        )
    if kind in TAKEN:
        return _check_settings(name, module)
    if kind in CONTAINERS:
        return None
    own = [*module._parameters, *module._buffers]
    if kind.__module__.startswith("torch.") or own:
        taken = ", ".join(known.__name__ for known in TAKEN)
        raise UnsupportedError(
            f"{name} is a {kind.__name__}, which the recipe does not take: "
            + INSTEAD.get(kind.__name__, f"it takes {taken}")
        )
    return None


def _check_settings(name: str, module: nn.Module) -> None:
    """Refuse settings that the engine would get wrong."""
    mode = getattr(module, "padding_mode", "zeros")
    if mode != "zeros":
        raise UnsupportedError(
            f"{name} pads by padding_mode={mode!r}: expected 'zeros'; the "
            "engine's border would be another"
        )
    if isinstance(getattr(module, "padding", 0), str):
        raise UnsupportedError(
            f"{name} has padding={module.padding!r}: give it as numbers"
        )
    if isinstance(module, nn.BatchNorm2d) and module.running_var is None:
        raise UnsupportedError(
            f"{name} keeps no running statistics, so it normalizes by the "
            "batch: it can be neither folded nor quantized"
        )
    if getattr(module, "return_indices", False):
        raise UnsupportedError(f"{name} returns indices: expected a tensor")


def _trace(network: nn.Module) -> fx.Graph:
    try:
        with evaluating(network):
            return fx.Tracer().trace(network)
    except Exception as error:  # whatever a user's forward may raise
        first = str(error).strip().partition("\n")[0]
        raise UnsupportedError(
            f"{type(network).__name__} cannot be traced, as its path hangs "
            f"on what it is given: {first}"
        ) from error


def _check_ends(graph: fx.Graph) -> None:
    """Refuse several inputs or outputs."""
    taken = [n for n in graph.nodes if n.op == "placeholder" and not n.args]
    if len(taken) != 1:
        names = ", ".join(str(node.target) for node in taken)
        raise UnsupportedError(
            f"the network takes {len(taken)} tensors ({names}): one is "
            "supported"
        )
    (output,) = (n for n in graph.nodes if n.op == "output")
    if not isinstance(given := output.args[0], fx.Node):
        kind = "dict" if isinstance(given, dict) else "tuple or list"
        raise UnsupportedError(
            f"the network returns a {kind} of {len(given)}: one tensor is "
            "supported"
        )


def _check_functions(graph: fx.Graph, modules: dict) -> None:
    """Refuse what is computed between modules, but for shapes."""
    inside = _inside_functionals(graph, modules)
    for node in graph.nodes:
        if node.op == "get_attr":
            raise UnsupportedError(
                f"{node.target} is used outside of a module of torch"
            )
        if not node.op.startswith("call_") or node.op == "call_module":
            continue
        if node not in inside and not _only_shapes(node):
            called = _called(node)
            before = ", ".join(map(_place, node.all_input_nodes))
            plain = called.strip("_").removeprefix("i")
            instead = INSTEAD.get(
                "add" if plain in ("add", "radd") else called,
                "the recipe takes modules only",
            )
            raise UnsupportedError(
                f"{called} is called between modules, on the output of "
                f"{before}: {instead}"
            )


def _inside_functionals(graph: fx.Graph, modules: dict) -> set[fx.Node]:
    """The sums and the like that a FloatFunctional makes."""
    found = set()
    for node in graph.nodes:
        owner = str(node.target).rpartition(".")[0]
        if node.op == "call_module" and isinstance(
            modules.get(owner), FloatFunctional
        ):
            made = node.args[0]
            found.add(made)
            if _called(made) == "relu":
                found.add(made.args[0])
    return {node for node in found if _called(node) in SUMS | {"relu"}}


def _only_shapes(node: fx.Node) -> bool:
    called = _called(node)
    if called == "dropout":
        return not node.kwargs.get("training", True)
    return called in SHAPES or _is_size(node)


def _is_size(node: fx.Node) -> bool:
    """Whether a call computes with sizes, not with a tensor's values."""
    if _called(node) in ("size", "getattr", "dim"):
        return True
    given = node.all_input_nodes
    return bool(given) and all(map(_is_size, given))


def _called(node: fx.Node) -> str:
    name = getattr(node.target, "__name__", str(node.target))
    # torch's name for what chooses between two kinds of pooling.
    return node.name if name == "boolean_dispatch" else name


def _place(node: fx.Node) -> str:
    return "the input" if node.op == "placeholder" else str(node.target)


def _check_uses(graph: fx.Graph, modules: dict) -> None:
    """Refuse modules that are used several times, or weights never used."""
    uses = Counter(n.target for n in graph.nodes if n.op == "call_module")
    for name, module in modules.items():
        owner = modules.get(name.rpartition(".")[0])
        single = isinstance(module, ONCE) or isinstance(
            owner, FloatFunctional
        )
        if single and uses[name] > 1:
            raise UnsupportedError(
                f"{name} is used {uses[name]} times: give each place a "
                "module of its own, as it gets a grid of its own"
            )
        if isinstance(module, WEIGHTED) and not uses[name]:
            raise UnsupportedError(
                f"{name} is never used by the network: delete it"
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
