"""The explorers: in Python, as stored, and in a browser without a kernel."""

import itertools
import json
import re
import shutil
from collections import Counter
from pathlib import Path

import nbformat
import numpy as np
import pytest
import torch
from browser import Tab, boxes, inputs, is_list, press, seen, serve, settle
from conftest import build, lay_out
from inks import contrast
from ipywidgets import HTML, Dropdown, SelectionSlider, Stack

from ptq.book import explorers, style
from ptq.evidence.intervals import Interval
from ptq.experiment.strategies import STRATEGIES
from ptq.measure import grid_effects
from ptq.quantizer import affine
from ptq.running import pipeline

LIMIT = 1.5e6  # bytes of widget state a page


def trials():
    """Three widths times three reaches of a random weight."""
    weight = torch.randn(50, generator=torch.Generator().manual_seed(1))
    found = {}
    for bits, reach in itertools.product((2, 4, 8), (50, 80, 100)):
        bound, half = weight.abs().max() * reach / 100, 2 ** (bits - 1)
        grid = affine.symmetric_grid(bound, -half, half - 1)
        weight_hat = affine.fake_quantize(weight, grid)
        found[bits, reach] = grid_effects.Trial(
            weight, weight_hat, float(bound), float(grid.scale), 7, 2, 10
        )
    return found


def clipping():
    return explorers.grids.clipping(trials(), 8)


def channels():
    values = torch.arange(48.0).reshape(2, 3, 2, 4)
    side = grid_effects.coded(
        "here", values, (1.0, 0), (values, values + 0.1)
    )
    return explorers.grids.channels([side, side], start=1)


def strategies():
    draw = np.random.default_rng(1)
    quantities = [
        explorers.networks.Quantity(
            title,
            {
                name: Interval(v, v - 0.1, v + 0.2)
                for name in STRATEGIES
                for v in draw.random(1)
            },
        )
        for title in ("time (ms)", "size (MB)", "loss (nats)")
    ]
    labels = {name: f"the {name}" for name in STRATEGIES}
    return explorers.networks.strategies(quantities, labels)


def flips(images=400, names="ab"):
    draw = np.random.default_rng(1)
    pixels = torch.from_numpy(
        draw.integers(0, 256, (images, 3, 32, 32), dtype=np.uint8)
    )
    labels, reference, *found = draw.integers(0, 10, (2 + len(names), images))
    given = dict(zip(names, found, strict=True))
    return explorers.networks.flips(pixels, labels, reference, given)


def calibration_ranges():
    draw = np.random.default_rng(1)
    return explorers.grids.calibration_ranges(
        {
            layer: {
                n: (-draw.random(5) * n, draw.random(5) * n) for n in (8, 32)
            }
            for layer in ("conv1", "fc1")
        }
    )


def asked():
    question = explorers.guesses.Question(
        "How much?", (1, 10, 100), 12.0, " %"
    )
    return explorers.guesses.ask(question, channels())


EXPLORERS = [clipping, channels, strategies, flips, calibration_ranges]
# Options of the controls, in the order of the page.
SIZES = [[3, 3], [3], [3, 3], [2, 10], [2, 2]]


def leaves(stack):
    """All drawings below a stack."""
    for child in stack.children:
        yield from leaves(child) if isinstance(child, Stack) else [child]


@pytest.mark.parametrize(
    ("make", "sizes"), list(zip(EXPLORERS, SIZES, strict=True))
)
def test_every_state_has_a_drawing_of_its_own(make, sizes):
    box = make()
    levels = [
        w for w in box.children if isinstance(w, Dropdown | SelectionSlider)
    ]
    assert [len(w.options) for w in levels] == sizes
    stack = next(w for w in box.children if isinstance(w, Stack))
    drawings = [leaf.value for leaf in leaves(stack)]
    assert len(drawings) == len(set(drawings)) == np.prod(sizes)
    for level in levels:
        assert level.description and stack.selected_index == level.index
        stack = stack.children[level.index]
    assert isinstance(stack, HTML)


