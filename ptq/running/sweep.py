"""A chapter at many points, on Dask, gathered into one table."""

import io
import json
import os
import shutil
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from ptq import paths
from ptq.evidence import paired_tests
from ptq.experiment import committed_sweeps, results
from ptq.measure import host
from ptq.running import cluster, locks, pipeline, worker
from ptq.running.progress import Progress
from ptq.running.sweep_plan import PLACES, Sweep, SweepError

RESULTS = ("correct", "n", "loss", "file_bytes", "engine")
# The file of a point that is written last, and what stands in it.
LAST = {
    paths.MANIFEST: {"parameters": dict},
    worker.FAILURE: {"parameters": dict, "error": str},
}


@dataclass(frozen=True)
class Outcome:
    """The results' folder, and the content of FAILURE of failed points."""

    folder: Path
    done: int
    failed: dict[str, dict]


def run(
    sweep: Sweep,
    folder: Path,
    workers: int = 0,
    scheduler: str = "",
    retry: bool = False,
    timeout: int | None = None,
    share: bool = False,
) -> Outcome:
    """Run the points that ``folder`` lacks; collect all in its table.

    ``workers`` of 0 means one per core, or one in all where the chapter
    times networks; ``scheduler`` is the address of a cluster to use instead.
    Points that failed earlier run again on ``retry`` only. ``timeout`` limits
    the seconds of each cell. ``share`` lets points that time networks run
    side by side. Raises SweepError, LockedError if another command fills the
    folder, ClusterError if the cluster cannot be reached or is lost,
    RecordError where a record is damaged, and OSError if the folder cannot be
    written; points that arrived are kept.
    """
    exclusive = sweep.chapter.exclusive and not share
    if exclusive and workers > 1:
        raise SweepError(_not_alone(workers, sweep.chapter.name))
    workers = workers or (1 if exclusive else os.cpu_count() or 1)
    chapter = replace(
        sweep.chapter,
        exclusive=exclusive,
        timeout=timeout,
        holder=locks.myself(),
    )
    with locks.folder(folder):
        _check_places(sweep, folder)
        todo = _left(sweep, folder, retry)
        if todo:
            with cluster.client(scheduler, workers) as client:
                _collect(client, worker.run, chapter, todo, folder)
        return _gather(sweep, folder)


def _not_alone(workers: int, chapter: str) -> str:
    return (
        f"--workers {workers}: {chapter} times networks, so its points run "
        "one at a time on a machine; leave --workers out, or give "
        "--allow-shared-timing if you do not need the times"
    )


def _check_places(sweep: Sweep, folder: Path) -> None:
    """SweepError where something else is in the place of a point."""
    points = folder / paths.POINTS
    for place in (points, *(points / digest for digest in sweep.points)):
        if os.path.lexists(place) and not place.is_dir():
            raise SweepError(
                f"{place} is no folder: expected one with the files of a "
                "point, or nothing; remove it"
            )


def _left(sweep: Sweep, folder: Path, retry: bool) -> dict[str, dict]:
    """The points to run: those without a result, and on retry, failed."""
    states = {"", worker.FAILURE} if retry else {""}
    return {
        digest: values
        for digest, values in sweep.points.items()
        if _state(folder, digest) in states
    }


def report(outcome: Outcome) -> str:
    """Each failed point with its traceback, then where the table is."""
    lines = []
    for digest, told in outcome.failed.items():
        values = {n: v for n, v in told["parameters"].items() if v != ""}
        lines += [f"FAILED {outcome.folder / 'points' / digest}", f"{values}"]
        lines += [told["error"], ""]
    if outcome.failed:
        lines += ["--retry runs the failed points again."]
    counted = f"{outcome.done:,} points done, {len(outcome.failed):,} failed"
    return "\n".join(
        [*lines, f"{counted}; table: {outcome.folder}/table.csv"]
    )


def overhead(points: int = 1000, workers: int = 2) -> float:
    """Seconds that it takes to schedule and keep one trivial point.

    Raises SweepError if not all ``points`` arrive.
    """
    todo = {f"{i:04}": {"i": i} for i in range(points)}
    chapter = worker.Chapter("none", "", "")
    with (
        tempfile.TemporaryDirectory() as name,
        cluster.client("", workers) as client,
    ):
        client.wait_for_workers(workers)
        client.run(os.getpid)
        started = time.perf_counter()
        _collect(client, worker.trivial, chapter, todo, Path(name))
        seconds = time.perf_counter() - started
        kept = len(list(Path(name).glob(f"points/*/{paths.MANIFEST}")))
    if kept != points:
        raise SweepError(f"{kept} of {points} points arrived")
    return seconds / points


