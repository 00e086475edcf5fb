"""Judge the result of any tool: predictions before and after, in pairs.

Needs no network and no torch, only what two networks put out for the same
images, and their labels.
"""

import json
import math
from dataclasses import asdict, dataclass, field

import numpy as np

from ptq.evidence import checks, intervals, paired_tests
from ptq.evidence.checks import InputError
from ptq.evidence.intervals import Interval
from ptq.evidence.thresholds import MARGIN, SIGNIFICANCE
from ptq.judge import html_page, network_outputs, wording

UNKNOWN = "unknown without labels"
CONDITIONS = ("non-inferior", "better")


@dataclass(frozen=True)
class ClassChange:
    """Images of one class that a candidate lost and gained.

    ``p`` is the exact McNemar test within the class; ``p_holm`` is corrected
    for all classes of all candidates; ``change`` is the class's change of
    accuracy, a share; ``word`` is "worse", "better" or "no difference shown".
    """

    number: int
    name: str
    images: int
    lost: int
    gained: int
    p: float
    p_holm: float

    @property
    def change(self) -> float:
        """Change of the class's accuracy, a share."""
        return (self.gained - self.lost) / self.images

    @property
    def word(self) -> str:
        """What is shown about this class: "worse", "better", or nothing."""
        if self.p_holm >= SIGNIFICANCE:
            return "no difference shown"
        return "better" if self.change > 0 else "worse"


@dataclass(frozen=True)
class Row:
    """One candidate against the reference; shares are of images, 0 to 1.

    ``detectable`` is the smallest change that could have been shown (Holm's
    first step): with as many flips, or, where these are too few to show any,
    with as few more as it takes; None where all images are too few.
    ``non_inferior`` says whether a loss of the margin or more is excluded.
    Without labels, results that need them are None, and ``verdict`` rests on
    the disagreement. ``by_class`` starts with the largest net loss.
    """

    name: str
    disagreement: Interval
    verdict: str
    non_inferior: bool
    accuracy: Interval | None = None
    change: Interval | None = None
    lost: int | None = None
    gained: int | None = None
    p: float | None = None
    p_holm: float | None = None
    detectable: float | None = None
    by_class: list[ClassChange] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def hurt(self) -> list[ClassChange]:
        """Classes that are shown to have lost."""
        return [found for found in self.by_class if found.word == "worse"]


@dataclass(frozen=True)
class Judgement:
    """The results for all candidates; made by ``judge``."""

    reference: str
    images: int
    classes: int
    margin: float
    accuracy: Interval | None
    rows: list[Row]

    def failing(self, condition: str) -> list[str]:
        """Candidates that do not meet one of ``CONDITIONS``.

        "non-inferior": a loss of the margin or more is excluded, which a
        better network does, too, and one that is worse by less than the
        margin. "better": shown to be better. InputError for another word.
        """
        if condition not in CONDITIONS:
            raise InputError(
                f"{condition}: expected one of {', '.join(CONDITIONS)}"
            )
        return [row.name for row in self.rows if not _meets(row, condition)]

    def json(self) -> str:
        """All numbers; shares of images from 0 to 1, null for none."""
        content = asdict(self) | {"significance": SIGNIFICANCE}
        for row, found in zip(content["rows"], self.rows, strict=True):
            for entry, one in zip(
                row["by_class"], found.by_class, strict=True
            ):
                entry |= {"change": one.change, "verdict": one.word}
        return json.dumps(content, indent=1, allow_nan=False) + "\n"

    def text(self) -> str:
        """A report for the terminal."""
        return wording.text(self)

    def page(self) -> str:
        """The report as one HTML file that needs no other."""
        return html_page.page(self)


def _meets(row: Row, condition: str) -> bool:
    better = row.verdict == "better"
    return better or (condition == "non-inferior" and row.non_inferior)


def judge(
    networks: dict[str, np.ndarray],
    labels: np.ndarray | None = None,
    margin: float = MARGIN,
    classes: int = 0,
    class_names: list[str] | None = None,
) -> Judgement:
    """Compare the first of ``networks``, the reference, with the others.

    Each holds a network's outputs for the same N images: class numbers (N,),
    or logits or probabilities (N, C). ``labels`` (N,) are the true classes.
    ``margin`` is a share of the images; ``classes`` their number where the
    data do not tell it. InputError where a comparison would mean nothing:
    different lengths, numbers that are no classes, or a reference that is
    right no more often than by chance.
    """
    margin = checks.between(margin, "margin")
    classes = _told_classes(networks, classes, class_names)
    made = {
        n: network_outputs.outputs(given, n, classes)
        for n, given in networks.items()
    }
    classes = network_outputs.number_of_classes(made, classes)
    found = {name: one.predictions for name, one in made.items()}
    truth = None if labels is None else checks.classes(labels, "labels")
    network_outputs.check_sizes(networks, found, truth)
    reference, *others = found
    if truth is not None:
        network_outputs.check_labels(truth, found, classes)
    classes = classes or 1 + int(max(map(np.max, found.values())))
    if truth is None:
        rows = [_without_labels(found, made, n, margin) for n in others]
    else:
        network_outputs.check_knows(reference, found[reference], truth)
        rows = _with_labels(found, made, truth, margin, classes, class_names)
    right = None if truth is None else _right(found[reference], truth)
    images = len(found[reference])
    return Judgement(reference, images, classes, margin, right, rows)


