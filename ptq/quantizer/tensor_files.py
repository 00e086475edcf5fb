"""One file of tensors and a text, read whole and right, or refused.

The file is a safetensors container: a length, a header in JSON, and numbers.
Nothing in it is code. The header's only metadata is a line with the format,
the version of ptq and a checksum; the tensor "graph" is the text, compressed
by zlib.
"""

import hashlib
import json
import os
import re
import zlib
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

import ptq
from ptq import paths
from ptq.graph import UnsupportedError

# 2 adds entropy coded weights; what does without them stays readable to all.
FORMATS = range(1, 3)
KNOWN = {str(form) for form in FORMATS}
KEY, TEXT = "ptq", "graph"
LINE = re.compile(
    r"format (\d{1,9}), version ([\w.+-]{1,40}), sha256 ([0-9a-f]{64})"
)
ZEROS = "0" * 64
# Header and text of a network of a thousand layers take a tenth of it.
LONGEST_TEXT = 2**22
LARGEST = 2**32
LONGEST_REASON = 300
DAMAGES = (
    *(ValueError, TypeError, KeyError, IndexError, AttributeError),
    *(RuntimeError, ArithmeticError, SafetensorError, zlib.error),
)


class FileError(RuntimeError):
    """A file that is missing, damaged, or of another kind; says which."""


def write(
    path: Path, text: dict, tensors: dict[str, Tensor], form: int = 1
) -> int:
    """Write plain values for JSON and tensors of any shape; the bytes.

    ``form`` is the format's number. Equal contents make equal files. Raises
    UnsupportedError where they are too large, OSError where they cannot be
    written; then an older file is left as it was.
    """
    plain = json.dumps(text, separators=(",", ":"), allow_nan=False)
    packed = np.frombuffer(zlib.compress(plain.encode(), 9), np.uint8)
    line = f"format {form}, version {ptq.__version__}, sha256 {ZEROS}"
    tensors = tensors | {TEXT: torch.from_numpy(packed.copy())}
    content = save(tensors, {KEY: line})
    longest = max(len(plain), int.from_bytes(content[:8], "little"))
    if longest > LONGEST_TEXT or len(content) > LARGEST:
        raise UnsupportedError(
            f"the network takes {len(content):,} bytes, of which its graph "
            f"{len(plain):,}: too large for a file"
        )
    digits = checksum(content, ZEROS).encode()
    content = content.replace(ZEROS.encode(), digits, 1)
    paths.write_whole(path, content)
    return len(content)


def checksum(content: bytes, digits: str) -> str:
    """SHA-256 of a file's bytes, zeros in the place of its ``digits``."""
    whole = content.replace(digits.encode(), ZEROS.encode(), 1)
    return hashlib.sha256(whole).hexdigest()


def read(path: Path) -> tuple[dict, dict[str, Tensor]]:
    """What ``write`` wrote: the text, and tensors of any shape by name.

    It takes memory for the file and what its text says, which is bounded.
    Raises FileError, naming file and reason, where the file is missing,
    damaged, of a newer format, or holds something else.
    """
    try:
        with open(path, "rb", opener=_without_waiting) as file:
            size = os.fstat(file.fileno()).st_size
            line = _line(path, file, size)
            file.seek(0)
            content = file.read(size)
    except OSError as error:
        raise FileError(f"{path}: {error.strerror}") from error
    if int(line[1]) > FORMATS[-1]:
        raise FileError(
            f"{path} was written by ptq {line[2]} in format {line[1]}: ptq "
            f"{ptq.__version__} reads format {FORMATS[-1]}; install a newer "
            "one"
        )
    if checksum(content, line[3]) != line[3] or line[1] not in KNOWN:
        raise FileError(
            f"{path} is damaged: its checksum is another; save it anew"
        )
    try:
        tensors = load(content)
        return _text(tensors.pop(TEXT)), tensors
    except DAMAGES as error:
        raise FileError(
            f"{path} is no packed network: {reason(error)}"
        ) from error


def reason(error: Exception) -> str:
    """What an error tells of a file, as one line that is not long."""
    told = " ".join(str(error).split()) or type(error).__name__
    return (
        told if len(told) <= LONGEST_REASON else f"{told[:LONGEST_REASON]}…"
    )


def _without_waiting(path, flags: int) -> int:
    """Open a file; a pipe that nobody writes is not waited for."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _line(path: Path, file, size: int) -> re.Match:
    """The line of metadata, from the header alone."""
    foreign = FileError(
        f"{path} is no packed network of ptq, or its header is damaged; save "
        "it anew"
    )
    if not 8 < size <= LARGEST:
        raise foreign
    length = int.from_bytes(file.read(8), "little")
    if length > min(LONGEST_TEXT, size - 8):
        raise foreign
    try:
        header = unique_json(file.read(length))
        line = LINE.fullmatch(header["__metadata__"][KEY])
    except DAMAGES as error:
        raise foreign from error
    if line is None:
        raise foreign
    return line


def _text(packed: Tensor) -> dict:
    opened = zlib.decompressobj()
    if packed.dtype != torch.uint8:
        raise ValueError(f"its graph is of {packed.dtype}: expected uint8")
    text = opened.decompress(packed.numpy().tobytes(), LONGEST_TEXT)
    if not opened.eof or opened.unused_data:
        raise ValueError("its graph is cut off, or too long")
    return unique_json(text)


def unique_json(text: bytes) -> dict:
    """An object of JSON, uint8 text; ValueError where a key stands twice.

    Numbers are finite: what is no JSON, such as NaN, is refused, too.
    """

    def unique(pairs):
        made = dict(pairs)
        if len(made) < len(pairs):
            raise ValueError("a name stands there twice")
        return made

    def no_number(word):
        raise ValueError(f"{word} is no number")

    return json.loads(
        text, object_pairs_hook=unique, parse_constant=no_number
    )
