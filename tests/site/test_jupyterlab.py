"""What a reader of the notebooks sees in JupyterLab."""

import ast
import functools
import json
import os
import re
import runpy
import shutil
import subprocess
import sys
import time
from pathlib import Path
from urllib.request import ProxyHandler, build_opener

import nbformat
import pytest
from pybtex.database import parse_file

from ptq import paths
from ptq.book import show
from ptq.evidence import intervals
from ptq.running import execution, pipeline, quoted_numbers

ROOT = paths.REPOSITORY
# What an earlier test said of proxies is remembered by urlopen.
OPENER = build_opener(ProxyHandler({}))
CHAPTERS = pipeline.chapters()
EACH = pytest.mark.parametrize("source", CHAPTERS, ids=lambda path: path.stem)
LINK = re.compile(
    r"(?<!!)\[([^\[\]]+)\]"
    r'\((?:<([^<>]+)>|([^\s()]+))(?:\s+"([^"]*)")?\)'
)
FOLDED = "jp-MarkdownHeadingCollapsed"


def cells_of(source):
    return nbformat.read(source, as_version=4).cells


def texts_of(source):
    return [c for c in cells_of(source) if c.cell_type == "markdown"]


def names_noted(source):
    """Patterns of the names that a chapter's calls of note keep."""
    for cell in cells_of(source):
        if cell.cell_type != "code":
            continue
        for call in ast.walk(ast.parse(cell.source)):
            if not ast.unparse(getattr(call, "func", call)).endswith(".note"):
                continue
            for keyword in getattr(call, "keywords", []):
                if keyword.arg:
                    # A dataclass is quoted field by field.
                    yield re.escape(keyword.arg) + r"(\.\w+)?"
                else:
                    yield from keys(keyword.value)


def keys(mapping):
    """Patterns of a dict's keys, some of which are made from variables.

    What a function or a cell before made, the run knows, and checks.
    """
    if isinstance(mapping, ast.Name | ast.Call):
        yield r"\w+"
        return
    made = mapping.keys if isinstance(mapping, ast.Dict) else [mapping.key]
    for key in made:
        parts = getattr(key, "values", [key])
        yield "".join(
            re.escape(part.value)
            if isinstance(part, ast.Constant)
            else r"\w+"
            for part in parts
        )


@EACH
def test_sentences_quote_what_is_noted(source):
    known = "|".join(names_noted(source))
    quoted = 0
    for cell in texts_of(source):
        asked = quoted_numbers.QUOTE.findall(cell.source)
        assert len(asked) == cell.source.count("{eval}"), cell.id
        for name, form, _ in asked:
            assert re.fullmatch(known, name), f"{cell.id}: {name}"
            assert form
        quoted += len(asked)
    assert quoted > 0


@EACH
def test_texts_have_no_role_that_lab_cannot_show(source):
    whole = "\n".join(cell.source for cell in texts_of(source))
    assert set(re.findall(r"\{([\w:-]+)\}`", whole)) <= {"eval", "eq"}
    for label in re.findall(r"\{eq\}`([\w-]+)`", whole):
        assert f"$$ ({label})" in whole, f"{label} is of another notebook"


def target(source, address):
    """The cell or the page that a link of a notebook leads to."""
    path, _, place = address.partition("#")
    file = source.parent / path if path else source
    assert file.exists(), address
    if file.suffix != ".ipynb" or not place:
        return file.read_text()
    (cell,) = (c for c in cells_of(file) if f"cell-id={c.id}" == place)
    return cell


@functools.cache
def cited():
    """What the book cites, by its key."""
    return parse_file(str(ROOT / "book/references.bib")).entries


def check_link(source, words, address, title):
    """A link leads where its label is, and is called as that is."""
    works = cited()
    if re.fullmatch(r"[a-z]+\d{4}[a-z]?", title):
        assert title in works
        assert works[title].fields["year"] in words
    if address.startswith("http"):
        return
    found = target(source, address)
    place = address.partition("#")[2]
    label = title or place.removeprefix("cell-id=")
    if "glossary.md#" in address:
        assert f"\n{place}\n  " in found
    elif label.startswith(("fig-", "tab-")):
        assert words.split() == show.title(label).split()
        assert re.search(rf'"{label[4:]}"', found.source)
    elif label.startswith("eq-"):
        assert f"$$ ({label})" in found.source
    elif label.startswith("sec-"):
        text = found if isinstance(found, str) else found.source
        assert f"({label})=\n#" in text


