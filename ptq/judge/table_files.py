"""Tables of any tool, in files of text, as arrays."""

import csv
import io
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from ptq.evidence.checks import InputError
from ptq.judge import image_order
from ptq.judge.parts import chosen, line, listed

# Columns of a table that are no outputs of a network.
NO_OUTPUTS = {
    *("id", "index", "idx", "image", "file", "class"),
    *("label", "labels", "target", "truth", "y", "y_true"),
    *("pred", "preds", "prediction", "predictions", "predicted", "y_pred"),
}


@dataclass(frozen=True)
class Found:
    """The array (N,) or (N, C) of a file, and what stands beside it there.

    ``beside`` are the columns that were not chosen; ``outputs`` are the names
    of C columns, as far as known.
    """

    array: np.ndarray
    beside: pd.DataFrame = field(default_factory=pd.DataFrame)
    outputs: list[str] = field(default_factory=list)


def from_csv(content: bytes, path: Path, part: str) -> Found:
    """The values of a file's content, of one column where ``part`` is given.

    Raises InputError, naming the file, as ``reading.read`` does.
    """
    frame = _table(content, path, part)
    names = list(frame)
    if part:
        at = names.index(chosen(part, names, f"{path}", "column"))
        beside = frame.drop(columns=names[at])
        image_order.refuse_unsorted(beside, path)
        if frame.iloc[:, at].dtype.kind not in "iufb":
            _refuse_words(frame, at, path, "")
        return Found(frame.iloc[:, at].values, beside)
    advice = f"; choose a column by {path}:COLUMN" if len(names) > 1 else ""
    for i in range(len(names)):
        if frame.iloc[:, i].dtype.kind not in "iuf":
            _refuse_words(frame, i, path, advice)
    if len(names) > 1 and image_order.counts(frame.iloc[:, 0], path):
        frame = frame.iloc[:, 1:]
    if frame.shape[1] == 1:
        return Found(frame.values[:, 0])
    _refuse_no_outputs(frame, path, advice)
    return Found(frame.values, outputs=list(frame))


def _refuse_words(
    frame: pd.DataFrame, at: int, path: Path, advice: str
) -> None:
    """Refuse a column, with its first value that pandas takes for no number.

    It knows no digits but those of ASCII, and no integers beyond 64 bits.
    """
    cells = [str(value) for value in frame.iloc[:, at]]
    odd = (
        row
        for row, cell in enumerate(cells)
        if not (_is_number(cell) and cell.isascii())
        or 2**63 <= abs(float(cell)) < np.inf
    )
    row = next(odd, 0)
    cell = cells[row] if len(cells[row]) <= 40 else cells[row][:40] + "..."
    raise InputError(
        f"{path}: column {frame.columns[at]} (of {listed(list(frame))}) "
        f"has {cell!r} in row {row} (from 0): expected numbers, of a class "
        f"from 0 on{advice}"
    )


def _refuse_no_outputs(frame: pd.DataFrame, path: Path, advice: str) -> None:
    """Refuse a table of predictions or labels, not of a row of outputs."""
    first = image_order.whole(frame.iloc[:, 0])
    odd = [name for name in frame if name.strip().lower() in NO_OUTPUTS]
    # Numbers of images that are not counted one by one.
    if first.dtype.kind in "iu" and len(first) > 2 and first[0] >= 0:
        odd += [frame.columns[0]] * bool((first.diff()[1:] > 0).all())
    if odd:
        raise InputError(
            f"{path}: column {odd[0]} (of {listed(list(frame))}) looks like "
            f"no output of a network{advice}"
        )


def _table(content: bytes, path: Path, part: str) -> pd.DataFrame:
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
        told = "no rows" if empty else f"no table: {line(error)}"
        _refuse_long_row(text, between, names, path)
        raise InputError(f"{path}: {told}") from error
    width = frame.shape[1]
    other = bool(names) and len(names) != width
    if other or (frame.iloc[:, -1].hasnans and not part):
        _refuse_long_row(text, between, names, path)
    if other:
        raise InputError(
            f"{path}: its header names {len(names)} columns, its rows have "
            f"{width}"
        )
    frame.columns = names or [str(i + 1) for i in range(width)]
    return frame


def _refuse_long_row(
    text: str, between: str, names: list[str], path: Path
) -> None:
    """Refuse the first row with more cells than the header or most rows.

    Pandas fills all other rows up where it is among the first.
    """
    single = len(between) == 1
    lines = text.split("\n")
    try:
        rows = csv.reader(lines, delimiter=between) if single else lines
        cells = [len(row if single else row.split()) for row in rows]
    except csv.Error:
        return
    counts = Counter(count for count in cells[bool(names) :] if count)
    most = max(counts.values(), default=0)
    usual = min((n for n in counts if counts[n] == most), default=0)
    wanted = max(usual, len(names))
    for row, count in enumerate(cells[bool(names) :]):
        if count > wanted and not (names and usual > len(names)):
            raise InputError(
                f"{path}: no table: row {row} (from 0) has {count} cells, "
                f"where {wanted} are expected as in the header or most rows: "
                "take out what is too much, as a separator at its end, or "
                "put the text that holds one in quotes"
            )


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


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return "_" not in cell
