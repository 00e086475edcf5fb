"""Networks against their reference: accuracy, verdicts, bytes, outputs."""

from collections.abc import Hashable

import numpy as np
import pandas as pd

from ptq.book import show
from ptq.book.tables import cells
from ptq.evidence import intervals, network_pairs
from ptq.experiment import strategy_rules
from ptq.experiment.comparison import REFERENCE_ROW
from ptq.experiment.results import Record
from ptq.experiment.strategies import STRATEGIES
from ptq.measure import grid_effects

# The cells of a row that is compared with nothing.
REFERENCE = {"lost": 0, "gained": 0, "verdict": REFERENCE_ROW}


def readable(frame: pd.DataFrame, bounds: bool = False) -> pd.DataFrame:
    """``Comparison.frame`` as text, each number with its uncertainty.

    ``bounds`` adds two columns: the prediction disagreement, which no change
    of accuracy can exceed, and the change that would have been shown.
    """
    rows = []
    for row in frame.to_dict("records"):
        change = cells.between(100 * cells.interval(row, "change"))
        if row["verdict"] == REFERENCE_ROW:
            change = REFERENCE_ROW
        found = {"strategy": row["label"]}
        found |= cells.top_1(cells.interval(row, "accuracy"))
        found |= {"change (points)": change} | cells.judged(row, "p_holm")
        found["size (MB)"] = f"{row['file_bytes'] / 1e6:.3f}"
        if bounds:
            found["disagreement (%)"] = f"{100 * row['disagreement']:.1f}"
            least = 100 * row["detectable"]
            shown = f"{least:.2f}" if np.isfinite(least) else "–"
            found["shown from (points)"] = shown
        if "speedup" in row:
            found |= cells.time(row)
        rows.append(found)
    return pd.DataFrame(rows)


def front_page(frame: pd.DataFrame, changes: pd.DataFrame) -> pd.DataFrame:
    """The columns of ``Comparison.frame`` that the front page shows.

    The verdict on the accuracy is the one over trainings: ``changes`` are
    those of ``strategy_rules.over_trainings``.
    """
    text = readable(frame)
    words = strategy_rules.training_words(changes)
    words[frame.index[0]] = REFERENCE_ROW
    shown = {
        "strategy": text.strategy,
        "top-1 (%)": text["top-1 (%)"] + " (" + text["95 % interval"] + ")",
        "lost / gained": text["lost / gained"],
        f"accuracy over {len(changes)} trainings": frame.index.map(words),
        "size (MB)": text["size (MB)"],
    }
    rows = frame.to_dict("records")
    for prefix, batch in (("", 64), ("single_", 1)):
        times = pd.DataFrame(cells.time(row, prefix) for row in rows)
        shown |= cells.under(f"batch {batch}", times)
    return pd.DataFrame(shown)


def paired(
    predictions: dict[Hashable, np.ndarray],
    labels: np.ndarray,
    against: dict[Hashable, Hashable],
) -> dict[Hashable, dict[str, str]]:
    """Accuracy of each network, and what differs from its reference, as text.

    Cells by column, by the names of the networks. ``predictions`` hold class
    numbers, ``labels`` the true ones, all (n,). ``against`` names the
    reference of each network that is not one itself; Holm's correction is
    over these. KeyError where a name is unknown, InputError where
    predictions and labels do not fit each other.
    """
    pairs = {
        name: (predictions[other], predictions[name])
        for name, other in against.items()
    }
    judged, rows = network_pairs.compared(pairs, labels), {}
    for name, found in predictions.items():
        other = found != predictions[against.get(name, name)]
        rows[name] = _top_1(found, labels) | {
            "other predictions": f"{other.sum()}",
            "disagreement (%)": f"{100 * other.mean():.1f}",
        }
        pair = judged.get(name)
        rows[name] |= cells.judged(vars(pair) if pair else REFERENCE)
    return rows


def _top_1(found: np.ndarray, labels: np.ndarray) -> dict[str, str]:
    right = int((found == labels).sum())
    return cells.top_1(intervals.wilson(right, len(labels)))


def outputs(
    name: str,
    caption: str,
    reference: np.ndarray,
    given: dict[str, np.ndarray],
    labels: np.ndarray,
    found: dict[str, grid_effects.Outputs],
) -> None:
    """Show networks against FP32: predictions, and outputs on a grid.

    Predictions of the ``reference``, those ``given`` by each network, and
    ``labels`` are class numbers (n,).
    """
    pairs = {title: (reference, own) for title, own in given.items()}
    rows = [
        {"activations": title}
        | _top_1(given[title], labels)
        | {"change (points)": cells.between(100 * pair.change)}
        | cells.judged(vars(pair))
        | {
            "other predictions": pair.disagreement,
            "ties": seen.ties,
            "outputs at an end of the grid (%)": f"{seen.at_ends:.2f}",
            "SQNR of the outputs (dB)": f"{seen.sqnr:.1f}",
        }
        for title, pair in network_pairs.compared(pairs, labels).items()
        for seen in [found[title]]
    ]
    show.table(rows, name, caption)


def bytes_counted(
    name: str, counted: dict[str, dict[str, int]], records: list[Record]
) -> None:
    """Show the bytes that were counted beside those of the files."""
    rows = [
        {"strategy": STRATEGIES[record.strategy].label}
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
