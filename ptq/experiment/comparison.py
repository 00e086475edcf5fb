"""Records compared: numbers, tests and verdicts, a row a network."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ptq import paths
from ptq.data.cifar10 import CLASSES
from ptq.evidence import intervals, levels, paired_tests
from ptq.experiment.results import Record, Timing
from ptq.experiment.strategies import STRATEGIES

# Columns of ``compared``, shares unless said: label; correct and n (counts);
# accuracy with Wilson bounds; change against the reference with paired ones;
# lost and gained (counts); p by McNemar, p_holm over the rows; verdict;
# detectable; disagreement of predictions; file_bytes and payload_bytes.
REFERENCE_ROW, QUIET = "reference", "no"
# Columns of ``time_columns``.
TIMES = (
    "batch",
    "threads",
    "milliseconds",
    "milliseconds_q1",
    "milliseconds_q3",
    "speedup",
    "speedup_low",
    "speedup_high",
    "floor_low",
    "floor_high",
    "busy",
    "time_verdict",
)


def compared(
    records: list[Record],
    labels: np.ndarray,
    timing: Timing | None = None,
    **more: Timing,
) -> pd.DataFrame:
    """One row a strategy, numbers only; the first record is the reference.

    ``labels`` (n,) are the true classes. With a ``timing``, the rows also
    have its times (milliseconds per image) and speed-ups; those of
    ``single=...`` in columns that begin with ``single_``. ``detectable`` is
    the change that would make a row "better" or "worse" whatever the others
    say: with as many changed predictions, the smallest whose p-value is below
    5 % by the number of rows, Holm's first step.
    """
    rows = {}
    level = levels.SIGNIFICANCE / max(len(records) - 1, 1)
    for record in records:
        row = {"label": STRATEGIES[record.strategy].label}
        row |= _accuracy_columns(record, records[0], labels, level)
        row |= {
            "file_bytes": record.file_bytes,
            "payload_bytes": record.payload_bytes,
        }
        base = records[0].strategy
        if timing:
            row |= time_columns(timing, base, record.strategy)
        for kind, other in more.items():
            found = time_columns(other, base, record.strategy)
            row |= {f"{kind}_{name}": value for name, value in found.items()}
        rows[record.strategy] = row
    frame = pd.DataFrame.from_dict(rows, orient="index")
    frame["p_holm"] = [1.0, *paired_tests.holm(frame.p[1:].tolist())]
    frame["verdict"] = [REFERENCE_ROW] + [
        paired_tests.verdict(
            paired_tests.Flips(row.lost, row.gained, row.n, row.p), row.p_holm
        )
        for row in frame[1:].itertuples()
    ]
    return frame


def _accuracy_columns(
    record: Record, reference: Record, labels: np.ndarray, level: float
) -> dict:
    found = intervals.accuracy(record.correct, record.n)
    pair = reference.predictions, record.predictions
    paired = paired_tests.flips(*pair, labels, classes=len(CLASSES))
    change = paired_tests.difference(paired)
    return {
        "correct": record.correct,
        "n": record.n,
        "accuracy": found.value,
        "accuracy_low": found.low,
        "accuracy_high": found.high,
        "change": change.value,
        "change_low": change.low,
        "change_high": change.high,
        "lost": paired.lost,
        "gained": paired.gained,
        "p": paired.p,
        "detectable": paired_tests.smallest_detectable(
            paired.lost + paired.gained, record.n, level
        ),
        "disagreement": paired_tests.disagreement(*pair),
    }


@dataclass(frozen=True)
class Paired:
    """Two networks on the same ``n`` images: the second against the first.

    ``lost`` images only the first predicts right, ``gained`` only the
    second; ``net`` is gained minus lost. ``change`` is that share with its
    paired 95 % interval, ``p`` McNemar's. ``detectable`` is the smallest net
    count that would have been shown, infinite where none would.
    """

    n: int
    lost: int
    gained: int
    net: int
    change: intervals.Interval
    p: float
    detectable: float
    verdict: str


def paired(first: Record, second: Record, labels: np.ndarray) -> Paired:
    """Compare two records on their images, whose classes ``labels`` has.

    ``labels`` is (n,). InputError where they do not fit the predictions.
    """
    row = compared([first, second], labels).iloc[1]
    return Paired(
        n=int(row.n),
        lost=int(row.lost),
        gained=int(row.gained),
        net=int(row.gained - row.lost),
        change=intervals.Interval(
            row.change, row.change_low, row.change_high
        ),
        p=row.p,
        detectable=row.detectable * row.n,
        verdict=row.verdict,
    )


def time_columns(timing: Timing, base: str, name: str) -> dict:
    """Time of one network, and its ratio to ``base``, with a verdict."""
    faster, floor = timing.speedup(base, name), timing.floor
    taken = timing.milliseconds(name)
    return {
        "batch": timing.batch,
        "threads": timing.threads,
        "milliseconds": taken.value,
        "milliseconds_q1": taken.low,
        "milliseconds_q3": taken.high,
        "speedup": faster.value,
        "speedup_low": faster.low,
        "speedup_high": faster.high,
        "floor_low": floor.low,
        "floor_high": floor.high,
        "busy": "; ".join(timing.busy) or QUIET,
        "time_verdict": REFERENCE_ROW
        if name == base
        else timing.word(faster),
    }


def save_comparison(frame: pd.DataFrame, run_folder: Path) -> None:
    """Keep the comparison as ``comparison.csv`` in the run's folder."""
    paths.write_whole(run_folder / "comparison.csv", frame.to_csv())


def load_comparison(folder: Path) -> pd.DataFrame:
    """Read ``comparison.csv`` of a run's (or the reference) folder."""
    return pd.read_csv(folder / "comparison.csv", index_col=0)
