"""What the recipe takes: an allow-list, and one sentence for the rest.

The engine computes some networks wrongly without any message: a PReLU,
reflected borders, a module that is used twice. So only what is known to be
correct is accepted. The traced graph is only read, to refuse; nothing is
changed.
"""

from collections import Counter

from torch import fx, jit, nn
from torch.nn.utils import parametrize

from ptq import input_checks
from ptq.graph.errors import UnsupportedError
from ptq.graph.plain_copies import evaluated

try:
    from torch.ao.nn.quantized import FloatFunctional
except ImportError:  # a torch without it has none in any network

    class FloatFunctional:
        """Stands for torch's, of which there are none."""


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
SHAPES = {"flatten", "reshape", "view", "contiguous"}
SUMS = {"add", "cat", "mul", "add_relu"}
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


def check(network: nn.Module) -> fx.Graph:
    """The calls of a float network; all of them are on the allow-list.

    Raises UnsupportedError, naming the first module or function that is
    not, and InputError where a weight is not a finite float32 number.
    """
    if not isinstance(network, nn.Module):
        raise UnsupportedError(
            f"a {type(network).__name__}: expected a torch.nn.Module"
        )
    if isinstance(network, jit.ScriptModule):
        raise UnsupportedError(
            "the network is scripted or traced by torch.jit: give the module "
            "that it was made of"
        )
    for name, module in network.named_modules():
        _check_module(name or "the network", module)
    input_checks.check_weights(network)
    graph = _trace(network)
    _check_ends(graph)
    modules = dict(network.named_modules())
    _check_uses(graph, modules)
    _check_functions(graph, modules)
    return graph


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
            "engine's border would differ"
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
    copied = evaluated(network)
    try:
        return fx.Tracer().trace(copied)
    except Exception as error:  # whatever a user's forward may raise
        first = str(error).strip().partition("\n")[0]
        raise UnsupportedError(
            f"{type(network).__name__} cannot be traced, as its path depends "
            f"on its input: {first}"
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
    """Refuse computations between modules, except of shapes."""
    inside = inside_functionals(graph, modules)
    for node in graph.nodes:
        if node.op == "get_attr":
            raise UnsupportedError(
                f"{node.target} is used outside of a module of torch"
            )
        if not node.op.startswith("call_") or node.op == "call_module":
            continue
        if node not in inside and not _only_shapes(node):
            name = operation(node)
            before = ", ".join(
                "the input" if n.op == "placeholder" else str(n.target)
                for n in node.all_input_nodes
            )
            raise UnsupportedError(
                f"{name} is called between modules, on the output of "
                f"{before}: "
                + INSTEAD.get(
                    name.strip("_"), "the recipe takes modules only"
                )
            )


def inside_functionals(graph: fx.Graph, modules: dict) -> set[fx.Node]:
    """The sums and the like that a FloatFunctional makes.

    ``modules`` holds the network's modules by their names.
    """
    found = set()
    for node in graph.nodes:
        owner = str(node.target).rpartition(".")[0]
        if node.op == "call_module" and isinstance(
            modules.get(owner), FloatFunctional
        ):
            made = node.args[0]
            found.add(made)
            if operation(made) == "relu":
                found.add(made.args[0])
    return {node for node in found if operation(node) in SUMS | {"relu"}}


def _only_shapes(node: fx.Node) -> bool:
    name = operation(node)
    if name == "dropout":
        return not node.kwargs.get("training", True)
    return name in SHAPES or _is_size(node)


def _is_size(node: fx.Node) -> bool:
    """Whether a call uses the sizes of a tensor, not its values."""
    name = operation(node)
    if name == "getattr":
        return node.args[1] in ("shape", "ndim")
    given = node.all_input_nodes
    return name == "size" or bool(given) and all(map(_is_size, given))


def operation(node: fx.Node) -> str:
    """Name of the function or module that a call is of."""
    name = getattr(node.target, "__name__", str(node.target))
    # torch's name for what chooses between two kinds of pooling.
    return node.name if name == "boolean_dispatch" else name


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
