"""Figures drawn beforehand, and controls that choose one.

Controls are linked to figures in the browser, so that they work in
JupyterLab and, without a kernel or a network, on the pages of the book.
"""

import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from typing import Any

import matplotlib as mpl
from ipywidgets import (
    HTML,
    Dropdown,
    Layout,
    SelectionSlider,
    Stack,
    VBox,
    jslink,
)
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ptq.book.style import DARK, GRID, INK, STYLE, variable

# Removed from an SVG: metadata; fonts, since the page has its own; and the
# style sheet, since it would apply to the whole page.
DROPPED = (
    r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->|"
    r' id="[\w.]+_\d+"|font-family: [^;"]*;? ?'
)
# In inches. Text is as large as that of the page on a wide screen, and
# readable on a phone, where the style sheet scales the figure.
WIDTH = 4.2
LETTERS = STYLE | {"font.size": 9}


@dataclass(frozen=True)
class Choice:
    """One control: its label, and the keys that its options stand for.

    Options with an order make a slider, others a drop-down list; ``start``
    is the key of the option that is set at first.
    """

    label: str
    options: dict[str, Any]
    start: Any
    ordered: bool = False


def explorer(choices: list[Choice], draw: Callable[..., str]) -> VBox:
    """Controls over the figures ``draw(key, ...)``, one key a choice.

    Every combination is drawn now, as HTML; the browser only selects one.
    """
    controls = [_control(choice) for choice in choices]
    stack = _stack(choices, controls, draw, Layout(width="100%"), ())
    stack.add_class("ptq-frames")
    box = VBox([*controls, stack])
    box.add_class("ptq-explorer")
    return box


def _control(choice: Choice):
    kind = SelectionSlider if choice.ordered else Dropdown
    return kind(
        options=list(choice.options),
        index=list(choice.options.values()).index(choice.start),
        description=choice.label,
        style={"description_width": "8em"},
        layout={"width": "100%", "max_width": "30em"},
    )


def _stack(choices, controls, draw, layout, keys: tuple) -> Stack:
    """A stack for the first control, of stacks for those that follow."""
    (choice, *later), (control, *others) = choices, controls
    children = [
        _stack(later, others, draw, layout, (*keys, key))
        if later
        else HTML(draw(*keys, key), layout=layout)
        for key in choice.options.values()
    ]
    stack = Stack(children, selected_index=control.index, layout=layout)
    jslink((control, "index"), (stack, "selected_index"))
    return stack


def panels(
    height: float, rows: int = 1, gap: float = 0.15, **grid
) -> tuple[Figure, list[Axes]]:
    """A figure with few marks and fixed margins: small and quick to draw.

    ``height`` and the ``gap`` between rows are in inches.
    """
    bottom, top = 0.45, height - 0.25
    inner = (top - bottom - (rows - 1) * gap) / rows
    with mpl.rc_context(LETTERS):
        made = Figure(figsize=(WIDTH, height))
        axes = made.subplots(rows, squeeze=False, **grid)
    made.subplots_adjust(
        0.75 / WIDTH, bottom / height, 0.97, top / height, hspace=gap / inner
    )
    for axis in axes.flat:
        axis.tick_params(bottom=False, left=False)
        axis.locator_params(nbins=5)
    return made, list(axes.flat)


def panel(made: Figure, name: str, alt: str, reading: str) -> str:
    """A figure as HTML, above the sentence that explains it.

    ``name`` keeps the ids in this figure different from those of other
    figures on the page; ``alt`` is the text for a screen reader.
    """
    # A number and its unit stay on one line.
    reading = re.sub(r"(?<=\d) (?=%|dB)", "\u00a0", reading)
    return f"<div>{svg(made, name, alt)}<p>{escape(reading)}</p></div>"


def svg(made: Figure, name: str, alt: str) -> str:
    """A figure as SVG in the page's font and the colours of its theme.

    Without ``alt`` it only decorates the words beside it.
    """
    buffer = io.StringIO()
    style = STYLE | {"svg.fonttype": "none", "svg.hashsalt": name}
    with mpl.rc_context(style):
        made.savefig(buffer, format="svg", transparent=True)
    text = buffer.getvalue()
    text = re.sub(DROPPED, "", text[text.index("<svg") :], flags=re.DOTALL)
    text = re.sub(r"\s*\n\s*", " ", text).strip()
    # Only inside tags: the numbers between them are the figure's text.
    text = re.sub(r"<[^>]+>", lambda tag: _rounded(tag[0]), text)
    text = re.sub(r"(stroke|fill): (#[0-9a-f]{6})\b", _inked, text)
    look = "max-width: 100%; height: auto; stroke-linejoin: round"
    role = (
        f'role="img" aria-label="{escape(alt)}"'
        if alt
        else 'aria-hidden="true"'
    )
    head = f'<svg {role} style="{look}" fill="currentColor"'
    return text.replace("<svg", head, 1)


def _inked(found: re.Match) -> str:
    """A colour of the page: that of its text, or a variable of its theme."""
    part, colour = found.groups()
    if colour in ("#000000", INK):
        return f"{part}: currentColor"
    if colour == GRID:  # faint on any background, also without a style sheet
        return f"{part}: currentColor; {part}-opacity: .2"
    return f"{part}: {variable(colour)}" if colour in DARK else found[0]


def _rounded(tag: str) -> str:
    """A tag with its lengths rounded to a tenth of a point."""
    return re.sub(r"-?\d+\.\d{2,}", lambda m: f"{float(m[0]):.1f}", tag)
