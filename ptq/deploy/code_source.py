"""A function of a reader's own code, named ``package.module:name``.

Whatever goes wrong in that code ends in one sentence with its line.
"""

import hashlib
import importlib
import importlib.util
import sys
import traceback
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from ptq.evidence.checks import InputError
from ptq.graph import checks as graph_checks


def found(spec: str) -> tuple[Callable, ModuleType]:
    """The function or class that ``spec`` names, and its module.

    ``spec`` is "package.module:name" or "path/to/file.py:name". The module
    is imported: its code runs. Raises InputError where there is none.
    """
    place, _, name = spec.rpartition(":")
    if not place or not name.isidentifier():
        raise InputError(
            f"{spec}: expected package.module:name or path/to/file.py:name, "
            "as in net.py:make"
        )
    module = _module(spec, place)
    made = getattr(module, name, None)
    if not callable(made):
        raise InputError(
            f"{spec}: {place} has no function or class {name}; it has "
            f"{', '.join(_offered(module)) or 'none'}"
        )
    return made, module


def called(spec: str, function: Callable):
    """What ``function`` returns when it is called without arguments.

    Raises InputError, with the line at fault, where it cannot be called so
    or raises anything.
    """
    if needed := graph_checks.needed_arguments(function):
        raise InputError(
            f"{spec} needs arguments ({', '.join(needed)}): expected a "
            "function without, which sets them"
        )
    with _told(spec, "calling it"):
        return function()


def _module(spec: str, place: str) -> ModuleType:
    if not place.endswith(".py"):
        with _told(spec, "importing it"):
            return importlib.import_module(place)
    path = Path(place).resolve()
    if not path.is_file():
        raise InputError(f"{spec}: there is no file {place}")
    # A name of its own, as another folder's file may be called alike.
    name = f"{path.stem}_{hashlib.sha256(bytes(path)).hexdigest()[:8]}"
    description = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(description)
    sys.modules[name] = module
    with _told(spec, "importing it"), _beside(path.parent):
        description.loader.exec_module(module)
    return module


@contextmanager
def _beside(folder: Path):
    """Let code import what lies in its own folder."""
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))


@contextmanager
def _told(spec: str, doing: str):
    try:
        yield
    except (Exception, SystemExit) as error:
        raise InputError(
            f"{spec}: {doing} ended in {type(error).__name__}: "
            f"{graph_checks.first_line(error)}{_place(error)}"
        ) from error


def _place(error: BaseException) -> str:
    """The last line of the reader's own code that an error passed."""
    if isinstance(error, SyntaxError) and error.filename:
        return f" ({Path(error.filename).name}:{error.lineno})"
    own = str(Path(__file__))
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename != own
        and "importlib" not in frame.filename
        and "site-packages" not in frame.filename
    ]
    if not frames:
        return ""
    return f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})"


def _offered(module: ModuleType) -> list[str]:
    return sorted(
        name
        for name, value in vars(module).items()
        if getattr(value, "__module__", None) == module.__name__
        and callable(value)
    )
