"""How the time of a network grows, in floats and in integers."""

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, NullLocator

from ptq.book import show, style
from ptq.book.style import FAMILIES, PAPER
from ptq.evidence import time_ratios
from ptq.experiment.results import NOT_JUDGED, Timing

WORDS = {
    "batch": "batch: images at once",
    "width": "width: channels of each convolution",
    "depth": "depth: convolutions",
    "threads": "threads",
}
LOOKS = ((FAMILIES["fp32"], "o"), (FAMILIES["folded"], "s"))

# Timings by what changes, a key of ``WORDS``, and its value.
Growth = dict[str, dict[int, Timing]]


def judged(timings: dict[int, Timing], word: str) -> str:
    """The values at which the second network's verdict is ``word``.

    "none" where there is no such value.
    """
    found = [
        f"{value}"
        for value, timing in timings.items()
        if timing.time_verdict(*_names(timing)) == word
    ]
    return ", ".join(found) or "none"


def growth(name: str, found: Growth, others: str, folder: Path) -> None:
    """Show milliseconds an image, a panel for each thing that changes.

    ``others`` says what the rest is.
    """
    (timings, *_) = found.values()
    first, second = _names(timing := next(iter(timings.values())))
    sessions, rounds = timing.of(first).shape
    faster, slower, open_ = (
        "; ".join(f"{n} {judged(of, word)}" for n, of in found.items())
        for word in (time_ratios.FASTER, time_ratios.SLOWER, NOT_JUDGED)
    )
    show.figure(
        panels(found),
        folder,
        name,
        f"Time per image of plain convolutional networks: {others}, unless "
        f"it is what changes. Above: how many times as fast {second} is, in "
        f"brackets where the machine was busy. Judged faster (filled "
        f"squares): {faster}. Judged slower: {slower}. Not judged: {open_}. "
        f"Hot, in turns, sessions: {sessions}, of {rounds} rounds each; "
        "bars: quartiles.",
        f"Four panels with logarithmic axes, each with a line of {first} and "
        f"one of {second}: time per image by batch, width, depth and "
        "threads.",
    )


@style.styled
def panels(found: Growth) -> Figure:
    """A panel for each thing that changes, all of one scale of time."""
    made, axes = style.figure(7.0, 5.2, nrows=2, ncols=2, sharey=True)
    for axis, (knob, timings) in zip(axes.flat, found.items(), strict=True):
        _panel(axis, timings)
        axis.set_xlabel(WORDS[knob])
    for axis in axes[:, 0]:
        axis.set_ylabel("time per image (ms)")
    lowest, highest = axes[0, 0].get_ylim()
    axes[0, 0].set_ylim(lowest, 2.5 * highest)  # room for the ratios
    style.legend(made, axes[0, 0], ncols=2)
    return made


def _panel(axis: Axes, timings: dict[int, Timing]) -> None:
    """Both lines, and above them how many times as fast the second is."""
    axis.set(xscale="log", yscale="log")
    axis.xaxis.set_minor_locator(NullLocator())
    axis.yaxis.set_major_formatter("{x:g}")
    axis.yaxis.set_minor_formatter(NullFormatter())
    axis.set_xticks(list(timings), [f"{value}" for value in timings])
    axis.margins(x=0.1)  # so that no ratio touches the axis
    names = _names(next(iter(timings.values())))
    for name, (ink, marker) in zip(names, LOOKS, strict=True):
        found = {v: t.milliseconds(name) for v, t in timings.items()}
        middle = [one.value for one in found.values()]
        axis.plot(list(found), middle, color=ink, linewidth=1)
        look = {"color": ink, "marker": marker, "markersize": 5}
        for value, one in found.items():
            told = timings[value].time_verdict(*names)
            sure = name == names[0] or told == time_ratios.FASTER
            filled = {} if sure else {"markerfacecolor": PAPER}
            style.marks(axis, [value], [one], **look, **filled)
        axis.plot([], [], label=name, linewidth=1, **look)
    text = {"ha": "center", "va": "top", "fontsize": 8}
    text["transform"] = axis.get_xaxis_transform()
    for value, timing in timings.items():
        ratio = timing.speedup(*names).value
        told = f"({ratio:.1f}×)" if timing.busy else f"{ratio:.1f}×"
        axis.text(value, 0.98, told, **text)


def _names(timing: Timing) -> tuple[str, str]:
    """The network in floats, and the one in integers."""
    first, second, *_ = timing.seconds
    return first, second
