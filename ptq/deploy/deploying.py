"""A float network, quantized, checked, measured and judged: one call."""

import io
from collections.abc import Callable, Iterable
from importlib.metadata import version
from pathlib import Path

import numpy as np
from torch import nn

from ptq import paths
from ptq.deploy import (
    checking,
    exports,
    inputs,
    loading,
    remarks,
    risks,
    times,
)
from ptq.deploy.card import CARDS, Card, Check, Row, Time
from ptq.deploy.choice import REPORT, Choice
from ptq.deploy.inputs import Inputs
from ptq.deploy.outputs import Kept, asked, digest
from ptq.engines import onnx_file, onnx_runtime
from ptq.engines.onnx_module import OnnxModule
from ptq.evidence import checks
from ptq.evidence.thresholds import MARGIN
from ptq.judge import judgement
from ptq.measure import activation_memory, host
from ptq.methods.rounding_methods import ROUNDINGS
from ptq.quantizer import affine
from ptq.running import locks

SEED = 42
EXAMPLES = 8
FLOAT, INT8 = times.FLOAT, times.INT8
RUNTIME = "onnxruntime"


def deploy(
    network: nn.Module,
    calibration_images,
    test_images,
    test_labels=None,
    *,
    out: str | Path,
    normalization=None,
    classes: list[str] | None = None,
    margin: float = MARGIN,
    rounds: int = times.ROUNDS,
    seed: int = SEED,
    export: str | Iterable[str] = tuple(exports.FILES),
    notes: Iterable[str] = (),
    choice: Choice | None = None,
    tell: Callable[[str], None] = lambda text: None,
    **recipe,
) -> Card:
    """Quantize ``network`` into the folder ``out``, with all that is known.

    Images are uint8 (N, C, H, W), with ``normalization``, (mean, std) of
    pixels in [0, 1]; or float32, normalized. ``test_labels`` are (N,).
    ``margin`` is the loss of accuracy (a share) that would be accepted;
    ``rounds`` are the timer's, ``export`` names the files to write, of
    ``exports.FILES``; ``notes`` are further risks; ``tell`` gets sentences;
    ``recipe``, chosen as ``choice`` says, is what ``Inputs.quantized`` takes.

    The same call continues what was interrupted. Raises InputError or
    UnsupportedError; LockedError where another call fills the folder;
    OSError where it cannot be written.
    """
    export = exports.chosen(export)
    with locks.folder(Path(out), "folder"), remarks.collected(notes) as told:
        images = calibration_images, test_images, test_labels
        made = inputs.checked(network, *images, normalization, classes)
        run = _Deployment(made, Path(out), export, tell)
        run.all_steps(recipe, margin, rounds, seed)
        card = run.card(told(), choice)
        card.write(out)
    return card


