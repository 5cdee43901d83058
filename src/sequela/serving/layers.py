"""Layers of torch as operations of ONNX.

They are translated one by one. Torch's exporter unrolls recurrent layers, has no packed sequences,
and takes a minute instead of milliseconds (decision 25).
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from sequela.errors import ModelError
from sequela.models.members import Members
from sequela.models.spectral import Chosen, Standardise
from sequela.sequences.featurisers import CLIP
from sequela.serving.graph import Graph


def array(tensor: Tensor) -> NDArray[Any]:
    """Return the numbers of a tensor."""
    found: NDArray[Any] = tensor.detach().cpu().numpy()
    return found


def linear(g: Graph, layer: nn.Linear, x: str) -> str:
    """Add a linear layer, (..., in) to (..., out)."""
    product = g.op("MatMul", x, g.constant(array(layer.weight).T))
    return product if layer.bias is None else g.op("Add", product, g.constant(array(layer.bias)))


def _convolution(g: Graph, layer: nn.Module, x: str) -> str:
    assert isinstance(layer, nn.Conv1d)  # noqa: S101 - the table below says so
    bias = [] if layer.bias is None else [g.constant(array(layer.bias))]
    return g.op("Conv", x, g.constant(array(layer.weight)), *bias, group=layer.groups)


def _pool(g: Graph, layer: nn.Module, x: str) -> str:
    assert isinstance(layer, nn.MaxPool1d)  # noqa: S101 - the table below says so
    size, stride = (int(each) for each in (layer.kernel_size, layer.stride))  # type: ignore[arg-type]
    return g.op("MaxPool", x, kernel_shape=[size], strides=[stride])


def _flat_linear(g: Graph, layer: nn.Module, x: str) -> str:
    assert isinstance(layer, nn.Linear)  # noqa: S101 - the table below says so
    return linear(g, layer, x)


def _chosen(g: Graph, layer: nn.Module, x: str) -> str:
    assert isinstance(layer, Chosen)  # noqa: S101 - the table below says so
    return g.op("Gather", x, g.constant(array(layer.places)), axis=1)


def _same(_: Graph, __: nn.Module, x: str) -> str:
    return x


def _named(kind: str) -> Callable[[Graph, nn.Module, str], str]:
    return lambda g, _, x: g.op(kind, x)


_LAYERS: dict[type[nn.Module], Callable[[Graph, nn.Module, str], str]] = {
    nn.Linear: _flat_linear,
    nn.Conv1d: _convolution,
    nn.MaxPool1d: _pool,
    nn.ReLU: _named("Relu"),
    nn.Sigmoid: _named("Sigmoid"),
    nn.GELU: _named("Gelu"),
    nn.Dropout: _same,
    Chosen: _chosen,
}


def in_order(g: Graph, layers: Sequence[nn.Module], x: str, *, flat: bool = True) -> str:
    """Add layers one after another, flattening before the first Linear unless ``flat``."""
    for layer in layers:
        if isinstance(layer, nn.Linear) and not flat:
            x, flat = g.op("Flatten", x, axis=1), True
        if type(layer) not in _LAYERS:
            raise ModelError(f"the layer {type(layer).__name__} has no translation to ONNX")
        x = _LAYERS[type(layer)](g, layer, x)
    return x


def recurrent(g: Graph, layer: nn.GRU | nn.LSTM, steps: str, lengths: str) -> tuple[str, str]:
    """Add a recurrent layer, and return all states of its last layer and the last real states.

    Args:
        g: The graph.
        layer: A layer with one direction.
        steps: Inputs (step, batch, feature).
        lengths: int64 (batch,).
    """
    kind = type(layer).__name__
    order = {"GRU": [1, 0, 2], "LSTM": [0, 3, 1, 2]}[kind]  # torch has r z n, and i f g o
    more: dict[str, Any] = {"linear_before_reset": 1} if kind == "GRU" else {}
    ends = g.cast(lengths, np.int32)

    def weight(name: str) -> NDArray[Any]:
        found = array(getattr(layer, name))
        gates = found.reshape(len(order), -1, *found.shape[1:])
        return np.concatenate([gates[gate] for gate in order])

    last = ""
    for number in range(layer.num_layers):
        w, r = (weight(f"weight_{of}_l{number}")[None] for of in ("ih", "hh"))
        biases = [weight(f"bias_{of}_l{number}") for of in ("ih", "hh")]
        b = np.concatenate(biases)[None]
        tensors = [g.constant(each) for each in (w, r, b)]
        wanted = (True, True) if kind == "GRU" else (True, True, False)
        states, last = g.ops(
            kind, steps, *tensors, ends, outputs=wanted, hidden_size=layer.hidden_size, **more
        )
        steps = g.op("Squeeze", states, g.constant([1], np.int64))
    return steps, g.op("Squeeze", last, g.constant([0], np.int64))


def standardised(g: Graph, scale: Standardise, x: str) -> str:
    """Add a standardisation of (..., n)."""
    centred = g.op("Sub", x, g.constant(array(scale.mean)))
    return clipped(g, g.op("Div", centred, g.constant(array(scale.deviation))))


def clipped(g: Graph, x: str) -> str:
    """Add a clip to the range of networks."""
    return g.op("Clip", x, g.constant(-CLIP, np.float32), g.constant(CLIP, np.float32))


def softmax(g: Graph, logits: str) -> str:
    """Add probabilities (..., class) of logits (..., class)."""
    return g.op("Softmax", logits, axis=-1)


def mean_of_members(g: Graph, probabilities: Sequence[str]) -> str:
    """Add the mean of probabilities (batch, class)."""
    if len(probabilities) == 1:
        return probabilities[0]
    return g.op("Mean", *probabilities)


def members(g: Graph, layer: Members, features: str, found: str) -> str:
    """Add probabilities (batch, class) of :class:`sequela.models.members.Members`."""
    hinges = [features]
    for knot in layer.knots:
        for side in (1, -1):
            away = g.op("Mul", features, g.constant(side, np.float32))
            hinges.append(g.op("Relu", g.op("Sub", away, g.constant(knot, np.float32))))
    given = g.op("Concat", *hinges, axis=1) if len(hinges) > 1 else features
    hidden = g.op("Gelu", linear(g, layer.summarise, given))
    apart = g.reshape(hidden, (0, layer.members, -1))
    shared = g.op("Concat", *[g.unsqueeze(found, 1)] * layer.members, axis=1)
    each = g.reshape(g.op("Concat", apart, shared, axis=2), (0, -1, 1))
    logits = g.reshape(_convolution(g, layer.answer, each), (0, layer.members, layer.n_outputs))
    if layer.linear is not None:
        logits = g.op("Add", logits, g.unsqueeze(linear(g, layer.linear, given), 1))
    return g.reduce("Mean", softmax(g, logits), 1)
