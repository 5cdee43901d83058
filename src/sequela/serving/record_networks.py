"""Graphs of networks of hospital records, from padded visits with explicit lengths."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper
from torch import nn

from sequela.models.values import ValuesLSTM
from sequela.models.visits import MultiHotLinear, VisitsBaseline, VisitsImproved
from sequela.models.visits_attention import VisitsAttention
from sequela.serving.graph import Graph
from sequela.serving.layers import (
    array,
    clipped,
    in_order,
    linear,
    members,
    recurrent,
    softmax,
)

_FLOAT = onnx.TensorProto.FLOAT


@dataclass(frozen=True)
class Sizes:
    """The sizes of the inputs.

    Attributes:
        channels: Number of measurements of a visit.
        features: Number of columns of the table of features.
        read: ``features:NAME``, if features are read.
        state: The fitted preprocessing, by name.
    """

    channels: int
    features: int
    read: str
    state: Mapping[str, NDArray[Any]]


def _lengths(g: Graph) -> str:
    return g.input("lengths", ("batch",), np.int64)


def codes(g: Graph) -> str:
    """Add the input of codes: int64 (batch, visit, place), -1 for padding."""
    return g.input("codes", ("batch", "visit", "place"), np.int64)


def _gaps(g: Graph) -> str:
    """Add the input of gaps: float32 (visit, batch), 0 for padding."""
    gaps = g.op("Transpose", g.input("gaps", ("batch", "visit")), perm=[1, 0])
    return g.op("Where", _real(g, gaps), gaps, g.constant(0, np.float32))


def _real(g: Graph, steps: str) -> str:
    """Add the mask of real visits: bool (visit, batch)."""
    size = g.op("Squeeze", g.op("Shape", steps, start=0, end=1), g.constant([0], np.int64))
    number = g.op("Range", g.constant(0, np.int64), size, g.constant(1, np.int64))
    return g.op("Less", g.unsqueeze(number, 1), _lengths(g))


def _embedded(g: Graph, layer: MultiHotLinear) -> str:
    """Add the embeddings (visit, batch, embed): sums of the rows of the codes, and the bias."""
    given = codes(g)
    none = g.constant(layer.n_codes, np.int64)
    place = g.op("Where", g.op("Less", given, g.constant(0, np.int64)), none, given)
    weight = np.pad(array(layer.weight), ((0, 1), (0, 0)))
    rows = g.op("Gather", g.constant(weight), place, axis=0)
    summed = g.op("Add", g.reduce("Sum", rows, 2), g.constant(array(layer.bias)))
    return g.op("Transpose", summed, perm=[1, 0, 2])


def described(g: Graph, sizes: Sizes) -> str:
    """Add the scaled table of features: float32 (batch, column)."""
    table = g.input(sizes.read, ("batch", sizes.features))
    return _standard(g, table, sizes.state, f"{sizes.read}:column ")


def static(g: Graph, sizes: Sizes) -> str:
    """Add the scaled static columns: float32 (batch, column)."""
    table = g.input("static", ("batch", len(sizes.state["static:mean"])))
    return _standard(g, table, sizes.state, "static:")


def _standard(g: Graph, table: str, state: Mapping[str, NDArray[Any]], of: str) -> str:
    centred = g.op("Sub", table, g.constant(state[f"{of}mean"]))
    scaled = clipped(g, g.op("Div", centred, g.constant(state[f"{of}deviation"])))
    return g.op("Where", g.op("IsNaN", table), g.constant(0, np.float32), scaled)


def _visits(g: Graph, network: nn.Module, __: Sizes) -> str:
    embed, layer, *after = network.children()
    assert isinstance(embed, MultiHotLinear)  # noqa: S101 - the table below says so
    _, last = recurrent(g, layer, _embedded(g, embed), _lengths(g))  # type: ignore[arg-type]
    return softmax(g, in_order(g, after, last))


def _attention(g: Graph, network: nn.Module, sizes: Sizes) -> str:
    assert isinstance(network, VisitsAttention)  # noqa: S101 - the table below says so
    gaps = g.unsqueeze(_gaps(g), 2)
    ago = g.op("CumSum", gaps, g.constant(0, np.int64), exclusive=1, reverse=1)
    logarithm = g.op("Log", g.op("Add", ago, g.constant(1, np.float32)))
    moved = g.op("Add", _embedded(g, network.embed), linear(g, network.time, logarithm))
    visits = g.op("Tanh", moved)
    real = g.unsqueeze(_real(g, visits), 2)
    never = g.constant(-np.inf, np.float32)
    shares = g.op("Softmax", g.op("Where", real, linear(g, network.score, visits), never), axis=0)
    found = [
        g.reduce("Sum", g.op("Mul", shares, visits), 0),
        g.reduce("Max", g.op("Where", real, visits, never), 0),
        _last(g, visits),
    ]
    return members(g, network.members, described(g, sizes), g.op("Concat", *found, axis=1))


def _last(g: Graph, steps: str) -> str:
    """Add the features of the last visit: (visit, batch, feature) to (batch, feature)."""
    one = g.constant(1, np.int64)
    turned = g.op("Transpose", steps, perm=[1, 0, 2])
    place = g.unsqueeze(g.op("Sub", _lengths(g), one), 1)
    return g.op("GatherND", turned, place, batch_dims=1)


def _values(g: Graph, network: nn.Module, sizes: Sizes) -> str:
    assert isinstance(network, ValuesLSTM)  # noqa: S101 - the table below says so
    given = g.input("values", ("batch", "visit", sizes.channels))
    values = g.op("Transpose", given, perm=[1, 0, 2])
    centred = g.op("Sub", values, g.constant(sizes.state["values:mean"]))
    scaled = clipped(g, g.op("Div", centred, g.constant(sizes.state["values:deviation"])))
    gaps = _gaps(g)
    real = g.unsqueeze(_real(g, values), 2)
    there = g.op("And", g.op("Not", g.op("IsNaN", values)), real)
    time = g.unsqueeze(g.op("CumSum", gaps, g.constant(0, np.int64)), 2)
    kept, when = _carried(g, there, scaled, time)
    age = g.op("Sub", time, when)
    faded = g.op("Exp", g.op("Div", age, g.constant(-network.memory_days, np.float32)))
    steps = g.op("Concat", kept, g.cast(there, np.float32), faded, axis=2)
    states, _ = recurrent(g, network.lstm, linear(g, network.project, steps), _lengths(g))
    pooled = _pooled(g, states, real)
    return members(g, network.members, described(g, sizes), pooled)


def _carried(g: Graph, there: str, values: str, time: str) -> tuple[str, str]:
    """Add the last value of each channel and its time: (visit, batch, channel).

    Before its first value, a channel is 0 and its time is minus infinity.
    """
    size = g.op("Shape", values, start=1)
    begin = [g.op("Expand", g.constant(each, np.float32), size) for each in (0.0, -np.inf)]
    names = ("value_before", "time_before", "there_now", "value_now", "time_now")
    types = [_FLOAT, _FLOAT, onnx.TensorProto.BOOL, _FLOAT, _FLOAT]
    nodes = []
    for what in ("value", "time"):
        given = ["there_now", f"{what}_now", f"{what}_before"]
        nodes.append(helper.make_node("Where", given, [f"{what}_after"]))
        nodes.append(helper.make_node("Identity", [f"{what}_after"], [f"{what}_said"]))
    outputs = ("value_after", "time_after", "value_said", "time_said")
    body = helper.make_graph(
        nodes,
        "carry",
        [helper.make_tensor_value_info(n, t, None) for n, t in zip(names, types, strict=True)],
        [helper.make_tensor_value_info(name, _FLOAT, None) for name in outputs],
    )
    _, _, kept, when = g.ops(
        "Scan",
        *begin,
        there,
        values,
        time,
        outputs=(True, True, True, True),
        body=body,
        num_scan_inputs=3,
    )
    return kept, when


def _pooled(g: Graph, states: str, real: str) -> str:
    """Add mean, maximum and last state: (batch, 3 · hidden)."""
    mean = g.op("Div", g.reduce("Sum", states, 0), g.unsqueeze(g.cast(_lengths(g), np.float32), 1))
    hidden = g.op("Where", real, states, g.constant(-np.inf, np.float32))
    return g.op("Concat", mean, g.reduce("Max", hidden, 0), _last(g, states), axis=1)


TRANSLATIONS: dict[type[nn.Module], Callable[[Graph, nn.Module, Sizes], str]] = {
    VisitsBaseline: _visits,
    VisitsImproved: _visits,
    VisitsAttention: _attention,
    ValuesLSTM: _values,
}
"""The translation of each class of networks to probabilities (batch, class)."""
