"""What a network puts out for many images, kept on disk part by part.

An interrupted run therefore computes no part twice.
"""

import hashlib
import io
import platform
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ptq import paths
from ptq.evidence.checks import InputError
from ptq.graph.module_outputs import asking

# Images that are kept together, and that a network is asked at once.
PART, BATCH = 256, 32


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


def sealed(content: bytes, key: str) -> bytes:
    """``content``, and behind it a line with a checksum of it and ``key``."""
    return content + f"\n{digest(key, content)}\n".encode()


def unsealed(path: Path) -> bytes | None:
    """The content that was sealed by the file's stem; None for any other.

    A disk or a hand that changed one bit would else change what is judged.
    """
    try:
        whole = path.read_bytes()
    except OSError:  # none
        return None
    content = whole[: -len(sealed(b"", ""))]
    return content if whole == sealed(content, path.stem) else None


def asked(network: Callable, images: Tensor) -> Tensor:
    """What ``network`` puts out, (N, C), for images (N, ...), in batches.

    Of a module, a copy in eval mode is asked, as ``asking`` gives it.
    """
    with asking(network) as one:
        return torch.cat([one(batch) for batch in images.split(BATCH)])


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
        machine = f"{platform.machine()} {platform.processor()}"
        path = self.folder / f"{digest(key, machine, part)[:32]}.npy"
        self._used.add(path)
        if (kept := _read(path)) is not None:
            return kept
        made = asked(network, part).numpy()
        buffer = io.BytesIO()
        np.save(buffer, made)
        paths.write_whole(path, sealed(buffer.getvalue(), path.stem))
        return made

    def forget_others(self) -> None:
        """Remove the parts of other networks and images from the folder."""
        for path in set(self.folder.glob("*.npy")) - self._used:
            path.unlink()


def _read(path: Path) -> np.ndarray | None:
    content = unsealed(path)
    if content is None:
        return None
    return np.load(io.BytesIO(content), allow_pickle=False)
