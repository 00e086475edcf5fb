"""Locks between commands: of a run folder, and of this machine's timer."""

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
    """The name of this process in messages to those that wait for it."""
    return f"PID {os.getpid()} on {platform.node()}"


@contextmanager
def folder(path: Path, instead: str = "--run-dir") -> Iterator[None]:
    """Hold a run folder, made where it is missing.

    No two commands fill one folder at a time; ``instead`` is what gives
    another folder. Raises LockedError if another command has it, and OSError
    where the folder cannot be written.
    """
    path.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(path / ".lock")
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        raise LockedError(
            f"{path} is being filled by another command, {_holder(lock)}; "
            f"wait for it, or give another {instead}"
        ) from None
    with _signed(lock, myself()):
        yield


@contextmanager
def timer(holder: str, tell: Callable[[str], None]) -> Iterator[None]:
    """Hold this machine's timer; wait while another sweep measures times.

    ``holder`` is named to others that wait; ``tell`` gets one sentence if
    this call has to wait.
    """
    lock = filelock.FileLock(timer_file())
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        tell(f"waits for the timer, held by {_holder(lock)}")
        lock.acquire()
    with _signed(lock, holder):
        yield


def timer_file() -> Path:
    """The lock file of whoever measures times on this machine."""
    # Not TMPDIR, which a cluster may give to each job.
    place = "/tmp" if os.name == "posix" else tempfile.gettempdir()
    user = os.getuid() if hasattr(os, "getuid") else getpass.getuser()
    return Path(place) / f"ptq-timing-{user}.lock"


@contextmanager
def _signed(lock: filelock.BaseFileLock, holder: str) -> Iterator[None]:
    """Write the holder into a lock, and release it in the end."""
    try:
        # The holder's name is optional: a full disk must not stop us here.
        with suppress(OSError):
            Path(lock.lock_file).write_text(holder, encoding="utf-8")
        yield
    finally:
        lock.release()


def _holder(lock: filelock.BaseFileLock) -> str:
    with suppress(OSError):
        return Path(lock.lock_file).read_text(encoding="utf-8") or "unknown"
    return "unknown"
