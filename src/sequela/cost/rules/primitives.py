"""The costs of the smallest pieces of a network, and the only place that defines them.

One operation is one addition, subtraction, multiplication, division, negation, exponential,
logarithm, square root, error function, sine, cosine, absolute value, rounding or comparison. A
function is counted as its formula is written, not as a numerical library evaluates it.
"""

from dataclasses import dataclass

from sequela.cost.rules.formula import Formula, Number, formula

NONE = Number(0)


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of a piece of work: operations, and multiplications by a weight among them."""

    operations: Formula
    macs: Formula = NONE

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(self.operations + other.operations, self.macs + other.macs)

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
        return each(self.operations)


SIGMOID = Primitive("sigmoid", 4, "1 / (1 + e^-x): negate, exponential, add, divide")
TANH = Primitive(
    "tanh", 6, "(e^x - e^-x) / (e^x + e^-x): exponential, negate and exponential, three to combine"
)
RELU = Primitive("relu", 1, "max(x, 0): one comparison")


def each(operations: int) -> Cost:
    """Return the cost of so many single operations, none of them by a weight."""
    return Cost(Number(operations))


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
