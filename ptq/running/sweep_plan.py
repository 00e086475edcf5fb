"""Sweep files: a chapter, and the points at which to run it."""

import itertools
import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import nbformat
import yaml

from ptq.experiment import parameters, source_hash
from ptq.running import notebook_parameters, pipeline, plain_yaml, worker

KEYS = ("chapter", "fixed", "list", "cross")
RANGE = ("from", "to", "step")
# The worker decides where a chapter reads and writes.
PLACES = ("run_dir", "data_dir")
LIMIT = 100_000
TOO_MANY = f"more than {LIMIT:,} points: split the sweep"
TIMED = r"\blab\.times\(|\btimer\.(compare|parts)\(|\brun_times\.of_"


class SweepError(RuntimeError):
    """A sweep cannot be read, started or finished; says why."""


@dataclass(frozen=True)
class Sweep:
    """A sweep file, checked: ``points`` maps identity to parameters."""

    name: str
    chapter: worker.Chapter
    points: dict[str, dict]


def read(path: Path, elsewhere: bool = False) -> Sweep:
    """Read a sweep file; check every point before anything runs.

    Points that run ``elsewhere`` may ask for threads and engines that this
    machine does not have; the worker checks these. Raises SweepError that
    names the file and every fault, one a line.
    """
    faults = []
    try:
        content, faults = plain_yaml.read(path, literal=("chapter",))
        source = _chapter(content, path.parent, faults)
        defaults = notebook_parameters.defaults(source)
        every = [defaults | given for given in points(content, faults)]
        others = notebook_parameters.others(source, defaults)
        faults += _of_no_literal(every, others, source.name)
        faults += _bad_values(every, defaults, others, elsewhere)
        _refuse(faults)
        text = source.read_text(encoding="utf-8")
        chapter = worker.Chapter(
            source.stem, text, worker.version(), exclusive=times(text)
        )
        return Sweep(path.stem, chapter, _identified(every, chapter))
    except (OSError, ValueError, yaml.YAMLError, SweepError) as error:
        told = dict.fromkeys([*faults, *str(error).splitlines()])
        raise SweepError(f"{path}: " + "\n".join(told)) from error


def points(content: dict, faults: list[str]) -> list[dict]:
    """Parameters of each point: ``fixed``, and ``list`` times ``cross``.

    What is wrong with these is added to ``faults``, and left out. Raises
    SweepError where the points are too many.
    """
    fixed, crossed = (
        _mapping(content.get(key, {}), key, faults)
        for key in ("fixed", "cross")
    )
    listed = content.get("list", [{}])
    if not isinstance(listed, list) or not listed:
        faults.append(f"list: expected a list of points, not {listed!r}")
        listed = [{}]
    rows = [
        _mapping(row, f"list[{i}]", faults) for i, row in enumerate(listed)
    ]
    axes = {n: _axis(n, given, faults) for n, given in crossed.items()}
    for row in rows:
        counts = Counter([*fixed, *row, *axes])
        if twice := sorted(str(n) for n, many in counts.items() if many > 1):
            faults.append(
                f"{', '.join(twice)}: expected in one of fixed, list and "
                "cross only"
            )
    axes = {name: values for name, values in axes.items() if values}
    if math.prod(map(len, [rows, *axes.values()])) > LIMIT:
        raise SweepError(TOO_MANY)
    return [
        fixed | row | dict(zip(axes, values, strict=True))
        for row in rows
        for values in itertools.product(*axes.values())
    ]


def _of_no_literal(
    points: list[dict], others: set[str], chapter: str
) -> list[str]:
    """Parameters of points that the chapter sets to what no file can hold."""
    return [
        f"{name}: {chapter} sets it to no literal that a file can hold: "
        f"expected one, as in {name} = 3"
        for name in sorted(others & {str(n) for row in points for n in row})
    ]


def _bad_values(
    points: list[dict], defaults: dict, others: set[str], elsewhere: bool
) -> list[str]:
    """What is wrong with other values, save what is unclear."""
    faults = []
    for given in points:
        clear = {
            name: value
            for name, value in given.items()
            if name not in others
            and not isinstance(value, plain_yaml.Unclear)
        }
        try:
            parameters.check(clear, defaults, elsewhere)
        except parameters.ParameterError as error:
            faults += str(error).splitlines()
    return faults


def _refuse(faults: list[str]) -> None:
    """Raise SweepError if there are faults; each is listed once."""
    if faults:
        raise SweepError("\n".join(dict.fromkeys(faults)))


def times(notebook: str) -> bool:
    """Whether a notebook's text measures times, as its code tells."""
    cells = nbformat.reads(notebook, as_version=4).cells
    code = (cell.source for cell in cells if cell.cell_type == "code")
    return any(re.search(TIMED, source) for source in code)


def _chapter(content: dict, folder: Path, faults: list[str]) -> Path:
    """The notebook that a sweep file names; its keys are checked first."""
    if not isinstance(content, dict) or "chapter" not in content:
        raise SweepError(f"expected the keys {', '.join(KEYS)}")
    if odd := sorted(map(str, content.keys() - set(KEYS))):
        faults.append(
            f"{', '.join(odd)}: no such key; expected {', '.join(KEYS)}"
        )
    name = str(content["chapter"] or "").strip()
    if not name:
        known = ", ".join(source.stem for source in pipeline.chapters())
        raise SweepError(
            "chapter: nothing is given; expected NAME.ipynb, a file beside "
            f"this one, or a number or name of {known}"
        )
    if not name.endswith(".ipynb"):
        return pipeline.chapters((name,))[0]
    if not (source := folder / name).exists():
        raise SweepError(f"chapter: {source.absolute()} does not exist")
    return source


def _mapping(given, key: str, faults: list[str]) -> dict:
    if not isinstance(given, dict):
        faults.append(f"{key}: expected lines of NAME: VALUE, not {given!r}")
        return {}
    if places := sorted(given.keys() & set(PLACES)):
        faults.append(
            f"{key}: {', '.join(places)}: each point has its own folder, and "
            "each worker its data; set PTQ_DATA_DIR where workers start"
        )
    return given


def _axis(name: str, given, faults: list[str]) -> Sequence:
    """The values of a parameter of `cross`: a list, or a range of int."""
    if isinstance(given, list) and given:
        return given
    if isinstance(given, dict) and {"from", "to"} <= given.keys():
        ends = [given["from"], given["to"], given.get("step", 1)]
        whole = all(type(end) is int for end in ends)
        known = given.keys() <= set(RANGE)
        if whole and known and ends[0] <= ends[1] and ends[2] > 0:
            # Python counts no range that is longer than its largest size.
            if (ends[1] - ends[0]) // ends[2] >= LIMIT:
                raise SweepError(f"cross: {name}: {TOO_MANY}")
            return range(ends[0], ends[1] + 1, ends[2])
    faults.append(
        f"cross: {name}: expected a list of values, or a range of whole "
        f"numbers {{from: 0, to: 9, step: 1}}, both ends in; not {given!r}"
    )
    return []


def _identified(points: list[dict], chapter: worker.Chapter) -> dict:
    found = {}
    for values in points:
        digest = source_hash.of(
            chapter.name, chapter.text, chapter.version, values
        )
        if digest in found:
            raise SweepError(f"this point occurs twice: {values}")
        found[digest] = values
    return found
