"""Drawings of ideas that are about a network: its parts, and their order.

Each is drawn from the network that it is given. Drawings about numbers are
in ``numbers``.
"""

import itertools
from collections.abc import Iterable

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import nn

from ptq.book.drawings.parts import (
    FLOAT,
    INTEGER,
    PLAIN,
    Box,
    arrow,
    box,
    number,
    rounding,
    sheet,
    words,
)
from ptq.book.style import INK, NEUTRAL, OBSERVERS, styled
from ptq.data.cifar10 import SHAPE
from ptq.graph import module_outputs

# What a module does, by the name of its class.
ACTS = {
    "QuantStub": "quantize",
    "Quantize": "quantize",
    "DeQuantStub": "dequantize",
    "DeQuantize": "dequantize",
    "Conv2d": "convolution",
    "ConvReLU2d": "convolution, ReLU",
    "BatchNorm2d": "BN",
    "ReLU": "ReLU",
    "MaxPool2d": "max pooling",
    "Linear": "linear",
    "LinearReLU": "linear, ReLU",
}


def act(module: nn.Module) -> str:
    """What a module does, in a word or two; empty for one of no such kind."""
    return ACTS.get(type(module).__name__, "")


def running(network: nn.Module) -> dict[str, nn.Module]:
    """The modules that ``act``, by name, in the order in which they run.

    ``network`` is a chain that takes ``SHAPE``, in floats or not.
    """
    every = {n: m for n, m in network.named_modules() if act(m)}
    # A module inside another of these is told by the other.
    outer = {
        n: m for n, m in every.items() if n.rpartition(".")[0] not in every
    }
    ran = module_outputs.capture(network, outer, _image())
    return {name: outer[name] for name in ran}


def _short(name: str) -> str:
    """What readers call a module: "conv2" for "module.conv2.1"."""
    return name.removeprefix("module.").partition(".")[0]


def _stages(network: nn.Module) -> dict[str, list[str]]:
    """Each layer with weights, and the names of it and of what follows it."""
    stages = {}
    for name, module in running(network).items():
        if isinstance(module, nn.Conv2d | nn.Linear):
            stages[name] = []
        stages[list(stages)[-1]].append(name)
    return stages


@styled
def network(given: nn.Module, costs: dict[str, dict[str, int]]) -> Figure:
    """A chain of layers with their shapes, and each one's share of two costs.

    ``given`` is a float network that takes ``SHAPE``; ``costs`` holds
    counts by what is counted, "weights" or "MACs", and layer.
    """
    stages, modules = _stages(given), dict(given.named_modules())
    ends, image = [names[-1] for names in stages.values()], _image()
    shapes = module_outputs.capture(given, ends, image).values()
    pitch, x = 1.05, 1.15
    made, axis = sheet(pitch * len(stages) + 0.4)
    y = axis.get_ylim()[1] - 0.2
    words(axis, (x, y), f"image, {_shape(image)}")
    for (name, parts), shape in zip(stages.items(), shapes, strict=True):
        told = ", ".join(act(modules[part]) for part in parts)
        told = f"{name}\n{told}"
        here = box(axis, (x, y - 0.6), (2.15, 0.46), told, points=8)
        arrow(axis, (x, y - 0.1), here.top)
        for i, (what, counts) in enumerate(costs.items()):
            share = counts[name] / sum(counts.values())
            _share(axis, (2.35, y - 0.48 - 0.24 * i), share, what)
        y -= pitch
        words(axis, (x, y), _shape(shape))
        axis.plot([x, x], [here.bottom[1], y + 0.1], color=INK, linewidth=1)
    return made


def _image() -> torch.Tensor:
    return torch.zeros(1, *SHAPE)


def _shape(tensor: torch.Tensor) -> str:
    """The shape of what one image becomes: "32 × 16 × 16"."""
    return " × ".join(str(size) for size in tensor.shape[1:])


def _share(axis: Axes, place: tuple, share: float, what: str) -> None:
    """A bar of a share from ``place``, and the share in percent."""
    colour = FLOAT if what == "MACs" else INTEGER
    axis.barh(place[1], 1.2 * share, 0.17, left=place[0], color=colour)
    end = place[0] + 1.2 * share + 0.07
    digits = 1 if share >= 0.0005 else 2
    told = f"{100 * share:.{digits}f} % of the {what}"
    words(axis, (end, place[1]), told, points=8, ha="left")


@styled
def observers(
    prepared: nn.Module, seen: dict[str, tuple[float, float]]
) -> Figure:
    """Where the observers of a prepared network sit, and what they keep.

    ``seen`` holds the smallest and largest value that each has recorded, by
    the module whose output it watches. ValueError where one has seen none.
    """
    if idle := [name for name, (low, high) in seen.items() if low > high]:
        raise ValueError(
            f"{', '.join(idle)}: no range yet; pass calibration images "
            "through the prepared network first"
        )
    rows = list(running(prepared).items())[:-1]  # nothing to watch at the end
    pitch, top = 0.36, 0.42
    made, axis = sheet(pitch * len(rows) + top + 0.1)
    reach = max(abs(end) for ends in seen.values() for end in ends)
    head = axis.get_ylim()[1] - 0.2
    words(axis, (0.98, head), "prepared network")
    words(axis, (2.55, head), "observer keeps")
    words(axis, (4.15, head), "the range, to one scale")
    colour, before = OBSERVERS["minmax"], None
    for i, (name, module) in enumerate(rows):
        y = head - top - pitch * i + 0.05
        told = f"{_short(name)}: {act(module)}"
        kind = INTEGER if name in seen else PLAIN
        here = box(axis, (0.98, y), (1.7, 0.24), told, kind, points=8)
        if before:
            arrow(axis, before.bottom, here.top)
        before = here
        if name in seen:
            _watched(axis, here, seen[name], 0.75 / reach, colour)
    return made


