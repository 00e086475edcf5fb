"""A run's comparison on the front page and in the README."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from ptq import paths
from ptq.book import network_answers
from ptq.book.paper_numbers import published_orderings
from ptq.book.show import captioned, markdown
from ptq.book.tables import headline, readable_time
from ptq.evidence import intervals, replicates, thresholds, time_ratios
from ptq.experiment import committed_sweeps
from ptq.experiment.comparison import (
    QUIET,
    TIMES,
    load_comparison,
    save_comparison,
)
from ptq.experiment.strategies import STRATEGIES

COMPARISON = "06_comparison"
REFERENCE = paths.REPOSITORY / "book" / "reference"
MARKS = ("<!-- headline: generated -->\n", "<!-- headline: end -->\n")
# Below this ratio, predicting one image at a time gains little.
LITTLE = 2.0
# What was timed: the prefix of its columns, and what it is.
TIMED = (
    ("", "{batch} images at a time"),
    ("single_", "one image at a time, hot"),
    ("cold_", "one image at a time, cold"),
)


def write_headline(run_folder: Path, target: Path) -> None:
    """Write a run's answer, table and figure where the front page is."""
    manifest = json.loads((run_folder / "manifest.json").read_text())
    told = {"machine": manifest["machine"]} | manifest["chapters"][COMPARISON]
    frame, origin = timed(load_comparison(run_folder), told)
    table = captioned(headline(frame), "headline", _caption(frame, origin))
    text = f"{table}\n{verdict(frame)}\n"
    paths.write_whole(target / "headline.md", text)
    found = answer(frame, *committed_sweeps.load("replication"), origin)
    paths.write_whole(target / "answer.md", found)
    # A busy run's figure shows its own times; the kept one shows quiet ones.
    folder = paths.figures_folder(run_folder)
    if origin.get("stand_in"):
        folder = REFERENCE
    paths.write_whole(target / "frontier.md", figure(frame))
    network_answers.write(run_folder, target)
    for name in ("frontier.svg", "frontier.png"):
        paths.write_whole(target / name, (folder / name).read_bytes())


def timed(frame: pd.DataFrame, told: dict) -> tuple[pd.DataFrame, dict]:
    """A run's comparison with times to show, and where these were measured.

    ``told`` is the entry of the run in the manifest. If the machine was busy
    at batch 64 or 1, the committed quiet times replace the run's, if there
    are any. The second value then has ``busy``, which says why, and
    ``stand_in``, whether they do.
    """
    if not (busy := _busy(frame)):
        return frame, told
    quiet = load_comparison(REFERENCE)
    times = [c for c in frame if any(c.endswith(name) for name in TIMES)]
    if not set(times) <= set(quiet) or _busy(quiet):
        return frame, told | {"busy": busy, "stand_in": False}
    kept = json.loads((REFERENCE / "manifest.json").read_text())
    frame = frame.drop(columns=times).join(quiet[times])
    return frame, kept | {"busy": busy, "stand_in": True}


def _busy(frame: pd.DataFrame) -> str:
    """What kept the machine busy at batch 64 or 1, hot; empty if nothing.

    Every other condition is judged, or not, on its own.
    """
    signs = {
        sign
        for prefix in ("", "single_")
        for sign in frame[f"{prefix}busy"].unique()
        if sign != QUIET
    }
    return "; ".join(sorted(signs))


def update_readme(run_folder: Path) -> None:
    """Keep a run's comparison as the reference that the README shows.

    ReferenceError where the run is not of a clean commit, or would replace
    quiet times by those of a busy machine.
    """
    frame = load_comparison(run_folder)
    manifest = json.loads((run_folder / "manifest.json").read_text())
    told = manifest["chapters"][COMPARISON]
    if told["commit"].endswith("-dirty"):
        raise committed_sweeps.ReferenceError(
            f"{run_folder} was made from {told['commit']}: commit first, so "
            "that the README's numbers can be made again, then `python -m "
            "ptq run --force`"
        )
    if timed(frame, told)[1].get("stand_in"):
        raise committed_sweeps.ReferenceError(
            f"{run_folder}: the machine was busy when times were measured; "
            "`python -m ptq run --times` measures them again"
        )
    kept = {k: manifest[k] for k in ("parameters", "machine")} | told
    save_comparison(frame, REFERENCE)
    paths.write_whole(
        REFERENCE / "manifest.json", json.dumps(kept, indent=1) + "\n"
    )
    for name in ("frontier.svg", "frontier.png"):
        drawn = paths.figures_folder(run_folder) / name
        paths.write_whole(REFERENCE / name, drawn.read_bytes())
    readme = paths.REPOSITORY / "README.md"
    before, rest = readme.read_text().split(MARKS[0])
    after = rest.split(MARKS[1])[1]
    text = before + MARKS[0] + readme_block() + MARKS[1] + after
    paths.write_whole(readme, text)


