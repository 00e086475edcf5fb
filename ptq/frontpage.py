"""A run's comparison on the front page and in the README."""

import json
from pathlib import Path

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

COMPARISON = "06_comparison"
REFERENCE = paths.REPOSITORY / "book" / "reference"
MARKS = ("<!-- headline: generated -->\n", "<!-- headline: end -->\n")


def write_headline(run_folder: Path, target: Path) -> None:
    """Write a run's table and figure where the front page includes them."""
    frame = load_comparison(run_folder)
    table = captioned(headline(frame), "headline", _headline_caption(frame))
    text = f"{table}\n{verdict(frame)}\n"
    paths.write_whole(target / "headline.md", text)
    changes = designs.drops(reference.load("replication")[0])
    paths.write_whole(target / "answer.md", answer(frame, changes))
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


def answer(frame: pd.DataFrame, changes: pd.DataFrame) -> str:
    """The answer to the book's question in three sentences, as markdown.

    ``frame`` is the comparison of a run; ``changes`` (``designs.drops``) has
    a row a training seed.
    """
    best = recommended(frame, changes)
    row, mean = frame.loc[best], evidence.mean(changes[best].to_numpy())
    size = frame.file_bytes.iloc[0] / row.file_bytes
    layout = frame.milliseconds["fp32_channels_last"] / row.milliseconds
    claims = [designs.ordering(changes, *p) for p in published_orderings()]
    adjusted = evidence.holm([claim.p for claim in claims])
    shown = sum(
        claim.difference.value > 0 and p < 0.05
        for claim, p in zip(claims, adjusted, strict=True)
    )
    return (
        f"**Use *{row.label}***: at batch 64 it runs {row.speedup:.1f} times "
        f"({row.speedup_low:.1f} to {row.speedup_high:.1f}) as fast as the "
        f"float network as published, {layout:.1f} times as fast as the best "
        f"float layout, in {size:.1f} times fewer bytes. **You lose** "
        f"{-100 * mean.value:.2f} points of accuracy on average over "
        f"{len(changes)} trainings (95 % interval "
        f"{-100 * mean.high:.2f} to {-100 * mean.low:.2f}; the worst of them "
        f"lost {-100 * changes[best].min():.2f}), and "
        f"{100 * row.disagreement:.1f} of 100 answers change. **Believe** "
        f"these intervals rather than a ranking: of the {len(claims)} "
        "orderings between different quantized networks that the paper's "
        f"table implies, {shown} can be shown over these trainings.\n"
    )


def recommended(frame: pd.DataFrame, changes: pd.DataFrame) -> str:
    """Of the fast strategies that lose little, the most accurate.

    Fast: the interval of its speed-up reaches the one of the fastest. Loses
    little: over the trainings, half a point is excluded at 95 %.
    """
    means = {n: evidence.mean(changes[n].to_numpy()) for n in changes}
    safe = frame.loc[[n for n in means if means[n].low > -0.005]]
    fastest = safe.loc[safe.milliseconds.idxmin()]
    fast = safe.index[safe.speedup_high >= fastest.speedup_low]
    return max(fast, key=lambda name: means[name].value)


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