@EACH
def test_links_lead_to_what_they_name(source):
    found = [
        m for cell in texts_of(source) for m in LINK.findall(cell.source)
    ]
    assert len(found) > 10
    for words, wide, tight, title in found:
        check_link(source, words, wide or tight, title)


@EACH
def test_solutions_stand_below_a_folded_heading(source):
    folded = False
    for cell in cells_of(source):
        if cell.cell_type == "markdown" and re.search(
            "^#", cell.source, re.M
        ):
            folded = cell.metadata.get(FOLDED, False)
            # It is for Lab alone: pages have a button at each solution.
            assert not folded or cell.metadata.tags == ["remove-cell"]
        assert folded or "solution" not in cell.metadata.get("tags", [])


def test_a_quote_is_written_as_a_sentence_has_it(capsys):
    show.note(
        gain=1.4721,
        many=1234,
        ratio=intervals.Interval(1.4721, 1.434, 1.5023),
        word="no difference shown",
        none=float("inf"),
    )
    assert show.quote("gain:.2f") == "1.47"
    assert show.quote("many:,d") == "1,234"
    assert show.quote("ratio:.2f") == "1.47 (1.43–1.50)"
    assert show.quote("word:s") == "no difference shown"
    assert show.quote("none:.1f") == "inf"
    assert show.quote("unheard_of:.1f") == "…"
    told = capsys.readouterr().out
    for text in ("gain = 1.47", "many = 1,234", "1.47 (1.43 to 1.5)"):
        assert text in told
    with pytest.raises(TypeError, match="expected a number, a word"):
        show.note(wrong=object())


LINKS = {
    "[Figure “a b”](06_x.ipynb#cell-id=fig-a-b)": "{numref}`fig-a-b`",
    '[Table “b”](#cell-id=tab-a "tab-b")': "{numref}`tab-b`",
    '[Equation “a”](01_x.ipynb#cell-id=text "eq-a")': "{eq}`eq-a`",
    "[Some\nwords](#cell-id=sec-a)": "{ref}`Some\nwords <sec-a>`",
    '[A (2018)](https://a.b/c "a2018")': "{cite:t}`a2018`",
    '[(A, 2018)](../book/references.bib "a2018")': "{cite}`a2018`",
    "[grids](<../book/glossary.md#a grid>)": "{term}`grids <a grid>`",
    "[a bit](../book/machine.md#sec-run-times)": "{run-time}`a bit`",
    "[page](../book/sweeps.md)": "[page](../sweeps.md)",
    "[page](../book/sweeps.md#sec-a)": "{ref}`page <sec-a>`",
    "[chapter](04_x.ipynb)": "[chapter](04_x.ipynb)",
    "[else](https://a.b/c)": "[else](https://a.b/c)",
    "![image](a.png)": "![image](a.png)",
}


@pytest.mark.parametrize("link", LINKS)
def test_links_become_the_references_of_the_book(link):
    path = ROOT / "book" / "_ext" / "booklinks.py"
    booklinks = runpy.run_path(str(path))
    text = f"See ({link}), [0, 1], and `f(x)`."
    page = ROOT / "notebooks" / "none.ipynb"
    role = functools.partial(booklinks["role"], page=page)
    found = booklinks["LINK"].sub(role, text)
    assert found == text.replace(link, LINKS[link])


def test_a_link_to_what_was_not_executed_is_its_words(tmp_path):
    """There is no such figure, table or run time; sections stay."""
    booklinks = runpy.run_path(str(ROOT / "book" / "_ext" / "booklinks.py"))
    other = notebook(text("(sec-a)="), ptq={"unexecuted": True})
    nbformat.write(other, tmp_path / "06_x.ipynb")
    role = functools.partial(booklinks["role"], page=tmp_path / "13_y.ipynb")
    linked = {
        "[Figure “a”](06_x.ipynb#cell-id=fig-a)": "Figure “a”",
        "[Table “a”](06_x.ipynb#cell-id=tab-a)": "Table “a”",
        "[words](06_x.ipynb#cell-id=sec-a)": "{ref}`words <sec-a>`",
        "[Table “b”](#cell-id=tab-b)": "{numref}`tab-b`",
    }
    for link, written in linked.items():
        assert booklinks["LINK"].sub(role, link) == written
    here = functools.partial(booklinks["role"], page=tmp_path / "06_x.ipynb")
    link = "[a minute](../book/machine.md#sec-run-times)"
    assert booklinks["LINK"].sub(here, link) == "a minute"