def test_drawings_show_what_was_asked():
    box = clipping()
    found = trials()
    for row, bits in zip(box.children[2].children, (2, 4, 8), strict=True):
        for leaf, reach in zip(row.children, (50, 80, 100), strict=True):
            assert f"{bits} bits" in leaf.value
            # A number and its unit stay on one line.
            assert f"to {reach}\u00a0%" in leaf.value
            assert f"SQNR {found[bits, reach].sqnr:.1f}\u00a0dB" in leaf.value


def test_flips_counts_and_names():
    pixels = torch.zeros(4, 3, 32, 32, dtype=torch.uint8)
    labels = np.array([3, 3, 3, 5])
    box = explorers.networks.flips(
        pixels, labels, np.array([3, 3, 0, 5]), {"x": np.array([5, 3, 3, 5])}
    )
    cat = box.children[2].children[0].children[3].value
    assert "cat: lost 1 of 3" in cat and "cat: gained 1 of 3" in cat
    assert "cat → dog" in cat and "airplane → cat" in cat
    for alt in ("cat, test image 0", "cat, test image 2"):
        assert f'alt="{alt}"' in cat


def test_flips_begin_where_most_is_moved():
    reference = np.array([3, 3, 3, 5])
    predictions = {
        "x": np.array([3, 3, 3, 6]),
        "y": np.array([4, 4, 3, 5]),
        "z": reference,
    }
    pixels = torch.zeros(4, 3, 32, 32, dtype=torch.uint8)
    box = explorers.networks.flips(pixels, reference, reference, predictions)
    assert [control.value for control in box.children[:2]] == ["y", "cat"]


def test_strategies_are_named_in_words_beside_their_markers():
    legend = strategies().children[-1].value
    for name in STRATEGIES:
        assert f"</svg> the {name}</span>" in legend
    inks = Counter(map(style.colour, STRATEGIES))
    for colour, members in inks.items():
        assert legend.count(f"fill: {style.variable(colour)}") == members
    # The words say it all to who does not see the markers.
    marks = len(STRATEGIES)
    assert legend.count('<svg aria-hidden="true"') == marks


def test_unbeaten_strategies_are_named_by_the_direction_of_both_axes():
    def quantity(title, a, b, **kind):
        values = {"fp32": Interval(a, a, a), "naive": Interval(b, b, b)}
        return explorers.networks.Quantity(title, values, **kind)

    good = quantity("accuracy", 0.9, 0.8, high_is_good=True)
    bad = quantity("time", 1.0, 2.0)
    box = explorers.networks.strategies(
        [good, bad], {"fp32": "Float", "naive": "Naive"}
    )
    for row in box.children[2].children:
        for leaf in row.children:
            assert "by values alone: Float." in leaf.value


def test_strategies_on_one_point_are_named():
    def quantity(title, *values):
        found = zip(("fp32", "naive", "folded"), values, strict=True)
        return explorers.networks.Quantity(
            title, {n: Interval(v, v, v) for n, v in found}
        )

    labels = {"fp32": "Float", "naive": "Naive", "folded": "Folded"}
    box = explorers.networks.strategies(
        [quantity("size", 1, 1, 2), quantity("time", 3, 3, 3)], labels
    )
    both = [leaf.value for leaf in leaves(box.children[2])]
    assert "On one point: Float and Naive." in both[1]
    assert "On one point: Float, Naive and Folded." in both[3]


def test_svg_takes_ink_and_letters_from_the_page():
    made = explorers.grids.clipped(trials()[2, 50])
    text = explorers.controls.svg(made, "a", 'say "this"')
    assert 'aria-label="say &quot;this&quot;"' in text
    for foreign in ("<style", "font-family", "#000000", "#ffffff"):
        assert foreign not in text
    for tick in (">0.01<", ">1<", ">share of the noise (%)<"):
        assert tick in text
    # Parts of two drawings on one page must not be taken for each other.
    other = explorers.controls.svg(
        explorers.grids.clipped(trials()[2, 50]), "b", ""
    )
    names = [
        {part.split('"')[0] for part in t.split(' id="')[1:]}
        for t in (text, other)
    ]
    assert names[0] and not names[0] & names[1]


def test_the_fullest_page_stays_light():
    box = flips(images=10_000, names="abcdefgh")
    size = sum(len(leaf.value) for leaf in leaves(box.children[2]))
    # Noise is the worst that an image can be.
    assert size < 2 * LIMIT