def _told_classes(networks, classes, class_names) -> int:
    """The given number of classes, else 0; checks the arguments."""
    if not isinstance(networks, dict) or not all(
        isinstance(name, str) for name in networks
    ):
        raise InputError(
            "networks: expected a dict from names to what each puts out"
        )
    if len(networks) < 2:
        raise InputError("expected a reference and at least one candidate")
    if isinstance(class_names, str):
        raise InputError(f"class_names={class_names!r}: expected a list")
    classes = checks.count(classes, "classes")
    names = len(class_names or ())
    if names and classes not in (0, names):
        raise InputError(f"{names} names of classes for {classes} classes")
    return classes or names


def _right(predictions: np.ndarray, truth: np.ndarray) -> Interval:
    return intervals.accuracy(int((predictions == truth).sum()), len(truth))


def _without_labels(found: dict, made: dict, name: str, margin: float) -> Row:
    other = _disagreement(found, name)
    safe = other.high < margin
    return Row(
        name=name,
        disagreement=other,
        verdict="non-inferior" if safe else UNKNOWN,
        non_inferior=safe,
        notes=_notes(found, made, name),
    )


def _with_labels(found, made, truth, margin, classes, class_names):
    reference, *others = found
    flips = {
        name: paired_tests.flips(
            found[reference], found[name], truth, classes
        )
        for name in others
    }
    adjusted = paired_tests.holm([pair.p for pair in flips.values()])
    by_class = _by_class(found, truth, class_names)
    rows = []
    for (name, pair), p in zip(flips.items(), adjusted, strict=True):
        change = paired_tests.difference(pair)
        notes = _notes(found, made, name)
        if (
            paired_tests.by_chance(found[name], truth)
            >= network_outputs.CHANCE
        ):
            notes.append(
                "right no more often than by chance: are its images in the "
                "same order, and prepared in the same way?"
            )
        rows.append(
            Row(
                name=name,
                disagreement=_disagreement(found, name),
                verdict=paired_tests.verdict(pair, p, margin),
                non_inferior=change.low > -margin,
                accuracy=_right(found[name], truth),
                change=change,
                lost=pair.lost,
                gained=pair.gained,
                p=pair.p,
                p_holm=p,
                detectable=_detectable(pair, len(others)),
                by_class=by_class[name],
                notes=notes,
            )
        )
    return rows


def _detectable(pair: paired_tests.Flips, candidates: int) -> float | None:
    """The smallest change that could be shown; by more flips, if need be."""
    for changed in range(pair.lost + pair.gained, pair.n + 1):
        least = paired_tests.smallest_detectable(
            changed, pair.n, SIGNIFICANCE / candidates
        )
        if math.isfinite(least):
            return least
    return None


def _disagreement(found: dict, name: str) -> Interval:
    first = next(iter(found.values()))
    return intervals.accuracy(int((first != found[name]).sum()), len(first))


def _notes(found: dict, made: dict, name: str) -> list[str]:
    reference = next(iter(found))
    notes = []
    if np.array_equal(found[reference], found[name]):
        notes.append(f"predicts the same as {reference} for every image")
    for one in (reference, name):
        if ties := made[one].ties:
            notes.append(
                f"{one}: {ties:,} images have several largest outputs; the "
                "first of them counts as the prediction"
            )
    return notes


def _by_class(
    found: dict, truth: np.ndarray, class_names
) -> dict[str, list[ClassChange]]:
    """Per candidate, a row a class that has images, worst first."""
    reference, *others = found
    images = np.bincount(truth)
    right = found[reference] == truth
    counted = {}
    for name in others:
        right_too = found[name] == truth
        lost = np.bincount(truth[right & ~right_too], minlength=len(images))
        gained = np.bincount(truth[~right & right_too], minlength=len(images))
        for k in np.flatnonzero(images):
            pair = int(lost[k]), int(gained[k])
            counted[name, int(k)] = (*pair, paired_tests.mcnemar(*pair))
    adjusted = paired_tests.holm([p for *_, p in counted.values()])
    rows = {name: [] for name in others}
    for ((name, k), (lost, gained, p)), p_holm in zip(
        counted.items(), adjusted, strict=True
    ):
        title = class_names[k] if class_names else str(k)
        rows[name].append(
            ClassChange(k, title, int(images[k]), lost, gained, p, p_holm)
        )
    for found_ in rows.values():
        found_.sort(key=lambda row: (row.gained - row.lost, row.p))
    return rows
