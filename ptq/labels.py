"""Names beside points: none covers a point or another name."""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.text import Annotation
from matplotlib.transforms import Bbox

from ptq.figures import INK, NEUTRAL, styled

Place = tuple[float, float]
# In points, 1/72 inch: half a marker, and where a name may stand.
NEAR = 3
DISTANCES = (7, 11, 16, 22, 30, 40, 52, 66, 82, 100, 130, 160)
ANGLES = np.linspace(0, 2 * np.pi, 24, endpoint=False)
# What a place costs, in points of distance that one would rather go.
COVERED, ASTRAY, CROSSED = 1e4, 300, 40


def together(axis: Axes, places: dict[str, Place]) -> list[list[str]]:
    """Names whose points lie on each other, others alone.

    ``places`` are (x, y) in the units of ``axis``, whose limits and layout
    are final. Half a marker apart is on each other.
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
    """A text, its point in pixels, and where it stands for the moment."""

    text: Annotation
    point: np.ndarray
    size: np.ndarray
    box: Bbox | None = None

    @property
    def leader(self) -> np.ndarray:
        """The line from the point to the name, as pixels (20, 2)."""
        end = np.clip(self.point, self.box.min, self.box.max)
        return np.linspace(self.point, end, 20)


@styled
def name_points(
    axis: Axes,
    named: dict[str, Place],
    points: Iterable[Place],
    bars: Iterable[tuple[Place, Place]] = (),
) -> None:
    """Write names beside their points, on no point and on no other name.

    ``named`` gives the point (x, y) of each name, ``points`` all points,
    ``bars`` both ends of lines that names leave free where there is room;
    all in the units of ``axis``. Call it last: names stay where they are.
    """
    axis.set(xlim=axis.get_xlim(), ylim=axis.get_ylim())
    axis.figure.draw_without_rendering()
    pixels = axis.transData.transform
    marks = pixels(list(points))
    ends = pixels(np.array(list(bars)).reshape(-1, 2)).reshape(-1, 2, 2)
    lines = np.linspace(ends[:, 0], ends[:, 1], 60, axis=1)
    names = [_written(axis, *item) for item in named.items()]
    for _ in range(3):  # a name may move once the others have their places
        for name in names:
            others = [n for n in names if n is not name and n.box]
            _put(name, others, marks, lines, axis.bbox)
    scale = 72 / axis.figure.dpi
    for name in names:
        middle = (name.box.min + name.box.max) / 2
        name.text.set_position(scale * (middle - name.point))


def _written(axis: Axes, name: str, place: Place) -> _Name:
    looks = {"color": INK, "fontsize": 8, "ha": "center", "va": "center"}
    line = {"arrowstyle": "-", "color": NEUTRAL, "linewidth": 0.6}
    line |= {"shrinkA": 0, "shrinkB": NEAR}
    text = axis.annotate(
        name, place, (0, 0), textcoords="offset points", arrowprops=line,
        **looks,
    )  # fmt: skip
    box = text.get_window_extent()
    return _Name(text, axis.transData.transform(place), np.array(box.size))


def _put(
    name: _Name,
    others: list[_Name],
    marks: np.ndarray,
    lines: np.ndarray,
    frame: Bbox,
) -> None:
    """Move a name to where it costs least, given where the others are."""
    scale, best, chosen = name.text.figure.dpi / 72, np.inf, None
    for distance, angle in itertools.product(DISTANCES, ANGLES):
        if distance >= best:
            break  # farther names cost more
        away = np.array([np.cos(angle), np.sin(angle)])
        middle = name.point + away * (scale * distance + name.size / 2)
        name.box = Bbox([middle - name.size / 2, middle + name.size / 2])
        cost = distance + _cost(name, others, marks, lines, frame)
        if cost < best:
            best, chosen = cost, name.box
    name.box = chosen


def _cost(
    name: _Name,
    others: list[_Name],
    marks: np.ndarray,
    lines: np.ndarray,
    frame: Bbox,
) -> float:
    """What stands against a place: covering, leading astray, crossing."""
    near = NEAR * name.text.figure.dpi / 72
    box, leader = name.box.padded(near), name.leader
    foreign = marks[np.hypot(*(marks - name.point).T) > near]
    leaders = np.array([other.leader for other in others]).reshape(-1, 20, 2)
    boxes = [other.box for other in others]
    covered = _inside(marks, name.box.padded(2 * near)).sum()
    covered += box.count_overlaps(boxes)
    covered += not (frame.contains(*box.min) and frame.contains(*box.max))
    astray = _meet(leader, foreign, 1.5 * near)
    astray += sum(_inside(leader, other).any() for other in boxes)
    astray += _inside(leaders, box).any(axis=1).sum()
    crossed = _inside(lines, box).any(axis=1).sum()
    crossed += _meet(leader, leaders.reshape(-1, 2), near) > 0
    return COVERED * covered + ASTRAY * astray + CROSSED * crossed


def _meet(line: np.ndarray, cloud: np.ndarray, near: float) -> int:
    """How many pixels (N, 2) of the cloud lie near the line (20, 2)."""
    gaps = np.hypot(*(line[:, None] - cloud).T)
    return (gaps < near).any(axis=1).sum()


def _inside(cloud: np.ndarray, box: Bbox) -> np.ndarray:
    """Which of the pixels (..., N, 2) lie in the box, as (..., N)."""
    return ((cloud > box.min) & (cloud < box.max)).all(axis=-1)
