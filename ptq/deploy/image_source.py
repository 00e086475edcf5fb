"""A reader's images: a folder, an .npz file, or a function."""

import warnings
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils import data

from ptq.deploy import code_source, image_files
from ptq.evidence import checks
from ptq.evidence.checks import InputError
from ptq.judge import reading

CHANNELS = (1, 3)
# How many of the images calibrate, where nobody says it.
CALIBRATION = 256


@dataclass(frozen=True)
class Images:
    """``pixels``, uint8 or float32 (N, C, H, W), and what is known of them.

    ``labels`` is int64 (N,), or None; ``class_names`` those of the folders,
    by number; ``notes`` says what a reader should know about the reading.
    """

    pixels: Tensor
    labels: np.ndarray | None = None
    class_names: list[str] | None = None
    notes: list[str] = field(default_factory=list)

    def __len__(self):
        return len(self.pixels)

    def take(self, index: np.ndarray) -> "Images":
        """The images of these numbers, int64 (n,)."""
        labels = None if self.labels is None else self.labels[index]
        pixels = self.pixels[torch.from_numpy(index)]
        return replace(self, pixels=pixels, labels=labels)


def read(
    spec: str | Path, classes: list[str] | None = None, labelled: bool = True
) -> Images:
    """The images of ``spec``, with their labels where it has any.

    A folder holds images, or a folder of images for each class: their names
    are looked up in ``classes``, the names of the network's outputs; else
    they count in alphabetical order, as torchvision's ImageFolder does. An
    .npz file holds ``images`` and may hold ``labels``; a function, as
    "file.py:name", returns images, or images and labels. These images are
    uint8 or float32, (N, C, H, W), (N, H, W, C) or (N, H, W), with one or
    three channels. Folders mean nothing unless ``labelled``. Raises
    InputError, naming what is wrong.
    """
    path = Path(spec)
    if path.is_dir():
        return _from_folder(path, classes, labelled)
    if path.suffix.lower() == ".npz":
        return _from_npz(path)
    _refuse_part(str(spec))
    if ":" in str(spec):
        function, _ = code_source.found(str(spec))
        made = code_source.called(str(spec), function)
        pair = isinstance(made, tuple | list) and len(made) == 2
        try:
            return _images(str(spec), *(made if pair else (made,)))
        except InputError as error:
            odd = isinstance(made, data.Dataset | data.DataLoader)
            raise InputError(
                f"{spec if odd else error}; the function is to return an "
                "array of images, or a pair of images and labels, and "
                f"returned a {type(made).__name__}"
            ) from error
    missing = "" if path.exists() else "; there is nothing of this name"
    raise InputError(
        f"{spec}: expected a folder of images, an .npz file with images (and "
        f"labels), or file.py:function{missing}"
    )


def _refuse_part(spec: str) -> None:
    """InputError where one array of an .npz file is named."""
    file, _, part = spec.rpartition(":")
    if Path(file).suffix.lower() == ".npz":
        raise InputError(
            f"{spec}: expected {file} alone, which holds images, and may "
            f"hold labels, under these names; {part} cannot be chosen"
        )


