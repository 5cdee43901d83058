"""ONNX files of strangers: refused in one line, or ended by Ctrl-C, and never wrong in silence."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import edfio
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from tests.serving.forging import ABOUT, GRAPH, parts_of, sealed, segments

from sequela.config import RunSettings, SignalSettings, TrainingSettings
from sequela.errors import DataError
from sequela.runs.fit import train
from sequela.serving import load
from sequela.serving.predict import Asked, predict
from sequela.serving.scan import Scanning, scan
from sequela.serving.served import from_bytes

Change = Callable[[onnx.ModelProto], object]


def forged(file: Path, change: Change = lambda _: None, **about: Any) -> bytes:
    """A file with another graph or other metadata, and the seal of the whole."""
    parts = parts_of(file.read_bytes())
    graph = onnx.load_from_string(parts[GRAPH])
    change(graph)
    said = json.loads(parts[ABOUT]) | about
    return sealed(json.dumps(said).encode(), graph.SerializeToString())


def external(model: onnx.ModelProto) -> None:
    """The weights come from a file in the current folder."""
    constants = [node for node in model.graph.node if node.op_type == "Constant"]
    (attribute,) = constants[-1].attribute
    tensor = attribute.t
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="secret.bin")


def external_within(model: onnx.ModelProto) -> None:
    """The same in a tensor that is an attribute of a graph within the graph."""
    tensor = TensorProto(name="t", data_type=TensorProto.FLOAT, dims=[1])
    tensor.external_data.add(key="location", value="secret.bin")
    node = helper.make_node("Identity", ["x"], ["y"], value=tensor)
    inner = helper.make_graph([node], "inner", [], [])
    model.graph.node.append(helper.make_node("Scan", ["x"], ["y"], body=inner, num_scan_inputs=1))


def loop(model: onnx.ModelProto) -> None:
    body = helper.make_graph([], "body", [], [])
    model.graph.node.append(helper.make_node("Loop", ["", ""], ["z"], body=body))


def functions(model: onnx.ModelProto) -> None:
    node = helper.make_node("Identity", ["x"], ["y"])
    opsets = [helper.make_opsetid("", 20)]
    model.functions.append(helper.make_function("own", "F", ["x"], ["y"], [node], opsets))


def last(kind: str, **attributes: Any) -> Change:
    """Another function of the probabilities."""

    def change(model: onnx.ModelProto) -> None:
        model.graph.node[-1].output[0] = "before"
        node = helper.make_node(kind, ["before"], ["probabilities"], **attributes)
        model.graph.node.append(node)

    return change


def grown(model: onnx.ModelProto) -> None:
    """The input becomes 1.4 PB within the graph."""
    size = numpy_helper.from_array(np.array([2 * 10**12, 1, 178]), "size")
    model.graph.initializer.append(size)
    model.graph.node.insert(0, helper.make_node("Expand", ["signal", "size"], ["grown"]))
    first = next(n for n in model.graph.node if "signal" in n.input and n.op_type != "Expand")
    first.input[[*first.input].index("signal")] = "grown"


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
        (external_within, "a tensor in another file"),
        (loop, "the operation or domain 'Loop'"),
        (functions, "the graph has functions"),
        (last("RandomUniformLike"), "the operation or domain 'RandomUniformLike'"),
        (last("Softmax", domain="com.microsoft"), "the operation or domain 'com.microsoft'"),
        (of_type, "its output is batch x 5; expected batch x 5 probabilities"),
        (other_name, "expected inputs and an output probabilities"),
    ],
)
def test_a_graph_of_a_stranger_is_refused(
    change: Change, words: str, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "secret.bin").write_bytes(np.ones(10_000, np.float32).tobytes())
    path = tmp_path / "other.onnx"
    path.write_bytes(forged(file, change))
    for isolated in (False, True):
        with pytest.raises(DataError, match=words) as error:
            load(path, isolated=isolated)
        assert "\n" not in str(error.value)


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
    about = json.loads(parts_of(file.read_bytes())[ABOUT])
    with pytest.raises(DataError, match="metadata"):
        from_bytes(forged(file, **{entry: about[entry] | changed}), "forged.onnx")


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


@pytest.mark.slow
def test_our_own_model_and_a_finite_number_that_is_too_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SEQUELA_DATA", raising=False)
    training = TrainingSettings(epochs=1)
    train(RunSettings(model="spectral-mlp", data="bonn", training=training), tmp_path / "run")
    signal = segments()
    signal[1] *= 1e18
    with pytest.raises(DataError, match="for example 2 it gives nan"):
        load(tmp_path / "run").probabilities({"signal": signal})


def test_predict_and_scan_name_the_row_and_write_nothing(file: Path, tmp_path: Path) -> None:
    model = from_bytes(forged(file, last("Neg")), "forged.onnx")
    np.savez(tmp_path / "x.npz", signal=segments()[:, 0])
    given = Asked(
        tmp_path / "x.npz", signals=SignalSettings(rate=173.61, samples="signal", unit="uV")
    )
    with pytest.raises(DataError, match=r"for row 0000001 \S+ it gives"):
        predict(model, given, tmp_path / "out.parquet")
    channel = edfio.EdfSignal(segments().ravel()[:512], 256, label="C3", physical_dimension="uV")
    edfio.Edf([channel]).write(tmp_path / "x.edf")
    with pytest.raises(DataError, match="for the window at 0 s it gives"):
        scan(model, tmp_path / "x.edf", Scanning())
    assert not (tmp_path / "out.parquet").exists()


def test_a_process_of_its_own_gives_the_same(file: Path) -> None:
    given = {"signal": segments()}
    apart = load(file, isolated=True)
    assert apart.about == load(file).about
    assert (apart.probabilities(given) == load(file).probabilities(given)).all()
    apart.session.close()
    with pytest.raises(DataError, match="its process ended"):
        apart.probabilities(given)


def test_modules_in_the_current_folder_are_not_imported(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "numpy.py").write_text("raise SystemExit('imported')")
    monkeypatch.chdir(tmp_path)
    assert load(file, isolated=True).inputs


def test_too_much_memory_is_an_error_in_one_line(file: Path, tmp_path: Path) -> None:
    (tmp_path / "large.onnx").write_bytes(forged(file, grown))
    with pytest.raises(DataError, match=r"large.onnx: .*; export the run again") as error:
        load(tmp_path / "large.onnx", isolated=True).probabilities({"signal": segments()})
    assert "\n" not in str(error.value)


def endless(model: onnx.ModelProto) -> None:
    """Many products of large matrices, made of the input: minutes of work."""
    add = model.graph.initializer.append
    add(numpy_helper.from_array(np.array([0.0], np.float32), "zero"))
    add(numpy_helper.from_array(np.array([4000, 4000]), "large"))
    nodes = [
        helper.make_node("ReduceMean", ["signal"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["mean", "zero"], ["nothing"]),
        helper.make_node("Expand", ["nothing", "large"], ["m0"]),
        *(helper.make_node("MatMul", [f"m{i}", f"m{i}"], [f"m{i + 1}"]) for i in range(3000)),
        helper.make_node("ReduceMean", ["m3000"], ["rest"], keepdims=0),
        helper.make_node("Add", ["signal", "rest"], ["delayed"]),
    ]
    for node in model.graph.node:
        for place, name in enumerate(node.input):
            if name == "signal":
                node.input[place] = "delayed"
    for node in reversed(nodes):
        model.graph.node.insert(0, node)


@pytest.mark.parametrize(
    ("sent", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, -signal.SIGTERM)]
)
def test_a_computation_ends_when_it_is_interrupted(
    sent: signal.Signals, status: int, file: Path, tmp_path: Path
) -> None:
    (tmp_path / "slow.onnx").write_bytes(forged(file, endless))
    np.savez(tmp_path / "x.npz", signal=segments()[:, 0])
    command = [sys.executable, "-m", "sequela", "predict", "slow.onnx", "x.npz", "--rate", "173.61"]
    out = ["--samples", "signal", "--unit", "uV", "--out", "out.parquet"]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        [*command, *out], cwd=tmp_path, env=environment, stderr=subprocess.PIPE
    ) as process:
        worker = children(process.pid)
        time.sleep(1)  # it computes
        assert process.poll() is None, process.stderr and process.stderr.read()
        process.send_signal(sent)
        process.wait(10)
    assert process.returncode == status
    assert not (tmp_path / "out.parquet").exists()
    until = time.monotonic() + 10
    while any(Path(f"/proc/{each}").exists() for each in worker) and time.monotonic() < until:
        time.sleep(0.1)
    assert not any(Path(f"/proc/{each}").exists() for each in worker)


def children(parent: int) -> list[int]:
    """Wait until a process has a child, and return the children."""
    place = Path(f"/proc/{parent}/task/{parent}/children")
    while not place.read_text():
        time.sleep(0.1)
    return [int(each) for each in place.read_text().split()]
