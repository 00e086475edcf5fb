"""What is public says what it takes, gives and raises, in its own words."""

import ast
import builtins
import re
from dataclasses import dataclass
from importlib import import_module

import pytest

from ptq import paths

ROOT = paths.REPOSITORY
ARRAYS = {"Tensor", "ndarray", "NDArray", "ArrayLike"}
SIDE = r"(?!u?int\d|float\d|bool\b)[\w.…*-]+(?: [*+/-] \w+)?"
SHAPE = re.compile(
    rf"\({SIDE},\)|\({SIDE}(?:,\s+{SIDE})+\)|\((?:\.\.\.|…)\)"
    r"|\bscalars?\b|\b(?:any|same|its|whose|their|this) shapes?\b"
)
# Of what a bare float is; a ratio, a share and a probability have no unit.
UNIT = re.compile(
    r"\b(?:seconds?|milliseconds?|bytes?|MiB|dB|nats?|bits?|points?|shares?"
    r"|ratios?|times|factors?|probability|chance|p|codes?|steps?|units?)\b"
    r"|%|0 to 1"
)


@dataclass
class Public:
    """A class, function or method of the package, and the text on it."""

    place: str
    node: ast.AST
    module: str

    @property
    def text(self):
        return ast.get_docstring(self.node) or ""


def public():
    """All of the package, but what Python writes docstrings for."""
    for path in sorted((ROOT / "ptq").rglob("[a-z]*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        yield from found_in(ast.parse(path.read_text()), ".".join(parts))


def found_in(node, module, prefix=""):
    for child in node.body:
        known = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
        if not isinstance(child, known) or child.name.startswith("_"):
            continue
        place = f"{prefix or module}.{child.name}"
        yield Public(place, child, module)
        if isinstance(child, ast.ClassDef):
            yield from found_in(child, module, place)


def annotations(node):
    """Of the parameters and the result, or of the fields of a class."""
    if isinstance(node, ast.ClassDef):
        fields = (n for n in node.body if isinstance(n, ast.AnnAssign))
        return [n.annotation for n in fields]
    given = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    given += filter(None, (node.args.vararg, node.args.kwarg))
    return [a.annotation for a in given] + [node.returns]


def names(annotation):
    """Names in an annotation, but those that a function among them takes."""
    if annotation is None:
        return set()
    if isinstance(annotation, ast.Constant) and isinstance(
        annotation.value, str
    ):
        annotation = ast.parse(annotation.value, mode="eval").body
    if isinstance(annotation, ast.Subscript):
        of = names(annotation.value)
        return of if "Callable" in of else of | names(annotation.slice)
    if isinstance(annotation, ast.Attribute):
        return {annotation.attr}
    if isinstance(annotation, ast.Name):
        return {annotation.id}
    return set().union(*map(names, ast.iter_child_nodes(annotation)))


def test_signatures_name_nothing_of_torchs_eager_quantization():
    """Where torch has none, the pages that list them are built with -W."""
    wrong = [
        one.place
        for one in public()
        for annotation in filter(None, annotations(one.node))
        if re.search(r"\b(ao|nnq)\.", ast.unparse(annotation))
    ]
    assert wrong == []


def raised(node):
    """Names of the exceptions that stand behind ``raise`` in a body."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.Lambda | ast.ClassDef):
            continue
        if isinstance(child, ast.Raise) and child.exc:
            called = child.exc
            called = called.func if isinstance(called, ast.Call) else called
            yield from names(called)
        yield from raised(child)


def family(module, name):
    """An exception's name and those of its parents that tell something."""
    found = getattr(import_module(module), name, None)
    found = found or getattr(builtins, name, None)
    if not isinstance(found, type):
        return {name}
    told = {kind.__name__ for kind in found.__mro__}
    return told - {"Exception", "BaseException", "object"}


EVERYTHING = list(public())
FUNCTIONS = [p for p in EVERYTHING if not isinstance(p.node, ast.ClassDef)]


def lacking(found, tells):
    return [p.place for p in found if not tells(p)]


def test_everything_public_has_a_docstring_of_its_own():
    assert len(EVERYTHING) > 300
    assert lacking(EVERYTHING, lambda p: p.text) == []


def test_arrays_have_shapes():
    arrays = [
        p
        for p in EVERYTHING
        if ARRAYS & set().union(*map(names, annotations(p.node)))
    ]
    assert len(arrays) > 80
    assert lacking(arrays, lambda p: SHAPE.search(p.text)) == []


def test_what_is_raised_is_told():
    raising = {p.place: (p, set(raised(p.node))) for p in FUNCTIONS}
    raising = {k: v for k, v in raising.items() if v[1]}
    assert len(raising) > 20
    untold = [
        f"{place}: {name}"
        for place, (p, kinds) in raising.items()
        for name in sorted(kinds)
        if not any(
            re.search(rf"\b{k}\b", p.text) for k in family(p.module, name)
        )
    ]
    assert untold == []


def test_numbers_have_units():
    numbers = [p for p in FUNCTIONS if names(p.node.returns) == {"float"}]
    assert len(numbers) > 10
    assert lacking(numbers, lambda p: UNIT.search(p.text)) == []


@pytest.mark.parametrize(
    ("text", "is_shape"),
    [
        ("float32 (N, 3, 32, 32)", True),
        ("times (rounds,)", True),
        ("int64 (...)", True),
        ("of any shape", True),
        ("a shift (out,\nin)", True),
        ("equation (eq-pairs)", False),
        ("codes (uint8, int8)", False),
        ("one (of two)", False),
    ],
)
def test_shapes_are_recognized(text, is_shape):
    assert bool(SHAPE.search(text)) == is_shape
