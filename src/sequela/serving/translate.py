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
from sequela.models.reference import ReferenceModel
from sequela.runs.model import Shape, TrainedEnsemble, TrainedModel
from sequela.sequences.featurisers import CLIP, FEATURES
from sequela.sequences.scaling import Scaling
from sequela.sequences.scores import knots
from sequela.serving import references, signal_tables

OPSET = 20
"""Version of the operators, for ONNX Runtime 1.17 or later."""
_LEAST = 1e-7
"""As in :func:`sequela.runs.model.averaged`."""
_TRACED = 3
"""Examples, steps and codes of the inputs that are traced."""


def graph_of(model: TrainedModel | TrainedEnsemble) -> onnx.ModelProto:
    """Translate a model; the output ``probabilities`` is float32 (batch, class)."""
    shapes: dict[str, Shape] = {}
    whole = _Part(model, shapes)
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
            whole,
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
    for each in found.opset_import:
        each.version = 3 if each.domain else OPSET  # the other domain is that of trees
    return found


def _add_shapes(shapes: dict[str, Shape], model: TrainedModel) -> None:
    """Add the inputs of a model; a size is fixed if any model needs a fixed size."""
    for name, shape in model.shapes():
        known = shapes.get(name, shape)
        both = list(zip(known, shape, strict=True))
        if any(isinstance(a, int) and isinstance(b, int) and a != b for a, b in both):
            raise ModelError(
                f"the models read {name} in two shapes, {known} and {shape}: export each alone"
            )
        shapes[name] = tuple(a if isinstance(a, int) else b for a, b in both)


class _Part(nn.Module):
    """A model, from the inputs of its file to probabilities (batch, class)."""

    def __init__(self, model: TrainedModel | TrainedEnsemble, shapes: dict[str, Shape]) -> None:
        super().__init__()
        self.model, self.shapes = model, shapes
        if isinstance(model, TrainedEnsemble):
            self.members = nn.ModuleList(_Part(each, shapes) for each in model.members)
            return
        if isinstance(model.entry, ReferenceModel):
            known = model.entry.predict in references.TRANSLATIONS
            tables = (*signal_tables.TABLES, "") if "n_times" in model.header else None
            known &= tables is None or model.reads[0].partition(":")[2] in tables
        else:
            self.network = model.network("an export")
            known = type(self.network).forward.__module__.startswith("sequela.models.")
        if not known:
            raise ModelError(
                f"{model.name} cannot be exported: its class has no translation to ONNX; models "
                "of the package can be exported, also in ensembles"
            )
        _add_shapes(shapes, model)

    def forward(self, *given: Tensor) -> Tensor:
        """Compute probabilities of the inputs, in the order of ``shapes``."""
        if isinstance(self.model, TrainedEnsemble):
            said = torch.stack([member(*given) for member in self.members])
            if self.model.header["mean"] == "arithmetic":
                return said.mean(0)
            return said.clamp(min=_LEAST).log().mean(0).softmax(1)
        model, inputs = self.model, dict(zip(self.shapes, given, strict=True))
        if isinstance(model.entry, ReferenceModel):
            return references.translated(model.entry, model.arrays, _table(model, inputs))
        taken = [_input(model, read, inputs) for read in model.reads]
        if model.takes_lengths:
            taken.append(inputs["lengths"])
        logits: Tensor = getattr(self.network, "padded", self.network)(*taken)
        return logits.softmax(1)


def _table(model: TrainedModel, inputs: Mapping[str, Tensor]) -> Tensor:
    """Return what a baseline model reads."""
    (read,) = model.reads
    if read in inputs:
        return inputs[read]
    name = read.removeprefix(FEATURES)
    state = {key.removeprefix(f"{read}:"): array for key, array in model.state.items()}
    return signal_tables.TABLES[name](state, inputs["signal"], model.header)


def _input(model: TrainedModel, read: str, inputs: Mapping[str, Tensor]) -> Tensor:
    """Return what a network reads, scaled; visits are (visit, batch, ...)."""
    given, state = inputs[read], model.state
    if read == "signal":
        return signal_tables.scaled(Scaling.from_json(model.header["scaling"]), given)
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
