"""Matrix products, tables whose rows are looked up or added, and attention.

Attention is softmax(Q K^T / sqrt(d)) V, alone or with the projections around it.
"""

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from sequela.cost.formula import Formula, Symbol
from sequela.cost.layers.calls import ModuleCall, OperatorCall, OperatorRule, values
from sequela.cost.work import NONE, Cost, Layer, Part, Work, dot, mean, samples, softmax

if TYPE_CHECKING:
    from torch import Tensor


def dense(
    rows: int, n: int, m: int, *, bias: bool, weighted: bool = True, kind: str = "Linear"
) -> Layer:
    """Count y = x W + b: (rows, n) times (n, m), where W holds weights or another activation."""
    inputs, outputs = Symbol("n", n, "inputs"), Symbol("m", m, "outputs")
    product = dot(inputs, bias=bias, weighted=weighted)
    work = Work.single("dot product", product, samples(rows), outputs, unit="output")
    return Layer(kind, work, (inputs + int(bias)) * outputs if weighted else NONE)


def matrix_product(first: str, second: str, bias: str | None = None) -> OperatorRule:
    """Return a rule for (..., rows, n) times (..., n, m), plus a bias or another matrix."""

    def rule(op: OperatorCall) -> list[Layer] | None:
        if not op.arguments.get("alpha", 1) == op.arguments.get("beta", 1) == 1:
            return None
        n = op[first].shape[-1]
        m = op[second].shape[-1] if op[second].dim() > 1 else 1
        rows, weighted = op.output.numel() // m, op.weighted(first, second)
        has_bias = bias is not None
        return [dense(rows, n, m, bias=has_bias, weighted=weighted, kind="matrix product")]

    return rule


def multi_hot_linear(call: ModuleCall) -> dict[str, Layer]:
    """Count a Linear on vectors of zeros and ones, which can be computed as a sum of rows.

    There is a vector for each real visit. The sum adds all but the first row of each vector, then
    the bias.
    """
    linear = call.module
    ones = np.diff(values(call.arguments["offsets"]))
    rows, size = len(ones), (linear.n_codes, linear.out_features)
    # A dense product would multiply by every zero; adding the rows of the ones gives the same.
    c = Symbol("c", int(ones.sum()), "codes in all rows")
    v = Symbol("v", int((ones > 0).sum()), "rows with a code")
    parts = (
        Part("sum of the codes' rows", Cost(c - v)),
        Part("bias", Cost(Symbol("R", rows, "rows"))),
    )
    slots = rows if call.padded_rows is None else call.padded_rows
    layer = replace(
        dense(rows, *size, bias=True, kind="Linear (multi-hot)"),
        padded=dense(slots, *size, bias=True).work,
        embedding_sum=Work(parts, Symbol("m", linear.out_features, "outputs"), "output"),
    )
    return {"": layer}


def embedding(n: int, m: int, kind: str = "Embedding") -> Layer:
    """Count a table of ``n`` rows of width ``m``; a look-up needs no arithmetic."""
    table = Symbol("n", n, "rows of the table") * Symbol("m", m, "width of a row")
    return Layer(kind, Work(()), table)


def embedding_bag(op: OperatorCall) -> list[Layer] | None:
    """Count the sum (mode 0), mean (1) or maximum (2) of each bag of rows of a table."""
    if op["per_sample_weights"] is not None or op["padding_idx"] >= 0 or op["include_last_offset"]:
        return None
    sizes = np.diff([*values(op["offsets"]), op["indices"].numel()])
    mode = ("sum", "mean", "max")[op["mode"]]
    # The first row of a bag is copied, the others are added to it or compared with it.
    c = Symbol("c", int(sizes.sum()), "rows in all bags")
    b = Symbol("b", int((sizes > 0).sum()), "bags with a row")
    parts = [Part("comparisons" if mode == "max" else "additions", Cost(c - b))]
    if mode == "mean":
        parts.append(Part("divisions", Cost(b)))
    rows, width = op["weight"].shape
    work = Work(tuple(parts), Symbol("m", width, "width of a row"), "column")
    return [replace(embedding(rows, width, "EmbeddingBag"), work=work)]


def attention(out: "Tensor", query: "Tensor", key: "Tensor", mask: "Tensor | None") -> Layer:
    """Count ``scaled_dot_product_attention``: (..., L, d), (..., S, d) -> (..., L, d_v).

    There are no weights. A mask of numbers is added to the scores; one of booleans costs nothing.
    """
    rows = out.numel() // (out.shape[-2] * out.shape[-1])
    times = samples(rows) * Symbol("L", query.shape[-2], "queries")
    parts = _of_query(key.shape[-2], query.shape[-1], out.shape[-1], _added((mask,)))
    return Layer("Attention", Work(parts, times, "query"))


def _added(masks: "tuple[Tensor | None, ...]") -> int:
    return sum(mask is not None and mask.is_floating_point() for mask in masks)


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


def multihead_attention(call: ModuleCall) -> dict[str, Layer] | None:
    """Count projections of queries, keys and values, attention in each head, and the last one.

    Queries are (L, N, E), keys and values (S, N, ...), or batch first, or without N. The mean of
    the heads' weights is counted where it is returned.
    """
    layer, arguments = call.module, call.arguments
    if layer.bias_k is not None or layer.add_zero_attn:
        return None
    query, bias = arguments["query"], layer.in_proj_bias is not None
    e, heads = layer.embed_dim, layer.num_heads
    step = 1 if layer.batch_first and query.dim() == 3 else 0  # noqa: PLR2004
    queries, keys = query.shape[step], arguments["key"].shape[step]
    width = Symbol("E", e, "width")
    of_keys = width if layer.kdim == e else Symbol("E_k", layer.kdim, "width of the keys")
    of_values = width if layer.vdim == e else Symbol("E_v", layer.vdim, "width of the values")
    per_query, per_key = Symbol("L", queries, "queries"), Symbol("S", keys, "keys")
    h = Symbol("h", heads, "heads")

    def project(n: Formula, times: Formula) -> Cost:
        return dot(n, bias=bias).times(width).times(times)

    # Each head attends with its share of the width; the projections are of all heads at once.
    masks = _added((arguments.get("key_padding_mask"), arguments.get("attn_mask")))
    head = _of_query(keys, e // heads, e // heads, masks)
    parts = [
        Part("queries", project(width, per_query)),
        Part("keys", project(of_keys, per_key)),
        Part("values", project(of_values, per_key)),
        *(Part(part.label, part.cost.times(h * per_query)) for part in head),
        Part("projection of the heads", project(width, per_query)),
    ]
    if arguments.get("need_weights", True) and arguments.get("average_attn_weights", True):
        parts.append(Part("mean of the heads' weights", mean(h).times(per_query * per_key)))
    weights = width * (width + of_keys + of_values + width + 4 * int(bias))
    rows = samples(query.numel() // (queries * e))
    return {"": Layer("MultiheadAttention", Work(tuple(parts), rows, "sample"), weights)}
