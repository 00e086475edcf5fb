"""Times, bytes and predictions of a network in every runtime here."""

import json
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path

import numpy as np
import torch

from ptq import paths
from ptq.bench import competitors, fastest_engine, roofline, tables
from ptq.bench.competitors import FLOAT, RECOMMENDED, Loaded
from ptq.bench.peers import PEERS
from ptq.bench.report import Report
from ptq.deploy import times
from ptq.deploy.inputs import Inputs
from ptq.evidence import paired_tests
from ptq.evidence.checks import InputError
from ptq.experiment.results import Timing
from ptq.graph import UnsupportedError
from ptq.measure import host
from ptq.quantizer.quantizing import quantize

PACKAGES = ("torch", "onnxruntime", "openvino", "nncf", "torchao")


@dataclass(frozen=True)
class Row:
    """What a competitor is, but for its times.

    The first three are those of ``competitors.Competitor``.
    ``disagreement`` is the share of images with another prediction than
    ``FLOAT``; None where the images are no real ones. ``accuracy`` is how
    much more are right, in words; "" where there are no labels.
    ``in_integers`` is the share of an engine's time there; None where the
    engine does not tell.
    """

    arithmetic: str
    bytes: int
    memory: int | None
    disagreement: float | None
    accuracy: str = ""
    in_integers: float | None = None


@dataclass(frozen=True)
class Bench:
    """One network, measured on one machine; made by ``measured``.

    ``macs`` are multiply-accumulates for one image, ``images`` says what was
    shown, ``left_out`` why a row is missing, ``peaks`` are those of
    ``roofline.peaks``; ``choices`` tells what ``RECOMMENDED`` was, by the
    timing's name.
    """

    network: str
    macs: int
    images: str
    machine: dict
    versions: dict[str, str]
    rows: dict[str, Row]
    left_out: dict[str, str]
    timings: list[Timing]
    peaks: dict[str, dict[str, float]]
    choices: dict[str, str]

    def json(self) -> str:
        """Everything, each call's seconds too: ``load`` reads it."""
        return json.dumps(asdict(self), indent=1) + "\n"

    def save(self, path: Path) -> None:
        """Write ``json`` into a file; OSError where that cannot be."""
        paths.write_whole(path, self.json())

    def report(self) -> Report:
        """The tables, and what must be said beside them."""
        return tables.report(self)


def load(path: Path) -> Bench:
    """A saved bench; InputError where the file holds none."""
    try:
        content = json.loads(path.read_text())
        rows = {n: Row(**row) for n, row in content.pop("rows").items()}
        timings = [Timing(**one) for one in content.pop("timings")]
        found = Bench(rows=rows, timings=timings, **content)
        found.report()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error}") from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(
            f"{path}: expected what `ptq bench --json` wrote, whole"
        ) from error
    return found


def measured(
    given: Inputs,
    name: str,
    rounds: int,
    seed: int,
    threads: list[int],
    real: bool = True,
    tell=lambda text: None,
    only_bar: bool = False,
    again: bool = False,
) -> Bench:
    """Every competitor's predictions and times, all in turns.

    Images of ``given`` are uint8; ``real`` unless they are random numbers.
    ``tell`` gets a sentence now and then. ``only_bar`` measures what
    ``bar`` compares, hot; ``again`` chooses engines again. Raises
    UnsupportedError where the network cannot be quantized.
    """
    tell("quantizes, and loads each runtime")
    network, tuner, found, left_out = _loaded(given, only_bar, again)
    modules = {title: Loaded(one.load) for title, one in found.items()}
    tell("asks each for predictions")
    classes = _predictions(modules, given.test) if real else {}
    tell("measures times")
    timings = times.measured(
        *(modules, given.test, rounds, seed, threads, "several"),
        cold=not only_bar,
    )
    return Bench(
        name,
        int(network.layers()["macs"].sum()),
        _shown(given, real),
        host.machine(),
        _versions(),
        _rows(found, classes, given),
        left_out,
        timings,
        roofline.peaks(threads, seed),
        _choices(tuner, timings),
    )


def change(reference, other, labels) -> str:
    """Points of accuracy more, with interval and verdict; "" of itself.

    ``reference`` and ``other`` are predictions (N,), ``labels`` (N,) the
    right classes, or None where there are none: "" then, too.
    """
    if labels is None or reference is other:
        return ""
    flips = paired_tests.flips(reference, other, labels)
    word = paired_tests.verdict(flips, flips.p)
    return f"{100 * paired_tests.difference(flips):+.2f}, {word}"


def _shown(given: Inputs, real: bool) -> str:
    shown = f"{len(given.test):,} images" if real else "random pixels"
    return f"{shown}, {given.described()['image']}"


def _choices(
    tuner: fastest_engine.Tuner, timings: list[Timing]
) -> dict[str, str]:
    """What was recommended, by the timing's name."""
    made = {one.name: (one.batch, one.threads) for one in timings}
    return {
        name: str(tuner.made[asked])
        for name, asked in made.items()
        if asked in tuner.made
    }


def _loaded(given: Inputs, only_bar: bool, again: bool) -> tuple:
    """Codes for floats' sake, a tuner, competitors, and who is left out.

    What runs by integers has pixels for its first codes, where that is
    exact; else it is told why not.
    """
    asked = given.network, given.calibration
    norm = {"normalization": given.normalization}
    network, why_not = quantize(*asked, **norm), {}
    try:
        fast = quantize(*asked, **norm, on_pixels=True, symmetric=True)
    except UnsupportedError as error:
        fast = quantize(*asked, **norm, symmetric=True)
        why_not = {"pixels as codes": str(error)}
    tuner = fastest_engine.Tuner(fast, again)
    only = (FLOAT, RECOMMENDED, *PEERS) if only_bar else ()
    found, left_out = competitors.all_of(given, network, tuner, only)
    return network, tuner, found, left_out | why_not


def _rows(found: dict, classes: dict, given: Inputs) -> dict[str, Row]:
    rows, some = {}, given.test[: times.BATCH]
    for name, one in found.items():
        more = None, ""
        if classes:
            pair = classes[FLOAT], classes[name]
            told = change(*pair, given.labels)
            more = paired_tests.disagreement(*pair), told
        share = one.shares(some).get("integer", 0.0) if one.shares else None
        rows[name] = Row(one.arithmetic, one.bytes, one.memory, *more, share)
    return rows


@torch.inference_mode()
def _predictions(modules, images) -> dict[str, np.ndarray]:
    return {
        name: torch.cat(
            [m(b).argmax(1) for b in images.split(times.BATCH)]
        ).numpy()
        for name, m in modules.items()
    }


def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "none"
    return found
