"""One point of a sweep on a worker: returns files, needs no shared disk.

A worker needs this repository and its environment; data and checkpoints it
fetches or trains itself.
"""

import json
import os
import platform
import sys
import tempfile
import time
import traceback
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import distributed

from ptq import paths
from ptq.experiment import source_hash
from ptq.running import execution, locks

FAILURE = "failure.json"


class VersionError(RuntimeError):
    """A worker has another version of the package than the sweep."""


class WorkerDied(RuntimeError):
    """Several workers died while they ran a point."""

    def __init__(self, deaths: int):
        super().__init__(
            f"its worker died {deaths} times, most often of too little memory"
        )


@dataclass(frozen=True)
class Chapter:
    """What all points of a sweep share.

    ``version`` is that of the package and data where the sweep began;
    ``timeout`` limits the seconds of each cell; an ``exclusive`` chapter runs
    alone among the sweeps of its host, and others see that they wait for
    ``holder``.
    """

    name: str
    text: str
    version: str
    timeout: int | None = None
    exclusive: bool = False
    holder: str = ""


def version() -> str:
    """Hash of the package as it lies on disk now, and of its networks.

    The package has the checksums of the data.
    """
    # A new kernel imports the files as they are when it starts.
    source_hash.package_hash.cache_clear()
    cards = sorted(paths.checkpoint_folder().glob("*.json"))
    return source_hash.of(
        source_hash.package_hash(),
        [card.read_text() for card in cards],
    )


def run(values: dict, chapter: Chapter) -> dict[str, bytes]:
    """Execute the chapter in a folder of its own; return the files in it.

    One of them is the manifest or, where the point failed, FAILURE, with
    the traceback. Networks are not returned, since they are large.
    """
    with tempfile.TemporaryDirectory(dir=_scratch()) as name:
        folder = Path(name) / "point"
        try:
            alone = locks.timer(chapter.holder or locks.myself(), say)
            with alone if chapter.exclusive else nullcontext():
                facts = _execute(folder, values, chapter)
            last = {paths.MANIFEST: _packed({"parameters": values} | facts)}
        except Exception as error:
            told = failure(values, error)
            last = {FAILURE: told.replace(f"{folder}/".encode(), b"")}
        return _files(folder) | last


def failure(values: dict, error: BaseException) -> bytes:
    """Content of FAILURE."""
    text = str(error)
    if not isinstance(
        error, execution.ChapterFailed | VersionError | WorkerDied
    ):
        text = "".join(traceback.format_exception(error))
    return _packed({"parameters": values, "error": text})


def trivial(values: dict, chapter: Chapter) -> dict[str, bytes]:
    """A point that costs nothing, to measure what scheduling costs."""
    return {paths.MANIFEST: _packed({"parameters": values})}


def mark() -> None:
    """Report to the sweep which point this worker begins now.

    If the worker dies, this point may have killed it, not those that wait.
    """
    worker = distributed.get_worker()
    key = worker.get_current_task()
    _log({"began": list(key), "threads": worker.state.nthreads})


def say(text: str) -> None:
    """Send a message to the sweep's user, or print it here without one."""
    try:
        _log({"said": text})
    except ValueError:
        print(text, file=sys.stderr)


def _log(message: dict) -> None:
    """Send a message to the sweep; ValueError where no worker runs this."""
    worker = distributed.get_worker()
    group, *_ = worker.get_current_task()
    worker.log_event(group, message | {"worker": worker.address})


def _execute(folder: Path, values: dict, chapter: Chapter) -> dict:
    started = time.time()
    _check_version(chapter)
    _prepare_kernels()
    if "train_seed" in values:
        from ptq.running import worker_networks

        worker_networks.provide(values, folder / paths.MODELS)
    given = values | ({"run_dir": str(folder)} if "run_dir" in values else {})
    source = folder.parent / f"{chapter.name}.ipynb"
    source.write_text(chapter.text)
    target = folder / source.name
    execution.execute(source, given, target, chapter.timeout, quiet=True)
    return _facts(chapter, started)


def _facts(chapter: Chapter, started: float) -> dict:
    """What the manifest tells of an execution that has ended."""
    # Not with this module: torch takes longer than all else of a start.
    from ptq.measure import host
    from ptq.running import pipeline

    return {
        "chapter": chapter.name,
        "version": chapter.version,
        "commit": pipeline.commit(),
        "host": platform.node(),
        "machine": host.machine(),
        "seconds": round(time.time() - started, 1),
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def _scratch() -> str | None:
    """The worker's own folder, which Dask clears where a worker died."""
    try:
        return distributed.get_worker().local_directory
    except ValueError:
        return None


def _check_version(chapter: Chapter) -> None:
    if (found := version()) != chapter.version:
        raise VersionError(
            f"{paths.REPOSITORY} on {platform.node()} has version {found} of "
            f"package and checkpoints, the sweep began with "
            f"{chapter.version}: bring both to the same commit, start the "
            "workers again and run the sweep with --retry"
        )


def _prepare_kernels() -> None:
    """A kernel inherits: one thread a point, and this very package."""
    for library in ("OMP", "MKL", "OPENBLAS"):
        os.environ[f"{library}_NUM_THREADS"] = "1"
    others = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    ours = str(paths.REPOSITORY)
    found = [ours, *(p for p in others if p not in ("", ours))]
    os.environ["PYTHONPATH"] = os.pathsep.join(found)


def _files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and folder / paths.MODELS not in path.parents
    }


def _packed(content: dict) -> bytes:
    return (json.dumps(content, indent=1) + "\n").encode()
