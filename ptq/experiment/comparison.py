"""Networks compared on the same images: a row each, as text, frame, file."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path

import numpy as np
import pandas as pd

from ptq import paths
from ptq.evidence import intervals, network_pairs
from ptq.evidence.intervals import Interval
from ptq.evidence.network_pairs import Paired
from ptq.experiment.results import Record, Timing
from ptq.experiment.strategies import STRATEGIES

FILE = "comparison.csv"
REFERENCE_ROW, QUIET = "reference", "no"


@dataclass(frozen=True)
class Times:
    """Time of one network under one condition, and its ratio to another's.

    ``milliseconds`` are those of one image, with quartiles; ``speedup`` is
    a ratio with the interval of the next session, ``floor`` that interval
    of a network over itself. ``busy`` says what else the machine did, or
    "no"; ``time_verdict`` is that of ``Timing.word``.
    """

    batch: int
    threads: int
    milliseconds: float
    milliseconds_q1: float
    milliseconds_q3: float
    speedup: float
    speedup_low: float
    speedup_high: float
    floor_low: float
    floor_high: float
    busy: str
    time_verdict: str


# Columns of the times in a frame.
TIMES = tuple(field.name for field in fields(Times))


def times(timing: Timing, base: str, name: str) -> Times:
    """Time of the network ``name``, and its ratio to ``base``."""
    faster, taken = timing.speedup(base, name), timing.milliseconds(name)
    return Times(
        timing.batch,
        timing.threads,
        *(taken.value, taken.low, taken.high),
        *(faster.value, faster.low, faster.high),
        *(timing.floor.low, timing.floor.high),
        busy="; ".join(timing.busy) or QUIET,
        time_verdict=REFERENCE_ROW if name == base else timing.word(faster),
    )


@dataclass(frozen=True)
class Row:
    """One network against the reference; shares are of images, 0 to 1.

    ``label`` is its name for readers. ``accuracy`` has Wilson's interval;
    ``pair`` is what is asked of both (of the reference itself, in its own
    row), where ``pair.detectable`` is the change that would make the row
    "better" or "worse" whatever the others say. ``file_bytes`` and
    ``payload_bytes`` are None where they are not known. ``times`` are by
    the prefix of their columns.
    """

    label: str
    correct: int
    accuracy: Interval
    pair: Paired
    verdict: str
    file_bytes: int | None = None
    payload_bytes: int | None = None
    times: Mapping[str, Times] = field(default_factory=dict)

    def columns(self) -> dict:
        """The row of a frame: numbers and words by column.

        Shares unless said: ``label``; ``correct`` and ``n`` (counts);
        ``accuracy`` with Wilson bounds; ``change`` against the reference
        with paired ones; ``lost`` and ``gained`` (counts); ``p`` by
        McNemar; ``detectable``; ``disagreement`` of predictions; bytes;
        the fields of ``Times``, with their prefix; ``p_holm`` over the rows;
        ``verdict``.
        """
        pair = self.pair
        found = {
            "label": self.label,
            "correct": self.correct,
            "n": pair.n,
            **columns("accuracy", self.accuracy),
            **columns("change", pair.change),
            "lost": pair.lost,
            "gained": pair.gained,
            "p": pair.p,
            "detectable": pair.detectable / pair.n,
            "disagreement": pair.disagreement / pair.n,
            "file_bytes": self.file_bytes,
            "payload_bytes": self.payload_bytes,
        }
        for prefix, taken in self.times.items():
            found |= {f"{prefix}{n}": v for n, v in vars(taken).items()}
        return found | {"p_holm": pair.holm, "verdict": self.verdict}


def columns(name: str, found: Interval) -> dict[str, float]:
    """Value and bounds of an interval, in the columns of a frame."""
    return {
        name: found.value,
        f"{name}_low": found.low,
        f"{name}_high": found.high,
    }


@dataclass(frozen=True)
class Comparison:
    """Rows by the networks' names, that of the reference first."""

    rows: dict[str, Row]

    @property
    def verdicts(self) -> dict[str, str]:
        """The verdict on each network's accuracy but the reference's."""
        return {name: row.verdict for name, row in [*self.rows.items()][1:]}

    @property
    def frame(self) -> pd.DataFrame:
        """Numbers only, a row a network; ``Row.columns`` tells of what."""
        rows = {name: row.columns() for name, row in self.rows.items()}
        return pd.DataFrame.from_dict(rows, orient="index")

    def text(self) -> str:
        """A line a network: accuracy and change in percent, verdicts."""
        lines = []
        for row in self.rows.values():
            told = f"{row.label}: {100 * row.accuracy:.2f} % right"
            if row.verdict != REFERENCE_ROW:
                told += f", {100 * row.pair.change:+.2f} points"
            words = [t.time_verdict for t in row.times.values()]
            words = dict.fromkeys([row.verdict, *words])
            lines.append(f"{told}; {', '.join(words)}")
        return "\n".join(lines) + "\n"


def compare(
    predictions: Mapping[str, np.ndarray],
    labels: np.ndarray,
    reference: str = "",
    timing: Timing | None = None,
    sizes: Mapping[str, tuple[int, int]] | None = None,
    **more: Timing,
) -> Comparison:
    """Compare networks with the ``reference``, or the first of them.

    Predictions, and ``labels``, are class numbers (n,). With a ``timing``,
    rows have its times; those of ``single=...`` in columns that begin with
    ``single_``. ``sizes`` are bytes of each network's file and payload.
    KeyError where the reference is none of the networks, InputError where
    predictions and labels do not fit each other.
    """
    base = reference or next(iter(predictions))
    names = [base, *(name for name in predictions if name != base)]
    before = predictions[base]
    asked = {name: (before, predictions[name]) for name in names[1:]}
    found = network_pairs.compared({base: (before, before)}, labels)
    found |= network_pairs.compared(asked, labels)
    timed = {"": timing} if timing else {}
    timed |= {f"{kind}_": other for kind, other in more.items()}
    rows = {}
    for name, pair in found.items():
        correct = int((predictions[name] == labels).sum())
        rows[name] = Row(
            STRATEGIES[name].label if name in STRATEGIES else name,
            correct,
            intervals.wilson(correct, pair.n),
            pair,
            REFERENCE_ROW if name == base else pair.verdict,
            *(sizes or {}).get(name, ()),
            times={p: times(t, base, name) for p, t in timed.items()},
        )
    return Comparison(rows)


def of_records(
    records: list[Record],
    labels: np.ndarray,
    timing: Timing | None = None,
    **more: Timing,
) -> Comparison:
    """Compare records with the first of them, as ``compare`` does.

    ``labels`` (n,) are the true classes of the images.
    """
    return compare(
        {r.strategy: r.predictions for r in records},
        labels,
        timing=timing,
        sizes={r.strategy: (r.file_bytes, r.payload_bytes) for r in records},
        **more,
    )


def paired(first: Record, second: Record, labels: np.ndarray) -> Paired:
    """Compare two records on their images, whose classes ``labels`` has.

    ``labels`` is (n,). InputError where they do not fit the predictions.
    """
    pair = first.predictions, second.predictions
    return network_pairs.compared({"": pair}, labels)[""]


def save_comparison(frame: pd.DataFrame, folder: Path) -> None:
    """Keep the frame of a comparison as ``comparison.csv`` in a folder."""
    paths.write_whole(folder / FILE, frame.to_csv())


def load_comparison(folder: Path) -> pd.DataFrame:
    """Read ``comparison.csv`` of a run's (or the reference) folder."""
    return pd.read_csv(folder / FILE, index_col=0)
