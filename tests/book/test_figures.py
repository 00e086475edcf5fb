"""The look of figures: colours told apart, dark inks, error bars."""

import itertools
import re

import matplotlib as mpl
import nbformat
import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from ptq.book import (
    confusion_plots,
    design_plots,
    explorer_drawings,
    figures,
    plots,
    show,
)
from ptq.evidence.intervals import Interval
from ptq.experiment import factors
from ptq.measure import grid_effects

NIGHT = "#121212"  # the theme's dark page
# How linear RGB looks without long, middle or short cones: Machado, Oliveira
# and Fernandes (2009), severity 1.
BLINDNESS = {
    "none": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
TO_XYZ = np.array(
    [
        [0.4124, 0.3576, 0.1805],
        [0.2126, 0.7152, 0.0722],
        [0.0193, 0.1192, 0.9505],
    ]
)


def linear(colour):
    parts = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(
        parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4
    )


def lab(colour, blindness="none"):
    """CIELAB (L*, a*, b*) of a colour as somebody sees it."""
    seen = np.clip(np.array(BLINDNESS[blindness]) @ linear(colour), 0, 1)
    xyz = TO_XYZ @ seen / [0.9505, 1, 1.089]
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array(
        [116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])]
    )


def contrast(one, other):
    """WCAG's contrast of two colours, 1 to 21."""
    light = sorted((TO_XYZ @ linear(c))[1] for c in (one, other))
    return (light[1] + 0.05) / (light[0] + 0.05)


THEMES = {
    "light": (figures.PAPER, lambda colour: colour),
    "dark": (NIGHT, lambda colour: figures.DARK[colour]),
}


def closest(colours, blindness="none"):
    """How far the two closest of these are apart, and their names."""
    seen = {name: lab(c, blindness) for name, c in colours.items()}
    return min(
        (np.linalg.norm(seen[a] - seen[b]), a, b)
        for a, b in itertools.combinations(seen, 2)
    )


@pytest.mark.parametrize("theme", THEMES)
class TestColours:
    @pytest.mark.parametrize("blindness", BLINDNESS)
    @pytest.mark.parametrize(
        ("colours", "least"), [(figures.COLOURS, 15), (figures.OBSERVERS, 45)]
    )
    def test_are_told_apart(self, theme, blindness, colours, least):
        _, ink = THEMES[theme]
        inks = {name: ink(colour) for name, colour in colours.items()}
        found = closest(inks, blindness)
        assert found[0] > least, found

    def test_no_observer_looks_like_a_strategy(self, theme):
        _, ink = THEMES[theme]
        inks = {
            name: ink(colour)
            for name, colour in (figures.COLOURS | figures.OBSERVERS).items()
        }
        found = closest(inks)
        assert found[0] > 15, found

    def test_all_stand_out_from_the_page(self, theme):
        page, ink = THEMES[theme]
        for colour in (
            *figures.COLOURS.values(),
            *figures.OBSERVERS.values(),
            *figures.SHADES,
            figures.BEFORE,
            figures.AFTER,
            figures.NEUTRAL,
        ):
            assert contrast(ink(colour), page) >= 3, colour
        assert contrast(ink(figures.INK), page) > 7

    @pytest.mark.parametrize(
        ("colours", "least"),
        [
            ((figures.BEFORE, figures.AFTER), 20),
            (figures.OBSERVERS.values(), 20),
            (figures.SHADES, 9),
        ],
    )
    def test_differ_in_grey(self, theme, colours, least):
        _, ink = THEMES[theme]
        lightness = np.sort([lab(ink(colour))[0] for colour in colours])
        assert np.diff(lightness).min() > least

    def test_shades_stand_out_more_and_more(self, theme):
        page, ink = THEMES[theme]
        found = [contrast(ink(shade), page) for shade in figures.SHADES]
        assert found == sorted(found)


def test_markers_differ():
    of_observers = {m for _, m in design_plots.OBSERVER_STYLES.values()}
    every = {*figures.MARKERS.values(), *of_observers}
    assert len(every) == len(figures.COLOURS) + len(figures.OBSERVERS)


def on_page(made, page):
    """The pixels (H, W, 3) of a figure over the page that shows through."""
    made.patch.set_alpha(0)
    made.canvas.draw()
    pixels = np.asarray(made.canvas.buffer_rgba()) / 255
    alpha, under = (
        pixels[..., 3:],
        [int(page[i : i + 2], 16) for i in (1, 3, 5)],
    )
    return 255 * alpha * pixels[..., :3] + (1 - alpha) * under


def seen_cells(made, page):
    """How far each cell of the first panel is from the page, in CIELAB."""
    FigureCanvasAgg(made)
    pixels, axis = on_page(made, page), made.axes[0]
    apart = np.zeros((10, 10))
    for row, column in np.ndindex(10, 10):
        x, y = axis.transData.transform((column + 0.3, row + 0.3))
        found = pixels[round(len(pixels) - y), round(x)].astype(int)
        colour = "#" + "".join(f"{part:02x}" for part in found)
        apart[row, column] = np.linalg.norm(lab(colour) - lab(page))
    return apart


