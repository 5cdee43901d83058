"""Matrix products, and tables whose rows are looked up or added."""

from dataclasses import replace
from typing import Literal

from sequela.cost.layers.work import Layer, Part, Work, samples, single
from sequela.cost.rules.formula import Symbol
from sequela.cost.rules.primitives import NONE, Cost, dot


def dense(
    rows: int, n: int, m: int, *, bias: bool, weighted: bool = True, kind: str = "Linear"
) -> Layer:
    """Count y = x W + b: (rows, n) times (n, m), where W holds weights or another activation."""
    inputs, outputs = Symbol("n", n, "inputs"), Symbol("m", m, "outputs")
    product = dot(inputs, bias=bias, weighted=weighted)
    work = single("dot product", product, samples(rows), outputs, unit="output")
    return Layer(kind, work, (inputs + int(bias)) * outputs if weighted else NONE)


def multi_hot(rows: int, n: int, m: int, ones: int, filled: int, slots: int) -> Layer:
    """Count a Linear on vectors of zeros and ones, which can be computed as a sum of rows.

    There are ``rows`` vectors, one for each real visit, padded to ``slots``. They have ``ones``
    ones together, and ``filled`` vectors have one at least. The sum adds all but the first row of
    each vector, then the bias.
    """
    c, v = Symbol("c", ones, "codes in all rows"), Symbol("v", filled, "rows with a code")
    parts = (
        Part("sum of the codes' rows", Cost(c - v)),
        Part("bias", Cost(Symbol("R", rows, "rows"))),
    )
    return replace(
        dense(rows, n, m, bias=True, kind="Linear (multi-hot)"),
        padded=dense(slots, n, m, bias=True).work,
        embedding_sum=Work(parts, Symbol("m", m, "outputs"), "output"),
    )


def embedding(n: int, m: int, kind: str = "Embedding") -> Layer:
    """Count a table of ``n`` rows of width ``m``; a look-up needs no arithmetic."""
    table = Symbol("n", n, "rows of the table") * Symbol("m", m, "width of a row")
    return Layer(kind, Work(()), table)


def embedding_bag(
    n: int, m: int, items: int, filled: int, mode: Literal["sum", "mean", "max"]
) -> Layer:
    """Count the sum, mean or maximum of each bag of rows of a table.

    ``items`` rows are looked up for all bags together, ``filled`` bags hold one or more.
    """
    c, b = Symbol("c", items, "rows in all bags"), Symbol("b", filled, "bags with a row")
    parts = [Part("comparisons" if mode == "max" else "additions", Cost(c - b))]
    parts += [Part("divisions", Cost(b))] * (mode == "mean")
    work = Work(tuple(parts), Symbol("m", m, "width of a row"), "column")
    return replace(embedding(n, m, "EmbeddingBag"), work=work)
