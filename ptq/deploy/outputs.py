"""What a network puts out for many images, kept on disk part by part.

An interrupted run therefore computes no part twice.
"""

import hashlib
import platform
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ptq import paths
from ptq.evidence.checks import InputError

PART = 256  # images


def digest(*parts) -> str:
    """SHA-256 of arrays, bytes and texts, as hexadecimal digits."""
    found = hashlib.sha256()
    for part in parts:
        if isinstance(part, Tensor):
            part = part.detach().numpy()
        if isinstance(part, np.ndarray):
            found.update(f"{part.dtype}{part.shape}".encode())
            part = np.ascontiguousarray(part)
        found.update(part.encode() if isinstance(part, str) else part)
    return found.hexdigest()


class Kept:
    """Outputs in a folder of parts; ``tell`` gets a sentence on each part."""

    def __init__(self, folder: Path, tell: Callable[[str], None]):
        self.folder, self.tell = folder, tell
        self._used: set[Path] = set()

    def of(
        self, name: str, key: str, network: Callable, images: Tensor
    ) -> np.ndarray:
        """Logits of ``network``, float32 (N, C), for images (N, C, H, W).

        ``network`` takes a part of the images; ``key`` changes with
        whatever changes its results. InputError where an output is not
        finite.
        """
        found = []
        for at, part in enumerate(images.split(PART)):
            self.tell(f"{name}: {at * PART:,} of {len(images):,} images")
            found.append(self._part(key, network, part))
        outputs = np.concatenate(found)
        if not np.isfinite(outputs).all():
            image = int(np.argwhere(~np.isfinite(outputs))[0, 0])
            raise InputError(
                f"{name}: its output for image {image} (from 0) is not finite"
            )
        return outputs

    def _part(self, key: str, network: Callable, part: Tensor) -> np.ndarray:
        versions = f"{torch.__version__} {platform.machine()}"
        path = self.folder / f"{digest(key, versions, part)[:32]}.npy"
        self._used.add(path)
        if (kept := _read(path)) is not None:
            return kept
        with torch.inference_mode():
            made = network(part).numpy()
        with paths.whole_file(path) as temporary:
            np.save(temporary, made)
        return made

    def forget_others(self) -> None:
        """Remove the parts of other networks and images from the folder."""
        for path in set(self.folder.glob("*.npy")) - self._used:
            path.unlink()


def _read(path: Path) -> np.ndarray | None:
    try:
        return np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):  # none, or a damaged one
        return None