def readme_block() -> str:
    """What the README shows of the committed references."""
    frame = load_comparison(REFERENCE)
    kept = json.loads((REFERENCE / "manifest.json").read_text())
    if busy := _busy(frame):
        kept |= {"busy": busy, "stand_in": False}
    return (
        f"{answer(frame, *committed_sweeps.load('replication'), kept)}\n"
        f"{markdown(headline(frame))}\n\n{verdict(frame)}\n\n"
        "![Change of accuracy over time per image, with intervals]"
        f"(book/reference/frontier.png)\n\n{_caption(frame, kept)}\n"
    )


def answer(
    frame: pd.DataFrame, table: pd.DataFrame, sweep: dict, origin: dict
) -> str:
    """The answer to the book's question in three paragraphs and a note.

    ``frame`` is the comparison of a run, ``origin`` says where its times
    are from; ``table`` and ``sweep`` are the replication and its manifest.
    """
    changes = replicates.paired_differences(table)
    best = recommended(frame, table)
    row = frame.loc[best]
    size = frame.file_bytes.iloc[0] / row.file_bytes
    other = table[table.strategy == best].disagreement.mean()
    orders = replicates.orderings(changes, published_orderings()).values()
    shown = sum(order.verdict == "better" for order in orders)
    return (
        f"{_advised(best)} (row *{row.label}* of the table){_little(row)}. "
        f"Measured for one small CNN, trained {len(changes)} times, on "
        f"{origin['machine']['processor']}. Against the float network as "
        f"published its file is {size:.1f} times smaller, and it runs\n\n"
        f"{_speeds(frame, best)}\n{_stand_in(origin)}"
        f"**You lose** {_lost(changes[best].to_numpy())}; "
        f"{100 * other:.1f} of 100 predictions change.\n\n"
        "**Believe** the intervals, not a ranking of the quantized networks. "
        f"The paper ranks {len(orders)} pairs of them; {len(changes)} "
        f"trainings support {shown} of these rankings.\n\n"
        f"*Times are of {origin['finished'][:10]}; accuracy over trainings "
        f"is of a sweep of {sweep['measured']}.*\n"
    )


def _little(row: pd.Series) -> str:
    """What the first sentence says of single images, if they gain little."""
    if row.single_speedup >= LITTLE:
        return ""
    return (
        ", and expect little of it where images come one at a time "
        f"({row.single_speedup:.1f} times as fast)"
    )


def _speeds(frame: pd.DataFrame, best: str) -> str:
    """A list: how many times as fast, by batch, mode and threads."""
    row = frame.loc[best]
    lines = []
    for prefix, what in TIMED:
        found = [_speed(row, p) for p in (prefix, f"cores_{prefix}")]
        lines.append(
            f"- {what.format(batch=int(row.batch))}: "
            + "; ".join(filter(None, found))
        )
    layout = frame.milliseconds["fp32_channels_last"] / row.milliseconds
    lines.append(
        f"- {layout:.1f} times as fast as floats in their best layout "
        f"({int(row.batch)} images at a time, {_threads(int(row.threads))})"
    )
    return "\n".join(lines) + "\n"


def _speed(row: pd.Series, prefix: str) -> str:
    if f"{prefix}speedup" not in row:
        return ""
    cells = readable_time(row.to_dict(), prefix)
    threads = _threads(int(row[f"{prefix}threads"]))
    word = "" if cells["time"] == time_ratios.FASTER else f", {cells['time']}"
    return (
        f"{cells['speed-up']} times as fast with {threads}, "
        f"{cells['ms per image']} ms an image{word}"
    )


def _stand_in(origin: dict) -> str:
    """What a busy machine means for the times; empty if it was quiet."""
    if "busy" not in origin:
        return ""
    text = (
        "\n**The machine of this run was busy** "
        f"({origin['busy']}), so that its times are not judged."
    )
    if origin["stand_in"]:
        text += (
            f" These are the last quiet ones, of "
            f"{origin['machine']['processor']}, {origin['finished'][:10]}."
        )
    return f"{text}\n\n"


def _advised(best: str) -> str:
    if advice := STRATEGIES[best].advice:
        return (
            "**Use** integers, 8 bits for weights and 7 for activations: "
            f"{advice}"
        )
    return "**Stay** with floats: no integer network is both safe and faster"


