"""The counting rules of the report of 2019, and their omissions.

Source: Yichao Zhang, *PyTorch RNN: Mortality Prediction*, March 26, 2019, sections 1.2 b, 1.3 b and
1.4 b. The report counts three models: ``COUNTED``.
"""

from dataclasses import dataclass
from functools import singledispatch

from sequela.cost.formula import Formula, Number
from sequela.cost.layers.convolution import Convolution
from sequela.cost.layers.pooling import Pooling
from sequela.cost.layers.recurrent import Recurrence
from sequela.cost.layers.work import Layer, Part, Work, single
from sequela.cost.primitives import SIGMOID, TANH, dot, each

COUNTED = ("mlp-baseline", "cnn-baseline", "gru-baseline")


@dataclass(frozen=True, slots=True)
class Omission:
    """The omission of one rule of the report in one layer: ``exact`` less the report.

    Attributes:
        layer: The layer's name.
        reason: The omission in words.
        parameters: Number of parameters left out.
        operations: Number of operations left out.
    """

    layer: str
    reason: str
    parameters: Formula
    operations: Formula


@singledispatch
def parameters(layer: Layer) -> Formula:
    """Count a layer's parameters as the report does: exactly, where no omission is known."""
    return layer.parameters()


@singledispatch
def work(layer: Layer) -> Work:
    """Count a layer's operations as the report does: exactly, where no omission is known."""
    return layer.work()


@singledispatch
def omissions(layer: Layer, name: str) -> list[Omission]:  # noqa: ARG001
    """List the omissions of the report's rule for a layer."""
    return []


@parameters.register
def _(layer: Convolution) -> Formula:
    """Count K weights for each output channel: one input channel, no bias."""
    c_out, _, k = layer.channels()
    return c_out * k


@work.register
def _(layer: Convolution) -> Work:
    """Count K products and K - 1 additions for each output: one input channel, no bias."""
    _, _, k = layer.channels()
    return single("dot product", dot(k, bias=False), layer.outputs(), unit="output")


@omissions.register
def _(layer: Convolution, name: str) -> list[Omission]:
    c_out, c_in, k = layer.channels()
    found = []
    if layer.bias:
        found.append(Omission(name, "no bias", c_out, layer.outputs()))
    if layer.c_in > 1:
        missing = (c_in - 1) * k
        found.append(
            Omission(
                name,
                f"1 input channel counted instead of {layer.c_in}",
                c_out * missing,
                layer.outputs() * 2 * missing,
            )
        )
    return found


@work.register
def _(layer: Pooling) -> Work:
    """Count one operation for each window of a max pooling."""
    if layer.reduction != "max":
        return layer.work()
    return single("one comparison", each(1), layer.all_windows(), unit="window")


@omissions.register
def _(layer: Pooling, name: str) -> list[Omission]:
    if layer.reduction != "max" or layer.taps == 2 * layer.windows:
        return []
    missing = layer.work().operations - layer.all_windows()
    return [Omission(name, "1 comparison counted for each window", Number(0), missing)]


@parameters.register
def _(layer: Recurrence) -> Formula:
    """Count one bias vector for each of a GRU's gates."""
    if layer.cell != "GRU":
        return layer.parameters()
    w, h, _ = layer.sizes()
    return 3 * h * (w + h + int(layer.bias)) * layer.directions


@work.register
def _(layer: Recurrence) -> Work:
    """Count the report's four lines of a GRU, each with one bias at most."""
    if layer.cell != "GRU":
        return layer.work()
    w, h, _ = layer.sizes()
    sums = dot(w + h, bias=layer.bias)
    gate = (sums + SIGMOID.cost).times(h)
    parts = (
        Part("update gate z: products, sigmoid", gate),
        Part("reset gate r: products, sigmoid", gate),
        Part("candidate: products, reset, tanh", (sums + each(1) + TANH.cost).times(h)),
        Part("new state (1 - z)·h + z·candidate", each(4).times(h)),
    )
    return Work(parts, layer.repeated(), "step")


@omissions.register
def _(layer: Recurrence, name: str) -> list[Omission]:
    if layer.cell != "GRU" or not layer.bias:
        return []
    _, h, _ = layer.sizes()
    reason = f"one bias vector a gate, PyTorch has two ({3 * layer.h} additions a step)"
    second = 3 * h
    return [
        Omission(name, reason, second * layer.directions, layer.repeated() * second),
    ]
