"""What a reader should know besides a result: warnings, caught as text."""

import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from ptq.evidence.checks import InputError
from ptq.graph import UnsupportedError

TORCH = str(Path(torch.__file__).parent)


@contextmanager
def collected(notes: Iterable[str] = ()) -> Iterator[Callable]:
    """Within it, warnings are kept; gives a function that lists them.

    The list begins with what was warned of until then, and ends with the
    ``notes``. A refusal (InputError, UnsupportedError) gets it, too, as its
    cause may be there. Torch's own warnings go their way.
    """

    def told() -> list[str]:
        warned = (str(one.message) for one in caught if _is_own(one))
        return list(dict.fromkeys([*warned, *notes]))

    notes = list(notes)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        try:
            yield told
        except (InputError, UnsupportedError) as error:
            if told():
                error.args = (
                    f"{error} (noticed before: {'; '.join(told())})",
                )
            raise
    for one in caught:
        if not _is_own(one):
            warnings.warn_explicit(
                one.message, one.category, one.filename, one.lineno
            )


def _is_own(warned: warnings.WarningMessage) -> bool:
    own = not warned.filename.startswith(TORCH)
    return own and issubclass(warned.category, UserWarning)
