"""Drawings of ideas that are about numbers: codes, sums, counts, caches.

Each is drawn from the numbers that it is given, which its labels carry.
Drawings about a network are in ``networks``.
"""

from dataclasses import dataclass

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from ptq.book.drawings.parts import (
    FLOAT,
    INTEGER,
    PLAIN,
    WIDTH,
    arrow,
    box,
    number,
    sheet,
    words,
)
from ptq.book.style import INK, NEUTRAL, shaded, styled
from ptq.evidence.paired_tests import Flips
from ptq.quantizer import affine
from ptq.quantizer.affine import Grid


@styled
def codes(x: Tensor, grid: Grid) -> Figure:
    """Values, float32 (N,), and the codes that they get on a number line.

    ``grid`` is one for all values. A value whose code lies beyond the grid
    is clipped, the others are rounded.
    """
    every = torch.arange(grid.qmin, grid.qmax + 1)
    points = affine.dequantize(every, grid)
    low, high = min(x.min(), points.min()), max(x.max(), points.max())
    made, axis = sheet(2.1)

    def place(value) -> float:
        return 0.4 + 4.2 * float((value - low) / (high - low))

    axis.plot([0.12, 4.88], [0.7, 0.7], color=NEUTRAL, linewidth=1)
    for code, point in zip(every, points, strict=True):
        here = place(point)
        axis.plot([here, here], [0.62, 0.78], color=INK, linewidth=1.5)
        words(axis, (here, 0.45), number(point, 2), points=8)
        words(axis, (here, 0.2), str(int(code)), weight="bold")
    words(axis, (4.88, 0.45), "value", points=8, ha="right")
    words(axis, (4.88, 0.2), "code", points=8, ha="right")
    wanted = torch.round(x / grid.scale) + grid.zero_point
    found = affine.dequantize(affine.quantize(x, grid), grid)
    for value, code, point in zip(x, wanted, found, strict=True):
        inside = grid.qmin <= code <= grid.qmax
        _moved(axis, place(value), place(point), inside)
        told = "rounded" if inside else "clipped"
        words(axis, (place(value), 1.84), f"{number(value, 1)}\n{told}")
    return made


def _moved(axis: Axes, start: float, end: float, rounded: bool) -> None:
    """A value above the number line, and the arrow to its point."""
    colour = INTEGER if rounded else FLOAT
    axis.plot([start], [1.55], "o", color=colour, markersize=6)
    arrow(axis, (start, 1.48), (end, 0.82))


@dataclass(frozen=True)
class Requantized:
    """One output of an integer layer, from the codes to the code.

    ``steps`` are the scales of input, weights and output, S_x, S_w and S_y;
    ``products`` counts what the ``accumulator`` sums, an integer. ``code``
    stands for the output on a grid whose zero point is ``zero_point``.
    """

    steps: tuple[float, float, float]
    products: int
    accumulator: int
    zero_point: int
    code: int

    @property
    def multiplier(self) -> float:
        """Codes of the output for each unit of the accumulator.

        Equation (eq-requantize), Jacob et al. (2018), 2.2.
        """
        of_input, of_weights, of_output = self.steps
        return of_input * of_weights / of_output


@styled
def requantization(found: Requantized) -> Figure:
    """The way of one output through an integer layer, with its numbers."""
    made, axis = sheet(3.72)
    x, y = 1.15, 3.54
    words(axis, (x, y), "values $x$ of the input")
    for title, formula, told in _way(found):
        colour = FLOAT if title == "quantize" else INTEGER
        here = box(axis, (x, y - 0.56), (2.05, 0.54), "", colour)
        arrow(axis, (x, y - 0.1), here.top)
        words(axis, (x, here.y + 0.12), title, weight="bold")
        words(axis, (x, here.y - 0.12), formula)
        words(axis, (2.35, here.y), told, ha="left")
        y = here.bottom[1] + 0.1
    arrow(axis, here.bottom, (x, 0.3))
    words(axis, (x, 0.18), f"code $q_y$ = {found.code}, one byte")
    told = f"stands for $S_y (q_y - Z_y)$, $S_y$ = {found.steps[2]:.5f}"
    words(axis, (2.35, 0.18), told, ha="left")
    return made


