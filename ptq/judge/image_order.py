"""The order of the images in tables: rows are compared one by one."""

from pathlib import Path

import numpy as np
import pandas as pd

from ptq.evidence.checks import InputError


def same_names(tables: list[tuple[str, pd.DataFrame]]) -> None:
    """Refuse tables whose images, by their names, are not in the same order.

    Each is what a message calls it, and the columns beside the one that was
    chosen. A column names the images if it holds texts, each another, or
    whole numbers that rise; it is compared with those of the same title that
    have as many rows and a name in common. Raises InputError, with the
    first row that differs.
    """
    known: dict[str, tuple[str, np.ndarray]] = {}
    columns = [
        (told, title, column)
        for told, frame in tables
        for title, column in frame.items()
    ]
    for told, title, column in columns:
        if title not in known and _names_images(column):
            known[title] = told, column.astype(str).to_numpy()
    for told, title, column in columns:
        first, wanted = known.get(title, ("", np.empty(0)))
        names = column.astype(str).to_numpy()
        if len(names) == len(wanted) and np.isin(names, wanted).any():
            _refuse_other(names, wanted, f"column {title}", told, first)


def _names_images(column: pd.Series) -> bool:
    if not column.is_unique or column.dtype.kind in "fb":
        return False
    numbers = column.dtype.kind in "iu"
    return not numbers or (len(column) > 2 and column.is_monotonic_increasing)


def _refuse_other(names, known, column: str, told: str, first: str) -> None:
    odd = np.flatnonzero(names != known)
    if odd.size:
        row = odd[0]
        raise InputError(
            f"{told}: {column} has {names[row]} in row {row} (from 0), "
            f"where {first} has {known[row]}: sort the rows of every file "
            "by it, and keep the same images, for they are compared row by "
            "row"
        )


def refuse_unsorted(others: pd.DataFrame, path: Path) -> None:
    """Refuse numbers of images in disorder, with InputError.

    ``others`` are the columns beside the one that was chosen.
    """
    for name, column in others.items():
        numbers = column.dtype.kind in "iu" and len(column) > 2
        rising = column.is_monotonic_increasing
        if numbers and column.is_unique and not rising:
            raise InputError(
                f"{path}: column {name} seems to number the images, and does "
                "not rise: sort the rows of every file by it, for images are "
                "compared row by row"
            )


def counts(column: pd.Series, path: Path) -> bool:
    """Whether a first column counts the rows, from 0 or 1.

    Raises InputError where it does so in another order.
    """
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
