"""Normalisation, attention, embeddings and functions, number by number in plain Python."""

# ruff: noqa: FBT001 - hypothesis gives them by place

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.cost.tally import (
    Made,
    Plain,
    Vector,
    check,
    dense,
    dot,
    largest,
    quick,
    run,
    sigmoid,
    sizes,
    tanh,
    total,
)
from torch import nn


def normalised(values: Vector, eps: float) -> Vector:
    mean = total(values) / float(len(values))
    differences = [value - mean for value in values]
    deviation = (total([d * d for d in differences]) / float(len(values))).shifted(eps).root()
    return [d / deviation for d in differences]


def affine(values: Vector, scale: Vector | None, shift: Vector | None) -> Vector:
    if scale is not None:
        values = [v * g for v, g in zip(values, scale, strict=True)]
    if shift is not None:
        values = [v + b for v, b in zip(values, shift, strict=True)]
    return values


@quick
@given(sizes, sizes, st.sampled_from(["none", "scale", "both"]))
def test_layer_norm(rows: int, n: int, learnt: str) -> None:
    model = nn.LayerNorm(n, elementwise_affine=learnt != "none", bias=learnt == "both")
    x, plain = torch.randn(rows, n), Plain()
    scale, shift = plain.weights(model.weight), plain.numbers(model.bias)
    result = [affine(normalised(row, model.eps), scale, shift) for row in plain.numbers(x)]
    check(model, x, plain, result, run(model, x))


@quick
@given(sizes, st.integers(2, 4), st.booleans())
def test_rms_norm(rows: int, n: int, learnt: bool) -> None:
    model = nn.RMSNorm(n, eps=1e-6, elementwise_affine=learnt)
    x, plain = torch.randn(rows, n), Plain()
    scale, result = plain.weights(model.weight), []
    for row in plain.numbers(x):
        deviation = (total([v * v for v in row]) / float(n)).shifted(1e-6).root()
        result.append(affine([v / deviation for v in row], scale, None))
    check(model, x, plain, result, run(model, x))


@quick
@given(sizes, sizes, st.integers(1, 2), st.integers(2, 3), st.booleans())
def test_group_norm(rows: int, positions: int, groups: int, per_group: int, learnt: bool) -> None:
    channels = groups * per_group
    model = nn.GroupNorm(groups, channels, affine=learnt)
    x, plain = torch.randn(rows, channels, positions), Plain()
    result = []
    for sample in plain.numbers(x):
        for g in range(groups):
            members = range(g * per_group, (g + 1) * per_group)
            values = normalised([v for c in members for v in sample[c]], model.eps)
            if learnt:
                scale, shift = plain.weights(model.weight), plain.numbers(model.bias)
                of = [c for c in members for _ in range(positions)]
                values = affine(values, [scale[c] for c in of], [shift[c] for c in of])
            result.append(values)
    check(model, x, plain, result, run(model, x))


@quick
@given(st.integers(1, 3), sizes, sizes, st.booleans())
def test_batch_norm_at_inference(rows: int, channels: int, positions: int, learnt: bool) -> None:
    model = nn.BatchNorm1d(channels, affine=learnt)
    model.running_mean = torch.randn(channels)
    model.running_var = torch.rand(channels) + 0.5
    x, plain = torch.randn(rows, channels, positions), Plain()
    mean, variance = plain.numbers(model.running_mean), plain.numbers(model.running_var)
    deviations = [v.shifted(model.eps).root() for v in variance]
    result = []
    for sample in plain.numbers(x):
        for c in range(channels):
            values = [(v - mean[c]) / deviations[c] for v in sample[c]]
            if learnt:
                scale, shift = plain.weights(model.weight)[c], plain.numbers(model.bias)[c]
                values = affine(values, [scale] * positions, [shift] * positions)
            result.append(values)
    check(model, x, plain, result, run(model, x))


def softmax(row: Vector) -> Vector:
    powers = [value.exp() for value in row]
    whole = total(powers)
    return [power / whole for power in powers]


@quick
@given(
    st.integers(1, 2),
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(1, 2),
    st.integers(1, 2),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)
