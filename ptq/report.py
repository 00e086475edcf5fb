"""Records to tables: for the chapters, the front page and the README."""

import inspect
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from IPython.display import display
from myst_nb import glue

from ptq import evidence, paths
from ptq.results import Record, Timing
from ptq.strategies import STRATEGIES

MIB = 2**20


def comparison(
    records: list[Record],
    labels: np.ndarray,
    timing: Timing | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """One row a strategy, numbers only; the first record is the reference.

    ``labels`` (n,) are the true classes. With a ``timing``, its times
    (milliseconds per image) and speed-ups stand in the rows, too.
    """
    rows = {}
    for record in records:
        row = {"label": STRATEGIES[record.strategy].label}
        row |= _accuracy_columns(record, records[0], labels)
        row |= {
            "file_bytes": record.file_bytes,
            "payload_bytes": record.payload_bytes,
        }
        if timing:
            base = timing.seconds[records[0].strategy]
            seconds = timing.seconds[record.strategy]
            row |= _time_columns(base, seconds, timing.batch, seed)
        rows[record.strategy] = row
    return pd.DataFrame.from_dict(rows, orient="index")


def _accuracy_columns(record: Record, reference: Record, labels) -> dict:
    found = evidence.accuracy(record.correct, record.n)
    paired = evidence.flips(reference.predictions, record.predictions, labels)
    return {
        "correct": record.correct,
        "n": record.n,
        "accuracy": found.value,
        "accuracy_low": found.low,
        "accuracy_high": found.high,
        "lost": paired.lost,
        "gained": paired.gained,
        "p": paired.p,
    }


def _time_columns(base, seconds, batch: int, seed: int) -> dict:
    faster = evidence.speedup(base, seconds, seed)
    low, median, high = (1e3 * q / batch for q in evidence.quartiles(seconds))
    return {
        "milliseconds": median,
        "milliseconds_q1": low,
        "milliseconds_q3": high,
        "speedup": faster.value,
        "speedup_low": faster.low,
        "speedup_high": faster.high,
    }


def readable(frame: pd.DataFrame) -> pd.DataFrame:
    """The comparison as text, each number with its uncertainty."""
    rows = []
    for row in frame.itertuples():
        low, high = 100 * row.accuracy_low, 100 * row.accuracy_high
        cells = {
            "strategy": row.label,
            "top-1 (%)": f"{100 * row.accuracy:.2f}",
            "95 % interval": f"{low:.1f}–{high:.1f}",
            "lost / gained": f"{row.lost} / {row.gained}",
            "McNemar p": f"{row.p:.2g}",
            "size (MB)": f"{row.file_bytes / 1e6:.3f}",
        }
        if "speedup" in frame:
            cells |= _readable_time(row)
        rows.append(cells)
    return pd.DataFrame(rows)


def _readable_time(row) -> dict:
    quartiles = f"{row.milliseconds_q1:.3f}–{row.milliseconds_q3:.3f}"
    return {
        "ms per image": f"{row.milliseconds:.3f}",
        "quartiles": quartiles,
        "speed-up": f"{row.speedup:.2f}",
        "95 % interval ": f"{row.speedup_low:.2f}–{row.speedup_high:.2f}",
    }


def published() -> dict[str, dict]:
    """The paper's headline table, by the strategy that reproduces a row."""
    path = paths.REPOSITORY / "book" / "reference" / "paper.yml"
    return yaml.safe_load(path.read_text())


def beside_paper(frame: pd.DataFrame) -> pd.DataFrame:
    """The paper's rows with ours, as text, in the paper's own units."""
    rows = []
    for name, paper in published().items():
        ours = frame.loc[name]
        rows.append(
            {
                "row of the paper": paper["label"],
                "top-1 (%), paper": f"{paper['accuracy']:.2f}",
                "ours": f"{100 * ours.accuracy:.2f}",
                "ms at batch 64, paper": f"{paper['milliseconds']:.3f}",
                "ours ": f"{ours.milliseconds:.3f}",
                "speed-up, paper": f"{paper['speedup']:.1f}",
                "ours  ": f"{ours.speedup:.1f}",
                "MiB, paper": f"{paper['mebibytes']:.2f}",
                "ours   ": f"{ours.file_bytes / MIB:.2f}",
            }
        )
    return pd.DataFrame(rows)


def markdown(frame: pd.DataFrame) -> str:
    """A pipe table: first column to the left, the others to the right."""
    lines = [list(frame.columns), [":--"] + ["--:"] * (frame.shape[1] - 1)]
    lines += frame.astype(str).values.tolist()
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def show(frame: pd.DataFrame, name: str, caption: str) -> None:
    """Display as a numbered table of the book, labelled ``tab-name``."""
    display(
        {
            "text/markdown": captioned(frame, name, caption),
            "text/html": frame.to_html(index=False, border=0),
            "text/plain": frame.to_string(index=False),
        },
        raw=True,
    )


def source(*functions: Callable) -> None:
    """Display the source of functions, as the book sets code."""
    text = "\n\n".join(inspect.getsource(f) for f in functions)
    fenced = f"```python\n{text}```"
    display({"text/markdown": fenced, "text/plain": text}, raw=True)


def columns(cells: dict[str, list]) -> pd.DataFrame:
    """A table from its columns."""
    return pd.DataFrame(cells)


def headline(frame: pd.DataFrame) -> pd.DataFrame:
    """The columns of the comparison that the front page shows."""
    return readable(frame).drop(columns=["quartiles"])


def captioned(frame: pd.DataFrame, name: str, caption: str) -> str:
    """MyST source of a numbered table."""
    return (
        f":::{{table}} {caption}\n:name: tab-{name}\n\n"
        f"{markdown(frame)}\n:::\n"
    )


def note(**numbers) -> None:
    """Keep numbers under names, for the text to quote by ``glue``."""
    for name, value in numbers.items():
        if isinstance(value, np.integer | np.floating):
            value = value.item()
        glue(name, value, display=False)


def save_comparison(frame: pd.DataFrame, run_folder: Path) -> None:
    """Keep the comparison as ``comparison.csv`` in the run's folder."""
    paths.write_whole(run_folder / "comparison.csv", frame.to_csv())


def verdict(frame: pd.DataFrame) -> str:
    """Which accuracies differ from the reference's, by McNemar at 5 %."""
    others = frame.iloc[1:]
    different = others[others.p < 0.05]
    reference = frame.label.iloc[0]
    if different.empty:
        return (
            f"No accuracy differs from that of {reference} by more than "
            f"chance explains: the smallest p is {others.p.min():.2g}."
        )
    named = ", ".join(
        f"{r.label} (p = {r.p:.2g})" for r in different.itertuples()
    )
    return f"Different from {reference} beyond chance at 5 %: {named}."


def load_comparison(folder: Path) -> pd.DataFrame:
    """Read ``comparison.csv`` of a run's (or the reference) folder."""
    return pd.read_csv(folder / "comparison.csv", index_col=0)


def timing_rows(timings: list[Timing], seed: int) -> pd.DataFrame:
    """Per batch size and network: time per image, ratio to the first."""
    rows = []
    for timing in timings:
        base = next(iter(timing.seconds.values()))
        for name, seconds in timing.seconds.items():
            found = _time_columns(base, seconds, timing.batch, seed)
            label = STRATEGIES[name].label if name in STRATEGIES else name
            cells = {"network": label, "batch": timing.batch}
            rows.append(cells | _readable_time(pd.Series(found)))
    return pd.DataFrame(rows)


def speedup(
    timing: Timing, slow: str, fast: str, seed: int
) -> evidence.Interval:
    """How many times faster ``fast`` ran than ``slow``, in one session."""
    return evidence.speedup(timing.seconds[slow], timing.seconds[fast], seed)


def write_headline(run_folder: Path, target: Path) -> None:
    """Write a run's table and figure where the front page includes them."""
    frame = load_comparison(run_folder)
    table = captioned(headline(frame), "headline", _headline_caption(frame))
    text = f"{table}\n{verdict(frame)}\n"
    paths.write_whole(target / "headline.md", text)
    picture = paths.figures_folder(run_folder) / "frontier.svg"
    paths.write_whole(target / "frontier.svg", picture.read_bytes())


def _headline_caption(frame: pd.DataFrame) -> str:
    return (
        f"Every strategy on {frame.n.iloc[0]:,} test pictures of CIFAR-10. "
        "Lost and gained: pictures that FP32 had right and this one has "
        "wrong, and the reverse; McNemar p tests whether these two could be "
        "equal. Times are medians at batch 64, one thread; speed-up is "
        "against FP32 as published."
    )


COMPARISON = "06_comparison"
REFERENCE = paths.REPOSITORY / "book" / "reference"
MARKS = ("<!-- headline: generated -->\n", "<!-- headline: end -->\n")


def update_readme(run_folder: Path) -> None:
    """Keep a run's comparison as the reference that the README shows."""
    frame = load_comparison(run_folder)
    manifest = json.loads((run_folder / "manifest.json").read_text())
    kept = {k: manifest[k] for k in ("parameters", "machine")}
    kept |= manifest["chapters"][COMPARISON]
    save_comparison(frame, REFERENCE)
    paths.write_whole(
        REFERENCE / "manifest.json", json.dumps(kept, indent=1) + "\n"
    )
    picture = paths.figures_folder(run_folder) / "frontier.png"
    paths.write_whole(REFERENCE / "frontier.png", picture.read_bytes())
    readme = paths.REPOSITORY / "README.md"
    before, rest = readme.read_text().split(MARKS[0])
    after = rest.split(MARKS[1])[1]
    text = before + MARKS[0] + readme_block() + MARKS[1] + after
    paths.write_whole(readme, text)


def readme_block() -> str:
    """The README's table and figure, from the committed reference."""
    frame = load_comparison(REFERENCE)
    manifest = json.loads((REFERENCE / "manifest.json").read_text())
    machine = manifest["machine"]
    features = ", ".join(machine["features"])
    return (
        f"{markdown(headline(frame))}\n\n{verdict(frame)}\n\n"
        "![Accuracy over time per image, with intervals]"
        "(book/reference/frontier.png)\n\n"
        f"{_headline_caption(frame)} Measured on {machine['processor']} "
        f"({features}), torch {machine['torch']}, commit "
        f"{manifest['commit']}, {manifest['finished'][:10]}.\n"
    )
