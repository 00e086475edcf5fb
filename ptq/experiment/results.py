"""The record of one measured network, on disk, and read back checked."""

import hashlib
import io
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path

import numpy as np

from ptq import paths
from ptq.evidence import intervals, number_text, time_ratios
from ptq.evidence.intervals import Interval
from ptq.measure import host, timer
from ptq.measure.timer import TWIN, Conditions, Samples

NOT_JUDGED = "not judged"


class RecordError(RuntimeError):
    """A record is missing, damaged or incomplete."""


@dataclass(frozen=True)
class Record:
    """One network, measured on the test images.

    ``key`` identifies what was measured and with which code; ``loss`` is the
    mean cross entropy; ``predictions`` is uint8 (n,), stored beside;
    ``file_bytes`` is the saved file, ``payload_bytes`` the numbers in it.
    """

    strategy: str
    key: str
    bits: dict[str, int]
    correct: int
    n: int
    loss: float
    file_bytes: int
    payload_bytes: int
    engine: str
    parameters: dict
    machine: dict
    predictions: np.ndarray

    def save(self, folder: Path) -> Path:
        """Write ``STRATEGY.json`` and ``STRATEGY.npy`` into ``folder``."""
        packed = io.BytesIO()
        np.save(packed, self.predictions)
        content = {
            field.name: getattr(self, field.name)
            for field in fields(self)
            if field.name != "predictions"
        }
        content["predictions_sha256"] = _digest(packed.getvalue())
        path = folder / f"{self.strategy}.json"
        paths.write_whole(path.with_suffix(".npy"), packed.getvalue())
        paths.write_json(path, content)
        return path


def load_record(path: Path) -> Record:
    """Read a record back; RecordError names the file that is damaged."""
    content = _read_json(path)
    beside = path.with_suffix(".npy")
    try:
        packed = beside.read_bytes()
        expected = content.pop("predictions_sha256")
    except (OSError, KeyError) as error:
        raise RecordError(f"{path} or {beside.name}: {error!r}") from error
    if _digest(packed) != expected:
        raise RecordError(
            f"{beside} does not belong to {path.name}: its checksum differs; "
            "measure the strategy again"
        )
    predictions = np.load(io.BytesIO(packed), allow_pickle=False)
    return _make(Record, path, content | {"predictions": predictions})


def kept(
    folder: Path, name: str, key: str, measure: Callable[[], Record]
) -> Record:
    """The record ``name`` of ``folder`` if it has this key, else a new one.

    ``measure`` makes it, with one thread, so that every machine adds up in
    the same order.
    """
    path = folder / f"{name}.json"
    if path.exists() and (found := load_record(path)).key == key:
        return found
    with timer.pinned_threads(1):
        made = measure()
    made.save(folder)
    return made


@dataclass(frozen=True)
class Timing:
    """Times of networks against each other, under one set of conditions.

    ``seconds`` holds, for each network, the time of one batch, (sessions,
    rounds); ``mode`` is "hot" or "cold", as of ``timer.Conditions``; ``busy``
    describes what else the machine did; ``key`` identifies what was timed and
    with which code.
    """

    name: str
    key: str
    batch: int
    threads: int
    mode: str
    engine: str
    machine: dict
    measured: str
    busy: list[str]
    seconds: dict[str, list[list[float]]]

    def save(self, folder: Path) -> Path:
        """Write ``NAME.json`` into ``folder``."""
        path = folder / f"{self.name}.json"
        paths.write_json(path, asdict(self))
        return path

    def of(self, name: str) -> np.ndarray:
        """Seconds of one batch, float64 (sessions, rounds)."""
        return np.array(self.seconds[name])

    def milliseconds(self, name: str) -> Interval:
        """Median time of one image, and the quartiles over all rounds."""
        low, middle, high = intervals.quartiles(
            1e3 * self.of(name) / self.batch
        )
        return Interval(middle, low, high)

    def speedup(self, slow: str, fast: str) -> Interval:
        """Speed-up of ``fast``, with the interval of the next session."""
        return time_ratios.speedup(self.of(slow), self.of(fast))

    @cached_property
    def floor(self) -> Interval:
        """Speed-up of the first network over itself: the timer's error."""
        return self.speedup(next(iter(self.seconds)), TWIN)

    def time_verdict(self, slow: str, fast: str) -> str:
        """The verdict on ``fast`` against ``slow``, as of ``word``."""
        return self.word(self.speedup(slow, fast))

    def word(self, found: Interval) -> str:
        """The verdict on a speed-up, as of ``time_ratios.time_verdict``.

        "not judged" where the machine was busy.
        """
        if self.busy:
            return NOT_JUDGED
        return time_ratios.time_verdict(found, self.floor)

    def judged(self, found: Interval) -> Interval:
        """The estimate, without bounds where the machine was busy."""
        if self.busy:
            return Interval(found.value, float("nan"), float("nan"))
        return found

    def told(self, slow: str, fast: str) -> str:
        """The speed-up of ``fast`` and its verdict, for a sentence.

        As of ``time_ratios.told``, without bounds where it is not judged.
        """
        found = self.speedup(slow, fast)
        return time_ratios.told(self.judged(found), self.word(found))

    @property
    def conditions(self) -> str:
        """The conditions of the timing, in words."""
        threads = number_text.threads(self.threads)
        return f"batch {self.batch}, {threads}, {self.mode}"


def timings(
    plan: list[Conditions],
    found: list[Samples],
    engine: str,
    title: str = "",
    key: str = "",
) -> list[Timing]:
    """What the timer ``found`` under each condition, on this machine, now.

    Names of the results begin with ``title``.
    """
    made = []
    for conditions, samples in zip(plan, found, strict=True):
        first = samples.seconds[conditions.names[0]]
        signs = timer.starved(conditions, plan, found)
        signs += time_ratios.unsteady(first, samples.seconds[TWIN])
        signs += time_ratios.uneven(first)
        timing = Timing(
            name=f"{title}{conditions.title}",
            key=key,
            batch=conditions.batch,
            threads=conditions.threads,
            mode=conditions.mode,
            engine=engine,
            machine=host.machine(),
            measured=time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
            busy=[*samples.busy, *signs],
            seconds={n: v.tolist() for n, v in samples.seconds.items()},
        )
        made.append(timing)
    return made


def load_timing(path: Path) -> Timing:
    """Read a timing back; RecordError names the file that is damaged."""
    return _make(Timing, path, _read_json(path))


def _make(kind, path: Path, content: dict):
    expected = {field.name for field in fields(kind)}
    if odd := expected ^ content.keys():
        raise RecordError(f"{path}: missing or unknown: {sorted(odd)}")
    return kind(**content)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _read_json(path: Path) -> dict:
    try:
        content = json.loads(path.read_text())
    except OSError as error:
        raise RecordError(f"{path} cannot be read: {error}") from error
    except ValueError as error:
        raise RecordError(f"{path} is damaged: {error}") from error
    if not isinstance(content, dict):
        raise RecordError(f"{path} is damaged: not a record")
    return content
