"""Why INT8 is slow here: each cause against its absence, and each layer."""

import json
import os
from dataclasses import asdict, dataclass

from torch import Tensor

from ptq import engines
from ptq.bench import competitors, roofline, tables, wrong_ways
from ptq.bench.competitors import INTEGER, Load, Loaded
from ptq.bench.report import Report, Table
from ptq.deploy import times
from ptq.deploy.inputs import Inputs
from ptq.engines import time_shares
from ptq.evidence import time_ratios
from ptq.evidence.intervals import Interval
from ptq.experiment.results import Timing
from ptq.measure import timer
from ptq.quantizer.network import QuantizedNetwork
from ptq.quantizer.quantizing import quantize

PRODUCT = "a large matrix product"
HEAD = ("cause", "ms with", "without", "times as slow", "verdict")
WORDS = {
    time_ratios.FASTER: "costs time",
    time_ratios.SLOWER: "saves time",
}


@dataclass(frozen=True)
class Knob:
    """A cause: the network ``having`` it, and the same one ``without``.

    Both are names of ways to run. ``advice`` says what to do about it.
    """

    cause: str
    having: str
    without: str
    advice: str


FILE = [
    Knob(
        "layout of float: channels one after the other",
        "FP32",
        "FP32, channels last",
        "compare INT8 with floats in their best layout",
    ),
    Knob(
        "a fast rival: INT8 against bfloat16",
        "INT8",
        "BF16, channels last",
        "on processors with AMX or AVX512-BF16 measure bfloat16, too",
    ),
    Knob(
        "Q/DQ not fused",
        "INT8, not fused",
        "INT8",
        "leave graph optimization on, and look at what ran",
    ),
    Knob(
        "no Q/DQ behind Flatten",
        "INT8, Flatten in float",
        "INT8",
        "look at what ran: the layer behind it may be in float",
    ),
    Knob(
        "exact sums by slower kernels",
        "INT8, exact sums",
        "INT8, default sums",
        "needed without VNNI only: ask the processor",
    ),
]
CALL = [
    Knob(
        "one image at a time",
        "INT8, one by one",
        "INT8",
        "give small layers many images at once",
    ),
    Knob(
        "all threads for one image",
        "INT8, one by one, all threads",
        "INT8, one by one",
        "choose the number of threads by a measurement",
    ),
]
STOPWATCH = [
    Knob(
        "the simulation is timed",
        "simulation",
        "INT8",
        "time the runtime's file: fake quantization is float, and more",
    ),
    Knob(
        "loading is timed: no warm-up",
        "INT8, loaded anew",
        "INT8",
        "call once before the clock starts",
    ),
    Knob(
        "nothing is left to compute",
        "FP32, images in the file",
        "FP32, ONNX Runtime",
        "give other images in each call, and use the result",
    ),
]


