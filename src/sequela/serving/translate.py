"""Translation of a trained model to a graph, from its inputs to probabilities.

The model is one torch module, which torch's exporter traces (decision 25).
"""

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sequela.errors import ModelError
from sequela.files import temporary
from sequela.runs.model import Shape, TrainedEnsemble, TrainedModel, shapes_of
from sequela.sequences.featurisers import CLIP, FEATURES
from sequela.sequences.scaling import Scaling, knots

OPSET = 20
"""Version of the operators, for ONNX Runtime 1.17 or later."""
_LEAST = 1e-7
"""As in :func:`sequela.runs.model.averaged`."""
_TRACED = 3
"""Examples, steps and codes of the inputs that are traced."""


def graph_of(model: TrainedModel | TrainedEnsemble) -> onnx.ModelProto:
    """Translate a model; the output ``probabilities`` is float32 (batch, class)."""
    shapes = shapes_of(model)
    given = [
        torch.full(
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
        torch.onnx.export(
            Part(model, shapes),
            tuple(given),
            folder / "model.onnx",
            input_names=[*shapes],
            output_names=["probabilities"],
            dynamic_axes=axes,
            opset_version=OPSET,
            dynamo=False,
        )
        found = onnx.load(folder / "model.onnx")
    found.producer_name, found.producer_version = "sequela", ""
    return found


class Part(nn.Module):
    """Networks, from the inputs of their file to probabilities (batch, class)."""

    def __init__(self, model: TrainedModel | TrainedEnsemble, shapes: Mapping[str, Shape]) -> None:
        super().__init__()
        self.model, self.shapes = model, shapes
        if isinstance(model, TrainedEnsemble):
            self.members = nn.ModuleList(Part(each, shapes) for each in model.members)
            return
        self.network = model.network("an export")
        if not type(self.network).forward.__module__.startswith("sequela.models."):
            raise ModelError(
                f"{model.name} cannot be exported: its class has no translation to ONNX; networks "
                "of the package can be exported, also in ensembles"
            )

    def probabilities(self, inputs: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
        """Predict without an export."""
        with torch.inference_mode():
            found: NDArray[np.float32] = self(
                *(torch.tensor(inputs[name]) for name in self.shapes)
            ).numpy()
        return found

    def forward(self, *given: Tensor) -> Tensor:
        """Compute probabilities of the inputs, in the order of ``shapes``."""
        if isinstance(self.model, TrainedEnsemble):
            said = torch.stack([member(*given) for member in self.members])
            if self.model.header["mean"] == "arithmetic":
                return said.mean(0)
            return said.clamp(min=_LEAST).log().mean(0).softmax(1)
        model, inputs = self.model, dict(zip(self.shapes, given, strict=True))
        taken = [_input(model, read, inputs) for read in model.reads]
        if model.takes_lengths:
            taken.append(inputs["lengths"])
        logits: Tensor = getattr(self.network, "padded", self.network)(*taken)
        return logits.softmax(1)


def _input(model: TrainedModel, read: str, inputs: Mapping[str, Tensor]) -> Tensor:
    """Return what a network reads, scaled; visits are (visit, batch, ...)."""
    given, state = inputs[read], model.state
    if read == "signal":
        scaling = Scaling.from_json(model.header["scaling"])
        std = [deviation or 1.0 for deviation in scaling.std]
        return (given - torch.tensor(scaling.mean)[:, None]) / torch.tensor(std)[:, None]
    if read == "codes":
        return given
    if read.startswith(FEATURES):
        scaled = _standard(given, state, f"{read}:column ").clamp(-CLIP, CLIP)
        return torch.where(given.isnan(), 0.0, scaled)
    steps = given.transpose(0, 1)
    real = torch.arange(steps.shape[0])[:, None] < inputs["lengths"]
    if read == "gaps":
        return torch.where(real, steps, 0.0)
    ranked = "values:quantiles" in state
    scaled = _normal_scores(steps, state) if ranked else _standard(steps, state, "values:")
    return torch.where(real[..., None], scaled, torch.nan)


def _normal_scores(steps: Tensor, state: Mapping[str, NDArray[Any]]) -> Tensor:
    """Return normal scores of values (visit, batch, channel), on lines between quantiles."""
    columns = []
    for channel, (ends, scores) in enumerate(knots(state["values:quantiles"])):
        low, high, rise = map(torch.from_numpy, (ends[:-1], ends[1:], np.diff(scores)))
        share = (steps[..., channel, None] - low).clamp(min=0) / (high - low)  # (..., line)
        columns.append(float(np.nan_to_num(scores[0])) + (share.clamp(max=1) * rise).sum(-1))
    return torch.where(steps.isnan(), torch.nan, torch.stack(columns, -1))


def _standard(numbers: Tensor, state: Mapping[str, NDArray[Any]], of: str) -> Tensor:
    mean, deviation = (torch.from_numpy(state[f"{of}{name}"]) for name in ("mean", "deviation"))
    return (numbers - mean) / deviation


def _last_size(g: Any) -> int:
    """Return the size of the last axis of an operation's first input, as traced."""
    return int(next(g.original_node.inputs()).type().sizes()[-1])


def _product(g: Any, x: Any, matrix: NDArray[np.float64]) -> Any:
    """Add the product of (..., time) and a matrix, in double precision."""
    wide = g.op("Cast", x, to_i=onnx.TensorProto.DOUBLE)
    product = g.op("MatMul", wide, g.op("Constant", value_t=torch.from_numpy(matrix.copy())))
    return g.op("Cast", product, to_i=getattr(onnx.TensorProto, x.type().scalarType().upper()))


def _rfft(g: Any, x: Any, *_: Any) -> Any:
    """Add a Fourier transform of real numbers: (..., frequency, 2)."""
    turn = np.fft.rfft(np.eye(_last_size(g)))  # (time, frequency)
    last = g.op("Constant", value_t=torch.tensor([-1]))
    parts = [g.op("Unsqueeze", _product(g, x, each), last) for each in (turn.real, turn.imag)]
    return g.op("Concat", *parts, axis_i=-1)


def _irfft(g: Any, x: Any, n: Any, *_: Any) -> Any:
    """Add the inverse transform of a real spectrum to ``n`` samples."""
    n_times = int(n.node().t("value"))
    return _product(g, x, np.fft.irfft(np.eye(n_times // 2 + 1), n=n_times))


def _unfold(g: Any, x: Any, _: Any, *window: Any) -> Any:
    """Add windows of the last axis: (..., time) to (..., window, size)."""
    size, step = (int(each.node().t("value")) for each in window)
    places = torch.arange(_last_size(g)).unfold(0, size, step)
    return g.op("Gather", x, g.op("Constant", value_t=places.contiguous()), axis_i=-1)


_OPERATIONS: dict[str, Callable[..., Any]] = {
    "aten::unfold": _unfold,
    "aten::fft_rfft": _rfft,
    "aten::fft_irfft": _irfft,
    "aten::view_as_real": lambda _, x: x,
}
"""Operations that the exporter lacks. Segments are short, so matrices are fast."""
