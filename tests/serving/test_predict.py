"""Recordings without labels: what a model says of them, and what it refuses."""

import csv
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import edfio
import numpy as np
import pandas as pd  # type: ignore[import-untyped]
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy.signal import resample_poly
from tests.cli.calls import ran, refusal
from tests.serving.test_served import without_metadata

from sequela.datasets.catalog import EXCERPTS, Recording
from sequela.errors import (
    DataError,
    DataNotFoundError,
    OutputError,
    RunError,
    SequelaError,
    SettingError,
)
from sequela.runs.folder import RunFolder
from sequela.serving import load
from sequela.serving.predict import Predicted, predict
from sequela.serving.prediction_table import listed_path
from sequela.signals.uci_seizure import CHUNK_TIMES

OPTIONS = (
    *("--data", "signals", "--id", "name", "--samples", "X*"),
    *("--rate", "173.61", "--unit", "uV"),
)
OWN: dict[str, Any] = {"id": "name", "samples": "X*", "rate": 173.61, "unit": "µV"}
TABLES = {"data": "signals", **OWN}

WITHOUT_TORCH = """
import sys
sys.modules["torch"] = None  # as where it is not installed
from sequela.cli.app import main
main(sys.argv[1:])
"""


def without_torch(*words: str | Path) -> dict[str, Any]:
    """Predict where torch is not installed; what is said as JSON."""
    command = [sys.executable, "-c", WITHOUT_TORCH, "predict", *map(str, words), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def asked(model: Path, path: Path | None, out: Path, **how: Any) -> Predicted:
    return predict(model, path, out=out, **how)


def table_of(out: Path) -> pd.DataFrame:
    found: pd.DataFrame = pq.read_table(out).to_pandas()
    return found


def listed(out: Path, what: str) -> list[dict[str, str]]:
    with listed_path(out).open(encoding="utf-8", newline="") as file:
        return [row for row in csv.DictReader(file) if row["what"] == what]


def segments(recordings: Sequence[Recording]) -> pd.DataFrame:
    """A row a segment, the first of each recording."""
    rows = {each.recording_id: each.signal[0, :CHUNK_TIMES] for each in recordings}
    return pd.DataFrame.from_dict(rows, "index", columns=[f"X{n}" for n in range(1, 179)])


@pytest.fixture
def own(excerpt: dict[str, Recording], tmp_path: Path) -> Path:
    """A table of 40 segments, in no order, without a class; one lacks a sample."""
    some = [*excerpt.values()][::10][::-1]
    table = segments(some)
    table.iloc[7, 20] = np.nan
    path = tmp_path / "own.csv"
    table.to_csv(path, index_label="name")
    return path


def of_run(run: Path, out: Path) -> tuple[float, pd.DataFrame]:
    """The greatest difference from what the run says, and both tables side by side."""
    known = RunFolder(run).predictions
    said = table_of(out).set_index("id")
    columns = [f"p_{k}" for k in range(len(known.classes))]
    both = said.loc[known.example_id.tolist()]
    held_out = known.split != "tuning"  # which were said before a model is trained once more
    apart = np.abs(both[columns].to_numpy() - known.probabilities)[held_out].max()
    return float(apart), both


@pytest.mark.parametrize("which", ["file", "baseline"])
def test_bonn_is_said_as_the_run_says_it(
    which: str, run: Path, file: Path, baseline: Path, tmp_path: Path, no_data: Path
) -> None:
    out = tmp_path / "said.parquet"
    model, run = {"file": (file, run), "baseline": (baseline, baseline)}[which]
    found = asked(model, None, out, data="bonn")
    apart, both = of_run(run, out)
    assert apart <= 1e-5
    known = RunFolder(run).predictions
    assert pq.read_schema(out).names == pq.read_schema(run / "predictions.parquet").names
    assert len(table_of(out)) == known.n_examples
    assert both["group"].tolist() == known.group_id.tolist()
    assert both["label"].isna().all()
    # Who trained or tuned the model is known by fingerprint, and nobody else is.
    seen = known.split != "held_out"
    assert (both["split"].to_numpy() == np.where(seen, "train", "held_out")).all()
    assert found.known == seen.sum() == len(listed(out, "known"))
    metadata = pq.read_schema(out).metadata
    assert json.loads(metadata[b"sequela.classes"]) == list(known.classes)
    assert b"internal" in metadata[b"sequela.internal"]
    assert json.loads(metadata[b"sequela.report"])["scored"] == known.n_examples


def test_a_table_keeps_its_order_and_lists_the_rest(file: Path, own: Path, tmp_path: Path) -> None:
    out = tmp_path / "said.parquet"
    found = asked(file, own, out, **TABLES)
    table = pd.read_csv(own, index_col="name")
    lacking = table.index[7]
    kept = table.drop(index=lacking)
    said = table_of(out)
    assert said["id"].tolist() == [f"{name}/01" for name in kept.index]
    direct = load(file).probabilities({"signal": kept.to_numpy(np.float32)[:, np.newaxis]})
    np.testing.assert_allclose(said.filter(like="p_").to_numpy(), direct, atol=1e-6)
    (row,) = listed(out, "not scored")
    assert (row["id"], row["place"]) == (f"{lacking}/01", f"{own} row 8")
    assert "missing" in row["reason"]
    assert found.report["scored"] == 49
    assert found.report["not_scored"] == {row["reason"]: 1}
    assert any("not scored: 1" in line for line in found.sentences)


def test_the_name_decides_the_format(file: Path, own: Path, tmp_path: Path) -> None:
    for name in ("said.csv", "SAID.CSV"):
        found = asked(file, own, tmp_path / name, **TABLES)
        assert len(pd.read_csv(tmp_path / name)) == found.report["scored"]
    asked(file, own, tmp_path / "of.csv.parquet", **TABLES)
    assert len(table_of(tmp_path / "of.csv.parquet")) == found.report["scored"]
    for name in ("said.xlsx", "said"):
        with pytest.raises(OutputError, match=r"expected a name that ends in \.parquet or \.csv"):
            asked(file, own, tmp_path / name, **TABLES)


def test_csv_holds_no_formulas(file: Path, own: Path, tmp_path: Path) -> None:
    table = pd.read_csv(own, index_col="name")
    names = ["=cmd|' /C calc'!A0", "+1+1", "-2+3", "@SUM(A1)", "-5", "7", *table.index[6:]]
    table.index = pd.Index(names, name="name")
    table.iloc[1, 3] = np.nan
    table.to_csv(own)
    asked(file, own, tmp_path / "said.csv", **TABLES)
    ids = pd.read_csv(tmp_path / "said.csv", dtype=str)["id"].tolist()
    assert ids[:5] == ["'=cmd|' /C calc'!A0/01", "'-2+3/01", "'@SUM(A1)/01", "'-5/01", "7/01"]
    assert listed(tmp_path / "said.csv", "not scored")[0]["id"] == "'+1+1/01"
    asked(file, own, tmp_path / "said.parquet", **TABLES)
    assert table_of(tmp_path / "said.parquet")["id"][0] == "=cmd|' /C calc'!A0/01"


def test_a_flat_row_is_scored_and_said(file: Path, own: Path, tmp_path: Path) -> None:
    table = pd.read_csv(own, index_col="name")
    table.iloc[3] = 5
    table.to_csv(own, index_label="name")
    found = asked(file, own, tmp_path / "said.parquet", **TABLES)
    assert found.report["scored"] == 49
    assert "windows with a flat channel (one value throughout): 1" in found.sentences


def test_a_recording_that_has_only_the_name_of_one_is_not_known(
    run: Path, excerpt: dict[str, Recording], tmp_path: Path
) -> None:
    noise = np.random.default_rng(0).normal(0, 50, (len(excerpt), CHUNK_TIMES))
    names = [f"X{n}" for n in range(1, 179)]
    path, out = tmp_path / "noise.csv", tmp_path / "said.parquet"
    pd.DataFrame(noise, [*excerpt], names).to_csv(path, index_label="name")
    assert asked(run, path, out, **TABLES).known == 0
    assert (table_of(out)["split"] == "held_out").all()


def test_short_rows_subjects_and_recordings(
    file: Path, excerpt: dict[str, Recording], tmp_path: Path
) -> None:
    signals = [each.signal[0, :400].tolist() for each in [*excerpt.values()][:6]]
    signals[2] = signals[2][:100]
    table = {
        "person": ["a", "b", "a", "c", "b", "c"],
        "record": ["r1", "r2", "r3", "r4", "r2", "r4"],
        "eeg": signals,
    }
    pq.write_table(pa.table(table), tmp_path / "own.parquet")
    how: dict[str, Any] = {"subject": "person", "recording": "record", "rate": 173.61, "unit": "uV"}
    out = tmp_path / "said.parquet"
    found = asked(file, tmp_path / "own.parquet", out, data="signals", **how)
    said = table_of(out)
    assert said["id"].tolist() == [
        *("r1/01", "r1/02", "r2/01", "r2/02", "r4/01", "r4/02"),
        *("r2/03", "r2/04", "r4/03", "r4/04"),  # counted on, where a recording comes again
    ]
    assert said["group"].tolist() == said["subject"].tolist() == list("aabbccbbcc")
    (row,) = listed(out, "not scored")
    assert row["place"].endswith("row 3")
    assert "fewer samples" in row["reason"]
    assert any("220 samples at the ends" in line for line in found.sentences)


def test_pieces_give_what_the_whole_gives(
    file: Path, tmp_path: Path, no_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = EXCERPTS / "bonn.parquet"
    asked(file, path, tmp_path / "whole.parquet", data="bonn")
    monkeypatch.setattr("sequela.serving.signal_input._NUMBERS", 20_000)
    monkeypatch.setattr("sequela.serving.prediction_table._ROWS", 1000)
    model, sizes = load(file), []
    ask = type(model).probabilities

    def counted(self: Any, inputs: Any, names: Any) -> Any:
        sizes.append(inputs["signal"].size)
        return ask(self, inputs, names)

    monkeypatch.setattr(type(model), "probabilities", counted)
    predict(model, path, out=tmp_path / "pieces.parquet", data="bonn")
    assert max(sizes) <= 20_000  # however many there are
    whole, pieces = (table_of(tmp_path / f"{each}.parquet") for each in ("whole", "pieces"))
    pd.testing.assert_frame_equal(pieces, whole, atol=1e-6)


@pytest.fixture
def night(excerpt: dict[str, Recording], tmp_path: Path) -> Path:
    """A folder of EDF files at 256 Hz with two channels."""
    folder = tmp_path / "night"
    folder.mkdir()
    for number, each in enumerate([excerpt["S001"], excerpt["Z001"]], 1):
        signal = resample_poly(each.signal[0], 25600, 17361)[: 256 * 20]
        channels = [
            edfio.EdfSignal(signal, 256, label="EEG Fz", physical_dimension="uV"),
            edfio.EdfSignal(signal[::-1], 256, label="EEG Cz", physical_dimension="uV"),
        ]
        edfio.Edf(channels).write(folder / f"night{number}.edf")
    return folder


def test_a_folder_of_edf_files(file: Path, night: Path, tmp_path: Path) -> None:
    out = tmp_path / "said.parquet"
    how: dict[str, Any] = {"channels": ("Fz",), "resample": 173.61}
    found = asked(file, night, out, **how)  # the files say that they are signals
    said = table_of(out)
    assert said["id"].tolist() == [f"night{file}/{n:02d}" for file in (1, 2) for n in range(1, 20)]
    assert any("resampled from 256 Hz" in line for line in found.sentences)
    asked(file, night / "night1.edf", out, **how, stride=178 / 173.61 / 2)
    overlapping = table_of(out)
    np.testing.assert_allclose(overlapping["p_0"][::2], said["p_0"][:19], atol=1e-4)


def test_drift_is_said(file: Path, tmp_path: Path, no_data: Path, own: Path) -> None:
    same = asked(file, None, tmp_path / "a.parquet", data="bonn")
    assert max(same.report["drift"]["stability"].values()) < 0.25
    assert any("no drift in" in line for line in same.sentences)
    assert not any("check unit" in line for line in same.sentences)
    few = asked(file, own, tmp_path / "b.parquet", **TABLES)
    assert few.report["drift"]["stability"] is None
    table = pd.concat([pd.read_csv(own, index_col="name") * 1000] * 3)
    table.index = pd.Index([f"n{n}" for n in range(len(table))])
    table.to_csv(own, index_label="name")
    other = asked(file, own, tmp_path / "c.parquet", **TABLES)
    (channel,) = other.report["drift"]["channels"]
    assert channel["deviation"] > 100 * channel["training_deviation"]
    assert max(other.report["drift"]["stability"].values()) > 0.25
    assert any("check unit" in line for line in other.sentences)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"rate": 256.0}, "has 256 Hz, but .* reads 173.61 Hz"),
        ({"rate": None}, "give --rate"),
        ({"unit": None}, "add --unit"),
        ({"samples": "Y*"}, r"no column is named 'Y\*'"),
        ({"id": "nme"}, "no column 'nme'.*is it 'name'"),
        ({"samples": "{channel}*", "channels": ("X", "X")}, "has 2 channel"),
    ],
)
def test_another_signal_is_refused(
    changes: dict[str, Any], words: str, file: Path, own: Path, tmp_path: Path
) -> None:
    said = {k: v for k, v in {**OWN, **changes}.items() if v}
    with pytest.raises((SettingError, DataError), match=words):
        asked(file, own, tmp_path / "o.parquet", data="signals", **said)
    assert {each.name for each in tmp_path.iterdir()} == {"own.csv"}


