"""The pixels of image files, all of one size."""

from collections import Counter
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image

from ptq.evidence.checks import InputError

# What is left out of an image, as torchvision does, and must be told.
CLEAR = "have transparency: it was dropped"
TURNED = "are to be turned, say their EXIF data: they were not"


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
