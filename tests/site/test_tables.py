"""Tables of the built pages: they fit, wrap or say that they scroll."""

import io
import re

import pandas as pd
import pytest
from browser import Tab, serve
from bs4 import BeautifulSoup
from conftest import soup

SETTLED = """async () => {
    for (const fold of document.querySelectorAll("details"))
        fold.open = true;
    for (const frame of [1, 2, 3])
        await new Promise(go => requestAnimationFrame(go));
}"""
BOXES = """() => [...document.querySelectorAll(
    ".bd-article :is(.pst-scrollable-table-container, .drawing, " +
    "div.math > mjx-container, pre, span.math)"
// A formula in a line of text cannot scroll.
)].filter(box => box.tagName !== "SPAN"
    || box.querySelector("svg").getBoundingClientRect().right
        > box.getBoundingClientRect().right + 2
    && getComputedStyle(box).overflow === "hidden"
).map(box => {
    const whole = box.closest("div.math") ?? box;
    // A button to copy may stand between.
    const after = whole.nextElementSibling?.matches(".copybtn")
        ? whole.nextElementSibling : whole;
    const cue = [whole.previousElementSibling, after.nextElementSibling]
        .find(element => element?.matches(".scroll-cue"));
    const edge = box.getBoundingClientRect().right;
    return {
        what: `${box.className} ${whole.textContent.trim().slice(0, 40)}`,
        code: box.tagName === "PRE",
        table: box.querySelector("table")?.className ?? "",
        room: box.clientWidth,
        width: box.scrollWidth,
        cue: cue?.checkVisibility() && cue.innerText.includes("scrolls"),
        role: box.role,
        label: box.ariaLabel,
        stop: box.tabIndex,
        header: box.querySelector("thead")?.offsetHeight ?? 0,
        beyond: [...box.querySelectorAll("th, td")].filter(cell =>
            cell.getBoundingClientRect().right > edge + 1).length,
        broken: [...box.querySelectorAll("code .pre")].filter(word =>
            word.getClientRects().length > 1).map(word => word.innerText),
        first: [...box.querySelectorAll("tr > :first-child")].map(cell => [
            getComputedStyle(cell).backgroundColor,
            getComputedStyle(cell.parentElement).backgroundColor,
        ]),
    };
})"""
MARKS = ("pst-scrollable-table-container", 'class="drawing"', 'class="math ')
MARKS += ("<pre",)


def look(page) -> list[dict]:
    """What of a page may be wider than it, as it is laid out now."""
    page.evaluate(SETTLED)
    return page.evaluate(BOXES)


def on_paper(page) -> list[dict]:
    """The same on a sheet of A4."""
    page.emulate_media(media="print")
    page.set_viewport_size({"width": 718, "height": 1000})
    found = page.evaluate(BOXES)
    page.emulate_media(media="screen")
    return found


def check_cues(boxes):
    """What scrolls says so to those who see, hear, or use the keyboard."""
    for box in boxes:
        if box["width"] > box["room"] + 1:
            assert box["cue"] and box["stop"] == 0, box
            assert box["role"] == "region", box
            assert box["label"].endswith(", scrolls sideways"), box


def check_paper(boxes):
    """Every column is on the sheet."""
    for box in boxes:
        assert box["width"] <= box["room"] + 1 and not box["beyond"], box
        assert not box["cue"], box


@pytest.fixture(scope="module")
def looks(browser, site):
    """Each page of the book by width, loaded once; and on paper."""
    tab, found = Tab(browser), {}
    with serve(site) as address:
        for path in sorted(site.glob("book/**/*.html")):
            if not any(mark in path.read_text() for mark in MARKS):
                continue
            name = path.relative_to(site).as_posix()
            tab.page.set_viewport_size({"width": 1280, "height": 900})
            tab.visit(f"{address}/{name}")
            wide = look(tab.page)
            tab.page.set_viewport_size({"width": 390, "height": 800})
            narrow = look(tab.page)
            found[name] = (wide, narrow, on_paper(tab.page))
    tab.context.close()
    return found