@pytest.mark.parametrize("name", [p.stem for p in pipeline.chapters()])
def test_state_of_an_executed_chapter_is_small(name, quick_run):
    path = quick_run / "chapters" / f"{name}.ipynb"
    state = nbformat.read(path, 4).metadata.get("widgets", {})
    assert len(json.dumps(state)) < LIMIT


CODE = """
import sys
sys.path[:0] = {tests!r}
import test_explorers
""".strip()


@pytest.fixture(scope="session")
def executed(tmp_path_factory):
    """A chapter that holds one explorer of each kind, executed twice."""
    cells = [nbformat.v4.new_markdown_cell("# Explorers\n\n$x^2$")]
    here = Path(__file__).parent
    code = [CODE.format(tests=[str(here), str(here.parents[1])])]
    shown = [*EXPLORERS, asked]
    code += [f"test_explorers.{make.__name__}()" for make in shown]
    for i, text in enumerate(code):
        cell = nbformat.v4.new_code_cell(text, id=f"cell{i}")
        cell.metadata["tags"] = ["explorer"] if i else ["remove-cell"]
        cells.append(cell)
    notebook = nbformat.v4.new_notebook(cells=cells)
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "P"}
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


@pytest.fixture(scope="module")
def page(executed, assets, tmp_path_factory):
    """Address of a site that has the executed chapter as its only page."""
    if assets:
        pytest.skip(assets)
    root = tmp_path_factory.mktemp("site")
    lay_out(root)
    (root / "_toc.yml").write_text("format: jb-book\nroot: index\n")
    shutil.copy(executed[0], root / "index.ipynb")
    with serve(build(root, "-W", "--keep-going")) as address:
        yield f"{address}/index.html"


@pytest.fixture(scope="module")
def opened(browser, page):
    """The page in a tab that all tests share, as loading takes long."""
    tab = Tab(browser)
    tab.visit(page)
    tab.page.wait_for_selector(".ptq-explorer .noUi-handle[aria-valuetext]")
    return tab


@pytest.fixture
def tab(opened):
    """The page on a wide light screen; its controls stand anywhere.

    It asks for nothing elsewhere and complains of nothing.
    """
    opened.page.emulate_media(media="screen")
    opened.page.set_viewport_size({"width": 1280, "height": 900})
    paper(opened.page, "light")
    yield opened.page
    assert not opened.now.outside and not opened.now.errors


@pytest.mark.parametrize(
    "which", range(len(EXPLORERS)), ids=lambda i: EXPLORERS[i].__name__
)
def test_the_keyboard_reaches_every_state(tab, which):
    box, sizes = boxes(tab)[which], SIZES[which]
    moved = inputs(box)
    assert len(moved) == len(sizes)
    for control in moved:
        press(tab, control, "Home")
    states = set()
    for _ in range(sizes[0]):
        for _ in range(sizes[1] if len(sizes) > 1 else 1):
            states.add(seen(box))
            press(tab, moved[-1], "ArrowRight")
        if len(sizes) > 1:
            press(tab, moved[-1], "Home")
            press(tab, moved[0], "ArrowRight")
    assert len(states) == np.prod(sizes)


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
    press(tab, handle, "End")
    assert handle.get_attribute("aria-valuetext") == "100 %"
    press(tab, handle, "ArrowLeft")
    assert handle.get_attribute("aria-valuetext") == "80 %"
    assert tab.locator(".ptq-frames[aria-live=polite]").count() == len(
        EXPLORERS
    )


def test_focus_is_visible(tab):
    for control in inputs(boxes(tab)[0]) + inputs(boxes(tab)[2]):
        control.focus()
        outline = "e => parseFloat(getComputedStyle(e).outlineWidth)"
        assert control.evaluate(outline) >= 2


# What is drawn in variables: that, and the colour that is seen.
MARKS = """() => {
    const drawn = document.querySelectorAll(".ptq-explorer svg [style]");
    return [...drawn].flatMap(e => ["stroke", "fill"]
        .filter(part => e.style[part].includes("--ptq-"))
        .map(part => [e.style[part], getComputedStyle(e)[part]]));
}"""
THEMES = pytest.mark.parametrize("theme", ["light", "dark"])


