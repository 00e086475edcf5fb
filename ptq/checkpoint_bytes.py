"""A network's state as bytes, read back without running code."""

import hashlib
import io
from pathlib import Path

import torch

from ptq import paths

DIGEST = hashlib.sha256().digest_size


class CheckpointError(RuntimeError):
    """A checkpoint is missing, damaged, or belongs to another network."""


def pack(state: dict) -> bytes:
    """The bytes that torch.save writes for ``state``.

    Made in memory: torch writes a file's own name into it, but equal states
    must have equal sizes and checksums.
    """
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


def unpack(path: Path, content: bytes) -> dict:
    """The state that ``pack`` wrote as ``content``; runs no code from it.

    Raises CheckpointError, naming ``path``, where it is anything else.
    """
    try:
        state = torch.load(
            io.BytesIO(content), weights_only=True, map_location="cpu"
        )
    except Exception as error:  # torch and pickle raise many kinds
        first = str(error).strip().partition("\n")[0]
        raise CheckpointError(
            f"{path} holds no plain tensors: {first}"
        ) from error
    if not isinstance(state, dict):
        raise CheckpointError(
            f"{path} holds a {type(state).__name__}: expected the state of "
            "a network, name by name"
        )
    if odd := [name for name in state if not isinstance(name, str)]:
        raise CheckpointError(
            f"{path} holds {odd[0]!r:.60}: expected names, as a network's "
            "state has them; save network.state_dict()"
        )
    return state


def write_sealed(path: Path, content: bytes) -> int:
    """Write ``content`` and its SHA-256; the number of bytes.

    Raises OSError where it cannot be written; then an older file is left as
    it was.
    """
    content += hashlib.sha256(content).digest()
    paths.write_whole(path, content)
    return len(content)


def read_sealed(path: Path, damaged: Exception) -> bytes:
    """The content that ``write_sealed`` wrote.

    Raises ``damaged`` where the checksum differs, and an error of its type,
    naming ``path``, where the file cannot be read.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise type(damaged)(f"{path}: {error.strerror}") from error
    content, digest = content[:-DIGEST], content[-DIGEST:]
    if hashlib.sha256(content).digest() != digest:
        raise damaged
    return content
