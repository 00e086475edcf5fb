"""The chapters: their sources, their execution, and the built site."""

import ast
import json
import re
from html.parser import HTMLParser
from urllib.parse import unquote, urlparse

import nbformat
import papermill
import pytest
from conftest import excerpt, soup

from ptq import paths
from ptq.book.pages import frontpage
from ptq.engines import eager_settings
from ptq.experiment import comparison, parameters, strategies
from ptq.running import execution, pipeline, unexecuted_chapters

pytestmark = pytest.mark.book
CHAPTERS = pipeline.chapters()
NAMES = [path.stem for path in CHAPTERS]
ROOT = paths.REPOSITORY


def cells(path, kind):
    notebook = nbformat.read(path, as_version=4)
    return [c for c in notebook.cells if c.cell_type == kind]


def text_of(source):
    """All code of a chapter."""
    return "\n".join(c.source for c in cells(source, "code"))


@pytest.mark.parametrize("source", CHAPTERS, ids=NAMES)
class TestSource:
    def test_has_no_outputs(self, source):
        for cell in cells(source, "code"):
            assert not cell.outputs and cell.execution_count is None

    def test_parameters_are_the_shared_literals(self, source):
        tagged = [
            c
            for c in cells(source, "code")
            if "parameters" in c.metadata.get("tags", [])
        ]
        assert len(tagged) == 1
        values = {
            node.targets[0].id: ast.literal_eval(node.value)
            for node in ast.parse(tagged[0].source).body
        }
        known = parameters.DEFAULTS | {"retrain": False}
        own = {n: values.pop(n) for n in values.keys() - known.keys()}
        assert values.items() <= known.items()
        needed = {"seed", "run_dir"}
        if not own:  # the book's images
            needed |= {"data_dir"}
        if "lab.build(" in text_of(source) or "lab.engine" in text_of(source):
            needed |= {"engine"}
        # What is a reader's own is empty in the book.
        assert needed <= values.keys() and not any(own.values())

    def test_asks_and_checks(self, source):
        text = cells(source, "markdown")
        assert text[0].source.count("# ") and "?" in text[0].source
        checks = [
            c
            for c in cells(source, "code")
            if "check" in c.metadata.get("tags", [])
        ]
        assert checks and all("assert" in c.source for c in checks)

    def test_cells_are_small(self, source):
        for cell in cells(source, "code"):
            lines = [line for line in cell.source.splitlines() if line]
            # Imports are folded.
            assert len(lines) <= 25 or cell.id == "imports"
            assert max(map(len, lines)) <= 78, cell.id

    def test_no_measured_number_is_typed(self, source):
        for cell in cells(source, "markdown"):
            lines = cell.source.splitlines()
            for before, line in zip(["", *lines], lines, strict=False):
                typed = re.search(r"\d\.\d+ ?(%|ms|MB|dB)(?!\w)", line)
                assert not typed or "aper" in before + line, line


# What runs torch's quantized kernels, by the names that chapters use.
KERNELS = re.compile(
    r"\b(torch_eager|eager_layers|eager_settings|saturation|exercises|"
    r"strategies\.(build|naive|folded|quantized)|factors\.build|"
    r"lab\.(build|measure|evaluate|record|times|shipped))\b"
)


def test_who_needs_torchs_eager_kernels_says_so():
    """Where there are none, the others run, and these have pages."""
    for path in CHAPTERS:
        code = "\n".join(c.source for c in cells(path, "code"))
        needs = unexecuted_chapters.needs(path)
        assert set(needs) <= set(parameters.NEEDS)
        assert ("eager kernels" in needs) == bool(KERNELS.search(code)), path


def test_functions_are_defined_once():
    defined = [
        name
        for path in CHAPTERS
        for cell in cells(path, "code")
        for name in re.findall(r"^def (\w+)", cell.source, re.M)
    ]
    assert len(defined) == len(set(defined))


