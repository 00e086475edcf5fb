"""The explorers: in Python, as stored, and in a browser without a kernel."""

import functools
import http.server
import itertools
import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import nbformat
import numpy as np
import pytest
import torch
from ipywidgets import HTML, Dropdown, SelectionSlider, Stack

from ptq import controls, explorers, frames, npm, paths, pipeline, quantizer
from ptq.evidence import Interval

ROOT = paths.REPOSITORY
LIMIT = 1.5e6  # bytes of widget state a page
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium")


def trials():
    """Three widths times three reaches of a random weight."""
    weight = torch.randn(50, generator=torch.Generator().manual_seed(1))
    found = {}
    for bits, reach in itertools.product((2, 4, 8), (50, 80, 100)):
        bound, half = weight.abs().max() * reach / 100, 2 ** (bits - 1)
        grid = quantizer.symmetric_grid(bound, -half, half - 1)
        weight_hat = quantizer.fake_quantize(weight, grid)
        found[bits, reach] = frames.Trial(
            weight, weight_hat, float(bound), float(grid.scale), 7, 2, 10
        )
    return found


def clipping():
    return explorers.clipping(trials(), 8)


def channels():
    values = torch.arange(48.0).reshape(2, 3, 2, 4)
    side = frames.coded("here", values, (1.0, 0), (values, values + 0.1))
    return explorers.channels([side, side], start=1)


def strategies():
    draw = np.random.default_rng(1)
    quantities = [
        frames.Quantity(
            title,
            {
                name: Interval(v, v - 0.1, v + 0.2)
                for name, v in zip(
                    ("fp32", "naive"), draw.random(2), strict=True
                )
            },
        )
        for title in ("time (ms)", "size (MB)", "loss (nats)")
    ]
    return explorers.strategies(quantities, {"fp32": "F", "naive": "N"})


def flips(pictures=400, names="ab"):
    draw = np.random.default_rng(1)
    pixels = torch.from_numpy(
        draw.integers(0, 256, (pictures, 3, 32, 32), dtype=np.uint8)
    )
    labels, reference, *answers = draw.integers(
        0, 10, (2 + len(names), pictures)
    )
    given = dict(zip(names, answers, strict=True))
    return explorers.flips(pixels, labels, reference, given)


def calibration_ranges():
    draw = np.random.default_rng(1)
    return explorers.calibration_ranges(
        {
            layer: {
                n: (-draw.random(5) * n, draw.random(5) * n) for n in (8, 32)
            }
            for layer in ("conv1", "fc1")
        }
    )


EXPLORERS = [clipping, channels, strategies, flips, calibration_ranges]
# Options of the controls, in the order of the page.
SIZES = [[3, 3], [3], [3, 3], [2, 10], [2, 2]]


def leaves(stack):
    """All pictures below a stack."""
    for child in stack.children:
        yield from leaves(child) if isinstance(child, Stack) else [child]


@pytest.mark.parametrize(
    ("make", "sizes"), list(zip(EXPLORERS, SIZES, strict=True))
)
def test_every_state_has_a_picture_of_its_own(make, sizes):
    box = make()
    inputs = [
        w for w in box.children if isinstance(w, Dropdown | SelectionSlider)
    ]
    assert [len(w.options) for w in inputs] == sizes
    stack = next(w for w in box.children if isinstance(w, Stack))
    pictures = [leaf.value for leaf in leaves(stack)]
    assert len(pictures) == len(set(pictures)) == np.prod(sizes)
    for level in inputs:
        assert level.description and stack.selected_index == level.index
        stack = stack.children[level.index]
    assert isinstance(stack, HTML)


def test_pictures_show_what_was_asked():
    box = clipping()
    found = trials()
    for row, bits in zip(box.children[2].children, (2, 4, 8), strict=True):
        for leaf, reach in zip(row.children, (50, 80, 100), strict=True):
            assert f"{bits} bits" in leaf.value
            assert f"to {reach} %" in leaf.value
            assert f"SQNR {found[bits, reach].sqnr:.1f} dB" in leaf.value