def hexadecimal(colour: str) -> str:
    """A computed colour, "rgb(1, 2, 3)", as figures write it."""
    parts = map(int, re.findall(r"\d+", colour))
    return "#" + "".join(f"{part:02x}" for part in parts)


def look(element, what: str) -> str:
    """A colour of an element as the browser shows it."""
    return hexadecimal(element.evaluate(f"e => getComputedStyle(e).{what}"))


def paper(tab, theme: str) -> str:
    """Turn to a theme; the page's colour there."""
    tab.evaluate(f"document.documentElement.dataset.theme = '{theme}'")
    return look(tab.locator("body"), "backgroundColor")


def test_an_explorer_opens_when_the_reader_has_guessed(tab):
    box = boxes(tab)[len(EXPLORERS)]
    (slider,) = inputs(box)
    assert explorers.guesses.PROMPT in box.inner_text()
    assert not box.locator("svg").count() and "12" not in box.inner_text()
    press(tab, slider, "End")
    assert "Your guess: 100 %. Measured: 12 %. Too high." in box.inner_text()
    first = seen(box)
    control = inputs(box)[1]
    press(tab, control, "Home")
    assert seen(box) != first
    # Another guess leaves the explorer as the reader has set it.
    kept = seen(box)
    press(tab, slider, "ArrowLeft")
    assert "Your guess: 10 %" in box.inner_text() and seen(box) == kept
    assert box.locator(".ptq-compared").get_attribute("aria-live")
    press(tab, slider, "Home")
    assert not box.locator("svg").count()


@THEMES
def test_letters_stand_out(tab, theme):
    page = paper(tab, theme)
    text = tab.locator(".ptq-explorer svg text").first
    assert contrast(look(text, "fill"), page) > 4.5
    panel = tab.locator(".ptq-explorer, .widget-subarea").evaluate_all(
        "all => all.map(e => getComputedStyle(e).backgroundColor)"
    )
    assert set(panel) == {"rgba(0, 0, 0, 0)"}


@THEMES
def test_marks_stand_out_in_the_inks_of_the_figures(tab, theme):
    page, used = paper(tab, theme), set()
    for written, seen_as in tab.evaluate(MARKS):
        ink = re.search(r"#[0-9a-f]{6}", written)[0]
        expected = {"light": ink, "dark": style.DARK[ink]}[theme]
        assert hexadecimal(seen_as) == expected
        assert contrast(expected, page) >= 3, ink
        used.add(ink)
    marks = {style.AFTER, style.BEFORE, style.NEUTRAL}
    assert used == marks | set(map(style.colour, STRATEGIES))


def test_paper_has_the_light_inks(tab):
    paper(tab, "dark")
    tab.emulate_media(media="print")
    for written, seen_as in tab.evaluate(MARKS):
        assert hexadecimal(seen_as) in written


@THEMES
def test_handles_and_lists_are_seen(tab, theme):
    """The widgets' own styles would make the one white, the other bare."""
    page = paper(tab, theme)
    handle = tab.locator(".ptq-explorer .noUi-handle").first
    assert contrast(look(handle, "backgroundColor"), page) >= 3
    drop = tab.locator(".ptq-explorer select").first
    assert drop.evaluate("e => getComputedStyle(e).appearance") != "none"


def test_no_drawing_is_framed_in_the_dark(tab):
    paper(tab, "dark")
    seen_as = tab.locator(".ptq-explorer .flips img").first.evaluate(
        "e => [getComputedStyle(e).padding, getComputedStyle(e).filter]"
    )
    assert seen_as == ["0px", "none"]


def test_drawings_use_the_room_of_a_wide_page(tab):
    tab.set_viewport_size({"width": 1280, "height": 900})
    for box in boxes(tab):
        for drawing in box.locator(".ptq-frames svg").all():
            inside = drawing.bounding_box()
            if inside:
                room = box.bounding_box()["width"]
                assert 0.85 * room < inside["width"] <= room


def test_fits_a_telephone(tab):
    tab.set_viewport_size({"width": 390, "height": 800})
    settle(tab)
    for box in boxes(tab):
        place = box.bounding_box()
        assert place["x"] >= 0 and place["x"] + place["width"] <= 390
        for part in box.locator("svg, img, select, .noUi-target").all():
            inside = part.bounding_box()
            if inside:
                assert inside["x"] + inside["width"] <= 390
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390