def test_equations_named_in_the_code_are_in_the_book():
    text = "".join(
        c.source for path in CHAPTERS for c in cells(path, "markdown")
    )
    named = {
        (module.name, label)
        for module in (ROOT / "ptq").rglob("*.py")
        for label in re.findall(r"\((eq-[\w-]+)\)", module.read_text())
    }
    assert len(named) > 10
    assert [pair for pair in named if f"({pair[1]})" not in text] == []


def test_paper_preset_is_what_the_chapters_default_to():
    defaults = pipeline.defaults(CHAPTERS[0])
    assert pipeline.preset("paper").items() <= defaults.items()
    assert pipeline.preset("quick").keys() == pipeline.preset("paper").keys()


def test_readme_shows_the_reference():
    text = (ROOT / "README.md").read_text()
    assert frontpage.readme_block() in text


def test_the_front_page_shows_the_record_where_torch_has_no_kernels(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(eager_settings, "available", list)
    monkeypatch.setattr(paths, "figures_folder", lambda run: run / "none")
    paths.write_json(tmp_path / paths.MANIFEST, {"chapters": {}})
    frontpage.write_headline(tmp_path, tmp_path / "out")
    told = (tmp_path / "out" / "headline.md").read_text()
    kept = json.loads((paths.REFERENCE / paths.MANIFEST).read_text())
    assert eager_settings.missing() in told and kept["commit"] in told
    answer = (tmp_path / "out" / "answer.md").read_text()
    assert eager_settings.missing() in answer and "committed" in answer
    drawn = paths.REFERENCE / "frontier.svg"
    shown = tmp_path / "out" / drawn.name
    assert shown.read_bytes() == drawn.read_bytes()


@pytest.mark.parametrize("name", NAMES)
def test_chapter_runs(quick_run, name):
    notebook = nbformat.read(quick_run / "chapters" / f"{name}.ipynb", 4)
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            assert output.output_type != "error"
            assert output.get("name") != "stderr", output.get("text")


def test_run_keeps_what_the_book_is_made_of(quick_run):
    records = {p.stem for p in (quick_run / "records").glob("*.json")}
    assert records == set(strategies.STRATEGIES)
    frame = comparison.load_comparison(quick_run)
    assert set(frame.index) == records and (frame.n == 300).all()
    manifest = json.loads((quick_run / "manifest.json").read_text())
    assert manifest["chapters"].keys() == set(NAMES)
    for kind in ("svg", "png"):
        assert (quick_run / "figures" / f"frontier.{kind}").stat().st_size


def test_same_parameters_give_the_same_predictions(quick_run, tmp_path):
    names = ("naive", "folded", "bias_correction")
    values = pipeline.preset("quick") | {"run_dir": str(tmp_path)}
    source = excerpt(tmp_path, *names)
    pipeline.execute(source, values, tmp_path / "done" / source.name)
    for name in names:
        first, second = (
            (folder / "records" / f"{name}.npy").read_bytes()
            for folder in (quick_run, tmp_path)
        )
        assert first == second


def test_second_run_leaves_chapters_alone(quick_run, capsys):
    # Times of all files that pages are made of: none is to be built again.
    files = [quick_run / "manifest.json", *quick_run.glob("chapters/*")]
    before = [path.stat().st_mtime_ns for path in files]
    pipeline.run(str(quick_run), pipeline.preset("quick"))
    assert [path.stat().st_mtime_ns for path in files] == before
    assert capsys.readouterr().out.count("up to date") == len(NAMES)


def test_plain_papermill_from_another_folder(cifar, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    values = pipeline.preset("quick") | {"seed": 7, "calibration_images": 40}
    done = papermill.execute_notebook(
        str(excerpt(tmp_path, "naive")),
        "out.ipynb",
        parameters=values | {"run_dir": str(tmp_path / "run")},
        progress_bar=False,
    )
    assert done.metadata.papermill.exception is None
    stored = json.loads((tmp_path / "run/records/naive.json").read_text())
    assert stored["parameters"]["calibration_images"] == 40


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"calibration_images": 0}, "expected 1 to 45000"),
        ({"calibration_image": 5}, "calibration_image: no such parameter"),
    ],
)
def test_chapter_refuses_bad_parameters_itself(given, told, cifar, tmp_path):
    with pytest.raises(papermill.PapermillExecutionError) as caught:
        papermill.execute_notebook(
            str(excerpt(tmp_path)),
            str(tmp_path / "out.ipynb"),
            parameters=given | {"run_dir": str(tmp_path)},
            progress_bar=False,
        )
    assert told in str(caught.value)


