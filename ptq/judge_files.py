"""Predictions, logits and labels of any tool, read from its files."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd

from ptq.checks import InputError

KINDS = (".npy", ".npz", ".csv")


def read(given: str) -> np.ndarray:
    """The array of a file: ``FILE``, ``FILE.npz:ARRAY``, ``FILE.csv:COLUMN``.

    Of numpy's files it has the shape and dtype that were saved; of a ``.csv``
    shape (rows,), or (rows, columns) where there are several. A ``.csv`` may
    have a header, and a first column that counts its rows, which is dropped.
    Nothing in a file is executed: arrays of Python objects are refused.
    Raises InputError, naming the file and what to do.
    """
    path, part = _split(given)
    if path.suffix.lower() not in KINDS:
        raise InputError(
            f"{given}: expected a file {', '.join(KINDS)}; numpy.save writes "
            "one from an array, and array = tensor.numpy()"
        )
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror.lower()}") from error
    if not content:
        raise InputError(f"{path}: an empty file")
    if path.suffix.lower() == ".csv":
        return _from_csv(content, path, part)
    return _from_numpy(content, path, part)


def names(given: list[str]) -> list[str]:
    """A short name for each file, its stem or its part; whole if not unique.

    Raises InputError where a file is given twice.
    """
    keys = [_resolved(name) for name in given]
    for name, key in zip(given, keys, strict=True):
        if keys.count(key) > 1:
            raise InputError(f"{name}: given twice; expected other files")
    short = [part or path.stem for path, part in map(_split, given)]
    return [
        name if short.count(name) == 1 else whole
        for name, whole in zip(short, given, strict=True)
    ]


def class_names(given: str) -> list[str]:
    """Names of the classes: a text file with one a line, or "cat,dog".

    Raises InputError where the file is no text, or a name is empty.
    """
    path = Path(given)
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError, ValueError) as error:
        if "," not in given or path.exists():
            raise InputError(
                f"{given}: expected a text file with a name a line, or names "
                "with commas between them"
            ) from error
        lines = given.split(",")
    found = [line.strip() for line in lines]
    if "" in found:
        raise InputError(f"{given}: class {found.index('')} has no name")
    return found


def _split(given: str) -> tuple[Path, str]:
    if not Path(given).exists() and ":" in given:
        file, _, part = given.rpartition(":")
        if Path(file).suffix.lower() in KINDS:
            return Path(file), part
    return Path(given), ""


def _resolved(given: str) -> tuple[Path, str]:
    path, part = _split(given)
    return path.resolve(), part


def _from_numpy(content: bytes, path: Path, part: str) -> np.ndarray:
    try:
        found = np.load(io.BytesIO(content), allow_pickle=False)
        if isinstance(found, np.ndarray):
            return found
        part = _chosen(part, found.files, f"{path}", "array")
        return found[part]
    except InputError:
        raise
    except (ValueError, EOFError, OSError, zipfile.BadZipFile) as error:
        if "pickle" in str(error):
            raise InputError(
                f"{path}: holds Python objects, which are not loaded, for "
                "that could run code; save an array of numbers"
            ) from error
        raise InputError(
            f"{path}: damaged, or no such file: {_line(error)}"
        ) from (error)


def _from_csv(content: bytes, path: Path, part: str) -> np.ndarray:
    frame = _table(content, path)
    if part:
        return frame[_chosen(part, list(frame), f"{path}", "column")].values
    if text := [name for name in frame if frame[name].dtype.kind not in "if"]:
        raise InputError(
            f"{path}: column {text[0]} (of {', '.join(frame)}) holds no "
            f"numbers; choose a column by {path}:COLUMN"
        )
    if frame.shape[1] > 1 and _counts(frame.iloc[:, 0], path):
        frame = frame.iloc[:, 1:]
    return frame.values[:, 0] if frame.shape[1] == 1 else frame.values


def _table(content: bytes, path: Path) -> pd.DataFrame:
    """The cells, with the names of the header, else "1", "2", ..."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: no text in UTF-8: {_line(error)}"
        ) from error
    first = text.lstrip("\r\n").split("\n", 1)[0].strip("\r")
    between = next((mark for mark in ("\t", ";", ",") if mark in first), ",")
    cells = [cell.strip().strip('"') for cell in first.split(between)]
    counted = [str(i) for i in range(len(cells))]
    header = not all(map(_is_number, cells)) or (
        len(cells) > 2 and cells == counted
    )
    try:
        frame = pd.read_csv(
            io.StringIO(text),
            sep=between,
            header=0 if header else None,
            skipinitialspace=True,
        )
    except (ValueError, pd.errors.ParserError) as error:
        raise InputError(f"{path}: no table: {_line(error)}") from error
    if frame.empty:
        raise InputError(f"{path}: no rows")
    if not header:
        frame.columns = [str(i + 1) for i in range(frame.shape[1])]
    return frame.rename(columns=str)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _counts(column: pd.Series, path: Path) -> bool:
    """Whether a first column counts the rows; refused if out of order."""
    rows = np.arange(len(column))
    for start in (0, 1):
        if np.array_equal(column, rows + start):
            return True
        if len(column) > 2 and np.array_equal(np.sort(column), rows + start):
            raise InputError(
                f"{path}: its first column numbers the rows in another "
                "order; sort them, for images are compared row by row"
            )
    return False


def _chosen(part: str, known: list[str], path: str, kind: str) -> str:
    if part in known:
        return part
    if not part and len(known) == 1:
        return known[0]
    if not known:
        raise InputError(f"{path}: holds no {kind}")
    wrong = f"no {kind} {part!r}" if part else f"several {kind}s"
    raise InputError(
        f"{path}: {wrong}; expected {path}:NAME with one of "
        f"{', '.join(known)}"
    )
