"""The built site as a browser shows it.

PTQ_SITE=_build/html pytest tests/site/test_site.py   looks at the real book.
"""

import functools
import gzip
import json
import re
from collections import Counter
from urllib.parse import quote, urlsplit

import pytest
import yaml
from browser import (
    LOADED,
    PLACES,
    Tab,
    Visit,
    boxes,
    inputs,
    is_list,
    press,
    seen,
    serve,
    settle,
)
from bs4 import BeautifulSoup
from conftest import build, lay_out, soup
from sphinx.search.en import SearchEnglish
from test_tables import check_cues, check_paper

from ptq import npm_packages, paths

pytestmark = pytest.mark.book
ROOT = paths.REPOSITORY
# Looks for obstacles on a page; fetched for these tests only.
AXE = npm_packages.Package(
    "axe-core",
    "4.14.1",
    "FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ=="
    "",
)
VARIANTS = {
    f"{scheme}-{width}": (scheme, width)
    for scheme in ("light", "dark")
    for width in (1280, 390)
}


def documents(node):
    """Pages that a table of contents names."""
    if isinstance(node, list):
        return [name for child in node for name in documents(child)]
    if not isinstance(node, dict):
        return []
    own = [node[key] for key in ("root", "file") if key in node]
    return own + [n for child in node.values() for n in documents(child)]


CONTENTS = documents(yaml.safe_load((ROOT / "_toc.yml").read_text()))
CHAPTERS = [name for name in CONTENTS if "/chapters/" in name]
PAGES = [*CONTENTS, "genindex", "py-modindex", "search", "_modules/index"]
FRONT, CHAPTER = CONTENTS[0], CHAPTERS[0]
HTML_MANAGER = "**/html-manager/**"
IMAGE_FILE = re.compile(r"\.(svg|png)$")
LISTINGS = [
    f"_modules/{path.relative_to(ROOT).with_suffix('')}"
    for path in sorted((ROOT / "ptq").rglob("[a-z]*.py"))
    # Commands are documented by what they print as help, and a module of
    # constants has nothing that links to its listing.
    if not path.stem.endswith(("commands", "_command"))
    and re.search("^(def|class) ", path.read_text(), re.MULTILINE)
]
# A page is loaded twice: in both colour schemes, and in both widths. axe
# looks at it in the first, which takes most of a visit's time: in turns.
TURNS = (
    ("light-1280", "dark-390"),
    ("dark-1280", "light-390"),
    ("dark-390", "light-1280"),
    ("light-390", "dark-1280"),
)
# But what is made of the code alone, long and all alike, once.
MADE_ALIKE = ("book/api/", "_modules/ptq/")


def visits():
    """What is loaded: variant, page, and whether axe looks at it.

    Of the listings one in twenty; all by axe, in all variants, is slow.
    """
    looked_at = [*PAGES, *LISTINGS[::20]]
    for variant in VARIANTS:
        for i, page in enumerate(looked_at):
            first, second = TURNS[i % 4]
            name = f"{variant}-{page}"
            if variant == first:
                yield pytest.param((variant, page, True), id=name)
            elif variant == second and not page.startswith(MADE_ALIKE):
                yield pytest.param((variant, page, False), id=name)
            if variant != first:
                whole, slow = (variant, page, True), pytest.mark.slow
                yield pytest.param(whole, id=f"{name}-axe", marks=slow)


@pytest.fixture(scope="module")
def server(site):
    with serve(site) as address:
        yield address


@pytest.fixture(scope="module")
def axe():
    """Source of axe, kept beside the tests; None if it is not to be had."""
    kept = ROOT / "tests" / "vendor" / f"axe-{AXE.version}.js"
    try:
        if not kept.exists():
            with npm_packages.fetch(AXE) as archive:
                paths.write_whole(
                    kept, npm_packages.read(archive, "axe.min.js")
                )
    except npm_packages.NpmError:
        return None
    return kept.read_text(encoding="utf8")


@pytest.fixture(scope="module")
def tab(browser):
    return Tab(browser)