def _state(folder: Path, digest: str) -> str:
    """The manifest of a point that is done, FAILURE of one that failed."""
    for name in LAST:
        if _told(folder / paths.POINTS / digest / name):
            return name
    return ""


def _told(path: Path) -> dict | None:
    """Content of a manifest or a FAILURE; None where none is there.

    A damaged one counts as none, so that its point runs again.
    """
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    kinds = LAST[path.name].items()
    whole = isinstance(told, dict) and all(
        isinstance(told.get(key), kind) for key, kind in kinds
    )
    return told if whole else None


def _collect(client, work, chapter, todo: dict[str, dict], folder: Path):
    """Let workers run the points; keep each when it arrives."""
    done = 0
    with (
        Progress(client, len(todo)) as progress,
        closing(
            cluster.Batch(client, work, chapter, todo, progress.tell)
        ) as batch,
    ):
        for ended in batch.ended():
            if ended:
                digest, files = ended
                _keep(files, folder / paths.POINTS / digest)
                done += 1
            progress.show(done)


def _keep(files: dict[str, bytes], folder: Path) -> None:
    """Write the files of a point; the manifest or failure comes last."""
    shutil.rmtree(folder, ignore_errors=True)
    try:
        for name in sorted(files, key=lambda name: name in LAST):
            paths.write_whole(folder / name, files[name])
    except OSError:
        # Part of a point is useless, and takes space on a full disk.
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _gather(sweep: Sweep, folder: Path) -> Outcome:
    """Write table and manifest of the points in a sweep's folder."""
    states = {digest: _state(folder, digest) for digest in sweep.points}
    done = [d for d, state in states.items() if state == paths.MANIFEST]
    failed = {
        digest: _told(folder / paths.POINTS / digest / worker.FAILURE)
        for digest, state in states.items()
        if state == worker.FAILURE
    }
    frame = table({d: sweep.points[d] for d in done}, folder)
    packed = io.BytesIO()
    frame.to_parquet(packed, index=False)
    paths.write_whole(folder / paths.TABLE, packed.getvalue())
    paths.write_whole(folder / "table.csv", frame.to_csv(index=False))
    manifest = {
        "sweep": sweep.name,
        "chapter": sweep.chapter.name,
        "version": sweep.chapter.version,
        "commit": pipeline.commit(),
        "machine": host.machine(),
        "points": states,
    }
    paths.write_json(folder / paths.MANIFEST, manifest)
    return Outcome(folder, len(done), failed)


def table(points: dict[str, dict], folder: Path) -> pd.DataFrame:
    """One row a record of each point, or one a point that has none.

    Columns are the point's parameters, then what its records add to them,
    then results. ``disagreement`` is with the record "fp32" of the same
    point, where there is one. Raises RecordError where a record is damaged.
    """
    rows = []
    for digest, values in points.items():
        row = {"point": digest}
        row |= {n: v for n, v in values.items() if n not in PLACES}
        place = folder / paths.POINTS / digest / paths.RECORDS
        records = [results.load_record(p) for p in place.glob("[!.]*.json")]
        records.sort(key=lambda record: record.strategy)
        base = next((r for r in records if r.strategy == "fp32"), None)
        rows += [row | _facts(r, base, row) for r in records] or [row]
    # Even without rows, write a table with columns.
    return pd.DataFrame(rows, columns=None if rows else ["point"])


def _facts(record, base, row: dict) -> dict:
    added = {
        name: value
        for name, value in record.parameters.items()
        if name not in row and name not in PLACES
    }
    facts = {name: getattr(record, name) for name in RESULTS}
    facts |= {
        "accuracy": record.correct / record.n,
        "predictions": committed_sweeps.digest(record),
    }
    if base:
        facts["disagreement"] = paired_tests.disagreement(
            base.predictions, record.predictions
        )
    return {"strategy": record.strategy, **added, **facts}
