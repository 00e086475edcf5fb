"""Records to tables: for the chapters, the front page and the README."""

import inspect
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from IPython.display import display

from ptq import evidence, paths, prose
from ptq.measure import TWIN
from ptq.results import Record, Timing
from ptq.strategies import STRATEGIES

MIB = 2**20
REFERENCE_ROW = "reference"
# What the cells of this kernel's notebook have noted.
_noted: dict[str, prose.Plain] = {}


def comparison(
    records: list[Record],
    labels: np.ndarray,
    timing: Timing | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """One row a strategy, numbers only; the first record is the reference.

    ``labels`` (n,) are the true classes. With a ``timing``, its times
    (milliseconds per picture) and speed-ups stand in the rows, too.
    ``detectable`` is the change that would make a row "better" or "worse"
    whatever the others say: with as many changed answers, the smallest whose
    p-value is below 5 % by the number of rows, Holm's first step.
    """
    rows = {}
    level = 0.05 / max(len(records) - 1, 1)
    for record in records:
        row = {"label": STRATEGIES[record.strategy].label}
        row |= _accuracy_columns(record, records[0], labels, level)
        row |= {
            "file_bytes": record.file_bytes,
            "payload_bytes": record.payload_bytes,
        }
        if timing:
            base = records[0].strategy
            row |= time_columns(timing, base, record.strategy, seed)
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
    paired = evidence.flips(reference.predictions, record.predictions, labels)
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
        "disagreement": evidence.disagreement(
            reference.predictions, record.predictions
        ),
    }


def time_columns(timing: Timing, base: str, name: str, seed: int) -> dict:
    """Time of one network, and its ratio to ``base``, with a verdict."""
    seconds = timing.seconds
    faster = evidence.speedup(seconds[base], seconds[name], seed)
    floor = noise_floor(timing, seed)
    taken = milliseconds(timing, name)
    return {
        "threads": timing.threads,
        "milliseconds": taken.value,
        "milliseconds_q1": taken.low,
        "milliseconds_q3": taken.high,
        "speedup": faster.value,
        "speedup_low": faster.low,
        "speedup_high": faster.high,
        "floor_low": floor.low,
        "floor_high": floor.high,
        "time_verdict": REFERENCE_ROW
        if name == base
        else evidence.time_verdict(faster, floor),
    }


def milliseconds(timing: Timing, name: str) -> evidence.Interval:
    """Median and quartiles of a network's time for one picture."""
    low, median, high = (
        1e3 * q / timing.batch
        for q in evidence.quartiles(timing.seconds[name])
    )
    return evidence.Interval(median, low, high)


def noise_floor(timing: Timing, seed: int) -> evidence.Interval:
    """Ratio of the first network's times to those of its twin."""
    first = next(iter(timing.seconds))
    return speedup(timing, first, TWIN, seed)


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
            cells |= _readable_time(row._asdict())
        rows.append(cells)
    return pd.DataFrame(rows)


def _readable_time(found: dict) -> dict:
    return {
        "ms per picture": f"{found['milliseconds']:.3f}",
        "quartiles": f"{found['milliseconds_q1']:.3f}–"
        f"{found['milliseconds_q3']:.3f}",
        "speed-up": f"{found['speedup']:.2f}",
        "95 % interval ": f"{found['speedup_low']:.2f}–"
        f"{found['speedup_high']:.2f}",
        "time": found["time_verdict"],
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
                "ours  ": f"{ours.speedup:.1f} ({ours.speedup_low:.1f}–"
                f"{ours.speedup_high:.1f})",
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
    hidden = ["change (points)", "Holm p", "quartiles"]
    named = {"verdict": "accuracy is", "time": "time is"}
    return readable(frame).drop(columns=hidden).rename(columns=named)


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


def timing_rows(timings: list[Timing], seed: int) -> pd.DataFrame:
    """Per session and network: time per picture, ratio to the first."""
    rows = []
    for timing in timings:
        base = next(iter(timing.seconds))
        for name in timing.seconds:
            label = STRATEGIES[name].label if name in STRATEGIES else name
            cells = {"network": label, "batch": timing.batch}
            found = time_columns(timing, base, name, seed)
            rows.append(cells | _readable_time(found))
    return pd.DataFrame(rows)


def speedup_table(
    timings: list[Timing], names: list[str], seed: int
) -> pd.DataFrame:
    """Speed-up over the first network: a row a strategy, a column a session.

    An interval that the stopwatch's own error explains is marked by ≈. The
    last row is the first network against itself.
    """
    rows = {name: {"strategy": STRATEGIES[name].label} for name in names}
    rows[TWIN] = {"strategy": TWIN}
    words = {name: set() for name in rows}
    for timing in timings:
        plural = "s" if timing.threads > 1 else ""
        column = f"batch {timing.batch}, {timing.threads} thread{plural}"
        for name in rows:
            found = time_columns(timing, names[0], name, seed)
            words[name].add(found["time_verdict"])
            same = found["time_verdict"] == "no difference shown"
            rows[name][column] = (
                f"{'≈ ' if same else ''}{found['speedup']:.2f} "
                f"({found['speedup_low']:.2f}–{found['speedup_high']:.2f})"
            )
    for name, row in rows.items():
        one = len(words[name]) == 1
        row["verdict"] = words[name].pop() if one else "depends"
    return pd.DataFrame(rows.values())


def speedup(
    timing: Timing, slow: str, fast: str, seed: int
) -> evidence.Interval:
    """How many times faster ``fast`` ran than ``slow``, in one session."""
    return evidence.speedup(timing.seconds[slow], timing.seconds[fast], seed)


def session_table(
    timings: list[Timing], names: tuple[str, ...], seed: int
) -> pd.DataFrame:
    """Speed-up over FP32: a row a session, a column a strategy."""
    rows = []
    for timing in timings:
        row = {"session": timing.name.replace("_", " ")}
        row["batch"] = str(timing.batch)
        for name in names:
            text = ""
            if name in timing.seconds:
                found = speedup(timing, "fp32", name, seed)
                text = f"{found.value:.2f} ({found.low:.2f}–{found.high:.2f})"
            row[STRATEGIES[name].label] = text
        rows.append(row)
    return pd.DataFrame(rows)
