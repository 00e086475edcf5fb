"""Figures and tables of all strategies side by side."""

from pathlib import Path

import numpy as np
import pandas as pd
from torch import Tensor

from ptq.book import (
    comparison_plots,
    confusion_plots,
    explorer_drawings,
    figures,
    plots,
    show,
)
from ptq.data.cifar10 import CLASSES
from ptq.evidence import paired_tests
from ptq.evidence.intervals import Interval
from ptq.experiment import strategy_rules
from ptq.experiment.results import Record
from ptq.experiment.strategies import STRATEGIES

LABELS = {name: strategy.label for name, strategy in STRATEGIES.items()}


def margin_table(name: str, frame: pd.DataFrame) -> None:
    """Show how many rows get which verdict, by margin."""
    found = strategy_rules.verdicts_by_margin(frame, strategy_rules.MARGINS)
    words = ("worse", "no difference shown", "non-inferior", "better")
    rows = [
        {"margin (points)": margin} | {w: given.count(w) for w in words}
        for margin, given in found.items()
    ]
    caption = f"Verdicts on the {len(frame) - 1} rows by margin."
    show.table(rows, name, caption)


def bytes_table(
    name: str, counted: dict[str, dict[str, int]], records: list[Record]
) -> None:
    """Show the bytes that were counted beside those of the files."""
    rows = [
        {"strategy": LABELS[record.strategy]}
        | {what: f"{n:,}" for what, n in counted[record.strategy].items()}
        | {
            "file": f"{record.file_bytes:,}",
            "structure": f"{record.file_bytes - record.payload_bytes:,}",
        }
        for record in records
    ]
    show.table(
        rows,
        name,
        "Bytes counted from shapes and bits, bytes of the file, and their "
        "difference.",
    )


def normalized_figure(name: str, frame: pd.DataFrame, folder: Path) -> None:
    """Draw size, time and accuracy of each strategy relative to FP32."""
    relative = comparison_plots.relative(frame)
    size, time, accuracy = (
        100 * min(found.value for found in relative[what].values())
        for what in ("size", "time", "accuracy")
    )
    figures.show(
        comparison_plots.normalized(relative, LABELS),
        folder,
        name,
        caption=f"Relative to FP32: sizes fall to {size:.0f} %, times to "
        f"{time:.0f} %, accuracies to no less than {accuracy:.1f} %. Bars of "
        "time and accuracy: 95 % intervals of the ratio.",
        alt="Three panels of horizontal bars, one bar a strategy, for size, "
        "time and accuracy; FP32 is one.",
    )


def frontier_figure(
    name: str,
    frame: pd.DataFrame,
    times: dict[int, dict[str, Interval]],
    optimal: dict[int, list[str]],
    folder: Path,
) -> None:
    """Draw the change of accuracy over time, a panel for each batch size.

    ``times`` (ms per image) and ``optimal`` are those of
    ``comparison_plots.frontier``.
    """
    changes = comparison_plots.paired(frame)
    unbeaten = [
        f"at batch {batch} {', '.join(LABELS[n] for n in names)}"
        for batch, names in optimal.items()
    ]
    apart = [
        LABELS[n] for n, c in changes.items() if not c.low <= 0 <= c.high
    ]
    fastest = [f"at batch {b} {LABELS[n[0]]}" for b, n in optimal.items()]
    figures.show(
        comparison_plots.frontier(times, changes, optimal, LABELS),
        folder,
        name,
        caption="Change of accuracy against FP32 (paired 95 % interval) "
        f"over time (quartiles). On the frontier: {'; '.join(unbeaten)}. "
        f"Intervals that exclude no change: {', '.join(apart) or 'none'}. A "
        "label with several names: their points lie on each other (=: with "
        "the same interval).",
        alt="Two panels, batch 64 and batch 1: change of accuracy over time "
        "per image, one named point with error bars a strategy, between a "
        "line at no change and one at a loss of half a point. The fastest: "
        f"{', '.join(fastest)}.",
    )


def quantities(
    frame: pd.DataFrame,
    times: dict[int, dict[str, Interval]],
    losses: dict[str, float],
) -> list[explorer_drawings.Quantity]:
    """Six measures of all strategies, for ``explorers.strategies``.

    ``times`` holds ms per image by batch size; ``losses`` are mean cross
    entropies in nats.
    """
    changes = comparison_plots.paired(frame)
    quantity = explorer_drawings.Quantity
    return [
        quantity(
            "change of accuracy (points)",
            {name: 100 * change for name, change in changes.items()},
            high_is_good=True,
        ),
        *(
            quantity(f"ms per image, batch {batch}", taken)
            for batch, taken in times.items()
        ),
        quantity("file (MB)", _exact(frame.file_bytes / 1e6)),
        quantity(
            "predictions unlike FP32's (%)", _exact(100 * frame.disagreement)
        ),
        quantity("mean loss (nats)", _exact(pd.Series(losses))),
    ]


