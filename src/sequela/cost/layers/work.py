"""The work of a layer: parts that are done once, and how often they are repeated."""

from dataclasses import dataclass
from typing import Protocol

from sequela.cost.formula import Formula, Number, Symbol, add, formula, multiply
from sequela.cost.primitives import Cost

ONCE = Number(1)


@dataclass(frozen=True, slots=True)
class Part:
    """One line of a derivation.

    Attributes:
        label: What is computed.
        cost: What it costs once.
    """

    label: str
    cost: Cost


@dataclass(frozen=True, slots=True)
class Work:
    """Parts, all repeated equally often.

    Attributes:
        parts: What is done once.
        times: How often.
        unit: What "once" is: a step, an output...
    """

    parts: tuple[Part, ...]
    times: Formula = ONCE
    unit: str = ""

    @property
    def operations(self) -> Formula:
        """All operations of all repetitions."""
        return self.times * add(part.cost.operations for part in self.parts)

    @property
    def macs(self) -> Formula:
        """All multiplications by a weight of all repetitions."""
        return self.times * add(part.cost.macs for part in self.parts)


def single(label: str, cost: Cost, *times: Formula | int, unit: str = "") -> Work:
    """Work of one part, repeated."""
    return Work((Part(label, cost),), multiply(map(formula, times)), unit)


def samples(count: int) -> Formula:
    """How many samples a batch holds; a single one leaves no trace in a formula."""
    return Number(1) if count == 1 else Symbol("N", count, "samples or rows")


class Layer(Protocol):
    """The facts of one call of a layer."""

    @property
    def kind(self) -> str:
        """What the layer is called."""

    def parameters(self) -> Formula:
        """How many parameters it holds."""

    def work(self) -> Work:
        """What one call costs, exactly."""
