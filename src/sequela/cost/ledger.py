"""The account of a model as a record: layers, free and unknown operations, the report's count.

A record is made by ``counting.py``, and written to and read from ``cost.json`` by ``record.py``.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Self

from pydantic import ConfigDict, with_config

from sequela.cost.formula import Formula, add, formula
from sequela.cost.work import NONE, Omission, Work


@dataclass(frozen=True, slots=True)
class Amount:
    """An amount of work: operations by the convention, and multiplications by a weight."""

    operations: int
    macs: int

    def __add__(self, amount: "Amount") -> "Amount":
        return Amount(self.operations + amount.operations, self.macs + amount.macs)


def amount(works: Iterable[Work]) -> Amount:
    """Return the amount of several works, all calls of each."""
    return together(
        Amount(work.calls * work.operations.value, work.calls * work.macs.value) for work in works
    )


def together(amounts: Iterable[Amount]) -> Amount:
    """Add amounts."""
    return sum(amounts, Amount(0, 0))


@dataclass(frozen=True, slots=True)
class Shared:
    """A parameter that an earlier layer holds and counts, and the number of its values."""

    parameter: str
    owner: str
    size: int


@dataclass(frozen=True, slots=True)
class LayerCost:
    """The cost of one layer, or of one operation between layers.

    Its formula of parameters has those of ``shared`` too. ``work`` is that
    on the input as passed, ``useful`` its part on real steps, ``executed`` the work on a
    padded batch, and ``embedding_sum`` that for the same result as a sum of rows, for a Linear on a
    multi-hot input.
    """

    name: str
    kind: str
    parameter_formula: Formula
    work: tuple[Work, ...]
    useful: Amount
    executed: Amount
    embedding_sum: tuple[Work, ...]
    shared: tuple[Shared, ...]

    @classmethod
    def once(
        cls, name: str, kind: str, work: Work, parameters: Formula = NONE, times: int = 1
    ) -> Self:
        """Return the cost of a layer that is called once, or so many times."""
        works = (replace(work, calls=times),)
        executed = amount(works)
        return cls(name, kind, parameters, works, executed, executed, (), ())

    @property
    def parameters(self) -> int:
        """The parameters, without those that an earlier layer counts."""
        return self.parameter_formula.value - sum(part.size for part in self.shared)

    @property
    def total(self) -> Formula:
        """The operations of all calls as one formula."""
        return add(formula(work.calls) * work.operations for work in self.work)

    @property
    def operations(self) -> int:
        """The operations in the account's convention, on the input as passed."""
        return self.total.value

    @property
    def macs(self) -> int:
        """The multiplications by a weight."""
        return amount(self.work).macs

    @property
    def formula(self) -> str:
        """The operations as a formula of symbols."""
        return self.total.text()

    @property
    def substitution(self) -> str:
        """The formula with its values."""
        return self.total.substitution()


@dataclass(frozen=True, slots=True)
class Noted:
    """An operation that adds nothing, its place, and the number of its occurrences."""

    operation: str
    place: str
    times: int

    def __str__(self) -> str:
        often = f" ({self.times} times)" if self.times > 1 else ""
        return f"{self.operation}{f' in {self.place}' if self.place else ''}{often}"


@dataclass(frozen=True, slots=True)
class ReportPart:
    """The count of the report of 2019 for one layer."""

    layer: str
    parameters: int
    operations: int


@dataclass(frozen=True, slots=True)
class ReportCount:
    """The count of the report of 2019 by layer; with its omissions it is the exact count."""

    parts: tuple[ReportPart, ...]
    omissions: tuple[Omission, ...]

    @property
    def parameters(self) -> int:
        """The report's parameters."""
        return sum(part.parameters for part in self.parts)

    @property
    def operations(self) -> int:
        """The report's operations."""
        return sum(part.operations for part in self.parts)

    @property
    def missing_parameters(self) -> int:
        """Parameters that the report leaves out."""
        return sum(omission.parameters.value for omission in self.omissions)

    @property
    def missing_operations(self) -> int:
        """Operations that the report leaves out."""
        return sum(omission.operations.value for omission in self.omissions)


# pydantic checks a formula by its class alone: record.py reads it.
@with_config(ConfigDict(arbitrary_types_allowed=True))
@dataclass(frozen=True, slots=True)
class Account:
    """The account of a model's cost.

    The layers are in the order of their first call, parameters without a call last. Training
    changes so many ``trainable`` parameters. Some operations are known to be ``free``; if some are
    ``unknown``, as they have no rule, the account is a lower bound. There may be a count of the
    report of 2019.
    """

    model: str
    convention: str
    inputs: str
    layers: tuple[LayerCost, ...]
    trainable: int
    free: tuple[Noted, ...]
    unknown: tuple[Noted, ...]
    report: ReportCount | None

    @property
    def parameters(self) -> int:
        """All parameters, each once."""
        return sum(layer.parameters for layer in self.layers)

    @property
    def operations(self) -> int:
        """The operations in the account's convention, on the input as passed."""
        return sum(layer.operations for layer in self.layers)

    @property
    def macs(self) -> int:
        """The multiplications by a weight."""
        return sum(layer.macs for layer in self.layers)

    @property
    def useful(self) -> Amount:
        """The work on real steps, by the formulas."""
        return together(layer.useful for layer in self.layers)

    @property
    def executed(self) -> Amount:
        """The work on a batch padded to its longest sequence, by the formulas."""
        return together(layer.executed for layer in self.layers)

    @property
    def embedding_sum(self) -> Amount | None:
        """The work on real steps, multi-hot inputs as sums of rows; none without such inputs."""
        if not any(layer.embedding_sum for layer in self.layers):
            return None
        # Layers with one way of computing count in both totals, which can then be compared.
        return together(
            amount(layer.embedding_sum) if layer.embedding_sum else layer.useful
            for layer in self.layers
        )

    @property
    def amounts(self) -> dict[str, Amount]:
        """The work on real steps, with the padding, and with a multi-hot input as a sum of rows."""
        amounts = {"useful": self.useful, "executed": self.executed}
        sums = self.embedding_sum
        return amounts if sums is None else {**amounts, "embedding_sum": sums}

    @property
    def lower_bound(self) -> bool:
        """True if an operation is not counted because it has no rule."""
        return bool(self.unknown)
