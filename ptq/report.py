"""Records to tables: for the chapters, the front page and the README."""

import inspect
import re
from collections.abc import Callable
from dataclasses import astuple
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from IPython.display import display

from ptq import evidence, paths, prose
from ptq.data import CLASSES
from ptq.results import Record, Timing
from ptq.strategies import STRATEGIES
from ptq.timer import TWIN

MIB = 2**20
REFERENCE_ROW, QUIET = "reference", "no"
# Columns of ``time_columns``.
TIMES = (
    "batch",
    "threads",
    "milliseconds",
    "milliseconds_q1",
    "milliseconds_q3",
    "speedup",
    "speedup_low",
    "speedup_high",
    "floor_low",
    "floor_high",
    "busy",
    "time_verdict",
)
# What the cells of this kernel's notebook have noted.
_noted: dict[str, prose.Plain] = {}


def comparison(
    records: list[Record],
    labels: np.ndarray,
    timing: Timing | None = None,
    **more: Timing,
) -> pd.DataFrame:
    """One row a strategy, numbers only; the first record is the reference.

    ``labels`` (n,) are the true classes. With a ``timing``, its times
    (milliseconds per image) and speed-ups stand in the rows, too; those of
    ``single=...`` in columns that begin with ``single_``.
    ``detectable`` is the change that would make a row "better" or "worse"
    whatever the others say: with as many changed answers, the smallest whose
    p-value is below 5 % by the number of rows, Holm's first step.
    """
    rows = {}
    level = evidence.SIGNIFICANCE / max(len(records) - 1, 1)
    for record in records:
        row = {"label": STRATEGIES[record.strategy].label}
        row |= _accuracy_columns(record, records[0], labels, level)
        row |= {
            "file_bytes": record.file_bytes,
            "payload_bytes": record.payload_bytes,
        }
        base = records[0].strategy
        if timing:
            row |= time_columns(timing, base, record.strategy)
        for kind, other in more.items():
            found = time_columns(other, base, record.strategy)
            row |= {f"{kind}_{name}": value for name, value in found.items()}
        rows[record.strategy] = row
    frame = pd.DataFrame.from_dict(rows, orient="index")
    frame["p_holm"] = [1.0, *evidence.holm(frame.p[1:].tolist())]
    frame["verdict"] = [REFERENCE_ROW] + [
        evidence.verdict(
            evidence.Flips(row.lost, row.gained, row.n, row.p), row.p_holm
        )
        for row in frame[1:].itertuples()
    ]
    return frame


def _accuracy_columns(
    record: Record, reference: Record, labels: np.ndarray, level: float
) -> dict:
    found = evidence.accuracy(record.correct, record.n)
    pair = reference.predictions, record.predictions
    paired = evidence.flips(*pair, labels, classes=len(CLASSES))
    change = evidence.difference(paired)
    return {
        "correct": record.correct,
        "n": record.n,
        "accuracy": found.value,
        "accuracy_low": found.low,
        "accuracy_high": found.high,
        "change": change.value,
        "change_low": change.low,
        "change_high": change.high,
        "lost": paired.lost,
        "gained": paired.gained,
        "p": paired.p,
        "detectable": evidence.smallest_detectable(
            paired.lost + paired.gained, record.n, level
        ),
        "disagreement": evidence.disagreement(*pair),
    }


def time_columns(timing: Timing, base: str, name: str) -> dict:
    """Time of one network, and its ratio to ``base``, with a verdict."""
    faster, floor = timing.speedup(base, name), timing.floor
    taken = timing.milliseconds(name)
    return {
        "batch": timing.batch,
        "threads": timing.threads,
        "milliseconds": taken.value,
        "milliseconds_q1": taken.low,
        "milliseconds_q3": taken.high,
        "speedup": faster.value,
        "speedup_low": faster.low,
        "speedup_high": faster.high,
        "floor_low": floor.low,
        "floor_high": floor.high,
        "busy": "; ".join(timing.busy) or QUIET,
        "time_verdict": REFERENCE_ROW
        if name == base
        else timing.word(faster),
    }


def ratio(found: evidence.Interval, digits: str = ".2f") -> str:
    """A ratio of times as text, with its interval where it has one."""
    value, low, high = (f"{number:{digits}}" for number in astuple(found))
    return value if np.isnan(found.low) else f"{value} ({low}–{high})"


