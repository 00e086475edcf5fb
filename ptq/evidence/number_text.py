"""Numbers, words and intervals as a sentence has them."""

import math
import re

import numpy as np

from ptq.evidence.intervals import Interval

# Characters that Markdown reads as markup; points and commas are not.
MARKUP = re.compile(r"[\\`*_{}\[\]<>#|~$]")
SMALLEST_P = 1e-300

Plain = int | float | str | list


def plain(value) -> Plain:
    """A number, word or interval as JSON keeps it.

    An ``Interval`` becomes ``[value, low, high]``; what is not finite, for
    which JSON has no number, its word. Raises TypeError for anything else.
    """
    if isinstance(value, Interval):
        return [plain(v) for v in (value.value, value.low, value.high)]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, int | float | str):
        return value
    raise TypeError(
        f"{value!r}: expected a number, a word or an Interval to note"
    )


def written(value: Plain, form: str) -> str:
    """A plain value in a format of Python's; an interval with its bounds.

    ``written([1.472, 1.434, 1.502], ".2f")`` is "1.47 (1.43–1.50)".
    Raises ValueError where the format does not fit the value.
    """
    if isinstance(value, list):
        return format(Interval(*map(float, value)), form)
    if isinstance(value, str) and not form.endswith("s"):
        value = float(value)
    return format(value, form)


def short(value: Plain) -> str:
    """A plain value with three significant digits; words as they are."""
    if isinstance(value, list):
        middle, low, high = map(short, value)
        return f"{middle} ({low} to {high})"
    if isinstance(value, bool | str):
        return str(value)
    whole = isinstance(value, int) or abs(value) >= 100
    return f"{value:,.0f}" if whole else f"{value:.3g}"


def probability(p: float, form: str = ".3g") -> str:
    """A p-value in a format of numbers; the smallest floats are no numbers.

    "0.0123"; "below 1e-300".
    """
    return f"{p:{form}}" if p > SMALLEST_P else f"below {SMALLEST_P:g}"


def threads(count: int) -> str:
    """A number of threads in words: "one thread", "2 threads"."""
    return "one thread" if count == 1 else f"{count} threads"


def escaped(text: str) -> str:
    """Text that Markdown shows as it is."""
    return MARKUP.sub(r"\\\g<0>", text)
