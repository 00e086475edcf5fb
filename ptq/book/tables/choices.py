"""Every choice of float layers: accuracy, time, and what a metric loses."""

import pandas as pd

from ptq.book import show
from ptq.book.tables import cells, times
from ptq.experiment.float_choices import Factor, Ranking
from ptq.experiment.results import Timing


def every_choice(name: str, frame: pd.DataFrame, timing: Timing) -> None:
    """Show every choice with its accuracy, verdicts and time."""
    rows = [
        {
            "float layers": " + ".join(row["float_layers"]) or "none",
            "folded": "yes" if row["folded"] else "no",
        }
        | cells.top_1(cells.interval(row, "accuracy"))
        | cells.judged(row)
        | cells.time(row)
        | {"frontier": "yes" if row["frontier"] else "no"}
        for row in frame.to_dict("records")
    ]
    show.table(
        rows,
        name,
        f"All assignments on {frame.n.iloc[0]:,} validation images, against "
        f"FP32; times at {timing.conditions}. FP32 is the row of four float "
        f"layers, unfolded. {times.remarks([timing], ['fp32'])}",
    )


def factors(name: str, found: dict[str, Factor]) -> None:
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


def regret(name: str, rankings: dict[str, Ranking]) -> None:
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