def test_flips_counts_and_names():
    pixels = torch.zeros(4, 3, 32, 32, dtype=torch.uint8)
    labels = np.array([3, 3, 3, 5])
    box = explorers.flips(
        pixels, labels, np.array([3, 3, 0, 5]), {"x": np.array([5, 3, 3, 5])}
    )
    cat = box.children[2].children[0].children[3].value
    assert "cat: lost 1 of 3" in cat and "cat: gained 1 of 3" in cat
    assert "cat → dog" in cat and "airplane → cat" in cat
    assert 'alt="Test picture 0"' in cat and 'alt="Test picture 2"' in cat


def test_unbeaten_strategies_are_named_by_the_direction_of_both_axes():
    def quantity(title, a, b, **kind):
        values = {"fp32": Interval(a, a, a), "naive": Interval(b, b, b)}
        return frames.Quantity(title, values, **kind)

    good = quantity("accuracy", 0.9, 0.8, high_is_good=True)
    bad = quantity("time", 1.0, 2.0)
    box = explorers.strategies(
        [good, bad], {"fp32": "Float", "naive": "Naive"}
    )
    for row in box.children[2].children:
        for leaf in row.children:
            assert leaf.value.endswith("better than: Float.</p></div>")


def test_clipping_share_counts_what_lies_beyond_the_grid():
    weight = torch.tensor([0.0, 1.0, 3.0])
    weight_hat = torch.tensor([0.0, 2.0, 0.0])
    trial = frames.Trial(weight, weight_hat, 2.0, 1.0, 0, 0, 1)
    assert trial.clipping_share == pytest.approx(9 / 10)


def test_coded_counts_codes_and_compares_channels():
    values = torch.tensor([0.0, 0.5, 1.0, 1.0]).reshape(1, 1, 2, 2)
    silent = torch.zeros_like(values)
    both = torch.cat([values, silent], 1)
    side = frames.coded("x", both, (0.5, 1), (both, both * 1.1))
    assert side.counts.tolist() == [[0, 1, 1, 2], [0, 4, 0, 0]]
    assert side.used.tolist() == [3, 1]
    assert side.sqnr[0] == pytest.approx(20) and np.isnan(side.sqnr[1])


def test_svg_takes_ink_and_letters_from_the_page():
    made = frames.clipped(trials()[2, 50])
    text = controls.svg(made, "a", 'say "this"')
    assert 'aria-label="say &quot;this&quot;"' in text
    for foreign in ("<style", "font-family", "#000000", "#ffffff"):
        assert foreign not in text
    for tick in (">0.01<", ">100<", ">share of the noise (%)<"):
        assert tick in text
    # Parts of two pictures on one page must not be taken for each other.
    other = controls.svg(frames.clipped(trials()[2, 50]), "b", "")
    names = [
        {part.split('"')[0] for part in t.split(' id="')[1:]}
        for t in (text, other)
    ]
    assert names[0] and not names[0] & names[1]


def test_the_fullest_page_stays_light():
    box = flips(pictures=10_000, names="abcdefgh")
    size = sum(len(leaf.value) for leaf in leaves(box.children[2]))
    # Noise is the worst that a picture can be.
    assert size < 2 * LIMIT


@pytest.mark.parametrize("name", [p.stem for p in pipeline.chapters()])
def test_state_of_an_executed_chapter_is_small(name):
    path = pipeline.PUBLISHED / f"{name}.ipynb"
    if not path.exists():
        pytest.skip("chapter not executed: python -m ptq run")
    state = nbformat.read(path, 4).metadata.get("widgets", {})
    assert len(json.dumps(state)) < LIMIT


CODE = """
import sys
sys.path.insert(0, {tests!r})
import test_explorers
""".strip()