CROWDED = """
from pathlib import Path
from ptq.book import show, style
for name in "ab":  # a caption each
    made, _ = style.figure()
    show.figure(made, Path("drawn"), name, "None.", "Nothing.")
"""
FAILURES = {
    "raises": ("boom = 1 / 0", "ZeroDivisionError"),
    "exits": ("import sys; sys.exit(0)", "did not run"),
    "dies": ("import os; os._exit(1)", "01_bad.ipynb failed"),
    "crowds": (CROWDED, "displays fig-a and more"),
}


@pytest.mark.parametrize("kind", FAILURES)
def test_failing_chapter_stops_the_run(tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)
    code, message = FAILURES[kind]
    notebook = nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_code_cell("x = 1"),
            nbformat.v4.new_code_cell(code),
            nbformat.v4.new_code_cell("y = 2"),
        ]
    )
    source, target = tmp_path / "01_bad.ipynb", tmp_path / "out/01_bad.ipynb"
    nbformat.write(notebook, source)
    with pytest.raises(execution.ChapterFailed, match=message):
        pipeline.execute(source, {}, target)
    assert not target.exists()
    assert [p.name for p in target.parent.iterdir()] == [
        "01_bad.failed.ipynb"
    ]


@pytest.mark.parametrize("name", NAMES)
def test_page_is_whole(site, name):
    page = soup(site / "book" / "chapters" / f"{name}.html")
    assert page.h1
    assert not page.select(".system-message, .problematic, .traceback")
    source = (ROOT / "notebooks" / f"{name}.ipynb").read_text()
    # A chapter names its figures and tables, whoever draws them.
    figures, tables = (
        page.select("article figure"),
        page.select("article table:has(caption)"),
    )
    assert len(figures) >= source.count("figures.show(")
    assert len(tables) >= source.count("show.table(")
    for found in (*figures, *tables):
        label = found.get("id") or found.find_parent(id=True)["id"]
        assert f'\\"{label.partition("-")[2]}\\"' in source, label
    for image in page.select("article figure img"):
        assert len(image["alt"]) > 20
        assert (site / "book/chapters" / image["src"]).resolve().exists()


def test_front_page_has_the_table(site):
    table = soup(site / "book" / "intro.html").select_one("article table")
    rows = [row.td.get_text(strip=True) for row in table.select("tbody tr")]
    assert rows == [s.label for s in strategies.STRATEGIES.values()]


class Outline(HTMLParser):
    """Ids of a page, and the address of each link, image and script."""

    ADDRESSES = {"a": "href", "img": "src", "script": "src"}

    def __init__(self, path):
        super().__init__()
        self.ids, self.links = set(), []
        self.feed(path.read_text(encoding="utf8"))

    def handle_starttag(self, tag, attributes):
        for name, value in attributes:
            if name == "id":
                self.ids.add(value)
            elif name == self.ADDRESSES.get(tag):
                self.links.append(urlparse(value))


def test_no_dead_internal_link(site):
    # Not a whole tree: most of 200 pages serve this test alone.
    pages = {
        p: Outline(p)
        for p in site.rglob("*.html")
        if "_static" not in p.parts
    }
    assert sum(len(outline.links) for outline in pages.values()) > 10_000
    dead = []
    for page, outline in pages.items():
        for url in outline.links:
            if url.scheme or url.netloc:
                continue
            target = (page.parent / unquote(url.path)).resolve()
            target = target if url.path else page
            named = target.suffix == ".html" and url.fragment
            if not target.exists() or (
                named and unquote(url.fragment) not in pages[target].ids
            ):
                dead.append((page.name, url.geturl()))
    assert not dead
