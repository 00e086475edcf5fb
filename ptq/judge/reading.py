"""Predictions, logits and labels of any tool, read from its files."""

import csv
import io
import os
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd

from ptq.evidence.checks import InputError
from ptq.judge import image_order

KINDS = (".npy", ".npz", ".csv")
# How files of numpy.save and of numpy.savez begin.
MAGIC = (b"\x93NUMPY", b"PK")
# Columns of a table that are no outputs of a network.
NO_OUTPUTS = {
    *("id", "index", "idx", "image", "file", "class"),
    *("label", "labels", "target", "truth", "y", "y_true"),
    *("pred", "preds", "prediction", "predictions", "predicted", "y_pred"),
}
MANY = 8


def read(given: str) -> np.ndarray:
    """The array of a file: ``FILE``, ``FILE.npz:ARRAY``, ``FILE.csv:COLUMN``.

    Of numpy's files it has the shape and dtype that were saved; of a ``.csv``
    shape (rows,), or (rows, columns) where there are several. A ``.csv`` may
    have a header, and a first column that counts its rows, which is dropped.
    Tabs, semicolons or spaces may separate values, too. Nothing in a file is
    executed: arrays of Python objects are refused. Raises InputError, naming
    the file and what to do.
    """
    return _read(given)[0]


def read_all(given: list[str]) -> list[np.ndarray]:
    """The arrays (N,) or (N, C) of files on the same images, as by ``read``.

    Raises InputError as it does, and where columns beside the chosen ones
    name the images, and name others or in another order.
    """
    found = [_read(one) for one in given]
    image_order.same_names(
        [(one, beside) for one, (_, beside) in zip(given, found, strict=True)]
    )
    return [array for array, _ in found]


def _read(given: str) -> tuple[np.ndarray, pd.DataFrame]:
    """An array, and the columns that stand beside it in its file."""
    path, part = _split(given)
    if part and path.suffix.lower() == ".npy":
        raise InputError(f"{given}: expected {path}, which holds one array")
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
    return _from_numpy(content, path, part), pd.DataFrame()


def names(given: list[str]) -> list[str]:
    """A short name for each file, its stem or its part; whole if not unique.

    Raises InputError where a file is given twice.
    """
    keys = [(place(name), _split(name)[1]) for name in given]
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
    if not os.path.exists(given) and ":" in given:
        file, _, part = given.rpartition(":")
        if Path(file).suffix.lower() in KINDS:
            return Path(file), part
    return Path(given), ""


def place(given: str) -> str:
    """The whole path of the file, without the part that is asked of it."""
    return os.path.realpath(_split(given)[0])


def _from_numpy(content: bytes, path: Path, part: str) -> np.ndarray:
    if not content.startswith(MAGIC):
        raise InputError(f"{path}: no file that numpy.save or savez wrote")
    stream = io.BytesIO(content)
    try:
        with warnings.catch_warnings():
            # Of an odd padding, which changes no value.
            warnings.simplefilter("ignore", UserWarning)
            found = np.load(stream, allow_pickle=False)
        if not isinstance(found, np.ndarray):
            part = _chosen(part, found.files, f"{path}", "array")
            # numpy checks no checksum where a damaged header asks for less.
            if bad := found.zip.testzip():
                raise InputError(f"{path}: damaged: {bad}")
            found = found[part]
        elif stream.tell() < len(content):
            raise InputError(
                f"{path}: there is more after its first array; save each "
                "array in a file of its own, or in one .npz"
            )
    except InputError:
        raise
    except Exception as error:  # damaged archives raise almost anything
        if "pickle" in str(error):
            raise InputError(
                f"{path}: holds Python objects, which are not loaded, for "
                "that could run code; save an array of numbers"
            ) from error
        raise InputError(f"{path}: damaged: {_line(error)}") from error
    if not isinstance(found, np.ndarray):
        raise InputError(f"{path}: {part} is no array of numpy")
    return found


