"""Times and speed-ups, and all that must be said beside them."""

import itertools
import json
from dataclasses import astuple

import numpy as np
import pandas as pd
from IPython.display import display

from ptq.book import show
from ptq.book.tables import cells
from ptq.evidence import intervals, time_ratios
from ptq.experiment import comparison, interval_coverage
from ptq.experiment.results import Timing
from ptq.experiment.strategies import STRATEGIES
from ptq.measure.timer import TWIN

# So many signs of a busy machine are told.
SIGNS = 4


def timing_rows(timings: list[Timing], names: list[str]) -> pd.DataFrame:
    """Per condition and network: time per image, ratio to the first."""
    rows = []
    for timing in timings:
        for name in [*names, TWIN]:
            found = vars(comparison.times(timing, names[0], name))
            quartiles = (found[f"milliseconds_{q}"] for q in ("q1", "q3"))
            told = cells.time(found)
            row = {"network": label(name), "measured at": timing.conditions}
            row["ms per image"] = told.pop("ms per image")
            row["quartiles"] = "–".join(f"{q:.3f}" for q in quartiles)
            rows.append(row | told)
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
            found = vars(comparison.times(timing, names[0], name))
            conditions = f"batch {timing.batch} {timing.mode}"
            row |= cells.under(conditions, cells.time(found))
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
            row = {"strategy": label(name), "measured at": timing.conditions}
            for i, ratio in enumerate(session_ratios(timing, name), 1):
                row[f"{i}"] = f"{ratio:.2f}"
            rows.append(row | {"next": f"{timing.speedup('fp32', name):.2f}"})
    return pd.DataFrame(rows)


def held(found: dict | None = None) -> str:
    """How often intervals of a speed-up held on a real machine, in words.

    ``found`` is that of ``coverage.keep``, or that of its file.
    """
    found = found or json.loads(interval_coverage.FILE.read_text())
    real, nominal = found["real"], 100 * intervals.LEVEL
    equal, twice = real["equal"], real["twice"]

    def often(of: dict) -> str:
        share = 100 * intervals.wilson(of["inside"], of["trials"])
        less = f": less often than {nominal:.0f} % promise"
        return (
            f"{of['inside']} of {of['trials']} ({share.value:.1f} %, "
            f"{share.low:.1f}–{share.high:.1f}"
            f"{less * (share.high < nominal)})"
        )

    return (
        f"In real sessions on {found['machine']['processor']} "
        f"({real['busy']} of {equal['trials'] + 1} busy) they held in "
        f"{often(equal)} with equal networks, and in {often(twice)} with "
        f"twice the work. Of the equal pairs {equal['judged'] or 'none'} "
        "came out as faster or slower."
    )


def caution(
    timings: list[Timing], conditions: list[str] | None = None
) -> None:
    """Display which times are not judged, as the machine was busy, and why.

    ``conditions`` name the timings where their own do not tell them apart.
    Those whose network is farthest from itself come first. Nothing is
    displayed if it was quiet.
    """
    named = zip(
        conditions or [timing.conditions for timing in timings],
        timings,
        strict=True,
    )
    noisy = [(name, timing) for name, timing in named if timing.busy]
    if not noisy:
        return
    noisy.sort(key=lambda pair: _error(pair[1]), reverse=True)
    signs = [f"{name} ({'; '.join(t.busy)})" for name, t in noisy]
    if (more := len(signs) - SIGNS) > 0:
        signs[SIGNS:] = [f"{more} more conditions"]
    text = f"**{_not_judged(signs)}** "
    if len(noisy) < len(timings):
        text += "The other conditions were quiet. "
    text += (
        "The numbers stand as they were measured. "
        "`python -m ptq run --times` measures them again."
    )
    block = f":::{{warning}}\n{text}\n:::\n"
    display({"text/markdown": block, "text/plain": text}, raw=True)


def _error(timing: Timing) -> float:
    """How far a network is from itself: largest logarithm of its ratio."""
    return float(np.nanmax(np.abs(np.log(astuple(timing.floor)))))


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
        "Intervals: where the ratio of the next session in the same run "
        "lies, nominally with 95 %."
        if time_ratios.enough(first.of(names[0]))
        else "Too few rounds for intervals and verdicts.",
        f"A/A: {'; '.join(floors)}.",
    ]
    if any(timing.busy for timing in timings):
        found.append(_not_judged([t.conditions for t in timings if t.busy]))
    humped = [_humped(timing, name) for timing in timings for name in names]
    if humped := list(filter(None, humped)):
        found.append(f"Times with two humps (ms): {'; '.join(humped)}.")
    return " ".join(found)


def _not_judged(conditions: list[str]) -> str:
    return f"Not judged, for this machine was busy: {'; '.join(conditions)}."


def _humped(timing: Timing, name: str) -> str:
    if not (two := time_ratios.humps(timing.of(name))):
        return ""
    low, high = (f"{1e3 * t / timing.batch:.3f}" for t in two)
    return f"*{label(name)}* {low} and {high} ({timing.conditions})"


def steps(name: str, session: Timing, networks: dict[str, str]) -> None:
    """Show the speed-up of each step, and its share of the whole.

    ``networks`` gives, for each network of the timing but the first, "",
    the step that leads to it.
    """
    names = list(networks)
    shares = time_ratios.decomposition([session.of(n) for n in names])
    whole = session.told(names[0], names[-1])
    rows = [
        {
            "step": networks[after],
            "speed-up by itself": f"{session.judged(pair):.2f}",
            "time": session.time_verdict(before, after),
            "share of the whole (%)": f"{100 * share:.0f}",
        }
        for (before, after), share in zip(
            itertools.pairwise(names), shares, strict=True
        )
        for pair in [session.speedup(before, after)]
    ]
    caption = (
        f"What makes the folded integer network {whole} times as fast as "
        f"FP32 as published: {session.conditions}. "
        f"{remarks([session], names)}"
    )
    show.table(rows, name, caption)
