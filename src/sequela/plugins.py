"""Plugins, which are loaded once, before the first command or run.

A package names a module in its entry points, group ``sequela.plugins``; a file or module is named
in the variable SEQUELA_PLUGINS. Either calls the functions of ``sequela.register`` when imported.
"""

import importlib
import os
import sys
from dataclasses import dataclass
from importlib.metadata import entry_points
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

from sequela.errors import PluginError
from sequela.registry import Registry


@dataclass(frozen=True)
class Command:
    """A command of ``sequela``.

    Attributes:
        name: Its name on the command line.
        place: Its function, or its cyclopts app: ``package.module:NAME``, imported when it is
            called.
        summary: The first sentence of its help, for the list of commands.
    """

    name: str
    place: str
    summary: str


COMMANDS = Registry("command", Command)
"""The commands by name, in the order of the help."""
GROUP = "sequela.plugins"
VARIABLE = "SEQUELA_PLUGINS"
_loaded: list[PluginError | None] = []
"""The state: empty before loading, then the failure, if any."""


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
    sys.modules[name] = module
    spec.loader.exec_module(module)
