"""How the chapters are written, beside the guide values of the book.

The values are habits of well-made notebooks, not limits. A chapter that is
better for leaving one says why in its metadata: ``ptq``, ``style``.
"""

import itertools
import math
from collections.abc import Iterable
from pathlib import Path
from statistics import median

import nbformat
import pandas as pd

HIDDEN = {"hide-input", "hide-cell", "remove-input", "remove-cell"}
# What each column counts: the least and the most, and how to write it.
GUIDE = {
    "code cells": (10, 18, "d"),
    "code lines": (0, 200, "d"),
    "median cell": (0, 8, "g"),
    "hidden": (0, 0.25, ".0%"),
    "behind prose": (0.85, 1, ".0%"),
    "words a line": (7, math.inf, ".1f"),
    "in a row": (0, 2, "d"),
}


def counts(notebook: nbformat.NotebookNode) -> dict[str, float]:
    """The numbers of ``GUIDE`` for one chapter.

    Lines that are not blank count. *Hidden* is the share of lines in cells
    whose tags hide them, *behind prose* the share of the other code cells
    that follow a cell of text, *in a row* the longest run of code cells.
    ValueError where there is no line of code that a reader sees.
    """
    cells = notebook.cells
    code = [cell for cell in cells if cell.cell_type == "code"]
    lines = [_lines(cell) for cell in code]
    hidden = sum(map(_lines, filter(_hidden, code)))
    if hidden == sum(lines):
        raise ValueError("no code that a reader sees: expected some")
    words = sum(
        len(cell.source.split())
        for cell in cells
        if cell.cell_type == "markdown" and not _hidden(cell)
    )
    behind = [
        before is not None and before.cell_type == "markdown"
        for before, cell in zip([None, *cells], cells, strict=False)
        if cell.cell_type == "code" and not _hidden(cell)
    ]
    runs = itertools.groupby(cells, lambda cell: cell.cell_type)
    return {
        "code cells": len(code),
        "code lines": sum(lines),
        "median cell": median(lines),
        "hidden": hidden / sum(lines),
        "behind prose": sum(behind) / len(behind),
        "words a line": words / sum(lines),
        "in a row": max(len([*run]) for kind, run in runs if kind == "code"),
    }


def report(chapters: Iterable[Path]) -> str:
    """A table with a row per chapter; * marks what is off the guide value.

    Below stand the reasons that chapters give. ValueError as of ``counts``.
    """
    rows, reasons = {"guide": {name: _range(name) for name in GUIDE}}, []
    for path in chapters:
        notebook = nbformat.read(path, as_version=4)
        found = counts(notebook)
        rows[path.stem] = {n: _cell(n, value) for n, value in found.items()}
        if reason := notebook.metadata.get("ptq", {}).get("style"):
            reasons.append(f"{path.stem}: {reason}")
    table = pd.DataFrame.from_dict(rows, orient="index").to_string()
    return "\n".join([table, *reasons])


def _lines(cell) -> int:
    return sum(bool(line.strip()) for line in cell.source.splitlines())


def _hidden(cell) -> bool:
    return not HIDDEN.isdisjoint(cell.metadata.get("tags", []))


def _range(name: str) -> str:
    least, most, form = GUIDE[name]
    if least and math.isfinite(most) and most != 1:
        return f"{least:{form}}–{most:{form}} "
    return f"≥ {least:{form}} " if least else f"≤ {most:{form}} "


def _cell(name: str, value: float) -> str:
    least, most, form = GUIDE[name]
    return f"{value:{form}}{' ' if least <= value <= most else '*'}"
