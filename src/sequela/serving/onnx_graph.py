"""Translation of a trained model to an ONNX file: a graph from inputs to probabilities.

The model is one torch module, which torch's exporter traces (decision 25).
"""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray

from sequela.errors import ModelError
from sequela.files import temporary
from sequela.formats import sealed
from sequela.runs.model import BaselineModel, TrainedModel
from sequela.serving.model_facts import KEY, SEAL, ModelFacts, as_text

OPSET = 20  # version of the operators, for ONNX Runtime 1.17 or later
_Graph = Any  # the graph to which a function adds operators: torch has no public class of it
_Value = Any  # a value of that graph, or of the traced one
_TRACED = 3  # examples, steps and codes of the inputs that are traced


def file_of(model: TrainedModel, facts: ModelFacts) -> bytes:
    """Return the file of a model, with its metadata and its SHA-256."""
    graph = graph_of(model)
    onnx.helper.set_model_props(graph, {KEY: as_text(facts), SEAL: sealed.EMPTY})
    return sealed.seal(graph.SerializeToString(deterministic=True), SEAL)


def graph_of(model: TrainedModel) -> onnx.ModelProto:
    """Translate a model; the output ``probabilities`` is float32 (batch, class)."""
    assert not isinstance(model, BaselineModel)  # noqa: S101 - export refuses these
    shapes = model.shapes
    inputs = [
        torch.full(
            # A size of 1 would be traced as broadcasting, which then holds for no other size.
            tuple(_TRACED if isinstance(size, str) else size for size in shape),
            _TRACED if name == "lengths" else 1,
            dtype=torch.int64 if name in ("codes", "lengths") else torch.float32,
        )
        for name, shape in shapes.items()
    ]
    axes = {
        name: {place: size for place, size in enumerate(shape) if isinstance(size, str)}
        for name, shape in {**shapes, "probabilities": ("batch", 0)}.items()
    }
    for name, symbolic in _OPERATIONS.items():
        torch.onnx.register_custom_op_symbolic(name, symbolic, OPSET)  # type: ignore[attr-defined]
    with temporary() as folder, torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on tracing in general, and on the exporter's age
        try:
            torch.onnx.export(
                model.padded(tuple(shapes)),
                tuple(inputs),
                folder / "model.onnx",
                input_names=[*shapes],
                output_names=["probabilities"],
                dynamic_axes=axes,
                opset_version=OPSET,
                dynamo=False,
            )
        except (KeyError, RuntimeError, TypeError) as error:
            words = str(error).partition("\n")[0]
            raise ModelError(f"{model.leaves[0].name} cannot be exported: {words}") from error
        graph = onnx.load(folder / "model.onnx")
    # The version of torch would change the bytes, and with them the checksum, of an equal model.
    graph.producer_name, graph.producer_version = "sequela", ""
    return graph


def _last_size(g: _Graph) -> int:
    return int(next(g.original_node.inputs()).type().sizes()[-1])


def _product(g: _Graph, x: _Value, matrix: NDArray[np.float64]) -> _Value:
    """Add the product of (..., time) and a matrix, in double precision."""
    # In float32, such sums could differ from the run by more than 1e-5.
    wide = g.op("Cast", x, to_i=onnx.TensorProto.DOUBLE)
    product = g.op("MatMul", wide, g.op("Constant", value_t=torch.from_numpy(matrix.copy())))
    return g.op("Cast", product, to_i=getattr(onnx.TensorProto, x.type().scalarType().upper()))


def _rfft(g: _Graph, x: _Value, *_: _Value) -> _Value:
    # The transform of unit vectors is the matrix of the transform: its rows are sines and cosines.
    turn = np.fft.rfft(np.eye(_last_size(g)))  # (time, frequency)
    last = g.op("Constant", value_t=torch.tensor([-1]))
    parts = [g.op("Unsqueeze", _product(g, x, part), last) for part in (turn.real, turn.imag)]
    return g.op("Concat", *parts, axis_i=-1)


def _irfft(g: _Graph, x: _Value, n: _Value, *_: _Value) -> _Value:
    n_times = int(n.node().t("value"))
    return _product(g, x, np.fft.irfft(np.eye(n_times // 2 + 1), n=n_times))


def _unfold(g: _Graph, x: _Value, _: _Value, *window: _Value) -> _Value:
    """Add windows of the last axis: (..., time) to (..., window, size)."""
    size, step = (int(number.node().t("value")) for number in window)
    places = torch.arange(_last_size(g)).unfold(0, size, step)
    return g.op("Gather", x, g.op("Constant", value_t=places.contiguous()), axis_i=-1)


# Operations that the exporter lacks. Segments are short, so matrices are fast.
_OPERATIONS: dict[str, Callable[..., _Value]] = {
    "aten::unfold": _unfold,
    "aten::fft_rfft": _rfft,
    "aten::fft_irfft": _irfft,
    "aten::view_as_real": lambda _, x: x,
}
