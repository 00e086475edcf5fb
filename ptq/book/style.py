"""The house style of figures: inks, markers, and a dark twin of each."""

import re
from collections.abc import Iterable

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ptq.evidence.intervals import Interval
from ptq.experiment import factors
from ptq.experiment.strategies import STRATEGIES

# Each ink's replacement on a dark page; the background becomes transparent.
DARK: dict[str, str] = {}


def _ink(light: str, dark: str) -> str:
    """The ink of a light page; its replacement is kept beside it."""
    DARK[light] = dark
    return light


INK, PAPER = _ink("#222222", "#e4e4e4"), _ink("#ffffff", "none")
NEUTRAL = _ink("#666666", "#a3a3a3")
GRID, BAND = _ink("#dddddd", "#3d3d3d"), _ink("#eeeeee", "#2e2e2e")
# Behind a name, so that what passes under it does not strike it out.
SHEET = _ink("#fffffe", "#121212")
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
# Strategies of one family share a colour; their markers differ. The colours
# were found by search: readers with either colour blindness can distinguish
# the two closest (test_style.py).
FAMILIES = {
    "fp32": _ink("#272727", "#bfbfbf"),
    "naive": _ink("#c57d00", "#e5b417"),
    "bias_correction": _ink("#780b57", "#eb8886"),
    "folded": _ink("#16458a", "#4f70d7"),
    "mixed_precision": _ink("#40a265", "#bdf2c0"),
    "": _ink("#ea4341", "#df6e20"),  # any other
}
MARKERS = "os<P^vDXhdH8"
# Two states of one thing: light against dark, also in grey.
BEFORE, AFTER = _ink("#744600", "#a0743a"), _ink("#5f8ff0", "#9bb8ff")
# The observers: found by the same search, and different from the strategies'
# colours, in grey, too.
OBSERVERS = {
    "minmax": _ink("#101050", "#f0f0d0"),
    "moving_average": _ink("#b070f0", "#7050d0"),
    "histogram": _ink("#903010", "#f09010"),
}
# No strategy uses these.
OBSERVER_MARKERS = ">p*1"
# Steps of one quantity, the faintest first.
SHADES = (
    _ink("#5c80ff", "#2454ff"),
    _ink("#295eff", "#4780ff"),
    _ink("#0035f0", "#7fa3ff"),
    _ink("#0027b2", "#b1c6fb"),
    _ink("#031863", "#e0e8ff"),
)


# Each function that draws: its legend and labels need the style, too.
styled = mpl.rc_context(STYLE)


def figure(
    width: float = 7.0, height: float = 3.4, **panels
) -> tuple[Figure, Axes | np.ndarray]:
    """A figure, and its axes, outside pyplot's global state.

    ``width`` and ``height`` are in inches; ``panels`` is as ``subplots`` of
    matplotlib takes it, so the axes are one, or an array of objects, (n,)
    or (rows, columns). Called by functions that are ``styled``.
    """
    made = Figure(figsize=(width, height), layout="constrained")
    return made, made.subplots(**panels)


def colour(strategy: str) -> str:
    """The colour of the family that a strategy's name begins with."""
    found = (ink for n, ink in FAMILIES.items() if strategy.startswith(n))
    return next(found)


def look(strategy: str) -> dict[str, str]:
    """Colour and marker of a row of ``STRATEGIES``, for matplotlib.

    The marker goes by the row's place, so that a new last row changes none.
    ValueError for a name without a row.
    """
    marker = MARKERS[list(STRATEGIES).index(strategy) % len(MARKERS)]
    return {"color": colour(strategy), "marker": marker}


def observer_look(name: str) -> dict[str, str]:
    """Colour and marker of an observer, for matplotlib.

    The marker goes by its place in ``factors.OBSERVERS``; one without a
    colour of its own is neutral. ValueError for a name that is not there.
    """
    place = list(factors.OBSERVERS).index(name)
    marker = OBSERVER_MARKERS[place % len(OBSERVER_MARKERS)]
    return {"color": OBSERVERS.get(name, NEUTRAL), "marker": marker}


def shaded(ink: str, pale: bool) -> dict:
    """How matplotlib fills a bar; a pale one keeps its colour at the edge."""
    return {
        "facecolor": mpl.colors.to_rgba(ink, 0.45 if pale else 1),
        "edgecolor": ink,
        "linewidth": 0.8,
    }


def error_bars(found: Iterable[Interval]) -> np.ndarray:
    """Error bars (2, N) of intervals, as matplotlib's errorbar takes them."""
    return np.array([(f.value - f.low, f.high - f.value) for f in found]).T


def marks(axis: Axes, x: Iterable, y: Iterable, **look) -> None:
    """Markers at numbers or at intervals, (N,) each; these get error bars.

    ``look`` is that of matplotlib's errorbar; lines join no markers.
    """
    places, bars = [], {}
    for name, values in (("xerr", list(x)), ("yerr", list(y))):
        if values and isinstance(values[0], Interval):
            bars[name] = error_bars(values)
            values = [found.value for found in values]
        places.append(values)
    axis.errorbar(*places, **bars, **{"linestyle": "none"} | look)


def legend(
    made: Figure, axis: Axes, place: str = "upper center", **look
) -> None:
    """One legend for all panels, outside them: what ``axis`` has labelled."""
    known = axis.get_legend_handles_labels()
    made.legend(*known, loc=f"outside {place}", **look)


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
