"""What each operation takes: a graph of unknown origin is held to it.

A rule of translation writes nothing else. A file could: what torch would
take for something else, or what would crash it, is refused by this table.
"""

import math
import textwrap
from collections.abc import Callable

import torch

from ptq.graph.errors import UnsupportedError
from ptq.graph.nodes import Constant, Node, Value
from ptq.graph.operations import OPERATIONS, operation

# torch's own functions that a graph may name: pure ones, whose results'
# sizes are known, and that its registry calls basic; and a few more.
BASIC = {torch.Tag.core, torch.Tag.pointwise, torch.Tag.reduction}
UNCERTAIN = {
    torch.Tag.nondeterministic_seeded,
    torch.Tag.dynamic_output_shape,
    torch.Tag.data_dependent_output,
}
MORE = ("einsum", "glu", "log_sigmoid", "rms_norm", "tril", "triu")
UNSAFE = ("as_strided", "empty")  # they show memory that is nobody's
DEPTH = 3  # of tuples in tuples

ARGUMENTS = {
    "input": "",
    "convolution": "value constant constant? steps sizes steps count",
    "linear": "value constant constant?",
    "add": "value value",
    "mul": "value value",
    "cat": "values axis",
    "average_pool": "value steps steps sizes flag flag",
    "adaptive_average": "value steps",
    "clamp": "value number? number?",
    "max_pool": "value steps steps sizes steps flag",
    "reshape": "value integers",
    "permute": "value axes",
    "part": "value axis size size",
    "take": "value axis integers",
    "pad": "value integers",
    "spread": "value steps integers",
    "batch_norm": "value constant? constant? constant constant number",
    "clip": "value number? number?",
    "minimum": "value constant",
    "add_constant": "value operand",
    "mul_constant": "value operand",
    "sub": "operand operand",
    "div": "operand operand",
    "matmul": "operand operand",
    "mean": "value axes flag",
    "softmax": "value axis",
    "layer_norm": "value integers constant? constant? number",
    "group_norm": "value count constant? constant? number",
    "gelu": "value form",
    "elu": "value number",
    "leaky_relu": "value number",
    "prelu": "value constant",
    "softplus": "value number number",
    "pow": "value number",
    "log_softmax": "value axis",
} | dict.fromkeys(
    (
        *("sigmoid", "tanh", "silu", "hardsigmoid", "hardswish", "mish"),
        *("selu", "exp", "sqrt", "abs", "neg"),
    ),
    "value",
)


def check(node: Node, rank: int) -> None:
    """Raise UnsupportedError where a node's operation or arguments are odd.

    ``rank`` is the number of dimensions of the first result that it reads.
    What they mean together (sizes that fit) is seen when shapes are made.
    """
    if node.op not in OPERATIONS:
        _check_torch(node)
        return
    expected = ARGUMENTS[node.op].split()
    if len(node.args) != len(expected):
        raise UnsupportedError(
            f"{node}: {node.op} has {len(node.args)} arguments: expected "
            f"{len(expected)}"
        )
    for given, kind in zip(node.args, expected, strict=True):
        none = given is None and kind.endswith("?")
        fits, words = KINDS[kind.rstrip("?")]
        if not none and not fits(given, rank):
            told = textwrap.shorten(repr(given), 60)
            raise UnsupportedError(
                f"{node}: {told} in {node.op}: expected {words}"
            )
    if not node.inputs and node.op != "input":
        raise UnsupportedError(f"{node}: {node.op} reads no result")


def _check_torch(node: Node) -> None:
    """Torch's own function: it is known, pure, and given plain things."""
    try:
        found = operation(node.op).run
    except KeyError as error:
        raise UnsupportedError(f"{node}: {error.args[0]}") from error
    tags, (_, name, _) = set(found.tags), node.op.split(".")
    basic = tags & BASIC and not tags & UNCERTAIN or name in MORE
    if not basic or name.startswith(("_", *UNSAFE)):
        raise UnsupportedError(
            f"{node}: {node.op} is none of the functions of torch that a "
            "file may name"
        )
    for given in node.args:
        _check_plain(node, given)
    if not node.args or not isinstance(node.args[0], Value):
        raise UnsupportedError(f"{node}: {node.op} reads no result")


def _check_plain(node: Node, given, depth: int = 0) -> None:
    if isinstance(given, tuple) and depth < DEPTH:
        for one in given:
            _check_plain(node, one, depth + 1)
    elif isinstance(given, float):
        if math.isnan(given):
            raise UnsupportedError(f"{node}: nan in {node.op}")
    elif not isinstance(given, Value | Constant | bool | int | str | None):
        raise UnsupportedError(
            f"{node}: {type(given).__name__} in {node.op}, which no file "
            "holds"
        )


def _whole(given) -> bool:
    return type(given) is int and abs(given) < 2**31


def _number(given, rank: int = 0) -> bool:
    return _whole(given) or type(given) is float and not math.isnan(given)


def _many(given, least: int) -> bool:
    whole = isinstance(given, tuple) and all(map(_whole, given))
    return whole and all(one >= least for one in given)


def _axis(given, rank: int) -> bool:
    return _whole(given) and -rank <= given < rank


def _axes(given, rank: int) -> bool:
    known = isinstance(given, tuple) and all(_axis(d, rank) for d in given)
    return known and len({d % rank for d in given}) == len(given)


def _operand(given, rank: int) -> bool:
    return isinstance(given, Value | Constant) or _number(given)


def _per_side(least: int) -> Callable:
    """A test for a number from ``least`` on for each row and column."""
    return lambda given, rank: _many(given, least) and len(given) == rank - 2


def _values(given, rank: int) -> bool:
    many = isinstance(given, tuple) and given
    return bool(many) and all(isinstance(one, Value) for one in given)


# Of each kind: whether an argument is of it, and what it is in words.
KINDS = {
    "value": (lambda given, rank: isinstance(given, Value), "a result"),
    "values": (_values, "results"),
    "constant": (
        lambda given, rank: isinstance(given, Constant),
        "a constant",
    ),
    "operand": (_operand, "a result, a constant or a number"),
    "number": (_number, "a number"),
    "size": (lambda given, rank: _many((given,), 0), "a size"),
    "count": (lambda given, rank: _many((given,), 1), "a number from 1 on"),
    "flag": (lambda given, rank: isinstance(given, bool), "true or false"),
    "form": (lambda given, rank: given in ("none", "tanh"), "none or tanh"),
    "axis": (_axis, "a dimension that is there"),
    "axes": (_axes, "dimensions that are there, each once"),
    "integers": (lambda given, rank: _many(given, -(2**31)), "whole numbers"),
    "sizes": (_per_side(0), "a size for each side of the images"),
    "steps": (_per_side(1), "a size from 1 on for each side of the images"),
}
