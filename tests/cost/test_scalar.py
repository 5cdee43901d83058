"""Layers computed number by number in plain Python, every operation tallied as it is made.

The plain computation must give torch's result, so that it is known to be the layer; the account
must then give its tally.
"""

# ruff: noqa: FBT001 - hypothesis gives them by place

from itertools import chain
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.cost.tally import (
    Plain,
    Vector,
    check,
    dense,
    dot,
    indices,
    largest,
    quick,
    run,
    sigmoid,
    sizes,
    tanh,
    total,
)
from torch import nn
from torch.nn.utils.rnn import pack_sequence, unpack_sequence


def taps_of(place: list[int], tap: list[int], options: dict[str, Any]) -> tuple[int, ...]:
    """Where a tap of the kernel lies that stands at a place."""
    how = (options["stride"], options["padding"], options["dilation"])
    return tuple(o * s - p + k * d for o, k, s, p, d in zip(place, tap, *how, strict=True))


@quick
@given(sizes, sizes, sizes, st.booleans())
def test_linear(rows: int, n: int, m: int, bias: bool) -> None:
    model, x, plain = nn.Linear(n, m, bias), torch.randn(rows, n), Plain()
    matrix, added = plain.weights(model.weight), plain.weights(model.bias)
    result = [dense(matrix, row, added) for row in plain.numbers(x)]
    check(model, x, plain, result, run(model, x))


@st.composite
def convolutions(draw: st.DrawFn) -> dict[str, Any]:
    groups, dimensions = draw(st.integers(1, 2)), draw(st.integers(1, 3))
    limit = 3 if dimensions == 1 else 2
    each = st.tuples(*[st.integers(1, limit)] * dimensions)
    return {
        "dimensions": dimensions,
        "in_channels": groups * draw(st.integers(1, 2)),
        "out_channels": groups * draw(st.integers(1, 2)),
        "kernel_size": draw(each),
        "stride": draw(each),
        "padding": draw(st.tuples(*[st.integers(0, 1)] * dimensions)),
        "dilation": draw(each),
        "groups": groups,
        "bias": draw(st.booleans()),
    }