@pytest.fixture(scope="module")
def tabs(browser, axe):
    """A tab for each colour scheme and width, which loads many pages."""
    return {
        (name, with_axe): Tab(browser, *look, axe if with_axe else None)
        for name, look in VARIANTS.items()
        for with_axe in (True, False)
    }


@pytest.fixture(scope="module")
def visited(tabs, server):
    """The one visit of a page in a variant."""

    @functools.cache
    def measured(variant, page, with_axe):
        return tabs[variant, with_axe].measure(f"{server}/{page}.html")

    return measured


@pytest.fixture(scope="module", params=visits())
def visit(request, visited):
    """One visit of a page in a variant, which all checks share."""
    return visited(*request.param)


def images_of(site, visit):
    """What the file of a page has outside its explorers."""
    page = soup(site / urlsplit(visit.url).path.lstrip("/"))
    return page.select("article img")


def test_page_loads_by_itself(visit):
    assert not visit.outside
    assert not visit.errors


def test_page_has_its_colours(visit):
    paper = [int(n) for n in re.findall(r"\d+", visit.look["paper"])[:3]]
    assert visit.look["theme"] == visit.scheme
    assert (sum(paper) < 3 * 64) == (visit.scheme == "dark")


def test_page_does_not_scroll_sideways(visit):
    assert visit.look["width"] <= visit.look["room"]


def test_images_state_their_size(site, visit):
    images = visit.look["images"]
    assert len(images) == len(images_of(site, visit))
    for image in images:
        assert image["stated"] == pytest.approx(image["real"], 0.02), image


def test_text_stays_where_it_is(visit):
    # What the Web Vitals call good. One page begins with a table of
    # formulas, which take their room when MathJax has set them.
    limit = 0.25 if visit.url.endswith("/notation.html") else 0.1
    assert visit.look["shift"] < limit


def places_at_first(tab, url):
    """Where the headings stand before an image or an explorer has come.

    Then the images come.
    """
    held = []
    tab.context.route(HTML_MANAGER, lambda route: route.abort())
    # Not refused: a broken image would lose the size that it states.
    tab.context.route(IMAGE_FILE, lambda route: held.append(route))
    tab.page.goto(url, wait_until="domcontentloaded")
    settle(tab.page)
    found = tab.page.evaluate(PLACES)
    tab.context.unroute(HTML_MANAGER)
    tab.context.unroute(IMAGE_FILE)
    for route in held:
        route.continue_()
    return found


def places_at_last(tab, url):
    """Where the headings stand when all has come."""
    explorers = tab.page.locator(".tag_explorer").count()
    if explorers:
        # What was refused comes with another visit only.
        tab.page.goto(url)
    tab.page.wait_for_function(LOADED)
    if explorers:
        boxes(tab.page)
    settle(tab.page)
    return tab.page.evaluate(PLACES)


@pytest.fixture(scope="module")
def bare_tab(browser):
    """A tab of a width without formulas, which would move things, too."""

    @functools.cache
    def made(width):
        tab = Tab(browser, width=width)
        tab.context.route("**/mathjax/**", lambda route: route.abort())
        return tab

    return made


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("name", CHAPTERS)
def test_what_comes_late_moves_nothing(bare_tab, server, name, width):
    tab, url = bare_tab(width), f"{server}/{name}.html"
    tab.now = Visit(url, "light", width)
    first, last = places_at_first(tab, url), places_at_last(tab, url)
    assert first == pytest.approx(last, abs=2)


@pytest.mark.parametrize(
    "visit", [of for of in visits() if of.values[0][2]], indirect=True
)
def test_page_meets_the_wcag(visit):
    if visit.findings is None:
        pytest.skip("axe-core cannot be fetched")
    assert visit.findings == []


def scrolling(boxes):
    """Those that are wider than their room."""
    return [box for box in boxes if box["width"] > box["room"] + 1]


def labels(boxes):
    """What listings that scroll are called."""
    return {b["label"].split(",")[0] for b in scrolling(boxes) if b["code"]}


def test_nothing_is_cut_without_a_cue(visit):
    check_cues(visit.boxes)
    assert labels(visit.boxes) <= {"Code", "Output"}


