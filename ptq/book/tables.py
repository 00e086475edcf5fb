"""Tables for chapters, the front page and the README: numbers as text."""

import numpy as np
import pandas as pd
from IPython.display import display

from ptq.book import show
from ptq.evidence import intervals, time_ratios
from ptq.experiment import comparison
from ptq.experiment.comparison import REFERENCE_ROW
from ptq.experiment.results import Timing
from ptq.experiment.strategies import STRATEGIES
from ptq.measure.timer import TWIN

MIB = 2**20


def readable(frame: pd.DataFrame, bounds: bool = False) -> pd.DataFrame:
    """The comparison as text, each number with its uncertainty.

    ``bounds`` adds two columns: the prediction disagreement, which no change
    of accuracy can exceed, and the change that would have been shown.
    """
    rows = []
    for row in frame.itertuples():
        low, high = 100 * row.accuracy_low, 100 * row.accuracy_high
        change = (
            f"{100 * row.change_low:+.2f} to {100 * row.change_high:+.2f}"
        )
        is_reference = row.verdict == REFERENCE_ROW
        cells = {
            "strategy": row.label,
            "top-1 (%)": f"{100 * row.accuracy:.2f}",
            "95 % interval": f"{low:.1f}–{high:.1f}",
            "change (points)": REFERENCE_ROW if is_reference else change,
            "lost / gained": f"{row.lost} / {row.gained}",
            "Holm p": f"{row.p_holm:.2g}",
            "verdict": row.verdict,
            "size (MB)": f"{row.file_bytes / 1e6:.3f}",
        }
        if bounds:
            cells["disagreement (%)"] = f"{100 * row.disagreement:.1f}"
            cells["shown from (points)"] = f"{100 * row.detectable:.2f}"
        if "speedup" in frame:
            cells |= readable_time(row._asdict())
        rows.append(cells)
    return pd.DataFrame(rows)


def readable_time(row: dict, prefix: str = "") -> dict[str, str]:
    """Cells of ``comparison.Times``: milliseconds, ratio and verdict."""
    names = ("speedup", "speedup_low", "speedup_high")
    found = intervals.Interval(*(row[prefix + name] for name in names))
    return {
        "ms per image": f"{row[f'{prefix}milliseconds']:.3f}",
        "speed-up": f"{found:.2f}",
        "time": row[f"{prefix}time_verdict"],
    }


def headline(frame: pd.DataFrame) -> pd.DataFrame:
    """The columns of the comparison that the front page shows."""
    text = readable(frame)
    shown = {
        "strategy": text.strategy,
        "top-1 (%)": text["top-1 (%)"] + " (" + text["95 % interval"] + ")",
        "lost / gained": text["lost / gained"],
        "accuracy is": text.verdict,
        "size (MB)": text["size (MB)"],
    }
    rows = frame.to_dict("records")
    for prefix, batch in (("", 64), ("single_", 1)):
        cells = pd.DataFrame(readable_time(row, prefix) for row in rows)
        shown |= _under(f"batch {batch}", cells)
    return pd.DataFrame(shown)


def _under(conditions: str, cells: dict | pd.DataFrame) -> dict:
    """Columns of ``readable_time``, named by the conditions."""
    return {
        f"{conditions}: ms": cells["ms per image"],
        f"{conditions}: times as fast": cells["speed-up"],
        f"{conditions}: verdict": cells["time"],
    }


def timing_rows(timings: list[Timing], names: list[str]) -> pd.DataFrame:
    """Per condition and network: time per image, ratio to the first."""
    rows = []
    for timing in timings:
        for name in [*names, TWIN]:
            found = vars(comparison.times(timing, names[0], name))
            quartiles = (found[f"milliseconds_{q}"] for q in ("q1", "q3"))
            cells = readable_time(found)
            rows.append(
                {
                    "network": label(name),
                    "measured at": timing.conditions,
                    "ms per image": cells.pop("ms per image"),
                    "quartiles": "–".join(f"{q:.3f}" for q in quartiles),
                    **cells,
                }
            )
    return pd.DataFrame(rows)


