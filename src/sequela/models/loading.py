"""Classes loaded from a file or a package, and modules built from them."""

import importlib
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import nn

from sequela.errors import ModelError, SequelaError, unknown_name
from sequela.models.bounded import bounded

# A user's code may fail in any way; ending the program is a failure too.
FAILURES = (Exception, SystemExit)


def built(name: str, build: Callable[[], object], remedy: str = "") -> nn.Module:
    """Return the module that ``build`` makes, without changing torch's random state.

    ``remedy`` is the way to change its arguments, for an error.
    """
    try:
        with torch.random.fork_rng(devices=[]), bounded(name):
            model = build()
    except SequelaError:
        raise
    except FAILURES as error:
        hint = f". {remedy}" if remedy else ""
        raise ModelError(f"{name} cannot be made: {_named(error)}{hint}") from error
    if not isinstance(model, nn.Module):
        raise ModelError(f"{name} is a {type(model).__name__}, not a torch.nn.Module")
    return model


def attribute(where: str) -> Any:
    """Import the object of ``FILE.py:CLASS`` or ``package.module:CLASS``, usually a class."""
    source, _, name = where.rpartition(":")
    if not source or not name:
        raise ModelError(f"'{where}' names no class: write FILE.py:CLASS or package.module:CLASS")
    path = Path(source) if source.endswith(".py") else None
    if path and not path.is_file():
        raise ModelError(f"no file {path}")
    try:
        module = _file(path) if path else importlib.import_module(source)
    except FAILURES as error:
        raise ModelError(f"{path or source} cannot be imported: {_named(error)}") from error
    if not hasattr(module, name):
        raise unknown_name(f"class of {source}", name, _classes(module))
    return getattr(module, name)


def _classes(module: ModuleType) -> list[str]:
    return [
        name
        for name, value in vars(module).items()
        if isinstance(value, type) and issubclass(value, nn.Module)
    ]


def _file(path: Path) -> ModuleType:
    name = f"_loaded_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ModelError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    sys.path.insert(0, str(path.parent.resolve()))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.pop(0)
    return module


def _named(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
