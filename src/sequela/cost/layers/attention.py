"""Attention: softmax(Q K^T / sqrt(d)) V, alone and with the projections around it."""

from sequela.cost.layers.work import Layer, Part, Work, samples
from sequela.cost.rules.formula import Formula, Symbol
from sequela.cost.rules.primitives import Cost, dot, mean, softmax


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
    return (
        Part("scores", dot(d, bias=False, weighted=False).times(s)),
        Part("division by sqrt(d)", Cost(s)),
        *[Part("mask", Cost(masks * s))] * bool(masks),
        Part("softmax", softmax(s)),
        Part("sum of the values", dot(s, bias=False, weighted=False).times(d_v)),
    )


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
    asked, h = Symbol("L", queries, "queries"), Symbol("h", heads, "heads")
    every = Symbol("S", keys, "keys")

    def project(n: Formula, times: Formula) -> Cost:
        return dot(n, bias=bias).times(width).times(times)

    head = _of_query(keys, e // heads, e // heads, masks)
    parts = [
        Part("queries", project(width, asked)),
        Part("keys", project(of_keys, every)),
        Part("values", project(of_values, every)),
        *(Part(part.label, part.cost.times(h * asked)) for part in head),
        Part("projection of the heads", project(width, asked)),
    ]
    if averaged:
        parts.append(Part("mean of the heads' weights", mean(h).times(asked * every)))
    weights = width * (width + of_keys + of_values + width + 4 * int(bias))
    return Layer("MultiheadAttention", Work(tuple(parts), samples(rows), "sample"), weights)
