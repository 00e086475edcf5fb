"""The pages that are written as text: what they claim is so."""

import ast
import inspect
import json
import pkgutil
import re
from importlib import import_module

import nbformat
import pandas as pd
import pytest
import torch
import yaml

import ptq
from ptq import paths
from ptq.book.pages import engine_pages, frontpage, run_pages
from ptq.cli import commands
from ptq.evidence.paired_tests import holm
from ptq.networks import recipes
from ptq.running import pipeline, sweep_plan

BOOK = paths.REPOSITORY / "book"
MODULES = sorted(
    module.name.removeprefix("ptq.")
    for module in pkgutil.walk_packages(ptq.__path__, "ptq.")
    if not module.ispkg and module.name != "ptq.__main__"
)


def fenced(page, language):
    """Content of a page's fences of one language."""
    text = (BOOK / page).read_text()
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.M | re.S)


def test_front_page_and_recipe_begin_with_what_to_run():
    recipe = markdown(pipeline.SOURCES / "17_own_network.ipynb")
    for page in ((BOOK / "intro.md").read_text(), recipe[0]):
        shown = page.index("```bash")
        assert len(page[:shown].split()) < 100
        assert "lone the repository" in page or "lone that repo" in page
    # Limits stand before any code of it.
    assert "## Can it take yours?" in recipe[2]


def test_no_sentence_of_the_front_page_is_a_list_of_links():
    text = (BOOK / "intro.md").read_text()
    sentences = re.split(r"\.\s|\n\n|\n[-|\d]", text)
    links = [len(re.findall(r"\{(?:ref|doc)\}`", s)) for s in sentences]
    assert sum(links) > 20 and max(links) <= 3


def test_sweeps_of_the_page_have_the_points_that_it_counts(tmp_path):
    page = (BOOK / "sweeps.md").read_text()
    counted = [int(a) * int(b) for a, b in re.findall(r"(\d) × (\d)", page)]
    found = []
    for text in fenced("sweeps.md", "yaml"):
        (tmp_path / "seeds.yml").write_text(text)
        found.append(len(sweep_plan.read(tmp_path / "seeds.yml").points))
    assert found == counted == [10, 4]


def test_table_of_the_page_is_read(tmp_path, monkeypatch, capsys):
    (tmp_path / "runs" / "seeds").mkdir(parents=True)
    table = {
        "strategy": ["fp32", "naive", "naive"],
        "accuracy": [1, 0.5, 0.7],
    }
    frame = pd.DataFrame(table | {"calibration_images": 8})
    frame.to_parquet(tmp_path / "runs" / "seeds" / "table.parquet")
    monkeypatch.chdir(tmp_path)
    (code,) = fenced("sweeps.md", "python")
    exec(code, {})
    assert re.search(r"^8 +0\.6 ", capsys.readouterr().out, re.M)


def test_readme_and_page_show_the_same_cluster():
    readme = (paths.REPOSITORY / "README.md").read_text()
    shown = re.findall(r"^salloc .*?(?=^```)", readme, re.M | re.S)
    page = (BOOK / "sweeps.md").read_text().replace("seeds.yml", "FILE.yml")
    assert len(shown) == 1 and shown[0] in page


def templates():
    """Each text in the package's source, … where a value is filled in."""
    for path in (paths.REPOSITORY / "ptq").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr):
                yield "".join(
                    part.value if isinstance(part, ast.Constant) else "…"
                    for part in node.values
                )
            elif isinstance(node, ast.Constant):
                yield str(node.value)


def test_quoted_messages_are_those_of_the_source():
    quoted = "".join(fenced("troubleshooting.md", "text")).splitlines()
    known = "\n".join(templates())
    assert len(quoted) > 20
    assert [line for line in quoted if line not in known] == []


def documented():
    """Modules in the order of the API pages, bottom to top."""
    toc = re.findall(r"<(\w+)>`:", (BOOK / "api" / "index.md").read_text())
    for page in toc:
        text = (BOOK / "api" / f"{page}.md").read_text()
        yield from re.findall(
            r"\.\. (?:automodule|click):: ptq\.([\w.]+)", text
        )


