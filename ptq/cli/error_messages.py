"""Commands end with a sentence, not with a traceback."""

import errno
import os
import signal
import sys
import threading
import time
import traceback
from _thread import interrupt_main
from pathlib import Path

import click

from ptq.paths import RepositoryError

# Seconds until an interruption that Python dropped comes again.
AGAIN = 0.2
# Seconds in which an interrupted command ends: in them another interruption
# would only break off how it ends its workers.
ENDING = 30
FULL = (errno.ENOSPC, errno.EDQUOT)
# Options that say where a command writes.
PLACES = ("--run-dir", "--folder", "--runs", "--out", "--json", "--page")
UNWRITABLE = (
    *(*FULL, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR),
    *(errno.EEXIST, errno.EISDIR, errno.ENAMETOOLONG, errno.EIO),
    errno.EFBIG,
)


class told:
    """One place that ends commands with a sentence, not with a traceback.

    Shows the package's own ``errors`` as they are and an interruption as
    such. For a folder that cannot be written it names ``folder``, once known,
    or the folder of the file. ``status`` is the exit status of the package's
    own errors; ``then`` says what an interrupted command leaves.
    """

    # Whether the process ends with the command. Then Ctrl-C is ignored once
    # it was told, for Python takes a moment to end, too.
    alone = False

    def __init__(self, *errors, status=1, then="the same command continues"):
        self.errors = (RepositoryError, *errors)
        self.status, self.then, self.folder = status, then, None
        self.interrupted, self.before = False, {}
        self.ends_until = 0.0

    def __enter__(self):
        if threading.current_thread() is threading.main_thread():
            # A cluster that takes a machine back sends SIGTERM: as Ctrl-C.
            self._watch(signal.SIGTERM)
            if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
                self._watch(signal.SIGINT)
            self.hook, sys.unraisablehook = sys.unraisablehook, self._dropped
        return self

    def __exit__(self, kind, error, trace):
        for number, handler in self.before.items():
            last = handler is signal.default_int_handler and self.alone
            ends = self.interrupted and last
            signal.signal(number, signal.SIG_IGN if ends else handler)
        if self.before:
            sys.unraisablehook = self.hook
        # Who catches everything may have made another error of it, or none.
        ended = isinstance(error, SystemExit)
        interrupted = self.interrupted and not ended
        if interrupted or isinstance(error, KeyboardInterrupt):
            line = "\n" if sys.stderr.isatty() else ""
            text = f"{line}interrupted; {self.then}"
            click.echo(text, err=True)
            raise SystemExit(130) from error
        if isinstance(error, OSError) and (
            error.errno in UNWRITABLE or _unmakable(error, self.folder)
        ):
            raise self._ended(_unwritable(error, self.folder)) from error
        if isinstance(error, ModuleNotFoundError):
            raise self._ended(
                f"{error.name} is not installed: in the book's repository, "
                "`pip install -r requirements.txt` installs it"
            ) from error
        if isinstance(error, self.errors):
            told = str(error)
            if isinstance(error, OSError) and error.filename:
                told = f"{error.filename}: {error.strerror}"
            raise self._ended(told) from error

    def _watch(self, number):
        self.before[number] = signal.signal(number, self._interrupt)

    def _interrupt(self, number, frame):
        if time.monotonic() < self.ends_until:
            return
        self.interrupted = True
        self.ends_until = time.monotonic() + ENDING
        raise KeyboardInterrupt

    def _dropped(self, lost):
        """Python drops what is raised in a callback of a weak reference."""
        if lost.exc_type is not KeyboardInterrupt:
            self.hook(lost)
            return
        self.ends_until = 0.0
        again = threading.Timer(AGAIN, interrupt_main, [signal.SIGTERM])
        again.daemon = True
        again.start()

    def _ended(self, text):
        told = click.ClickException(text)
        told.exit_code = self.status
        return told


def _unmakable(error, folder):
    """Whether an error is of a folder for which there is no place."""
    if error.errno != errno.ENOENT or not (folder and error.filename):
        return False
    folder = Path(folder)
    return _near(Path(error.filename), folder) and not folder.exists()


def _near(path, folder):
    """Whether a path is a folder, or inside it, or above it."""
    path, folder = path.absolute(), folder.absolute()
    return path == folder or folder in path.parents or path in folder.parents


def _printed(error):
    """Whether an error is of what was printed, which has no file's name."""
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    return not error.filename and frame.f_code is click.echo.__code__


def _unwritable(error, folder):
    """The sentence about a folder that cannot be written, and what to do."""
    name = error.filename2 or error.filename or folder
    if name is None or _printed(error):
        what = "what is printed" if _printed(error) else "a file"
        return f"cannot write {what}: {os.strerror(error.errno)}"
    path = Path(name)
    if error.errno == errno.EISDIR:
        return f"{path} is a folder; expected the name of a file"
    if folder is None or not _near(path, Path(folder)):
        folder = path if error.errno == errno.EEXIST else path.parent
    # Something else is in the place of the folder.
    number = errno.ENOTDIR if error.errno == errno.EEXIST else error.errno
    known = [
        name
        for parameter in click.get_current_context().command.params
        for name in parameter.opts
        if name in PLACES
    ]
    names = " or ".join(known)
    ways = [f"give another {names}" if known else "make it writable"]
    if number in FULL:
        ways.insert(0, "free some")
    if number == errno.EFBIG:
        ways.insert(0, "raise the limit of a file's size (ulimit -f)")
    return f"cannot write to {folder}: {os.strerror(number)}; " + " or ".join(
        ways
    )
