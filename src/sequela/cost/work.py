"""The work of a layer: parts that are done once, and their number of repetitions.

The costs of the smallest pieces of a network are defined here and nowhere else. One operation is
one addition, subtraction, multiplication, division, negation, exponential, logarithm, square root,
error function, sine, cosine, absolute value, rounding or comparison. A function is counted as its
formula is written, not as a numerical library evaluates it.
"""

from dataclasses import dataclass
from typing import Self

from sequela.cost.rules.formula import Formula, Number, Symbol, add, formula, multiply

NONE = Number(0)
ONCE = Number(1)


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of a piece of work: operations, and multiplications by a weight among them."""

    operations: Formula
    macs: Formula = NONE

    @classmethod
    def of(cls, operations: int) -> Self:
        """Return the cost of so many single operations, none of them by a weight."""
        return cls(Number(operations))

    def __add__(self, cost: "Cost") -> "Cost":
        return Cost(self.operations + cost.operations, self.macs + cost.macs)

    def times(self, count: Formula | int) -> "Cost":
        """Return the cost of the same piece ``count`` times."""
        factor = formula(count)
        return Cost(factor * self.operations, factor * self.macs)


@dataclass(frozen=True, slots=True)
class Primitive:
    """A function of one number: its operations, and how they are counted."""

    name: str
    operations: int
    how: str

    @property
    def cost(self) -> Cost:
        """The cost of one evaluation."""
        return Cost.of(self.operations)


SIGMOID = Primitive("sigmoid", 4, "1 / (1 + e^-x): negate, exponential, add, divide")
TANH = Primitive(
    "tanh", 6, "(e^x - e^-x) / (e^x + e^-x): exponential, negate and exponential, three to combine"
)
RELU = Primitive("relu", 1, "max(x, 0): one comparison")


def dot(n: Formula, *, bias: bool, weighted: bool = True) -> Cost:
    """Count a dot product of ``n`` pairs: n multiplications, n - 1 additions, 1 for a bias.

    Example:
        >>> dot(Number(5), bias=False).operations.value
        9
    """
    products = 2 * n
    return Cost(products if bias else products - 1, n if weighted else Number(0))


def mean(n: Formula) -> Cost:
    """Count the mean of ``n`` numbers: n - 1 additions and one division."""
    return Cost(n)


def softmax(n: Formula) -> Cost:
    """Count e^x_i / sum of e^x: n exponentials, n - 1 additions, n divisions.

    The subtraction of the largest, which guards the exponentials against overflow, is not part of
    the formula and is not counted; it would add 2·n - 1.
    """
    return Cost(3 * n - 1)


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

    @classmethod
    def single(cls, label: str, cost: Cost, *times: Formula | int, unit: str = "") -> Self:
        """Return work of one part, repeated."""
        return cls((Part(label, cost),), multiply(map(formula, times)), unit)

    @property
    def operations(self) -> Formula:
        """All operations of all repetitions of one call."""
        return self.times * add(part.cost.operations for part in self.parts)

    @property
    def macs(self) -> Formula:
        """All multiplications by a weight of all repetitions of one call."""
        return self.times * add(part.cost.macs for part in self.parts)


def samples(count: int) -> Formula:
    """Return the number of samples of a batch; a single one is left out of formulas."""
    return Number(1) if count == 1 else Symbol("N", count, "samples or rows")


@dataclass(frozen=True, slots=True)
class Omission:
    """A rule that the report of 2019 leaves out in one layer: ``exact`` less the report."""

    layer: str
    reason: str
    parameters: Formula
    operations: Formula


@dataclass(frozen=True, slots=True)
class Layer:
    """The facts of one call of a layer.

    Attributes:
        report: The layer as the report of 2019 counts it, where that differs.
        omissions: The rules that the layer leaves out, if it is one of the report.
        padded: The work on every row of a padded batch, where that differs.
        embedding_sum: The work for the same result as a sum of rows, for a multi-hot input.
    """

    kind: str
    work: Work
    parameters: Formula = NONE
    report: "Layer | None" = None
    omissions: tuple[Omission, ...] = ()
    padded: Work | None = None
    embedding_sum: Work | None = None
