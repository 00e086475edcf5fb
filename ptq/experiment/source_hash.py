"""Hashes of the code: of all, and of what makes a record."""

import hashlib
import json
from functools import cache
from pathlib import Path

from ptq import paths

TRAINING = ("data", "networks")
PACKAGE = paths.REPOSITORY / "ptq"
# The code that a record depends on; how a chapter shows it is not part of it.
SCIENCE = (
    "graph",
    "data",
    "quantizer",
    "networks",
    "methods",
    "engines",
    "measure",
    "experiment/eager_biases.py",
    "experiment/strategies.py",
    "experiment/factors.py",
    "input_checks.py",
    "checkpoint_bytes.py",
    "registry.py",
)


def of(*content) -> str:
    """Hash of anything that JSON can hold, whatever the order of its keys."""
    text = json.dumps(content, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@cache
def package_hash() -> str:
    """Hash of all source of the package: a chapter may depend on any."""
    return _source_hash(sorted(PACKAGE.rglob("*.py")))


@cache
def training_hash() -> str:
    """Hash of the source that trains a network."""
    rooms = (p for name in TRAINING for p in (PACKAGE / name).rglob("*.py"))
    return _source_hash(sorted(rooms))


@cache
def science_hash() -> str:
    """Hash of the source that decides a network's predictions and times."""
    return _source_hash(science_files())


def science_files() -> list[Path]:
    """The modules that ``SCIENCE`` names, by itself or by their room."""
    places = [PACKAGE / name for name in SCIENCE]
    found = [p for p in places if p.is_file()]
    rooms = [path for p in places for path in p.rglob("*.py")]
    return sorted([*found, *rooms])


def _source_hash(files: list[Path]) -> str:
    digest = hashlib.sha256()
    for path in files:
        digest.update(f"{path.relative_to(PACKAGE)}\n".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
