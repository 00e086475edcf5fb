"""The explorers of the book; each function returns one widget."""

import io
from base64 import b64encode

import numpy as np
from ipywidgets import HTML, VBox
from PIL import Image
from torch import Tensor

from ptq import data, evidence, frames
from ptq.controls import Choice, explorer, picture, svg


def clipping(
    trials: dict[tuple[int, int], frames.Trial], reference: int
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
        alt = (
            f"Histogram of the weights on {2**bits} codes, and noise by "
            f"weight: {error}."
        )
        return picture(
            frames.clipped(trial), f"clip{bits}-{clip}", alt, reading
        )

    bits = sorted({b for b, _ in trials})
    clips = sorted({c for _, c in trials})
    return explorer(
        [
            Choice("bits", {str(b): b for b in bits}, bits[-1], ordered=True),
            Choice(
                "grid reaches",
                {f"{c} %": c for c in clips},
                clips[-1],
                ordered=True,
            ),
        ],
        draw,
    )


def channels(sides: list[frames.Coded], start: int = 0) -> VBox:
    """Each channel of a layer, as two integer networks see it."""

    def draw(chosen: int) -> str:
        parts = [
            f"{side.title}: {side.used[chosen]} codes in use, "
            + _decibels(side.sqnr[chosen])
            for side in sides
        ]
        reading = f"Channel {chosen}. {'; '.join(parts)}."
        made = frames.channel(sides, chosen)
        alt = f"Two histograms of the values of channel {chosen}."
        return picture(made, f"channel{chosen}", alt, reading)

    options = {str(c): c for c in range(len(sides[0].counts))}
    return explorer([Choice("channel", options, start, ordered=True)], draw)


def _decibels(value: float) -> str:
    if np.isnan(value):
        return "silent behind its ReLU"
    return f"{value:.1f} dB behind its ReLU"


def strategies(
    quantities: list[frames.Quantity],
    labels: dict[str, str],
    start: tuple[int, int] = (0, 1),
) -> VBox:
    """All strategies by any two measures; ``start`` indexes x and y."""

    def draw(x: int, y: int) -> str:
        across, up = quantities[x], quantities[y]
        best = evidence.pareto(_signed(across, -1), _signed(up, 1))
        names = ", ".join(labels[name] for name in best)
        alt = f"Scatter of {up.title} over {across.title}."
        reading = f"By these two, no other is better than: {names}."
        made = frames.against(across, up)
        return picture(made, f"axes{x}-{y}", alt, reading)

    options = {quantity.title: i for i, quantity in enumerate(quantities)}
    box = explorer(
        [
            Choice("across", options, start[0]),
            Choice("up", options, start[1]),
        ],
        draw,
    )
    marks = svg(frames.legend(labels), "legend", "Marker of each strategy.")
    box.children = (*box.children, HTML(marks))
    return box


def _signed(quantity: frames.Quantity, sign: int) -> dict[str, float]:
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
                _flip(pixels[i], i, data.CLASSES[reference[i]],
                      data.CLASSES[found[i]])
                for i in np.flatnonzero(chosen)[:most]
            ]  # fmt: skip
            head = f"<p>{strategy}, {data.CLASSES[label]}: {kind} "
            head += f"{chosen.sum()} of {mine.sum()}</p>"
            rows.append(head + f'<div class="flips">{"".join(shown)}</div>')
        return "".join(rows)

    return explorer(
        [
            Choice("strategy", {n: n for n in answers}, next(iter(answers))),
            Choice("class", {n: i for i, n in enumerate(data.CLASSES)}, 3),
        ],
        draw,
    )


def _flip(pixels: Tensor, index: int, was: str, now: str) -> str:
    buffer = io.BytesIO()
    shown = Image.fromarray(pixels.permute(1, 2, 0).numpy())
    # A third of a PNG's bytes; nobody sees the loss at this size.
    shown.save(buffer, "webp", quality=85, method=6)
    code = b64encode(buffer.getvalue()).decode()
    look = 'class="dark-light" width="64" height="64"'
    return (
        f'<span><img {look} alt="Test picture {index}" '
        f'src="data:image/webp;base64,{code}"><br>{was} → {now}</span>'
    )


def calibration_ranges(draws: dict[str, frames.Draws]) -> VBox:
    """Ranges of each layer against the number of calibration pictures.

    ``draws`` gives, for each layer and number of pictures, the lowest and
    the highest value (draws,) that the layer put out.
    """

    def draw(layer: str, count: int) -> str:
        low, high = draws[layer][count]
        ends = [np.quantile(side, [0.05, 0.95]) for side in (low, high)]
        reading = (
            f"{len(low)} draws of {count} pictures: the lower end lies "
            f"between {ends[0][0]:.2f} and {ends[0][1]:.2f} in nine of ten, "
            f"the upper end between {ends[1][0]:.2f} and {ends[1][1]:.2f}."
        )
        made = frames.ranges(draws[layer], count)
        name = f"ranges-{layer}-{count}"
        alt = (
            f"A line from the lowest to the highest value of {layer} a draw."
        )
        return picture(made, name, alt, reading)

    counts = sorted(next(iter(draws.values())))
    return explorer(
        [
            Choice("layer", {n: n for n in draws}, next(iter(draws))),
            Choice(
                "pictures",
                {str(n): n for n in counts},
                counts[0],
                ordered=True,
            ),
        ],
        draw,
    )
