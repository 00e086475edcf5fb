"""The parameters that chapters share: types, limits, and clear refusals."""

import json
import math
import os
import re
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from types import ModuleType, NoneType
from typing import Any

from ptq import paths

DEFAULTS = {
    "seed": 42,
    "train_seed": 42,
    "epochs": 20,
    "calibration_images": 100,
    "test_images": 10_000,
    "rounds": 80,
    "threads": 1,
    "engine": "auto",
    "data_dir": "",
    "run_dir": "",
}


class ParameterError(ValueError):
    """A parameter's name, type or value is refused; says what is valid."""


def _between(low: int, high: int) -> Callable[[int], str | None]:
    def rule(value):
        inside = low <= value <= high
        return None if inside else f"expected {low} to {high}"

    return rule


# Not with this module, which many programs import without torch.
def _eager() -> ModuleType:
    from ptq.engines import eager_settings

    return eager_settings


def _engine(value: str) -> str | None:
    eager_settings = _eager()
    try:
        eager_settings.choose(value)
    except eager_settings.EngineError as error:
        return str(error).removeprefix(f"engine={value!r}: ")


# What a chapter's metadata may say that it needs: what of it is missing.
NEEDS: dict[str, Callable[[], str]] = {
    "eager kernels": lambda: _eager().missing()
}
# The largest seed leaves room for what is derived from it.
_SEED = _between(0, 2**31 - 1)
RULES: dict[str, Callable[[Any], str | None]] = {
    "seed": _SEED,
    "train_seed": _SEED,
    "epochs": _between(1, 1000),
    "calibration_images": _between(1, 45_000),
    "test_images": _between(1, 10_000),
    "rounds": _between(2, 100_000),
    "threads": lambda value: _between(1, os.cpu_count() or 1)(value),
    "engine": _engine,
}
# Another machine may have other engines and more threads.
LOCAL = ("threads", "engine")


def check(
    values: dict[str, Any], defaults: dict[str, Any], elsewhere: bool = False
) -> None:
    """Refuse unknown names, other types than the defaults', bad values.

    ``elsewhere`` permits values that only another machine can use. Raises
    ParameterError that lists every fault, one a line.
    """
    skipped = LOCAL if elsewhere else ()
    rules = {name: r for name, r in RULES.items() if name not in skipped}
    faults = [
        fault
        for name, value in values.items()
        if (fault := _fault(name, value, defaults, rules))
    ]
    if faults:
        raise ParameterError("\n".join(faults))


def missing(needs: Iterable[str]) -> str:
    """What this machine lacks of the ``NEEDS`` given; empty if nothing.

    Raises KeyError where a need is none of ``NEEDS``.
    """
    return "; ".join(told for need in needs if (told := NEEDS[need]()))


def check_names(given: Iterable[str], known: Collection[str]) -> None:
    """Raise ParameterError for names that are not ``known``, one a line."""
    known = list(known)
    if faults := [
        _unknown(name, known) for name in given if name not in known
    ]:
        raise ParameterError("\n".join(faults))


def _unknown(name: str, known: Iterable[str]) -> str:
    expected = ", ".join(known) or "one set by NAME = VALUE in its cell"
    return f"{name}: no such parameter; expected {expected}"


def _fault(
    name: str, value: Any, defaults: dict[str, Any], rules: dict
) -> str | None:
    if name not in defaults:
        return _unknown(name, defaults)
    default = defaults[name]
    expected = type(default)
    if type(value) is not expected:
        return (
            f"{name}={value!r}: expected {expected.__name__}, "
            f"as in {name}={default!r}{_how_to_write(value, default)}"
        )
    if not _is_text(value):
        return f"{name}={value!r}: expected text that UTF-8 can hold"
    if _is_finite(default) > _is_finite(value):
        number = "a finite number" if expected is float else "finite numbers"
        return f"{name}={value!r}: expected {number}"
    problem = rules[name](value) if name in rules else None
    return f"{name}={value!r}: {problem}" if problem else None


def _is_text(value: Any) -> bool:
    """Whether a file can hold all texts of a value: not a lone surrogate."""
    try:
        json.dumps(value, ensure_ascii=False, default=str).encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_finite(value: Any) -> bool:
    """Whether no number of a value, however deep, is NaN or infinity."""
    if isinstance(value, dict):
        value = [*value, *value.values()]
    if isinstance(value, list | tuple):
        return all(map(_is_finite, value))
    return not isinstance(value, float) or math.isfinite(value)


def _how_to_write(value: Any, default: Any) -> str:
    """How to write a value of another type as one of the default's type."""
    expected = type(default)
    if expected is bool:
        return "; write True or False"
    if expected is float and type(value) is int:
        return f"; write {value}.0"
    if expected is int and type(value) is float and value.is_integer():
        return f"; write {int(value)}"
    if expected is str and type(value) in (bool, int, float, NoneType):
        return f"; write '{json.dumps(value)}' in quotes"
    if expected is tuple:
        return f"; no file holds a tuple: set a list there, {[*default]!r}"
    if default is None:
        return "; None says no type: set a value there, as 0 or ''"
    return ""


def run_folder(settings: dict) -> Path:
    """Folder of a run: the one named, else one that its settings name.

    Only the default settings lead to ``runs/book``, so that no other
    experiment overwrites the results of the book.
    """
    if settings["run_dir"]:
        return paths.run_folder(settings["run_dir"])
    changed = [
        f"{name}{settings[name]}"
        for name, default in DEFAULTS.items()
        if settings[name] != default and name != "data_dir"
    ]
    # A chapter's own, such as a network, as a folder may be called.
    changed += [
        f"{name}-{re.sub(r'[^-.a-zA-Z0-9]+', '-', value)}"
        for name, value in settings.items()
        if name not in DEFAULTS and value and isinstance(value, str)
    ]
    default = paths.run_folder()
    return default.with_name("-".join(changed)) if changed else default