class _Deployment:
    """The steps of ``deploy``, in order, and what each leaves."""

    def __init__(
        self, given: Inputs, out: Path, export: list, tell: Callable
    ):
        self.given, self.out, self.tell = given, out, tell
        self.export = export
        self.checks: list[Check] = []

    def all_steps(self, recipe: dict, margin, rounds, seed: int) -> None:
        """One after the other."""
        margin = checks.between(margin, "margin")
        rounds = checks.count(rounds, "rounds", 1)
        seed = checks.count(seed, "seed")
        self.quantize(recipe)
        self.check_float()
        self.ask()
        self.judge(margin)
        self.write()
        self.check_integers()
        self.time(rounds, seed)

    def quantize(self, recipe: dict) -> None:
        """The network, and it and the float one as ONNX."""
        self.tell("traces, folds, calibrates and quantizes")
        given = self.given
        self.recipe, self.network = recipe, given.quantized(**recipe)
        self.runner = onnx_runtime.load(self.network)
        integer, real = (
            model.SerializeToString()
            for model in (
                onnx_file.model(self.network),
                onnx_file.float_model(self.network.graph),
            )
        )
        self.contents = {FLOAT: real, INT8: integer}

    def check_float(self) -> None:
        """What is called float from here on is the network's float file."""
        self.tell("checks the float file against the network")
        given, content = self.given, self.contents[FLOAT]
        images = given.test[: checking.FLOAT_IMAGES]
        images = self.network.normalized(images)
        exact = asked(given.network, images)
        self.checks += [
            checking.folded(self.network, exact, images),
            checking.float_file(content, exact, images),
        ]

    def ask(self) -> None:
        """Outputs of both files for the test images."""
        given, network = self.given, self.network
        kept = Kept(self.out / exports.PARTS, self.tell)
        exact, runtime = OnnxModule(self.contents[FLOAT]), version(RUNTIME)
        files = {
            FLOAT: lambda part: exact(network.normalized(part)),
            INT8: self.runner,
        }
        self.outputs = {}
        for name, file in files.items():
            norm = repr(network.normalization)
            key = digest(runtime, norm, self.contents[name])
            self.outputs[name] = kept.of(name, key, file, given.test)
        kept.forget_others()

    def check_integers(self) -> None:
        """INT8 against the simulation, and the files against INT8."""
        self.tell("checks the INT8 files against the simulation")
        ran, images = self.outputs[INT8], self.given.test
        self.checks += [
            checking.parity(self.network, images, ran),
            checking.integers(self.runner.ran),
            *exports.check(self.network, self.export, self.out, images, ran),
        ]

    def judge(self, margin: float) -> None:
        """INT8 against float, on the test images."""
        self.judgement = judgement.judge(
            self.outputs,
            self.given.labels,
            margin,
            class_names=self.given.classes,
        )

    def write(self) -> None:
        """All files but the card, which an earlier call may have left."""
        given, real = self.given, self.contents[FLOAT]
        for name in (*CARDS, REPORT, exports.LABELS):
            (self.out / name).unlink(missing_ok=True)
        paths.write_whole(self.out / loading.FLOAT_ONNX, real)
        self.files = {loading.FLOAT_ONNX: len(real)}
        self.files |= exports.write(self.network, self.export, self.out)
        self._keep(loading.EXAMPLE, given.test[:EXAMPLES].numpy())
        for name, outputs in self.outputs.items():
            self._keep(exports.OUTPUTS[name], outputs)
        if given.labels is not None:
            self._keep(exports.LABELS, given.labels)

    def time(self, rounds: int, seed: int) -> None:
        """Both files, and the float network as it came, in turns."""
        images = self.network.normalized(self.given.test[: times.BATCH])
        networks = {
            name: OnnxModule(content, times.THREADS)
            for name, content in self.contents.items()
        } | {times.EAGER: self.given.network}
        with locks.timer(locks.myself(), self.tell):
            self.tell("measures times")
            found = times.measured(networks, images, rounds, seed)
        self.times = [_time(timing) for timing in found]

    def card(self, notes: list[str], choice: Choice | None) -> Card:
        """All of it; ``notes`` are further risks."""
        given, network = self.given, self.network
        rows = [_row(network, *row) for row in network.layers().iterrows()]
        failed = [one.found for one in self.checks if not one.passed]
        return Card(
            network=type(given.network).__name__,
            parameters=sum(p.numel() for p in given.network.parameters()),
            recipe=_recipe(network, rows, self.recipe, given),
            images=given.described(),
            rows=rows,
            ranges={
                n: affine.ends(grid) for n, grid in network.grids.items()
            },
            in_float=network.in_float(),
            checks=self.checks,
            judgement=self.judgement,
            files=self.files,
            memory={
                FLOAT: activation_memory.of_float(network.graph),
                INT8: activation_memory.of_codes(network),
            },
            times=self.times,
            machine=host.machine() | {RUNTIME: version(RUNTIME)},
            risks=[
                *risks.of_choice(choice),
                *risks.of_judgement(self.judgement),
                *risks.of_images(given.calibration, given.test),
                *risks.of_training(
                    given.network, network.normalized(given.calibration)
                ),
                *risks.of_network(network),
                *risks.of_times(self.times),
                *(failed + notes),
            ],
            load=loading.lines(network, given.test, self.export),
            choice=choice,
        )

    def _keep(self, name: str, array: np.ndarray) -> None:
        buffer = io.BytesIO()
        np.save(buffer, array)
        paths.write_whole(self.out / name, buffer.getvalue())


def _recipe(network, rows: list[Row], recipe: dict, given: Inputs):
    """Bits, ranges and rounding in words."""
    observer, rounding = recipe.get("observer", "minmax"), "nearest"
    if name := recipe.get("rounding"):
        seen = min(inputs.rounding_images(network), len(given.calibration))
        rounding = f"{ROUNDINGS.row(name).label}, on {seen:,} images"
    grid = network.grid("input")
    low, high = affine.ends(grid)
    kinds = dict.fromkeys(
        f"{row.bits} bits {row.grid}"
        for row in rows
        if row.layer in network.integers
    )
    return {
        "weights": ", ".join(kinds) or "float",
        "rounding": rounding,
        "activations": f"{grid.qmax.bit_length()} bits, ranges by {observer}",
        "input": f"codes from {low:.4g} to {high:.4g}, after normalization",
        "kept by request": ", ".join(sorted(network.kept)) or "nothing",
    }


def _row(network, layer: str, told) -> Row:
    grid = network.grid(layer)
    low, high = affine.ends(grid) if grid else (None, None)
    return Row(
        layer,
        told.operation,
        int(told.bits),
        told.grid,
        low,
        high,
        int(told.macs),
        int(told.bytes),
    )


def _time(timing) -> Time:
    return Time(
        timing.batch,
        timing.threads,
        timing.mode,
        {
            name: timing.milliseconds(name).value
            for name in (FLOAT, INT8, times.EAGER)
        },
        timing.judged(timing.speedup(FLOAT, INT8)),
        timing.time_verdict(FLOAT, INT8),
        timing.busy,
    )
