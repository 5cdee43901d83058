"""The sorting of rows."""

import math
from dataclasses import dataclass

from sequela.cost.formula import Formula, Number, Symbol
from sequela.cost.layers.work import Work, samples, single
from sequela.cost.primitives import Cost


@dataclass(frozen=True, slots=True)
class Sorting:
    """Rows of ``n`` values, each sorted by comparisons.

    The count is n·⌈log2(n)⌉, an upper bound of merge sort's (Knuth 1998, The art of computer
    programming, volume 3, section 5.2.4).

    Attributes:
        rows: Rows.
        n: Values of a row.
    """

    rows: int
    n: int

    @property
    def kind(self) -> str:
        """The name of the layer."""
        return "sort"

    def parameters(self) -> Formula:
        """Return zero."""
        return Number(0)

    def work(self) -> Work:
        """Count comparisons."""
        rounds = math.ceil(math.log2(self.n)) if self.n > 1 else 0
        how = f"{rounds} rounds of n comparisons"
        row = rounds * Symbol("n", self.n, "values of a row")
        return single(how, Cost(row), samples(self.rows), unit="row")
