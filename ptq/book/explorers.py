"""The explorers of the book; each function returns one widget."""

import io
from base64 import b64encode
from html import escape

import numpy as np
from ipywidgets import HTML, VBox
from matplotlib.axes import Axes
from PIL import Image
from torch import Tensor

from ptq.book import explorer_drawings
from ptq.book.explorer_controls import Choice, explorer, picture, svg
from ptq.book.point_names import together
from ptq.data import cifar10
from ptq.evidence import time_ratios


def clipping(
    trials: dict[tuple[int, int], explorer_drawings.Trial], reference: int
) -> VBox:
    """Bits and reach of the grid of one layer's weights.

    ``trials`` is keyed by bits and by the grid's reach in percent of the
    largest weight; ``reference`` counts the float network's right answers.
    """

    def draw(bits: int, clip: int) -> str:
        trial = trials[bits, clip]
        grid = f"{bits} bits, the grid reaching to {clip} % of the largest"
        share = f"{100 * trial.clipping_share:.0f} %"
        error = f"SQNR {trial.sqnr:.1f} dB, {share} of the noise clipped"
        reading = (
            f"{grid}: step {trial.step:.4f}, {error}. Right on "
            f"{trial.correct} of {trial.n} validation pictures (float: "
            f"{reference}), {trial.changed} answers changed."
        )
        alt = f"Histogram of the weights on {2**bits} codes, and noise by "
        alt += f"weight: {error}."
        made = explorer_drawings.clipped(trial)
        return picture(made, f"clip{bits}-{clip}", alt, reading)

    widths, clips = (sorted(set(ends)) for ends in zip(*trials, strict=True))
    bits = {str(b): b for b in widths}
    reaches = {f"{c} %": c for c in clips}
    return explorer(
        [
            Choice("bits", bits, widths[-1], ordered=True),
            Choice("grid reaches", reaches, clips[-1], ordered=True),
        ],
        draw,
    )


def channels(sides: list[explorer_drawings.Coded], start: int = 0) -> VBox:
    """Each channel of a layer, as two integer networks see it.

    ``sides`` are of one layer; ``start`` is the channel shown at first.
    """

    def draw(chosen: int) -> str:
        parts = [
            f"{side.title[0].upper()}{side.title[1:]}, "
            f"{side.used[chosen]} codes in use, {_left(side.sqnr[chosen])}."
            for side in sides
        ]
        reading = " ".join([f"Channel {chosen}.", *parts])
        made = explorer_drawings.channel(sides, chosen)
        alt = f"Two histograms of the values of channel {chosen}."
        return picture(made, f"channel{chosen}", alt, reading)

    options = {str(c): c for c in range(len(sides[0].counts))}
    return explorer([Choice("channel", options, start, ordered=True)], draw)


def _left(decibels: float) -> str:
    """What is left of a channel; nan stands for silence."""
    what = "silent" if np.isnan(decibels) else f"{decibels:.1f} dB"
    return f"{what} behind its ReLU"


def strategies(
    quantities: list[explorer_drawings.Quantity],
    labels: dict[str, str],
    start: tuple[int, int] = (0, 1),
) -> VBox:
    """All strategies by any two measures; ``start`` indexes x and y.

    ``quantities`` have the same strategies, those of ``labels``.
    """

    def draw(x: int, y: int) -> str:
        across, up = quantities[x], quantities[y]
        best = time_ratios.pareto(_signed(across, -1), _signed(up, 1))
        names = ", ".join(labels[name] for name in best)
        alt = f"Scatter of {up.title} over {across.title}."
        made = explorer_drawings.against(across, up)
        reading = f"Not beaten on these two, by values alone: {names}."
        reading += _on_one_point(made.axes[0], across, up, labels)
        return picture(made, f"axes{x}-{y}", alt, reading)

    options = {quantity.title: i for i, quantity in enumerate(quantities)}
    box = explorer(
        [
            Choice("across", options, start[0]),
            Choice("up", options, start[1]),
        ],
        draw,
    )
    box.children = (*box.children, HTML(_legend(labels)))
    return box


def _on_one_point(
    axis: Axes,
    across: explorer_drawings.Quantity,
    up: explorer_drawings.Quantity,
    labels: dict[str, str],
) -> str:
    """A sentence on the strategies whose points lie on each other."""
    places = {
        name: (found.value, up.values[name].value)
        for name, found in across.values.items()
    }
    groups = [
        f"{', '.join(labels[name] for name in group)} and {labels[last]}"
        for *group, last in together(axis, places)
        if group
    ]
    return f" On one point: {'; '.join(groups)}." if groups else ""


