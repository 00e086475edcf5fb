"""All strategies side by side: accuracy, time, size, predictions."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from torch import Tensor

from ptq.book import show
from ptq.book.explorers.networks import Quantity
from ptq.book.figures import comparison, confusion, data, frontier
from ptq.book.point_names import TOGETHER
from ptq.data.cifar10 import CLASSES
from ptq.evidence import paired_tests
from ptq.evidence.intervals import Interval
from ptq.evidence.thresholds import MARGIN
from ptq.experiment import strategy_rules
from ptq.experiment.results import Record
from ptq.experiment.strategies import STRATEGIES

LABELS = {name: strategy.label for name, strategy in STRATEGIES.items()}


@dataclass(frozen=True)
class Reports:
    """What a chapter shows of all strategies, each under a name it gives.

    ``frame`` is that of ``Comparison.frame`` with times; ``labels`` and
    the ``predictions`` of each strategy are classes (N,), FP32's first.
    Figures are kept in ``folder``.
    """

    frame: pd.DataFrame
    predictions: dict[str, np.ndarray]
    labels: np.ndarray
    folder: Path

    def margins(self, name: str) -> None:
        """Show how many rows get which verdict, by margin."""
        words = ("worse", "no difference shown", "non-inferior", "better")
        rows = [
            {"margin (points)": f"{100 * margin:g}"}
            | {word: given.count(word) for word in words}
            for margin in (0.5 * MARGIN, MARGIN, 2 * MARGIN)
            if (given := strategy_rules.with_margin(self.frame, margin))
        ]
        caption = f"Verdicts on the {len(self.frame) - 1} rows by margin."
        show.table(rows, name, caption)

    def normalized(self, name: str) -> None:
        """Show size, time and accuracy relative to FP32."""
        size, time, accuracy = (
            100 * found["value"].min()
            for found in comparison.relative(self.frame).values()
        )
        show.figure(
            comparison.normalized(self.frame),
            self.folder,
            name,
            f"Relative to FP32: sizes fall to {size:.0f} %, times to "
            f"{time:.0f} %, accuracies to no less than {accuracy:.1f} %. "
            "Bars of time and accuracy: 95 % intervals of the ratio.",
            "Three panels of horizontal bars, one bar a strategy, for size, "
            "time and accuracy; FP32 is one.",
        )

    def frontier(
        self,
        name: str,
        times: dict[int, dict[str, Interval]],
        optimal: dict[int, list[str]],
    ) -> None:
        """Show the change of accuracy over time, a panel a batch size.

        ``times`` (ms per image) and ``optimal`` are those of
        ``frontier.frontier``.
        """
        changes = comparison.paired(self.frame)
        unbeaten = [
            f"at batch {batch} {', '.join(LABELS[n] for n in names)}"
            for batch, names in optimal.items()
        ]
        apart = [
            LABELS[n] for n, c in changes.items() if not c.low <= 0 <= c.high
        ]
        fastest = [f"at batch {b} {LABELS[n[0]]}" for b, n in optimal.items()]
        show.figure(
            frontier.frontier(times, changes, optimal, LABELS),
            self.folder,
            name,
            "Change of accuracy against FP32 (paired 95 % interval) over "
            f"time (quartiles). On the frontier: {'; '.join(unbeaten)}. "
            f"Intervals that exclude no change: {', '.join(apart) or 'none'}."
            f" {TOGETHER}",
            "Two panels, batch 64 and batch 1: change of accuracy over time "
            "per image, one named point with error bars a strategy, between "
            "a line at no change and one at a loss of half a point. The "
            f"fastest: {', '.join(fastest)}.",
        )

    def quantities(
        self, times: dict[int, dict[str, Interval]], records: list[Record]
    ) -> list[Quantity]:
        """Six measures of all strategies, which their explorer shows.

        ``times`` holds ms per image by batch size.
        """
        changes = comparison.paired(self.frame)
        points = {name: 100 * change for name, change in changes.items()}
        exact = {
            "file (MB)": self.frame.file_bytes / 1e6,
            "predictions unlike FP32's (%)": 100 * self.frame.disagreement,
            "mean loss (nats)": {r.strategy: r.loss for r in records},
        }
        return [
            Quantity("change of accuracy (points)", points, True),
            *(
                Quantity(f"ms per image, batch {batch}", taken)
                for batch, taken in times.items()
            ),
            *(
                Quantity(
                    title, {n: Interval(v, v, v) for n, v in values.items()}
                )
                for title, values in exact.items()
            ),
        ]

    def classes(self, name: str) -> None:
        """Show the accuracy of each class and strategy."""
        n = np.bincount(self.labels, minlength=len(CLASSES))
        hits = {
            strategy: np.bincount(
                self.labels[found == self.labels], None, len(CLASSES)
            )
            for strategy, found in self.predictions.items()
        }
        shares = np.array([100 * counts / n for counts in hits.values()])
        hardest = [CLASSES[k] for k in shares[0].argsort()[:2]]
        show.figure(
            comparison.class_accuracy(hits, n, LABELS),
            self.folder,
            name,
            f"The classes differ by {np.ptp(shares[0]):.0f} points, the "
            "strategies within a class by "
            f"{np.ptp(shares, axis=0).max():.1f} at most.",
            "Ten groups of markers, one group a class and one marker a "
            "strategy, in front of a bar for the interval of FP32. Markers "
            "of a class lie close together; classes lie far apart, with "
            f"{' and '.join(hardest)} lowest.",
        )

    def confusions(self, name: str, changes: bool = False) -> None:
        """Show confusion matrices, or their ``changes`` against FP32's."""
        found = {
            LABELS[strategy]: paired_tests.confusion(
                predicted, self.labels, len(CLASSES)
            )
            for strategy, predicted in self.predictions.items()
        }
        if changes:
            before = found.pop(LABELS["fp32"])
            found = {title: m - before for title, m in found.items()}
        texts = (_of_changes if changes else _of_counts)(found)
        made = confusion.matrices(found, difference=changes)
        show.figure(made, self.folder, name, *texts)

    def flips(self, name: str, images: Tensor, strategy: str) -> None:
        """Show the first images on which only FP32 or a strategy is right.

        ``images`` is uint8 (N, 3, 32, 32).
        """
        was, now = self.predictions["fp32"], self.predictions[strategy]
        flipped = (was == self.labels) != (now == self.labels)
        first = np.flatnonzero(flipped)[:20]
        titles = [f"{CLASSES[was[i]]}\n→ {CLASSES[now[i]]}" for i in first]
        show.figure(
            data.images(images[first], titles),
            self.folder,
            name,
            f"The first {len(first)} of {flipped.sum()} test images that "
            f"*{LABELS[strategy]}* moves from right to wrong or back. Above "
            "each image: FP32's prediction, then that of "
            f"*{LABELS[strategy]}*.",
            f"{len(first)} small test images, many of them dark, cut off or "
            "unusual, with two class names above each.",
        )


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
