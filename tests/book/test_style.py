"""The look of figures: colours told apart, dark inks, error bars."""

import itertools
import re

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from inks import BLINDNESS, THEMES, closest, contrast, lab

from ptq.book import figures, show, style
from ptq.evidence.intervals import Interval
from ptq.experiment.factors import OBSERVERS, SOURCES
from ptq.experiment.strategies import STRATEGIES


@pytest.mark.parametrize("theme", THEMES)
class TestColours:
    @pytest.mark.parametrize("blindness", BLINDNESS)
    @pytest.mark.parametrize(
        ("colours", "least"), [(style.FAMILIES, 15), (style.OBSERVERS, 45)]
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
            for name, colour in (style.FAMILIES | style.OBSERVERS).items()
        }
        found = closest(inks)
        assert found[0] > 15, found

    def test_all_stand_out_from_the_page(self, theme):
        page, ink = THEMES[theme]
        for colour in (
            *style.FAMILIES.values(),
            *style.OBSERVERS.values(),
            *style.SHADES,
            style.BEFORE,
            style.AFTER,
            style.NEUTRAL,
        ):
            assert contrast(ink(colour), page) >= 3, colour
        assert contrast(ink(style.INK), page) > 7

    @pytest.mark.parametrize(
        ("colours", "least"),
        [
            ((style.BEFORE, style.AFTER), 20),
            (style.OBSERVERS.values(), 20),
            (style.SHADES, 9),
        ],
    )
    def test_differ_in_grey(self, theme, colours, least):
        _, ink = THEMES[theme]
        lightness = np.sort([lab(ink(colour))[0] for colour in colours])
        assert np.diff(lightness).min() > least

    def test_shades_stand_out_more_and_more(self, theme):
        page, ink = THEMES[theme]
        found = [contrast(ink(shade), page) for shade in style.SHADES]
        assert found == sorted(found)


def test_no_two_strategies_or_observers_look_alike():
    looks = [tuple(style.look(name).values()) for name in STRATEGIES]
    assert len(set(looks)) == len(STRATEGIES)
    of_observers = [style.observer_look(n)["marker"] for n in OBSERVERS]
    assert len(set(of_observers)) == len(OBSERVERS)
    assert not set(style.OBSERVER_MARKERS) & set(style.MARKERS)


def test_a_fourth_observer_joins_with_its_name(monkeypatch):
    before = {known: style.observer_look(known) for known in OBSERVERS}
    monkeypatch.setitem(OBSERVERS, "percentile", "percentile")
    assert style.observer_look("percentile") not in before.values()
    assert {n: style.observer_look(n) for n in before} == before
    draws = pd.DataFrame(
        itertools.product([*SOURCES][:1], [10, 100], OBSERVERS, [-0.01]),
        columns=["source", "images", "observer", "change"],
    )
    made = figures.designs.bands(draws, 0.005)
    named = [text.get_text() for text in made.legends[0].get_texts()]
    assert named == list(OBSERVERS.values())


@pytest.mark.parametrize("name", ["adaround", "folded_equalized"])
def test_an_eleventh_strategy_joins_with_its_row(monkeypatch, name):
    """A look of its own, and all others keep theirs."""
    before = {known: style.look(known) for known in STRATEGIES}
    monkeypatch.setitem(STRATEGIES, name, STRATEGIES["folded"])
    assert {known: style.look(known) for known in before} == before
    assert style.look(name) not in before.values()
    family = style.colour("folded") if name.startswith("folded") else None
    others = {look["color"] for look in before.values()}
    assert (style.colour(name) in others) == bool(family)
    assert not family or style.colour(name) == family
    changes = pd.DataFrame(dict.fromkeys(STRATEGIES, [0.01, 0.02]))
    means = dict.fromkeys(STRATEGIES, Interval(0.015, 0.01, 0.02))
    labels = {known: f"the {known}" for known in STRATEGIES}
    axis = figures.designs.seeds(changes, means, labels).axes[0]
    assert axis.get_yticklabels()[-1].get_text() == f"the {name}"


def test_drawing_leaves_the_settings_of_matplotlib_alone():
    with mpl.rc_context({"axes.grid": False, "text.color": "#123456"}):
        before = dict(mpl.rcParams)
        made = a_figure()
        assert dict(mpl.rcParams) == before
    assert made.legends[0].get_texts()[0].get_color() == style.INK


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


def test_sheet_trades_every_ink_and_no_other():
    sheet = style.dark_sheet()
    found = dict(re.findall(r"--ptq-(\w+): ([^;]+);", sheet))
    assert found == {k[1:]: night for k, night in style.DARK.items()}
    for ink in style.DARK:
        assert style.variable(ink) == f"var(--ptq-{ink[1:]}, {ink})"


def a_figure():
    """Text, lines, a legend, and photos, which no theme may change."""
    found = {"a": {"x": np.ones(3)}, "b": {"x": np.full(3, 2.0)}}
    made = figures.layers.stacked(
        {k: dict.fromkeys("vwxyz", v["x"]) for k, v in found.items()}, "ms"
    )
    made.axes[0].imshow(
        np.full((4, 4, 3), 34, np.uint8), extent=(0, 1, 0, 1), aspect="auto"
    )
    return made


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    folder = tmp_path_factory.mktemp("figures")
    show.figure(a_figure(), folder, "sample", "A caption.", "An alt text.")
    return folder / "sample.svg"


def test_no_light_ink_is_left_in_the_dark(drawn):
    night = style.dark(drawn.read_text())
    named = (style.INK, style.PAPER, style.SHEET, style.NEUTRAL, style.GRID)
    marks = (style.BAND, style.BEFORE, style.AFTER, *style.SHADES)
    coloured = (*style.FAMILIES.values(), *style.OBSERVERS.values())
    assert {*named, *marks, *coloured} == style.DARK.keys()
    for colour in style.DARK:
        assert not re.search(rf": {colour}\b", night), colour
    assert style.DARK[style.INK] in night


def test_every_text_has_an_ink(drawn):
    """Text without a colour is black, which `dark` cannot see."""
    texts = re.findall(r'<g id="text_\d+">(.*?)</g>', drawn.read_text(), re.S)
    assert texts and all("fill: #" in text for text in texts)


def test_photographs_are_the_same_in_the_dark(drawn):
    photographs = [
        re.findall(r"base64,([^\"]+)", text)
        for text in (drawn.read_text(), style.dark(drawn.read_text()))
    ]
    assert photographs[0] and photographs[0] == photographs[1]


def test_error_bars_reach_the_ends_of_the_interval():
    bars = style.error_bars([Interval(2, 1.5, 4), Interval(1, 1, 1)])
    np.testing.assert_allclose(bars, [[0.5, 0], [2, 0]])
