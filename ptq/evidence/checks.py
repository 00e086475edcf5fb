"""Checks of the input of statistics: a refusal is one sentence.

Every check returns what it was given in one plain form, or raises
``InputError``, which names the input, what was expected and what to do.
"""

import numpy as np

# More classes than any classifier has: a larger number is no class.
MOST_CLASSES = 10_000_000
# From here on, float16 cannot tell two neighbouring class numbers apart.
HALF_EXACT = 2048
# The largest count or seed: numpy and torch take no larger one everywhere.
LARGEST = 2**63 - 1


class InputError(ValueError):
    """An input is refused; says which, what was expected, what to do."""


def classes(given, name: str, count: int = 0) -> np.ndarray:
    """Class numbers (predictions or labels) as int64 (N,), N > 0.

    ``given`` holds integers of any type, or floats that are integers, of
    shape (N,) or (N, 1), which is flattened: there is one number an image
    in either. With ``count``, the numbers must be below it. ``name`` is
    what a message calls it. Raises InputError, naming the first image that
    has no class number.
    """
    array = plain(given, name)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise InputError(
            f"{name}: shape {array.shape}: expected one class number an "
            "image, shape (N,); of rows of outputs or one-hot rows take "
            "argmax(1)"
        )
    if not len(array):
        raise InputError(f"{name}: empty: expected at least one image")
    if array.dtype.kind not in "iuf":
        raise InputError(
            f"{name}: {_kind(array)}: expected class numbers 0, 1, 2, ...; "
            "give each class its number first"
        )
    if array.dtype == np.float16:
        array = array.astype(np.float64)
        expected = f"float16 is exact below {HALF_EXACT}; save as integers"
        _refuse_first(array, array >= HALF_EXACT, name, expected)
    odd = ~(
        (array >= 0) & (array < MOST_CLASSES) & (np.floor(array) == array)
    )
    _refuse_first(array, odd, name, "expected class numbers 0, 1, 2, ...")
    if count:
        expected = f"expected 0 to {count - 1}, for there are {count} classes"
        _refuse_first(array, array >= count, name, expected)
    return array.astype(np.int64)


def same_images(**given: np.ndarray) -> None:
    """Refuse arrays, named as the arguments, whose lengths differ.

    Each has any dtype and shape (N, ...), an image a row. Raises InputError,
    with every length, where one N is another.
    """
    sizes = [f"{len(array)} in {name}" for name, array in given.items()]
    if len({len(array) for array in given.values()}) > 1:
        raise InputError(
            f"numbers of images differ: {', '.join(sizes)}: expected the "
            "same images in the same order"
        )


def class_names(given, name: str, count: int = 0) -> list[str]:
    """Names of the classes, one text each, in the order of their numbers.

    Raises InputError, calling them ``name``, where they are one text, one
    stands there twice, or there are other than ``count`` (unless 0).
    """
    if isinstance(given, str):
        raise InputError(f"{name}={given!r}: expected a list of names")
    found = [str(one) for one in given]
    if len(found) != len(set(found)):
        twice = max(found, key=found.count)
        raise InputError(
            f"{name}: {twice!r} is there {found.count(twice)} times: "
            "expected another name for each class"
        )
    if count and len(found) != count:
        raise InputError(
            f"{name}: {len(found)} names for {count} classes "
            f"({', '.join(found[:4])} ...): expected a name for each output "
            "of the network, in their order, also where images lack a class"
        )
    return found


def known_labels(labels: np.ndarray, *predictions: np.ndarray) -> None:
    """Refuse labels beyond the largest class that is ever predicted.

    All are class numbers, int64 (N,), N > 0. Where the number of classes is
    not told, such a label is one that counts from 1, or a mark such as 255,
    and no prediction could be right on it. Raises InputError, naming the
    first.
    """
    largest = max(int(p.max()) for p in predictions)
    _refuse_first(
        labels,
        labels > largest,
        "labels",
        f"no network ever predicts more than {largest}. Do the labels count "
        "from 1, or mark images without a class? If it is a class of "
        "theirs, tell the number of classes",
    )


