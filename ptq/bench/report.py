"""A bench in words: tables for the terminal and for one HTML file."""

import textwrap
from dataclasses import dataclass
from html import escape

from ptq.judge import html_page

WIDTH = 78


@dataclass(frozen=True)
class Table:
    """Cells of ``rows`` by the columns of ``head``, as text."""

    title: str
    head: tuple[str, ...]
    rows: list[tuple[str, ...]]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Report:
    """A title, facts in sentences, and tables."""

    title: str
    facts: list[str]
    tables: list[Table]

    def text(self) -> str:
        """For the terminal; only rows of long cells pass 78 characters."""
        facts = [line for fact in self.facts for line in _wrapped(fact)]
        blocks = ["\n".join([self.title, *facts])]
        blocks += map(_lines, self.tables)
        return "\n\n".join(blocks) + "\n"

    def page(self) -> str:
        """One HTML file that needs no other."""
        content = _items(self.facts)
        for table in self.tables:
            head, *others = map(escape, table.head)
            rows = [
                f'<tr><th scope="row">{escape(first)}</th>'
                f"{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}"
                "</tr>"
                for first, *cells in table.rows
            ]
            title = escape(table.title)
            content += html_page.table(title, [head, *others], rows)
            content += _items(table.notes)
        return html_page.document(self.title, content)


def _items(facts) -> str:
    items = "".join(f"<li>{escape(fact)}</li>" for fact in facts)
    return f"<ul>{items}</ul>\n" if items else ""


def _wrapped(fact: str) -> list[str]:
    return textwrap.wrap(
        fact, WIDTH, initial_indent="  ", subsequent_indent="    "
    )


def _lines(table: Table) -> str:
    """The first column to the left, numbers and words to the right."""
    columns = zip(table.head, *table.rows, strict=True)
    widths = [max(map(len, column)) for column in columns]
    lines = []
    for first, *cells in [table.head, *table.rows]:
        told = [
            cell.rjust(width)
            for cell, width in zip(cells, widths[1:], strict=True)
        ]
        lines.append("  ".join([first.ljust(widths[0]), *told]).rstrip())
    notes = [line for note in table.notes for line in _wrapped(note)]
    return "\n".join([table.title, *lines, *notes])
