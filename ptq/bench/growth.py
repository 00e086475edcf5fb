"""How the time of a plain network grows, by floats and by integers.

One of batch, width, depth and threads changes; the others stay.
"""

import dataclasses
import os
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ptq.bench import competitors, two_runs, wrong_ways
from ptq.bench.competitors import FLOAT, INTEGER, Loaded
from ptq.deploy import times
from ptq.evidence import number_text, time_ratios
from ptq.experiment.results import NOT_JUDGED, Timing
from ptq.measure import timer
from ptq.quantizer.quantizing import quantize

SIDE = 16  # pixels of an image
CALIBRATION = 8  # images; any will do
GAINS = {time_ratios.FASTER: "more", time_ratios.SLOWER: "less"}
VALUES = {
    "batch": (1, 4, 16, 64),
    "width": (8, 16, 32, 64),
    "depth": (1, 2, 4, 8),
}


@dataclass(frozen=True)
class Size:
    """Images at once, channels of each convolution, how many, and threads."""

    batch: int = 16
    width: int = 32
    depth: int = 4
    threads: int = 1

    @property
    def names(self) -> tuple[str, str]:
        """Of the network in floats, and in integers."""
        shape = f"{self.width} wide, {self.depth} deep"
        return f"{FLOAT}, {shape}", f"{INTEGER}, {shape}"

    def __str__(self):
        return (
            f"batch {self.batch}, width {self.width}, depth {self.depth}, "
            f"{number_text.threads(self.threads)}"
        )


BASE = Size()


def plain(width: int, depth: int, seed: int) -> nn.Sequential:
    """``depth`` convolutions 3×3 of ``width`` channels, each with a ReLU.

    The mean of their results goes to a linear layer. Weights are random: a
    time does not depend on them. It takes float32 (N, 3, H, W) and gives
    float32 (N, 10).
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers = []
        for channels in (3, *[width] * (depth - 1)):
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
        head = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 10)
        return nn.Sequential(*layers, *head).eval()


def measured(rounds: int, seed: int) -> dict[str, dict[int, Timing]]:
    """Times of plain networks in ONNX Runtime, hot, FP32 and INT8 in turns.

    By what changes ("batch", "width", "depth", "threads") and its value; the
    network of ``BASE`` is in all four. Each takes uint8 images and normalizes
    them inside the timer. Raises ImportError where onnx or the runtime is
    missing, ValueError where there are no rounds.
    """
    cores = os.cpu_count() or 1
    threads = {"threads": sorted({1, max(cores // 2, 1), cores})}
    asked = {
        knob: {v: dataclasses.replace(BASE, **{knob: v}) for v in values}
        for knob, values in (VALUES | threads).items()
    }
    sizes = list(
        dict.fromkeys(s for of in asked.values() for s in of.values())
    )
    generator = torch.Generator().manual_seed(seed)
    shape, kind = (max(s.batch for s in sizes), 3, SIDE, SIDE), torch.uint8
    images = torch.randint(0, 256, shape, dtype=kind, generator=generator)
    modules = {}
    for size in sizes:
        if size.names[0] not in modules:
            modules |= _pair(size, images, seed)
    plan = [timer.Conditions(s.names, s.batch, s.threads) for s in sizes]
    found = times.under(plan, modules, images, rounds, seed, "ONNX Runtime")
    told = dict(zip(sizes, map(_renamed, sizes, found), strict=True))
    return {
        knob: {value: told[size] for value, size in of.items()}
        for knob, of in asked.items()
    }


def by_size(grown: dict[str, dict[int, Timing]]) -> dict[str, Timing]:
    """The timings of ``measured``, each once, by its size in words."""
    return {
        str(dataclasses.replace(BASE, **{knob: value})): timing
        for knob, values in grown.items()
        for value, timing in values.items()
    }


def gain(timings: dict[int, Timing]) -> str:
    """Whether INT8 gains more at the last value than at the first.

    ``timings`` are those of one knob. "more" or "less" where the intervals
    of the two ratios lie apart, else "no difference shown"; "not judged"
    where one of the two is not, and "too few rounds" without intervals.
    """
    ends = [timings[pick(timings)] for pick in (min, max)]
    if any(timing.busy for timing in ends):
        return NOT_JUDGED
    first, last = (timing.speedup(FLOAT, INTEGER) for timing in ends)
    return GAINS.get(word := two_runs.changed(first, last), word)


def _pair(size: Size, images: Tensor, seed: int) -> dict[str, Loaded]:
    """A network in floats and in integers, for the timer."""
    network = quantize(
        plain(size.width, size.depth, seed),
        images[:CALIBRATION],
        normalization=(0.5, 0.5),
    )
    loads = (
        competitors.float_onnx(network).load,
        competitors.normalizing(network, wrong_ways.qdq(network)),
    )
    return dict(zip(size.names, map(Loaded, loads), strict=True))


def _renamed(size: Size, timing: Timing) -> Timing:
    """The same, whose networks are called as their arithmetic."""
    names = FLOAT, INTEGER, timer.TWIN
    seconds = dict(zip(names, timing.seconds.values(), strict=True))
    title = f"growth-width{size.width}-depth{size.depth}-{timing.name}"
    return dataclasses.replace(timing, name=title, seconds=seconds)