@pytest.fixture(scope="session")
def executed(tmp_path_factory):
    """A chapter that holds one explorer of each kind, executed twice."""
    cells = [nbformat.v4.new_markdown_cell("# Explorers\n\n$x^2$")]
    code = [CODE.format(tests=str(Path(__file__).parent))]
    code += [f"test_explorers.{make.__name__}()" for make in EXPLORERS]
    for i, text in enumerate(code):
        cell = nbformat.v4.new_code_cell(text, id=f"cell{i}")
        cell.metadata["tags"] = ["explorer"] if i else ["remove-cell"]
        cells.append(cell)
    notebook = nbformat.v4.new_notebook(cells=cells)
    notebook.metadata["kernelspec"] = {"name": "python3"}
    folder = tmp_path_factory.mktemp("explorers")
    source = folder / "01_explorers.ipynb"
    source.write_text(nbformat.writes(notebook))
    copies = [folder / "first.ipynb", folder / "second.ipynb"]
    for copy in copies:
        pipeline.execute(source, {}, copy, quiet=True)
    return copies


def test_two_executions_write_the_same_bytes(executed):
    first, second = (path.read_text() for path in executed)
    assert "widget-state" in first and first == second


@pytest.fixture(scope="session")
def page(executed, tmp_path_factory):
    """Address of a site that has the executed chapter as its only page."""
    root = tmp_path_factory.mktemp("site")
    shutil.copy(ROOT / "_config.yml", root)
    for folder in ("_ext", "_static"):
        shutil.copytree(ROOT / "book" / folder, root / "book" / folder)
    shutil.copy(ROOT / "book" / "references.bib", root / "book")
    shutil.copy(executed[0], root / "index.ipynb")
    (root / "_toc.yml").write_text("format: jb-book\nroot: index\n")
    if not (root / "book" / "_static" / npm.HTML_MANAGER.script).exists():
        pytest.skip("html-manager not fetched: python -m ptq assets")
    built = subprocess.run(
        [
            Path(sys.executable).parent / "jupyter-book",
            *("build", ".", "--all", "-W", "--keep-going"),
        ],
        cwd=root,
        env=os.environ | {"NO_COLOR": "1"},
        capture_output=True,
        text=True,
    )
    assert built.returncode == 0, built.stdout[-3000:] + built.stderr[-3000:]
    yield from serve(root / "_build" / "html", "index.html")


def serve(folder, path):
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    handler = functools.partial(Quiet, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/{path}"
    server.shutdown()


@pytest.fixture(scope="session")
def chromium():
    api = pytest.importorskip("playwright.sync_api")
    if not CHROMIUM:
        pytest.skip("no chromium on this machine")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--disable-gpu", "--disable-quic"],
        )
        yield browser
        browser.close()


@pytest.fixture
def tab(chromium, page):
    """The page, open; whatever it asked for elsewhere or complained of."""
    tab = chromium.new_page(viewport={"width": 1280, "height": 900})
    told = []
    site = page.rsplit("/", 1)[0]
    tab.on("pageerror", lambda e: told.append(str(e)))
    tab.on("console", lambda m: m.type == "error" and told.append(m.text))
    tab.on(
        "request",
        lambda r: (
            r.url.startswith((site, "data:", "blob:")) or told.append(r.url)
        ),
    )
    tab.goto(page)
    tab.wait_for_selector(".ptq-explorer .noUi-handle[aria-valuetext]")
    yield tab
    tab.close()
    assert not told


def boxes(tab):
    return tab.locator(".ptq-explorer").all()


def seen(box):
    """The picture and its sentence, as a reader has them."""
    assert box.locator(".ptq-frames .widget-html:visible").count() == 1
    return box.locator(".ptq-frames .widget-html:visible").inner_html()


def step(tab, control, key):
    """Move a control by the keyboard alone."""
    control.focus()
    tab.keyboard.press(key)
    tab.wait_for_timeout(50)


