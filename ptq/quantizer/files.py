"""Dataclasses of tensors in one file, read whole and right, or refused.

The file is a zip of arrays, as numpy writes it, with a JSON text for what is
no array, and 32 bytes more: the SHA-256 of all before. Nothing in it is
code, and only the dataclasses that the reader names are made of it.
"""

import io
import json
from collections.abc import Iterable
from dataclasses import fields, is_dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ptq import packing

DAMAGES = (ValueError, KeyError, TypeError, AttributeError, OSError)


class FileError(RuntimeError):
    """A file that is missing, damaged, or of another kind; says which."""


def save(thing, path: str | Path) -> int:
    """Write a dataclass to ``path``; the number of bytes.

    Its fields are plain values, tensors, and tuples, dicts, frozensets and
    dataclasses of them. Equal things make equal files. Raises OSError where
    it cannot be written; then an older file is left as it was.
    """
    arrays: list[np.ndarray] = []
    text = json.dumps(_plain(thing, arrays)).encode()
    buffer = io.BytesIO()
    named = {f"a{i}": array for i, array in enumerate(arrays)}
    np.savez(buffer, text=np.frombuffer(text, np.uint8), **named)
    return packing.write_sealed(Path(path), buffer.getvalue())


def load(path: str | Path, kinds: Iterable[type]):
    """What ``save`` wrote; ``kinds`` are its dataclasses, its own first.

    Raises FileError, naming file and reason, where the file is missing,
    damaged, or holds something else.
    """
    kinds = list(kinds)
    damaged = FileError(
        f"{path} is damaged, or no file of a {kinds[0].__name__}: its "
        "checksum is another; save it anew"
    )
    body = packing.read_sealed(Path(path), damaged)
    try:
        arrays = dict(np.load(io.BytesIO(body), allow_pickle=False))
        described = json.loads(arrays.pop("text").tobytes())
        thing = _thing(described, arrays, {k.__name__: k for k in kinds})
    except DAMAGES as error:
        raise FileError(
            f"{path} is no file that this version reads: {error!r}"
        ) from error
    if not isinstance(thing, kinds[0]):
        raise FileError(
            f"{path} holds a {type(thing).__name__}: expected a "
            f"{kinds[0].__name__}"
        )
    return thing


def _plain(thing, arrays: list):
    """Something for JSON: each kind that JSON lacks is a dict of one item."""

    def each(many):
        return [_plain(one, arrays) for one in many]

    if isinstance(thing, Tensor):
        arrays.append(thing.detach().numpy())
        return {"tensor": f"a{len(arrays) - 1}"}
    if isinstance(thing, tuple):
        return {"tuple": each(thing)}
    if isinstance(thing, frozenset):
        return {"frozenset": each(sorted(thing))}
    if isinstance(thing, dict):
        return {"dict": each(thing.items())}
    if is_dataclass(thing):
        values = [getattr(thing, field.name) for field in fields(thing)]
        return {type(thing).__name__: each(values)}
    return thing


def _thing(given, arrays: dict, kinds: dict[str, type]):
    """What ``_plain`` described."""
    if not isinstance(given, dict):
        return given
    ((kind, content),) = given.items()
    if kind == "tensor":
        return torch.from_numpy(arrays[content].copy())
    parts = [_thing(part, arrays, kinds) for part in content]
    makers = {"tuple": tuple, "frozenset": frozenset, "dict": dict}
    return makers[kind](parts) if kind in makers else kinds[kind](*parts)