def test_multihead_attention(
    rows: int,
    queries: int,
    keys: int,
    heads: int,
    width: int,
    bias: bool,
    averaged: bool,
    masked: bool,
) -> None:
    e = heads * width
    model = nn.MultiheadAttention(e, heads, bias=bias, batch_first=True)
    query, key = torch.randn(rows, queries, e), torch.randn(rows, keys, e)
    mask = torch.randn(queries, keys) if masked else None
    options = {"need_weights": averaged, "attn_mask": mask}
    plain = Plain()
    into = plain.weights(model.in_proj_weight)
    added = plain.numbers(model.in_proj_bias)
    parts = [
        (into[k * e : (k + 1) * e], None if added is None else added[k * e : (k + 1) * e])
        for k in range(3)
    ]
    last = plain.numbers(model.out_proj.bias)
    result = []
    for sample_q, sample_k in zip(plain.numbers(query), plain.numbers(key), strict=True):
        q, k, v = (
            [dense(matrix, row, vector) for row in source]
            for source, (matrix, vector) in zip((sample_q, sample_k, sample_k), parts, strict=True)
        )
        weights = [
            [attend(q[i], k, h, width, mask, i, plain) for h in range(heads)]
            for i in range(queries)
        ]
        for i in range(queries):
            joined = [
                dot(weights[i][h], [row[h * width + d] for row in v])
                for h in range(heads)
                for d in range(width)
            ]
            result.append(dense(plain.weights(model.out_proj.weight), joined, last))
            if averaged:
                for j in range(keys):
                    total([weights[i][h][j] for h in range(heads)]) / float(heads)
    with torch.no_grad():
        expected = model.eval()(query, key, key, **options)[0]
    inputs = {"query": query, "key": key, "value": key, **options}
    check(model, inputs, plain, result, expected)


def attend(
    q: Vector, keys: list[Vector], head: int, width: int, mask: Any, row: int, plain: Plain
) -> Vector:
    part = slice(head * width, (head + 1) * width)
    scores = [dot(q[part], key[part]) / math.sqrt(width) for key in keys]
    if mask is not None:
        scores = [s + m for s, m in zip(scores, plain.numbers(mask[row]), strict=True)]
    return softmax(scores)


@quick
@given(st.integers(1, 2), st.integers(1, 3), st.integers(1, 3))
def test_scaled_dot_product_attention(rows: int, steps: int, width: int) -> None:
    x, plain = torch.randn(rows, steps, width), Plain()
    result = []
    for sample in plain.numbers(x):
        for query in sample:
            weights = attend(query, sample, 0, width, None, 0, plain)
            result += [dot(weights, [row[d] for row in sample]) for d in range(width)]
    model = Made(lambda _, x: nn.functional.scaled_dot_product_attention(x, x, x))
    check(model, x, plain, result, run(model, x))


@quick
@given(
    st.sampled_from(["sum", "mean", "max"]),
    st.lists(st.integers(1, 3), min_size=1, max_size=4),
    st.integers(1, 3),
)
def test_embedding_bag(mode: str, bags: list[int], width: int) -> None:
    model, plain = nn.EmbeddingBag(5, width, mode=mode), Plain()
    items = torch.randint(5, (sum(bags),))
    offsets = torch.tensor([sum(bags[:i]) for i in range(len(bags))])
    table, result, start = plain.weights(model.weight), [], 0
    for n in bags:
        rows = [table[i] for i in items[start : start + n].tolist()]
        start += n
        for column in zip(*rows, strict=True):
            found = largest(column) if mode == "max" else total(column)
            result.append(found / float(n) if mode == "mean" else found)
    check(model, (items, offsets), plain, result, run(model, items, offsets))


FUNCTIONS = {
    nn.Sigmoid(): sigmoid,
    nn.Tanh(): tanh,
    nn.ReLU(): lambda x: x.larger(0.0),
    nn.SiLU(): lambda x: x * sigmoid(x),
    nn.Softsign(): lambda x: x / x.larger(-x.value).shifted(1.0),
    nn.Tanhshrink(): lambda x: x - tanh(x),
}


@pytest.mark.parametrize(("model", "function"), FUNCTIONS.items(), ids=lambda v: type(v).__name__)
def test_functions(model: nn.Module, function: Any) -> None:
    x, plain = torch.randn(2, 3), Plain()
    result = [[function(value) for value in row] for row in plain.numbers(x)]
    check(model, x, plain, result, run(model, x))


@quick
@given(sizes, sizes)
def test_softmax(rows: int, n: int) -> None:
    x, plain = torch.randn(rows, n), Plain()
    result = [softmax(row) for row in plain.numbers(x)]
    check(nn.Softmax(-1), x, plain, result, run(nn.Softmax(-1), x))
