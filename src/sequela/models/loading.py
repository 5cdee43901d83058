"""Classes loaded from a file or a package, and modules built within a limit of memory."""

import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import prod
from pathlib import Path
from types import ModuleType
from typing import Any, TypeGuard

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from sequela.errors import ModelError, SequelaError, unknown_name

# A user's code may fail in any way; ending the program is a failure too.
FAILURES = (Exception, SystemExit)
MOST_BYTES = 1_000_000_000  # the limit for all tensors made while a module is built
MOST_TENSORS = 10_000  # the limit for the number of these tensors: a layer has a few


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
    sys.modules[name] = module  # dataclasses of the file look their module up here
    sys.path.insert(0, str(path.parent.resolve()))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.pop(0)  # the folder of one file must not hide other modules
    return module


def _named(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


class _Bounded(TorchDispatchMode):
    """A torch mode that adds up new tensors, and stops before there are too many."""

    def __init__(self, name: str, most: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._name, self._most = name, most
        self._bytes = self._tensors = 0

    def __torch_dispatch__(
        self,
        func: Callable[..., object],
        types: Sequence[type],
        args: tuple[object, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> object:
        options = dict(kwargs or {})
        if options.get("device", torch.device("cpu")) != torch.device("meta"):  # it takes no memory
            # torch.empty(2, 3) passes a size as a list; torch.arange(5) only a number.
            size = next((value for value in args if _is_size(value)), [args[0]] if args else [])
            if not any(isinstance(value, torch.Tensor) for value in args) and _is_size(size):
                self._add(prod(size), options.get("dtype") or torch.get_default_dtype())
        return func(*args, **options)

    def _add(self, numbers: int, dtype: torch.dtype) -> None:
        self._bytes += numbers * dtype.itemsize
        self._tensors += 1
        if self._bytes > self._most or self._tensors > MOST_TENSORS:
            raise ModelError(
                f"{self._name} would hold more than {self._most / 1e6:,.0f} MB, or more than "
                f"{MOST_TENSORS:,} tensors: expected a smaller model; choose smaller sizes"
            )


def _is_size(value: object) -> TypeGuard[Sequence[int]]:
    return isinstance(value, (list, tuple, torch.Size)) and all(
        isinstance(number, int) and number >= 0 for number in value
    )


@contextmanager
def bounded(name: str, most: int = MOST_BYTES) -> Iterator[None]:
    """Limit the bytes of the tensors made within.

    Example:
        >>> with bounded("a network", 1000):
        ...     torch.nn.Linear(10**6, 10**6)
        Traceback (most recent call last):
        ...
        sequela.errors.ModelError: a network would hold more than 0 MB...
    """
    with _Bounded(name, most):
        yield