def _lost(changes: np.ndarray) -> str:
    """The loss over trainings, in words; ``changes`` are shares, one each."""
    mean = intervals.mean(changes)
    value, low, high, worst = (
        f"{100 * share:+.2f}".replace("-", "\u2212")
        for share in (mean.value, mean.low, mean.high, changes.min())
    )
    interval = f"95 % interval {low} to {high}, worst training {worst}"
    over = f"over {len(changes)} trainings ({interval})"
    if mean.high < 0:
        return f"{-100 * mean.value:.2f} points of accuracy on average {over}"
    shown = f"no accuracy that can be shown: {value} points on average {over}"
    if not (deviation := float(changes.std(ddof=1))):
        return shown
    least = replicates.smallest_shown(deviation, len(changes))
    return (
        f"{shown}. "
        f"A mean loss of {100 * least:.2f} points or more would have been "
        "shown in four cases of five"
    )


def recommended(frame: pd.DataFrame, table: pd.DataFrame) -> str:
    """Of the fast strategies that lose little, the one most like FP32.

    Fast: the interval of its speed-up at batch 64 reaches that of the
    fastest. Loses little: over the trainings of ``table``, a loss of the
    margin is excluded at 95 %. Like FP32: the fewest changed predictions.
    This needs no labels, so the choice does not use the accuracy that is then
    reported.
    """
    changes = replicates.paired_differences(table)
    means = {n: intervals.mean(changes[n].to_numpy()) for n in changes}
    safe = frame.loc[[n for n in means if means[n].low > -thresholds.MARGIN]]
    fastest = safe.loc[safe.milliseconds.idxmin()]
    slower = safe.speedup_high < fastest.speedup_low
    other = table.groupby("strategy").disagreement.mean()
    return min(safe.index[~slower], key=other.get)


def figure(frame: pd.DataFrame) -> str:
    """The frontier as a MyST figure; caption and alt text say its numbers."""
    whole = [n for n in frame.index if not n.startswith("fp32")]
    floats = frame.drop(whole).milliseconds
    integers = frame.loc[whole].milliseconds
    low, high = 100 * frame.change.min(), 100 * frame.change.max()
    apart = (frame.change_low > 0) | (frame.change_high < 0)
    found = ", ".join(frame.label[apart]) or "none"
    return (
        "```{figure} _generated/frontier.svg\n:name: fig-front\n"
        ":alt: Two panels, batch 64 and batch 1: change of accuracy over "
        "time per image, one named point with error bars for each strategy. "
        f"At batch 64 quantized networks take {integers.min():.3f} to "
        f"{integers.max():.3f} ms an image, float ones {floats.min():.3f} to "
        f"{floats.max():.3f} ms; changes lie between {low:+.2f} and "
        f"{high:+.2f} points.\n\n"
        "Change of accuracy against FP32 on the same images (paired 95 % "
        "interval) over time (quartiles); dotted: a loss of half a point. "
        f"Intervals that exclude no change: {found}. At batch 64 the fastest "
        f"quantized network takes {integers.min():.3f} ms an image, the "
        f"fastest float one {floats.min():.3f} ms.\n```\n"
    )


def verdict(frame: pd.DataFrame) -> str:
    """Which accuracies differ from the reference's, and which are safe."""
    others = frame.iloc[1:]
    reference = frame.label.iloc[0]
    named = {
        word: ", ".join(found.label)
        for word, found in others.groupby("verdict", sort=False)
    }
    sentences = [f"*{word}*: {names}" for word, names in named.items()]
    return (
        f"**Accuracy against {reference}:** {'; '.join(sentences)}. "
        "(One trained network and one draw of calibration images; exact "
        "McNemar tests with Holm's correction. *Non-inferior* means that a "
        "loss of half a point is excluded at 95 %, row by row: such a row is "
        "not necessarily better than one of *no difference shown*.)"
    )


def _caption(frame: pd.DataFrame, origin: dict) -> str:
    machine, row = origin["machine"], frame.iloc[0]
    features = ", ".join(machine["features"])
    return (
        f"Every strategy on {row.n:,} test images of CIFAR-10. Lost and "
        "gained: images that FP32 had right and this one has wrong, and the "
        f"reverse. Times with {_threads(int(row.threads))}, hot: ms per "
        "image, how many times as fast as FP32 as published, with the "
        "interval of the next session, and whether that is shown; a "
        f"network against itself came out as {row.floor_low:.2f} to "
        f"{row.floor_high:.2f} at batch {int(row.batch)} and as "
        f"{row.single_floor_low:.2f} to {row.single_floor_high:.2f} at batch "
        f"1. Times measured on {machine['processor']} ({features}), torch "
        f"{machine['torch']}, commit {origin['commit']}, "
        f"{origin['finished'][:10]}."
    )


def _threads(count: int) -> str:
    return "one thread" if count == 1 else f"{count} threads"
