"""Image files of a folder, and their pixels, all of one size."""

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image

from ptq.evidence.checks import InputError

SUFFIXES = {
    *(".png", ".jpg", ".jpeg", ".bmp", ".webp"),
    *(".tif", ".tiff", ".ppm", ".pgm"),
}
# What file browsers and archives leave behind begins so.
HIDDEN = ".", "__MACOSX"
# What is left out of an image, as torchvision does, and must be told.
CLEAR = "have transparency: it was dropped"
TURNED = "are to be turned, say their EXIF data: they were not"


def found(folder: Path) -> tuple[list[Path], list[Path]]:
    """Image files in a folder, however deep, and others, both in order.

    Links are followed, as torchvision does, but for those to a folder that
    they are in. Raises InputError where a link leads to nothing, or a folder
    cannot be read.
    """
    images, others = [], []
    for file in sorted(_files(folder, frozenset())):
        known = file.suffix.lower() in SUFFIXES and file.is_file()
        (images if known else others).append(file)
    return images, others


def inside(folder: Path) -> list[Path]:
    """What is right in a folder and not hidden, in no order.

    Raises InputError where it cannot be read.
    """
    try:
        every = [*folder.iterdir()]
    except OSError as error:
        raise InputError(
            f"{folder}: cannot be read: {error.strerror}; expected a folder "
            "of images"
        ) from error
    return [path for path in every if not path.name.startswith(HIDDEN)]


def _files(folder: Path, above: frozenset[str]) -> Iterator[Path]:
    """Files below a folder, which is below others, real paths ``above``."""
    place = os.path.realpath(folder)
    if place in above:
        return
    for path in inside(folder):
        if os.path.isdir(path):
            yield from _files(path, above | {place})
        elif os.path.exists(path):
            yield path
        else:
            raise InputError(
                f"{path}: a link to {os.path.realpath(path)}, where nothing "
                "is: fetch the data (as dvc pull, git annex get), or remove "
                "the link"
            )


def pixels(files: list[Path], dropped: dict[str, list[Path]]) -> np.ndarray:
    """uint8 (N, H, W) where all are gray, else RGB, (N, H, W, 3).

    Adds files to those of which something is ``dropped``. Raises InputError
    where a file cannot be read, and where sizes differ.
    """
    arrays = [_array(file, dropped) for file in files]
    size = arrays[0].shape[:2]
    for file, array in zip(files, arrays, strict=True):
        if array.shape[:2] != size:
            wide, high = (shape[1::-1] for shape in (array.shape, size))
            raise InputError(
                f"images of unlike sizes: {file} is {wide[0]} x {wide[1]}, "
                f"{files[0]} is {high[0]} x {high[1]} (width x height): crop "
                "or resize them as for the network's training"
            )
    if len(Counter(array.ndim for array in arrays)) > 1:
        arrays = [
            np.repeat(a[..., None], 3, 2) if a.ndim == 2 else a
            for a in arrays
        ]
    return np.stack(arrays)


def _array(file: Path, dropped: dict[str, list[Path]]) -> np.ndarray:
    """uint8 (H, W) of a gray image, else (H, W, 3)."""
    try:
        with Image.open(file) as image:
            if image.mode.startswith(("I", "F")):
                raise InputError(
                    f"{file}: pixels of more than 8 bits ({image.mode}): "
                    "expected 8; convert them as for the network's training"
                )
            if "A" in image.getbands() or "transparency" in image.info:
                dropped[CLEAR].append(file)
            if image.getexif().get(ExifTags.Base.Orientation, 1) != 1:
                dropped[TURNED].append(file)
            gray = image.mode in ("1", "L")
            return np.asarray(image.convert("L" if gray else "RGB"))
    except InputError:
        raise
    except Exception as error:  # damaged images raise many kinds
        raise InputError(
            f"{file}: cannot be read as an image: {error}"
        ) from error
