"""The work of a layer: parts that are done once, and their number of repetitions."""

from dataclasses import dataclass

from sequela.cost.rules.formula import Formula, Number, Symbol, add, formula, multiply
from sequela.cost.rules.primitives import NONE, Cost

ONCE = Number(1)


@dataclass(frozen=True, slots=True)
class Part:
    """One line of a derivation: a computation in words, and its cost once."""

    label: str
    cost: Cost


@dataclass(frozen=True, slots=True)
class Work:
    """The parts of a layer's work, done once, and all repeated equally often.

    ``unit`` is the meaning of "once": a step, an output... ``calls`` calls of the layer do the same
    work; formulas are of one call.
    """

    parts: tuple[Part, ...]
    times: Formula = ONCE
    unit: str = ""
    calls: int = 1

    @property
    def operations(self) -> Formula:
        """All operations of all repetitions of one call."""
        return self.times * add(part.cost.operations for part in self.parts)

    @property
    def macs(self) -> Formula:
        """All multiplications by a weight of all repetitions of one call."""
        return self.times * add(part.cost.macs for part in self.parts)


def single(label: str, cost: Cost, *times: Formula | int, unit: str = "") -> Work:
    """Return work of one part, repeated."""
    return Work((Part(label, cost),), multiply(map(formula, times)), unit)


def samples(count: int) -> Formula:
    """Return the number of samples of a batch; a single one is left out of formulas."""
    return Number(1) if count == 1 else Symbol("N", count, "samples or rows")


@dataclass(frozen=True, slots=True)
class Report:
    """The count of a layer by the report of 2019.

    ``omissions`` are what it leaves out: the reason, and the missing parameters and operations.
    """

    parameters: Formula
    work: Work
    omissions: tuple[tuple[str, Formula, Formula], ...] = ()


@dataclass(frozen=True, slots=True)
class Layer:
    """The facts of one call of a layer.

    Attributes:
        report: The count by the report of 2019, where it differs.
        padded: The work on every row of a padded batch, where that differs.
        embedding_sum: The work for the same result as a sum of rows, for a multi-hot input.
    """

    kind: str
    work: Work
    parameters: Formula = NONE
    report: Report | None = None
    padded: Work | None = None
    embedding_sum: Work | None = None
