"""The arrays of a file, or the columns of a table, by their names."""

from collections import Counter

from ptq.evidence.checks import InputError

MANY = 8


def line(error: Exception) -> str:
    """What an error says, on one line."""
    return " ".join(str(error).split())


def chosen(part: str, known: list[str], path: str, kind: str) -> str:
    """The part of a file that is asked of it, or its only one.

    ``known`` are the names of all; ``kind`` is what a message calls one.
    Raises InputError where there is none of this name, or no single one.
    """
    if not known:
        raise InputError(f"{path}: holds no {kind}")
    counts = Counter(known)
    for name in [part] if part else known:
        if counts[name] > 1:
            raise InputError(
                f"{path}: {counts[name]} {kind}s are named {name!r}: "
                "expected one"
            )
    if part in known:
        return part
    if not part and len(known) == 1:
        return known[0]
    if part:
        raise InputError(
            f"{path}: no {kind} {part!r}; it has {listed(known)}"
        )
    raise InputError(
        f"{path}: several {kind}s; expected {path}:NAME with one of "
        f"{listed(known)}"
    )


def listed(names: list[str]) -> str:
    """Names for a message, the first ones where they are many."""
    more = f", ... ({len(names)} in all)" if len(names) > MANY else ""
    return ", ".join(names[:MANY]) + more
