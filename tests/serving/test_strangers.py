"""Forged ONNX files: refused in one line where they do not fit, and never wrong in silence."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import edfio
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from tests.serving.forging import ABOUT, GRAPH, parts_of, sealed, segments

from sequela.errors import DataError
from sequela.formats.sealed import EMPTY, seal
from sequela.serving import load, model_facts
from sequela.serving.predict import predict
from sequela.serving.scan import Scanning, scan
from sequela.serving.served_model import from_bytes

Change = Callable[[onnx.ModelProto], object]


def forged(file: Path, change: Change = lambda _: None, **entries: Any) -> bytes:
    """A file with another graph or other metadata, and the seal of the whole."""
    parts = parts_of(file.read_bytes())
    graph = onnx.load_from_string(parts[GRAPH])
    change(graph)
    said = json.loads(parts[ABOUT]) | entries
    return sealed(json.dumps(said).encode(), graph.SerializeToString())


def external(model: onnx.ModelProto) -> None:
    """A weight comes from a file in the current folder."""
    tensor = TensorProto(name="secret", data_type=TensorProto.FLOAT, dims=[5, 5])
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="secret.bin")
    model.graph.initializer.append(tensor)
    model.graph.node[-1].output[0] = "before"
    model.graph.node.append(helper.make_node("MatMul", ["before", "secret"], ["probabilities"]))


def last(kind: str, **attributes: Any) -> Change:
    """Another function of the probabilities."""

    def change(model: onnx.ModelProto) -> None:
        model.graph.node[-1].output[0] = "before"
        node = helper.make_node(kind, ["before"], ["probabilities"], **attributes)
        model.graph.node.append(node)

    return change


def of_type(model: onnx.ModelProto) -> None:
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.DOUBLE
    last("Cast", to=TensorProto.DOUBLE)(model)


def other_name(model: onnx.ModelProto) -> None:
    model.graph.output[0].name = "p"
    model.graph.node[-1].output[0] = "p"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (external, "a tensor in another file"),
        (last("Unheard"), "not an ONNX model for this version of ONNX Runtime"),
        (of_type, "its output is batch x 5; expected batch x 5 probabilities"),
        (other_name, "expected inputs and an output probabilities"),
    ],
)
def test_a_forged_graph_is_refused(
    change: Change, words: str, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "secret.bin").write_bytes(np.eye(5, dtype=np.float32).tobytes())
    path = tmp_path / "other.onnx"
    path.write_bytes(forged(file, change))
    with pytest.raises(DataError, match=words) as error:
        load(path)
    assert "\n" not in str(error.value)


def test_words_that_are_not_utf_8_are_refused(file: Path) -> None:
    model = file.read_bytes().replace(b"seizure", b"seiz\xffre", 1)
    begin = model.rfind(model_facts.SEAL.encode()) + len(model_facts.SEAL) + 2
    forgery = seal(model[:begin] + EMPTY.encode() + model[begin + len(EMPTY) :], model_facts.SEAL)
    with pytest.raises(DataError, match="damaged, or not an ONNX model for this version"):
        from_bytes(forgery, "forged.onnx")


ENTRIES = (
    "kind", "model", "title", "question", "intended_use", "classes", "features", "answers",
    "thresholds", "calibration", "training", "cost", "run", "fingerprint", "signal",
)  # fmt: skip
OTHERS: tuple[Any, ...] = (7, ["x"], {"x": [1]})


@pytest.mark.parametrize("value", OTHERS, ids=["number", "list", "object"])
@pytest.mark.parametrize("entry", ENTRIES)
def test_metadata_of_another_form_are_refused(entry: str, value: Any, file: Path) -> None:
    with pytest.raises(DataError, match="its metadata are damaged or of another version") as error:
        from_bytes(forged(file, **{entry: value}), "forged.onnx")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("entry", "changed"),
    [
        ("signal", {"n_chans": 2}),
        ("signal", {"n_times": 177}),
        ("signal", {"sfreq": 0}),
        ("signal", {"sfreq": float("nan")}),
        ("signal", {"unit": "mV"}),
        ("signal", {"scaling": {"mean": [0.0], "std": []}}),
        ("calibration", {"temperature": -1.0}),
        ("fingerprint", {"seen": [-1]}),
        ("training", {"name": None}),
    ],
)
def test_metadata_that_do_not_fit_are_refused(
    entry: str, changed: dict[str, Any], file: Path
) -> None:
    genuine = json.loads(parts_of(file.read_bytes())[ABOUT])
    with pytest.raises(DataError, match="metadata"):
        from_bytes(forged(file, **{entry: genuine[entry] | changed}), "forged.onnx")


@pytest.mark.parametrize("classes", [["a"], ["a"] * 5, ["a", "b"]])
def test_classes_that_are_not_those_of_the_graph_are_refused(
    classes: list[str], file: Path
) -> None:
    with pytest.raises(DataError):
        from_bytes(forged(file, classes=classes, answers=None), "forged.onnx")


@pytest.mark.parametrize("kind", ["Neg", "Exp", "Log", "Sqrt"])
def test_what_is_no_probability_is_refused_with_its_row(kind: str, file: Path) -> None:
    model = from_bytes(forged(file, last(kind)), "forged.onnx")
    with pytest.raises(DataError, match=r"for b it gives .*; expected probabilities, which sum"):
        model.probabilities({"signal": segments()[:1]}, ["b"])
    with pytest.raises(DataError, match="for example 1 it gives"):
        model.probabilities({"signal": segments()})


def test_our_own_model_and_a_finite_number_that_is_too_large(file: Path) -> None:
    signal = segments()
    signal[1] *= 1e18
    with pytest.raises(DataError, match="for example 2 it gives nan"):
        load(file).probabilities({"signal": signal})


def test_predict_and_scan_name_the_row_and_write_nothing(file: Path, tmp_path: Path) -> None:
    model = from_bytes(forged(file, last("Neg")), "forged.onnx")
    np.savez(tmp_path / "x.npz", signal=segments()[:, 0])
    how: dict[str, Any] = {"rate": 173.61, "samples": "signal", "unit": "uV"}
    with pytest.raises(DataError, match=r"for row 0000001 \S+ it gives"):
        predict(model, tmp_path / "x.npz", out=tmp_path / "out.parquet", **how)
    channel = edfio.EdfSignal(segments().ravel()[:512], 256, label="C3", physical_dimension="uV")
    edfio.Edf([channel]).write(tmp_path / "x.edf")
    with pytest.raises(DataError, match="for the window at 0 s it gives"):
        scan(model, tmp_path / "x.edf", Scanning())
    assert not (tmp_path / "out.parquet").exists()
