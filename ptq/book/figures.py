"""The house style of figures, and how they are saved and shown."""

import base64
import io
import re
from collections.abc import Iterable
from pathlib import Path

import matplotlib as mpl
import numpy as np
from IPython.display import display
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ptq import paths
from ptq.book import captions
from ptq.evidence.intervals import Interval

# Foreground and background by name, so that the dark variant can replace
# them.
INK, PAPER, NEUTRAL, GRID, BAND = (
    "#222222",
    "#ffffff",
    "#666666",
    "#dddddd",
    "#eeeeee",
)
ON_COLOUR = "#fefefe"  # text on strong colour, white in both variants
STYLE = {
    "figure.dpi": 120,
    "savefig.dpi": 200,
    "figure.facecolor": PAPER,
    "savefig.facecolor": PAPER,
    "axes.facecolor": "none",
    "font.size": 10,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "legend.frameon": False,
    "svg.hashsalt": "ptq",
}
# A colour and a marker for each strategy, everywhere. The colours were found
# by search: readers with either colour blindness can distinguish the two
# closest (test_figures.py); in grey the markers differ.
COLOURS = {
    "fp32": "#272727",
    "fp32_folded": "#6a6a6a",
    "fp32_channels_last": "#4a2002",
    "naive": "#c57d00",
    "bias_correction_published": "#c57bbe",
    "bias_correction": "#780b57",
    "folded": "#16458a",
    "folded_fused": "#02728a",
    "mixed_precision_published": "#40a265",
    "mixed_precision_folded": "#ea4341",
}
MARKERS = dict(zip(COLOURS, "os<P^vDXhd", strict=True))
# Two states of one thing: light against dark, also in grey.
BEFORE, AFTER = "#744600", "#5f8ff0"
# The observers: found by the same search, and different from the strategies'
# colours, in grey, too.
OBSERVERS = {
    "minmax": "#101050",
    "moving_average": "#b070f0",
    "histogram": "#903010",
}
# Steps of one quantity, the faintest first.
SHADES = ("#5c80ff", "#295eff", "#0035f0", "#0027b2", "#031863")
# Each colour's replacement on a dark page; the background becomes
# transparent.
DARK = {
    INK: "#e4e4e4",
    PAPER: "none",
    NEUTRAL: "#a3a3a3",
    GRID: "#3d3d3d",
    BAND: "#2e2e2e",
    COLOURS["fp32"]: "#bfbfbf",
    COLOURS["fp32_folded"]: "#6d6d6d",
    COLOURS["fp32_channels_last"]: "#f1d38c",
    COLOURS["naive"]: "#e5b417",
    COLOURS["bias_correction_published"]: "#bf599d",
    COLOURS["bias_correction"]: "#eb8886",
    COLOURS["folded"]: "#4f70d7",
    COLOURS["folded_fused"]: "#52a2c5",
    COLOURS["mixed_precision_published"]: "#bdf2c0",
    COLOURS["mixed_precision_folded"]: "#df6e20",
    BEFORE: "#a0743a",
    AFTER: "#9bb8ff",
    OBSERVERS["minmax"]: "#f0f0d0",
    OBSERVERS["moving_average"]: "#7050d0",
    OBSERVERS["histogram"]: "#f09010",
    SHADES[0]: "#2454ff",
    SHADES[1]: "#4780ff",
    SHADES[2]: "#7fa3ff",
    SHADES[3]: "#b1c6fb",
    SHADES[4]: "#e0e8ff",
}


# Each function that draws: its legend and labels need the style, too.
styled = mpl.rc_context(STYLE)


def figure(
    width: float = 7.0, height: float = 3.4, **grid
) -> tuple[Figure, Axes | np.ndarray]:
    """A figure, and its axes, outside pyplot's global state.

    ``width`` and ``height`` are in inches; ``grid`` is as ``subplots`` of
    matplotlib takes it, so the axes are one, or an array of objects, (n,)
    or (rows, columns). Called by functions that are ``styled``.
    """
    made = Figure(figsize=(width, height), layout="constrained")
    return made, made.subplots(**grid)


def shaded(colour: str, pale: bool) -> dict:
    """How matplotlib fills a bar; a pale one keeps its colour at the edge."""
    return {
        "facecolor": mpl.colors.to_rgba(colour, 0.45 if pale else 1),
        "edgecolor": colour,
        "linewidth": 0.8,
    }


def error_bars(found: Iterable[Interval]) -> np.ndarray:
    """Error bars (2, N) of intervals, as matplotlib's errorbar takes them."""
    return np.array([(f.value - f.low, f.high - f.value) for f in found]).T


def variable(ink: str) -> str:
    """A CSS colour that ``dark_sheet`` replaces; any other stays."""
    return f"var(--ptq-{ink[1:]}, {ink})"


def dark_sheet() -> str:
    """The style sheet that replaces every ``variable`` on a dark page."""
    inks = [f"  --ptq-{ink[1:]}: {traded};" for ink, traded in DARK.items()]
    # When printed, the page is white whatever the theme of the screen.
    head = '@media not print { html[data-theme="dark"] {'
    return "\n".join([head, *inks, "} }", ""])


def dark(svg: str) -> str:
    """The same drawing for a dark page: inks replaced, photographs kept."""
    return re.sub(
        r"(?<=: )#[0-9a-f]{6}\b", lambda ink: DARK.get(ink[0], ink[0]), svg
    )


def show(
    made: Figure, folder: Path, name: str, caption: str, alt: str
) -> None:
    """Save as SVG and PNG in ``folder`` and display with caption and alt.

    ``name`` is the file's stem and, as ``fig-name``, the book's label.
    """
    rendered = {}
    for kind in ("svg", "png"):
        buffer = io.BytesIO()
        extra = {"Date": None} if kind == "svg" else {}
        with mpl.rc_context(STYLE):
            made.savefig(buffer, format=kind, metadata=extra)
        rendered[kind] = buffer.getvalue()
        paths.write_whole(folder / f"{name}.{kind}", rendered[kind])
    facts = {"caption": caption, "alt": alt, "name": f"fig-{name}"}
    bundle = {
        "image/svg+xml": rendered["svg"].decode(),
        "image/png": base64.b64encode(rendered["png"]).decode(),
        "text/plain": alt,
    }
    display(bundle, raw=True, metadata={"ptq": facts})
    captions.caption(facts["name"], caption)