def readable(frame: pd.DataFrame, bounds: bool = False) -> pd.DataFrame:
    """The comparison as text, each number with its uncertainty.

    With ``bounds``: the share of other answers, which no change of accuracy
    can exceed, and the change that would have been shown.
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
            cells["other answers (%)"] = f"{100 * row.disagreement:.1f}"
            cells["shown from (points)"] = f"{100 * row.detectable:.2f}"
        if "speedup" in frame:
            cells |= readable_time(row._asdict())
        rows.append(cells)
    return pd.DataFrame(rows)


def readable_time(row: dict, prefix: str = "") -> dict[str, str]:
    """Cells of ``time_columns``: milliseconds beside the ratio, the word."""
    names = ("speedup", "speedup_low", "speedup_high")
    found = evidence.Interval(*(row[prefix + name] for name in names))
    return {
        "ms per image": f"{row[f'{prefix}milliseconds']:.3f}",
        "speed-up": ratio(found),
        "time": row[f"{prefix}time_verdict"],
    }


def published(part: str = "rows") -> dict[str, dict]:
    """What the paper says: its "rows", "counts" or "claims".

    The rows are those of its headline table, by the strategy that
    reproduces them.
    """
    path = paths.REPOSITORY / "book" / "reference" / "paper.yml"
    return yaml.safe_load(path.read_text())[part]


def published_orderings() -> list[tuple[str, str]]:
    """Pairs of quantized rows of the paper, the more accurate one first.

    Without its row *bias correction*, which is naive's network once more.
    """
    rows = {
        name: row["accuracy"]
        for name, row in published().items()
        if name not in ("fp32", "bias_correction_published")
    }
    return [
        (first, second)
        for first in rows
        for second in rows
        if rows[first] > rows[second]
    ]


def beside_paper(frame: pd.DataFrame) -> pd.DataFrame:
    """The paper's rows with ours, as text, in the paper's own units."""
    rows = []
    for name, paper in published().items():
        ours = frame.loc[name]
        rows.append(
            {
                "row of the paper": paper["label"],
                "top-1 (%), paper": f"{paper['accuracy']:.2f}",
                "ours": f"{100 * ours.accuracy:.2f} "
                f"({100 * ours.accuracy_low:.1f}–"
                f"{100 * ours.accuracy_high:.1f})",
                "ms at batch 64, paper": f"{paper['milliseconds']:.3f}",
                "ours ": f"{ours.milliseconds:.3f}",
                "speed-up, paper": f"{paper['speedup']:.1f}",
                "ours  ": readable_time(ours.to_dict())["speed-up"],
                "MiB, paper": f"{paper['mebibytes']:.2f}",
                "ours   ": f"{ours.file_bytes / MIB:.2f}",
            }
        )
    return pd.DataFrame(rows)


def markdown(frame: pd.DataFrame) -> str:
    """A pipe table: columns of numbers to the right, of words to the left."""
    cells = frame.astype(str)
    sides = [
        "--:" if _all_numbers(column.tolist()) else ":--"
        for _, column in cells.items()
    ]
    lines = [list(frame.columns), sides, *cells.values.tolist()]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def show(
    frame: pd.DataFrame, name: str, caption: str, text: bool = False
) -> None:
    """Display as a numbered table of the book, labelled ``tab-name``.

    Notebooks have the caption above it. With ``text``, cells hold words,
    and may wrap.
    """
    prose.caption(f"tab-{name}", caption)
    display(
        {
            "text/markdown": captioned(frame, name, caption, text),
            "text/html": frame.to_html(index=False, border=0),
            "text/plain": frame.to_string(index=False),
        },
        raw=True,
    )


def source(*functions: Callable) -> None:
    """Display the source of functions, as the book sets code.

    Raises OSError where a function's source is in no file, as that of one
    typed into a terminal, and TypeError for what has none.
    """
    text = "\n\n".join(inspect.getsource(f) for f in functions)
    fenced = f"```python\n{text}```"
    display({"text/markdown": fenced, "text/plain": text}, raw=True)


def columns(cells: dict[str, list]) -> pd.DataFrame:
    """A table from its columns."""
    return pd.DataFrame(cells)


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


def _all_numbers(cells: list[str]) -> bool:
    """Whether there is a number, and nothing but numbers and intervals."""
    filled = [c for c in cells if c.strip("–- ") and c != REFERENCE_ROW]
    words = re.compile(r"[^\W\d_]")
    plain = (
        re.sub(r"\b(to|of|nan|inf|none)\b|e[-+]\d", "", c) for c in filled
    )
    return bool(filled) and not any(map(words.search, plain))


def captioned(
    frame: pd.DataFrame, name: str, caption: str, text: bool = False
) -> str:
    """MyST source of a numbered table; cells of ``text`` may wrap."""
    words = ":class: words\n" if text else ""
    return (
        f":::{{table}} {caption}\n:name: tab-{name}\n{words}\n"
        f"{markdown(frame)}\n:::\n"
    )


def note(**numbers) -> None:
    """Keep numbers, words and intervals, for sentences to ``quote``.

    Displays them by their names, rounded. Raises TypeError for a value of
    another kind.
    """
    found = {name: prose.plain(value) for name, value in numbers.items()}
    _noted.update(found)
    told = {name: prose.short(value) for name, value in found.items()}
    display(
        {
            "text/markdown": " · ".join(
                f"`{name}` {prose.escaped(text)}"
                for name, text in told.items()
            ),
            "text/plain": ", ".join(f"{n} = {t}" for n, t in told.items()),
        },
        raw=True,
        metadata=prose.FOR_NOTEBOOKS | {"noted": found},
    )


def quote(asked: str) -> str:
    """What was noted, for a sentence: ``quote('gain:.1f')``.

    JupyterLab evaluates ``{eval}`` roles when it runs a cell of text;
    ``python -m ptq run`` writes their values into the executed copy. An
    ellipsis stands for what no cell has noted so far. Raises ValueError
    where the format does not fit the value.
    """
    name, _, form = asked.partition(":")
    return prose.written(_noted[name], form) if name in _noted else "…"


def save_comparison(frame: pd.DataFrame, run_folder: Path) -> None:
    """Keep the comparison as ``comparison.csv`` in the run's folder."""
    paths.write_whole(run_folder / "comparison.csv", frame.to_csv())


