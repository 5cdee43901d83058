"""A limit on the size of modules, checked before memory is allocated."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import prod
from typing import Any, TypeGuard

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from sequela.errors import ModelError

MOST_BYTES = 1_000_000_000
"""The limit for all tensors made while a module is built."""
MOST_TENSORS = 10_000
"""The limit for the number of these tensors: a layer has a few."""


class _Bounded(TorchDispatchMode):
    """A torch mode that adds up new tensors, and stops before there are too many."""

    def __init__(self, name: str, most: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._name, self._most = name, most
        self._bytes = self._tensors = 0

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        options = dict(kwargs or {})
        if options.get("device", torch.device("cpu")) != torch.device("meta"):
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
