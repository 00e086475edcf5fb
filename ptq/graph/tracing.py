"""From any ``nn.Module`` to a graph, by ``torch.export``.

Why not ``torch.fx.symbolic_trace``: it is not deprecated, but what was built
on it for quantization is (torch warns that eager and FX quantization go);
their successors and the ONNX exporter read ``torch.export``. It also does
more of the work. A ReLU is one operation whether it was written as module,
function, method or in place; control flow over shapes is followed, over
values refused; a padding mode comes as the padding that it is. It costs one
to three seconds of a processor where fx takes a twentieth of one.

What it found is then written in the few words of ``operations``, and the
graph must compute what the network computes, or it is refused.
"""

import io
import logging
import warnings
from collections.abc import Callable
from contextlib import contextmanager, redirect_stderr

import torch
from torch import Tensor, fx, nn
from torch.export import ExportedProgram, export
from torch.export.graph_signature import InputKind, OutputKind

from ptq.graph import checks, user_code, views
from ptq.graph.errors import UnsupportedError
from ptq.graph.nodes import BATCH, COUNT, Constant, Graph, Node, Value
from ptq.graph.operations import operation
from ptq.graph.torch_call import Call
from ptq.graph.translation_rules import RULES

# The graph may differ from the network by this share of the largest logit.
TOLERANCE = 1e-4
# Steps that a layer takes besides its own: they are named after it.
AROUND = ("pad", "take", "spread")
# What graph and files call their ends: no module may take these names.
OWN_NAMES = ("input", "images", "logits")
# Kinds of operations that work image by image.
IMAGEWISE = ("layer", "join", "average")


def trace(model: nn.Module, images: Tensor) -> Graph:
    """The graph of ``model`` in eval mode, in float32, on the CPU.

    ``images`` is float32 (N, ...), two of which are asked; the graph takes
    any number of them, of this size.
    ``model`` is left as it is. Raises UnsupportedError, naming the tensor
    or the line of code, where it is no network that a graph stands for.
    """
    model = checks.prepared(model)
    example = checks.example(model, images)
    program = _exported(model, example)
    graph = _Translation(program).run()
    graph.unused = checks.unused(model, program)
    checks.warn_of_initial_statistics(model, graph.unused)
    _check_equal(graph, model, example)
    return graph


def _exported(model: nn.Module, example: Tensor) -> ExportedProgram:
    try:
        with torch.no_grad(), _quiet():
            return export(model, (torch.empty(COUNT, *example.shape[1:]),))
    except Exception as error:  # torch raises many kinds
        raise UnsupportedError(user_code.reason(model, error)) from error


