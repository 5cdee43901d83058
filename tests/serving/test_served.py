"""A file in use: without torch, and refused where it is not what was written."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from sequela import register
from sequela.datasets.catalog import EXCERPTS, load_recordings
from sequela.errors import DataError
from sequela.runs.folder import RunFolder
from sequela.runs.manifest import Manifest
from sequela.serving import load
from sequela.serving.export import exported, write_export
from sequela.serving.onnx_graph import file_of
from sequela.serving.served_model import EXPORTERS, from_bytes


def segments(n: int = 3) -> np.ndarray:
    recordings, _ = load_recordings("bonn", EXCERPTS / "bonn.parquet")
    return np.stack([each.signal[:, :178] for each in recordings[:n]]).astype(np.float32)


def test_it_says_what_must_be_known(run: Path, file: Path) -> None:
    about = load(file).about
    assert about["signal"] | {"scaling": None} == {
        "unit": "µV",
        "sfreq": 173.61,
        "n_chans": 1,
        "n_times": 178,
        "scaling": None,
        "channels": [],
        "any_length": False,
    }
    assert about["classes"][0] == "seizure"
    assert about["run"]["sha256"] == Manifest.read(run).seal
    assert about["training"]["licence"] == RunFolder(run).data["licence"]
    assert about["calibration"]["temperature"] > 0
    assert len(about["fingerprint"]["seen"]) < len(about["fingerprint"]["marks"]["units"])
    metrics = RunFolder(run).metrics
    assert about["cost"]["parameters"] == metrics["parameters"]
    assert about["cost"]["operations"] == metrics["operations"]
    assert "not a medical device" in about["intended_use"]
    listed = RunFolder(run).split.ids["recording"]
    assert not any(id_ in file.read_bytes().decode("latin-1") for id_ in listed["train"])


def test_the_same_run_gives_the_same_bytes(run: Path, file: Path) -> None:
    assert exported(run) == file.read_bytes()


def test_a_registered_form_is_written_compared_and_read(
    run: Path, file: Path, tmp_path: Path, no_data: Path
) -> None:
    register.exporter(
        "lab",
        lambda model, facts: b"lab" + file_of(model, facts),
        lambda content, name, threads: from_bytes(content.removeprefix(b"lab"), name, threads),
    )
    try:
        first, *_ = write_export(run, tmp_path / "network.lab")
        model = load(tmp_path / "network.lab")
    finally:
        del EXPORTERS["lab"]
    assert first.startswith("check on 1,000 examples of the run")
    expected = load(file).probabilities({"signal": segments()})
    assert np.array_equal(model.probabilities({"signal": segments()}), expected)


def test_conformal_sets(run: Path, file: Path) -> None:
    tuning = RunFolder(run).predictions.part("tuning")
    sets = load(file).sets(tuning.probabilities)
    assert sets[np.arange(len(sets)), tuning.label].mean() >= 0.85  # 90 % of each recording's


def without_metadata() -> bytes:
    x = helper.make_tensor_value_info("signal", TensorProto.FLOAT, ["n", 2])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 2])
    graph = helper.make_graph([helper.make_node("Identity", ["signal"], ["y"])], "other", [x], [y])
    opsets = [helper.make_opsetid("", 20)]
    return bytes(helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString())


def other_opset(given: bytes) -> bytes:
    model = onnx.load_from_string(given)
    model.opset_import[0].version = 99
    return bytes(model.SerializeToString())


@pytest.mark.parametrize(
    ("how", "words"),
    [
        (lambda _: without_metadata(), "without sequela's metadata"),
        (lambda whole: whole[: len(whole) // 2], "cut short"),
        (lambda whole: whole.replace(b"seizure", b"SEIZURE", 1), "was edited"),
        (lambda whole: whole.replace(b"seizure", b"seiz\xffre", 1), "was edited"),
        (other_opset, "was edited"),
        (lambda _: b"not a model\n", "not an ONNX model"),
        (lambda _: b"", "not an ONNX model"),
    ],
)
def test_another_file_is_refused(
    how: Callable[[bytes], bytes], words: str, file: Path, tmp_path: Path
) -> None:
    (tmp_path / "other.onnx").write_bytes(how(file.read_bytes()))
    with pytest.raises(DataError, match=words) as error:
        load(tmp_path / "other.onnx")
    assert str(tmp_path / "other.onnx") in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((1, 1, 177), np.float32), "1 x 1 x 177: expected batch x 1 x 178"),
        (np.full((1, 1, 178), np.nan, np.float32), "not finite"),
        (np.zeros((1, 1, 178), "U1"), "expected numbers"),
        (np.zeros(178, np.float32), "expected batch x 1 x 178"),
    ],
)
def test_a_wrong_input_is_refused(array: np.ndarray, words: str, file: Path) -> None:
    with pytest.raises(DataError, match=words):
        load(file).probabilities({"signal": array})
