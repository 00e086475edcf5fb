"""Figure and tables of every choice of float layers."""

from pathlib import Path

import pandas as pd

from ptq.book import comparison_plots, figures, show, tables
from ptq.evidence.intervals import Interval
from ptq.experiment import float_choices
from ptq.experiment.float_choices import Factor, Ranking
from ptq.experiment.results import Timing


def assignments_figure(
    name: str, frame: pd.DataFrame, chosen: str, folder: Path
) -> None:
    """Draw the accuracy of every choice over its time.

    ``frame`` is that of ``float_choices.compared``; ``chosen`` names the
    published choice.
    """
    rows = {row.Index: row for row in frame.itertuples()}
    fastest_first = frame[frame.frontier].sort_values("milliseconds").index
    optimal = {_named(rows[n]): _point(rows[n]) for n in fastest_first}
    band, fp32 = float_choices.band(frame), rows["fp32"].accuracy
    span = 100 * (frame.accuracy.max() - frame.accuracy.min())
    times = frame.milliseconds.max() / frame.milliseconds.min()
    where = "on" if rows[chosen].frontier else "not on"
    figures.show(
        comparison_plots.assignments(
            {
                title: {
                    _named(row): _point(row)
                    for row in rows.values()
                    if row.folded == folded
                }
                for title, folded in (("folded", True), ("unfolded", False))
            },
            optimal | {"conv2 (as published)": _point(rows[chosen])},
            list(optimal.values()),
            (fp32 - band, fp32 + band),
        ),
        folder,
        name,
        caption=f"All choices of float layers span {span:.2f} points of "
        f"accuracy, and {times:.1f}-fold times (bars: quartiles). The float "
        "layers are written beside each point of the frontier; the "
        f"published choice is {where} it.",
        alt=f"Scatter of validation accuracy over time for {len(frame)} "
        "networks, in front of a band around the accuracy of FP32; float "
        f"layers of the fastest: {next(iter(optimal))}.",
    )


def _point(row) -> tuple[Interval, float]:
    """Milliseconds per image, with quartiles, and the share right."""
    quartiles = row.milliseconds_q1, row.milliseconds_q3
    return Interval(row.milliseconds, *quartiles), row.accuracy


def _named(row) -> str:
    """A choice by its float layers."""
    layers = " + ".join(row.float_layers) or "none"
    return layers if row.folded else f"{layers} (unfolded)"


def assignments_table(name: str, frame: pd.DataFrame, timing: Timing) -> None:
    """Show every choice with its accuracy, verdicts and time."""
    rows = [
        {
            "float layers": " + ".join(row.float_layers) or "none",
            "folded": "yes" if row.folded else "no",
            "top-1 (%)": f"{100 * row.accuracy:.2f}",
            "95 % interval": f"{100 * row.accuracy_low:.1f}"
            f"–{100 * row.accuracy_high:.1f}",
            "lost / gained": f"{row.lost} / {row.gained}",
            "Holm p": f"{row.holm:.2g}",
            "verdict": row.verdict,
        }
        | tables.readable_time(row._asdict())
        | {"frontier": "yes" if row.frontier else "no"}
        for row in frame.itertuples()
    ]
    show.table(
        rows,
        name,
        f"All assignments on {frame.n.iloc[0]:,} validation images, against "
        f"FP32; times at {timing.conditions}. FP32 is the row of four float "
        f"layers, unfolded. {tables.remarks([timing], ['fp32'])}",
    )


def factors_table(name: str, found: dict[str, Factor]) -> None:
    """Show by what each change multiplies the time."""
    rows = [
        {
            "change": change,
            "time multiplied by": f"{factor.mean:.2f}",
            "least of the pairs": f"{factor.least:.2f}",
            "most of the pairs": f"{factor.most:.2f}",
            "time": factor.word,
        }
        for change, factor in found.items()
    ]
    show.table(
        rows,
        name,
        "What one change does to the time: geometric mean over the pairs of "
        "networks that differ in nothing else, and where it lies in the next "
        "session. (*BN unfolded*: BN and the ReLUs behind it are layers of "
        "their own.)",
    )


def regret_table(name: str, rankings: dict[str, Ranking]) -> None:
    """Show how each metric ranks the layers, and what that loses."""
    rows = [
        {"metric": metric, "ranking, worst first": " ".join(found.layers)}
        | {
            f"regret, {k} float": f"{100 * loss:.2f}"
            for k, loss in found.losses.items()
        }
        | {"smallest Holm p": f"{found.p:.2g}", "verdict": found.verdict}
        for metric, found in rankings.items()
    ]
    show.table(
        rows,
        name,
        "Regret of each metric, in points of validation accuracy, among the "
        "folded assignments (in brackets: 95 % interval, before any "
        "correction), the smallest p of its three choices, and the verdict.",
    )