def test_tables_fit_beside_the_contents(visit):
    wide = visit.boxes if visit.width == 1280 else []
    for box in wide:
        by_choice = box["code"] or "desk-wide" in box["table"]
        assert by_choice or not scrolling([box]), box
        assert box["header"] < 110, box
    if wide and visit.url.endswith(f"/{FRONT}.html"):
        tables = [box for box in wide if box["table"]]
        assert tables and not scrolling(tables)


def test_paper_has_every_column(visit):
    check_paper(visit.paper)


def test_words_of_code_do_not_break_in_tables(visit):
    assert [box["broken"] for box in visit.boxes if box["broken"]] == []


def test_first_column_has_the_colour_of_its_row(visit):
    clear = "rgba(0, 0, 0, 0)"
    for box in scrolling(visit.boxes):
        if box["table"] and visit.width == 390:
            assert all(c == row != clear for c, row in box["first"]), box


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda name: f"{name}-all")
def test_the_pages_have_what_may_be_cut(visited, variant):
    # The id keeps this in the process that has made these visits.
    seen = [
        visited(*of.values[0])
        for of in visits()
        if of.values[0][0] == variant and not of.marks
    ]
    boxes = [box for visit in seen for box in visit.boxes]
    if variant.endswith("390"):
        paper = [box for visit in seen for box in visit.paper]
        assert len(scrolling(boxes)) > 10
        assert labels(boxes) == {"Code", "Output"}
        assert sum(bool(box["table"]) for box in paper) > 20


def text(path):
    """The prose of a page."""
    return " ".join(p.get_text(" ") for p in soup(path).select("article p"))


@pytest.fixture(scope="module")
def terms(site):
    """For each chapter a word that no other page has in any form.

    The search takes "measuring" for "measure", and lists all pages of both:
    its own stems tell which words are one.
    """
    stem = functools.cache(SearchEnglish({}).stem)
    spread = Counter()
    for name in CONTENTS:
        whole = soup(site / f"{name}.html").article.get_text(" ").lower()
        spread.update({stem(w) for w in set(re.findall("[a-z]+", whole))})
    return {
        name: next(
            word
            for word in re.findall(
                r"\b[a-z]{5,12}\b", text(site / f"{name}.html")
            )
            if spread[stem(word)] == 1
        )
        for name in CHAPTERS
    }


def results(tab, base, term):
    """Pages that the site's search lists for a word."""
    tab.visit(f"{base}/search.html?q={quote(term)}")
    links = tab.page.locator("#search-results li a")
    links.first.wait_for()
    return [link.get_attribute("href") for link in links.all()]


@pytest.mark.parametrize("name", CHAPTERS)
def test_search_finds_a_term(tab, server, terms, name):
    found = results(tab, server, terms[name])
    assert any(f"{name}.html" in link for link in found), terms[name]
    tab.page.locator("#search-results li p.context").first.wait_for()


def test_site_opens_from_disk(browser, site, terms):
    tab = Tab(browser)
    visit = tab.visit((site / f"{CHAPTER}.html").as_uri())
    assert not visit.outside and not visit.errors
    found = results(tab, site.as_uri(), terms[CHAPTER])
    assert any(f"{CHAPTER}.html" in link for link in found)
    tab.context.close()


def test_reader_can_choose_the_colours(browser, server):
    tab = Tab(browser, "light")
    tab.visit(f"{server}/{FRONT}.html")
    theme = "document.documentElement.dataset.theme"
    for _ in range(3):
        if tab.page.evaluate(theme) == "dark":
            break
        tab.page.locator(".theme-switch-button").first.click()
    assert tab.visit(f"{server}/{CHAPTER}.html").look["theme"] == "dark"
    tab.context.close()


def test_narrow_screen_has_a_menu(browser, server):
    tab = Tab(browser, width=390)
    tab.visit(f"{server}/{FRONT}.html")
    link = tab.page.locator(
        f".bd-sidebar-primary a[href$='{CHAPTER.split('/')[-1]}.html']"
    ).first
    assert not link.is_visible()
    tab.page.locator(".primary-toggle").first.click()
    link.click()
    tab.page.wait_for_url(f"**/{CHAPTER}.html")
    tab.context.close()