def sample(given, name: str, least: int) -> np.ndarray:
    """Finite numbers as float64 (n,), ``least`` of them or more.

    ``given`` holds integers or floats in any unit. Raises InputError where
    its shape is not (n,), values are too few, or one is no finite number.
    """
    array = plain(given, name)
    if array.ndim != 1 or array.dtype.kind not in "iuf":
        raise InputError(
            f"{name}: {_kind(array)} of shape {array.shape}: expected "
            "numbers of shape (n,)"
        )
    if len(array) < least:
        raise InputError(
            f"{name}: {len(array)} values: expected at least {least}"
        )
    array = array.astype(float)
    odd = ~np.isfinite(array)
    _refuse_first(array, odd, name, "expected finite numbers", "value")
    return array


def p_values(given, name: str = "p_values") -> np.ndarray:
    """p-values as float64 (n,), each from 0 to 1; there may be none."""
    array = sample(given, name, 0) if len(np.atleast_1d(given)) else None
    if array is None:
        return np.empty(0)
    odd = (array < 0) | (array > 1)
    _refuse_first(array, odd, name, "expected 0 to 1", "value")
    return array


def count(value, name: str, least: int = 0) -> int:
    """A whole number of images, or a seed, ``least`` or more.

    Raises InputError where ``value`` is no number, or none of these.
    """
    number = _number(value, name)
    if number % 1 or not least <= number <= LARGEST:
        most = f" to {LARGEST}" if number > LARGEST else ""
        raise InputError(
            f"{name}={value}: expected a whole number from {least}{most}"
        )
    return int(number)


def between(value, name: str, low: float = 0, high: float = 1) -> float:
    """A number above ``low`` and below ``high``, in the unit of both.

    Raises InputError where ``value`` is no number, or none between them.
    """
    number = _number(value, name)
    if not low < number < high:
        raise InputError(
            f"{name}={value}: expected a number between {low} and {high}"
        )
    return number


def columns(frame, names, what: str) -> None:
    """Refuse a table that lacks a column, or has a hole in one.

    Raises InputError, naming the column, and where there are no rows.
    """
    for name in names:
        if name not in frame:
            raise InputError(
                f"{what}: no column {name!r}; expected {', '.join(names)}, "
                f"found {', '.join(map(str, frame)) or 'none'}"
            )
        if frame[name].isna().any():
            raise InputError(f"{what}: column {name!r} has empty cells")
    if not len(frame):
        raise InputError(f"{what}: no rows")


def _number(value, name: str) -> float:
    if type(value) is int:  # numpy has none above 64 bits
        return value
    array = np.asarray(value)
    if array.ndim or array.dtype.kind not in "iuf":
        raise InputError(f"{name}={value!r}: expected a number")
    return array.item()


def plain(given, name: str) -> np.ndarray:
    """Any array, tensor or list as a numpy array of the same shape.

    The dtype is that of what is given; a number alone becomes a scalar array.
    Raises InputError where numpy makes no array of it, as of uneven rows,
    and where values are masked, which an array without masks would show.
    """
    if np.ma.is_masked(given):
        raise InputError(
            f"{name}: {np.ma.count_masked(given):,} values are masked: leave "
            "these images out of every array"
        )
    try:
        return np.asarray(given)
    except (ValueError, TypeError, RuntimeError) as error:
        raise InputError(f"{name}: no array of numbers: {error}") from error


def _kind(array: np.ndarray) -> str:
    names = {"U": "text", "S": "text", "b": "True and False", "O": "objects"}
    return names.get(array.dtype.kind, str(array.dtype))


def _refuse_first(
    array: np.ndarray, odd: np.ndarray, name: str, expected: str, unit="image"
) -> None:
    if odd.any():
        first = int(np.argmax(odd))
        raise InputError(
            f"{name}: {unit} {first} (from 0) has {array[first]}: {expected}"
        )