def notebook(*cells, **metadata):
    kernel = {"name": "python3", "display_name": "Python 3"}
    return nbformat.v4.new_notebook(
        cells=list(cells), metadata=metadata | {"kernelspec": kernel}
    )


def text(source, **more):
    return nbformat.v4.new_markdown_cell(source, **more)


def code(source, **more):
    return nbformat.v4.new_code_cell(source, **more)


def test_executed_copy_has_the_numbers_themselves(tmp_path):
    source, copy = tmp_path / "a.ipynb", tmp_path / "out" / "a.ipynb"
    quote = "{eval}`show.quote('gain:.2f')` by {eval}`show.quote('by:s')`"
    kept = "show.note(gain=1.234, by='a_b*', n=1)"
    made = notebook(
        text(f"Gain {quote}: \n{{eval}}`show.quote('n:d')`. No list."),
        code(f"from ptq.book import show\n{kept}"),
    )
    nbformat.write(made, source)
    pipeline.execute(source, {}, copy, quiet=True)
    first, second = cells_of(copy)
    assert first.source == "Gain 1.23 by a\\_b\\*: \n1\\. No list."
    assert not second.outputs


def test_quote_of_an_unknown_name_fails_the_chapter(tmp_path):
    source = tmp_path / "a.ipynb"
    quote = text("{eval}`show.quote('gone:d')`", id="lost")
    nbformat.write(notebook(quote, code("1")), source)
    with pytest.raises(
        execution.ChapterFailed, match="cell lost quotes gone;"
    ):
        pipeline.execute(source, {}, tmp_path / "out.ipynb", quiet=True)


SHOWN = """
from pathlib import Path
import pandas as pd
from ptq.evidence import intervals
from ptq.book import show, style
made, axis = style.figure()
axis.plot([1, 2])
show.figure(made, Path("out"), "line", "It rises.", "A rising line.")
show.table(pd.DataFrame({"a": [1]}), "values", "Some values.")
show.note(gain=1.4721, p=0.0123456789,
            ratio=intervals.Interval(1.4721, 1.434, 1.5023))
"""
SOLUTION = {"jupyter": {"source_hidden": True}, "tags": ["solution"]}


def small_notebooks(folder):
    """A chapter of all that chapters have, and one that it links."""
    first = notebook(
        text(
            "# First\n\nThe gain is {eval}`show.quote('gain:.2f')`, "
            "*{eval}`show.quote('ratio:.1f')`*; later "
            "{eval}`show.quote('late:+d')`. See "
            "[Table “values”](#cell-id=tab-values), "
            "[there](second.ipynb#cell-id=sec-there), {eq}`eq-one`.\n\n"
            "$$a = b$$ (eq-one)\n\n" + "Filler.\n\n" * 60
        ),
        code(SHOWN, id="tab-values"),
        text("## Exercises"),
        text("#### Solution", metadata={FOLDED: True}),
        code("show.note(late=7)\nprint('solved')", metadata=SOLUTION),
        text("## End"),
        code("print('the' + ' end')"),
    )
    second = notebook(
        text("# Second\n\n" + "Filler.\n\n" * 60),
        text("(sec-there)=\n## There", id="sec-there"),
    )
    for name, made in (("first", first), ("second", second)):
        nbformat.write(made, folder / f"{name}.ipynb")


