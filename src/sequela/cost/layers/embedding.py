"""Embeddings: a look-up is free, reducing a bag of rows is not."""

from dataclasses import dataclass
from typing import Literal

from sequela.cost.formula import Formula, Symbol
from sequela.cost.layers.work import Part, Work
from sequela.cost.primitives import Cost


@dataclass(frozen=True, slots=True)
class Embedding:
    """Rows of a table.

    Attributes:
        n: Rows of the table.
        m: Width of a row.
        kind: Name of the layer.
    """

    n: int
    m: int
    kind: str = "Embedding"

    def parameters(self) -> Formula:
        """Count the table."""
        return Symbol("n", self.n, "rows of the table") * Symbol("m", self.m, "width of a row")

    def work(self) -> Work:
        """Return zero: a look-up needs no arithmetic."""
        return Work(())


@dataclass(frozen=True, slots=True)
class EmbeddingBag:
    """Sum, mean or maximum of each bag of rows.

    Attributes:
        n: Rows of the table.
        m: Width of a row.
        items: Rows looked up, all bags together.
        filled: Bags that hold at least one row.
        mode: The reduction of a bag.
        scaled: Whether each row is multiplied by its own weight first.
    """

    n: int
    m: int
    items: int
    filled: int
    mode: Literal["sum", "mean", "max"]
    scaled: bool
    kind: str = "EmbeddingBag"

    def parameters(self) -> Formula:
        """Count the table."""
        return Embedding(self.n, self.m).parameters()

    def work(self) -> Work:
        """Count additions or comparisons of all but each bag's first row; a mean is divided."""
        c = Symbol("c", self.items, "rows in all bags")
        b = Symbol("b", self.filled, "bags with a row")
        parts = [Part("comparisons" if self.mode == "max" else "additions", Cost(c - b))]
        if self.scaled:
            parts.insert(0, Part("times the rows' own weights", Cost(c, c)))
        if self.mode == "mean":
            parts.append(Part("divisions", Cost(b)))
        return Work(tuple(parts), Symbol("m", self.m, "width of a row"), "column")
