"""Folders of the repository, and files written whole or not at all."""

import errno
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

REPOSITORY = Path(__file__).resolve().parents[1]
# Results that are kept with the book.
REFERENCE = REPOSITORY / "book" / "reference"
# In the folder of a run: folders of what it measured and made. In that of a
# sweep: a folder for each point, and the table of all.
CHAPTERS, MODELS = "chapters", "models"
RECORDS, TIMINGS = "records", "timings"
POINTS, TABLE = "points", "table.parquet"
# When, where and from what a run or a point was made; written last.
MANIFEST = "manifest.json"


class RepositoryError(RuntimeError):
    """The package is installed without the book's repository around it."""


def repository(what: str) -> Path:
    """Folder of the repository.

    RepositoryError, naming ``what`` needs it, where there is none.
    """
    if (REPOSITORY / "_toc.yml").exists():
        return REPOSITORY
    raise RepositoryError(
        f"{what} needs the repository of the book: clone it, and install the "
        "package there with `pip install -r requirements.txt`"
    )


def data_folder(given: str | Path = "") -> Path:
    """Folder of the data set: ``given``, else PTQ_DATA_DIR, else default.

    The default is in the repository: RepositoryError where there is none.
    """
    if found := given or os.environ.get("PTQ_DATA_DIR"):
        return Path(found).absolute()
    default = repository("CIFAR-10 without PTQ_DATA_DIR or data_dir")
    return default / "notebooks" / "data"


def run_folder(given: str | Path = "") -> Path:
    """Folder of records, models and executed chapters of one run.

    The default is in the repository: RepositoryError where there is none.
    """
    if given:
        return Path(given).absolute()
    return repository("a run without run_dir or --run-dir") / "runs" / "book"


def cache_folder() -> Path:
    """Folder of what was found out about this machine, for its user.

    PTQ_CACHE_DIR, else ptq in XDG_CACHE_HOME or ~/.cache.
    """
    if given := os.environ.get("PTQ_CACHE_DIR"):
        return Path(given)
    return Path(
        os.environ.get("XDG_CACHE_HOME") or "~/.cache", "ptq"
    ).expanduser()


def figures_folder(run: Path) -> Path:
    """Figures of a run: notebooks/export for the default one."""
    default = REPOSITORY / "notebooks" / "export"
    return default if run == run_folder() else run / "figures"


def checkpoint_folder() -> Path:
    """Folder of the FP32 checkpoints that the repository ships."""
    return REPOSITORY / "notebooks" / MODELS


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A temporary folder of this process, removed in the end.

    Folders that killed processes left behind are removed, too.
    """
    for left in Path(tempfile.gettempdir()).glob("ptq-*-*"):
        owner = left.name.split("-")[1]
        if owner.isdecimal() and not psutil.pid_exists(int(owner)):
            shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(
        prefix=f"ptq-{os.getpid()}-", ignore_cleanup_errors=True
    ) as name:
        yield Path(name)


@contextmanager
def whole_file(path: Path):
    """Yield a temporary path beside ``path``; rename it there on success.

    A reader therefore sees the old file or the new one, never a part of it.
    Behind a symbolic link, what it leads to is written. Raises OSError,
    which names a file, where it cannot be written, and where a device or a
    pipe is there, which must not be replaced.
    """
    path = _meant(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        handle, name = tempfile.mkstemp(
            dir=path.parent, prefix=f".{path.stem[:50]}-", suffix=path.suffix
        )
    except OSError as error:
        error.filename = str(path)
        raise
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        temporary.replace(path)
    except OSError as error:
        # On a full disk, write() names no file.
        error.filename = error.filename or str(path)
        raise
    except RuntimeError as error:
        # torch.save's error for a file that it cannot write.
        if "PytorchStreamWriter failed writing" in str(error):
            full = errno.ENOSPC
            raise OSError(full, os.strerror(full), str(path)) from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


def _meant(path: Path) -> Path:
    """The file that is to be written; OSError where none may be."""
    if path.is_symlink():
        path = Path(os.path.realpath(path))
    if path.exists() and not (path.is_file() or path.is_dir()):
        kind = "a device or a pipe; expected the name of a file"
        raise OSError(errno.EINVAL, kind, str(path))
    return path


def check_writable(path: Path) -> None:
    """Raise OSError where ``whole_file`` could write nothing to ``path``.

    For what is measured for minutes, and then to be written. Nothing is
    left, no folder either.
    """
    if path.is_dir():
        raise OSError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    above = _meant(path).absolute().parents
    near = next(folder for folder in above if os.path.lexists(folder))
    try:
        tempfile.TemporaryFile(dir=near).close()
    except OSError as error:
        error.filename = str(path)
        raise


def write_whole(path: Path, content: bytes | str) -> None:
    """Write a file so that a reader never sees a part of it.

    A file that already has this content keeps its time stamp, so that make
    does not rebuild what depends on it.
    """
    if isinstance(content, str):
        content = content.encode()
    if path.is_file() and path.read_bytes() == content:
        return
    with whole_file(path) as temporary:
        temporary.write_bytes(content)


def write_json(path: Path, content: dict) -> None:
    """Write ``content`` as readable JSON, as ``write_whole`` does."""
    write_whole(path, json.dumps(content, indent=1) + "\n")
