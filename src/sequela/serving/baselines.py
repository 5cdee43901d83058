"""Prediction with the baseline models of a run, as they were trained: without torch and ONNX."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sequela.models.reference import ReferenceModel, predicted
from sequela.runs.model import TrainedEnsemble, TrainedModel, averaged, trained
from sequela.sequences.featurisers import Features
from sequela.serving import about as metadata
from sequela.serving.export import describe, run_to_export
from sequela.serving.served import ServedModel


def baseline_of(path: Path, *, trust_code: bool = False) -> ServedModel | None:
    """Load a run of baseline models, which predicts as it was trained; ``None`` for a network."""
    folder = run_to_export(path)
    model = trained(folder, trust_code=trust_code)
    if any(leaf.is_network for leaf in model.leaves):
        return None
    about = json.loads(metadata.as_text(describe(folder, model)))
    session: Any = BaselineSession(model)
    return ServedModel(str(path), about, session)


@dataclass(frozen=True)
class BaselineSession:
    """An ``InferenceSession`` of baseline models: the part of its interface that is used here."""

    model: TrainedModel | TrainedEnsemble

    def get_inputs(self) -> list[SimpleNamespace]:
        """Return name, type and shape of each input."""
        shapes = dict(shape for leaf in self.model.leaves for shape in leaf.shapes())
        kinds = {"codes": "tensor(int64)"}
        return [
            SimpleNamespace(name=name, type=kinds.get(name, "tensor(float)"), shape=shape)
            for name, shape in shapes.items()
        ]

    def run(self, _: Sequence[str], inputs: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
        """Compute the probabilities."""
        return [_probabilities(self.model, inputs)]


def _probabilities(
    model: TrainedModel | TrainedEnsemble, inputs: Mapping[str, NDArray[Any]]
) -> NDArray[np.float32]:
    """Predict probabilities: float32 (example, class)."""
    if isinstance(model, TrainedEnsemble):
        members = [_probabilities(each, inputs) for each in model.members]
        return averaged(members, model.header["mean"])
    assert isinstance(model.entry, ReferenceModel)  # noqa: S101 - for the type checker
    (read,), rows = model.reads, np.arange(len(next(iter(inputs.values()))))
    if read in ("signal", "codes"):  # which such a model ignores
        table: Any = np.empty((len(rows), 0), np.float32)
    elif "signal" in inputs:
        source = SimpleNamespace(signal=inputs["signal"], sfreq=model.header["sfreq"])
        described = Features.of(model.reads, source, rows, model.state, standardise=False)
        table = described and described.table
    else:
        table = inputs[read]
    return predicted(model.entry, model.arrays, table).astype(np.float32)