@pytest.mark.parametrize("page", [figures.PAPER, NIGHT])
@pytest.mark.parametrize(
    "draw",
    [
        confusion_plots.confusion,
        lambda counts: confusion_plots.confusions({"one": counts}),
        lambda counts: confusion_plots.confusions({"one": counts}, True),
        lambda counts: confusion_plots.confusions({"one": -counts}, True),
    ],
    ids=["one matrix", "counts", "more", "fewer"],
)
def test_every_count_is_seen_and_only_counts(draw, page):
    """A tenth of the largest plainly, the smallest at all, zero not."""
    counts = np.zeros((10, 10), int)
    counts[0, 0], counts[3, 4], counts[7, 2] = 100, 10, 1
    apart = seen_cells(draw(counts), page)
    assert apart[3, 4] > 10 and apart[0, 0] > apart[3, 4] > 1.05 * apart[7, 2]
    assert apart[7, 2] > 8
    assert (apart[counts == 0] < 2).all()


def test_a_panel_without_changes_says_so():
    none, some = np.zeros((10, 10), int), np.eye(10, dtype=int)
    made = confusion_plots.confusions({"a": none, "b": some}, True)
    words = [[t.get_text() for t in axis.texts] for axis in made.axes[:2]]
    assert words == [["no cell differs"], []]
    made = confusion_plots.confusions({"a": none, "b": none}, True)
    made.draw_without_rendering()


def test_drawing_leaves_the_settings_of_matplotlib_alone():
    with mpl.rc_context({"axes.grid": False, "text.color": "#123456"}):
        before = dict(mpl.rcParams)
        made = a_figure()
        assert dict(mpl.rcParams) == before
    assert made.legends[0].get_texts()[0].get_color() == figures.INK


def test_every_text_of_the_book_has_an_ink(quick_run):
    """Drawn outside the house style it would be black, also in the dark."""
    drawings = sorted((quick_run / "figures").glob("*.svg"))
    assert len(drawings) > 20
    for path in drawings:
        texts = re.findall(
            r'<g id="text_\d+">(.*?)</g>', path.read_text(), re.S
        )
        for text in texts:
            assert "fill: #" in text and "fill: #000000" not in text, path


def outputs(quick_run):
    """The data of every output of the executed chapters."""
    for path in sorted((quick_run / "chapters").glob("*.ipynb")):
        for cell in nbformat.read(path, 4).cells:
            for output in cell.get("outputs", []):
                yield output.get("data", {})


def test_no_name_of_the_code_stands_in_figures_and_tables(quick_run):
    """Written in backticks it may."""
    tables = [data.get("text/markdown", "") for data in outputs(quick_run)]
    rows = [
        line
        for table in tables
        if table.startswith(":::{table}")
        for line in table.splitlines()
        if line.startswith("|")
    ]
    drawings = [data.get("image/svg+xml", "") for data in outputs(quick_run)]
    words = [w for d in drawings for w in re.findall(r"<!-- (.*?) -->", d)]
    assert len(rows) > 200 and len(words) > 200
    for text in (*rows, *words):
        # Code, and formulas with their indices.
        plain = re.sub(r"`[^`]*`|\$[^$]+\$", "", text)
        assert not re.search(r"\w_\w", plain), text


def test_nothing_is_cut_at_the_edge_of_a_figure(quick_run):
    drawings = sorted((quick_run / "figures").glob("*.png"))
    assert len(drawings) > 20
    for path in drawings:
        pixels = np.asarray(Image.open(path).convert("RGB")).astype(int)
        edges = [pixels[:2], pixels[-2:], pixels[:, :2], pixels[:, -2:]]
        assert all((edge == 255).all() for edge in edges), path


@pytest.mark.parametrize("count", [0, 1, 12])
def test_there_are_as_many_images_as_given(count):
    """A small test set may have none that changes sides."""
    pixels = torch.zeros(count, 3, 32, 32, dtype=torch.uint8)
    made = plots.images(pixels, ["cat\n→ dog"] * count)
    assert sum(len(axis.images) for axis in made.axes) == count


def test_a_single_weight_is_seen_beside_thousands():
    weight = torch.cat([torch.zeros(20_000), torch.tensor([0.3, 1.0])])
    trial = grid_effects.Trial(
        weight, weight.clamp(max=0.5), 0.5, 0.01, 1, 1, 1
    )
    above = explorer_drawings.clipped(trial).axes[0]
    for drawn in above.patches:
        heights = drawn.get_data().values
        assert heights[heights > 0].min() > above.get_ylim()[0]
        assert heights.max() < above.get_ylim()[1]


