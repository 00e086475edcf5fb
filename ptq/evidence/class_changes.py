"""Flips by class: which classes lose, corrected for asking each of them."""

from dataclasses import dataclass

import numpy as np

from ptq.evidence import paired_tests
from ptq.evidence.thresholds import SIGNIFICANCE


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


def by_class(
    found: dict[str, np.ndarray],
    truth: np.ndarray,
    class_names: list[str] | None = None,
) -> dict[str, list[ClassChange]]:
    """Per candidate, a row a class that has images, worst first.

    ``found`` holds predictions by name, the reference's first, and ``truth``
    the labels: class numbers, int64 (N,). Classes without names are called
    by their numbers.
    """
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
