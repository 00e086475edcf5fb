"""YAML files of parameters; refuses what YAML versions read differently.

YAML 1.1, which PyYAML reads, and 1.2 disagree on many a plain word: ``no`` is
false or a text, ``010`` is 8 or 10, ``12:30`` is 750 or a text. Both give the
last of two equal keys. Neither is ever intended, so both are faults here.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

# The core schema of YAML 1.2, section 10.3.2.
_CORE = {
    "null": r"|~|null|Null|NULL",
    "bool": r"true|True|TRUE|false|False|FALSE",
    "int": r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+",
    "float": r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?"
    r"|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
}


TEXT = "tag:yaml.org,2002:str"
# What a node is taken for whose tag is refused.
KINDS = {
    yaml.ScalarNode: "!unclear",
    yaml.SequenceNode: "tag:yaml.org,2002:seq",
    yaml.MappingNode: "tag:yaml.org,2002:map",
}
NO_TAGS = (
    "tags are not taken: leave it out; write a number plainly, and a text in "
    "quotes"
)


WRITTEN = (
    "indent by blanks, close brackets and quotes, and put a text with other "
    "signs than letters and digits in single quotes"
)
# Of a number: no parameter has more, and Python's own limit is a ValueError.
DIGITS = 1000


class Unclear(str):
    """A refused word, in the place of its value."""


class _Loader(yaml.SafeLoader):
    """PyYAML's loader, which marks refused words, and tags that are given."""

    def compose_node(self, parent, index):
        given = getattr(self.peek_event(), "tag", None)
        node = super().compose_node(parent, index)
        if given:
            node.given = given
        return node


_Loader.add_constructor("!unclear", lambda _, node: Unclear(node.value))


def read(path: Path, literal: tuple[str, ...] = ()) -> tuple[Any, list[str]]:
    """Content of a file with one document, and its faults, one a line.

    Values of the ``literal`` keys of the outermost mapping are taken as the
    text that stands there; a refused word becomes Unclear. Raises YAMLError
    where the file is no YAML in UTF-8, and OSError where it cannot be read.
    """
    content = path.read_bytes()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise yaml.YAMLError(
            f"line {line}: byte {content[error.start]:#04x} is no text in "
            "UTF-8: save the file as UTF-8"
        ) from error
    return load(text, literal)


def load(text: str, literal: tuple[str, ...] = ()) -> tuple[Any, list[str]]:
    """As ``read``, of a text; YAMLError, too, where it is nested too deep."""
    try:
        return _load(text, literal)
    except RecursionError as error:
        raise yaml.YAMLError("nested too deeply") from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise yaml.YAMLError(
            f"line {line}: character {error.character:#04x} is no text: "
            "remove it"
        ) from error
    except yaml.MarkedYAMLError as error:
        raise yaml.YAMLError(_plainly(error)) from error


def _plainly(error: yaml.MarkedYAMLError) -> str:
    """What PyYAML tells in many lines, as one, and what to do."""
    mark, begun = error.problem_mark, error.context_mark
    context = f"{error.context}, " if error.context else ""
    if begun and begun.line != mark.line:
        context += f"begun in line {begun.line + 1}, "
    return (
        f"line {mark.line + 1}, column {mark.column + 1}: {context}"
        f"{error.problem}; {WRITTEN}"
    )


def _load(text: str, literal: tuple[str, ...]) -> tuple[Any, list[str]]:
    loader = _Loader(text)
    try:
        nodes = []
        while loader.check_node():
            nodes.append(loader.get_node())
        if not nodes:
            return None, []
        _take_literally(nodes[0], literal)
        faults = [*_faults(nodes[0], set())]
        faults += [
            f"{_line(node)}: a second document begins here; expected one a "
            "file, so remove the line --- above"
            for node in nodes[1:2]
        ]
        return loader.construct_document(nodes[0]), faults
    finally:
        loader.dispose()


def _line(node: yaml.Node) -> str:
    return f"line {node.start_mark.line + 1}"


def _take_literally(node: yaml.Node, names: tuple[str, ...]) -> None:
    pairs = node.value if isinstance(node, yaml.MappingNode) else []
    for key, value in pairs:
        if key.value in names and isinstance(value, yaml.ScalarNode):
            value.tag, value.style = TEXT, '"'


def _faults(
    node: yaml.Node, seen: set[int], around: tuple = ()
) -> Iterator[str]:
    """Keys given twice and ambiguous words, from the top down.

    YAMLError where an alias repeats a node that is ``around`` it.
    """
    if any(node is other for other in around):
        raise yaml.YAMLError(
            f"{_line(node)}: what stands here contains itself by an alias "
            "(*): write it out"
        )
    if id(node) in seen:
        return
    seen.add(id(node))
    if given := getattr(node, "given", None):
        yield f"{_line(node)}: {_short(given)}: {NO_TAGS}"
        node.tag = KINDS[type(node)]
    elif advice := _advice(node):
        yield f"{_line(node)}: {node.value[:60]}: {advice}"
        node.tag = KINDS[yaml.ScalarNode]
    if isinstance(node, yaml.ScalarNode):
        return
    first: dict[str, yaml.Node] = {}
    for part in node.value:
        for child in part if isinstance(part, tuple) else (part,):
            yield from _faults(child, seen, (*around, node))
        if isinstance(part, tuple):
            key = part[0]
            yield from _odd_key(key)
            before = first.setdefault(key.value, key)
            if before is not key:
                yield (
                    f"{key.value}: given in {_line(before)} and again in "
                    f"{_line(key)}; expected once"
                )


def _odd_key(key: yaml.Node) -> Iterator[str]:
    """What is wrong with a key that is no text."""
    if not isinstance(key, yaml.ScalarNode):
        raise yaml.YAMLError(
            f"{_line(key)}: a list or a mapping is no key: expected a text"
        )
    if key.tag not in (TEXT, KINDS[yaml.ScalarNode]):
        yield (
            f"{_line(key)}: {key.value}: expected a text as key; write "
            f"'{key.value}' in quotes"
        )
        key.tag = KINDS[yaml.ScalarNode]


def _short(tag: str) -> str:
    """A tag as it is mostly written."""
    return tag.replace("tag:yaml.org,2002:", "!!")


def _advice(node: yaml.Node) -> str | None:
    """How to write a plain word that YAML 1.1 and 1.2 read differently."""
    if not isinstance(node, yaml.ScalarNode) or node.style is not None:
        return None
    text = node.value
    if node.tag.endswith(":int") and len(text) > DIGITS:
        return f"{len(text):,} digits are too many for a number"
    # PyYAML leaves out a short yes and no, which YAML 1.1 has.
    old = "bool" if text in tuple("yYnN") else node.tag.rpartition(":")[2]
    new = next((k for k, p in _CORE.items() if re.fullmatch(p, text)), "str")
    leading_zero = re.fullmatch(r"[-+]?0[0-9_]+", text)
    if old == new and not (old == "int" and leading_zero):
        return None
    as_value = _unambiguous(text, old, new)
    return (
        "versions of YAML read this differently; write "
        f"{as_value}'{text}' in quotes for the text"
    )


def _unambiguous(text: str, old: str, new: str) -> str:
    if new == "float":
        digits, _, power = text.lower().partition("e")
        whole = digits if "." in digits else f"{digits}.0"
        return f"{whole}e{int(power):+} for the number, or "
    if "bool" in (old, new):
        return "true or false for a switch, or "
    if "int" in (old, new):
        return "a whole number without leading 0, _ and :, or "
    return ""
