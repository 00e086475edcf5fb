"""Judge the result of any tool: predictions before and after, in pairs.

Needs no network and no torch, only what two networks put out for the same
images, and their labels.
"""

import json
from dataclasses import asdict, dataclass

import numpy as np

from ptq.evidence import checks
from ptq.evidence.checks import InputError
from ptq.evidence.intervals import Interval
from ptq.evidence.thresholds import MARGIN, SIGNIFICANCE
from ptq.judge import candidates, html_page, network_outputs, wording
from ptq.judge.candidates import Row

CONDITIONS = ("non-inferior", "better")


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
    made = network_outputs.every(networks, labels, classes)
    classes = network_outputs.number_of_classes(made, classes)
    found = {name: one.predictions for name, one in made.items()}
    truth = None if labels is None else checks.classes(labels, "labels")
    network_outputs.check_sizes(found, truth)
    reference, predictions = next(iter(found.items()))
    if truth is not None:
        network_outputs.check_labels(truth, found, classes)
    classes = classes or 1 + int(max(map(np.max, found.values())))
    if truth is None:
        right, rows = None, candidates.without_labels(found, made, margin)
    else:
        network_outputs.check_knows(reference, predictions, truth)
        right = candidates.right(predictions, truth)
        rows = candidates.with_labels(
            found, made, truth, margin, classes, class_names
        )
    images = len(predictions)
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
    classes = checks.count(classes, "classes")
    if class_names:
        classes = len(checks.class_names(class_names, "class_names", classes))
    return classes