def _way(found: Requantized) -> list[tuple[str, str, str]]:
    """Title, formula and numbers of each step to a ``Requantized`` output."""
    of_input, of_weights, _ = found.steps
    total = number(found.accumulator)
    scaled = number(found.multiplier * found.accumulator, 2)
    return [
        (
            "quantize",
            "$q_x = \\lfloor x / S_x \\rceil + Z_x$",
            f"codes of one byte, $S_x$ = {of_input:.5f}",
        ),
        (
            "integer convolution",
            "$(q_x - Z_x)\\, q_w$",
            f"{found.products} products, $S_w$ = {of_weights:.5f}",
        ),
        (
            "accumulator",
            "$a = \\sum\\, (q_x - Z_x)\\, q_w$",
            f"integer of 32 bits, $a$ = {total}",
        ),
        (
            "requantize",
            "$q_y = \\lfloor M\\, a \\rceil + Z_y$",
            f"$M = S_x S_w / S_y$ = {found.multiplier:.6f}\n"
            f"$M\\, a$ = {scaled}, $Z_y$ = {found.zero_point}",
        ),
    ]


@styled
def pair_sums(pairs: dict[str, tuple[Tensor, Tensor]], most: int) -> Figure:
    """Sums of two products of codes against what 16 bits can hold.

    ``pairs`` holds, by title, codes ``x`` (2,) and ``w`` (2,). A sum beyond
    ``most``, or below its negative less one, is clipped to that end.
    """
    made, axis = sheet(0.7 * len(pairs) + 0.35)
    sums = [int((x.long() * w.long()).sum()) for x, w in pairs.values()]
    scale = 2.25 / max(map(abs, sums))  # inches for each unit
    ends = {WIDTH / 2 + scale * end: end for end in (-most - 1, 0, most)}
    for x, end in ends.items():
        words(axis, (x, 0.18), number(end), points=8)
    y = axis.get_ylim()[1]
    for (name, codes), total in zip(pairs.items(), sums, strict=True):
        told = f"{name}: {_products(*codes)} = {number(total)}"
        words(axis, (0.15, y - 0.2), told, ha="left")
        kept = max(-most - 1, min(most, total))
        _kept(axis, y - 0.48, scale * kept, scale * total)
        for x, end in ends.items():
            style = "--" if end else "-"
            axis.plot([x, x], [y - 0.64, y - 0.32], style, color=INK, lw=0.8)
        y -= 0.7
    return made


def _products(x: Tensor, w: Tensor) -> str:
    """A sum of products in words: "127 · (−128) + 127 · 5"."""
    pairs = zip(x.tolist(), map(number, w.tolist()), strict=True)
    told = (f"{a} · {b if b.isdigit() else f'({b})'}" for a, b in pairs)
    return " + ".join(told)


def _kept(axis: Axes, y: float, kept: float, total: float) -> None:
    """A bar of a sum: what 16 bits keep of it, and what is lost."""
    axis.barh(y, kept, 0.2, left=WIDTH / 2, color=INTEGER)
    if total != kept:
        lost = {"left": WIDTH / 2 + kept} | shaded(FLOAT, pale=True)
        axis.barh(y, total - kept, 0.2, **lost)
        words(axis, (WIDTH / 2 + (kept + total) / 2, y), "lost", points=8)


@styled
def caches(
    megabytes: dict[str, float], milliseconds: dict[str, float]
) -> Figure:
    """Hot and cold calls, and whose weights a cache holds as each begins.

    The cache is one that has room for one network. ``megabytes`` holds the
    sizes of three, the last of them the one that is timed;
    ``milliseconds`` the time of its call, "hot" and "cold".
    """
    *_, timed = megabytes
    made, axis = sheet(3.05)
    runs = {
        f"hot: {timed} in a loop": [timed] * len(megabytes),
        f"cold: {timed} after others": list(megabytes),
    }
    for top, (title, names) in zip((2.87, 1.35), runs.items(), strict=True):
        words(axis, (0.15, top), title, weight="bold", ha="left")
        spent = milliseconds[title.partition(":")[0]]
        told = f"last call {spent:.2f} ms"
        words(axis, (WIDTH - 0.15, top), told, ha="right")
        words(axis, (0.15, top - 0.36), "call of", ha="left")
        words(axis, (0.15, top - 0.88), "cache holds\nbefore it", ha="left")
        before = timed  # of the round before
        for i, name in enumerate(names):
            needs = 0.0 if name == before else megabytes[name]
            _call(axis, (1.72 + 1.3 * i, top), name, before, needs)
            before = name
    return made


