"""Two networks on the same images: flips, exact tests, verdicts."""

import math
from dataclasses import dataclass

import numpy as np
import scipy

from ptq.evidence import checks
from ptq.evidence.intervals import Interval
from ptq.evidence.thresholds import MARGIN, SIGNIFICANCE

LARGEST_MATRIX = 20_000


@dataclass(frozen=True)
class Flips:
    """Images on which exactly one of two networks is right.

    ``lost``: the reference was right, the other is wrong; ``gained``: the
    reverse; both of ``n`` images. ``p``: exact McNemar test of equal chances
    (McNemar, 1947). InputError where these cannot be counts of n images, or
    p is no probability.
    """

    lost: int
    gained: int
    n: int
    p: float

    def __post_init__(self):
        lost = checks.count(self.lost, "lost")
        gained = checks.count(self.gained, "gained")
        if lost + gained > checks.count(self.n, "n", least=1):
            raise checks.InputError(
                f"lost={lost}, gained={gained}: more than n={self.n} images"
            )
        checks.p_values([self.p], "p")


def flips(
    reference: np.ndarray,
    other: np.ndarray,
    labels: np.ndarray,
    classes: int = 0,
) -> Flips:
    """Compare predictions of two networks on the same images.

    All three hold class numbers, of any integer type, (N,) or (N, 1).
    ``classes`` is the number of classes; without it, a label beyond all
    predictions is refused. InputError where the numbers are no classes,
    where the lengths differ, and where the reference is right on no image:
    then it has nothing to lose, and no comparison means anything.
    """
    reference, other = _predictions(reference, other, classes)
    labels = checks.classes(labels, "labels", classes)
    checks.same_images(reference=reference, other=other, labels=labels)
    if not classes:
        checks.known_labels(labels, reference, other)
    right, right_too = reference == labels, other == labels
    if not right.any():
        raise checks.InputError(
            f"reference: right on none of {len(labels)} images, so nothing "
            "can be lost; are these labels of these images, in this order?"
        )
    lost = int((right & ~right_too).sum())
    gained = int((~right & right_too).sum())
    return Flips(lost, gained, len(labels), mcnemar(lost, gained))


def mcnemar(lost: int, gained: int) -> float:
    """p of the exact McNemar test that losing and gaining are as likely.

    1 where nothing was lost or gained. InputError for negative counts.
    """
    lost = checks.count(lost, "lost")
    both = lost + checks.count(gained, "gained")
    return float(scipy.stats.binomtest(lost, both).pvalue) if both else 1.0


def _predictions(reference, other, classes: int = 0) -> tuple:
    if classes:
        classes = checks.count(classes, "classes", least=1)
    reference = checks.classes(reference, "reference", classes)
    other = checks.classes(other, "other", classes)
    checks.same_images(reference=reference, other=other)
    return reference, other


def by_chance(predictions: np.ndarray, labels: np.ndarray) -> float:
    """p that as many are right if the labels are shuffled at random.

    Both hold class numbers (N,). The labels are shuffled among the images:
    of the number right, Hoeffding (1951) gives mean and variance, and the
    normal distribution the share of shuffles with as many. A network that
    always says one class, or files in another order, get a large p.
    InputError where these are no class numbers of the same images.
    """
    predictions = checks.classes(predictions, "predictions")
    labels = checks.classes(labels, "labels")
    checks.same_images(predictions=predictions, labels=labels)
    n, size = len(labels), 1 + int(max(predictions.max(), labels.max()))
    rows = np.bincount(predictions, minlength=size).astype(float)
    columns = np.bincount(labels, minlength=size).astype(float)
    both = rows * columns
    outside = (both * (n - rows) * (n - columns)).sum()
    square = outside + both.sum() ** 2 - (both**2).sum()
    above = (predictions == labels).sum() - both.sum() / n
    if n < 2 or square == 0:
        return 1.0
    return float(
        scipy.stats.norm.sf(above / np.sqrt(square / (n**2 * (n - 1))))
    )


def difference(found: Flips) -> Interval:
    """Change of accuracy (a share) with its paired 95 % interval.

    The adjusted Wald interval of Bonett and Price (2012), which counts one
    lost and one gained image more than were seen.
    """
    z = scipy.stats.norm.ppf(1 - SIGNIFICANCE / 2)
    lost, gained = (
        (k + 1) / (found.n + 2) for k in (found.lost, found.gained)
    )
    middle = gained - lost
    half = z * np.sqrt((lost + gained - middle**2) / (found.n + 2))
    return Interval(
        (found.gained - found.lost) / found.n,
        float(max(middle - half, -1)),
        float(min(middle + half, 1)),
    )


