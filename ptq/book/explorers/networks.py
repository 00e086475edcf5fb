"""Explorers of strategies: two measures of each, and images that flip."""

import io
from base64 import b64encode
from dataclasses import dataclass
from html import escape

import matplotlib as mpl
import numpy as np
from ipywidgets import HTML, VBox
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from ptq.book import style
from ptq.book.explorers.controls import (
    Choice,
    explorer,
    panel,
    panels,
    svg,
)
from ptq.book.point_names import together
from ptq.book.style import INK, NEUTRAL
from ptq.data import cifar10
from ptq.evidence import time_ratios
from ptq.evidence.intervals import Interval

# How a strategy's marker looks beside its marker in a figure.
EDGE = {"markersize": 7, "markeredgecolor": INK, "markeredgewidth": 0.5}


@dataclass(frozen=True)
class Quantity:
    """One measure of all strategies, with intervals, for an axis.

    ``title`` names it and its unit, which is that of the ``values``.
    """

    title: str
    values: dict[str, Interval]
    high_is_good: bool = False


def strategies(
    quantities: list[Quantity],
    labels: dict[str, str],
    start: tuple[int, int] = (0, 1),
) -> VBox:
    """All strategies by any two measures; ``start`` indexes x and y.

    ``quantities`` have the same strategies, those of ``labels``.
    """

    def draw(x: int, y: int) -> str:
        across, up = quantities[x], quantities[y]
        best = time_ratios.pareto(_signed(across, -1), _signed(up, 1))
        names = ", ".join(labels[name] for name in best)
        alt = f"Scatter of {up.title} over {across.title}."
        made = _against(across, up)
        reading = f"Not beaten on these two, by values alone: {names}."
        reading += _on_one_point(made.axes[0], across, up, labels)
        return panel(made, f"axes{x}-{y}", alt, reading)

    options = {quantity.title: i for i, quantity in enumerate(quantities)}
    box = explorer(
        [
            Choice("across", options, start[0]),
            Choice("up", options, start[1]),
        ],
        draw,
    )
    box.children = (*box.children, HTML(_legend(labels)))
    return box


def _against(x: Quantity, y: Quantity) -> Figure:
    """Strategies by two measures, with the intervals of both.

    ``x`` and ``y`` have the same strategies; a line at 0 where an interval
    holds it.
    """
    made, (axis,) = panels(3.0)
    for name in x.values:
        look = style.look(name) | EDGE | {"elinewidth": 0.8}
        style.marks(axis, [x.values[name]], [y.values[name]], **look)
    for values, line in ((x.values, axis.axvline), (y.values, axis.axhline)):
        if any(found.low < 0 < found.high for found in values.values()):
            line(0, color=NEUTRAL, linewidth=0.8, zorder=0)
    axis.set(xlabel=x.title, ylabel=y.title)
    return made


def _on_one_point(
    axis: Axes,
    across: Quantity,
    up: Quantity,
    labels: dict[str, str],
) -> str:
    """A sentence on the strategies whose points lie on each other."""
    places = {
        name: (found.value, up.values[name].value)
        for name, found in across.values.items()
    }
    groups = [
        f"{', '.join(labels[name] for name in group)} and {labels[last]}"
        for *group, last in together(axis, places)
        if group
    ]
    return f" On one point: {'; '.join(groups)}." if groups else ""


def _legend(labels: dict[str, str]) -> str:
    """The marker of each strategy; words that wrap as the page does."""
    marks = "".join(
        f"<span>{svg(_mark(name), f'mark-{name}', '')} "
        f"{escape(label)}</span> "
        for name, label in labels.items()
    )
    return f'<div class="marks">{marks}</div>'


def _mark(name: str) -> Figure:
    """The marker of a strategy, alone, for a legend in the text."""
    with mpl.rc_context(style.STYLE):
        made = Figure(figsize=(0.16, 0.16))
        axis = made.add_axes((0, 0, 1, 1))
    axis.axis("off")
    axis.plot([0], [0], **style.look(name) | EDGE)
    return made


def _signed(quantity: Quantity, sign: int) -> dict[str, float]:
    """Values that are better when larger (``sign`` 1) or smaller (-1)."""
    sign *= 1 if quantity.high_is_good else -1
    return {name: sign * v.value for name, v in quantity.values.items()}


def flips(
    pixels: Tensor,
    labels: np.ndarray,
    reference: np.ndarray,
    predictions: dict[str, np.ndarray],
    most: int = 5,
) -> VBox:
    """Images that strategies lose and gain against the reference.

    ``pixels`` is uint8 (N, 3, 32, 32); ``labels``, ``reference`` and each of
    the ``predictions`` are classes (N,). Shows up to ``most`` of each kind.
    """

    def draw(strategy: str, label: int) -> str:
        found = predictions[strategy]
        mine = labels == label
        was, now = reference == labels, found == labels
        kinds = {"lost": mine & was & ~now, "gained": mine & ~was & now}
        rows = []
        for kind, chosen in kinds.items():
            shown = [
                _flip(pixels[i], i, labels[i], reference[i], found[i])
                for i in np.flatnonzero(chosen)[:most]
            ]
            head = f"<p>{strategy}, {cifar10.CLASSES[label]}: {kind} "
            head += f"{chosen.sum()} of {mine.sum()}</p>"
            rows.append(head + f'<div class="flips">{"".join(shown)}</div>')
        return "".join(rows)

    classes = {name: i for i, name in enumerate(cifar10.CLASSES)}
    start = _most_moved(labels, reference, predictions)
    return explorer(
        [
            Choice("strategy", {n: n for n in predictions}, start[0]),
            Choice("class", classes, start[1]),
        ],
        draw,
    )


def _most_moved(labels, reference, predictions) -> tuple[str, int]:
    """The strategy and class that lose and gain most images."""
    moved = {}
    for name, found in predictions.items():
        changed = labels[(found == labels) != (reference == labels)]
        counts = np.bincount(changed, minlength=len(cifar10.CLASSES))
        moved |= {(name, label): n for label, n in enumerate(counts)}
    return max(moved, key=moved.get)


def _flip(pixels: Tensor, index: int, *classes: int) -> str:
    """An image above two predictions; ``classes`` begin with the true one."""
    true, was, now = (cifar10.CLASSES[c] for c in classes)
    buffer = io.BytesIO()
    shown = Image.fromarray(pixels.permute(1, 2, 0).numpy())
    # A third of a PNG's bytes; the loss is invisible at this size.
    shown.save(buffer, "webp", quality=85, method=6)
    code = b64encode(buffer.getvalue()).decode()
    look = 'class="dark-light" width="64" height="64"'
    return (
        f'<span><img {look} alt="{true}, test image {index}" '
        f'src="data:image/webp;base64,{code}"><br>{was} → {now}</span>'
    )