def _call(axis: Axes, place: tuple, name: str, before: str, needs) -> None:
    """A call, the cache before it, and the megabytes that it ``needs``."""
    x, top = place
    call = box(axis, (x, top - 0.36), (1.18, 0.28), name)
    colour = FLOAT if needs else INTEGER
    cache = box(axis, (x, top - 0.88), (1.18, 0.28), before, colour)
    arrow(axis, cache.top, call.bottom)
    told = f"fetches {needs:.2f} MB" if needs else "finds its weights"
    words(axis, (x, top - 1.18), told, points=8)


@styled
def paired(found: Flips, right: int, names: tuple[str, str]) -> Figure:
    """Images by who is right on them: two networks, both, or none.

    ``right`` counts the images on which the reference, the first of the
    ``names``, is right.
    """
    counts = (
        (right - found.lost, found.lost),
        (found.gained, found.n - right - found.gained),
    )
    made, axis = sheet(2.3, 3.5)  # as wide as a telephone
    titles = (("both right", "lost"), ("gained", "both wrong"))
    colours = ((PLAIN, FLOAT), (INTEGER, PLAIN))
    for i, row in enumerate(("right", "wrong")):
        x, y = 1.42 + 1.02 * i, 1.4 - 0.7 * i
        words(axis, (0.1, y), f"{names[0]}\n{row}", ha="left")
        words(axis, (x, 1.95), f"{names[1]}\n{row}")
        words(axis, (3.45, y), f"{sum(counts[i]):,}", ha="right")
        words(axis, (x, 0.2), f"{counts[0][i] + counts[1][i]:,}")
        for j in range(2):
            told = f"{titles[i][j]}\n{counts[i][j]:,}"
            place, size = (1.42 + 1.02 * j, y), (0.94, 0.6)
            box(axis, place, size, told, colours[i][j])
    return made


@styled
def grids(weight: Tensor, bits: int = 3) -> Figure:
    """One grid for a layer, and a grid for each channel, on three channels.

    ``weight`` is float32 (C, ...). The channels are those of the largest,
    the median and the smallest of the largest absolute weight. The points of
    ``bits`` are drawn; the labels give the SQNR with 8 bits.
    """
    flat = weight.flatten(1)
    bounds = flat.abs().amax(1)
    order = bounds.argsort(descending=True)
    made, axis = sheet(2.75)
    titles = ("one grid for the layer", "a grid for each channel")
    half = 2 ** (bits - 1)
    for x, title in zip((1.85, 3.98), titles, strict=True):
        words(axis, (x, 2.58), title, weight="bold")
        for i, which in enumerate((0, len(order) // 2, -1)):
            channel, y = int(order[which]), 2.1 - 0.78 * i
            own = bounds[channel] if "each" in title else bounds.max()
            points = torch.arange(-half, half) * own / (half - 0.5)
            scale = 0.92 / float(bounds.max())
            _channel(axis, (x, y), flat[channel] * scale, points * scale)
            on_grid = affine.fake_quantize(
                flat[channel], affine.symmetric_grid(own)
            )
            told = f"{affine.sqnr(flat[channel], on_grid):.1f} dB"
            words(axis, (x, y - 0.27), told, points=8)
            if "each" not in title:
                words(axis, (0.15, y), f"channel\n{channel}", ha="left")
    return made


def _channel(axis: Axes, place: tuple, weights: Tensor, points: Tensor):
    """Points of a grid as lines, and a channel's weights as dots."""
    x, y = place
    axis.vlines(x + points, y - 0.13, y + 0.13, color=NEUTRAL, linewidth=1)
    dots = {"color": INTEGER, "markersize": 4, "alpha": 0.7}
    axis.plot(x + weights, torch.full_like(weights, y), "o", **dots)
