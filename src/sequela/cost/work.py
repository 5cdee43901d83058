"""The work of a layer: parts that are done once, their repetitions, and conventions for counting.

The costs of the smallest pieces of a network are defined here and nowhere else. One operation is
one addition, subtraction, multiplication, division, negation, exponential, logarithm, square root,
error function, sine, cosine, absolute value, rounding or comparison. A function is counted as its
formula is written, not as a numerical library evaluates it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from sequela.cost.formula import Formula, Number, Symbol, add, formula, multiply
from sequela.errors import unknown_name

NONE = Number(0)
ONCE = Number(1)


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of a piece of work: operations, and multiplications by a weight among them (MACs).

    A value computed from weights and constants alone, such as a joined or masked weight, and the
    scale of a normalisation are weights. A bias, a statistic and another activation are not, so the
    products of queries, keys and values in attention are not MACs.
    """

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


Convention = Callable[[Layer], Layer]
"""A function from a layer to the same layer with the parameters and the work to count."""


def exact(layer: Layer) -> Layer:
    """Count every arithmetic operation in the network's formulas.

    - One addition, subtraction, multiplication, division, negation, exponential, logarithm, square
      root, other elementary function or comparison is 1 operation.
    - Functions as they are written: sigmoid 4, tanh 6, ReLU 1, softmax of n values 3·n - 1.
    - A dot product of n is n multiplications and n - 1 additions; a bias is one addition more.
    - Max-pooling of k values is k - 1 comparisons.
    - Dropout is the identity at inference. Views, look-ups, and integers (indices, lengths, masks)
      cost nothing; matrix products of integers count.
    - The zeros that pad a convolution are multiplied like other values; a pooling skips them.
    """
    return layer


def report_2019(layer: Layer) -> Layer:
    """Count by the rules of the report of 2019, its omissions included.

    Source: Yichao Zhang, *PyTorch RNN: Mortality Prediction*, March 26, 2019, sections 1.2 b, 1.3 b
    and 1.4 b.

    - Linear, sigmoid, tanh and ReLU as in ``exact``.
    - A convolution of K taps is 2·K - 1 operations for each output and K parameters for each output
      channel: its bias and all input channels but one are left out.
    - Max-pooling is 1 operation for each window, whatever its size.
    - A GRU has one bias vector for each gate, where PyTorch has two.
    - Other layers have no rule in the report; the exact rule is used.
    """
    return layer.report or layer


CONVENTIONS: dict[str, Convention] = {"exact": exact, "report-2019": report_2019}


def convention_of(name: str) -> Convention:
    """Return the convention with a name; raise an UnknownNameError if there is none."""
    if name not in CONVENTIONS:
        raise unknown_name("convention", name, CONVENTIONS)
    return CONVENTIONS[name]
