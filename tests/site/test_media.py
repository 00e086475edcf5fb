"""Figures and tables in the built pages: both themes, files, sorting."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from browser import look, on_paper
from conftest import soup
from test_tables import check_csv, check_cues, check_paper, texts

from ptq import paths
from ptq.book import style
from ptq.running import pipeline

pytestmark = pytest.mark.book
SOURCE = """
import numpy as np, pandas as pd
from pathlib import Path
from ptq.book import show, style
made, axis = style.figure()
axis.plot([1, 2])
show.figure(made, Path("{folder}"), "line", "It rises.", "A rising line.")
"""
TABLE = """
rows = pd.DataFrame({
    "name": list("abcdefg"),
    "value, of all": ["1,234", "−2.5", "≈ 30", "4e-05", "text", "7", "8"],
    "verdict": ["same, or not"] + ["worse"] * 6,
})
show.table(rows, "values", "Values.")
show.table(rows[:2], "few", "Few values.")

SURE, RATIO = "no difference shown", "123.45 (123.45–123.45)"
front = pd.DataFrame({
    "strategy": "Bias correction as published",
    "top-1 (%)": "100.00 (100.0–100.0)",
    "lost / gained": "10000 / 10000",
    "accuracy is": SURE,
    "size (MB)": "12.345",
    "batch 64: ms": "123.456",
    "batch 64: times as fast": RATIO,
    "batch 64: verdict": SURE,
    "batch 1: ms": "123.456",
    "batch 1: times as fast": RATIO,
    "batch 1: verdict": SURE,
}, index=range(20))
show.table(front, "front", "As on the front page, with wide numbers.")
timed = {"ms": "123.456", "times as fast": RATIO, "verdict": SURE}
speed = front[["strategy"]].assign(**{
    f"batch {kind}: {name}": cell
    for kind in ("64 hot", "1 hot", "1 cold")
    for name, cell in timed.items()
})
show.table(speed, "speed", "Times, as in the comparison.")
busy = "not judged: the machine was busy"
ratio = "1,234.56 (1,234.56–1,234.56)"
widest = front.iloc[:, :7].assign(**{
    "change (points)": "−100.00 to +100.00",
    "speed-up": "≈ " + ratio,
    "speed-up at batch 1, hot": ratio,
    "speed-up at batch 1, cold": ratio,
    "outputs at an end of the grid (%)": "0.01",
    "time is": busy,
})
show.table(widest, "widest", "The widest that can occur.")
"""
CONFIG = """
extensions = ["myst_nb", "media", "booktables"]
html_theme = "sphinx_book_theme"
html_static_path = ["static"]
nb_execution_mode = "off"
nb_render_markdown_format = "myst"
nb_mime_priority_overrides = [["html", "text/markdown", 0]]
myst_enable_extensions = ["colon_fence"]
numfig = True
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A page with a figure and five tables, executed and built."""
    root = tmp_path_factory.mktemp("page")
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_markdown_cell("# A page")]
        + [
            nbformat.v4.new_code_cell(source)
            for source in (SOURCE.format(folder=root / "out"), TABLE)
        ],
        metadata={"kernelspec": {"name": "python3", "display_name": "P"}},
    )
    nbformat.write(notebook, root / "source.ipynb")
    pipeline.execute(root / "source.ipynb", {}, root / "book/index.ipynb")
    (root / "book" / "conf.py").write_text(CONFIG)
    shutil.copytree(
        paths.REPOSITORY / "book" / "_static", root / "book" / "static"
    )
    extensions = str(paths.REPOSITORY / "book" / "_ext")
    built = subprocess.run(
        [sys.executable, "-m", "sphinx", "-W", "book", "html"],
        cwd=root,
        env=os.environ | {"PYTHONPATH": f"{extensions}:{paths.REPOSITORY}"},
        capture_output=True,
        text=True,
    )
    assert built.returncode == 0, built.stderr[-2000:]
    return root / "html" / "index.html"


def downloads(element):
    """Links of the paragraph behind an element, by kind of file."""
    offered = element.find_next_sibling("p")
    assert offered and "downloads" in offered["class"]
    return {a.contents[0]: a["href"] for a in offered.find_all("a")}


def check_figure(figure, page: Path):
    """Both themes, with sizes; a caption; files that are what they say."""
    light, night = figure.find_all("img")
    assert light["class"] == ["only-light"] and light["alt"] == night["alt"]
    assert night["class"] == ["only-dark"]
    assert figure.figcaption and figure.figcaption.get_text(strip=True)
    # Beside the pair, the theme would hide the caption.
    assert light.parent.parent.name == "figure" == figure.name
    texts = []
    for image in (light, night):
        assert float(image["width"]) > 100 and float(image["height"]) > 40
        texts.append((page.parent / image["src"]).read_text())
    assert texts[1] == style.dark(texts[0]) != texts[0]
    files = downloads(figure)
    assert files["SVG"] == light["src"]
    png = (page.parent / files["PNG"]).read_bytes()
    assert png.startswith(b"\x89PNG")


def check_table(table, page: Path):
    """A file with the same numbers; a long table sorts."""
    file = page.parent / downloads(table.parent)["CSV"]
    check_csv(file.read_text(encoding="utf8"), texts(table))
    long = len(table.find_all("tr")) > 6
    assert ("sortable" in table["class"]) == long


def test_the_page_serves_its_figure_and_tables(page):
    content = soup(page)
    (figure,) = content.select("article figure")
    check_figure(figure, page)
    tables = content.select("article table")
    assert len(tables) == 5
    for table in tables:
        check_table(table, page)


def test_the_page_has_the_dark_inks(page):
    sheets = [link["href"] for link in soup(page).select("link[href]")]
    (sheet,) = [s.partition("?")[0] for s in sheets if "inks.css" in s]
    assert (page.parent / sheet).read_text() == style.dark_sheet()


def test_every_page_serves_its_figures_and_tables(site):
    pages = [*site.glob("book/*.html"), *site.glob("book/chapters/*.html")]
    found = [0, 0]
    for page in pages:
        content = soup(page)
        for figure in content.select("article figure"):
            check_figure(figure, page)
            found[0] += 1
        for caption in content.select("article table > caption"):
            check_table(caption.parent, page)
            found[1] += 1
    assert min(found) > 10


def test_numbers_of_the_file_are_plain(page):
    frame = pd.read_csv(page.parent / "_downloads" / "index" / "values.csv")
    values = frame["value, of all"]
    assert values[:4].tolist() == [1234, -2.5, 30, 4e-05]
    assert values.isna().tolist() == [False] * 4 + [True, False, False]
    words = frame["value, of all, in words"]
    assert words.dropna().tolist() == ["≈", "text"]
    assert frame.verdict[0] == "same, or not"


def test_bounds_stand_apart_in_the_file(page):
    frame = pd.read_csv(page.parent / "_downloads" / "index" / "widest.csv")
    row = frame.iloc[0]
    assert row["lost"] == row["gained"] == 10000
    assert row["change (points), low"] == -100
    assert row["change (points), high"] == 100
    assert row["speed-up at batch 1, hot"] == 1234.56
    assert row["speed-up, in words"] == "≈"
    assert row["speed-up, high"] == 1234.56
    assert row["time is"] == "not judged: the machine was busy"


def column(browser_page, place=2):
    cells = browser_page.locator(f"#tab-values tbody td:nth-child({place})")
    return [text.strip() for text in cells.all_inner_texts()]


@pytest.fixture
def shown(browser, page):
    context = browser.new_context(viewport={"width": 390, "height": 800})
    context.set_default_timeout(120_000)
    opened = context.new_page()
    opened.goto(page.as_uri())
    yield opened
    context.close()


def test_a_long_table_sorts_by_keyboard(shown):
    header = shown.locator("#tab-values th").nth(1)
    assert shown.locator("#tab-few button").count() == 0
    header.get_by_role("button").focus()
    shown.keyboard.press("Enter")
    rising = ["−2.5", "4e-05", "7", "8", "≈ 30", "1,234", "text"]
    assert column(shown) == rising
    assert header.get_attribute("aria-sort") == "ascending"
    shown.keyboard.press("Space")
    assert column(shown) == [*rising[-2::-1], "text"]
    assert header.get_attribute("aria-sort") == "descending"
    shown.locator("#tab-values th").nth(0).get_by_role("button").click()
    assert column(shown, 1) == list("abcdefg")
    assert header.get_attribute("aria-sort") is None


def test_what_is_wide_scrolls_alone_and_has_a_name(shown):
    shown.add_style_tag(content="#tab-values td { min-width: 20rem }")
    shown.set_viewport_size({"width": 380, "height": 800})
    for box in (".drawing", ".pst-scrollable-table-container"):
        region = shown.locator(f"{box}[data-wide]").first
        region.wait_for()
        assert region.get_attribute("role") == "region"
        assert region.get_attribute("aria-label").strip()
        assert region.get_attribute("tabindex") == "0"
    assert shown.evaluate("document.documentElement.scrollWidth") <= 380


def box_of(boxes, name):
    """What was seen of one table of the page."""
    (found,) = [box for box in boxes if name in box["what"]]
    return found


def test_wide_tables_fit_or_say_that_they_scroll(shown):
    # As wide as a page is beside its contents, at 1280 pixels.
    shown.set_viewport_size({"width": 718, "height": 900})
    boxes = look(shown)
    check_cues(boxes)
    for name in ("As on the front", "Times, as in"):
        box = box_of(boxes, name)
        assert box["room"] == box["width"] < 700, box
    assert box_of(boxes, "The widest")["header"] < 110
    shown.set_viewport_size({"width": 390, "height": 800})
    boxes = look(shown)
    check_cues(boxes)
    assert box_of(boxes, "As on the front")["cue"]
    check_paper(on_paper(shown))


def test_keyboard_reaches_the_last_column(shown):
    region = shown.get_by_role("region", name="scrolls sideways").last
    cue = region.locator("xpath=preceding-sibling::*[1]/span")
    assert cue.is_visible()
    region.focus()
    for _ in range(60):
        shown.keyboard.press("ArrowRight")
    cue.wait_for(state="hidden")
    place = region.locator("tbody td").last.bounding_box()
    assert place["x"] + place["width"] <= 390


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_one_drawing_and_its_caption_are_seen(shown, theme):
    shown.evaluate(f"document.documentElement.dataset.theme = '{theme}'")
    seen = shown.locator("figure img:visible")
    assert seen.count() == 1
    assert seen.get_attribute("class") == f"only-{theme}"
    assert shown.locator("figcaption").is_visible()
    look = seen.evaluate("i => ({...getComputedStyle(i)})")
    assert look["backgroundColor"] == "rgba(0, 0, 0, 0)"
    assert look["filter"] == "none"


def test_paper_takes_the_light_drawing(shown):
    shown.evaluate("document.documentElement.dataset.theme = 'dark'")
    shown.emulate_media(media="print")
    seen = shown.locator("figure img:visible")
    assert seen.count() == 1
    assert seen.get_attribute("class") == "only-light"
