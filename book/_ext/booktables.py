"""Tables that fit their page, sort, and can be had as files of numbers."""

import csv
import io
import re

from cellvalues import NUMBER, PLAIN, columns, minus
from docutils import nodes
from media import Serving
from sphinx.transforms.post_transforms import SphinxPostTransform

LONG = 6  # rows from which on a table is worth sorting
# Room for a table in digits of its font: beside the contents of a page on a
# screen of 1280 pixels, and on a phone of 390.
ROOM = {"desk": 84, "phone": 44}
# Ways to set a table, as in tables.css: padding in digits, size of the font.
WAYS = (("roomy", 2.0, 1), ("tight", 2.0, 1), ("dense", 1.2, 1))
WAYS += (("small", 0.9, 0.85),)
VERBATIM = nodes.literal | nodes.literal_block | nodes.raw
VERBATIM |= nodes.math | nodes.math_block
UNBROKEN = re.compile(r"\S+(?: \S(?!\S))*")


class Minus(SphinxPostTransform):
    """One sign for negative numbers in texts and tables: the minus."""

    default_priority = 850  # when every quoted number is in its place
    formats = ("html",)

    def run(self, **kwargs):
        _mend(self.document)


def _mend(element) -> None:
    for i, child in enumerate(element.children):
        if isinstance(child, nodes.Text) and minus(child) != child:
            element[i] = nodes.Text(minus(child))
        elif not isinstance(child, VERBATIM | nodes.Text):
            _mend(child)


class Tables(Serving):
    """Let each table fit; offer a numbered one as CSV, sort a long one."""

    default_priority = 900  # when the signs are right, too

    def run(self, **kwargs):
        for table in list(self.document.findall(nodes.table)):
            rows = [
                list(row.findall(nodes.entry))
                for row in table.findall(nodes.row)
            ]
            texts = [[entry.astext().strip() for entry in r] for r in rows]
            if len({len(row) for row in rows}) == 1:
                table["classes"] += fit(texts)
                _mark(rows, texts)
            if table["names"] and table.next_node(nodes.title):
                self._serve(table, texts)

    def _serve(self, table, texts):
        name = table["names"][0].removeprefix("tab-")
        content = io.StringIO()
        csv.writer(content, lineterminator="\n").writerows(columns(texts))
        if len(texts) > LONG:
            table["classes"].append("sortable")
        files = {"CSV": self.serve(f"{name}.csv", content.getvalue())}
        self.offer(table, files, f"the table {name.replace('-', ' ')}")


def fit(texts: list[list[str]]) -> list[str]:
    """Classes of a table by how closely it must be set to fit its room.

    ``texts`` are the cells' texts, the names first. Each way to set it
    breaks cells at more places than the one before. Where none fits a phone,
    the table scrolls there, and need not be dense.
    """
    desk = _way(texts, ROOM["desk"], WAYS) or "wide"
    phone = _way(texts, ROOM["phone"], WAYS[:-1]) or "tight"
    return [f"desk-{desk}", f"phone-{phone}"]


def _way(texts: list[list[str]], room: float, ways) -> str | None:
    """The first way by which the least widths of all columns fit."""
    for way, padding, size in ways:
        least = [
            max(_need(cell, way, i == 0) for i, cell in enumerate(column))
            for column in zip(*texts, strict=True)
        ]
        if (sum(least) + padding * len(least)) * size <= room:
            return way
    return None


def _need(cell: str, way: str, heads: bool) -> float:
    """Digits as wide as a cell is at the least."""
    if heads:
        # Bold letters, and the arrow of a column that sorts.
        arrow = 0 if way == "small" else 1
        return 1.1 * max(_widest(_tokens(cell)), 2 * _lines(cell)) + arrow
    if not is_number(cell):
        least = min(wordy(cell) - 2, 15) if way == "small" else wordy(cell)
        return max(_widest(re.split("[ -]", cell)), least)
    if way == "roomy":
        return len(cell)
    if way == "tight":
        return _widest(pieces(cell))
    return _widest(re.findall(r"[^ \u2013]+\u2013?", cell))


def _lines(name: str) -> int:
    """Half the least width of a column's name: no more than four lines."""
    return min(-(-len(name) // 8), 6)


def _widest(parts: list[str]) -> int:
    return max(map(len, parts), default=0)


def wordy(cell: str) -> int:
    """Least width of a cell of words, in letters: lines, not a column."""
    return 0 if len(cell) <= 12 else 12 if len(cell) <= 40 else 22


def is_number(cell: str) -> bool:
    """Whether a cell holds numbers and their marks only."""
    return bool(PLAIN.fullmatch(NUMBER.sub("#", cell)))


def pieces(cell: str) -> list[str]:
    """A number and its interval, which may stand on two lines."""
    return re.split(r" (?=\()", cell)


def _tokens(name: str) -> list[str]:
    """Words of a column's name; a single letter stays with the last."""
    return UNBROKEN.findall(name)


def _mark(rows, texts) -> None:
    """Say what a cell is, and where a line of it may not break."""
    for i, (row, cells) in enumerate(zip(rows, texts, strict=True)):
        for entry, cell in zip(row, cells, strict=True):
            if i == 0:
                _keep_together(entry, _tokens)
                entry["classes"].append(f"wide-{_lines(cell)}")
            elif is_number(cell):
                entry["classes"].append("number")
                _keep_together(entry, pieces)
            elif width := wordy(cell):
                entry["classes"].append(f"words-{width}")


def _keep_together(entry, split) -> None:
    """Put each part of a cell's text into an element of its own."""
    holder = entry
    while len(holder) == 1 and not isinstance(holder[0], nodes.Text):
        holder = holder[0]
    if len(holder) != 1 or isinstance(holder, VERBATIM):
        return
    made = []
    for part in split(holder.astext().strip()):
        made += [nodes.Text(" ")] * bool(made)
        made.append(nodes.inline(part, part, classes=["whole"]))
    holder.children = []
    holder += made


def setup(app):
    app.add_post_transform(Minus)
    app.add_post_transform(Tables)
    app.add_js_file("tables.js", loading_method="defer")
    app.add_css_file("tables.css")
    return {"version": "1", "parallel_read_safe": True}
