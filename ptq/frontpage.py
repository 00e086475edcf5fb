"""A run's comparison on the front page and in the README."""

import json
from pathlib import Path

import pandas as pd

from ptq import paths
from ptq.report import (
    captioned,
    headline,
    load_comparison,
    markdown,
    save_comparison,
)

COMPARISON = "06_comparison"
REFERENCE = paths.REPOSITORY / "book" / "reference"
MARKS = ("<!-- headline: generated -->\n", "<!-- headline: end -->\n")


def write_headline(run_folder: Path, target: Path) -> None:
    """Write a run's table and figure where the front page includes them."""
    frame = load_comparison(run_folder)
    table = captioned(headline(frame), "headline", _headline_caption(frame))
    text = f"{table}\n{verdict(frame)}\n"
    paths.write_whole(target / "headline.md", text)
    picture = paths.figures_folder(run_folder) / "frontier.svg"
    paths.write_whole(target / "frontier.svg", picture.read_bytes())


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
        "(Exact McNemar tests with Holm's correction; *non-inferior* means "
        "that a loss of half a point is excluded at 95 %.)"
    )


def _headline_caption(frame: pd.DataFrame) -> str:
    return (
        f"Every strategy on {frame.n.iloc[0]:,} test pictures of CIFAR-10. "
        "Lost and gained: pictures that FP32 had right and this one has "
        "wrong, and the reverse. Times are medians at batch 64, "
        f"{frame.threads.iloc[0]} thread(s); speed-up is against FP32 as "
        "published."
    )
