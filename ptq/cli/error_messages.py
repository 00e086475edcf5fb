"""Commands end with a sentence, not with a traceback."""

import errno
import os
import signal
import sys
import threading
from pathlib import Path

import click

from ptq.paths import RepositoryError

FULL = (errno.ENOSPC, errno.EDQUOT)
UNWRITABLE = (
    *(*FULL, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR),
    *(errno.EEXIST, errno.EISDIR, errno.ENAMETOOLONG, errno.EIO),
)


class told:
    """One place that ends commands with a sentence, not with a traceback.

    Shows the package's own ``errors`` as they are and an interruption as
    such. For a folder that cannot be written it names ``folder``, once known,
    or the folder of the file. ``status`` is the exit status of the package's
    own errors.
    """

    def __init__(self, *errors, status=1):
        self.errors = (RepositoryError, *errors)
        self.status, self.folder = status, None

    def __enter__(self):
        # A cluster that takes a machine back sends SIGTERM: same as Ctrl-C.
        self.before = _on_termination(signal.default_int_handler)
        return self

    def __exit__(self, kind, error, trace):
        _on_termination(self.before)
        if isinstance(error, KeyboardInterrupt):
            line = "\n" if sys.stderr.isatty() else ""
            text = f"{line}interrupted; the same command continues"
            click.echo(text, err=True)
            raise SystemExit(130) from error
        if isinstance(error, OSError) and error.errno in UNWRITABLE:
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

    def _ended(self, text):
        told = click.ClickException(text)
        told.exit_code = self.status
        return told


def _on_termination(handler):
    """Set what SIGTERM does; returns what it did before."""
    if threading.current_thread() is not threading.main_thread():
        return None
    return signal.signal(signal.SIGTERM, handler)


def _unwritable(error, folder):
    """The sentence about a folder that cannot be written, and what to do."""
    path = Path(error.filename2 or error.filename or folder or Path.cwd())
    if error.errno == errno.EISDIR:
        return f"{path} is a folder; expected the name of a file"
    if folder is None or folder not in (path, *path.parents):
        folder = path.parent
    # Something else is in the place of the folder.
    number = errno.ENOTDIR if error.errno == errno.EEXIST else error.errno
    known = [
        name
        for parameter in click.get_current_context().command.params
        for name in parameter.opts
        if name in ("--run-dir", "--folder", "--runs", "--out")
    ]
    ways = [f"give another {name}" for name in known] or ["make it writable"]
    if number in FULL:
        ways.insert(0, "free some")
    return f"cannot write to {folder}: {os.strerror(number)}; " + " or ".join(
        ways
    )