def _from_csv(
    content: bytes, path: Path, part: str
) -> tuple[np.ndarray, pd.DataFrame]:
    frame = _table(content, path)
    names = list(frame)
    if part:
        at = names.index(_chosen(part, names, f"{path}", "column"))
        beside = frame.drop(columns=names[at])
        image_order.refuse_unsorted(beside, path)
        return frame.iloc[:, at].values, beside
    advice = f"; choose a column by {path}:COLUMN" if len(names) > 1 else ""
    for i, name in enumerate(names):
        if frame.iloc[:, i].dtype.kind not in "iuf":
            raise InputError(
                f"{path}: column {name} (of {_listed(names)}) holds no "
                f"numbers but {_no_number(frame.iloc[:, i])!r}: expected "
                f"numbers, of a class from 0 on{advice}"
            )
    if len(names) > 1 and image_order.counts(frame.iloc[:, 0], path):
        frame = frame.iloc[:, 1:]
    if frame.shape[1] == 1:
        return frame.values[:, 0], pd.DataFrame()
    _refuse_no_outputs(frame, path, advice)
    return frame.values, pd.DataFrame()


def _no_number(column: pd.Series) -> str:
    """The first value in a column that is not a number."""
    odd = (str(v) for v in column if not _is_number(str(v)))
    return next(odd, str(column.iloc[0]))


def _refuse_no_outputs(frame: pd.DataFrame, path: Path, advice: str) -> None:
    """Refuse a table of predictions or labels, not of a row of outputs."""
    first = frame.iloc[:, 0]
    odd = [name for name in frame if name.strip().lower() in NO_OUTPUTS]
    # Numbers of images that are not counted one by one.
    if first.dtype.kind in "iu" and len(first) > 2 and first[0] >= 0:
        odd += [frame.columns[0]] * bool((first.diff()[1:] > 0).all())
    if odd:
        raise InputError(
            f"{path}: column {odd[0]} (of {_listed(list(frame))}) looks like "
            f"no output of a network{advice}"
        )


def _table(content: bytes, path: Path) -> pd.DataFrame:
    """The cells, with the names of the header, else "1", "2", ..."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: no text in UTF-8 (byte {error.start}): save it as UTF-8"
        ) from error
    # Empty lines at the ends are ignored. One between values is an image
    # without a value, and must not shift the values after it.
    text = text.replace("\r\n", "\n").replace("\r", "\n").strip("\n")
    between, names = _header(text)
    try:
        frame = pd.read_csv(
            io.StringIO(text),
            sep=between,
            header=None,
            index_col=False,
            skiprows=1 if names else 0,
            skip_blank_lines=False,
            skipinitialspace=True,
            low_memory=False,
        )
    except (ValueError, pd.errors.ParserError) as error:
        empty = isinstance(error, pd.errors.EmptyDataError)
        told = "no rows" if empty else f"no table: {_line(error)}"
        raise InputError(f"{path}: {told}") from error
    width = frame.shape[1]
    if names and len(names) != width:
        raise InputError(
            f"{path}: its header names {len(names)} columns, its rows have "
            f"{width}"
        )
    frame.columns = names or [str(i + 1) for i in range(width)]
    return frame


def _header(text: str) -> tuple[str, list[str]]:
    """The separator of cells, and the columns' names if there is a header."""
    first, _, rest = text.partition("\n")
    between = next((mark for mark in ("\t", ";", ",") if mark in first), ",")
    cells = next(csv.reader([first], delimiter=between), [""])
    if all(map(_is_number, cells := [cell.strip() for cell in cells])):
        # The way pandas numbers columns; no row of outputs looks like it.
        counted = cells == [str(i) for i in range(len(cells))]
        real = len(cells) > 2 or "." in rest.partition("\n")[0]
        return between, cells if counted and real else []
    if len(first.split()) > 1 and all(map(_is_number, first.split())):
        return r"\s+", []
    return between, cells


def _line(error: Exception) -> str:
    return " ".join(str(error).split())


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return "_" not in cell


def _chosen(part: str, known: list[str], path: str, kind: str) -> str:
    if not known:
        raise InputError(f"{path}: holds no {kind}")
    counts = Counter(known)
    for name in [part] if part else known:
        if counts[name] > 1:
            raise InputError(
                f"{path}: {counts[name]} {kind}s are named {name!r}: "
                "expected one"
            )
    if part in known:
        return part
    if not part and len(known) == 1:
        return known[0]
    if part:
        raise InputError(
            f"{path}: no {kind} {part!r}; it has {_listed(known)}"
        )
    raise InputError(
        f"{path}: several {kind}s; expected {path}:NAME with one of "
        f"{_listed(known)}"
    )


def _listed(names: list[str]) -> str:
    more = f", ... ({len(names)} in all)" if len(names) > MANY else ""
    return ", ".join(names[:MANY]) + more