def _legend(labels: dict[str, str]) -> str:
    """The marker of each strategy; words that wrap as the page does."""
    marks = "".join(
        f"<span>{svg(explorer_drawings.mark(name), f'mark-{name}', '')} "
        f"{escape(label)}</span> "
        for name, label in labels.items()
    )
    return f'<div class="marks">{marks}</div>'


def _signed(
    quantity: explorer_drawings.Quantity, sign: int
) -> dict[str, float]:
    """Values whose growth is good (``sign`` 1) or bad (-1)."""
    sign *= 1 if quantity.high_is_good else -1
    return {name: sign * v.value for name, v in quantity.values.items()}


def flips(
    pixels: Tensor,
    labels: np.ndarray,
    reference: np.ndarray,
    answers: dict[str, np.ndarray],
    most: int = 5,
) -> VBox:
    """Pictures that strategies lose and gain against the reference.

    ``pixels`` is uint8 (N, 3, 32, 32); ``labels``, ``reference`` and each of
    the ``answers`` are classes (N,). Up to ``most`` of each kind are shown.
    """

    def draw(strategy: str, label: int) -> str:
        found = answers[strategy]
        mine = labels == label
        was, now = reference == labels, found == labels
        kinds = {"lost": mine & was & ~now, "gained": mine & ~was & now}
        rows = []
        for kind, chosen in kinds.items():
            shown = [
                _flip(pixels[i], i, labels[i], reference[i], found[i])
                for i in np.flatnonzero(chosen)[:most]
            ]
            head = f"<p>{strategy}, {cifar10.CLASSES[label]}: {kind} "
            head += f"{chosen.sum()} of {mine.sum()}</p>"
            rows.append(head + f'<div class="flips">{"".join(shown)}</div>')
        return "".join(rows)

    classes = {name: i for i, name in enumerate(cifar10.CLASSES)}
    start = _most_moved(labels, reference, answers)
    return explorer(
        [
            Choice("strategy", {n: n for n in answers}, start[0]),
            Choice("class", classes, start[1]),
        ],
        draw,
    )


def _most_moved(labels, reference, answers) -> tuple[str, int]:
    """The strategy and class that lose and gain most pictures."""
    moved = {
        (name, label): int(
            ((labels == label) & ((found == label) != (reference == label)))
            .sum()
        )
        for name, found in answers.items()
        for label in range(len(cifar10.CLASSES))
    }  # fmt: skip
    return max(moved, key=moved.get)


def _flip(pixels: Tensor, index: int, *answers: int) -> str:
    """A picture with two answers below; ``answers`` begin with the truth."""
    true, was, now = (cifar10.CLASSES[answer] for answer in answers)
    buffer = io.BytesIO()
    shown = Image.fromarray(pixels.permute(1, 2, 0).numpy())
    # A third of a PNG's bytes; nobody sees the loss at this size.
    shown.save(buffer, "webp", quality=85, method=6)
    code = b64encode(buffer.getvalue()).decode()
    look = 'class="dark-light" width="64" height="64"'
    return (
        f'<span><img {look} alt="{true}, test picture {index}" '
        f'src="data:image/webp;base64,{code}"><br>{was} → {now}</span>'
    )


def calibration_ranges(draws: dict[str, explorer_drawings.Draws]) -> VBox:
    """Ranges of each layer against the number of calibration images.

    ``draws`` gives, for each layer and number of images, the lowest and
    the highest value (draws,) that the layer put out.
    """

    def draw(layer: str, count: int) -> str:
        low, high = draws[layer][count]
        reading = (
            f"{len(low)} draws of {count:,} images: in nine of ten the "
            f"lower end lies {_where(low)}, the upper end {_where(high)}. "
            "Dotted: the ends of all draws, of whatever size."
        )
        made = explorer_drawings.ranges(draws[layer], count)
        alt = "One line per draw, from the lowest to the highest value of "
        alt += f"{layer}."
        return picture(made, f"ranges-{layer}-{count}", alt, reading)

    counts = sorted(next(iter(draws.values())))
    sizes = {f"{n:,}": n for n in counts}
    return explorer(
        [
            Choice("layer", {n: n for n in draws}, next(iter(draws))),
            Choice("images", sizes, counts[0], ordered=True),
        ],
        draw,
    )


def _where(ends: np.ndarray) -> str:
    """Where the middle nine of ten values lie, in words."""
    found = (f"{end:.2f}" for end in np.quantile(ends, [0.05, 0.95]))
    low, high = (end.replace("-", "\u2212") for end in found)
    return f"at {low}" if low == high else f"between {low} and {high}"
