"""A run's comparison on the front page and in the README."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from ptq import designs, evidence, paths, reference
from ptq.report import (
    captioned,
    headline,
    load_comparison,
    markdown,
    published_orderings,
    save_comparison,
)
from ptq.strategies import STRATEGIES

COMPARISON = "06_comparison"
REFERENCE = paths.REPOSITORY / "book" / "reference"
MARKS = ("<!-- headline: generated -->\n", "<!-- headline: end -->\n")


def write_headline(run_folder: Path, target: Path) -> None:
    """Write a run's answer, table and figure where the front page is."""
    frame = load_comparison(run_folder)
    table = captioned(headline(frame), "headline", _headline_caption(frame))
    text = f"{table}\n{verdict(frame)}\n"
    paths.write_whole(target / "headline.md", text)
    manifest = json.loads((run_folder / "manifest.json").read_text())
    found = answer(frame, *reference.load("replication"), manifest["machine"])
    paths.write_whole(target / "answer.md", found)
    paths.write_whole(target / "frontier.md", figure(frame))
    for name in ("frontier.svg", "frontier.png"):
        picture = paths.figures_folder(run_folder) / name
        paths.write_whole(target / name, picture.read_bytes())


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
    """What the README shows of the committed references."""
    frame = load_comparison(REFERENCE)
    manifest = json.loads((REFERENCE / "manifest.json").read_text())
    machine = manifest["machine"]
    features = ", ".join(machine["features"])
    replication = reference.load("replication")
    return (
        f"{answer(frame, *replication, machine)}\n"
        f"{markdown(headline(frame))}\n\n{verdict(frame)}\n\n"
        "![Accuracy over time per picture, with intervals]"
        "(book/reference/frontier.png)\n\n"
        f"{_headline_caption(frame)} Measured on {machine['processor']} "
        f"({features}), torch {machine['torch']}, commit "
        f"{manifest['commit']}, {manifest['finished'][:10]}.\n"
    )


def answer(
    frame: pd.DataFrame, table: pd.DataFrame, origin: dict, machine: dict
) -> str:
    """The answer to the book's question in three paragraphs and a note.

    ``frame`` is the comparison of a run on ``machine``; ``table`` and
    ``origin`` are the replication and its manifest.
    """
    changes = designs.drops(table)
    best = recommended(frame, table)
    row = frame.loc[best]
    size = frame.file_bytes.iloc[0] / row.file_bytes
    layout = frame.milliseconds["fp32_channels_last"] / row.milliseconds
    other = table[table.strategy == best].disagreement.mean()
    orders = designs.orderings(changes, published_orderings()).values()
    shown = sum(order.verdict == "better" for order in orders)
    return (
        f"{_advised(best)} (row *{row.label}* of the table). On "
        f"{machine['processor']}, with "
        f"{_threads(row.threads)} and 64 pictures at a time, that runs "
        f"{row.speedup:.1f} times ({row.speedup_low:.1f} to "
        f"{row.speedup_high:.1f}) as fast as the published float network "
        f"and {layout:.1f} times as fast as floats in their best layout, "
        f"from a file {size:.1f} times smaller.\n\n"
        f"**You lose** {_lost(changes[best].to_numpy())}; "
        f"{100 * other:.1f} of 100 answers change.\n\n"
        "**Believe** the intervals, not a ranking of the quantized networks: "
        f"of the {len(orders)} orderings in the published table, {shown} can "
        f"be shown over {len(changes)} trainings.\n\n"
        "*Time and size are of one run; accuracy over trainings is of a "
        f"sweep of {origin['measured']}.*\n"
    )


def _advised(best: str) -> str:
    if advice := STRATEGIES[best].advice:
        return (
            "**Use** integers, 8 bits for weights and 7 for activations, as "
            f"is torch's default: {advice}"
        )
    return "**Stay** with floats: no integer network is both safe and faster"


def _lost(changes: np.ndarray) -> str:
    """What trainings say of a loss; ``changes`` are shares, one each."""
    mean = evidence.mean(changes)
    value, low, high, worst = (
        f"{100 * share:+.2f}".replace("-", "\u2212")
        for share in (mean.value, mean.low, mean.high, changes.min())
    )
    interval = f"95 % interval {low} to {high}, worst training {worst}"
    over = f"over {len(changes)} trainings ({interval})"
    if mean.high < 0:
        return f"{-100 * mean.value:.2f} points of accuracy on average {over}"
    return f"no accuracy that can be shown: {value} points on average {over}"


def recommended(frame: pd.DataFrame, table: pd.DataFrame) -> str:
    """Of the fast strategies that lose little, the one most like FP32.

    Fast: the interval of its speed-up reaches that of the fastest. Loses
    little: over the trainings of ``table``, half a point is excluded at
    95 %. Like FP32: fewest other answers, which no label has a part in, so
    that among these none is chosen by the accuracy that is then reported.
    """
    changes = designs.drops(table)
    means = {n: evidence.mean(changes[n].to_numpy()) for n in changes}
    safe = frame.loc[[n for n in means if means[n].low > -0.005]]
    fastest = safe.loc[safe.milliseconds.idxmin()]
    fast = safe.index[safe.speedup_high >= fastest.speedup_low]
    other = table.groupby("strategy").disagreement.mean()
    return min(fast, key=other.get)


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
        "(One trained network and one draw of calibration pictures; exact "
        "McNemar tests with Holm's correction. *Non-inferior* means that a "
        "loss of half a point is excluded at 95 %, row by row: two rows of "
        "different words need not differ.)"
    )


def _headline_caption(frame: pd.DataFrame) -> str:
    return (
        f"Every strategy on {frame.n.iloc[0]:,} test pictures of CIFAR-10. "
        "Lost and gained: pictures that FP32 had right and this one has "
        "wrong, and the reverse. Times are medians at batch 64, "
        f"{_threads(frame.threads.iloc[0])}; speed-up is against FP32 as "
        "published, with its interval within one session, in which a network "
        f"against itself came out as {frame.floor_low.iloc[0]:.2f} to "
        f"{frame.floor_high.iloc[0]:.2f}."
    )


def _threads(count: int) -> str:
    return "one thread" if count == 1 else f"{count} threads"
