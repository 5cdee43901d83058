"""Numbers that tally every operation made with them, and the plain computations tests share."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache, reduce
from itertools import product
from operator import add
from typing import Any

import torch
from hypothesis import settings
from hypothesis import strategies as st
from torch import Tensor, nn

from sequela.cost import account
from sequela.cost.ledger import Account
from sequela.cost.network import count, registered

quick = settings(max_examples=12, deadline=None)
sizes = st.integers(1, 4)


@cache
def counted(name: str, convention: str = "exact") -> Account:
    """Count a network of the package as it is by default, once for all tests."""
    return count(registered(name), convention=convention)


class Made(nn.Module):
    """A module that computes what it is given, with the parts that it is given."""

    def __init__(self, compute: Callable[..., Any], **parts: Any) -> None:
        super().__init__()
        for name, part in parts.items():
            setattr(self, name, part)
        self.compute = compute

    def forward(self, *inputs: Any) -> Any:
        return self.compute(self, *inputs)


@dataclass
class Tally:
    operations: int = 0
    macs: int = 0


@dataclass(frozen=True)
class Number:
    value: float
    tally: Tally = field(repr=False)
    weight: bool = False

    def _new(self, value: float, *, mac: bool = False) -> "Number":
        self.tally.operations += 1
        self.tally.macs += mac
        return Number(value, self.tally)

    def __add__(self, other: "Number") -> "Number":
        return self._new(self.value + other.value)

    def __sub__(self, other: "Number") -> "Number":
        return self._new(self.value - other.value)

    def __rsub__(self, other: float) -> "Number":
        return self._new(other - self.value)

    def __mul__(self, other: "Number") -> "Number":
        return self._new(self.value * other.value, mac=self.weight or other.weight)

    def __truediv__(self, other: "Number | float") -> "Number":
        divisor = other.value if isinstance(other, Number) else other
        return self._new(self.value / divisor)

    def __neg__(self) -> "Number":
        return self._new(-self.value)

    def shifted(self, constant: float) -> "Number":
        return self._new(self.value + constant)

    def exp(self) -> "Number":
        return self._new(math.exp(self.value))

    def root(self) -> "Number":
        return self._new(math.sqrt(self.value))

    def larger(self, other: "Number | float") -> "Number":
        return self._new(max(self.value, other.value if isinstance(other, Number) else other))


Vector = list[Number]


class Plain:
    """Turns tensors into numbers of one tally, and computes with them."""

    def __init__(self) -> None:
        self.tally = Tally()

    def number(self, value: Any, *, weight: bool = False) -> Number:
        return Number(float(value), self.tally, weight)

    def numbers(self, tensor: Tensor | None, *, weight: bool = False) -> Any:
        def convert(values: Any) -> Any:
            if isinstance(values, list):
                return [convert(value) for value in values]
            return Number(values, self.tally, weight)

        return None if tensor is None else convert(tensor.detach().double().tolist())

    def zeros(self, n: int) -> Vector:
        return [self.number(0) for _ in range(n)]

    def weights(self, parameter: Tensor | None) -> Any:
        return self.numbers(parameter, weight=True)


def total(values: Sequence[Number]) -> Number:
    return reduce(add, values)


def largest(values: Sequence[Number]) -> Number:
    return reduce(Number.larger, values)


def dot(left: Vector, right: Vector, bias: Number | None = None) -> Number:
    product_ = total([a * b for a, b in zip(left, right, strict=True)])
    return product_ if bias is None else product_ + bias


def dense(matrix: list[Vector], x: Vector, bias: Vector | None) -> Vector:
    return [dot(row, x, None if bias is None else bias[i]) for i, row in enumerate(matrix)]


def sigmoid(x: Number) -> Number:
    return (-x).exp().shifted(1)._new(1 / (1 + math.exp(-x.value)))


def tanh(x: Number) -> Number:
    up, down = x.exp(), (-x).exp()
    return (up - down) / (up + down)


def check(model: nn.Module, inputs: Any, plain: Plain, result: Any, expected: Tensor) -> None:
    """The plain result is torch's, and its tally is the account's."""
    values = torch.tensor(flat(result), dtype=torch.float64)
    torch.testing.assert_close(values, expected.double().flatten(), rtol=1e-4, atol=1e-5)
    cost = account(model, inputs)
    assert cost.operations == plain.tally.operations
    assert cost.macs == plain.tally.macs
    assert cost.parameters == sum(p.numel() for p in model.parameters())
    assert cost.layers[0].parameter_formula.value == cost.layers[0].parameters or (
        len(cost.layers) > 1
    )


def flat(values: Any) -> list[float]:
    if isinstance(values, Number):
        return [values.value]
    return [number for value in values for number in flat(value)]


def indices(shape: Sequence[int]) -> list[tuple[int, ...]]:
    return list(product(*map(range, shape)))


def run(model: nn.Module, *inputs: Any) -> Any:
    with torch.no_grad():
        return model.eval()(*inputs)
