"""Conventions for counting operations: three objects, each documenting its rules."""

from dataclasses import dataclass
from typing import Protocol

from sequela.cost import report_2019
from sequela.cost.formula import Formula, Number
from sequela.cost.layers.work import Layer, Part, Work
from sequela.cost.primitives import Cost
from sequela.errors import unknown_name


class Convention(Protocol):
    """A convention for counting parameters and operations."""

    @property
    def name(self) -> str:
        """The name on the command line."""

    def parameters(self, layer: Layer) -> Formula:
        """Return the number of parameters of a layer."""

    def work(self, layer: Layer) -> Work:
        """Return the work of one call of a layer."""


@dataclass(frozen=True, slots=True)
class Exact:
    """Every arithmetic operation in the network's formulas.

    - One addition, subtraction, multiplication, division, negation, exponential, logarithm, square
      root, other elementary function or comparison is 1 operation.
    - Functions as they are written: sigmoid 4, tanh 6, ReLU 1, softmax of n values 3·n - 1.
    - A dot product of n is n multiplications and n - 1 additions; a bias is one addition more.
    - Max-pooling of k values is k - 1 comparisons.
    - Dropout is the identity at inference. Views, look-ups, and integers (indices, lengths, masks)
      cost nothing; matrix products of integers count.
    - The zeros that pad a convolution are multiplied like other values; a pooling skips them.
    """

    name: str = "exact"

    def parameters(self, layer: Layer) -> Formula:
        """Return all parameters."""
        return layer.parameters()

    def work(self, layer: Layer) -> Work:
        """Return all operations."""
        return layer.work()


@dataclass(frozen=True, slots=True)
class MACs:
    """Multiplications by a weight only.

    - Each product of an activation and a weight is 1; its addition is not counted.
    - A value computed from weights and constants alone, such as a joined or masked weight, is a
      weight.
    - The scale of a normalisation is a weight. A bias, a statistic and another activation are not,
      so the products of queries, keys and values in attention are not counted.
    """

    name: str = "macs"

    def parameters(self, layer: Layer) -> Formula:
        """Return all parameters."""
        return layer.parameters()

    def work(self, layer: Layer) -> Work:
        """Return the multiplications by a weight."""
        exact = layer.work()
        parts = tuple(
            Part(part.label, Cost(part.cost.macs, part.cost.macs))
            for part in exact.parts
            if part.cost.macs != Number(0)
        )
        return Work(parts, exact.times, exact.unit)


@dataclass(frozen=True, slots=True)
class Report2019:
    """The rules of the report of 2019, its omissions included.

    - Linear, sigmoid, tanh and ReLU as in ``exact``.
    - A convolution of K taps is 2·K - 1 operations for each output and K parameters for each output
      channel: its bias and all input channels but one are left out.
    - Max-pooling is 1 operation for each window, whatever its size.
    - A GRU has one bias vector for each gate, where PyTorch has two.
    - Other layers have no rule in the report; the exact rule is used.
    """

    name: str = "report-2019"

    def parameters(self, layer: Layer) -> Formula:
        """Return the report's count of parameters."""
        return report_2019.parameters(layer)

    def work(self, layer: Layer) -> Work:
        """Return the report's count of operations."""
        return report_2019.work(layer)


CONVENTIONS: dict[str, Convention] = {
    convention.name: convention for convention in (Exact(), MACs(), Report2019())
}


def convention(name: str) -> Convention:
    """Return the convention with a name.

    Raises:
        UnknownNameError: If there is none.
    """
    if name not in CONVENTIONS:
        raise unknown_name("convention", name, CONVENTIONS)
    return CONVENTIONS[name]
