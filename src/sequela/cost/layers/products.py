"""Matrix products, tables whose rows are looked up or added, and attention.

Attention is softmax(Q K^T / sqrt(d)) V, alone or with the projections around it.
"""

from dataclasses import replace
from typing import Literal

from sequela.cost.rules.formula import Formula, Symbol
from sequela.cost.work import NONE, Cost, Layer, Part, Work, dot, mean, samples, softmax


def dense(
    rows: int, n: int, m: int, *, bias: bool, weighted: bool = True, kind: str = "Linear"
) -> Layer:
    """Count y = x W + b: (rows, n) times (n, m), where W holds weights or another activation."""
    inputs, outputs = Symbol("n", n, "inputs"), Symbol("m", m, "outputs")
    product = dot(inputs, bias=bias, weighted=weighted)
    work = Work.single("dot product", product, samples(rows), outputs, unit="output")
    return Layer(kind, work, (inputs + int(bias)) * outputs if weighted else NONE)


def multi_hot(rows: int, n: int, m: int, ones: int, filled: int, slots: int) -> Layer:
    """Count a Linear on vectors of zeros and ones, which can be computed as a sum of rows.

    There are ``rows`` vectors, one for each real visit, padded to ``slots``. They have ``ones``
    ones together, and ``filled`` vectors have one at least. The sum adds all but the first row of
    each vector, then the bias.
    """
    # A dense product would multiply by every zero; adding the rows of the ones gives the same.
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
    # The first row of a bag is copied, the others are added to it or compared with it.
    c, b = Symbol("c", items, "rows in all bags"), Symbol("b", filled, "bags with a row")
    parts = [Part("comparisons" if mode == "max" else "additions", Cost(c - b))]
    if mode == "mean":
        parts.append(Part("divisions", Cost(b)))
    work = Work(tuple(parts), Symbol("m", m, "width of a row"), "column")
    return replace(embedding(n, m, "EmbeddingBag"), work=work)


def attention(rows: int, queries: int, keys: int, d: int, d_v: int, masks: int = 0) -> Layer:
    """Count scaled dot-product attention of ``rows`` samples (heads included) without weights.

    Queries and keys have width ``d``, values ``d_v``. ``masks`` are masks of numbers that are added
    to the scores; one of booleans costs nothing.
    """
    times = samples(rows) * Symbol("L", queries, "queries")
    return Layer("Attention", Work(_of_query(keys, d, d_v, masks), times, "query"))


def _of_query(keys: int, width: int, value_width: int, masks: int) -> tuple[Part, ...]:
    """Count scores, their scaling, mask, softmax, and sum of values for one query of one head."""
    s, d = Symbol("S", keys, "keys"), Symbol("d", width, "width of a key")
    d_v = Symbol("d_v", value_width, "width of a value")
    parts = [
        Part("scores", dot(d, bias=False, weighted=False).times(s)),
        Part("division by sqrt(d)", Cost(s)),
    ]
    if masks:
        parts.append(Part("mask", Cost(masks * s)))
    values = Part("sum of the values", dot(s, bias=False, weighted=False).times(d_v))
    return (*parts, Part("softmax", softmax(s)), values)


def multihead_attention(
    *,
    rows: int,
    queries: int,
    keys: int,
    e: int,
    e_k: int,
    e_v: int,
    heads: int,
    bias: bool,
    masks: int,
    averaged: bool,
) -> Layer:
    """Count projections of queries, keys and values, attention in each head, and the last one.

    ``e`` is the width of the layer, ``e_k`` and ``e_v`` those of keys and values as passed. If
    ``averaged``, the mean of the heads' weights is returned.
    """
    width = Symbol("E", e, "width")
    of_keys = Symbol("E_k", e_k, "width of the keys") if e_k != e else width
    of_values = Symbol("E_v", e_v, "width of the values") if e_v != e else width
    per_query, h = Symbol("L", queries, "queries"), Symbol("h", heads, "heads")
    per_key = Symbol("S", keys, "keys")

    def project(n: Formula, times: Formula) -> Cost:
        return dot(n, bias=bias).times(width).times(times)

    # Each head attends with its share of the width; the projections are of all heads at once.
    head = _of_query(keys, e // heads, e // heads, masks)
    parts = [
        Part("queries", project(width, per_query)),
        Part("keys", project(of_keys, per_key)),
        Part("values", project(of_values, per_key)),
        *(Part(part.label, part.cost.times(h * per_query)) for part in head),
        Part("projection of the heads", project(width, per_query)),
    ]
    if averaged:
        parts.append(Part("mean of the heads' weights", mean(h).times(per_query * per_key)))
    weights = width * (width + of_keys + of_values + width + 4 * int(bias))
    return Layer("MultiheadAttention", Work(tuple(parts), samples(rows), "sample"), weights)
