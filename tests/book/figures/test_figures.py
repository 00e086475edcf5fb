"""What figures show of their data, and that it is seen."""

import re

import nbformat
import numpy as np
import pandas as pd
import pytest
import torch
from inks import NIGHT, lab
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from ptq.book import explorers, figures, show, style
from ptq.evidence.intervals import Interval
from ptq.experiment import factors
from ptq.measure import grid_effects


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


@pytest.mark.parametrize("page", [style.PAPER, NIGHT])
@pytest.mark.parametrize(
    "draw",
    [
        figures.confusion.matrix,
        lambda counts: figures.confusion.matrices({"one": counts}),
        lambda counts: figures.confusion.matrices({"one": counts}, True),
        lambda counts: figures.confusion.matrices({"one": -counts}, True),
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
    made = figures.confusion.matrices({"a": none, "b": some}, True)
    words = [[t.get_text() for t in axis.texts] for axis in made.axes[:2]]
    assert words == [["no cell differs"], []]
    made = figures.confusion.matrices({"a": none, "b": none}, True)
    made.draw_without_rendering()


def test_the_largest_change_of_each_network_is_told(tmp_path, capsys):
    labels = np.arange(30) % 10
    first, control, other = (labels.copy() for _ in range(3))
    control[:10:10] = 1  # one 0 is taken for a 1
    other[::10] = 1  # and all three
    figures.confusion.moved(
        *("moved", {"FP32": first, "same": control, "A": other}, labels),
        *("same", tmp_path),
    )
    (told,) = re.findall(
        r"Confusion matrices minus .*", capsys.readouterr().out
    )
    assert "minus FP32's" in told and "in images: A 3;" in told
    assert "in the same network 1." in told
    drawn = (tmp_path / "moved.svg").read_text()
    assert "network A" in drawn and "network same" not in drawn


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
    made = figures.data.images(pixels, ["cat\n→ dog"] * count)
    assert sum(len(axis.images) for axis in made.axes) == count


def test_a_single_weight_is_seen_beside_thousands():
    weight = torch.cat([torch.zeros(20_000), torch.tensor([0.3, 1.0])])
    trial = grid_effects.Trial(
        weight, weight.clamp(max=0.5), 0.5, 0.01, 1, 1, 1
    )
    above = explorers.grids.clipped(trial).axes[0]
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
    made = figures.designs.bands(pd.DataFrame(rows), 0.005)
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
    axis = figures.layers.bars({"one": plain, "other": found}, "noise").axes[
        0
    ]
    bare, bars = axis.containers[0], axis.containers[-1]
    assert [bar.get_height() for bar in bare] == [1, 3]
    assert bare.errorbar is None
    assert [bar.get_height() for bar in bars] == [2, 5]
    (ends,) = bars.errorbar.lines[2]
    spans = [segment[:, 1].tolist() for segment in ends.get_segments()]
    assert spans == [[1.5, 4], [4, 5]]
