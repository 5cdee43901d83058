"""Each registered model in use says what its run says: as a graph, or by scikit-learn."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tests.docs.conftest import DOCS
from tests.test_docs import fences

from sequela.datasets.catalog import Modality
from sequela.errors import DataError, ModelError, RunError, SettingError
from sequela.models import reference as references
from sequela.models.reference import REFERENCE_MODELS, ReferenceModel
from sequela.models.registry import MODELS, ModelEntry
from sequela.models.spectral import SpectralMLP, SpectralMLPConfig
from sequela.runs.data import Examples
from sequela.runs.model import (
    BaselineModel,
    MeanModel,
    NetworkModel,
    Predictor,
    TrainedModel,
    as_json,
)
from sequela.runs.signals import Recordings
from sequela.sequences.intervals import Intervals
from sequela.serving import export
from sequela.serving.model_facts import ModelFacts, RecordsFacts, packed
from sequela.serving.onnx_graph import graph_of
from sequela.serving.sequence_inputs import inputs_of
from sequela.serving.served_model import OnnxModel, ServedModel

TOLERANCE = 1e-5
ROWS = np.arange(0, 4000, 10)
SIGNAL = [name for name, entry in MODELS.items() if entry.reads_of(Modality.EEG)]
RECORDS = [name for name, entry in MODELS.items() if entry.reads_of(Modality.RECORDS)]
REFERENCES = [name for name, entry in REFERENCE_MODELS.items() if entry.reads_of(Modality.RECORDS)]
OF_SIGNALS = [name for name, entry in REFERENCE_MODELS.items() if entry.reads_of(Modality.EEG)]


def served(model: TrainedModel, about: dict[str, Any]) -> ServedModel:
    predictor: Predictor = model
    if all(isinstance(leaf, NetworkModel) for leaf in model.leaves):
        predictor = OnnxModel("a graph", graph_of(model).SerializeToString())
    found = ServedModel("a graph", about, predictor)
    records = RecordsFacts.model_construct(**about.get("records", {}))
    rest = {"classes": model.header["classes"], "features": about.get("features")}
    vars(found)["facts"] = ModelFacts.model_construct(records=records, **rest)  # all that is needed
    return found


def network(name: str, data: Examples) -> tuple[NetworkModel, Any]:
    """A network with random weights, its scales learnt; and what it reads."""
    entry = MODELS[name]
    kind = Modality.EEG if name in SIGNAL else Modality.RECORDS
    reads = entry.reads_of(kind)
    assert reads is not None
    given = data.inputs(reads)
    config = entry.config(**{n: s for n, s in given.shape.items() if n in entry.config().__dict__})
    torch.manual_seed(1)
    built = entry.build(config)
    if hasattr(built, "fit_scales"):
        built.fit_scales(b.inputs for b in given.loader("train", 512))  # type: ignore[operator]
    state = {k: torch.from_numpy(np.array(v)) for k, v in given.state.items()}
    header = {"model": name, "reads": list(reads), "config": as_json(config), **data.header}
    return NetworkModel(header, {**built.state_dict(), **state}), given


def reference(
    name: str, table: NDArray[np.float32], header: dict[str, Any], *, timed: bool = False
) -> BaselineModel:
    entry = REFERENCE_MODELS[name]
    kind = Modality.EEG if "n_times" in header else Modality.RECORDS
    reads = entry.reads_of(kind)
    assert reads is not None
    n, classes = len(table), len(header["classes"])
    score = np.nan_to_num(table[:, ::7]).sum(1) if table.shape[1] else np.arange(n)
    labels = np.argsort(np.argsort(score)) * classes // n  # equally many of each class
    rows = np.arange(n)
    examples = references.Examples(table, labels, rows[rows % 4 > 0], rows[rows % 4 == 0], classes)
    if timed:  # a third of those with a high score has the event in 20 days, a third a rival one
        event = np.where(labels > 0, rows % 6 % 3, 0)
        days = (1 + rows % 20).astype(np.float64)
        times = references.Times(days, event, Intervals((7, 14), 2))
        examples = replace(examples, times=times, n_classes=5)
    arrays = {
        k: torch.from_numpy(np.array(v)) for k, v in references.fitted(entry, examples, 0).items()
    }
    return BaselineModel({"model": name, "reads": list(reads), **header}, arrays)


def some(data: Recordings) -> Recordings:
    """Two hundred of the segments."""
    kept = np.isin(np.arange(len(data.part)), ROWS[::2])
    return replace(data, arrays=data.arrays.where(kept), part=data.part[kept])


def scaled(data: Recordings) -> torch.Tensor:
    return torch.from_numpy(data.scaling.apply(data.arrays.signal))


def short(data: Examples) -> Any:
    """Segments of Bonn as recordings of 1,068 samples, six of the usual after each other."""
    signal = data.arrays.signal
    return signal[: 6 * 200].reshape(200, 6, 1, 178).swapaxes(1, 2).reshape(200, 1, -1)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] * name.endswith("large"))
        for name in SIGNAL
        if name != "recording-attention"
    ],
)
def test_a_network_of_a_signal(name: str, bonn: Recordings) -> None:
    model, _ = network(name, bonn)
    said = served(model, {}).probabilities({"signal": bonn.arrays.signal[ROWS]})
    with torch.inference_mode():
        known = model.module()(scaled(bonn)[ROWS]).softmax(1).numpy()
    assert len(said) == 400
    assert np.abs(said - known).max() <= TOLERANCE
    assert known.std(0).min() > TOLERANCE  # it does not say the same of all


@pytest.mark.slow
def test_attention_to_recordings(bonn: Recordings) -> None:
    entry, signal = MODELS["recording-attention"], short(bonn)
    torch.manual_seed(0)
    config = entry.config(n_times=signal.shape[2])
    built = entry.build(config).eval()
    header = {**bonn.header, "n_times": signal.shape[2], "config": as_json(config)}
    header |= {"model": "recording-attention", "reads": ["signal"]}
    inputs = torch.from_numpy(bonn.scaling.apply(signal))
    built.fit_scales([(inputs,)])  # type: ignore[operator]
    model = NetworkModel(header, built.state_dict())
    said = served(model, {}).probabilities({"signal": signal})
    with torch.inference_mode():
        known = built(inputs).softmax(1).numpy()
    assert np.abs(said - known).max() <= TOLERANCE
    assert known.std(0).min() > TOLERANCE


def test_segments_of_several_lengths(bonn: Recordings) -> None:
    model, _ = network("gru-improved", bonn)
    signal = np.array(bonn.arrays.signal[:6])
    lengths = np.array([178, 1, 60, 100, 177, 20])
    said = served(model, {}).probabilities({"signal": signal, "lengths": lengths})
    built = model.module()
    for row, length in enumerate(lengths.tolist()):
        with torch.inference_mode():
            known = built(scaled(bonn)[[row], :, :length]).softmax(1).numpy()
        assert np.abs(said[row] - known).max() <= TOLERANCE


def custom(model: NetworkModel, made: type[Any]) -> NetworkModel:
    """The model as of a class that is not of the package."""
    other = replace(model)
    vars(other)["entry"] = ModelEntry(model.reads, made, made.__name__)
    return other


def test_a_custom_network_of_a_signal(bonn: Recordings) -> None:
    class Other(SpectralMLP):
        def __init__(self, **sizes: Any) -> None:
            super().__init__(SpectralMLPConfig(**sizes))

        def forward(self, signal: torch.Tensor) -> torch.Tensor:
            return -super().forward(signal)

    class Strange(Other):
        def forward(self, signal: torch.Tensor) -> torch.Tensor:
            return super().forward(torch.special.i0(signal))

    model = custom(network("spectral-mlp", bonn)[0], Other)
    said = served(model, {}).probabilities({"signal": bonn.arrays.signal[ROWS]})
    with torch.inference_mode():
        known = model.module()(scaled(bonn)[ROWS]).softmax(1).numpy()
    assert np.abs(said - known).max() <= TOLERANCE
    with pytest.raises(ModelError, match="cannot be exported: Exporting the operator 'aten::i0'"):
        graph_of(custom(model, Strange))


def test_a_custom_network_of_records(stays: Examples) -> None:
    page: dict[str, Any] = {}
    exec(fences(DOCS / "predict.md", "python", "Your own network")[0], page)  # noqa: S102 - the page's own
    given = stays.inputs(page["Visits"].reads)
    sizes = {name: given.shape[name] for name in ("n_channels", "n_static", "n_outputs")}
    header = {"model": "a.py:Visits", "reads": page["Visits"].reads, "config": sizes}
    tensors = {k: torch.from_numpy(np.array(v)) for k, v in given.state.items()}
    weights = page["Visits"](**sizes).state_dict()
    model = custom(NetworkModel({**header, **stays.header}, weights | tensors), page["Visits"])
    known, asked = given.probabilities(model.module()), served(model, {})
    said = asked.probabilities(inputs_of(asked, stays.arrays, np.arange(len(known))))
    assert np.abs(said - known).max() <= TOLERANCE
    unlike = type("Unlike", (page["Visits"],), {"forward": page["Visits"].forward})
    with pytest.raises(ModelError, match="Unlike has no method 'padded'"):
        graph_of(custom(model, unlike))


def test_a_translation_prints_nothing(bonn: Recordings, capfd: pytest.CaptureFixture[str]) -> None:
    graph_of(network("gru-improved", bonn)[0])
    assert capfd.readouterr() == ("", "")


def test_a_file_that_differs_from_its_run_is_not_written(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SEQUELA_DATA", raising=False)
    monkeypatch.setattr(export, "TOLERANCE", -1.0)
    with pytest.raises(RunError, match=r"differs from the run by .* nothing is written"):
        export.write_export(run, tmp_path / "model.onnx")

    def fixed(*_: object) -> None:
        raise DataError("damaged")

    monkeypatch.setattr(export, "_compare", fixed)
    with pytest.raises(RunError, match="does it loop over steps in Python"):
        export.write_export(run, tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", RECORDS)
def test_a_network_of_records(name: str, stays: Examples) -> None:
    model, given = network(name, stays)
    known = given.probabilities(model.module())
    sequences = stays.arrays
    about = {"records": {"vocabulary": sequences.vocabulary}, "features": features(model)}
    asked = served(model, about)
    pieces = np.array_split(np.arange(len(known)), 4)
    said = np.concatenate([asked.probabilities(inputs_of(asked, sequences, p)) for p in pieces])
    assert np.abs(said - known).max() <= TOLERANCE
    assert known.std(0).min() > TOLERANCE


def features(model: NetworkModel) -> dict[str, str]:
    return {
        read: packed(
            {
                name.removeprefix(f"{read}:"): array
                for name, array in model.state.items()
                if name.startswith(f"{read}:") and ":column " not in name
            }
        )
        for read in model.reads
        if read.startswith("features:")
    }


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] * (n == "minirocket")) for n in OF_SIGNALS]
)
def test_a_reference_model_of_a_signal(name: str, bonn: Recordings) -> None:
    entry = REFERENCE_MODELS[name]
    reads = entry.reads_of(Modality.EEG)
    assert reads is not None
    bonn = some(bonn)
    given = bonn.inputs(reads, standardise=False)
    if name == "minirocket":
        pytest.importorskip("sktime")
    table = np.asarray(given.features)
    model = reference(name, table, bonn.header)
    state = {k: torch.from_numpy(np.array(v)) for k, v in given.state.items()}
    model = BaselineModel(model.header, {**model.tensors, **state})
    known = model.of_inputs(given)
    said = served(model, {}).probabilities({"signal": bonn.arrays.signal})
    assert np.abs(said - known).max() <= TOLERANCE


@pytest.mark.parametrize("timed", [False, True], ids=["classes", "times"])
@pytest.mark.parametrize("name", REFERENCES)
def test_a_reference_model_of_records(name: str, *, timed: bool) -> None:
    """On measurements to one decimal, a tenth of them unknown: thresholds of trees fall on them."""
    rng = np.random.default_rng(3)
    table = rng.normal(0, 9, (2000, 6)).round(1).astype(np.float32)
    if "boosting" in name or "summaries" in name:
        table[rng.random(table.shape) < 0.1] = np.nan
    if name == "cox" and not timed:
        with pytest.raises(SettingError, match="name the days to predict for with --horizons"):
            reference(name, table, {"classes": ["no", "yes"]})
        return
    reads = REFERENCE_MODELS[name].reads_of(Modality.RECORDS)
    assert reads is not None
    if reads == ("codes",):
        table = table[:, :0]
    classes = ["no", "a", "b", "c", "d"] if timed else ["no", "yes"]
    model = reference(name, table, {"classes": classes}, timed=timed)
    only: Any = SimpleNamespace(features=table)
    known = model.of_inputs(only)
    about = {"records": {"vocabulary": ["UNKNOWN", "a"]}}
    codes = np.zeros((len(table), 1, 1), np.int64)
    given = {"codes": codes} if reads == ("codes",) else {reads[0]: table}
    said = served(model, about).probabilities(given)
    assert np.abs(said - known).max() <= TOLERANCE


@pytest.mark.parametrize("mean", ["arithmetic", "geometric"])
@pytest.mark.parametrize("other", ["mlp-baseline", "logistic-regression"])
def test_an_ensemble(mean: str, other: str, bonn: Recordings) -> None:
    models = [member(name, bonn) for name in (other, "gru-baseline")]
    header = {**models[0].header, "mean": mean}
    model = MeanModel(header, tuple(models))
    bonn = some(bonn)
    said = served(model, {}).probabilities({"signal": bonn.arrays.signal})
    known = model.probabilities_of(bonn)
    assert np.abs(said - known).max() <= TOLERANCE


def member(name: str, bonn: Recordings) -> NetworkModel | BaselineModel:
    if name in SIGNAL:
        return network(name, bonn)[0]
    given = some(bonn).inputs(REFERENCE_MODELS[name].reads[:1], standardise=False)
    model = reference(name, np.asarray(given.features), bonn.header)
    state = {key: torch.from_numpy(np.array(array)) for key, array in given.state.items()}
    return replace(model, tensors={**model.tensors, **state})


def test_every_model_is_asked() -> None:
    asked = {*SIGNAL, *RECORDS, *REFERENCES, *OF_SIGNALS}
    assert asked == {*MODELS, *REFERENCE_MODELS}
    assert all(isinstance(each, ModelEntry) for each in MODELS.values())
    assert all(isinstance(each, ReferenceModel) for each in REFERENCE_MODELS.values())
