"""Each registered model as a graph says what it says in torch or scikit-learn, on real inputs."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, Literal

import numpy as np
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray

from sequela.models.reference import REFERENCE_MODELS, Examples, ReferenceModel
from sequela.models.registry import MODELS, ModelEntry
from sequela.models.spectral import SpectralMLP, SpectralMLPSmall
from sequela.runs.data import RunData
from sequela.runs.model import TrainedEnsemble, TrainedModel, as_json
from sequela.runs.signals import SignalData
from sequela.serving.records import inputs_of
from sequela.serving.served import ServedModel
from sequela.serving.translate import _by_class, graph_of

TOLERANCE = 1e-5
ROWS = np.arange(0, 4000, 4)
SIGNAL = [name for name, entry in MODELS.items() if entry.reads_of("signal")]
RECORDS = [name for name, entry in MODELS.items() if entry.reads_of("records")]
REFERENCES = [name for name, entry in REFERENCE_MODELS.items() if entry.reads_of("records")]
OF_SIGNALS = [name for name, entry in REFERENCE_MODELS.items() if entry.reads_of("signal")]


def served(model: TrainedModel | TrainedEnsemble, about: dict[str, Any]) -> ServedModel:
    session = onnxruntime.InferenceSession(graph_of(model).SerializeToString())
    return ServedModel("a graph", {"classes": model.header["classes"], **about}, session)


def network(name: str, data: RunData) -> tuple[TrainedModel, Any]:
    """A network with random weights, its scales learnt; and what it reads."""
    entry = MODELS[name]
    kind: Literal["signal", "records"] = "signal" if name in SIGNAL else "records"
    reads = entry.reads_of(kind)
    assert reads is not None
    given = data.inputs(reads)
    config = entry.config(**{n: s for n, s in given.shape.items() if n in entry.config().__dict__})
    torch.manual_seed(1)
    built = entry.build(config)
    if hasattr(built, "fit_scales"):
        built.fit_scales(b.inputs for b in given.loader("train", 512))  # type: ignore[operator]
    state = {k: torch.from_numpy(np.array(v)) for k, v in given.state.items()}
    header = {"model": name, "reads": list(reads), "config": as_json(config), **data.header()}
    return TrainedModel(name, entry, header, {**built.state_dict(), **state}), given


def reference(name: str, table: NDArray[np.float32], header: dict[str, Any]) -> TrainedModel:
    entry = REFERENCE_MODELS[name]
    kind: Literal["signal", "records"] = "signal" if "n_times" in header else "records"
    reads = entry.reads_of(kind)
    assert reads is not None
    n, classes = len(table), len(header["classes"])
    score = np.nan_to_num(table[:, ::7]).sum(1) if table.shape[1] else np.arange(n)
    labels = np.argsort(np.argsort(score)) * classes // n  # equally many of each class
    rows = np.arange(n)
    examples = Examples(table, labels, rows[rows % 4 > 0], rows[rows % 4 == 0], classes)
    arrays = {k: torch.from_numpy(np.array(v)) for k, v in entry.fit(examples, 0).items()}
    return TrainedModel(name, entry, {"model": name, "reads": list(reads), **header}, arrays)


def some(data: RunData) -> SignalData:
    """Two hundred of the segments."""
    assert isinstance(data, SignalData)
    kept = np.isin(np.arange(len(data.part)), ROWS[::5])
    return replace(data, segments=data.segments.where(kept), part=data.part[kept])


def short(data: RunData) -> Any:
    """Segments of Bonn as recordings of 1,068 samples, six of the usual after each other."""
    signal = data.segments.signal  # type: ignore[attr-defined]
    return signal[: 6 * 200].reshape(200, 6, 1, 178).swapaxes(1, 2).reshape(200, 1, -1)


@pytest.mark.parametrize("name", [each for each in SIGNAL if each != "recording-attention"])
def test_a_network_of_a_signal(name: str, bonn: RunData) -> None:
    model, _ = network(name, bonn)
    said = served(model, {}).probabilities({"signal": bonn.segments.signal[ROWS]})  # type: ignore[attr-defined]
    with torch.inference_mode():
        known = model.network("a test")(bonn.scaled[ROWS]).softmax(1).numpy()  # type: ignore[attr-defined]
    assert len(said) == 1000
    assert np.abs(said - known).max() <= TOLERANCE
    assert known.std(0).min() > TOLERANCE  # it does not say the same of all


def test_attention_to_recordings(bonn: RunData) -> None:
    entry, signal = MODELS["recording-attention"], short(bonn)
    torch.manual_seed(0)
    config = entry.config(n_times=signal.shape[2])
    built = entry.build(config).eval()
    header = {**bonn.header(), "n_times": signal.shape[2], "config": as_json(config)}
    header |= {"model": "recording-attention", "reads": ["signal"]}
    scaled = torch.from_numpy(bonn.scaling.apply(signal))  # type: ignore[attr-defined]
    built.fit_scales([(scaled,)])  # type: ignore[operator]
    model = TrainedModel("recording-attention", entry, header, built.state_dict())
    said = served(model, {}).probabilities({"signal": signal})
    with torch.inference_mode():
        known = built(scaled).softmax(1).numpy()
    assert np.abs(said - known).max() <= TOLERANCE
    assert known.std(0).min() > TOLERANCE


def test_segments_of_several_lengths(bonn: RunData) -> None:
    model, _ = network("gru-improved", bonn)
    signal = np.array(bonn.segments.signal[:6])  # type: ignore[attr-defined]
    lengths = np.array([178, 1, 60, 100, 177, 20])
    said = served(model, {}).probabilities({"signal": signal, "lengths": lengths})
    built = model.network("a test")
    for row, length in enumerate(lengths.tolist()):
        with torch.inference_mode():
            known = built(bonn.scaled[[row], :, :length]).softmax(1).numpy()  # type: ignore[attr-defined]
        assert np.abs(said[row] - known).max() <= TOLERANCE


def test_a_network_that_computes_something_else_has_no_translation() -> None:
    class Other(SpectralMLP):
        def forward(self, signal: torch.Tensor) -> torch.Tensor:
            return -super().forward(signal)

    known: dict[type[torch.nn.Module], Any] = {SpectralMLP: "its translation"}
    assert _by_class(known, SpectralMLPSmall.__new__(SpectralMLPSmall)) == "its translation"
    assert _by_class(known, Other.__new__(Other)) is None


@pytest.mark.parametrize("name", RECORDS)
def test_a_network_of_records(name: str, stays: RunData) -> None:
    model, given = network(name, stays)
    known = given.probabilities(model.network("a test"))
    sequences = stays.sequences  # type: ignore[attr-defined]
    about = {"records": {"vocabulary": sequences.vocabulary}, "features": features(model)}
    asked = served(model, about)
    pieces = np.array_split(np.arange(len(known)), 4)
    said = np.concatenate([asked.probabilities(inputs_of(asked, sequences, p)) for p in pieces])
    assert np.abs(said - known).max() <= TOLERANCE
    assert known.std(0).min() > TOLERANCE


def features(model: TrainedModel) -> dict[str, str]:
    from sequela.serving.export import _features

    return _features(model)


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] * (n == "minirocket")) for n in OF_SIGNALS]
)
def test_a_reference_model_of_a_signal(name: str, bonn: RunData) -> None:
    entry = REFERENCE_MODELS[name]
    reads = entry.reads_of("signal")
    assert reads is not None
    bonn = some(bonn)
    given = bonn.inputs(reads, standardise=False)
    if name == "minirocket":
        pytest.importorskip("sktime")
    table = np.asarray(given.features)
    model = reference(name, table, bonn.header())
    state = {k: torch.from_numpy(np.array(v)) for k, v in given.state.items()}
    model = TrainedModel(name, entry, model.header, {**model.tensors, **state})
    known = model.probabilities(given)
    said = served(model, {}).probabilities({"signal": bonn.segments.signal})
    assert np.abs(said - known).max() <= TOLERANCE


@pytest.mark.parametrize("name", REFERENCES)
def test_a_reference_model_of_records(name: str) -> None:
    """On measurements to one decimal, a tenth of them unknown: thresholds of trees fall on them."""
    rng = np.random.default_rng(3)
    table = rng.normal(0, 9, (2000, 6)).round(1).astype(np.float32)
    if "boosting" in name or "summaries" in name:
        table[rng.random(table.shape) < 0.1] = np.nan
    reads = REFERENCE_MODELS[name].reads_of("records")
    assert reads is not None
    if reads == ("codes",):
        table = table[:, :0]
    model = reference(name, table, {"classes": ["no", "yes"]})
    known = model.probabilities(SimpleNamespace(features=table))
    about = {"records": {"vocabulary": ["UNKNOWN", "a"]}}
    codes = np.zeros((len(table), 1, 1), np.int64)
    given = {"codes": codes} if reads == ("codes",) else {reads[0]: table}
    said = served(model, about).probabilities(given)
    assert np.abs(said - known).max() <= TOLERANCE


@pytest.mark.parametrize("mean", ["arithmetic", "geometric"])
def test_an_ensemble(mean: str, bonn: RunData) -> None:
    models = [network(name, bonn)[0] for name in ("mlp-baseline", "gru-baseline")]
    header = {**models[0].header, "mean": mean}
    model = TrainedEnsemble(header, tuple(models))
    bonn = some(bonn)
    said = served(model, {}).probabilities({"signal": bonn.segments.signal})
    known = model.probabilities_of(bonn)
    assert np.abs(said - known).max() <= TOLERANCE


def test_every_model_is_asked() -> None:
    asked = {*SIGNAL, *RECORDS, *REFERENCES, *OF_SIGNALS}
    assert asked == {*MODELS, *REFERENCE_MODELS}
    assert all(isinstance(each, ModelEntry) for each in MODELS.values())
    assert all(isinstance(each, ReferenceModel) for each in REFERENCE_MODELS.values())
