"""A table's text as columns of numbers, for programs to read."""

import re
from itertools import count

NUMBER = re.compile(
    r"(?<![\w.,:/])[-+\u2212]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:e[-+]?\d+)?"
    r"(?![\w:]|[.,/-]\d)"
)
# What may stand beside the numbers of one column, and nothing else.
RANGE = re.compile(r"# ?(?:\u2013|to) ?#")
PLAIN = re.compile(r"(?:[#()\u2013/\u00b1%≈<> ,]|\b(?:to|of)\b)*")
NOTHING = {"", "-", "\u2013", "\u2014"}


def minus(text: str) -> str:
    """Set the sign of a negative number as a minus, not as a hyphen."""
    return re.sub(r"(?<![\w.,)\]\u2013-])-(?=\.?\d)", "\u2212", text)


def columns(rows: list[list[str]]) -> list[list[str]]:
    """One number a column; the first row has names, all of them unique.

    ``rows`` are the cells' texts, the names first. "1.5 (1.2–1.8)" becomes
    three columns (the number, low and high), "3 / 4" under "a / b" two. Words
    among numbers get a column of their own; a column of words stays one.
    """
    names, *body = rows
    made = []
    for name, *cells in zip(*[_unique(names), *body], strict=True):
        made += _split(name, [" ".join(cell.split()) for cell in cells])
    return [list(row) for row in zip(*made, strict=True)]


def _unique(names: list[str]) -> list[str]:
    """Names; one that stands there twice says behind which it stands."""
    names = [" ".join(name.split()) for name in names]
    found, before = [], ""
    for name in names:
        if names.count(name) > 1:
            name = f"{name} ({before})" if before else name
        else:
            before = name
        numbered = (f"{name} {i}" for i in count(2))
        while name in found:
            name = next(numbered)
        found.append(name)
    return found


def _split(name: str, cells: list[str]) -> list[list[str]]:
    """Columns that one column becomes, each with its name on top."""
    filled = [cell for cell in cells if cell not in NOTHING]
    shapes = [shape for cell in filled if (shape := _shape(cell))]
    if not shapes or 2 * len(shapes) < len(filled):
        return [[name, *(_thousands(cell) for cell in cells)]]
    headings = _headings(name, max(shapes, key=lambda s: s.count("#")))
    found = [
        [_value(n) for n in NUMBER.findall(cell) if _shape(cell)]
        for cell in cells
    ]
    table = [
        [heading, *(values[i] if i < len(values) else "" for values in found)]
        for i, heading in enumerate(headings)
    ]
    said = ["" if cell in NOTHING else _said(cell) for cell in cells]
    return table + [[f"{name}, in words", *said]] * any(said)


def _shape(cell: str) -> str:
    """A cell with # for its numbers; empty if it is more than numbers."""
    shape = NUMBER.sub("#", cell)
    listed = re.search("#,", shape)
    plain = "#" in shape and not listed and PLAIN.fullmatch(shape)
    return shape if plain else ""


def _headings(name: str, shape: str) -> list[str]:
    """A name for each number of a cell of that shape."""
    numbers = shape.count("#")
    if numbers == 1:
        return [name]
    if shape == "# of #":
        return [name, f"{name}, of"]
    parts = [part.strip() for part in name.split(" / ")]
    if shape.count("/") == numbers - 1 == len(parts) - 1:
        return parts
    headings, at = [], 0
    bounds = [shape[: m.start()].count("#") for m in RANGE.finditer(shape)]
    while len(headings) < numbers:
        at = len(headings)
        if at in bounds:
            headings += [f"{name}, low", f"{name}, high"]
        else:
            headings.append(f"{name} {at + 1}" if at else name)
    return headings


def _said(cell: str) -> str:
    """What a cell says besides numbers."""
    return "≈" * ("≈" in cell) if _shape(cell) else cell


def _value(number: str) -> str:
    return number.replace(",", "").replace("\u2212", "-").removeprefix("+")


def _thousands(cell: str) -> str:
    """Words with plain numbers in them."""
    return NUMBER.sub(lambda found: _value(found[0]), cell)