def by_keyboard(page, control):
    """One step, to the side where there is one."""
    press(page, control, "Home", "ArrowRight")


def by_mouse(page, control):
    """A click on the far end of a slider, or on a list and an option."""
    if is_list(control):
        control.click()
        press(page, control, "End", "Enter")
        return
    track = control.locator(
        "xpath=ancestor::*[contains(@class, 'noUi-target')]"
    )
    place = track.bounding_box()
    page.mouse.click(
        place["x"] + place["width"] - 2, place["y"] + place["height"] / 2
    )
    settle(page)


def test_explorers_of_the_book_move(browser, server, site):
    tab, found = Tab(browser), 0
    for name in CHAPTERS:
        if not soup(site / f"{name}.html").select("div.cell.tag_explorer"):
            continue
        visit = tab.visit(f"{server}/{name}.html")
        for box in boxes(tab.page):
            found += 1
            (guess,) = inputs(box)
            press(tab.page, guess, "End")
            for control in inputs(box)[1:]:
                states = []
                for move in (by_keyboard, by_mouse):
                    move(tab.page, control)
                    states.append(seen(box))
                assert states[0] != states[1], name
        assert not visit.errors and not visit.outside
    assert found == 5
    tab.context.close()


def test_first_page_is_light(browser, server, site):
    tab = Tab(browser)
    visit = tab.visit(f"{server}/index.html")
    tab.page.wait_for_load_state("networkidle")
    files = {site / urlsplit(u).path.lstrip("/") for u in visit.requests}
    # As GitHub Pages sends them; a plain server sends twice as much.
    packed = sum(len(gzip.compress(path.read_bytes())) for path in files)
    assert 100e3 < packed < 1e6
    tab.context.close()


def test_site_is_small(site):
    files = [path for path in site.rglob("*") if path.is_file()]
    # More than a quarter are listings of modules, as much the figures' files.
    assert sum(path.stat().st_size for path in files) < 42e6
    assert (site / ".nojekyll").exists()


def test_site_does_not_tell_where_it_was_built(site):
    found = [p for p in site.rglob("*.html") if str(ROOT) in p.read_text()]
    assert found == []


@pytest.mark.parametrize("name", CHAPTERS)
def test_download_is_the_clean_source(site, name):
    source = f"{name.split('/')[-1]}.ipynb"
    (link,) = soup(site / f"{name}.html").select(
        f".bd-header-article a[href$='{source}']"
    )
    offered = (site / name).parent / link["href"]
    assert offered.read_bytes() == (ROOT / "notebooks" / source).read_bytes()


def test_launch_buttons_need_a_repository(site):
    for name in CHAPTERS:
        page = (site / f"{name}.html").read_text(encoding="utf8")
        assert "mybinder.org" not in page and "colab." not in page


@pytest.fixture(scope="module")
def launchable(tmp_path_factory):
    """A chapter of a book that knows its repository."""
    root = tmp_path_factory.mktemp("launch")
    lay_out(root)
    toc = {"format": "jb-book", "root": CHAPTER}
    (root / "_toc.yml").write_text(json.dumps(toc))
    (root / "book" / "chapters").mkdir()
    source = ROOT / "notebooks" / f"{CHAPTER.split('/')[-1]}.ipynb"
    (root / f"{CHAPTER}.ipynb").write_bytes(source.read_bytes())
    pages = build(root, GITHUB_REPOSITORY="someone/book")
    return (pages / f"{CHAPTER}.html").read_text(encoding="utf8")


@pytest.mark.parametrize(
    "address",
    [
        "https://mybinder.org/v2/gh/someone/book/main?urlpath=lab/tree/{}",
        "https://colab.research.google.com/github/someone/book/blob/main/{}",
    ],
)
def test_launch_buttons_open_the_clean_source(launchable, address):
    source = f"notebooks/{CHAPTER.split('/')[-1]}.ipynb"
    page = BeautifulSoup(launchable, "html.parser")
    links = [a["href"] for a in page.select(".bd-header-article a[href]")]
    assert address.format(source) in links
    assert (ROOT / source).exists()
