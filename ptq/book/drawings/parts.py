"""Boxes, arrows and words, of which the drawings of ideas are made.

A sheet is measured in inches from its lower left corner, so that a place on
it can be compared with the size of letters, 9 points if nothing else is said.
"""

from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch
from matplotlib.text import Text

from ptq.book.style import AFTER, BEFORE, INK, NEUTRAL

# What a telephone shows without making it smaller (media.css).
WIDTH = 5.0
# What computes in integers, what in floats, and what is neither.
INTEGER, FLOAT, PLAIN = AFTER, BEFORE, NEUTRAL
# A box is pale, so that its words are read: see test_drawings.py.
FILL = 0.3
ROUNDING = 0.05  # of corners, in inches

Point = tuple[float, float]


def sheet(height: float, width: float = WIDTH) -> tuple[Figure, Axes]:
    """A blank figure of so many inches, without axes. For ``styled`` ones."""
    made = Figure(figsize=(width, height))
    axis = made.add_axes((0, 0, 1, 1))
    axis.set(xlim=(0, width), ylim=(0, height))
    axis.axis("off")
    return made, axis


@dataclass(frozen=True)
class Box:
    """Where a box is, in inches, and where arrows meet it."""

    x: float
    y: float
    width: float
    height: float

    @property
    def left(self) -> Point:
        """The middle of the left side."""
        return self.x - self.width / 2, self.y

    @property
    def right(self) -> Point:
        """The middle of the right side."""
        return self.x + self.width / 2, self.y

    @property
    def top(self) -> Point:
        """The middle of the upper side."""
        return self.x, self.y + self.height / 2

    @property
    def bottom(self) -> Point:
        """The middle of the lower side."""
        return self.x, self.y - self.height / 2


def box(
    axis: Axes,
    place: Point,
    size: Point,
    text: str,
    colour: str = PLAIN,
    **look,
) -> Box:
    """A box around its centre ``place``, (width, height), with words in it.

    Places and sizes are in inches; ``look`` is that of ``words``.
    """
    found = Box(*place, *size)
    axis.add_patch(
        FancyBboxPatch(
            (found.left[0], found.bottom[1]),
            *size,
            f"round,pad=0,rounding_size={ROUNDING}",
            facecolor=to_rgba(colour, FILL),
            edgecolor=colour,
            linewidth=1,
        )
    )
    words(axis, place, text, **look)
    return found


def arrow(
    axis: Axes,
    start: Point,
    end: Point,
    bend: tuple[int, int] | None = None,
) -> None:
    """An arrow between two places, in inches.

    With a ``bend`` it has a corner: it leaves and arrives in those two
    directions, in degrees.
    """
    line = {"arrowstyle": "-|>", "color": INK, "linewidth": 1}
    line |= {"shrinkA": 0, "shrinkB": 0, "mutation_scale": 9}
    if bend:
        path = "angle,angleA={},angleB={},rad=4".format(*bend)
        line["connectionstyle"] = path
    axis.annotate("", end, start, arrowprops=line)


def words(
    axis: Axes, place: Point, text: str, points: float = 9, **look
) -> Text:
    """Words at a place, in inches; in the middle of it unless told."""
    look = {"ha": "center", "va": "center", "linespacing": 1.25} | look
    return axis.text(*place, text, fontsize=points, **look)


def rounding(axis: Axes, place: tuple[float, float]) -> None:
    """A diamond where integers round values to a grid."""
    axis.plot(*place, "D", color=INTEGER, markersize=5)


def number(value: float, digits: int = 0) -> str:
    """A number with a true minus sign and commas."""
    return f"{value:,.{digits}f}".replace("-", "\u2212")
