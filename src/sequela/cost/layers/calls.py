"""Calls of modules and operators, from which rules read the sizes of a layer."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sequela.cost.work import Layer
from sequela.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class ModuleCall:
    """One call of a module: its arguments by name, and the rows of a padded batch of visits."""

    module: Any
    arguments: Mapping[str, Any]
    padded_rows: int | None


@dataclass(frozen=True, slots=True)
class OperatorCall:
    """One call of an operator, without namespace, overload and the mark of an in-place operation.

    Arguments are by name, defaults included; ``weights`` returns whether a tensor holds weights.
    """

    name: str
    arguments: Mapping[str, Any]
    result: object
    weights: "Callable[[Tensor], bool]"

    def __getitem__(self, name: str) -> Any:
        return self.arguments[name]

    @property
    def output(self) -> "Tensor":
        """The result, or the first of several."""
        return self.results()[0]

    def results(self) -> "list[Tensor]":
        """Return all tensors of the result."""
        return _tensors([self.result])

    def tensors(self) -> "list[Tensor]":
        """Return all tensors of the arguments, including those in lists."""
        return _tensors(self.arguments.values())

    def has_tensor(self, name: str) -> bool:
        """Return whether an argument is a tensor, rather than a number or missing."""
        return bool(_tensors([self.arguments.get(name)]))

    def holds_weights(self, name: str) -> bool:
        """Return whether an argument holds weights."""
        return self.has_tensor(name) and self.weights(self.arguments[name])

    def weighted(self, *names: str) -> bool:
        """Return whether one of the arguments holds weights, and another does not."""
        are_weights = [self.holds_weights(name) for name in names]
        return any(are_weights) and not all(are_weights)


def _tensors(values: Iterable[object]) -> "list[Tensor]":
    from torch import Tensor  # baseline models are counted without torch

    tensors: list[Tensor] = []
    for value in values:
        several = value if isinstance(value, list | tuple) else [value]
        tensors += [tensor for tensor in several if isinstance(tensor, Tensor)]
    return tensors


# The rows by their suffix, or None where the rule does not support this form of the module. Two
# rows have the parameters whose names end with their suffix, one row all.
ModuleRule = Callable[[ModuleCall], dict[str, Layer] | None]
# The layers of a call, or None where the rule does not support this form of it.
OperatorRule = Callable[[OperatorCall], list[Layer] | None]


def values(offsets: "Tensor") -> list[int]:
    """Return the numbers of a tensor of offsets; refuse one that has only a shape."""
    if offsets.is_meta:
        raise ModelError(
            "how many rows a bag adds up depends on the values of its offsets, which are unknown:"
            " give the real ones as an integer tensor"
        )
    numbers: list[int] = offsets.tolist()
    return numbers