def test_another_edf_is_refused(file: Path, night: Path, tmp_path: Path) -> None:
    out = tmp_path / "o.parquet"
    for how, words in (
        ({"channels": ("Fz",)}, "has 256 Hz"),
        ({"resample": 173.61}, "has 2 channel"),
        ({"channels": ("Pz",), "resample": 173.61}, "no channel 'Pz'"),
    ):
        with pytest.raises((SettingError, DataError), match=words):
            asked(file, night, out, **how)
    whole = (night / "night2.edf").read_bytes()
    (night / "night2.edf").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"night2\.edf"):
        asked(file, night, out, channels=("Fz",), resample=173.61)
    assert not out.exists()
    assert not listed_path(out).exists()


@pytest.mark.parametrize("what", ["header alone", "all short", "missing"])
def test_a_table_of_nothing_is_refused(what: str, file: Path, own: Path, tmp_path: Path) -> None:
    lines = own.read_text("utf-8").splitlines(keepends=True)
    text = {
        "header alone": lines[0],
        "all short": lines[0] + lines[8],
    }.get(what)
    path = tmp_path / "no.csv"
    if text is not None:
        path.write_text(text, "utf-8")
    with pytest.raises((DataError, DataNotFoundError)) as error:
        asked(file, path, tmp_path / "o.parquet", **TABLES)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "o.parquet").exists()


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"data": "signls"}, "did you mean 'signals'"),
        ({"data": "mimic3"}, "has hospital records"),
        ({"data": "bonn", **OWN}, "is for custom recordings"),
        ({"data": "signals", "times": Path("t.parquet")}, "--times is for hospital records"),
    ],
)
def test_another_question_is_refused(
    how: dict[str, Any], words: str, file: Path, own: Path, tmp_path: Path
) -> None:
    with pytest.raises(SequelaError, match=words):
        asked(file, own, tmp_path / "o.parquet", **how)