@contextmanager
def _quiet():
    """Without the pages that torch logs and prints where it cannot go on."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


class _Translation:
    """One pass over the exported graph, node by node."""

    def __init__(self, program: ExportedProgram):
        self.program = program
        self.graph = Graph({}, {}, "")
        # What each exported node stands for, now: writing in place moves it.
        self.current: dict[fx.Node, object] = {}
        self.uses = dict.fromkeys(OWN_NAMES, 1)

    def run(self) -> Graph:
        self._read_inputs()
        for found in self.program.graph.nodes:
            if found.op == "call_function":
                self.current[found] = self._translated(found)
        (output,) = self._outputs()
        if not isinstance(output, Value):
            raise UnsupportedError("the network's result is a constant")
        self.graph.output = output.name
        _drop_unread(self.graph)
        return self.graph

    def _read_inputs(self) -> None:
        holders = {
            n.name: n for n in self.program.graph.find_nodes(op="placeholder")
        }
        for spec in self.program.graph_signature.input_specs:
            found = holders[spec.arg.name]
            if spec.kind == InputKind.USER_INPUT:
                shape = _shape(found.meta["val"])
                self.graph.nodes["input"] = Node("input", "input", (), shape)
                self.current[found] = Value("input")
            else:
                owners = self.program.state_dict | self.program.constants
                tensor = owners[spec.target]
                self.current[found] = self._kept(spec.target, tensor)

    def _outputs(self) -> list[Value]:
        specs = self.program.graph_signature.output_specs
        if any(s.kind == OutputKind.BUFFER_MUTATION for s in specs):
            (name, *_) = [s.target for s in specs if s.target]
            raise UnsupportedError(f"it changes its own buffer {name}")
        (found,) = self.program.graph.find_nodes(op="output")
        return [self.current[node] for node in found.args[0]]

    def _translated(self, found: fx.Node):
        if found.target.__name__ == "getitem":
            return self.current[found.args[0]][found.args[1]]
        checks.check_call(found)
        result = found.meta.get("val")
        if not isinstance(result, Tensor | list | tuple):
            views.check_no_write(found)
            return None  # a check of a size
        name = _base_name(found)
        try:
            made = self._made(found, name, result)
            if found.target._schema.is_mutable:
                views.check_write(found, list(self.current))
                self.current[found.args[0]] = made
        except UnsupportedError as error:
            place = user_code.of_call(found, name)
            why = user_code.of_kind(found) or error
            raise UnsupportedError(f"{place}: {why}") from error
        return made

    def _made(self, found: fx.Node, name: str, result):
        """What a call puts out: a Value, a Constant, or several of them."""
        given = self._given(found)
        if not _leaves_any(given, Value):
            return self._computed(found)
        checks.check_real(found)
        rule = RULES.get(name, self._unknown(found))
        return rule(self._call(found, name, given, result))

    def _call(self, found, name, given, result) -> Call:
        shape = _shape(result)
        module, source = user_code.module(found), user_code.source(found)

        def emit(word, *args, shape=shape):
            own = user_code.in_layer(found) and word not in AROUND
            if operation(word).kind in IMAGEWISE and shape[0] != BATCH:
                raise UnsupportedError(
                    f"its result has shape {shape}: expected the images in "
                    "front"
                )
            short = word.split(".")[1] if "." in word else word
            label = module if own and module else f"{module}.{short}"
            label = self._unique(label.lstrip("."))
            self.graph.nodes[label] = Node(
                label, word, _frozen(args), shape, source
            )
            return Value(label)

        return Call(
            *(name, given, shape, emit, self._shape_of),
            *(
                lambda constant: self.graph.constants[constant.name],
                self._kept,
            ),
        )

    def _given(self, found: fx.Node) -> dict:
        """Arguments by name, defaults included."""
        schema = found.target._schema.arguments
        given = {a.name: a.default_value for a in schema}
        given |= dict(zip([a.name for a in schema], found.args, strict=False))
        given |= found.kwargs
        return {name: self._argument(a) for name, a in given.items()}

    def _argument(self, given):
        if isinstance(given, fx.Node):
            return self.current[given]
        if isinstance(given, list | tuple):
            return tuple(self._argument(part) for part in given)
        return given

    def _computed(self, found: fx.Node):
        """What is made of constants only is one."""

        def value(node):
            constant = self.current[node]
            return self.graph.constants[constant.name].clone()

        args, kwargs = fx.node.map_arg((found.args, found.kwargs), value)
        with torch.no_grad():
            made = found.target(*args, **kwargs)
        if isinstance(made, Tensor):
            return self._kept(found.name, made)
        return [self._kept(found.name, part) for part in made]

    def _unknown(self, found: fx.Node) -> Callable:
        """The rule for what has no word: torch's own name, as it is."""
        word, schema = str(found.target), found.target._schema.arguments
        only_named = [a.name for a in schema if a.kwarg_only]

        def rule(call: Call) -> Value:
            if found.target._schema.is_mutable:
                raise UnsupportedError(
                    f"it writes by {word}: make a new tensor, as by torch.cat"
                )
            named = [n for n in only_named if call[n] is not None]
            several = isinstance(call.shape, list)
            if named or several or not isinstance(call.x, Value):
                raise UnsupportedError(
                    f"no rule for {word}, and none can be made of its "
                    f"arguments {', '.join(call.given)}: write it by others"
                )
            given = [v for n, v in call.given.items() if n not in only_named]
            return call.emit(word, *given)

        return rule

    def _shape_of(self, tensor) -> tuple[int, ...]:
        if isinstance(tensor, Value):
            return self.graph.nodes[tensor.name].shape
        return tuple(self.graph.constants[tensor.name].shape)

    def _kept(self, name: str, tensor: Tensor) -> Constant:
        if any(size % COUNT == 0 for size in tensor.shape if size):
            raise UnsupportedError(
                f"it makes a tensor, {name}, by the number of images: make "
                "one for a single image, which serves all"
            )
        return self.graph.keep(name, tensor.detach())

    def _unique(self, label: str) -> str:
        count = self.uses[label] = self.uses.get(label, 0) + 1
        return label if count == 1 else f"{label}@{count}"


def _drop_unread(graph: Graph) -> None:
    """Take out what leads nowhere, from the end to the start."""
    for name in reversed(list(graph.nodes)):
        if not graph.users(name) and name not in (graph.output, "input"):
            del graph.nodes[name]
    graph.drop_idle()


def _check_equal(graph: Graph, model: nn.Module, example: Tensor) -> None:
    with torch.no_grad():
        want = model(example.clone())
    try:
        got = graph(example)
    except RuntimeError:  # sizes that grow with the number of images
        got = want.new_zeros(0)
    if want.shape != got.shape or not torch.allclose(
        *(got, want), rtol=0, atol=TOLERANCE * float(want.abs().max())
    ):
        raise UnsupportedError(
            f"{type(model).__name__} gives other results than its graph: it "
            "draws at random, keeps a state, writes into a view, or computes "
            "with the number of images"
        )


def _base_name(found: fx.Node) -> str:
    name = found.target.__name__.partition(".")[0]
    return name[:-1] if found.target._schema.is_mutable else name


def _shape(result):
    if isinstance(result, list | tuple):
        return [_shape(one) for one in result]
    return tuple(n if n % COUNT or not n else BATCH for n in result.shape)


def _leaves_any(given, kind: type) -> bool:
    if isinstance(given, dict):
        given = tuple(given.values())
    if isinstance(given, tuple):
        return any(_leaves_any(part, kind) for part in given)
    return isinstance(given, kind)


def _frozen(args):
    if isinstance(args, list | tuple):
        return tuple(_frozen(part) for part in args)
    return args
