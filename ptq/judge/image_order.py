"""The order of rows and outputs in tables: they are compared by place."""

from collections.abc import Iterator
from functools import cached_property
from itertools import combinations, product
from os.path import commonprefix
from pathlib import Path

import numpy as np
import pandas as pd

from ptq.evidence.checks import InputError

# From here on, a float may be another whole number than was written.
EXACT = 2**53


def same_names(tables: list[tuple[str, np.ndarray, pd.DataFrame]]) -> None:
    """Refuse tables whose images, by their names, are not in the same order.

    Each is what a message calls it, the column (N,) that was chosen, and
    those beside it. A column names the images if it holds texts, each
    another, or whole numbers that rise; it is compared with those of the
    same title that have as many rows and a name in common. Texts are compared
    whatever the titles, capitals and folders, if most names are in both
    columns; names that repeat, if all are. Raises InputError, with the first
    row that differs.
    """
    found = [
        [_Column(told, chosen, *titled) for titled in beside.items()]
        for told, chosen, beside in tables
    ]
    for first, later in combinations(found, 2):
        for one, other in _pairs(first, later):
            _compare(one, other)


class _Column:
    """A column, what a message calls its file, and what it may name."""

    def __init__(self, told: str, chosen: np.ndarray, title: str, values):
        self.told, self.chosen = told, chosen
        self.title, self.values = title, whole(values)

    @cached_property
    def is_text(self) -> bool:
        return self.values.dtype.kind not in "iufb"

    @cached_property
    def names_images(self) -> bool:
        if not self.values.is_unique or self.values.dtype.kind in "fb":
            return False
        rises = len(self.values) > 2 and self.values.is_monotonic_increasing
        return self.is_text or rises

    @cached_property
    def repeats(self) -> bool:
        """Whether it may name images that have several rows each.

        Few words may be parts of the data, or the machines; and what each
        chosen value tells is the name of its class.
        """
        values, rows = self.values, len(self.values)
        known = values.nunique()
        if values.dtype.kind in "fb" or not min(rows / 5, 30) <= known < rows:
            return False
        pairs = pd.DataFrame({"one": self.chosen, "other": values.to_numpy()})
        return len(pairs.drop_duplicates()) > pairs.one.nunique()

    @cached_property
    def names(self) -> np.ndarray:
        return self.values.astype(str).to_numpy(dtype=object)

    @cached_property
    def paths(self) -> np.ndarray:
        """The names without capitals and the folders that all are in."""
        paths = [
            name.strip().casefold().replace("\\", "/").split("/")
            for name in self.names
        ]
        shared = len(commonprefix([min(paths), max(paths)]))
        shared = min(shared, min(map(len, paths)) - 1)
        return np.array(["/".join(path[shared:]) for path in paths], object)

    @cached_property
    def files(self) -> np.ndarray:
        names = [path.rpartition("/")[2] for path in self.paths]
        return np.array(names, object)


def _pairs(
    first: list[_Column], later: list[_Column]
) -> Iterator[tuple[_Column, _Column]]:
    """Columns of one title, and texts whose titles have no partner."""
    for fold in (str, str.casefold):
        known = {fold(one.title): one for one in first}
        asked = {fold(one.title): one for one in later}
        yield from ((known[t], asked[t]) for t in known if t in asked)
        first = [one for one in first if fold(one.title) not in asked]
        later = [one for one in later if fold(one.title) not in known]
    yield from product(
        [one for one in first if one.is_text],
        [one for one in later if one.is_text],
    )


def _compare(one: _Column, other: _Column) -> None:
    """Refuse columns that name the same images in another order."""
    if len(one.values) != len(other.values):
        return
    if _share_images(one, other):
        _refuse_other(one, other, one.names != other.names)
    elif all(c.names_images or c.repeats for c in (one, other)):
        for form in ("names", "paths", "files"):
            known, names = getattr(one, form), getattr(other, form)
            if sorted(known) == sorted(names):
                _refuse_other(one, other, known != names)
                return


def _share_images(one: _Column, other: _Column) -> bool:
    """Whether they name images in the same words, at least some of them."""
    sure = [one.names_images, other.names_images]
    titled = one.title.casefold() == other.title.casefold()
    if not (any(sure) if titled else all(sure)):
        return False
    return np.isin(other.names, one.names).mean() > (0 if titled else 0.5)


def _refuse_other(one: _Column, other: _Column, odd: np.ndarray) -> None:
    if odd.any():
        row = np.flatnonzero(odd)[0]
        place = "" if one.title == other.title else f" in column {one.title}"
        raise InputError(
            f"{other.told}: column {other.title} has {other.names[row]} in "
            f"row {row} (from 0), where {one.told} has {one.names[row]}"
            f"{place}: sort the rows of every file by it, and keep the same "
            "images, for they are compared row by row"
        )


def same_outputs(tables: list[tuple[str, list[str]]]) -> None:
    """Refuse outputs whose names are the same in another order.

    Each is what a message calls it, and the titles of its columns. An output
    is a class by its place alone. Raises InputError, with the first that
    differs.
    """
    for (first, known), (told, names) in combinations(tables, 2):
        if (at := _moved(known, names)) is not None:
            raise InputError(
                f"{told}: output {at} (from 0) is {names[at]}, where "
                f"{first} has {known[at]}: expected the columns of every "
                "file in one order; write them in the order of the classes"
            )


def _moved(known: list[str], names: list[str]) -> int | None:
    """Where names first differ from the same ones, maybe in capitals."""
    for fold in (str, str.casefold):
        one, other = ([*map(fold, row)] for row in (known, names))
        if one != other and sorted(one) == sorted(other):
            return next(k for k in range(len(one)) if one[k] != other[k])
    return None


def whole(column: pd.Series) -> pd.Series:
    """A column with whole floats as integers, as pandas had them before.

    It writes numbers with ``.0`` after a join that left a hole for a time.
    """
    if column.dtype.kind != "f":
        return column
    values = column.to_numpy()
    exact = (np.floor(values) == values) & (abs(values) < EXACT)
    return column.astype(np.int64) if exact.all() else column


def refuse_unsorted(others: pd.DataFrame, path: Path) -> None:
    """Refuse numbers of images in disorder, with InputError.

    ``others`` are the columns beside the one that was chosen.
    """
    for name, column in others.items():
        column = whole(column)
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
