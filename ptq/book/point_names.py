"""Names beside points: none covers a point or another name."""

import itertools
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.text import Annotation

from ptq.book.style import INK, NEUTRAL, SHEET, styled

Place = tuple[float, float]
# What a caption says of names that stand together.
TOGETHER = (
    "A label with several names: their points lie on each other (=: with the "
    "same interval; ≈: nearly)."
)
# In points, 1/72 inch: half a marker, and where a name may stand.
NEAR = 3
DISTANCES = (7, 11, 16, 22, 30, 40, 52, 66, 82, 100, 130, 160)
ANGLES = np.linspace(0, 2 * np.pi, 24, endpoint=False)
# Costs of a place, in points of distance: a move that far costs the same.
PASSES = 4
COVERED, STRUCK, ASTRAY, CROSSED = 1e4, 2e3, 300, 40


def together(axis: Axes, places: dict[str, Place]) -> list[list[str]]:
    """Groups of names whose points coincide; other names alone.

    ``places`` are (x, y) in the units of ``axis``, whose limits and layout
    are final. Points closer than half a marker coincide.
    """
    near = NEAR * axis.figure.dpi / 72
    at = {n: axis.transData.transform(place) for n, place in places.items()}
    groups = []
    for name in places:
        for group in groups:
            if np.hypot(*(at[name] - at[group[0]])) < near:
                group.append(name)
                break
        else:
            groups.append([name])
    return groups


@dataclass
class _Name:
    """A text, its point and size in pixels, and its present box.

    ``box`` (2, 2) has the lower left and the upper right corner.
    """

    text: Annotation
    point: np.ndarray
    size: np.ndarray
    box: np.ndarray | None = None


@styled
def name_points(axis: Axes, named: dict[str, Place]) -> None:
    """Write names beside their points, on no point and on no other name.

    ``named`` gives the point (x, y) of each name in the units of ``axis``.
    Lines and bars stay free where there is room. Call it last: names do not
    move with later changes.
    """
    axis.set(xlim=axis.get_xlim(), ylim=axis.get_ylim())
    axis.figure.draw_without_rendering()
    marks, lines = _drawn(axis)
    names = [_written(axis, *item) for item in named.items()]
    for _ in range(PASSES):  # a name may move after the others
        for name in names:
            others = [n for n in names if n is not name and n.box is not None]
            _put(name, others, marks, lines, axis.bbox.get_points())
    for name in names:
        away = name.box.mean(axis=0) - name.point
        name.text.set_position(72 / axis.figure.dpi * away)


def _drawn(axis: Axes) -> tuple[np.ndarray, np.ndarray]:
    """What names must not cover: markers (N, 2) and lines (L, 60, 2)."""
    marks, corners = [], []
    for line in axis.lines:
        pixels = line.get_transform().transform(line.get_xydata())
        if line.get_marker() != "None":
            marks.extend(pixels)
        if line.get_linestyle() != "None":
            corners.extend(itertools.pairwise(pixels))
    for bars in axis.collections:
        if isinstance(bars, LineCollection):
            pixels = map(bars.get_transform().transform, bars.get_segments())
            for bar in pixels:
                corners.extend(itertools.pairwise(bar))
    ends = np.array(corners).reshape(-1, 2, 2)
    lines = np.linspace(ends[:, 0], ends[:, 1], 60, axis=1)
    return np.array(marks), lines


def _written(axis: Axes, name: str, place: Place) -> _Name:
    looks = {"color": INK, "fontsize": 8, "ha": "center", "va": "center"}
    line = {"arrowstyle": "-", "color": NEUTRAL, "linewidth": 0.6}
    line |= {"shrinkA": 0, "shrinkB": NEAR}
    looks |= {"textcoords": "offset points", "arrowprops": line}
    looks["bbox"] = dict(fc=SHEET, ec="none", pad=0.5, alpha=0.85)
    text = axis.annotate(name, place, (0, 0), **looks)
    size = np.array(text.get_window_extent().size)
    return _Name(text, axis.transData.transform(place), size)