def split(
    images: Images, calibration: int | None, seed: int
) -> tuple[Images, Images]:
    """Those that calibrate, drawn by ``seed``, and those that judge.

    No image is in both. ``calibration`` is how many; None for 256, or half
    where there are fewer than 512. Raises InputError where none is left.
    """
    if calibration is None:
        calibration = min(CALIBRATION, len(images) // 2)
    if not 1 <= calibration <= len(images) - 2:
        raise InputError(
            f"calibration={calibration} of {len(images)} images: expected at "
            "least 1, and at least two images more to judge"
        )
    order = _order(images, seed)
    drawn, rest = order[:calibration], np.sort(order[calibration:])
    return images.take(drawn), images.take(rest)


def drawn(images: Images, calibration: int | None, seed: int) -> Images:
    """As many as calibrate, by ``seed``, of images that judge nothing.

    ``calibration`` is how many; None for 256, or all where there are fewer.
    Raises InputError where there are not so many.
    """
    if calibration is None:
        calibration = min(CALIBRATION, len(images))
    if not 1 <= calibration <= len(images):
        raise InputError(
            f"calibration={calibration}: expected 1 to {len(images)}, for "
            "there are no more images"
        )
    return images.take(_order(images, seed)[:calibration])


def _order(images: Images, seed: int) -> np.ndarray:
    """Numbers of all images, int64 (N,), as drawn by ``seed``."""
    seed = checks.count(seed, "seed")
    return np.random.default_rng(seed).permutation(len(images))


def tensor(images, name: str) -> Tensor:
    """Images as uint8 or float32 (N, C, H, W), one or three channels.

    ``images`` is an array or tensor (N, C, H, W), (N, H, W, C) or
    (N, H, W). Raises InputError, by ``name``, for anything else.
    """
    array = checks.plain(images, name)
    if array.dtype not in (np.uint8, np.float32):
        raise InputError(
            f"{name}: {array.dtype}{_span(array)}: expected uint8 pixels, 0 "
            "to 255, or float32, normalized"
        )
    if array.ndim == 3:
        array = array[:, None]
    shape = array.shape
    if array.ndim == 4 and shape[3] in CHANNELS and shape[1] not in CHANNELS:
        array = array.transpose(0, 3, 1, 2)
    if array.ndim != 4 or array.shape[1] not in CHANNELS or not array.size:
        raise InputError(
            f"{name}: shape {shape}: expected (N, C, H, W) or (N, H, W, C) "
            "with one or three channels, or (N, H, W)"
        )
    made = torch.from_numpy(np.require(array, requirements=["C", "W"]))
    if odd := np.flatnonzero(~made.flatten(1).isfinite().all(1)).tolist():
        raise InputError(
            f"{name}: image {odd[0]} (from 0) has NaN or infinity: expected "
            "finite numbers"
        )
    return made


def _span(array: np.ndarray) -> str:
    if array.dtype.kind not in "iuf" or not array.size:
        return ""
    return f" from {array.min():g} to {array.max():g}"


def _images(name: str, pixels, labels=None) -> Images:
    pixels = tensor(pixels, f"{name}: images")
    if labels is not None:
        labels = checks.classes(labels, f"{name}: labels")
        named = {f"{name}: images": pixels, f"{name}: labels": labels}
        checks.same_images(**named)
    return Images(pixels, labels)


def _from_npz(path: Path) -> Images:
    # NumPy says of old or odd headers that they load slowly; they do load.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        pixels = reading.read(f"{path}:images")
        with np.load(path) as arrays:
            has_labels = "labels" in arrays.files
        labels = reading.read(f"{path}:labels") if has_labels else None
    return _images(str(path), pixels, labels)


def _from_folder(path: Path, classes, labelled: bool) -> Images:
    files, left_out = image_files.found(path)
    if not files:
        suffixes = _listed(image_files.SUFFIXES)
        raise InputError(
            f"{path}: holds no images: expected files {suffixes}, "
            "in one folder for each class or right there"
        )
    folders = [file.relative_to(path).parts[:-1] for file in files]
    labels, names = None, None
    if labelled and any(folders):
        labels, names = _labels(path, files, folders, classes)
    dropped = {image_files.CLEAR: [], image_files.TURNED: []}
    pixels = tensor(image_files.pixels(files, dropped), "images")
    notes = [
        f"{len(these)} images of {path}, as {these[0].name}, {what}, as in "
        "torchvision"
        for what, these in dropped.items()
        if these
    ]
    if left_out:
        notes.append(
            f"files of {path} that are no images were left out: "
            f"{len(left_out)}, as {left_out[0].name}"
        )
    return Images(pixels, labels, names, notes)


def _labels(path, files, folders, classes):
    """Numbers of the classes, and their names."""
    for file, inside in zip(files, folders, strict=True):
        if not inside:
            raise InputError(
                f"{file} lies beside folders of classes: expected it in one "
                "of them"
            )
    found = sorted({inside[0] for inside in folders})
    names = classes
    if not names:
        _refuse_empty(path, found)
        names = _ordered(path, found)
    if unknown := [name for name in found if name not in names]:
        raise InputError(
            f"{path}: the folder {unknown[0]} is none of the classes "
            f"{_listed(names)}"
        )
    labels = [names.index(inside[0]) for inside in folders]
    return np.array(labels, np.int64), list(names)


def _refuse_empty(path: Path, found: list[str]) -> None:
    """InputError where a folder would move the numbers of those ``found``."""
    inside = [one.name for one in image_files.inside(path) if one.is_dir()]
    if empty := sorted({*inside} - {*found}):
        raise InputError(
            f"{path / empty[0]} holds no images, and would count as a class: "
            "expected some; remove the folder, or give the names of the "
            "classes in the order of the network's outputs"
        )


def _ordered(path: Path, found: list[str]) -> list[str]:
    numbers = [name for name in found if name.isdecimal()]
    if len(numbers) == len(found) and found != sorted(found, key=int):
        raise InputError(
            f"{path}: its folders are numbers, which torchvision orders as "
            f"{_listed(found[:4])}, ...: give the names of the classes in "
            "the order of the network's outputs"
        )
    return found


def _listed(names) -> str:
    names = sorted(names) if isinstance(names, set) else list(names)
    more = f", ... ({len(names)} in all)" if len(names) > 10 else ""
    return ", ".join(names[:10]) + more
