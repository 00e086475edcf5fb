"""Times, bytes and predictions of a network in every runtime here."""

import json
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path

import torch

from ptq import paths
from ptq.bench import competitors, roofline
from ptq.bench.competitors import FLOAT, INTEGER, PEER, Loaded
from ptq.bench.report import Report, Table
from ptq.deploy import times
from ptq.deploy.inputs import Inputs
from ptq.evidence import paired_tests
from ptq.evidence.checks import InputError
from ptq.experiment import comparison
from ptq.experiment.results import Timing
from ptq.measure import host
from ptq.quantizer.making import quantize

PACKAGES = ("torch", "onnxruntime", "openvino")
HEAD = ("", "ms", f"times {FLOAT}", "verdict", "of peak")
NONE = "–"


@dataclass(frozen=True)
class Row:
    """What a competitor is, but for its times.

    The first three are those of ``competitors.Competitor``.
    ``disagreement`` is the share of images with another prediction than
    ``FLOAT``; None where the images are no real ones.
    """

    arithmetic: str
    bytes: int
    memory: int | None
    disagreement: float | None


@dataclass(frozen=True)
class Bench:
    """One network, measured on one machine; made by ``measured``.

    ``macs`` are multiply-accumulates for one image, ``images`` says what was
    shown, ``left_out`` why a row is missing, ``peaks`` are those of
    ``roofline.peaks``.
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

    def json(self) -> str:
        """Everything, each call's seconds too: ``load`` reads it."""
        return json.dumps(asdict(self), indent=1) + "\n"

    def save(self, path: Path) -> None:
        """Write ``json`` into a file; OSError where that cannot be."""
        paths.write_whole(path, self.json())

    def report(self) -> Report:
        """The tables, and what must be said beside them."""
        return Report(
            f"{self.network}: times on this machine",
            _facts(self),
            [_sizes(self), *(_times(self, one) for one in self.timings)],
        )


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
) -> Bench:
    """Every competitor's predictions and times, all in turns.

    Images of ``given`` are uint8; ``real`` unless they are random numbers.
    ``tell`` gets a sentence now and then. Raises UnsupportedError where the
    network cannot be quantized.
    """
    tell("quantizes, and loads each runtime")
    network = quantize(
        given.network, given.calibration, normalization=given.normalization
    )
    found, left_out = competitors.all_of(given, network)
    modules = {title: Loaded(one.load) for title, one in found.items()}
    tell("asks each for predictions")
    rows = _rows(found, _disagreements(modules, given.test) if real else {})
    shown = f"{len(given.test):,} images" if real else "random pixels"
    tell("measures times")
    timings = times.measured(
        modules, given.test, rounds, seed, threads, "several"
    )
    return Bench(
        name,
        int(network.layers()["macs"].sum()),
        f"{shown}, {given.described()['image']}",
        host.machine(),
        _versions(),
        rows,
        left_out,
        timings,
        roofline.peaks(threads, seed),
    )


def _rows(found: dict, changed: dict[str, float]) -> dict[str, Row]:
    return {
        name: Row(one.arithmetic, one.bytes, one.memory, changed.get(name))
        for name, one in found.items()
    }


@torch.inference_mode()
def _disagreements(modules, images) -> dict[str, float]:
    classes = {
        name: torch.cat([m(b).argmax(1) for b in images.split(times.BATCH)])
        for name, m in modules.items()
    }
    return {
        name: paired_tests.disagreement(classes[FLOAT].numpy(), one.numpy())
        for name, one in classes.items()
    }


def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "none"
    return found


def _facts(bench: Bench) -> list[str]:
    machine, features = bench.machine, bench.machine["features"]
    told = [
        f"{bench.macs:,} multiply-accumulates an image; {bench.images}",
        f"{machine['processor']}, {machine['cores']} cores, "
        f"{', '.join(features) or 'no known features'}",
        ", ".join(f"{n} {v}" for n, v in bench.versions.items()),
        "Each row takes the same uint8 images; normalization is timed, too. "
        "Hot: a loop over one network; cold: one call after the others'.",
    ]
    told += [f"Left out: {n}: {why}" for n, why in bench.left_out.items()]
    for count, peak in bench.peaks.items():
        rates = [
            f"{kind} {peak[kind] / 1e9:,.0f}"
            for kind in peak.keys() - {roofline.COPY}
        ]
        told.append(
            f"Peak, threads: {count}: {', '.join(sorted(rates))} billion "
            f"multiply-accumulates a second; copies "
            f"{peak[roofline.COPY] / 1e9:.1f} GB/s"
        )
    return told


def _sizes(bench: Bench) -> Table:
    rows = [
        (
            name,
            f"{row.bytes:,}",
            NONE if row.memory is None else f"{row.memory:,}",
            NONE
            if row.disagreement is None
            else f"{100 * row.disagreement:.2f} %",
        )
        for name, row in bench.rows.items()
    ]
    head = ("", "bytes of the file", "of activations", "changed")
    return Table(
        "Sizes, peak of activations for one image, and predictions other "
        f"than of {FLOAT}",
        head,
        rows,
    )


def _times(bench: Bench, timing: Timing) -> Table:
    peak = bench.peaks[str(timing.threads)]
    rows = []
    for name, row in bench.rows.items():
        one = comparison.times(timing, FLOAT, name)
        ratio = timing.judged(timing.speedup(FLOAT, name))
        roof = bench.macs / one.milliseconds * 1e3 / peak[row.arithmetic]
        rows.append(
            (
                name,
                f"{one.milliseconds:.3f}",
                f"{ratio:.2f}",
                one.time_verdict,
                f"{100 * roof:.1f} %",
            )
        )
    head = f"One image: {timing.conditions}"
    return Table(head, HEAD, rows, (*_rivals(bench, timing), *busy(timing)))


def busy(timing: Timing) -> list[str]:
    """A sentence on why nothing was judged, if it was so."""
    if not timing.busy:
        return []
    return [f"Busy, so not judged: {'; '.join(timing.busy)}"]


def _rivals(bench: Bench, timing: Timing) -> list[str]:
    """The fastest of ours against the fastest of each other kind."""

    def fastest(names):
        return min(
            names, key=lambda n: timing.milliseconds(n).value, default=None
        )

    ours = [n for n, row in bench.rows.items() if row.arithmetic == INTEGER]
    first = fastest(n for n in ours if n != PEER)
    others = {
        "without integers": fastest(bench.rows.keys() - set(ours)),
        "of others": fastest(n for n in ours if n == PEER),
    }
    told = []
    for kind, rival in others.items():
        if None not in (first, rival):
            found = timing.speedup(rival, first)
            told.append(
                f"{first} against the fastest {kind} ({rival}): "
                f"{timing.judged(found):.2f} times as fast, "
                f"{timing.word(found)}"
            )
    return told