def test_nothing_is_cut_without_a_cue(looks):
    for wide, narrow, _ in looks.values():
        check_cues(wide + narrow)
    scrolling = [b for _, narrow, _ in looks.values() for b in narrow]
    assert sum(box["width"] > box["room"] + 1 for box in scrolling) > 20


def test_code_that_scrolls_says_so_on_phones(looks):
    code = [
        box
        for _, narrow, _ in looks.values()
        for box in narrow
        if box["code"] and box["width"] > box["room"] + 1
    ]
    assert {box["label"].split(",")[0] for box in code} == {"Code", "Output"}


def test_tables_fit_beside_the_contents(looks):
    for name, (wide, _, _) in looks.items():
        for box in wide:
            fits = box["width"] <= box["room"] + 1
            wide_by_choice = box["code"] or "desk-wide" in box["table"]
            assert fits or wide_by_choice, (name, box)
            assert box["header"] < 110, (name, box)
    front = [box for box in looks["book/intro.html"][0] if box["table"]]
    assert front and all(box["width"] <= box["room"] + 1 for box in front)


def test_paper_has_every_column(looks):
    sheets = [paper for *_, paper in looks.values()]
    assert sum(bool(box["table"]) for paper in sheets for box in paper) > 40
    for paper in sheets:
        check_paper(paper)


def test_words_of_code_do_not_break_in_tables(looks):
    for wide, narrow, _ in looks.values():
        assert [box["broken"] for box in wide + narrow if box["broken"]] == []


def test_first_column_has_the_colour_of_its_row(looks):
    clear = "rgba(0, 0, 0, 0)"
    for _, narrow, _ in looks.values():
        for box in narrow:
            if box["table"] and box["width"] > box["room"] + 1:
                assert all(c == row != clear for c, row in box["first"]), box


NUMBERS = r"[-+−]?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?"
# Numbers and what stands between them, as a program cannot read them.
SEVERAL = rf"[≈(]*{NUMBERS}(?:(?: to | of | / |–| \(){NUMBERS})+\)?"
AS_TEXT = re.compile(rf"{SEVERAL}|[−≈+]\s*{NUMBERS}|\d{{1,3}}(?:,\d{{3}})+")


def check_csv(text: str, rows: list[list[str]]) -> None:
    """The file has the numbers of the table's rows, one a column."""
    names = text.partition("\n")[0]
    frame = pd.read_csv(io.StringIO(text))
    assert len(frame) == len(rows) - 1
    assert frame.columns.is_unique and not re.search(r"\.\d+,", names)
    words = frame.select_dtypes(exclude="number")
    for column in words:
        for cell in words[column].dropna().astype(str):
            assert not AS_TEXT.fullmatch(cell.strip()), (column, cell)
    for (_, found), cells in zip(frame.iterrows(), rows[1:], strict=True):
        values = {float(v) for v in found if re.fullmatch(NUMBERS, str(v))}
        for cell in cells:
            if re.fullmatch(rf"{SEVERAL}|{NUMBERS}", cell):
                said = re.findall(NUMBERS, cell)
                plain = (n.replace(",", "").replace("−", "-") for n in said)
                assert {float(n) for n in plain} <= values, (cell, found)


def texts(table) -> list[list[str]]:
    """What the cells of a table say, row by row."""
    return [
        [cell.get_text().strip() for cell in row.find_all(["th", "td"])]
        for row in table.find_all("tr")
    ]


def test_files_of_all_tables_hold_numbers(site):
    found = 0
    for page in site.glob("book/**/*.html"):
        content = soup(page)
        for caption in content.select("article table > caption"):
            links = caption.find_next("p", class_="downloads")
            file = page.parent / links.a["href"]
            check_csv(file.read_text(), texts(caption.parent))
            found += 1
    assert found > 40


def test_negative_numbers_have_a_minus(site):
    hyphen = re.compile(r"(?:^|[\s(\[])-\d")
    for page in [*site.glob("book/*.html"), *site.glob("book/chapters/*")]:
        # Parsed anew, as it is changed.
        content = BeautifulSoup(page.read_text(), "html.parser")
        for code in content.select("code, pre, script, .math"):
            code.decompose()
        for text in content.select("article :is(p, td, li, figcaption)"):
            assert not hyphen.search(text.get_text()), (page, text)
