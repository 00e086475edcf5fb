"""Things by name, each in a module that is imported when asked for."""

from importlib import import_module
from types import ModuleType


class UnknownNameError(ValueError):
    """A name that a table does not have; tells those that it has."""


class Registry(dict[str, str]):
    """A table from names to modules, all of one ``kind``."""

    def __init__(self, kind: str, modules: dict[str, str]):
        super().__init__(modules)
        self.kind = kind

    def module(self, name: str) -> ModuleType:
        """The module of a name; raises UnknownNameError with those known."""
        if name not in self:
            raise UnknownNameError(
                f"{self.kind}={name!r}: expected one of {', '.join(self)}"
            )
        return import_module(self[name])
