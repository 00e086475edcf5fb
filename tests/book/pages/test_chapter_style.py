"""What ``make style`` counts in a chapter, and what it prints."""

import nbformat
import pytest
from click.testing import CliRunner

from ptq.book.pages import chapter_style
from ptq.cli import commands


def code(text, *tags):
    return nbformat.v4.new_code_cell(text, metadata={"tags": [*tags]})


def chapter(*cells, **metadata):
    made = [
        nbformat.v4.new_markdown_cell(c) if isinstance(c, str) else c
        for c in cells
    ]
    return nbformat.v4.new_notebook(cells=made, metadata=metadata)


SMALL = chapter(
    "# A title\n\nof five words",
    code("a = 1\n\nb = 2"),
    code("c = 3\nd = 4\ne = 5\n   \nf = 6", "hide-input"),
    code("g = 7"),
    "Two words",
    code("assert a", "check"),
)


def test_numbers_of_a_chapter_are_counted_by_hand():
    assert chapter_style.counts(SMALL) == {
        "code cells": 4,
        "code lines": 8,
        "median cell": 1.5,
        "hidden": 4 / 8,
        "behind prose": 2 / 3,
        "words a line": 8 / 8,
        "in a row": 3,
    }


def test_text_that_the_page_leaves_out_is_no_prose():
    hidden = nbformat.v4.new_markdown_cell("a b c")
    hidden.metadata["tags"] = ["remove-cell"]
    found = chapter_style.counts(chapter("one two", hidden, code("a = 1")))
    assert found["words a line"] == 2


def test_a_chapter_without_code_is_refused():
    with pytest.raises(ValueError, match="no code that a reader sees"):
        chapter_style.counts(chapter("only words", code("a", "hide-cell")))


def test_what_is_off_the_guide_is_marked_and_its_reason_told(tmp_path):
    cells = [c for _ in range(11) for c in ("word " * 90, code("a = 1"))]
    nbformat.write(chapter(*cells), tmp_path / "01_good.ipynb")
    reason = {"style": "three steps of one derivation"}
    odd = chapter(*SMALL.cells, ptq=reason)
    nbformat.write(odd, tmp_path / "02_odd.ipynb")
    lines = chapter_style.report(sorted(tmp_path.glob("*"))).splitlines()
    _, guide, good, bad, told = lines
    assert guide.split()[:2] == ["guide", "10–18"]
    assert "*" not in good
    marked = [word.endswith("*") for word in bad.split()[1:]]
    assert marked == [True, False, False, True, True, True, True]
    assert told == "02_odd: three steps of one derivation"


def test_the_command_prints_every_chapter():
    done = CliRunner().invoke(commands.main, ["style"])
    assert done.exit_code == 0, done.output
    assert "01_baseline" in done.output and "06_comparison" in done.output
