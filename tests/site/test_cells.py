"""Code on the built pages: what is folded and named; search; references."""

import ast
import re

import pytest
from browser import Tab, serve
from conftest import soup

from ptq import paths
from ptq.running import pipeline

CHAPTERS = [path.stem for path in pipeline.chapters()]


@pytest.fixture(scope="module")
def pages(site):
    """The chapters' pages, parsed."""
    folder = site / "book" / "chapters"
    return {name: soup(folder / f"{name}.html") for name in CHAPTERS}


def summaries(content) -> list[str]:
    """What the folds of a page say while they are closed."""
    return [p.get_text() for p in content.select("details.hide .collapsed")]


def test_folds_say_what_they_show(pages):
    named = r"Show (the code of (figure|table) \d+\.\d+"
    named += r"|the preparation of (figure|table) \d+\.\d+"
    named += r"|the code of (the explorer|the numbers in the text)|the check"
    named += r"|the imports|how data and network are opened"
    named += r"|the solution of exercise \d|step \d of \d for network [ABC]"
    named += r"|the only step for network C)"
    for name, content in pages.items():
        found = summaries(content)
        assert [s for s in found if not re.fullmatch(named, s)] == [], name
        drawn = {
            " ".join(c.get_text().rstrip().lower().split())
            for c in content.select(".caption-number")
        }
        for said in re.findall(r"(figure|table) ([\d.]+)", str(found)):
            kind = said[0].replace("figure", "fig.")
            assert f"{kind} {said[1]}" in drawn, (name, said)


def noted(code):
    """The share of a cell's lines that keep numbers for the text."""
    kept = [
        line.end_lineno - line.lineno + 1
        for line in ast.parse(code).body
        if ast.unparse(line).startswith("show.note(")
    ]
    return sum(kept) / len([x for x in code.splitlines() if x.strip()])


def test_checks_and_bookkeeping_do_not_stand_open(pages):
    for name, content in pages.items():
        folded = content.select("div.tag_check, div.tag_solution")
        assert folded, name
        for cell in folded:
            for code in cell.select(".cell_input"):
                assert code.find_parent("details"), (name, code)
        for code in content.select(".cell_input"):
            if not code.find_parent("details"):
                text = code.get_text()
                assert noted(text) <= 0.5, (name, text)
                assert not re.match(r"\s*(import|from) ", text), name


def test_solutions_name_their_exercise(pages):
    for name, content in pages.items():
        exercises = content.find(id=re.compile("^exercises")).ol
        count = len(exercises.find_all("li", recursive=False))
        asked = re.findall(r"of exercise (\d)", str(summaries(content)))
        assert asked and all(1 <= int(n) <= count for n in asked), name


def test_shown_docstrings_link_their_equations(pages):
    links = 0
    for name, content in pages.items():
        for code in content.select(".highlight pre"):
            assert "eq-" not in code.get_text(), (name, code.get_text())
            for link in code.select("a[href*='equation-eq-']"):
                assert re.fullmatch(r"\(\d+\.\d+\)", link.get_text())
                links += 1
    assert links > 10


@pytest.fixture(scope="module")
def visitor(browser, site):
    tab = Tab(browser)
    with serve(site) as address:
        tab.address = address
        yield tab
    tab.context.close()


def test_answers_are_called_answers(visitor):
    for name in CHAPTERS[:1] + CHAPTERS[-1:]:
        visitor.visit(f"{visitor.address}/book/chapters/{name}.html")
        page = visitor.page
        buttons = page.get_by_role("button", name="Answers", exact=True)
        assert buttons.count() == 1
        unnamed = page.locator("[aria-label*='hidden content']")
        assert unnamed.count() == 0


def search(visitor, words):
    """Pages that the search lists, in order, when an excerpt is there."""
    visitor.visit(f"{visitor.address}/search.html?q={words}")
    visitor.page.locator("#search-results p.context").first.wait_for()
    links = visitor.page.locator("#search-results li a").all()
    return [link.get_attribute("href") for link in links]


@pytest.mark.parametrize(
    ("words", "page"),
    [
        ("quantize my own network", "own_network"),
        ("own network", "own_network"),
        ("calibration random variable", "07_calibration"),
        ("run a sweep", "sweeps"),
    ],
)
def test_pages_rank_first_for_their_own_words(visitor, words, page):
    assert f"{page}.html" in search(visitor, words)[0]


def test_excerpts_quote_the_text(visitor):
    search(visitor, "quantize network")
    excerpts = visitor.page.locator("#search-results p.context")
    for excerpt in excerpts.all_inner_texts():
        assert not re.match(r"\W*Contents", excerpt)
        assert excerpt.count("\n") == 0 or "Contents" not in excerpt


@pytest.mark.parametrize("width", [1280, 390])
def test_the_icon_leaves_the_query_free(visitor, width):
    visitor.page.set_viewport_size({"width": width, "height": 900})
    search(visitor, "folding")
    field = visitor.page.locator(".bd-search input[name=q]").last
    icon = visitor.page.locator(".bd-search .fa-magnifying-glass").last
    start = field.evaluate(
        "f => f.getBoundingClientRect().left"
        " + parseFloat(getComputedStyle(f).paddingLeft)"
    )
    place = icon.bounding_box()
    assert place["x"] + place["width"] <= start


def test_every_reference_has_a_link(site):
    page = soup(site / "book" / "references.html")
    entries = page.select("div.citation")
    source = (paths.REPOSITORY / "book" / "references.bib").read_text()
    assert len(entries) == len(re.findall(r"^@\w+\{", source, re.M)) > 10
    for entry in entries:
        links = [a["href"] for a in entry.select("a.external")]
        assert any(link.startswith("https://") for link in links), entry
