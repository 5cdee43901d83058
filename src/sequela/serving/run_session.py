"""Prediction with the models of a run folder, without a file: baseline models need no torch."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sequela.errors import extra
from sequela.models.reference import ReferenceModel, predicted
from sequela.runs.model import TrainedEnsemble, TrainedModel, averaged, shapes_of, trained
from sequela.sequences.featurisers import Features
from sequela.serving import about as metadata
from sequela.serving.served import ServedModel, from_bytes


def load_run(path: Path, *, threads: int, trust_code: bool) -> ServedModel:
    """Load the model of a run; networks are exported in memory."""
    from sequela.serving.export import describe, exported, run_to_export  # a session needs none

    folder = run_to_export(path)
    model = trained(folder, trust_code=trust_code)
    if all(leaf.is_network for leaf in model.leaves):
        return from_bytes(exported(path, trust_code=trust_code), str(path), threads=threads)
    about = json.loads(metadata.as_text(describe(folder, model)))
    session: Any = RunSession(model)
    return ServedModel(str(path), about, session)


class RunSession:
    """An ``InferenceSession`` of a trained model: the part of its interface that is used here."""

    def __init__(self, model: TrainedModel | TrainedEnsemble) -> None:
        self.model = model
        if isinstance(model, TrainedEnsemble):
            self.members = [RunSession(member) for member in model.members]
        elif model.is_network:  # a member of an ensemble with baseline models
            with extra("export", "an ensemble with a network"):
                from sequela.serving.translate import Part
            self.network = Part(model, shapes_of(model))
        else:
            import sklearn.linear_model  # noqa: F401 - a second, before a server's first request

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the trained model."""
        return RunSession, (self.model,)

    def get_inputs(self) -> list[SimpleNamespace]:
        """Return name, type and shape of each input."""
        types = {"codes": "tensor(int64)", "lengths": "tensor(int64)"}
        return [
            SimpleNamespace(name=name, type=types.get(name, "tensor(float)"), shape=shape)
            for name, shape in shapes_of(self.model).items()
        ]

    def run(self, names: Sequence[str], inputs: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
        """Compute the probabilities."""
        model = self.model
        if isinstance(model, TrainedEnsemble):
            probabilities = [member.run(names, inputs)[0] for member in self.members]
            return [averaged(probabilities, model.header["mean"])]
        if isinstance(model.entry, ReferenceModel):
            table = _table(model, inputs)
            return [predicted(model.entry, model.arrays, table).astype(np.float32)]
        return [self.network.probabilities(inputs)]


def _table(model: TrainedModel, inputs: Mapping[str, NDArray[Any]]) -> Any:
    """Return the features that a baseline model reads: (example, column)."""
    (read,), rows = model.reads, np.arange(len(next(iter(inputs.values()))))
    if read in ("signal", "codes"):  # which such a model ignores
        return np.empty((len(rows), 0), np.float32)
    if "signal" not in inputs:
        return inputs[read]
    source = SimpleNamespace(signal=inputs["signal"], sfreq=model.header["sfreq"])
    features = Features.of(model.reads, source, rows, model.state, standardise=False)
    return features and features.table
