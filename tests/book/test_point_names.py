"""Names beside points, by the renderer: what they cover and what they say."""

import itertools

import numpy as np
import pytest
from matplotlib.path import Path
from matplotlib.text import Annotation, Text

from ptq import paths
from ptq.book import figures, style
from ptq.book.point_names import name_points, together
from ptq.evidence import time_ratios
from ptq.evidence.intervals import Interval
from ptq.experiment import comparison


@pytest.fixture(scope="module")
def frame():
    return comparison.load_comparison(paths.REFERENCE)


def taken(frame, prefix=""):
    """Real times; those of batch 1 have the prefix "single_"."""
    names = ("milliseconds", "milliseconds_q1", "milliseconds_q3")
    rows = frame[[f"{prefix}{name}" for name in names]]
    return {name: Interval(*row) for name, *row in rows.itertuples()}


@pytest.fixture(scope="module")
def drawn(frame):
    """The frontier of the committed comparison."""
    times = {64: taken(frame), 1: taken(frame, "single_")}
    optimal = {
        batch: time_ratios.pareto(
            {n: found.value for n, found in row.items()},
            frame.change.to_dict(),
        )
        for batch, row in times.items()
    }
    changes = figures.comparison.paired(frame)
    labels = frame.label.to_dict()
    return figures.frontier.frontier(times, changes, optimal, labels)


def an_assignment(frame):
    first = np.arange(len(frame)) < 2
    given = frame.assign(folded=True, frontier=first)
    marked = dict(zip(frame.label, frame.index, strict=True))
    return figures.frontier.drawn_choices(given, marked, 0.001)


def a_crowd(seed):
    """Twelve names among points of which many are close to each other."""
    draw = np.random.default_rng(seed)
    middles = draw.random((4, 2))
    places = middles[draw.integers(0, 4, 12)] + draw.normal(0, 0.02, (12, 2))
    made, axis = style.figure(7.0, 3.4)
    axis.plot(*places.T, "o")
    named = {f"a strategy {i}": tuple(p) for i, p in enumerate(places)}
    name_points(axis, named)
    return made


def names_of(axis):
    return [text for text in axis.texts if isinstance(text, Annotation)]


def points_of(axis):
    """Pixels of every marker (N, 2)."""
    marked = [line for line in axis.lines if line.get_marker() != "None"]
    return np.concatenate(
        [axis.transData.transform(line.get_xydata()) for line in marked]
    )


def line_of(name):
    """Pixels along a name's leader line, as drawn (100, 2)."""
    arrow = name.arrow_patch
    path = arrow.get_transform().transform_path(arrow.get_path())
    return path.interpolated(99).vertices[:100]


def check(made):
    """Nothing on a name, no name out of its panel; how many there are.

    Neither a point, nor another name, nor the line of another name.
    """
    made.set_dpi(200)  # as it is saved, not as it was laid out
    made.draw_without_rendering()
    count = 0
    for axis in made.axes:
        points, panel = points_of(axis), axis.bbox.padded(2)
        names = names_of(axis)
        # The box of the words: an annotation's own holds its line, too.
        boxes = [Text.get_window_extent(name) for name in names]
        for i, box in enumerate(boxes):
            assert not ((points > box.min) & (points < box.max)).all(1).any()
            assert not box.count_overlaps(boxes[:i])
            assert panel.contains(*box.min) and panel.contains(*box.max)
            for name in names[:i] + names[i + 1 :]:
                line = line_of(name)
                crossing = ((line > box.min) & (line < box.max)).all(1)
                assert not crossing.any(), (name, names[i])
        count += len(boxes)
    return count


def test_names_of_the_frontier_cover_nothing(frame, drawn):
    assert check(drawn)
    for axis in drawn.axes:
        words = "\n".join(name.get_text() for name in names_of(axis))
        lines = [line.lstrip("=≈ ") for line in words.split("\n")]
        assert sorted(lines) == sorted(frame.label)


def test_lines_of_the_frontier_do_not_cross(drawn):
    check(drawn)
    for axis in drawn.axes:
        lines = [Path(line_of(name)) for name in names_of(axis)]
        for one, other in itertools.combinations(lines, 2):
            assert not one.intersects_path(other)


def test_names_of_assignments_cover_nothing(frame):
    assert check(an_assignment(frame)) == len(frame)


@pytest.mark.parametrize("seed", range(5))
def test_names_in_a_crowd_cover_nothing(seed):
    assert check(a_crowd(seed)) == 12


def test_one_network_twice_has_one_label(drawn):
    """Naive and the published correction, which are the same network."""
    first, _ = drawn.axes
    found = [t.get_text() for t in names_of(first) if "Naive" in t.get_text()]
    assert found == ["Naive\n= Bias correction as published"]


def test_points_on_each_other_are_found_by_what_is_seen():
    _, axis = style.figure(4, 4)
    axis.set(xlim=(0, 1000), ylim=(0, 1))
    places = {"a": (500, 0.5), "b": (501, 0.5), "c": (500, 0.6)}
    assert together(axis, places) == [["a", "b"], ["c"]]


def test_the_frontier_draws_paired_changes(frame, drawn):
    for axis in drawn.axes:
        ends = {}
        for bars in axis.containers:
            _, (up,) = (c.get_segments() for c in bars.lines[2])
            ends[float(bars.lines[0].get_ydata()[0])] = up[:, 1].tolist()
        for row in frame.iloc[1:].itertuples():
            known = [100 * row.change_low, 100 * row.change_high]
            assert ends[100 * row.change] == pytest.approx(known, abs=0.03)
        # FP32 is what others are compared with, and no estimate.
        first = axis.containers[0].lines[2][1].get_segments()[0]
        assert first[:, 1].tolist() == [0, 0]
        levels = {
            line.get_label(): float(line.get_ydata()[0])
            for line in axis.lines
            if len(set(line.get_ydata())) == 1
        }
        assert (
            levels.items()
            >= {"as FP32": 0, "a loss of 0.5 points": -0.5}.items()
        )