def _watched(
    axis: Axes, here: Box, ends: tuple, scale: float, colour: str
) -> None:
    """An observer beside a box: its eye, its two numbers, and its range."""
    x, y = here.right
    axis.plot([x, x + 0.18], [y, y], color=colour, linewidth=1)
    axis.plot([x + 0.18], [y], "o", color=colour, markersize=6)
    low, high = (number(end, 2) for end in ends)
    words(axis, (x + 0.3, y), f"{low} to {high}", points=8, ha="left")
    axis.plot([4.15, 4.15], [y - 0.1, y + 0.1], color=NEUTRAL, linewidth=0.8)
    drawn = [4.15 + scale * end for end in ends]
    axis.plot(drawn, [y, y], color=colour, linewidth=3, solid_capstyle="butt")


@styled
def folding(
    block: Iterable[str],
    networks: tuple[nn.Module, nn.Module],
    rounded: tuple[Iterable[str], Iterable[str]],
) -> Figure:
    """A convolution, its BN and its ReLU, and the one box that they become.

    ``networks`` are a float network and its folded copy; ``rounded`` are
    the modules, before and after, behind which an integer network rounds.
    """
    block, (before, after) = list(block), networks
    made, axis = sheet(2.9)
    places = [(0.8, 2.2), (2.5, 2.2), (4.2, 2.2)]
    parts = {name: before.get_submodule(name) for name in block}
    boxes = [
        box(axis, place, (1.38, 0.62), f"{name}: {act(part)}\n{_held(part)}")
        for place, (name, part) in zip(places, parts.items(), strict=True)
    ]
    for one, other in itertools.pairwise(boxes):
        arrow(axis, one.right, other.left)
    layer = after.get_submodule(block[0])
    told = f"{block[0]}: convolution with BN and ReLU\n{_held(layer)}"
    merged = box(axis, (2.5, 0.85), (2.9, 0.62), told, INTEGER)
    for part in boxes:
        arrow(
            axis,
            part.bottom,
            (merged.x + 0.6 * (part.x - merged.x), merged.top[1]),
        )
    words(axis, (0.12, 2.7), "before folding", ha="left")
    words(axis, (0.12, 1.3), "after folding", ha="left")
    for chain, names in zip((boxes, [merged]), rounded, strict=True):
        for part, name in zip(chain, block, strict=False):
            if name in names:
                rounding(axis, (part.right[0] + 0.12, part.y + 0.17))
    rounding(axis, (0.62, 0.25))
    told = "here the integer network rounds values to a grid"
    words(axis, (0.75, 0.25), told, points=8, ha="left")
    return made


def _held(module: nn.Module) -> str:
    """What a float module keeps: "18,432 weights, 64 biases"."""
    if isinstance(module, nn.BatchNorm2d):
        return f"4 × {module.num_features} numbers"
    kept = [
        f"{tensor.numel():,} {what}"
        for what in ("weight", "bias")
        if (tensor := getattr(module, what, None)) is not None
    ]
    told = ", ".join(kept).replace("weight", "weights")
    return told.replace("bias", "biases") or "no numbers"


@styled
def region(given: nn.Module) -> Figure:
    """An integer network's modules in two lanes, and where values cross.

    ``given`` has its stubs: what lies between a "dequantize" and the next
    "quantize" computes in floats.
    """
    rows = _lanes(running(given))
    pitch = 0.38
    made, axis = sheet(pitch * len(rows) + 0.5)
    lanes = {"integers": (1.0, INTEGER), "floats": (4.0, FLOAT)}
    lanes["between"] = (2.5, PLAIN)
    y, before = axis.get_ylim()[1] - 0.25, None
    for lane in ("integers", "floats"):
        words(axis, (lanes[lane][0], y), f"in {lane}", weight="bold")
    for told, lane in rows:
        y -= pitch
        x, colour = lanes[lane]
        width = 0.85 if lane == "between" else 1.75
        here = box(axis, (x, y), (width, 0.26), told, colour, points=8.5)
        if before:
            _join(axis, before, here)
        before = here
    return made


def _lanes(modules: dict[str, nn.Module]) -> list[tuple[str, str]]:
    """Words and lane of each module, with the image and the outputs."""
    rows, lane = [("image", "floats")], "floats"
    for name, module in modules.items():
        told = act(module)
        if told in ("quantize", "dequantize"):
            lane = "integers" if told == "quantize" else "floats"
            rows.append((told, "between"))
        else:
            rows.append((f"{_short(name)}: {told}", lane))
    return [*rows, ("outputs", lane)]


def _join(axis: Axes, one: Box, other: Box) -> None:
    """An arrow between two boxes, the second below, with a bend if needed."""
    rightwards = one.x < other.x
    if one.x == other.x:
        arrow(axis, one.bottom, other.top)
    elif one.width > other.width:  # from a lane into a conversion
        side = other.left if rightwards else other.right
        arrow(axis, one.bottom, side, (-90, 180 if rightwards else 0))
    else:
        side = one.right if rightwards else one.left
        arrow(axis, side, other.top, (0 if rightwards else 180, 90))