def _exact(values: pd.Series) -> dict[str, Interval]:
    """Measured without an interval."""
    return {name: Interval(v, v, v) for name, v in values.items()}


def classes_figure(
    name: str,
    predictions: dict[str, np.ndarray],
    labels: np.ndarray,
    folder: Path,
) -> None:
    """Draw the accuracy of each class and strategy.

    ``labels`` and each of the ``predictions`` are classes (N,).
    """
    n = np.bincount(labels, minlength=len(CLASSES))
    hits = {
        strategy: np.bincount(labels[found == labels], None, len(CLASSES))
        for strategy, found in predictions.items()
    }
    shares = np.array([100 * counts / n for counts in hits.values()])
    hardest = [CLASSES[k] for k in shares[0].argsort()[:2]]
    figures.show(
        comparison_plots.class_accuracy(hits, n, LABELS),
        folder,
        name,
        caption=f"The classes differ by {np.ptp(shares[0]):.0f} points, the "
        "strategies within a class by "
        f"{np.ptp(shares, axis=0).max():.1f} at most.",
        alt="Ten groups of markers, one group a class and one marker a "
        "strategy, in front of a bar for the interval of FP32. Markers of a "
        "class lie close together; classes lie far apart, with "
        f"{' and '.join(hardest)} lowest.",
    )


def confusions_figure(
    name: str,
    predictions: dict[str, np.ndarray],
    labels: np.ndarray,
    folder: Path,
    changes: bool = False,
) -> None:
    """Draw the confusion matrix of each strategy.

    With ``changes``: by how much it differs from that of the first one.
    ``labels`` and each of the ``predictions`` are classes (N,).
    """
    counts = {
        LABELS[strategy]: paired_tests.confusion(found, labels, len(CLASSES))
        for strategy, found in predictions.items()
    }
    if changes:
        before = counts.pop(next(iter(counts)))
        counts = {title: matrix - before for title, matrix in counts.items()}
    caption, alt = (_of_changes if changes else _of_counts)(counts)
    made = confusion_plots.confusions(counts, difference=changes)
    figures.show(made, folder, name, caption, alt)


def _of_counts(counts: dict[str, np.ndarray]) -> tuple[str, str]:
    commonest = [(c - np.diag(c.diagonal())).max() for c in counts.values()]
    return (
        "The confusion matrices of all strategies look alike: each makes "
        f"its most common mistake on {min(commonest)} to {max(commonest)} "
        "images.",
        f"{len(counts)} matrices of ten by ten classes, a strong diagonal "
        "and the same faint spots beside it in each.",
    )


def _of_changes(moved: dict[str, np.ndarray]) -> tuple[str, str]:
    largest = max(abs(matrix).max() for matrix in moved.values())
    cells = [int((matrix != 0).sum()) for matrix in moved.values()]
    same = [title for title, matrix in moved.items() if not matrix.any()]
    return (
        "The same minus FP32's; every cell that differs has a colour: by "
        f"{largest} images at most, in {min(cells)} to {max(cells)} cells a "
        f"strategy. No cell differs in: {', '.join(same) or 'none'}.",
        f"{len(moved)} matrices of differences to FP32, small positive and "
        f"negative counts; {len(same)} of the matrices say that no cell "
        "differs.",
    )


def flips_figure(
    name: str,
    images: Tensor,
    labels: np.ndarray,
    predictions: dict[str, np.ndarray],
    folder: Path,
) -> None:
    """Draw the first images on which exactly one of two networks is right.

    ``images`` is uint8 (N, 3, 32, 32); ``labels`` and the two ``predictions``
    are classes (N,), the float network's first.
    """
    was, now = predictions.values()
    flipped = (was == labels) != (now == labels)
    first = np.flatnonzero(flipped)[:20]
    titles = [f"{CLASSES[was[i]]}\n→ {CLASSES[now[i]]}" for i in first]
    figures.show(
        plots.images(images[first], titles),
        folder,
        name,
        caption=f"The first {len(first)} of {flipped.sum()} test images that "
        "folding and quantization move from right to wrong or back. Above "
        "each image: FP32's prediction, then that of *Folded*.",
        alt=f"{len(first)} small test images, many of them dark, cut off or "
        "unusual, with two class names above each.",
    )
