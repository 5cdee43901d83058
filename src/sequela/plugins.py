"""Registries of things by name, and plugins, which add to them before the first command or run.

A package names a module in its entry points, group ``sequela.plugins``; a file or module is named
in the variable SEQUELA_PLUGINS. Either calls the functions of ``sequela.register`` when imported.
"""

import importlib
import os
import re
import sys
from collections.abc import Callable, Container
from dataclasses import dataclass
from importlib.metadata import entry_points
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import TypeVar

from sequela.errors import PluginError, SettingError, unknown_name

T = TypeVar("T")
_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


class Registry(dict[str, T]):
    """Things of one kind by name, in the order in which they were added.

    ``check`` raises an error for a new name or entry that does not fit.
    """

    def __init__(
        self, kind: str, entry_type: type[T], check: Callable[[str, T], None] | None = None
    ) -> None:
        super().__init__()
        self.kind, self.entry_type = kind, entry_type
        self.check = check or (lambda name, _: self.check_new(name))

    def add(self, entry: T, name: str = "") -> None:
        """Check and add an entry, by default under its own name."""
        if not isinstance(entry, self.entry_type):
            expected = f"{self.entry_type.__module__}.{self.entry_type.__name__}"
            raise SettingError(f"the {self.kind} is {entry!r}: expected a {expected}")
        name = name or getattr(entry, "name", "")
        self.check(name, entry)
        self[name] = entry

    def check_new(self, name: str, reserved: Container[str] = ()) -> None:
        """Raise a SettingError for a name that is taken, or invalid in a command, path or id."""
        if name in self or name in reserved:
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


@dataclass(frozen=True)
class Command:
    """A command of ``sequela``."""

    name: str  # on the command line
    place: str  # of its function, or cyclopts app, as ``package.module:NAME``; imported when called
    summary: str  # first sentence of its help, for the list of commands


COMMANDS = Registry("command", Command)  # commands by name, in the order of the help
GROUP = "sequela.plugins"
VARIABLE = "SEQUELA_PLUGINS"
_loaded: list[PluginError | None] = []  # state: empty before loading, then the failure, if any


def load_plugins() -> None:
    """Import installed plugins, then those in SEQUELA_PLUGINS; only once a process."""
    if _loaded:
        if _loaded[0]:
            raise _loaded[0]
        return
    _loaded.append(None)  # a plugin may look up a name in the package, which calls this again
    installed = [
        (f"the plugin {plugin.name}", plugin.value) for plugin in entry_points(group=GROUP)
    ]
    paths = filter(None, os.environ.get(VARIABLE, "").split(os.pathsep))
    in_variable = [(f"{VARIABLE}: {path}", path) for path in paths]
    for source, where in (*installed, *in_variable):
        try:
            _import(where)
        except Exception as error:
            failure = PluginError(
                f"{source} cannot be loaded ({type(error).__name__}: {error}): fix it, or remove it"
            )
            _loaded[0] = failure
            raise failure from error


def _import(where: str) -> None:
    """Import a file, a module, or the module of ``module:name``."""
    path = Path(where)
    if path.suffix != ".py":
        importlib.import_module(where.partition(":")[0])
        return
    name = f"_sequela_plugin_{path.stem}"
    spec = spec_from_file_location(name, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise FileNotFoundError(f"no file {path}")
    module = module_from_spec(spec)
    # Known before it runs, since a dataclass looks up its module there.
    sys.modules[name] = module
    spec.loader.exec_module(module)