def load_comparison(folder: Path) -> pd.DataFrame:
    """Read ``comparison.csv`` of a run's (or the reference) folder."""
    return pd.read_csv(folder / "comparison.csv", index_col=0)


def timing_rows(timings: list[Timing], names: list[str]) -> pd.DataFrame:
    """Per condition and network: time per image, ratio to the first."""
    rows = []
    for timing in timings:
        for name in [*names, TWIN]:
            found = time_columns(timing, names[0], name)
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
            cells = readable_time(time_columns(timing, names[0], name))
            row |= _under(f"batch {timing.batch} {timing.mode}", cells)
        rows.append(row)
    return pd.DataFrame(rows)


def session_table(timings: list[Timing], names: list[str]) -> pd.DataFrame:
    """Speed-up over FP32 of each session, and that of the next one."""
    rows = []
    for timing in timings:
        for name in names:
            each = np.median(timing.of("fp32") / timing.of(name), 1)
            rows.append(
                {
                    "strategy": label(name),
                    "measured at": timing.conditions,
                    **{f"{i}": f"{r:.2f}" for i, r in enumerate(each, 1)},
                    "next": ratio(timing.speedup("fp32", name)),
                }
            )
    return pd.DataFrame(rows)


def caution(timings: list[Timing]) -> None:
    """Display that times are not judged, if the machine was busy.

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


def label(name: str) -> str:
    """What a network is called in tables and figures."""
    return STRATEGIES[name].label if name in STRATEGIES else name


def remarks(timings: list[Timing], names: list[str]) -> str:
    """What must be said beside times: when, how, and what speaks against.

    Sentences for a caption: sessions and rounds, the timer's own error, a
    busy machine, too few rounds, times with two humps.
    """
    first = timings[0]
    sessions, rounds = first.of(names[0]).shape
    floors = [f"{ratio(t.floor)} ({t.conditions})" for t in timings]
    found = [
        f"Measured for this run on {first.measured}, in {sessions} "
        f"session{'s' * (sessions > 1)} of {rounds} rounds.",
        "Intervals: where the next session's ratio lies, with 95 %."
        if evidence.enough(first.of(names[0]))
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
    if not (two := evidence.humps(timing.of(name))):
        return ""
    low, high = (f"{1e3 * t / timing.batch:.3f}" for t in two)
    return f"*{label(name)}* {low} and {high} ({timing.conditions})"