def inputs(box):
    return box.locator(".noUi-handle, select").all()


@pytest.mark.parametrize(
    "which", range(len(EXPLORERS)), ids=lambda i: EXPLORERS[i].__name__
)
def test_the_keyboard_reaches_every_state(tab, which):
    box, sizes = boxes(tab)[which], SIZES[which]
    moved = inputs(box)
    assert len(moved) == len(sizes)
    for control in moved:
        step(tab, control, "Home")
    states = set()
    for _ in range(sizes[0]):
        for _ in range(sizes[1] if len(sizes) > 1 else 1):
            states.add(seen(box))
            step(tab, moved[-1], "ArrowRight")
        if len(sizes) > 1:
            step(tab, moved[-1], "Home")
            step(tab, moved[0], "ArrowRight")
    assert len(states) == np.prod(sizes)


def is_list(control):
    return control.evaluate("e => e.tagName") == "SELECT"


def test_the_mouse_moves_a_slider_and_opens_a_list(tab):
    slider, chosen = boxes(tab)[0], boxes(tab)[3]
    before = seen(slider), seen(chosen)
    track = slider.locator(".noUi-target").first.bounding_box()
    tab.mouse.click(track["x"] + 3, track["y"] + track["height"] / 2)
    chosen.locator("select").first.select_option(index=1)
    tab.wait_for_timeout(100)
    after = seen(slider), seen(chosen)
    assert before[0] != after[0] and before[1] != after[1]


def test_controls_have_names_and_values(tab):
    for box in boxes(tab):
        for control in inputs(box):
            if is_list(control):
                name = "e => e.labels[0].textContent"
                assert control.evaluate(name)
            else:
                assert control.get_attribute("aria-label")
                assert control.get_attribute("aria-valuetext")
    handle = boxes(tab)[0].locator(".noUi-handle").nth(1)
    assert handle.get_attribute("aria-label") == "grid reaches"
    assert handle.get_attribute("aria-valuetext") == "100 %"
    step(tab, handle, "ArrowLeft")
    assert handle.get_attribute("aria-valuetext") == "80 %"
    assert tab.locator(".ptq-frames[aria-live=polite]").count() == len(
        EXPLORERS
    )


def test_focus_is_visible(tab):
    for control in inputs(boxes(tab)[0]) + inputs(boxes(tab)[2]):
        control.focus()
        outline = "e => parseFloat(getComputedStyle(e).outlineWidth)"
        assert control.evaluate(outline) >= 2


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_letters_stand_out(tab, theme):
    tab.evaluate(f"document.documentElement.dataset.theme = '{theme}'")
    text = tab.locator(".ptq-explorer svg text").first
    ink = text.evaluate(
        f"e => {{ {LUMINANCE} return of(getComputedStyle(e).fill) }}"
    )
    paper = tab.evaluate(
        f"() => {{ {LUMINANCE} return of(getComputedStyle(document.body)"
        ".backgroundColor) }"
    )
    panel = tab.locator(".ptq-explorer, .widget-subarea").evaluate_all(
        "all => all.map(e => getComputedStyle(e).backgroundColor)"
    )
    assert set(panel) == {"rgba(0, 0, 0, 0)"}
    high, low = max(ink, paper), min(ink, paper)
    assert (high + 0.05) / (low + 0.05) > 4.5


LUMINANCE = """
const of = c => c.match(/[\\d.]+/g).slice(0, 3).map(v => v / 255)
  .map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
  .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
""".replace("\n", " ")


def test_fits_a_telephone(tab):
    tab.set_viewport_size({"width": 390, "height": 800})
    tab.wait_for_timeout(200)
    for box in boxes(tab):
        place = box.bounding_box()
        assert place["x"] >= 0 and place["x"] + place["width"] <= 390
        for part in box.locator("svg, img, select, .noUi-target").all():
            inside = part.bounding_box()
            if inside:
                assert inside["x"] + inside["width"] <= 390
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390