def speedup_table(timings: list[Timing], names: list[str]) -> pd.DataFrame:
    """Times and speed-ups over the first network, a row a strategy.

    For each timing, a column of milliseconds per image, one of the ratio
    and one of its word. ValueError where timings differ in their number of
    threads, which no column tells.
    """
    if len(threads := {timing.threads for timing in timings}) > 1:
        raise ValueError(
            f"timings with {sorted(threads)} threads: expected one number"
        )
    rows = []
    for name in [*names, TWIN]:
        row = {"strategy": label(name)}
        for timing in timings:
            cells = readable_time(
                vars(comparison.times(timing, names[0], name))
            )
            row |= _under(f"batch {timing.batch} {timing.mode}", cells)
        rows.append(row)
    return pd.DataFrame(rows)


def session_ratios(timing: Timing, name: str) -> np.ndarray:
    """Speed-up over FP32 in each session, (sessions,)."""
    return np.median(timing.of("fp32") / timing.of(name), 1)


def session_table(timings: list[Timing], names: list[str]) -> pd.DataFrame:
    """Speed-up over FP32 of each session, and that of the next one."""
    rows = []
    for timing in timings:
        for name in names:
            each = session_ratios(timing, name)
            rows.append(
                {
                    "strategy": label(name),
                    "measured at": timing.conditions,
                    **{f"{i}": f"{r:.2f}" for i, r in enumerate(each, 1)},
                    "next": f"{timing.speedup('fp32', name):.2f}",
                }
            )
    return pd.DataFrame(rows)


def caution(timings: list[Timing]) -> None:
    """If the machine was busy, display that its times are not judged.

    Nothing is displayed if it was quiet.
    """
    signs = sorted({sign for timing in timings for sign in timing.busy})
    if not signs:
        return
    text = (
        "**This machine was busy; times are not judged.** "
        f"{'; '.join(signs).capitalize()}. The numbers stand as they were "
        "measured. `python -m ptq run --times` measures them again."
    )
    block = f":::{{warning}}\n{text}\n:::\n"
    display({"text/markdown": block, "text/plain": text}, raw=True)


def show_times(
    timings: list[Timing],
    networks: list[str],
    name: str,
    caption: str = "Time per image.",
) -> None:
    """Display times as a table, and all that must be said beside them.

    ``networks`` begin with the one that the others are compared with.
    """
    told = f"{caption} Engine {timings[0].engine}. "
    told += remarks(timings, networks)
    show.table(timing_rows(timings, networks), name, told)
    caution(timings)


def label(name: str) -> str:
    """The name of a network in tables and figures."""
    return STRATEGIES[name].label if name in STRATEGIES else name


def remarks(timings: list[Timing], names: list[str]) -> str:
    """The remarks that belong to times: when, how, and reasons for doubt.

    Sentences for a caption: sessions and rounds, the timer's own error, a
    busy machine, too few rounds, times with two peaks.
    """
    first = timings[0]
    sessions, rounds = first.of(names[0]).shape
    floors = [f"{t.floor:.2f} ({t.conditions})" for t in timings]
    found = [
        f"Measured for this run on {first.measured}, in {sessions} "
        f"session{'s' * (sessions > 1)} of {rounds} rounds.",
        "Intervals: where the next session's ratio lies, with 95 %."
        if time_ratios.enough(first.of(names[0]))
        else "Too few rounds for intervals and verdicts.",
        f"A/A: {'; '.join(floors)}.",
    ]
    if any(timing.busy for timing in timings):
        found.append("This machine was busy: times are not judged.")
    humped = [_humped(timing, name) for timing in timings for name in names]
    if humped := list(filter(None, humped)):
        found.append(f"Times with two humps (ms): {'; '.join(humped)}.")
    return " ".join(found)


def _humped(timing: Timing, name: str) -> str:
    if not (two := time_ratios.humps(timing.of(name))):
        return ""
    low, high = (f"{1e3 * t / timing.batch:.3f}" for t in two)
    return f"*{label(name)}* {low} and {high} ({timing.conditions})"
