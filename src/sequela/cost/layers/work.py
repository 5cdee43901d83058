"""The work of a layer: parts that are done once, and their number of repetitions."""

from dataclasses import dataclass
from typing import Protocol

from sequela.cost.formula import Formula, Number, Symbol, add, formula, multiply
from sequela.cost.primitives import Cost

ONCE = Number(1)


@dataclass(frozen=True, slots=True)
class Part:
    """One line of a derivation.

    Attributes:
        label: The computation in words.
        cost: Its cost once.
    """

    label: str
    cost: Cost


@dataclass(frozen=True, slots=True)
class Work:
    """The parts of a layer's work, all repeated equally often.

    Attributes:
        parts: The parts done once.
        times: The number of repetitions.
        unit: The meaning of "once": a step, an output...
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
    """Return work of one part, repeated."""
    return Work((Part(label, cost),), multiply(map(formula, times)), unit)


def samples(count: int) -> Formula:
    """Return the number of samples of a batch; a single one is left out of formulas."""
    return Number(1) if count == 1 else Symbol("N", count, "samples or rows")


class Layer(Protocol):
    """The facts of one call of a layer."""

    @property
    def kind(self) -> str:
        """The name of the layer."""

    def parameters(self) -> Formula:
        """Return the number of its parameters."""

    def work(self) -> Work:
        """Return the exact work of one call."""
