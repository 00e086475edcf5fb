"""Fills in the numbers that a chapter's sentences quote."""

import re

from ptq.evidence import number_text

QUOTE = re.compile(r"\{eval\}`show\.quote\('([\w.]+):([^']+)'\)`([.)]?)")


def fill_in(notebook) -> None:
    """Write numbers into the sentences that quote them, and keep them.

    ``notebook`` is an executed one. RuntimeError where a sentence quotes a
    name that no ``show.note`` has.
    """
    noted = {}
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            noted |= output.get("metadata", {}).get("noted", {})
    texts = [c for c in notebook.cells if c.cell_type == "markdown"]
    for cell in texts:
        quoted = {name for name, _, _ in QUOTE.findall(cell.source)}
        if unknown := sorted(quoted - noted.keys()):
            raise RuntimeError(
                f"cell {cell.id} quotes {', '.join(unknown)}; expected names "
                "that a show.note of the chapter has"
            )
        cell.source = QUOTE.sub(
            lambda quote: _in_markdown(noted, *quote.groups()), cell.source
        )
    notebook.metadata["ptq"] = {"noted": noted}


def leave_out(notebook) -> None:
    """Put an ellipsis in place of each number that a sentence quotes."""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = QUOTE.sub(r"…\3", cell.source)


def _in_markdown(noted: dict, name: str, form: str, end: str) -> str:
    # A number followed by a point may begin a list item.
    text = number_text.escaped(number_text.written(noted[name], form))
    return f"{text}\\{end}" if end else text
