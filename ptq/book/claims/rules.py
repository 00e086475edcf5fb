"""The paper's claims, and the rules that give each its verdict.

A rule takes measurements and returns one of ``VERDICTS``; none knows which
strategy it judges. An interval without bounds, as of times that are not
judged, shows nothing. With several ``trainings``, the rules on accuracy use
their spread, not the images of one training.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ptq.book.claims.paper import published
from ptq.book.tables import cells
from ptq.evidence import intervals, thresholds, time_ratios
from ptq.evidence.intervals import Interval
from ptq.evidence.paired_tests import Flips

REPRODUCED = "reproduced"
ARTIFACT = "artifact"
NO_OP = "no-op"
NOT_SHOWN = "not shown"
CONTRADICTED = "contradicted"
NOT_COMPARABLE = "not comparable"
NOT_TRIED = "not tried here"
BY_DEFINITION = "by definition"
VERDICTS = {
    REPRODUCED: "what we measured agrees with it",
    ARTIFACT: "the effect comes from the way of measuring",
    NO_OP: "what is said to act does nothing",
    NOT_SHOWN: "it may be so or not: these data are too few to tell",
    CONTRADICTED: "what we measured excludes it",
    NOT_COMPARABLE: "a property of another machine",
    NOT_TRIED: "this machine cannot try it",
    BY_DEFINITION: "it could not be otherwise",
}
TEST_IMAGES = 10_000


@dataclass(frozen=True)
class Finding:
    """One claim or number: the paper's, ours, the verdict, and its place.

    ``where`` is the label of the section that shows it.
    """

    claim: str
    paper: str
    ours: str
    outcome: str
    where: str


def printed(paper: float, ours: float) -> str:
    """A number without error: must be equal in the printed digits."""
    digits = len(str(paper).partition(".")[2])
    return REPRODUCED if round(ours, digits) == paper else CONTRADICTED


def same_accuracy(
    percent: float, correct: int, n: int, trainings: np.ndarray | None = None
) -> str:
    """An accuracy in percent of 10,000 images, against ``correct`` of n.

    Reproduced if the interval of the difference holds 0; with accuracies
    (0 to 1, shape (T,)) of several trainings, if one more could come out as
    ``percent``. ValueError where ``correct`` is not of 0 to ``n``, or there
    are fewer than two trainings.
    """
    if trainings is not None:
        found = intervals.prediction_interval(trainings)
        return _holds(found, percent / 100)
    theirs = round(percent / 100 * TEST_IMAGES)
    found = intervals.newcombe(correct, n, theirs, TEST_IMAGES)
    return _holds(found, 0)


def order(gain: float, p: float) -> str:
    """A claim that one network is more accurate than another.

    ``gain`` is its accuracy minus the other's (in any unit), ``p`` that of a
    paired test of no difference, adjusted where several claims are asked.
    """
    if p >= thresholds.SIGNIFICANCE:
        return NOT_SHOWN
    return REPRODUCED if gain > 0 else CONTRADICTED


def faster(word: str) -> str:
    """A claim that a network is faster, given the verdict on its time.

    ``word`` is that of ``Timing.time_verdict``; a time that is not judged
    shows nothing.
    """
    known = {
        time_ratios.FASTER: REPRODUCED,
        time_ratios.SLOWER: CONTRADICTED,
    }
    return known.get(word, NOT_SHOWN)


def same_ratio(paper: float, found: Interval) -> str:
    """A claim that a speed-up depends on the strategy, not on the processor.

    ``paper`` is that of another machine, printed with one decimal; it is
    contradicted if our interval excludes every value that rounds to it.
    """
    rounded = Interval(found.value, found.low - 0.05, found.high + 0.05)
    return _holds(rounded, paper)


def best(rivals: list[tuple[str, str]]) -> str:
    """A claim that one network is the best trade-off among its rivals.

    For each rival, the verdicts on "it is slower" and on "it is more
    accurate": reproduced if all are slower and none is more accurate, so that
    it is faster, and no loss is shown.
    """
    slower, accurate = zip(*rivals, strict=True)
    if CONTRADICTED in slower or REPRODUCED in accurate:
        return CONTRADICTED
    return REPRODUCED if set(slower) == {REPRODUCED} else NOT_SHOWN


def acts(largest: float) -> str:
    """A claim that something was changed, given the largest change."""
    return NO_OP if largest == 0 else REPRODUCED


def most_sensitive(
    layer: str, errors: dict[str, float], control: dict[str, float]
) -> str:
    """A claim that a layer suffers most.

    ``errors`` are the metric's values for matching outputs; ``control`` is
    the published metric's value where nothing was quantized.
    """
    if max(control.values()) > 1e-6:
        return ARTIFACT
    worst = max(errors, key=errors.__getitem__)
    return REPRODUCED if worst == layer else CONTRADICTED


def sole_cause(others: Interval) -> str:
    """A claim of a single cause, given the share of other causes."""
    if others.low > 0:
        return ARTIFACT
    return REPRODUCED if others.high <= 0 else NOT_SHOWN


def main_cause(share: Interval) -> str:
    """A claim of a main cause, given its share of the effect."""
    if share.low > 0.5:
        return REPRODUCED
    return CONTRADICTED if share.high < 0.5 else NOT_SHOWN


def as_good(change: Interval) -> str:
    """A claim that one way is as accurate as another.

    ``change`` is its accuracy minus the other's (a share, with its 95 %
    interval): reproduced where it excludes a loss of ``MARGIN``,
    contradicted where all of it lies beyond.
    """
    if change.low > -thresholds.MARGIN:
        return REPRODUCED
    return CONTRADICTED if change.high < -thresholds.MARGIN else NOT_SHOWN


def unbiased(error: float, precision: float) -> str:
    """A claim that a way of averaging is right, given its relative error.

    ``precision`` is half a unit of the last printed digit, relative.
    """
    return ARTIFACT if abs(error) > precision else REPRODUCED


def portable(found: Flips | None) -> str:
    """A claim that two machines give one accuracy; None if not tried."""
    if found is None:
        return NOT_TRIED
    if found.lost == found.gained == 0:
        return REPRODUCED
    shown = found.p < thresholds.SIGNIFICANCE
    return CONTRADICTED if shown else NOT_SHOWN


def _holds(interval: Interval, value: float) -> str:
    if interval.low <= value <= interval.high:
        return REPRODUCED
    return NOT_SHOWN if np.isnan(interval.low) else CONTRADICTED


def per_training(table: pd.DataFrame | None, name: str) -> np.ndarray | None:
    """Accuracy (a share, shape (T,)) of a strategy for each training.

    None without a table, which has columns train_seed, seed, strategy,
    correct and n. Each training gives one draw of calibration images, that of
    the lowest seed: the paper's accuracies are of one draw, too.
    """
    if table is None:
        return None
    rows = table[table.strategy == name].sort_values("seed")
    shares = (rows.correct / rows.n).groupby(rows.train_seed).first()
    return shares.to_numpy()


def published_table(
    frame: pd.DataFrame, table: pd.DataFrame | None = None
) -> list[Finding]:
    """The twenty numbers of the paper's table beside those of ``frame``.

    The paper's times, and so their ratios, are another machine's; FP32's over
    itself is 1 by definition. ``frame`` is ``Comparison.frame`` of the
    five strategies, with times; ``table`` is as in ``per_training``.
    """
    findings = []
    for name, paper in published().items():
        trainings = per_training(table, name)
        judged = _judged(paper, frame.loc[name], trainings, name == "fp32")
        findings += [
            Finding(f"{paper['label']}, {what}", *found, "sec-beside-paper")
            for what, *found in judged
        ]
    return findings


def _judged(
    paper: dict, row: pd.Series, trainings: np.ndarray | None, is_base: bool
) -> list[tuple[str, ...]]:
    """What is measured, the paper's, ours, and the verdict, of one row."""
    counted = int(row.correct), int(row.n)
    size = row.file_bytes / cells.MIB
    judged = {
        "top-1 (%)": same_accuracy(paper["accuracy"], *counted, trainings),
        "ms at batch 64": NOT_COMPARABLE,
        "size (MiB)": printed(paper["mebibytes"], size),
        "speed-up": BY_DEFINITION if is_base else NOT_COMPARABLE,
    }
    names = ("accuracy", "milliseconds", "mebibytes", "speedup")
    theirs = [str(paper[name]) for name in names]
    ours = [
        f"{100 * row.accuracy:.2f}{_one_more(trainings)}",
        f"{row.milliseconds:.3f}",
        f"{size:.2f}",
        cells.time(row)["speed-up"],
    ]
    return list(zip(judged, theirs, ours, judged.values(), strict=True))


def _one_more(trainings: np.ndarray | None) -> str:
    if trainings is None:
        return ""
    found = intervals.prediction_interval(trainings)
    return f" (one more: {100 * found.low:.1f} to {100 * found.high:.1f})"


def finding(part: str, name: str, ours: str, outcome: str) -> Finding:
    """A finding on one of the paper's "counts" or "claims".

    KeyError where ``part`` has no such ``name``.
    """
    entry = published(part)[name]
    paper = entry["paper"]
    theirs = f"{paper:,}" if isinstance(paper, int) else str(paper)
    return Finding(entry["text"], theirs, ours, outcome, entry["where"])


def table(findings: list[Finding]) -> pd.DataFrame:
    """The findings as text, each with a link to where it is shown."""
    return pd.DataFrame(
        {
            "claim": f.claim,
            "verdict": f.outcome,
            "paper": f.paper,
            "ours": f.ours,
            "shown in": f"{{ref}}`{f.where}`",
        }
        for f in findings
    )
