"""Records to tables: for the chapters, the front page and the README."""

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
    records: dict[str, Record],
    timing: Timing,
    labels: np.ndarray,
    seed: int,
    reference: str = "fp32",
) -> pd.DataFrame:
    """One row a strategy, numbers only: accuracy, flips, time, size.

    ``labels`` (n,) are the true classes; times are milliseconds per image.
    """
    rows = {}
    base = timing.seconds[reference]
    for name, record in records.items():
        found = evidence.accuracy(record.correct, record.n)
        paired = evidence.flips(
            records[reference].predictions, record.predictions, labels
        )
        seconds = timing.seconds[name]
        faster = evidence.speedup(base, seconds, seed)
        low, median, high = (
            1e3 * q / timing.batch for q in evidence.quartiles(seconds)
        )
        rows[name] = {
            "label": STRATEGIES[name].label,
            "correct": record.correct,
            "n": record.n,
            "accuracy": found.value,
            "accuracy_low": found.low,
            "accuracy_high": found.high,
            "lost": paired.lost,
            "gained": paired.gained,
            "p": paired.p,
            "milliseconds": median,
            "milliseconds_q1": low,
            "milliseconds_q3": high,
            "speedup": faster.value,
            "speedup_low": faster.low,
            "speedup_high": faster.high,
            "file_bytes": record.file_bytes,
            "payload_bytes": record.payload_bytes,
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def readable(frame: pd.DataFrame) -> pd.DataFrame:
    """The comparison as text, each number with its uncertainty."""
    rows = [
        {
            "strategy": row.label,
            "top-1 (%) [95 %]": f"{100 * row.accuracy:.2f} "
            f"[{100 * row.accuracy_low:.2f}, {100 * row.accuracy_high:.2f}]",
            "lost / gained": f"{row.lost} / {row.gained}",
            "McNemar p": f"{row.p:.2g}",
            "ms per image [quartiles]": f"{row.milliseconds:.3f} "
            f"[{row.milliseconds_q1:.3f}, {row.milliseconds_q3:.3f}]",
            "speed-up [95 %]": f"{row.speedup:.2f} "
            f"[{row.speedup_low:.2f}, {row.speedup_high:.2f}]",
            "size (MB)": f"{row.file_bytes / 1e6:.3f}",
        }
        for row in frame.itertuples()
    ]
    return pd.DataFrame(rows)


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


def captioned(frame: pd.DataFrame, name: str, caption: str) -> str:
    """MyST source of a numbered table."""
    return (
        f":::{{table}} {caption}\n:name: tab-{name}\n\n"
        f"{markdown(frame)}\n:::\n"
    )


def note(**numbers) -> None:
    """Keep numbers under names, for the text to quote by ``glue``."""
    for name, value in numbers.items():
        plain = value if isinstance(value, str | int) else float(value)
        glue(name, plain, display=False)


def save_comparison(frame: pd.DataFrame, run_folder: Path) -> None:
    """Keep the comparison as ``comparison.csv`` in the run's folder."""
    paths.write_whole(run_folder / "comparison.csv", frame.to_csv())


def load_comparison(folder: Path) -> pd.DataFrame:
    """Read ``comparison.csv`` of a run's (or the reference) folder."""
    return pd.read_csv(folder / "comparison.csv", index_col=0)


def timing_rows(timings: list[Timing], seed: int) -> pd.DataFrame:
    """Per batch size and network: time per image, ratio to the first."""
    rows = []
    for timing in timings:
        base = next(iter(timing.seconds.values()))
        for name, seconds in timing.seconds.items():
            low, median, high = (
                1e3 * q / timing.batch for q in evidence.quartiles(seconds)
            )
            ratio = evidence.speedup(base, seconds, seed)
            known = STRATEGIES.get(name)
            rows.append(
                {
                    "network": known.label if known else name,
                    "batch": timing.batch,
                    "ms per image": f"{median:.3f}",
                    "quartiles": f"{low:.3f} to {high:.3f}",
                    "speed-up": f"{ratio.value:.2f}",
                    "95 % interval": f"{ratio.low:.2f} to {ratio.high:.2f}",
                }
            )
    return pd.DataFrame(rows)


def write_headline(run_folder: Path) -> None:
    """Hand the default run's table and figure to the front page.

    Does nothing for other run folders, and before the comparison ran.
    """
    done = (run_folder / "comparison.csv").exists()
    if run_folder != paths.run_folder() or not done:
        return
    frame = load_comparison(run_folder)
    table = captioned(readable(frame), "headline", _headline_caption(frame))
    folder = paths.REPOSITORY / "book" / "_generated"
    paths.write_whole(folder / "headline.md", table)
    for kind in ("svg", "png"):
        picture = (paths.export_folder() / f"frontier.{kind}").read_bytes()
        paths.write_whole(folder / f"frontier.{kind}", picture)


def _headline_caption(frame: pd.DataFrame) -> str:
    return (
        f"Every strategy on {frame.n.iloc[0]:,} test pictures of CIFAR-10. "
        "Lost and gained: pictures that FP32 had right and this one has "
        "wrong, and the reverse; McNemar p tests whether these two could be "
        "equal. Times are medians at batch 64, one thread; speed-up is "
        "against FP32 as published."
    )