def test_another_model_is_refused(
    run: Path, own: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What else a file may be is in test_served.py."""
    (tmp_path / "other.onnx").write_bytes(without_metadata())
    said = refusal(capsys, "predict", tmp_path / "other.onnx", own, "--out", tmp_path / "o")
    assert "without sequela's metadata" in said
    (tmp_path / "unfinished").mkdir()
    (tmp_path / "unfinished" / "config.toml").write_bytes((run / "config.toml").read_bytes())
    with pytest.raises(RunError):
        asked(tmp_path / "unfinished", own, tmp_path / "o")


def test_what_is_there_stays_until_all_is_well(file: Path, own: Path, tmp_path: Path) -> None:
    out = tmp_path / "said.parquet"
    out.write_bytes(b"before")
    with pytest.raises(SettingError):
        asked(file, own, out, data="signals")
    assert out.read_bytes() == b"before"
    assert not listed_path(out).exists()
    asked(file, own, out, **TABLES)
    assert len(table_of(out)) == 49
    with pytest.raises(SettingError, match="would replace"):
        asked(file, own, own, **TABLES)
    with pytest.raises(OSError, match=r"ends in \.parquet"):
        asked(file, own, file, **TABLES)
    with pytest.raises(OSError, match="it is a folder"):
        asked(file, own, tmp_path, **TABLES)
    left = {each.name for each in tmp_path.iterdir()}
    assert left == {"own.csv", "said.parquet", "said.listed.csv"}


def test_two_inputs_are_refused(
    file: Path, own: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked_for = ("predict", file, own, "--root", own, "--out", tmp_path / "o")
    assert "two inputs are named" in refusal(capsys, *asked_for)


def test_the_command_says_what_came_of_it(
    file: Path, no_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ran("predict", file, "--data", "bonn", "--out", tmp_path / "said.parquet")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith("said.parquet: 11,500 examples")
    assert lines[1] == "not scored: none"
    assert lines[2].startswith("known: 9,338 of these examples are in the training")
