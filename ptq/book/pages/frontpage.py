"""A run's comparison on the front page and in the README."""

import json
from pathlib import Path

import pandas as pd

from ptq import paths
from ptq.book.pages import decision_map, kept_runs, network_answers
from ptq.book.pages.strategy_answer import answer, recommended
from ptq.book.point_names import TOGETHER
from ptq.book.show import captioned, markdown
from ptq.book.tables.networks import front_page
from ptq.evidence import replicates
from ptq.evidence.number_text import threads
from ptq.experiment import committed_sweeps, parameters, strategy_rules
from ptq.experiment.comparison import (
    QUIET,
    TIMES,
    load_comparison,
    save_comparison,
)

COMPARISON = "06_comparison"
MARKS = ("<!-- headline: generated -->\n", "<!-- headline: end -->\n")


def write_headline(run_folder: Path, target: Path) -> None:
    """Write a run's answer, table and figure where the front page is.

    Where this machine lacks what the comparison needs, they are those of the
    committed record, and say so.
    """
    frame, origin = _measured(run_folder)
    changes = _changes()
    shown = front_page(frame, changes)
    table = captioned(shown, "headline", _caption(frame, origin))
    text = f"{table}\n{which_differ(frame, changes)}\n"
    if missing := origin.get("missing"):
        text += f"\nThese rows are the committed record: here, {missing}.\n"
    paths.write_whole(target / "headline.md", text)
    paths.write_whole(target / "answer.md", _answer(frame, origin))
    # A busy run's figure shows its own times; the kept one shows quiet ones.
    folder = paths.figures_folder(run_folder)
    if origin.get("stand_in") or missing:
        folder = paths.REFERENCE
    paths.write_whole(target / "frontier.md", figure(frame))
    network_answers.write(run_folder, target)
    decision_map.write(target)
    for name in ("frontier.svg", "frontier.png"):
        paths.write_whole(target / name, (folder / name).read_bytes())


def _measured(run_folder: Path) -> tuple[pd.DataFrame, dict]:
    """A run's comparison, else the committed one, and where it was made."""
    manifest = json.loads((run_folder / paths.MANIFEST).read_text())
    if told := manifest["chapters"].get(COMPARISON):
        told = {"machine": manifest["machine"]} | told
        return timed(load_comparison(run_folder), told)
    frame, kept = committed()
    missing = parameters.missing(parameters.NEEDS)
    return frame, kept | {"missing": missing}


def committed() -> tuple[pd.DataFrame, dict]:
    """The committed comparison, and where it was measured."""
    frame = load_comparison(paths.REFERENCE)
    kept = json.loads((paths.REFERENCE / paths.MANIFEST).read_text())
    if busy := _busy(frame):
        kept |= {"busy": busy, "stand_in": False}
    return frame, kept


def committed_rows() -> str:
    """The committed table in MyST; its caption says where it was measured."""
    frame, kept = committed()
    shown = front_page(frame, _changes())
    return f"{markdown(shown)}\n\n{_caption(frame, kept)}\n"


def timed(frame: pd.DataFrame, told: dict) -> tuple[pd.DataFrame, dict]:
    """A run's comparison with times to show, and where these were measured.

    ``told`` is the entry of the run in the manifest. If the machine was busy
    at batch 64 or 1, the committed quiet times replace the run's, if there
    are any. The second value then has ``busy``, which says why, and
    ``stand_in``, whether they do.
    """
    if not (busy := _busy(frame)):
        return frame, told
    quiet = load_comparison(paths.REFERENCE)
    times = [c for c in frame if any(c.endswith(name) for name in TIMES)]
    if not set(times) <= set(quiet) or _busy(quiet):
        return frame, told | {"busy": busy, "stand_in": False}
    kept = json.loads((paths.REFERENCE / paths.MANIFEST).read_text())
    frame = frame.drop(columns=times).join(quiet[times])
    return frame, kept | {"busy": busy, "stand_in": True}


def _busy(frame: pd.DataFrame) -> str:
    """What kept the machine busy at batch 64 or 1, hot; empty if nothing.

    Every other condition is judged, or not, on its own.
    """
    signs = {
        f"batch {batch:.0f}: {sign}": None
        for prefix in ("", "single_")
        for batch, sign in zip(
            frame[f"{prefix}batch"], frame[f"{prefix}busy"], strict=True
        )
        if sign != QUIET
    }
    return "; ".join(signs)


