"""A network's state as bytes, read back without running code."""

import io
from pathlib import Path

import torch


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
    return state
