"""Records compared: numbers, tests and verdicts, a row a network."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ptq import paths
from ptq.data.cifar10 import CLASSES
from ptq.evidence import intervals, paired_tests, thresholds
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
    first, *others = records
    pairs = {r.strategy: (first.predictions, r.predictions) for r in others}
    found = {first.strategy: paired(first, first, labels)}
    found |= all_paired(pairs, labels)
    rows = {}
    for record in records:
        name = record.strategy
        row = {"label": STRATEGIES[name].label}
        row |= _accuracy_columns(record, found[name])
        row |= {
            "file_bytes": record.file_bytes,
            "payload_bytes": record.payload_bytes,
        }
        if timing:
            row |= time_columns(timing, first.strategy, name)
        for kind, other in more.items():
            times = time_columns(other, first.strategy, name)
            row |= {f"{kind}_{column}": v for column, v in times.items()}
        rows[name] = row
    frame = pd.DataFrame.from_dict(rows, orient="index")
    frame["p_holm"] = [pair.holm for pair in found.values()]
    frame["verdict"] = [pair.verdict for pair in found.values()]
    frame.loc[first.strategy, "verdict"] = REFERENCE_ROW
    return frame


def _accuracy_columns(record: Record, pair: "Paired") -> dict:
    right = intervals.accuracy(record.correct, record.n)
    return {
        "correct": record.correct,
        "n": record.n,
        "accuracy": right.value,
        "accuracy_low": right.low,
        "accuracy_high": right.high,
        "change": pair.change.value,
        "change_low": pair.change.low,
        "change_high": pair.change.high,
        "lost": pair.lost,
        "gained": pair.gained,
        "p": pair.p,
        "detectable": pair.detectable / pair.n,
        "disagreement": pair.disagreement / pair.n,
    }


@dataclass(frozen=True)
class Paired(paired_tests.Flips):
    """Two networks on the same ``n`` images: the second against the first.

    ``lost`` images only the first predicts right, ``gained`` only the
    second; ``net`` is gained minus lost, ``disagreement`` the images with
    other predictions. ``change`` is the net share with its paired 95 %
    interval, ``p`` McNemar's, ``holm`` that of all pairs of one table.
    ``detectable`` is the smallest net count that would have been shown,
    infinite where none would.
    """

    net: int
    disagreement: int
    change: intervals.Interval
    holm: float
    detectable: float
    verdict: str


def paired(first: Record, second: Record, labels: np.ndarray) -> Paired:
    """Compare two records on their images, whose classes ``labels`` has.

    ``labels`` is (n,). InputError where they do not fit the predictions.
    """
    pair = first.predictions, second.predictions
    return all_paired({"": pair}, labels)[""]


def all_paired(
    pairs: dict[str, tuple[np.ndarray, np.ndarray]], labels: np.ndarray
) -> dict[str, Paired]:
    """Compare the predictions of several pairs; Holm's p over all of them.

    Predictions, and ``labels``, hold class numbers (n,). InputError where
    they do not fit each other.
    """
    flips = {
        name: paired_tests.flips(*pair, labels, classes=len(CLASSES))
        for name, pair in pairs.items()
    }
    adjusted = paired_tests.holm([found.p for found in flips.values()])
    level = thresholds.SIGNIFICANCE / max(len(flips), 1)
    compared = {}
    for (name, found), holm in zip(flips.items(), adjusted, strict=True):
        changed = found.lost + found.gained
        least = paired_tests.smallest_detectable(changed, found.n, level)
        compared[name] = Paired(
            **vars(found),
            net=found.gained - found.lost,
            disagreement=int((pairs[name][0] != pairs[name][1]).sum()),
            change=paired_tests.difference(found),
            holm=holm,
            detectable=found.n * least,
            verdict=paired_tests.verdict(found, holm),
        )
    return compared


def needed(pair: Paired) -> str:
    """How many images, net, would have shown a difference, in words."""
    if np.isinf(pair.detectable):
        return "more than all of them"
    return f"{pair.detectable:.0f} images"


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