def test_every_factor_and_both_levels_have_words():
    assert factors.WORDS.keys() == factors.FACTORS.keys()
    for name, levels in factors.FACTORS.items():
        said = factors.in_words(name)
        assert "_" not in said and " → " in said
        words = said.split(": ")[1].split(" → ")
        for level, word in zip(levels, words, strict=True):
            if isinstance(level, str):
                assert word == factors.OBSERVERS[level]
            elif not isinstance(level, bool):
                assert word == f"{level:,}"
    pair = factors.in_words("fc1_fused × observer")
    assert pair == "ReLU of fc1 × observer"


def test_sheet_trades_every_ink_and_no_other():
    sheet = figures.dark_sheet()
    found = dict(re.findall(r"--ptq-(\w+): ([^;]+);", sheet))
    assert found == {k[1:]: night for k, night in figures.DARK.items()}
    for ink in figures.DARK:
        assert figures.variable(ink) == f"var(--ptq-{ink[1:]}, {ink})"


def a_figure():
    """Text, lines, a legend, and photos, which no theme may change."""
    found = {"a": {"x": np.ones(3)}, "b": {"x": np.full(3, 2.0)}}
    made = plots.stacked(
        {k: dict.fromkeys("vwxyz", v["x"]) for k, v in found.items()}, "ms"
    )
    made.axes[0].imshow(
        np.full((4, 4, 3), 34, np.uint8), extent=(0, 1, 0, 1), aspect="auto"
    )
    return made


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    folder = tmp_path_factory.mktemp("figures")
    figures.show(a_figure(), folder, "sample", "A caption.", "An alt text.")
    return folder / "sample.svg"


def test_no_light_ink_is_left_in_the_dark(drawn):
    night = figures.dark(drawn.read_text())
    named = (figures.INK, figures.PAPER, figures.NEUTRAL, figures.GRID)
    marks = (figures.BAND, figures.BEFORE, figures.AFTER, *figures.SHADES)
    coloured = (*figures.COLOURS.values(), *figures.OBSERVERS.values())
    assert {*named, *marks, *coloured} == figures.DARK.keys()
    for colour in figures.DARK:
        assert not re.search(rf": {colour}\b", night), colour
    assert figures.DARK[figures.INK] in night


def test_every_text_has_an_ink(drawn):
    """Text without a colour is black, which `dark` cannot see."""
    texts = re.findall(r'<g id="text_\d+">(.*?)</g>', drawn.read_text(), re.S)
    assert texts and all("fill: #" in text for text in texts)


def test_photographs_are_the_same_in_the_dark(drawn):
    photographs = [
        re.findall(r"base64,([^\"]+)", text)
        for text in (drawn.read_text(), figures.dark(drawn.read_text()))
    ]
    assert photographs[0] and photographs[0] == photographs[1]


def test_error_bars_reach_the_ends_of_the_interval():
    bars = figures.error_bars([Interval(2, 1.5, 4), Interval(1, 1, 1)])
    np.testing.assert_allclose(bars, [[0.5, 0], [2, 0]])


def change(source, observer):
    """Rows of a table of changes: two draws of each number of images."""
    given = {"source": source, "observer": observer}
    return [
        given | {"images": n, "change": -c / n}
        for n in (8, 1000)
        for c in (1, 2)
    ]


def test_panels_and_lines_stand_in_the_order_of_the_sweep():
    """Whatever the order of the rows."""
    sources = ("one class", "noise", "validation", "training")
    rows = [
        row
        for source in sources
        for observer in ("histogram", "moving_average", "minmax")
        for row in change(source, observer)
    ]
    made = design_plots.bands(pd.DataFrame(rows), 0.005)
    titles = [axis.get_title() for axis in made.axes]
    assert titles == ["training", "validation", "noise", "one class"]
    words = [text.get_text() for text in made.legends[0].get_texts()]
    assert words == ["min-max", "moving average", "histogram"]
    # Half a point is half a point in each panel.
    assert len({axis.get_ylim() for axis in made.axes}) == 1


def test_numbers_stand_right_and_words_left():
    table = show.markdown(
        pd.DataFrame(
            {
                "name": ["7 bits", "eight", "nine"],
                "n": ["≈ 1.2", "−3", "reference"],
                "verdict": ["worse", "better", "2 x"],
            }
        )
    )
    assert table.splitlines()[1] == "| :-- | --: | :-- |"


def test_bars_of_intervals_reach_their_ends_and_plain_ones_have_none():
    plain = {"conv1": 1.0, "conv2": 3.0}
    found = {"conv1": Interval(2, 1.5, 4), "conv2": Interval(5, 4, 5)}
    axis = plots.layer_bars({"one": plain, "other": found}, "noise").axes[0]
    bare, bars = axis.containers[0], axis.containers[-1]
    assert [bar.get_height() for bar in bare] == [1, 3]
    assert bare.errorbar is None
    assert [bar.get_height() for bar in bars] == [2, 5]
    (ends,) = bars.errorbar.lines[2]
    spans = [segment[:, 1].tolist() for segment in ends.get_segments()]
    assert spans == [[1.5, 4], [4, 5]]
