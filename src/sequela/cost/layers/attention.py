"""Attention: softmax(Q K^T / sqrt(d)) V, alone and with the projections around it."""

from sequela.cost.layers.work import Layer, Part, Work, samples
from sequela.cost.rules.formula import Formula, Symbol
from sequela.cost.rules.primitives import Cost, dot, mean, softmax


def attention(
    rows: int,
    queries: int,
    keys: int,
    d: int,
    d_v: int,
    masks: int = 0,
    weighted: tuple[bool, bool] = (False, False),
) -> Layer:
    """Count scaled dot-product attention of ``rows`` samples (heads included) without weights.

    Queries and keys have width ``d``, values ``d_v``. ``masks`` are masks of numbers that are added
    to the scores; one of booleans costs nothing. ``weighted`` is whether the scores, and the
    weighted sum, are products with weights: queries or keys are learnt, or values.
    """
    times = samples(rows) * Symbol("L", queries, "queries")
    return Layer("Attention", Work(_of_query(keys, d, d_v, masks, weighted), times, "query"))


def _of_query(
    keys: int,
    width: int,
    value_width: int,
    masks: int,
    weighted: tuple[bool, bool] = (False, False),
) -> tuple[Part, ...]:
    """Count scores, their scaling, mask, softmax, and sum of values for one query of one head."""
    s, d = Symbol("S", keys, "keys"), Symbol("d", width, "width of a key")
    d_v = Symbol("d_v", value_width, "width of a value")
    return (
        Part("scores", dot(d, bias=False, weighted=weighted[0]).times(s)),
        Part("division by sqrt(d)", Cost(s)),
        *[Part("mask", Cost(masks * s))] * bool(masks),
        Part("softmax", softmax(s)),
        Part("sum of the values", dot(s, bias=False, weighted=weighted[1]).times(d_v)),
    )


def multihead_attention(
    *,
    rows: int,
    queries: int,
    keys: int,
    added: int,
    bias_kv: bool,
    e: int,
    e_k: int,
    e_v: int,
    heads: int,
    bias: bool,
    masks: int,
    averaged: bool,
) -> Layer:
    """Count projections of queries, keys and values, attention in each head, and the last one.

    ``e`` is the width of the layer, ``e_k`` and ``e_v`` those of keys and values as passed. The
    layer adds ``added`` keys itself (``bias_kv``, which is learnt, a zero). If ``averaged``, the
    mean of the heads' weights is returned.
    """
    width = Symbol("E", e, "width")
    of_keys = Symbol("E_k", e_k, "width of the keys") if e_k != e else width
    of_values = Symbol("E_v", e_v, "width of the values") if e_v != e else width
    asked, h = Symbol("L", queries, "queries"), Symbol("h", heads, "heads")
    every = Symbol("S", keys + added, "keys")
    passed = Symbol("S_0", keys, "keys as given") if added else every

    def project(n: Formula, times: Formula) -> Cost:
        return dot(n, bias=bias).times(width).times(times)

    head = _of_query(keys + added, e // heads, e // heads, masks)
    parts = [
        Part("queries", project(width, asked)),
        Part("keys", project(of_keys, passed)),
        Part("values", project(of_values, passed)),
        *(Part(part.label, part.cost.times(h * asked)) for part in head),
        Part("projection of the heads", project(width, asked)),
    ]
    if averaged:
        parts.append(Part("mean of the heads' weights", mean(h).times(asked * every)))
    weights = width * (width + of_keys + of_values + width + 4 * int(bias))
    work = Work(tuple(parts), samples(rows), "sample")
    return Layer("MultiheadAttention", work, weights + 2 * int(bias_kv) * width)