def excludes(found: Flips, margin: float = MARGIN) -> bool:
    """Whether a loss of ``margin`` (a share) or more is excluded, at 2.5 %.

    The interval of ``difference`` lies above it, and the score test (Nam,
    1997) rejects it. The interval alone would not do: if nothing is gained
    and the true loss is half a point, it excludes that loss in up to 6.6 %
    of all cases at 880 images, and in 3.4 % at 10,000. InputError where the
    margin is not between 0 and 1.
    """
    margin = checks.between(margin, "margin")
    lost, gained, n = found.lost, found.gained, found.n
    # The likeliest share of gained images if just the margin is lost solves
    # a quadratic equation.
    middle = lost + gained - (2 * n - lost + gained) * margin
    root = math.hypot(
        middle, math.sqrt(8 * n * gained * margin * (1 - margin))
    )
    share = (middle + root) / (4 * n)
    spread = math.sqrt(n * (2 * share + margin * (1 - margin)))
    z = (gained - lost + n * margin) / spread
    least = scipy.stats.norm.ppf(1 - SIGNIFICANCE / 2)
    return bool(z > least and difference(found).low > -margin)


def widest(net: int, changed: int, n: int) -> Interval:
    """The paired difference as if each changed prediction were a flip.

    For records that know only ``net``, how many more of ``n`` images are
    right, and on how many predictions differ. Some differ between two wrong
    classes; so it is too wide, never too narrow. The value is ``net / n``.
    """
    flips = min(max(changed, abs(net)), n)
    gained = (flips + net) // 2
    return difference(Flips(gained - net, gained, n, 1.0))


def smallest_detectable(
    changed: int, n: int, level: float = SIGNIFICANCE
) -> float:
    """Smallest change of accuracy that McNemar's test would have shown.

    A share. ``changed`` of ``n`` images were lost or gained. Infinite where
    even the most one-sided split would not be significant at ``level``.
    InputError where the counts are impossible or the level is not between 0
    and 1.
    """
    n = checks.count(n, "n", least=1)
    if not checks.count(changed, "changed") <= n:
        raise checks.InputError(f"changed={changed}: more than n={n} images")
    level = checks.between(level, "level")
    fewest = scipy.stats.binom.ppf(level / 2, changed, 0.5) - 1
    return (changed - 2 * fewest) / n if fewest >= 0 else float("inf")


def disagreement(reference: np.ndarray, other: np.ndarray) -> float:
    """The share of images for which two networks predict different classes.

    Both hold class numbers, (N,) or (N, 1). Needs no labels, and no change
    of accuracy can be larger than it. InputError where these are no class
    numbers, or of other lengths.
    """
    reference, other = _predictions(reference, other)
    return float((reference != other).mean())


def holm(p_values: list[float]) -> list[float]:
    """p-values adjusted for looking at all of them (Holm, 1979).

    InputError where one is not from 0 to 1. None give none.
    """
    given = checks.p_values(p_values)
    order = np.argsort(given)
    scaled = given[order] * np.arange(len(order), 0, -1)
    adjusted = np.empty(len(order))
    adjusted[order] = np.minimum(np.maximum.accumulate(scaled), 1)
    return adjusted.tolist()


def verdict(
    found: Flips | Interval, adjusted_p: float, margin: float = MARGIN
) -> str:
    """The verdict on a change of accuracy.

    ``found`` is the flips of one pair of networks, or the mean change (a
    share, with its interval) over repetitions. "better" or "worse" if the
    adjusted p-value is below ``SIGNIFICANCE``; otherwise "non-inferior" if
    a loss of ``margin`` (a share) or more is excluded, by the interval, and
    of one pair by ``excludes``; otherwise "no difference shown". InputError
    where p is not from 0 to 1, the margin not between 0 and 1, or the change
    no number.
    """
    change = difference(found) if isinstance(found, Flips) else found
    checks.sample([change.value], "change", 1)
    p = checks.p_values([adjusted_p], "adjusted_p")[0]
    margin = checks.between(margin, "margin")
    if p < SIGNIFICANCE:
        return "better" if change.value > 0 else "worse"
    safe = change.low > -margin
    if isinstance(found, Flips):
        safe = excludes(found, margin)
    return "non-inferior" if safe else "no difference shown"


def confusion(
    predictions: np.ndarray, labels: np.ndarray, classes: int = 0
) -> np.ndarray:
    """Counts (K, K): row the true class, column the predicted one.

    Both hold class numbers, (N,) or (N, 1). K is ``classes``, else one more
    than the largest number. InputError where these are no class numbers
    below K, or of other lengths.
    """
    if classes:
        classes = checks.count(classes, "classes", least=1)
    predictions = checks.classes(predictions, "predictions", classes)
    labels = checks.classes(labels, "labels", classes)
    checks.same_images(predictions=predictions, labels=labels)
    size = classes or 1 + int(max(predictions.max(), labels.max()))
    if size > LARGEST_MATRIX:
        raise checks.InputError(
            f"{size} classes: expected at most {LARGEST_MATRIX}, for the "
            "matrix has their square of cells"
        )
    counts = np.zeros((size, size), dtype=int)
    np.add.at(counts, (labels, predictions), 1)
    return counts
