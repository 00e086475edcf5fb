"""Confusion matrices: counts, and their changes."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import (
    FuncNorm,
    LinearSegmentedColormap,
    PowerNorm,
    to_rgba,
)
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ptq.book import show, style
from ptq.data.cifar10 import CLASSES
from ptq.evidence import paired_tests

# A count of zero is transparent; the smallest other count is visible on a
# light and on a dark page.
MORE, FEWER, LEAST = "#3b6fd4", "#c86400", 0.25
MIDDLE = {"ha": "center", "va": "center", "fontsize": 8}


def _fading(*places: tuple[float, tuple]) -> LinearSegmentedColormap:
    """Colours at places from 0 to 1, and nothing for what is masked."""
    return LinearSegmentedColormap.from_list("fading", places, bad=(0,) * 4)


COUNTS = _fading((0, to_rgba(MORE, LEAST)), (1, to_rgba(MORE)))
CHANGES = _fading(
    (0, to_rgba(FEWER)),
    (0.5, to_rgba(FEWER, LEAST)),
    (0.5, to_rgba(MORE, LEAST)),
    (1, to_rgba(MORE)),
)


@style.styled
def matrix(counts: np.ndarray) -> Figure:
    """One confusion matrix, whole counts (10, 10), with its numbers."""
    made, axis = style.figure(5.2, 4.6)
    axis.imshow(np.ma.masked_equal(counts, 0), cmap=COUNTS, vmin=0)
    for (row, column), value in np.ndenumerate(counts):
        # Below this value, dark text has more contrast on either page.
        strong = value > 0.8 * counts.max()
        colour = style.ON_COLOUR if strong else style.INK
        axis.text(column, row, str(value), color=colour, **MIDDLE)
    axis.set_xticks(range(10), CLASSES, rotation=90, fontsize=9)
    axis.set_yticks(range(10), CLASSES, fontsize=9)
    axis.set(xlabel="predicted class", ylabel="true class")
    axis.grid(False)
    return made


def _root(change: np.ndarray) -> np.ndarray:
    return np.sign(change) * np.sqrt(np.abs(change))


def _square(root: np.ndarray) -> np.ndarray:
    return np.sign(root) * root**2


@style.styled
def matrices(
    counts: dict[str, np.ndarray], difference: bool = False
) -> Figure:
    """Confusion matrices as colours, or their differences, three a row.

    ``counts`` holds whole counts (10, 10) by title, of either sign with
    ``difference``. Colours go by the root of a count; a cell of zero has
    none, and a panel without any says so.
    """
    rows = -(-len(counts) // 3)
    panels = {"nrows": rows, "ncols": 3, "squeeze": False}
    made, axes = style.figure(7.0, 1.9 * rows + 0.9, **panels)
    # The square root makes a few images visible beside hundreds.
    limit = max(1, *(abs(change).max() for change in counts.values()))
    looks = {"cmap": COUNTS, "norm": PowerNorm(0.5, 0, limit)}
    what, nothing = "images", "no image"
    if difference:
        norm = FuncNorm((_root, _square), -limit, limit)
        looks = {"cmap": CHANGES, "norm": norm}
        what, nothing = "images, difference from FP32", "no cell differs"
    for axis in axes.flat[len(counts) :]:
        axis.axis("off")
    for i, (title, found) in enumerate(counts.items()):
        axis = axes.flat[i]
        shown = axis.imshow(np.ma.masked_equal(found, 0), **looks)
        if not found.any():
            axis.text(4.5, 4.5, nothing, **MIDDLE)
        _frame(axis, title, i % 3 == 0, i + 3 >= len(counts))
    made.supxlabel("predicted class", fontsize=9)
    made.supylabel("true class", fontsize=9)
    whole = MaxNLocator(4, integer=True)
    bar = made.colorbar(
        shown, ax=axes, shrink=0.5 if rows > 1 else 1, aspect=30, ticks=whole
    )
    bar.set_label(what, fontsize=9)
    bar.ax.tick_params(labelsize=8)
    return made


def moved(
    name: str,
    predictions: dict[str, np.ndarray],
    labels: np.ndarray,
    control: str,
    folder: Path,
) -> None:
    """Show what networks predict more or less often than the first of them.

    ``predictions``, by network, and ``labels`` are integers (N,). The
    ``control``, one of the networks, stands in the caption only.
    """
    counts = {
        title: paired_tests.confusion(found, labels, classes=len(CLASSES))
        for title, found in predictions.items()
    }
    reference, *others = counts
    changes = {title: counts[title] - counts[reference] for title in others}
    told = {title: int(abs(c).max()) for title, c in changes.items()}
    kept = told.pop(control)
    show.figure(
        matrices({f"network {n}": changes[n] for n in told}, difference=True),
        folder,
        name,
        f"Confusion matrices minus {reference}'s, every cell that differs in "
        "colour, by the root of the change. Largest change of a cell, in "
        f"images: {', '.join(f'{n} {most}' for n, most in told.items())}; "
        f"in the {control} network {kept}.",
        "Three matrices of ten by ten classes: how many more images of a "
        f"true class than by {reference} get a predicted class. That of "
        "network A is strongly coloured, the others are paler.",
    )


def _frame(axis: Axes, title: str, first: bool, last: bool) -> None:
    """Names of the classes at the first of a row and the last of a column."""
    across, down = CLASSES if last else [], CLASSES if first else []
    axis.set_xticks(range(len(across)), across, rotation=90, fontsize=7)
    axis.set_yticks(range(len(down)), down, fontsize=7)
    axis.set_title(title, fontsize=8)
    axis.grid(False)


def commonest(
    name: str, folder: Path, found: np.ndarray, labels: np.ndarray
) -> None:
    """Show how often each class, integers (N,), is taken for which."""
    counts = paired_tests.confusion(found, labels, classes=len(CLASSES))
    right = counts.diagonal()
    wrong = counts - np.diag(right)
    true, taken = np.unravel_index(wrong.argmax(), wrong.shape)
    show.figure(
        matrix(counts),
        folder,
        name,
        f"The commonest mistake: {wrong.max()} images of class "
        f"{CLASSES[true]} are taken for {CLASSES[taken]}.",
        "A ten by ten matrix of counts, true class by predicted class. The "
        f"diagonal, {right.min()} to {right.max()}, dominates.",
    )