@dataclass(frozen=True)
class Why:
    """Times of a network with each cause and without it.

    ``left_out`` says why a way to run is missing. ``peaks`` are those of
    ``roofline.peaks`` on one thread; ``rates`` by engine and layer those of
    ``time_shares.layer_rates``, by each runtime's own clock.
    """

    network: str
    timing: Timing
    left_out: dict[str, str]
    peaks: dict[str, float]
    rates: dict[str, dict[str, float]]

    def json(self) -> str:
        """Seconds of every way to run, (sessions, rounds), and the rest."""
        return json.dumps(asdict(self), indent=1) + "\n"

    def rows(self, knobs: list[Knob]) -> list[tuple[str, ...]]:
        """Cells of ``HEAD`` for the knobs that could be turned here."""
        found = []
        for knob in knobs:
            pair = knob.having, knob.without
            if not set(pair) <= self.timing.seconds.keys():
                continue
            ratio = self.timing.speedup(*pair)
            each = [f"{self.timing.milliseconds(n).value:.3f}" for n in pair]
            told = f"{self.timing.judged(ratio):.3g}", self._word(ratio)
            found.append((knob.cause, *each, *told))
        return found

    def told(self, having: str, without: str) -> str:
        """How many times as long the first takes, and the verdict.

        "2.82 (2.71–2.93; costs time)"; "2.82 (not judged)".
        """
        ratio = self.timing.speedup(having, without)
        return time_ratios.told(self.timing.judged(ratio), self._word(ratio))

    def _word(self, ratio: Interval) -> str:
        """The verdict on time with a cause over time without it."""
        word = self.timing.word(ratio)
        return WORDS.get(word, word)

    def roof(self) -> tuple[float, str]:
        """The most multiply-accumulates a second in integers; and by what.

        By the product of ``peaks``, or by a layer that passes it: products
        are of a few sizes only, and other programs may disturb them.
        """
        seen = {PRODUCT: self.peaks[INTEGER]}
        for engine, layers in self.rates.items():
            for layer, rate in layers.items():
                seen[f"{layer} in {engine.replace('_', ' ')}"] = rate
        by = max(seen, key=seen.get)
        return seen[by], by

    def layer_rows(self) -> list[dict[str, str]]:
        """A row a layer: each engine's rate, and its share of the roof.

        In billions of multiply-accumulates a second. A layer that an engine
        does not run in integers has no rate there.
        """
        roof, _ = self.roof()

        def cell(rate: float | None) -> str:
            if rate is None:
                return tables.NONE
            return f"{rate / 1e9:,.1f} ({100 * rate / roof:.1f} %)"

        layers = dict.fromkeys(n for one in self.rates.values() for n in one)
        return [
            {"layer": layer}
            | {
                engine.replace("_", " "): cell(one.get(layer))
                for engine, one in self.rates.items()
            }
            for layer in layers
        ]

    def report(self) -> Report:
        """A table for file, call and stopwatch each, and one of layers."""
        facts = [
            f"{self.timing.conditions}; milliseconds an image, all in turns",
            *(f"Left out: {n}: {why}" for n, why in self.left_out.items()),
            *tables.busy(self.timing),
        ]
        groups = [
            Table(
                title,
                HEAD,
                self.rows(knobs),
                tuple(f"{one.cause}: {one.advice}" for one in knobs),
            )
            for title, knobs in (
                ("In the file and in its rivals", FILE),
                ("In the call", CALL),
                ("In the stopwatch", STOPWATCH),
            )
        ]
        if rows := self.layer_rows():
            roof, by = self.roof()
            title = (
                "Layers: billion MAC/s, and share of the roof of "
                f"{roof / 1e9:,.0f}, by {by}"
            )
            cells = [tuple(row.values()) for row in rows]
            groups.append(Table(title, tuple(rows[0]), cells))
        return Report(f"{self.network}: why INT8 is slow", facts, groups)


def measured(
    given: Inputs,
    name: str,
    rounds: int,
    seed: int,
    threads: int = 0,
    tell=lambda text: None,
) -> Why:
    """Turn every knob on a network, one thread, a full batch, hot.

    ``threads`` are those of "all threads" (0: as many as there are cores).
    Raises UnsupportedError where the network cannot be quantized.
    """
    tell("quantizes, and turns each knob")
    network = quantize(
        given.network, given.calibration, normalization=given.normalization
    )
    makers = wrong_ways.ways(given, network, threads or os.cpu_count() or 1)
    found, left_out = competitors.made(makers)
    tell("measures times")
    timing = timed(found, given.test, rounds, seed)
    tell("measures the peak, and each layer")
    peaks = roofline.peaks([1], seed)["1"]
    rates = _rates(network, given.test[: timing.batch])
    return Why(name, timing, left_out, peaks, rates)


def _rates(
    network: QuantizedNetwork, images: Tensor
) -> dict[str, dict[str, float]]:
    """``layer_rates`` of each engine that tells its time."""
    return {
        name: time_shares.layer_rates(network, images, name)
        for name in engines.ENGINES
        if engines.get(name).available() is True
        and hasattr(engines.get(name), "spent")
    }


def timed(
    ways: dict[str, Load], images: Tensor, rounds: int, seed: int
) -> Timing:
    """Times of ways to run, one thread, a full batch, hot, in turns.

    ``images`` is uint8 (N, C, H, W).
    """
    modules = {name: Loaded(load) for name, load in ways.items()}
    batch = times.full_batch(modules, images[:1])
    plan = [timer.Conditions(tuple(modules), batch, 1, timer.HOT)]
    (found,) = times.under(plan, modules, images, rounds, seed, "several")
    return found