def _put(
    name: _Name,
    others: list[_Name],
    marks: np.ndarray,
    lines: np.ndarray,
    frame: np.ndarray,
) -> None:
    """Move a name to where it costs least, given where the others are."""
    scale = name.text.figure.dpi / 72
    away = np.stack([np.cos(ANGLES), np.sin(ANGLES)], axis=1)
    steps = scale * np.array(DISTANCES)[:, None, None] + name.size / 2
    middles = (name.point + away * steps).reshape(-1, 2)
    boxes = np.stack([middles - name.size / 2, middles + name.size / 2], 1)
    cost = np.repeat(DISTANCES, len(ANGLES)) + _cost(
        name, boxes, others, (marks, lines, frame), NEAR * scale
    )
    name.box = boxes[cost.argmin()]


def _cost(
    name: _Name,
    boxes: np.ndarray,
    others: list[_Name],
    drawn: tuple[np.ndarray, np.ndarray, np.ndarray],
    near: float,
) -> np.ndarray:
    """The cost of each of the boxes (B, 2, 2), as (B,).

    A box costs where it covers something, where a line crosses a name or
    leads to another one, and where it lies on lines.
    """
    marks, lines, frame = drawn
    pad = near * np.array([[-1], [1]])
    leaders = _leaders(name.point, boxes)
    there = np.array([other.box for other in others]).reshape(-1, 2, 2)
    led = [_leaders(n.point, n.box[None])[0] for n in others]
    led = np.array(led).reshape(-1, leaders.shape[1], 2)
    foreign = marks[np.hypot(*(marks - name.point).T) > near]

    covered = _inside(marks, boxes + 2 * pad).sum(axis=1)
    covered += _overlap(boxes + pad, there).sum(axis=1)
    covered += ~_inside(boxes + pad, frame).all(axis=1)
    struck = _inside(leaders[:, None], there[None]).any(axis=2).sum(axis=1)
    struck += _inside(led, (boxes + pad)[:, None]).any(axis=2).sum(axis=1)
    astray = _meet(leaders, foreign, 1.5 * near).sum(axis=1)
    astray += _meet(leaders, led.reshape(-1, 2), near).any(axis=1)
    crossed = _inside(lines, (boxes + pad)[:, None]).any(axis=2).sum(axis=1)
    cost = COVERED * covered + STRUCK * struck
    return cost + ASTRAY * astray + CROSSED * crossed


def _leaders(point: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Lines from a point to the boxes (B, 2, 2), as pixels (B, 16, 2).

    As matplotlib draws them: towards the middle of a box, up to its edge.
    """
    away = boxes.mean(axis=1) - point
    half = (boxes[:, 1] - boxes[:, 0]) / 2
    outside = 1 - half / np.maximum(np.abs(away), 1e-9)
    ends = point + away * np.clip(outside.max(axis=1), 0, 1)[:, None]
    return np.linspace(np.broadcast_to(point, ends.shape), ends, 16, axis=1)


def _meet(lines: np.ndarray, cloud: np.ndarray, near: float) -> np.ndarray:
    """Whether lines (B, P, 2) come near pixels (N, 2), as (B, N)."""
    gaps = np.abs(lines[:, :, None] - cloud)
    return (np.hypot(gaps[..., 0], gaps[..., 1]) < near).any(axis=1)


def _inside(cloud: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Which pixels (..., N, 2) lie in the boxes (..., 2, 2), as (..., N)."""
    low, high = boxes[..., :1, :], boxes[..., 1:, :]
    return ((cloud > low) & (cloud < high)).all(axis=-1)


def _overlap(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Which of the boxes (B, 2, 2) overlap which others (N, 2, 2)."""
    boxes = boxes[:, None]
    apart = (boxes[..., 1, :] < others[:, 0]) | (
        boxes[..., 0, :] > others[:, 1]
    )
    return ~apart.any(axis=-1)
