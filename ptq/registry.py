"""Things by name, each in a row, or in a module imported when asked for."""

import difflib
from collections.abc import Mapping
from importlib import import_module
from types import ModuleType
from typing import Any


class UnknownNameError(ValueError):
    """A name that a table does not have; tells those that it has."""


class Registry(dict[str, Any]):
    """A table from names to rows, or to modules, all of one ``kind``."""

    def __init__(self, kind: str, rows: Mapping[str, Any]):
        super().__init__(rows)
        self.kind = kind

    def row(self, name: str) -> Any:
        """The row of a name; raises UnknownNameError with those known."""
        if not isinstance(name, str) or name not in self:
            near = difflib.get_close_matches(str(name), self, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise UnknownNameError(
                f"{self.kind}={name!r}: expected one of "
                f"{', '.join(self)}{hint}"
            )
        return self[name]

    def module(self, name: str) -> ModuleType:
        """The module of a name; raises UnknownNameError with those known."""
        return import_module(self.row(name))