@quick
@given(convolutions(), st.integers(1, 2))
def test_convolution(options: dict[str, Any], rows: int) -> None:
    dimensions = options.pop("dimensions")
    model = getattr(nn, f"Conv{dimensions}d")(**options)
    x, plain = torch.randn(rows, options["in_channels"], *[7] * dimensions), Plain()
    expected = run(model, x)
    biases, kernels = plain.numbers(model.bias), model.weight.detach()
    weights = {key: plain.number(kernels[key], weight=True) for key in indices(model.weight.shape)}
    c_in = options["in_channels"] // options["groups"]
    of_group = options["out_channels"] // options["groups"]
    result = []
    for sample, out, *place in indices(expected.shape):
        window, kernel = [], []
        for channel, *tap in indices((c_in, *options["kernel_size"])):
            at = taps_of(place, tap, options)
            inside = all(0 <= position < 7 for position in at)
            source = (sample, out // of_group * c_in + channel, *at)
            window.append(plain.number(x[source] if inside else 0))
            kernel.append(weights[(out, channel, *tap)])
        result.append(dot(window, kernel, None if biases is None else biases[out]))
    check(model, x, plain, result, expected)


@quick
@given(st.sampled_from(["MaxPool", "AvgPool"]), *[st.integers(1, 3)] * 3, st.integers(0, 1))
def test_pooling(kind: str, dimensions: int, kernel: int, stride: int, padded: int) -> None:
    padding = padded if kernel > 1 else 0
    model = getattr(nn, f"{kind}{dimensions}d")(kernel, stride, padding)
    x, plain = torch.randn(1, 2, *[4] * dimensions), Plain()
    expected = run(model, x)
    result = []
    for sample, channel, *place in indices(expected.shape):
        taps = [
            plain.number(x[(sample, channel, *at)])
            for tap in indices([kernel] * dimensions)
            for at in [[o * stride - padding + k for o, k in zip(place, tap, strict=True)]]
            if all(0 <= position < 4 for position in at)
        ]
        mean = kind == "AvgPool"
        result.append(total(taps) / float(kernel**dimensions) if mean else largest(taps))
    check(model, x, plain, result, expected)


@quick
@given(st.sampled_from(["AdaptiveMaxPool1d", "AdaptiveAvgPool1d"]), st.integers(1, 7), sizes)
def test_adaptive_pooling(kind: str, n: int, out: int) -> None:
    model, x, plain = getattr(nn, kind)(out), torch.randn(1, 2, n), Plain()
    result = []
    for channel in plain.numbers(x[0]):
        for i in range(out):
            taps = channel[i * n // out : -(-(i + 1) * n // out)]
            result.append(total(taps) / float(len(taps)) if "Avg" in kind else largest(taps))
    check(model, x, plain, result, run(model, x))


def gru(x: Vector, state: list[Vector], w: dict[str, Any], n: int) -> list[Vector]:
    (h,) = state
    gates_x, gates_h = dense(w["ih"], x, w["b_ih"]), dense(w["hh"], h, w["b_hh"])
    reset = [sigmoid(gates_x[i] + gates_h[i]) for i in range(n)]
    update = [sigmoid(gates_x[n + i] + gates_h[n + i]) for i in range(n)]
    new = [tanh(gates_x[2 * n + i] + reset[i] * gates_h[2 * n + i]) for i in range(n)]
    return [[(1 - z) * c + z * old for z, c, old in zip(update, new, h, strict=True)]]


def lstm(x: Vector, state: list[Vector], w: dict[str, Any], n: int) -> list[Vector]:
    h, c = state
    gates_x, gates_h = dense(w["ih"], x, w["b_ih"]), dense(w["hh"], h, w["b_hh"])
    sums = [a + b for a, b in zip(gates_x, gates_h, strict=True)]
    i, f, o = (list(map(sigmoid, sums[k * n : (k + 1) * n])) for k in (0, 1, 3))
    g = list(map(tanh, sums[2 * n : 3 * n]))
    c = [f[k] * c[k] + i[k] * g[k] for k in range(n)]
    h = [o[k] * tanh(c[k]) for k in range(n)]
    return [h, c]


def rnn(x: Vector, state: list[Vector], w: dict[str, Any], n: int) -> list[Vector]:
    (h,) = state
    left, right = dense(w["ih"], x, w["b_ih"]), dense(w["hh"], h, w["b_hh"])
    return [[tanh(left[i] + right[i]) for i in range(n)]]


STEPS = {nn.GRU: gru, nn.LSTM: lstm, nn.RNN: rnn}


@settings(max_examples=20, deadline=None)
@given(
    st.sampled_from(list(STEPS)),
    st.integers(1, 3),
    st.integers(2, 3),
    st.integers(1, 2),
    st.booleans(),
    st.booleans(),
    st.lists(st.integers(1, 4), min_size=1, max_size=3),
)
def test_recurrent_layers(
    kind: Any, width: int, units: int, layers: int, bias: bool, both: bool, lengths: list[int]
) -> None:
    model = kind(width, units, layers, bias=bias, bidirectional=both)
    plain = Plain()
    sequences = [torch.randn(n, width) for n in lengths]
    packed = pack_sequence(sequences, enforce_sorted=False)

    def weights(name: str) -> dict[str, Any]:
        matrices = {k: getattr(model, f"weight_{k}_{name}", None) for k in ("ih", "hh")}
        vectors = {k: getattr(model, f"bias_{k}_{name}", None) for k in ("ih", "hh")}
        return {k: plain.weights(matrix) for k, matrix in matrices.items()} | {
            f"b_{k}": plain.numbers(vector) for k, vector in vectors.items()
        }

    results = []
    for sequence in sequences:
        x = plain.numbers(sequence)
        for layer in range(layers):
            passes = []
            for suffix in ("", "_reverse") if both else ("",):
                state = [plain.zeros(units) for _ in range(2 if kind is nn.LSTM else 1)]
                outs = []
                for step in reversed(x) if suffix else x:
                    state = STEPS[kind](step, state, weights(f"l{layer}{suffix}"), units)
                    outs.append(state[0])
                passes.append(outs[::-1] if suffix else outs)
            x = [list(chain(*parts)) for parts in zip(*passes, strict=True)]
        results.append(x)
    expected = torch.cat([out.flatten() for out in unpack_sequence(run(model, packed)[0])])
    check(model, packed, plain, results, expected)


@pytest.mark.parametrize(
    ("cell", "step"), [(nn.GRUCell, gru), (nn.LSTMCell, lstm), (nn.RNNCell, rnn)]
)
@pytest.mark.parametrize("bias", [True, False])
def test_cells(cell: Any, step: Any, bias: bool) -> None:
    model, x, plain = cell(2, 3, bias), torch.randn(2, 2), Plain()
    weights = {
        "ih": plain.weights(model.weight_ih),
        "hh": plain.weights(model.weight_hh),
        "b_ih": plain.numbers(model.bias_ih),
        "b_hh": plain.numbers(model.bias_hh),
    }
    states = 2 if cell is nn.LSTMCell else 1
    result = [
        step(row, [plain.zeros(3) for _ in range(states)], weights, 3)[0]
        for row in plain.numbers(x)
    ]
    out = run(model, x)
    check(model, x, plain, result, out[0] if isinstance(out, tuple) else out)