def test_api_lists_every_module_below_those_that_import_it():
    order = list(documented())
    assert sorted(order) == MODULES
    for name in order[:-1]:
        source = inspect.getsource(import_module(f"ptq.{name}"))
        for node in ast.parse(source).body:
            if not isinstance(node, ast.ImportFrom):
                continue
            of = node.module.removeprefix("ptq").lstrip(".")
            found = [of]
            for alias in node.names:
                found.append(f"{of}.{alias.name}".lstrip("."))
            for other in set(found) & set(order):
                assert order.index(other) < order.index(name), name


def identifiers(source):
    """Names in code: neither its comments nor its texts."""
    for node in ast.walk(ast.parse(source)):
        for field in ("id", "attr", "arg", "name"):
            yield getattr(node, field, None)


def test_identifiers_of_the_notation_exist():
    rows = (BOOK / "notation.md").read_text()
    package = (paths.REPOSITORY / "ptq").rglob("*.py")
    sources = [path.read_text() for path in package]
    for chapter in pipeline.chapters():
        cells = nbformat.read(chapter, as_version=4).cells
        sources += [c.source for c in cells if c.cell_type == "code"]
    known = {name for source in sources for name in identifiers(source)}
    table = [line for line in rows.splitlines() if line.count(" | ") == 3]
    cells = [line.split(" | ")[1] for line in table]
    named = re.findall(r"(?<!py:func})`([\w.]+)`", " ".join(cells))
    assert len(named) > 20
    for identifier in named:
        for part in identifier.split("."):
            assert not part or part in known, identifier


def markdown(source):
    """The texts of a chapter's cells."""
    notebook = nbformat.read(source, as_version=4)
    return [c.source for c in notebook.cells if c.cell_type == "markdown"]


def test_notation_names_every_equation():
    rows = (BOOK / "notation.md").read_text()
    texts = "".join("".join(markdown(c)) for c in pipeline.chapters())
    defined = re.findall(r"^\$\$ \((eq-[\w-]+)\)", texts, re.M)
    assert len(defined) > 20
    assert [e for e in defined if f"{{eq}}`{e}`" not in rows] == []


def linked(text):
    """The glossary's terms that a text links, as the glossary has them."""
    roles = re.findall(r"\{term\}`(?:[^`<]*<)?([^`<>]+)>?`", text)
    links = re.findall(r"\(<?\.\./book/glossary\.md#([^>)]+)", text)
    return {*roles, *links}


def test_terms_are_linked():
    glossary = (BOOK / "glossary.md").read_text().partition("{glossary}")[2]
    terms = set(re.findall(r"^(\w.*)\n  \S", glossary, re.M))
    assert len(terms) > 40
    used = set()
    for source in pipeline.chapters():
        here = linked("".join(markdown(source)))
        assert len(here) >= 3, source.stem
        used |= here
    for page in BOOK.glob("*.md"):
        if page.name != "glossary.md":
            used |= linked(page.read_text())
    assert terms - used == set()
    assert used - terms == set()


def called(text, start):
    """What follows ``start`` in a page's code, in line or in fences."""
    parts = text.split("```")
    spans = re.findall(r"`([^`]+)`", "\n".join(parts[::2]))
    lines = parts[1::2] + [" ".join(span.split()) for span in spans]
    named = rf"^{start} ([a-z][\w-]*)"
    return set(re.findall(named, "\n".join(lines), re.M))


def test_commands_named_on_the_pages_exist():
    pages = [paths.REPOSITORY / "README.md", *BOOK.rglob("*.md")]
    text = "\n".join(page.read_text() for page in pages)
    named = called(text, "python -m ptq")
    assert {"run", "assets"} <= named <= set(commands.main.commands)
    makefile = (paths.REPOSITORY / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.M))
    named = called(text, "make")
    assert {"book", "site"} <= named <= targets


@pytest.mark.parametrize(
    "source", pipeline.chapters(), ids=lambda path: path.stem
)
def test_chapter_opening(source):
    texts = markdown(source)
    opening = texts[1]
    assert "able to" in opening and "#sec-run-times)" in opening
    stated = re.search(r"(\d+) minutes\s+to\s+read", opening)
    minutes = len(" ".join(texts).split()) / 200
    # Formulas, figures and code take time as well.
    assert minutes < int(stated[1]) < 3 * minutes


