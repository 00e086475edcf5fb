"""Figures of the smallest files: accuracy over bytes, and code lengths."""

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from ptq.book import show, style
from ptq.book.figures.four_networks import look
from ptq.book.style import NEUTRAL
from ptq.book.tables.smallest import prices
from ptq.experiment.smallest_study import SMALLEST
from ptq.networks import recipes


def frontier(name: str, found: pd.DataFrame, folder: Path) -> None:
    """Show the change of accuracy over the bytes of a file.

    ``found`` is ``smallest_study.rows``.
    """
    least = found.loc[found.file_bytes.idxmin()]
    show.figure(
        over_bytes(found),
        folder,
        name,
        "Change of accuracy (mean over trainings, with 95 % intervals) over "
        "the bytes of the whole file. Open marks: fc1 at few bits without a "
        "price; filled marks: entropy coded, at a price of a bit of "
        f"{' or '.join(prices(found))} nats. The smallest "
        f"file ({recipes.get(least.network).label}) has "
        f"{least.file_bytes / 1000:.0f} kB and "
        f"changes by {100 * least.change.value:+.2f} points. The vertical "
        f"line is {SMALLEST / 1000:.0f} kB.",
        "Scatter of points lost over kilobytes on a logarithmic axis. Filled "
        "marks lie far to the left of the open ones.",
    )


@style.styled
def over_bytes(found: pd.DataFrame) -> Figure:
    """``found`` is ``smallest_study.rows``: a colour for each network."""
    made, axis = style.figure(7.0, 3.8)
    for network, rows in found.groupby("network", sort=False):
        colour, marker = look(network)
        title = recipes.get(network).label
        packed = ~rows.strategy.str.startswith("price")
        for some, fill in ((packed, "none"), (~packed, colour)):
            here = rows[some]
            drawn = {"color": colour, "marker": marker, "markersize": 6}
            drawn |= {"markerfacecolor": fill, "elinewidth": 0.8}
            named = {"label": title} if fill != "none" else {}
            changes = [100 * change for change in here.change]
            places = here.file_bytes / 1000
            style.marks(axis, places, changes, **drawn, **named)
    axis.axhline(0, color=NEUTRAL, linewidth=0.8)
    axis.axvline(SMALLEST / 1000, color=NEUTRAL, linestyle=":")
    axis.set_xscale("log")
    ends = found.file_bytes.min() / 1000, found.file_bytes.max() / 1000
    ticks = [t for t in (30, 50, 70, 100, 150, 200, 300) if _near(t, ends)]
    axis.set_xticks(ticks, [str(t) for t in ticks])
    axis.minorticks_off()
    axis.set_xlabel("file (kB, logarithmic)")
    axis.set_ylabel("change of accuracy (points)")
    style.legend(made, axis, "upper center", ncols=3, fontsize=8)
    return made


def _near(tick: float, ends: tuple[float, float]) -> bool:
    return ends[0] / 1.2 <= tick <= 1.2 * ends[1]
