"""The numbers that the paper prints, and ours beside them."""

import pandas as pd
import yaml

from ptq import paths
from ptq.book.tables import cells
from ptq.evidence import intervals
from ptq.evidence.intervals import Interval
from ptq.experiment import committed_sweeps


def published(part: str = "rows") -> dict[str, dict]:
    """What the paper says: its "rows", "counts" or "claims".

    The rows are those of its headline table, by the strategy that
    reproduces them.
    """
    path = paths.REFERENCE / committed_sweeps.PAPER
    return yaml.safe_load(path.read_text())[part]


def published_orderings() -> list[tuple[str, str]]:
    """Pairs of quantized rows of the paper, the more accurate one first.

    Without its row *bias correction*, which is naive's network once more.
    """
    rows = {
        name: row["accuracy"]
        for name, row in published().items()
        if name not in ("fp32", "bias_correction_published")
    }
    return [
        (first, second)
        for first in rows
        for second in rows
        if rows[first] > rows[second]
    ]


def beside_paper(frame: pd.DataFrame) -> pd.DataFrame:
    """The paper's rows with ours, as text, in the paper's own units."""
    rows = []
    for name, paper in published().items():
        ours = frame.loc[name]
        accuracy = 100 * cells.interval(ours, "accuracy")
        rows.append(
            {
                "row of the paper": paper["label"],
                "top-1 (%), paper": f"{paper['accuracy']:.2f}",
                "ours": f"{accuracy.value:.2f} "
                f"({accuracy.low:.1f}–{accuracy.high:.1f})",
                "ms at batch 64, paper": f"{paper['milliseconds']:.3f}",
                "ours ": f"{ours.milliseconds:.3f}",
                "speed-up, paper": f"{paper['speedup']:.1f}",
                "ours  ": cells.time(ours)["speed-up"],
                "MiB, paper": f"{paper['mebibytes']:.2f}",
                "ours   ": f"{ours.file_bytes / cells.MIB:.2f}",
            }
        )
    return pd.DataFrame(rows)


def pairs(frame: pd.DataFrame) -> dict[str, dict[str, list[Interval]]]:
    """Accuracies and speed-ups of the paper, each beside ours.

    ``frame`` is ``Comparison.frame`` with times. By quantity and the
    paper's name of a row: the paper's and our interval. The paper tells no
    spread of its times, so its speed-ups have no width.
    """
    found = {"top-1 accuracy (%)": {}, "speed-up over FP32": {}}
    shares, speedups = found.values()
    for name, paper in published().items():
        ours, ratio = frame.loc[name], paper["speedup"]
        theirs = intervals.wilson(round(100 * paper["accuracy"]), 10_000)
        counted = intervals.wilson(int(ours.correct), int(ours.n))
        shares[paper["label"]] = [100 * theirs, 100 * counted]
        speedups[paper["label"]] = [
            Interval(ratio, ratio, ratio),
            cells.interval(ours, "speedup"),
        ]
    return found
