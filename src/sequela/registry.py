"""The registry: things of one kind by name, those of the package and those that users add."""

import re
from collections.abc import Callable, Container
from typing import TypeVar

from sequela.errors import SettingError, unknown_name

T = TypeVar("T")
_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


class Registry(dict[str, T]):
    """Things of one kind by name, in the order in which they were added.

    ``check`` raises an error for a new name or entry that does not fit.
    """

    def __init__(
        self, kind: str, of: type[T], check: Callable[[str, T], None] | None = None
    ) -> None:
        super().__init__()
        self.kind, self.of = kind, of
        self.check = check or (lambda name, _: self.check_new(name))

    def add(self, entry: T, name: str = "") -> None:
        """Check and add an entry, by default under its own name."""
        if not isinstance(entry, self.of):
            expected = f"{self.of.__module__}.{self.of.__name__}"
            raise SettingError(f"the {self.kind} is {entry!r}: expected a {expected}")
        name = name or getattr(entry, "name", "")
        self.check(name, entry)
        self[name] = entry

    def check_new(self, name: str, taken: Container[str] = ()) -> None:
        """Raise a SettingError for a name that is taken, or invalid in a command, path or id."""
        if name in self or name in taken:
            raise SettingError(f"a {self.kind} '{name}' is registered already: choose another name")
        if not _NAME.fullmatch(name):
            raise SettingError(
                f"a {self.kind} cannot be named '{name}': expected lower-case letters, digits and "
                "hyphens"
            )

    def lookup(self, name: str) -> T:
        """Return the entry of a name; raise an UnknownNameError with the nearest one."""
        if name not in self:
            raise unknown_name(self.kind, name, self)
        return self[name]
