"""Outputs of networks, from any tool, as predictions that can be compared."""

from dataclasses import dataclass

import numpy as np

from ptq.evidence import checks, paired_tests
from ptq.evidence.checks import InputError

# One file in a thousand with shuffled labels passes this test; a useful
# network is far above chance.
CHANCE = 0.001


@dataclass(frozen=True)
class Outputs:
    """Predictions of one network, int64 (N,), and facts about its outputs.

    ``classes`` is the number of its outputs, 0 where only predictions are
    known; ``ties`` counts the images whose largest output is shared.
    """

    predictions: np.ndarray
    classes: int = 0
    ties: int = 0


def every(networks: dict, labels, classes: int) -> dict[str, Outputs]:
    """The ``outputs`` of all networks, by name.

    ``networks`` holds class numbers (N,) or outputs (N, C), of any type;
    ``labels`` are (N,) or None; ``classes`` is their number, 0 if not known.
    Raises InputError as ``outputs`` does, and where axes are exchanged.
    """
    _check_axes(networks, labels)
    return {n: outputs(given, n, classes) for n, given in networks.items()}


def _check_axes(networks: dict, labels) -> None:
    """Refuse outputs whose two axes are exchanged, before they are read.

    Labels, or class numbers, tell N; else it is the most rows.
    """
    shapes = {
        name: np.shape(checks.plain(a, name)) for name, a in networks.items()
    }
    if labels is not None:
        shapes |= {"": np.shape(checks.plain(labels, "labels"))}
    sure = [s[0] for s in shapes.values() if len(s) == 1 or s[1:] == (1,)]
    outputs = {name: s for name, s in shapes.items() if len(s) == 2 and name}
    wanted = (
        sure[-1:] or [max((s[0] for s in outputs.values()), default=0)]
    )[0]
    for name, shape in outputs.items():
        if 1 < shape[0] != wanted == shape[1]:
            raise InputError(
                f"{name}: shape {shape}: expected one row an image, of "
                f"{wanted} images; transpose it"
            )


def outputs(given, name: str, classes: int = 0) -> Outputs:
    """Predictions from class numbers (N,), or from outputs (N, C), C > 1.

    Outputs are logits or probabilities of any number type; the largest
    decides, the first of equals. InputError, naming the first image, where
    there is NaN or plus infinity, and for other shapes and types.
    """
    array = checks.plain(given, name)
    if array.ndim != 2 or array.shape[1] == 1:
        if array.ndim > 2:
            raise InputError(
                f"{name}: shape {array.shape}: expected class numbers (N,) "
                "or one row of outputs an image, (N, C); reshape it"
            )
        _refuse_scores(array, name)
        return Outputs(checks.classes(array, name, classes))
    _check_rows(array, name, classes)
    shared = (array == array.max(1, keepdims=True)).sum(1) > 1
    return Outputs(array.argmax(1), array.shape[1], int(shared.sum()))


def _refuse_scores(array: np.ndarray, name: str) -> None:
    """Refuse one output an image, of a network that tells two classes."""
    if array.dtype.kind != "f" or not array.size:
        return
    odd = np.floor(array) != array
    if np.isfinite(array).all() and odd.any():
        first = int(np.argmax(odd))
        raise InputError(
            f"{name}: image {first} (from 0) has {array.flat[first]}: "
            "expected class numbers 0, 1, 2, ...; of one output an image, "
            "for two classes, make them by a threshold: 1 where a "
            "probability is above 0.5, or a logit above 0"
        )


def _check_rows(array: np.ndarray, name: str, classes: int) -> None:
    """Refuse rows of outputs of which no prediction can be made."""
    if array.dtype.kind not in "iuf" or not array.size:
        raise InputError(
            f"{name}: {array.dtype} of shape {array.shape}: expected a row "
            "of numbers an image, (N, C)"
        )
    if len(array) == 1:
        raise InputError(
            f"{name}: shape {array.shape}: expected more than one image; of "
            "class numbers, shape (N,)"
        )
    odd = (
        np.isnan(array)
        | (array == np.inf)
        | np.all(array == -np.inf, axis=1, keepdims=True)
    )
    if odd.any():
        image, output = np.argwhere(odd)[0]
        raise InputError(
            f"{name}: image {image} (from 0) has {array[image, output]} as "
            f"output {output}: no prediction can be made of it"
        )
    if classes and array.shape[1] != classes:
        raise InputError(
            f"{name}: {array.shape[1]} outputs an image: expected {classes}, "
            "one a class"
        )


def number_of_classes(made: dict[str, Outputs], classes: int) -> int:
    """As given, or as the outputs show; 0 where only predictions are known.

    InputError where two differ, or a prediction is beyond it.
    """
    counts = {n: one.classes for n, one in made.items() if one.classes}
    if len(set(counts.values())) > 1:
        told = ", ".join(f"{n} has {count}" for n, count in counts.items())
        raise InputError(
            f"numbers of outputs differ: {told}: expected the same classes "
            "in the same order; does one have a background class?"
        )
    for name, one in made.items():
        for other, count in {} if classes else counts.items():
            _check_below(one.predictions, name, count, other)
        checks.classes(one.predictions, name, classes)
    return classes or max(counts.values(), default=0)


def _check_below(predictions, name: str, count: int, other: str) -> None:
    """Refuse classes for which another network has no output."""
    if predictions.max() >= count:
        image = int(np.argmax(predictions >= count))
        raise InputError(
            f"{other} has {count} outputs an image, yet {name} predicts "
            f"class {predictions[image]} for image {image} (from 0): "
            f"expected an output a class; are {other}'s columns outputs, "
            f"and does {name} count its classes from 0?"
        )


def check_sizes(found: dict, truth) -> None:
    """Refuse different numbers of images.

    ``found`` holds predictions (N,); ``truth`` is the labels (N,) or None.
    Raises InputError, with the sizes, and a hint where they differ by one.
    """
    given = found if truth is None else {"labels": truth} | found
    sizes = [len(array) for array in given.values()]
    hint = ""
    if max(sizes) - min(sizes) == 1:
        hint = "; is the first row of one a header?"
    try:
        checks.same_images(**given)
    except InputError as error:
        raise InputError(f"{error}{hint}") from error


def check_labels(truth: np.ndarray, found: dict, classes: int) -> None:
    """Refuse labels (N,) that are no class of these networks."""
    if classes:
        checks.classes(truth, "labels", classes)
    else:
        checks.known_labels(truth, *found.values())


def check_knows(name: str, predictions: np.ndarray, truth) -> None:
    """Refuse a reference that is not shown to be right beyond chance.

    ``predictions`` and ``truth`` are class numbers, int64 (N,). Raises
    InputError where p of ``paired_tests.by_chance`` is ``CHANCE`` or more,
    and where the two are of other lengths.
    """
    if paired_tests.by_chance(predictions, truth) >= CHANCE:
        right = int((predictions == truth).sum())
        raise InputError(
            f"{name}: right on {right:,} of {len(truth):,} images, which is "
            "not shown to be more than chance, so nothing can be judged; are "
            "these the labels of these images, in this order, and do both "
            "count their classes alike?"
        )