def manifest():
    chapter = {
        "commit": "0123456789ab",
        "seconds": 90.4,
        "finished": "2026-05-04T03:02:01Z",
    }
    return {
        "parameters": {"seed": 42, "run_dir": "/somewhere"},
        "machine": dict.fromkeys(run_pages.FACTS, "a fact")
        | {"features": ["avx2", "vnni"]},
        "versions": pipeline.versions(),
        "chapters": {
            "01_a": chapter,
            "02_b": chapter | {"seconds": 29.6, "commit": "ba9876543210"},
        },
    }


def test_machine_page_says_what_the_manifest_says(tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    (run / "manifest.json").write_text(json.dumps(manifest()))
    run_pages.write(run, tmp_path / "out")
    page = (tmp_path / "out" / "machine.md").read_text()
    for found in ("90.4", "2.0 minutes", "avx2, vnni", torch.__version__[:6]):
        assert found in page
    assert "/somewhere" not in page
    seconds = json.loads((tmp_path / "out" / "seconds.json").read_text())
    assert seconds == {"01_a": 90.4, "02_b": 29.6}


def test_a_busy_machine_is_told_with_its_batches():
    """The same sign twice is no sign twice, without what it is of."""
    same = "a network against itself came out as 0.9 times as fast"
    frame = pd.DataFrame({"batch": [64] * 2, "busy": [same] * 2})
    frame = frame.assign(single_batch=1, single_busy="no")
    assert frontpage._busy(frame) == f"batch 64: {same}"
    frame["single_busy"] = same
    assert frontpage._busy(frame) == f"batch 64: {same}; batch 1: {same}"


def test_the_page_of_engines_tells_each_other_prediction():
    row = {
        "network": "ResNet8",
        "file": "default",
        "engine": "onnx_runtime",
        "version": "onnxruntime 1.0",
        "images": 10_000,
        "other predictions": 2,
        "logits equal (%)": 99.5,
        "worst operation (%)": 99.97,
        "largest difference": 1,
        "causes": "near tie (7)",
        "why they flip": "best two 0 codes apart, near tie (2)",
        "change (points)": "-0.10 (-0.40 to +0.20), non-inferior",
    }
    same = row | {"network": "other", "other predictions": 0}
    page = engine_pages.parity_page(pd.DataFrame([row, same]))
    for told in (
        *("10,000 test images", "for 2 at most", "more than 1,", "99.97 %"),
        "- ResNet8, default, onnx runtime: a tie of the two best exact",
    ):
        assert told in page
    assert page.count("\n- ") == 1
    # A row without other predictions has causes, too: those are of codes.
    page = engine_pages.parity_page(pd.DataFrame([same]))
    assert "has its cause" not in page
    assert "why codes differ (how many)" in page and "| causes" not in page


def test_what_was_compared_on_all_images_is_told():
    """Which networks; and of no other prediction nothing is said."""
    tie = "best two 0 codes apart, near tie (2)"
    row = {
        "network": "ResNet8",
        "images": 10_000,
        "other predictions": 2,
        "why they flip": tie,
    }
    same = {"other predictions": 0, "why they flip": "-"}
    told = engine_pages.all_images(pd.DataFrame([row, row | same]))
    assert told == (
        "For the default file of ResNet8 all 10,000 were compared once: at "
        "most 2 differ, ties in the exact logits"
    )
    pair = [row | same, row | same | {"network": "other"}]
    told = engine_pages.all_images(pd.DataFrame(pair))
    assert told.startswith("For the default file of ResNet8 and other all")
    far = {"why they flip": f"best two 1 codes apart, near tie (1), {tie}"}
    told = engine_pages.all_images(pd.DataFrame([row | far]))
    assert told.endswith("at most 2 differ")
    every = [
        row | same | {"network": network.label}
        for network in recipes.NETWORKS.values()
    ]
    told = engine_pages.all_images(pd.DataFrame(every))
    assert told.startswith(
        "For the default file of all four networks all 10,000"
    )
    assert told.endswith("none differs")


def test_the_committed_parity_holds_what_engines_promise():
    found = pd.read_csv(engine_pages.PARITY)
    assert (found["images"] == 10_000).all()
    default = found["file"] == "default"
    assert (found.loc[default, "other predictions"] <= 5).all()
    assert (found["other predictions"] <= 10).all()
    assert (found["largest difference"] <= 1).all()
    assert (found["worst operation (%)"] >= 99).all()
    assert not found["causes"].str.contains("unknown").any()


# Where an interval says that ours is below, and so does the page.
BELOW = {
    "brevitas": set(),
    "nncf": {
        ("tuned compact CNN", "fc1: 2", "NNCF, GPTQ"),
    },
}


@pytest.mark.parametrize("name", BELOW)
def test_the_committed_rows_beside_a_tool_are_of_one_set_of_images(name):
    """What stands beside a row is what the counts say, ours being one."""
    found, below = pd.read_csv(paths.REFERENCE / f"{name}.csv"), set()
    beside = found[~found.method.str.startswith("ours")]
    values = beside.p.str.removeprefix("below ").astype(float)
    adjusted = dict(zip(beside.index, holm([*values]), strict=True))
    for case, rows in found.groupby(["network", "bits"]):
        own = rows.method.str.startswith("ours")
        mine, others = rows[own], rows[~own]
        assert len(mine) == 1 and len(others) > 0, case
        assert (rows.n == mine.n.item()).all()
        for row in others.itertuples():
            more = 100 * (mine.correct.item() - row.correct) / row.n
            told = [float(x) for x in re.findall(r"[+-][\d.]+", row[7])]
            assert told[0] == pytest.approx(more, abs=0.006)
            assert told[1] <= told[0] <= told[2]
            if told[2] < 0:
                below.add((*case, row.method))
                assert adjusted[row.Index] > 0.05
    assert below == BELOW[name]


def test_the_page_of_engines_tells_where_ours_is_slower():
    row = {
        "session": "first",
        "network": "ResNet8",
        "conditions": "batch 1, one thread",
        "recommended": "openvino on one thread",
        "ms": "0.2",
        "best peer": "NNCF into OpenVINO",
        "peer's ms": "0.18",
        "ratio": "0.90 (0.84–0.96)",
        "verdict": "slower",
        "images": 1000,
        "change (points)": "-0.30 (-1.06 to +0.46), no difference shown",
        "features": "avx2",
        "versions": "torch 1",
    }
    busy = row | {"session": "second", "verdict": "not judged"}
    busy |= {"ratio": "1.01", "images": 10_000, "change (points)": "-0.20"}
    page = engine_pages.bar_page(pd.DataFrame([row, busy]))
    for told in (
        *("In 2 sessions, 1 of 2", "faster in 0 and slower in 1"),
        "Slower: ResNet8, batch 1, one thread, with 0.90 (0.84–0.96) times",
        "| 0.90 (0.84–0.96), 1.01 | 1 slower, 1 not judged |",
        "ResNet8 -0.20 (10,000 images).",
        *("their quotient may differ", "picked after the fact"),
    ):
        assert told in page
    page = engine_pages.bar_page(pd.DataFrame([busy]))
    assert "Slower:" not in page and "0 of 1" in page


def test_citation_is_that_of_the_citation_file():
    cff = yaml.safe_load((paths.REPOSITORY / "CITATION.cff").read_text())
    text = run_pages.citation(manifest())
    for found in (cff["title"], cff["version"], "2026", "0123456789ab"):
        assert text.count(found) >= 2
    assert text.count("{") == text.count("}")


def test_start_notebook_lists_the_chapters_and_runs(cifar, tmp_path):
    start = pipeline.SOURCES / "start.ipynb"
    texts = nbformat.read(start, as_version=4).cells[0].source
    linked = re.findall(r"\((\w+)\.ipynb\)", texts)
    assert linked == [path.stem for path in pipeline.chapters()]
    pipeline.execute(start, {}, tmp_path / start.name, quiet=True)
    assert start not in pipeline.chapters()