@pytest.fixture(scope="module")
def lab(browser, tmp_path_factory):
    """Address of a JupyterLab in a folder with notebooks."""
    root = tmp_path_factory.mktemp("lab")
    small_notebooks(root)
    (root / "notebooks").mkdir()
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        shutil.copy(path, root / "notebooks")
    own = {
        name: str(tmp_path_factory.mktemp("own"))
        for name in (
            "JUPYTER_CONFIG_DIR",
            "JUPYTER_DATA_DIR",
            "JUPYTER_RUNTIME_DIR",
            "JUPYTERLAB_SETTINGS_DIR",
            "JUPYTERLAB_WORKSPACES_DIR",
        )
    }
    options = (
        "--no-browser",
        "--allow-root",
        "--ServerApp.port=0",
        "--IdentityProvider.token=",
        f"--ServerApp.root_dir={root}",
        "--LabApp.news_url=None",
    )
    started = subprocess.Popen(
        [sys.executable, "-m", "jupyterlab", *options],
        cwd=root,
        env=os.environ | own | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    yield address(started, Path(own["JUPYTER_RUNTIME_DIR"]))
    started.terminate()
    try:
        started.wait(60)
    except subprocess.TimeoutExpired:
        # Its kernels are gone; a thread of its own that waits for ever is
        # not.
        started.kill()
        started.wait()


def address(started, folder):
    """Where a server that was started says it is, once it does."""
    ends = time.monotonic() + 300
    while started.poll() is None and time.monotonic() < ends:
        for path in folder.glob("jpserver-*.json"):
            try:
                url = json.loads(path.read_text())["url"]
                OPENER.open(f"{url}api").close()
                return url
            except (ValueError, OSError):
                pass
        time.sleep(0.2)
    raise AssertionError("JupyterLab did not start")


@pytest.fixture
def tab(browser):
    context = browser.new_context(viewport={"width": 1300, "height": 900})
    context.set_default_timeout(300_000)
    yield context.new_page()
    context.close()


def open_notebook(tab, url, path, cells):
    """Open a notebook and wait until each text in it is drawn."""
    tab.goto(f"{url}lab/tree/{path}?reset")
    tab.wait_for_function(
        """count => {
            const texts = [...document.querySelectorAll('.jp-MarkdownCell')];
            return texts.length === count
                && texts.every(t => t.querySelector('.myst')?.textContent);
        }""",
        arg=cells,
    )


def in_view(cell):
    box = cell.bounding_box()
    return box and 0 <= box["y"] < 900


def sentence(tab):
    return tab.locator(".jp-MarkdownCell .myst p").first.inner_text()


def test_lab_draws_all_cells(lab):
    path = "lab/api/settings/@jupyterlab/notebook-extension:tracker"
    with OPENER.open(lab + path) as answer:
        known = json.load(answer)["schema"]["properties"]
    assert known["windowingMode"]["default"] == "none"


def test_after_run_all_a_notebook_reads_as_the_book(lab, tab):
    open_notebook(tab, lab, "first.ipynb", 4)
    # Lab runs nothing, and says nothing, while a kernel is on its way.
    tab.locator("[data-status=idle]").first.wait_for()
    tab.get_by_role("menuitem", name="Run", exact=True).click()
    tab.get_by_text("Run All Cells", exact=True).click()
    tab.get_by_text("the end", exact=True).wait_for()
    tab.wait_for_function(
        "() => !document.querySelector('.jp-Notebook .myst p')"
        ".textContent.includes('show.quote')"
    )
    assert sentence(tab) == (
        "The gain is 1.47, 1.5 (1.4–1.5); later +7. See Table “values”, "
        "there, (1)."
    )
    told = tab.locator(".jp-OutputArea-output").all_inner_texts()
    assert "Figure “line”: It rises." in told
    assert "Table “values”: Some values." in told
    note = "gain 1.47 · p 0.0123 · ratio 1.47 (1.43 to 1.5)"
    assert note in [" ".join(text.split()) for text in told]
    assert not tab.get_by_text("solved").last.is_visible()


def test_links_of_a_notebook_lead_to_cells_and_notebooks(lab, tab):
    open_notebook(tab, lab, "first.ipynb", 4)
    shown = tab.locator(".jp-CodeCell").first
    assert not in_view(shown)
    tab.get_by_role("link", name="Table “values”").click()
    tab.wait_for_function(
        "() => document.querySelector('.jp-CodeCell')"
        ".getBoundingClientRect().top < 900"
    )
    tab.get_by_role("link", name="there", exact=True).click()
    tab.get_by_role("heading", name="There").wait_for()
    assert tab.url.endswith("/second.ipynb")


@pytest.mark.parametrize("name", ["04_folding", "start"])
def test_real_notebooks_open_without_a_warning(lab, tab, name):
    path = f"notebooks/{name}.ipynb"
    open_notebook(tab, lab, path, len(texts_of(ROOT / path)))
    whole = tab.locator(".jp-Notebook")
    assert whole.locator(".myst a").count() > 9
    assert (
        whole.locator("[title$='Not Found'], .text-yellow-600").count() == 0
    )
    assert not re.search(r"\{\w+\}`", " ".join(whole.all_inner_texts()))
