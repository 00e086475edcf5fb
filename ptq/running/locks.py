"""Locks between commands: of a run folder, and of the stopwatch."""

import getpass
import os
import platform
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import filelock


class LockedError(RuntimeError):
    """Another command holds the folder; names the folder and the holder."""


def myself() -> str:
    """How this process is named to those that wait for it."""
    return f"PID {os.getpid()} on {platform.node()}"


@contextmanager
def folder(path: Path) -> Iterator[None]:
    """Hold a run folder, made where it is missing.

    No two commands fill one folder at a time. Raises LockedError if another
    one has it, and OSError where the folder cannot be written.
    """
    path.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(path / ".lock")
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        raise LockedError(
            f"{path} is being filled by another command, {_holder(lock)}; "
            "wait for it, or give another --run-dir"
        ) from None
    with _signed(lock, myself()):
        yield


@contextmanager
def stopwatch(holder: str, tell: Callable[[str], None]) -> Iterator[None]:
    """Hold this machine's stopwatch; wait while another sweep has it.

    ``holder`` is who others are told to wait for; ``tell`` gets one sentence
    if this call has to wait.
    """
    lock = filelock.FileLock(stopwatch_file())
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        tell(f"waits for the stopwatch, held by {_holder(lock)}")
        lock.acquire()
    with _signed(lock, holder):
        yield


def stopwatch_file() -> Path:
    """The file that whoever measures times on this machine holds."""
    # Not TMPDIR, which a cluster may give to each job.
    place = "/tmp" if os.name == "posix" else tempfile.gettempdir()
    user = os.getuid() if hasattr(os, "getuid") else getpass.getuser()
    return Path(place) / f"ptq-timing-{user}.lock"


@contextmanager
def _signed(lock: filelock.BaseFileLock, holder: str) -> Iterator[None]:
    """Write into a lock who holds it, and release it in the end."""
    try:
        # Who holds it is a help only: a full disk shows where it matters.
        with suppress(OSError):
            Path(lock.lock_file).write_text(holder, encoding="utf-8")
        yield
    finally:
        lock.release()


def _holder(lock: filelock.BaseFileLock) -> str:
    with suppress(OSError):
        return Path(lock.lock_file).read_text(encoding="utf-8") or "unknown"
    return "unknown"
