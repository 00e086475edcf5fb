"""How sure a network is: its calibration error, and who is near a change."""

import numpy as np

from ptq.evidence import checks

BINS = 15


def calibration_error(
    probabilities: np.ndarray, labels: np.ndarray, bins: int = BINS
) -> float:
    """Expected calibration error, 0 to 1. Equation (eq-ece).

    How far the confidence, the largest of an image's ``probabilities``
    (N, classes), is from the share of right predictions: the mean over
    ``bins`` of equal width, weighted by their images (Guo et al., 2017,
    arXiv 1706.04599, equation 3). ``labels`` are class numbers (N,). It is
    above zero by chance even where confidence is right. InputError where
    rows are no probabilities, or labels no classes of the same images.
    """
    given = _probabilities(probabilities)
    labels = checks.classes(labels, "labels", given.shape[1])
    bins = checks.count(bins, "bins", least=1)
    checks.same_images(probabilities=given, labels=labels)
    confidence, right = given.max(1), given.argmax(1) == labels
    # A bin holds its upper end, not its lower one.
    place = np.clip(np.ceil(confidence * bins) - 1, 0, bins - 1).astype(int)
    gaps = np.bincount(place, right - confidence, minlength=bins)
    return float(np.abs(gaps).sum() / len(labels))


def margins(probabilities: np.ndarray) -> np.ndarray:
    """How much the likeliest class leads the next, 0 to 1, float64 (N,).

    ``probabilities`` are (N, classes); InputError where they are none.
    """
    second, first = np.sort(_probabilities(probabilities), axis=1)[:, -2:].T
    return first - second


def shares_by_margin(
    margins: np.ndarray, changed: np.ndarray, groups: int = 5
) -> np.ndarray:
    """Shares of images that changed, float64 (groups,), least margin first.

    The images, ordered by ``margins`` (N,), make groups of equal size, or
    of sizes that differ by one. ``changed`` is (N,) of booleans, or shares.
    InputError where the lengths differ, or images are fewer than groups.
    """
    margins = checks.sample(margins, "margins", groups)
    changed = np.asarray(changed, dtype=float)
    checks.same_images(margins=margins, changed=changed)
    order = np.argsort(margins, kind="stable")
    parts = np.array_split(changed[order], groups)
    return np.array([part.mean() for part in parts])


def _probabilities(given: np.ndarray) -> np.ndarray:
    """The same as float64 (N, classes), each row with a sum of 1."""
    array = checks.plain(given, "probabilities")
    if array.ndim != 2 or not len(array) or array.shape[1] < 2:
        raise checks.InputError(
            f"probabilities: shape {array.shape}: expected (N, classes), "
            "with an image and two classes or more"
        )
    array = array.astype(float)
    sums = array.sum(1)
    odd = ~((array >= 0).all(1) & (np.abs(sums - 1) < 1e-3))
    if odd.any():
        first = int(np.argmax(odd))
        raise checks.InputError(
            f"probabilities: image {first} (from 0) has {array[first]}: "
            "expected numbers from 0 to 1 with the sum 1; of logits take the "
            "softmax"
        )
    return array
