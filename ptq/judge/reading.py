"""Predictions, logits and labels of any tool, read from its files."""

import io
import os
import warnings
from pathlib import Path

import numpy as np

from ptq.evidence.checks import InputError
from ptq.judge import image_order, table_files
from ptq.judge.parts import chosen, line
from ptq.judge.table_files import Found

KINDS = (".npy", ".npz", ".csv")
# How files of numpy.save and of numpy.savez begin.
MAGIC = (b"\x93NUMPY", b"PK")


def read(given: str) -> np.ndarray:
    """The array of a file: ``FILE``, ``FILE.npz:ARRAY``, ``FILE.csv:COLUMN``.

    Of numpy's files it has the shape and dtype that were saved; of a ``.csv``
    shape (rows,), or (rows, columns) where there are several. A ``.csv`` may
    have a header, and a first column that counts its rows, which is dropped.
    Tabs, semicolons or spaces may separate values, too. Nothing in a file is
    executed: arrays of Python objects are refused. Raises InputError, naming
    the file and what to do.
    """
    return _read(given).array


def read_all(given: list[str]) -> list[np.ndarray]:
    """The arrays (N,) or (N, C) of files on the same images, as by ``read``.

    Raises InputError as it does, where a file is given twice, as for the
    labels of its own predictions, and where columns beside the chosen ones
    name the images, and name others or in another order; likewise where the
    headers of outputs name them in another order.
    """
    _refuse_twice(given)
    found = [_read(one) for one in given]
    image_order.same_names(
        [
            (name, one.array, one.beside)
            for name, one in zip(given, found, strict=True)
        ]
    )
    image_order.same_outputs(
        [(name, one.outputs) for name, one in zip(given, found, strict=True)]
    )
    return [one.array for one in found]


def _read(given: str) -> Found:
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
        return table_files.from_csv(content, path, part)
    return Found(_from_numpy(content, path, part))


def names(given: list[str]) -> list[str]:
    """A short name for each file, its stem or its part; whole if not unique.

    Raises InputError where a file is given twice.
    """
    _refuse_twice(given)
    short = [part or path.stem for path, part in map(_split, given)]
    return [
        name if short.count(name) == 1 else whole
        for name, whole in zip(short, given, strict=True)
    ]


def _refuse_twice(given: list[str]) -> None:
    keys = [(place(name), _split(name)[1]) for name in given]
    for name, key in zip(given, keys, strict=True):
        if keys.count(key) > 1:
            raise InputError(
                f"{name}: given twice; expected other files, also for labels"
            )


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
    # By content, for an archive of savez may be named .npy, too.
    if part and content.startswith(MAGIC[0]):
        raise InputError(
            f"{path}:{part}: expected {path}, which holds one array"
        )
    stream = io.BytesIO(content)
    try:
        with warnings.catch_warnings():
            # Of an odd padding, which changes no value.
            warnings.simplefilter("ignore", UserWarning)
            found = np.load(stream, allow_pickle=False)
        if not isinstance(found, np.ndarray):
            _refuse_of_torch(found.zip.namelist(), path)
            part = chosen(part, found.files, f"{path}", "array")
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
        raise InputError(f"{path}: damaged: {line(error)}") from error
    if not isinstance(found, np.ndarray):
        raise InputError(f"{path}: {part} is no array of numpy")
    return found


def _refuse_of_torch(names: list[str], path: Path) -> None:
    if any(name.endswith("/data.pkl") for name in names):
        raise InputError(
            f"{path}: a file of torch.save, which is not loaded, for that "
            "could run code; save by numpy.save, and array = tensor.numpy()"
        )