def update_readme(run_folder: Path) -> None:
    """Keep a run's comparison as the reference that the README shows.

    ReferenceError where the run has not executed the comparison, is not of a
    clean commit, or would replace quiet times by those of a busy machine.
    """
    try:
        manifest = json.loads((run_folder / paths.MANIFEST).read_text())
        told = manifest["chapters"][COMPARISON]
    except (OSError, KeyError) as error:
        raise committed_sweeps.ReferenceError(
            f"{run_folder} has no executed chapter {COMPARISON}: `python -m "
            "ptq run` executes it, or give another --run-dir"
        ) from error
    frame = load_comparison(run_folder)
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
    best = recommended(frame, committed_sweeps.load("replication")[0])
    kept_runs.keep(frame.loc[best], kept)
    save_comparison(frame, paths.REFERENCE)
    paths.write_json(paths.REFERENCE / paths.MANIFEST, kept)
    for name in ("frontier.svg", "frontier.png"):
        drawn = paths.figures_folder(run_folder) / name
        paths.write_whole(paths.REFERENCE / name, drawn.read_bytes())
    readme = paths.REPOSITORY / "README.md"
    before, rest = readme.read_text().split(MARKS[0])
    after = rest.split(MARKS[1])[1]
    text = before + MARKS[0] + readme_block() + MARKS[1] + after
    paths.write_whole(readme, text)


def _answer(frame: pd.DataFrame, origin: dict) -> str:
    replication = committed_sweeps.load("replication")
    return answer(frame, *replication, origin, kept_runs.load())


def _changes() -> pd.DataFrame:
    """Changes of accuracy over the trainings of the replication (shares)."""
    return replicates.paired_differences(
        committed_sweeps.load("replication")[0]
    )


def readme_block() -> str:
    """What the README shows of the committed references."""
    (frame, kept), changes = committed(), _changes()
    return (
        f"{_answer(frame, kept)}\n"
        f"{markdown(front_page(frame, changes))}\n\n"
        f"{which_differ(frame, changes)}\n\n"
        "![Change of accuracy over time per image, with intervals]"
        f"(book/reference/frontier.png)\n\n{_caption(frame, kept)}\n"
    )


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
        f"Intervals that exclude no change: {found}. {TOGETHER} At batch 64 "
        "the fastest "
        f"quantized network takes {integers.min():.3f} ms an image, the "
        f"fastest float one {floats.min():.3f} ms.\n```\n"
    )


def which_differ(frame: pd.DataFrame, changes: pd.DataFrame) -> str:
    """Which accuracies differ over trainings, and which are safe.

    ``frame`` is that of ``Comparison.frame``, ``changes`` are those of
    ``strategy_rules.over_trainings``.
    """
    labels, reference = frame.label.iloc[1:], frame.label.iloc[0]
    words = labels.index.to_series().map(
        strategy_rules.training_words(changes)
    )
    named = {
        word: ", ".join(labels[found.index])
        for word, found in words.groupby(words, sort=False)
    }
    sentences = [f"*{word}*: {names}" for word, names in named.items()]
    other = int((frame.verdict.iloc[1:] != words).sum())
    return (
        f"**Accuracy against {reference}, over {len(changes)} trainings:** "
        f"{'; '.join(sentences)}. (Student's test, paired by training, with "
        "Holm's correction within the float and the quantized rows. "
        "*Non-inferior* means that a mean loss of half a point is excluded "
        "at 95 %, row by row: such a row is not necessarily better than one "
        "of *no difference shown*. The images of the one network of this "
        f"table, by themselves, give another word in {other} of "
        f"{len(words)} rows: chapter 6.)"
    )


def _caption(frame: pd.DataFrame, origin: dict) -> str:
    machine, row = origin["machine"], frame.iloc[0]
    features = ", ".join(machine["features"])
    return (
        f"Every strategy of one trained network on {row.n:,} test images of "
        "CIFAR-10; the verdict on the accuracy is the one over trainings. "
        "Lost and gained: images that FP32 had right and this one has wrong, "
        "and the reverse. Times with "
        f"{threads(int(row.threads))}, hot: ms per image, how many times as "
        "fast as FP32 as published, with the interval of the next session in "
        "the same run, and whether that is shown; a "
        f"network against itself came out as {row.floor_low:.2f} to "
        f"{row.floor_high:.2f} at batch {int(row.batch)} and as "
        f"{row.single_floor_low:.2f} to {row.single_floor_high:.2f} at batch "
        f"1. Times measured on {machine['processor']} ({features}), torch "
        f"{machine['torch']}, commit {origin['commit']}, "
        f"{origin['finished'][:10]}."
    )
