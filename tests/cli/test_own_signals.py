"""Anybody's recordings, from a table and a folder to runs and pages."""

import json
from pathlib import Path
from typing import Any

import edfio
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.cli.calls import Output, Refused, ran
from tests.cli.recordings import table

import sequela
from sequela.config import RunSettings
from sequela.report.commands import commands
from sequela.runs.find import open_run

ASKED = ["--label", "stage", "--subject", "patient", "--channels", "C3,C4", "--rate", "128"]
MODELS = ("mlp-improved", "cnn-baseline", "gru-improved", "spectral-mlp-small", "spectral-boosting")


@pytest.fixture
def own(tmp_path: Path, no_data: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return table(tmp_path / "own.parquet", range(15))


def train(*arguments: str | Path) -> None:
    ran("train", *arguments, "--data", "signals")


@pytest.mark.slow(but="cnn-baseline")  # their shapes are in tests/models/test_models.py
@pytest.mark.parametrize("model", MODELS)
def test_models_take_any_channels_length_and_classes(own: Path, model: str) -> None:
    epochs = [] if "boosting" in model else ["--epochs", "2"]
    table(own, range(15), noise=200)  # or boosting adds trees up to the limit
    train(model, "--root", own, *ASKED, *epochs, "--out", "run")
    run = open_run(Path("run"))
    assert (run.settings.split, run.data["unit"]) == ("subject", "subject")
    assert run.data["classes"] == ["N2", "R", "W"]
    assert run.data["channels"] == ["C3", "C4"]
    assert run.data["title"] == "own"
    if "boosting" not in model:
        ran("cost", "run")


def test_a_run_its_page_and_its_model_on_new_data(
    own: Path, tmp_path: Path, output_of: Output, refused: Refused
) -> None:
    words = ["--root", str(own), *ASKED, "--epochs", "3", "--out", "run"]
    said = output_of("train", "mlp-baseline", "--data", "signals", *words)
    assert "no unit is declared: the samples are assumed to be in µV" in said
    run = open_run(Path("run"))
    held_out = run.predictions.part("held_out")
    facts = (run.data["unit"], run.data["classes_fixed"], run.test["groups"])
    assert facts == ("subject", False, 3)
    assert held_out.group_id.tolist() == held_out.subject_id.tolist()
    assert "recording_accuracy" not in run.test
    kept = RunSettings.read(Path("run/config.toml")).signals
    assert kept is not None
    assert (kept.label, kept.channels, kept.rate) == ("stage", ("C3", "C4"), 128)
    train("mlp-baseline", *words, "--resume")
    ran("verify", "run")
    ran("audit", "run")
    ran("export", "run", "--out", "run.onnx")
    ran("explain", "run", "--out", "run.html")
    ran("report", "run", "--out", "page.html")
    page = Path("page.html").read_text("utf-8")
    assert "own: 135 recordings" in page
    assert "No unit is declared: the samples are assumed to be in µV." in page
    for word in ("Bonn", "tumour", "death"):
        assert word not in page
    new = table(tmp_path / "new.parquet", range(50, 55))
    numbers = json.loads(output_of("evaluate", "run", "--root", new, "--json"))
    assert numbers["examples"] == 45
    numbers = json.loads(output_of("evaluate", "run", "--root", own, "--json"))
    assert numbers["subjects_set_aside_as_trained_or_tuned_on"] == 12
    assert "eicu holds hospital records" in refused("evaluate", "run", "--data", "eicu")
    by_recording = ("--data", "signals", "--root", own, *ASKED, "--split", "recording")
    said = refused("train", "mlp-baseline", *by_recording, "--out", "by-recording")
    assert "subject ids in both" in said
    (tmp_path / "nights").mkdir()
    said = refused("scan", "run.onnx", tmp_path / "nights", "--event", "R", "--out", "e.tsv")
    assert "nights is a folder: expected a whole EDF or BDF file; name a file in it" in said


def test_the_command_of_a_run_makes_it_again(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train("mlp-baseline", "--root", own, *ASKED, "--split", "row", "--epochs", "1", "--out", "run")
    (line,) = commands([open_run(Path("run"))])
    for part in ("--label stage", "--subject patient", "--channels C3", "--rate 128"):
        assert part in line
    assert "further settings" not in line


def test_a_split_by_site_and_what_subjects_mean_for_the_split(own: Path) -> None:
    asked = [*ASKED, "--site", "hospital", "--epochs", "1"]
    train("auto", "--root", own, *ASKED[:2], *ASKED[4:], "--epochs", "1", "--out", "plain")
    plain = open_run(Path("plain"))
    assert (plain.settings.model, plain.settings.split) == ("spectral-mlp", "recording")
    assert any("subjects are not known" in note for note in plain.data["notes"])
    many = pq.read_table(own).to_pylist()
    for row in many:
        row["hospital"] = f"h{int(row['patient'][1:]) // 2}"
    pq.write_table(pa.Table.from_pylist(many), own)
    train("mlp-baseline", "--root", own, *asked, "--split", "site", "--out", "sites")
    assert open_run(Path("sites")).data["unit"] == "site"


def test_a_folder_of_edf(tmp_path: Path, no_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    of_files(tmp_path / "eeg")
    Path("eeg/signals.toml").write_text(
        'events = "annotations"\nclasses = ["seizure"]\nbackground = "background"\n'
        'subject = "(p[0-9]+)_"\nwindow = 1\nchannels = ["Fp1-F7"]\n',
        "utf-8",
    )
    aim = ("--aim", "sensitivity", "--aim-target", "0.9")
    train("mlp-baseline", "--root", "eeg", "--epochs", "1", *aim, "--out", "run")
    run = open_run(Path("run"))
    assert run.data["classes"] == ["background", "seizure"]
    assert run.data["counts"] == [168, 72]
    ran("report", "run", "--out", "page.html")
    ran("data", "check", "signals", "--root", "eeg")


def test_loaded_in_python(own: Path) -> None:
    said: dict[str, Any] = {"label": "stage", "subject": "patient", "rate": 128}
    data = sequela.load("signals", root=own, signals=said)
    train, held_out = data.split(by="subject", seed=0)
    assert train.X.shape[1:] == (2, 128)
    model = sequela.SignalClassifier("cnn-baseline", epochs=2, random_state=0)
    model.fit(train.X, train.y, groups=train.groups)
    assert model.predict_proba(held_out.X).shape == (len(held_out.y), 3)


def test_sessions_stay_whole_and_a_split_by_recording_is_found(
    own: Path, output_of: Output
) -> None:
    """Recordings of a session: here the stages of a patient who is not named as one."""
    rows = pq.read_table(own).to_pylist()
    for number, row in enumerate(rows):
        row["visit"], row["file"] = row.pop("patient"), f"f{number}"
    pq.write_table(pa.Table.from_pylist(rows), own)
    asked = ["--root", str(own), *ASKED[:2], *ASKED[4:]]
    asked += ["--session", "visit", "--recording", "file", "--unit", "uV"]
    train("majority-class", *asked, "--out", "run")
    assert "subjects are not known: the split is by session" in " ".join(
        open_run(Path("run")).data["notes"]
    )
    run = open_run(Path("run"))
    facts = (run.settings.split, run.data["unit"], run.data["sessions"])
    assert facts == ("session", "session", 15)
    assert not run.metrics["leaks"]
    words = ("--data", "signals", "--split", "recording", "--out", "leaking")
    assert "sessions are in both parts" in output_of("train", "majority-class", *asked, *words)


DECISIONS = {
    "subject": "subject = '(p[0-9]+)_'",
    "classes": 'classes = ["seizure"]',
    "background": 'background = "background"',
    "window": "window = 1",
    "rate": "rate = 128",
    "unit": 'unit = "µV"',
}


def of_files(folder: Path) -> Path:
    """Write twelve recordings with a loud seizure each."""
    rng = np.random.default_rng(0)
    folder.mkdir()
    for person in range(12):
        samples = rng.normal(scale=20, size=(2, 64 * 20))
        samples[:, 8 * 64 : 14 * 64] *= 5
        signals = [
            edfio.EdfSignal(each, 64, label=name, physical_dimension="uV")
            for name, each in zip(("EEG Fp1-F7", "EEG F7-T7"), samples, strict=True)
        ]
        seizure = [edfio.EdfAnnotation(8, 6, "seizure")]
        edfio.Edf(signals, annotations=seizure).write(folder / f"p{person:02d}_1.edf")
    return folder


def of_rows(folder: Path) -> Path:
    """Write a csv file with a segment in each row."""
    rng = np.random.default_rng(0)
    folder.mkdir()
    lines = [",".join(["patient", "stage", *(f"X{i}" for i in range(64))])]
    lines += [
        ",".join([f"p{row // 9:02d}", "WNR"[row % 3], *map(str, rng.normal(size=64).round(2))])
        for row in range(135)
    ]
    (folder / "segments.csv").write_text("\n".join(lines) + "\n", "utf-8")
    return folder


@pytest.mark.parametrize("kind", [of_files, of_rows])
def test_the_road_from_a_folder_to_a_run(
    kind: Any,
    tmp_path: Path,
    no_data: Path,
    monkeypatch: pytest.MonkeyPatch,
    refused: Refused,
    output_of: Output,
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = kind(tmp_path / "own")
    place = folder / "signals.toml"
    printed = output_of("data", "describe", "own", "--write")
    draft = place.read_text("utf-8")
    assert "`sequela train auto --data signals --root own`" in printed
    said = refused("data", "describe", "own", "--write")
    assert "signals.toml is there already" in said
    assert place.read_text("utf-8") == draft

    command = ("train", "mlp-improved", "--data", "signals", "--root", "own", "--epochs", "1")
    marked = [number for number, line in enumerate(draft.splitlines(), 1) if "DECIDE" in line]
    assert f"(lines {', '.join(map(str, marked))})" in printed
    lines = draft.splitlines()
    for number in marked:
        question = lines[number - 1].removeprefix("# DECIDE: ")
        if "leave it out" in question:
            lines[number + 1] = DECISIONS["background"]
            continue
        said = refused(*command)
        assert f"signals.toml, line {number}: a person must still decide: {question}" in said
        key = lines[number + 1].strip("# =")
        if key in DECISIONS:
            lines[number + 1] = DECISIONS[key]
        else:
            lines[number - 1] = "# a recording is a row"
        place.write_text("\n".join(lines), "utf-8")
    ran(*command, "--out", "run")
    assert open_run(Path("run")).settings.split == "subject"


def test_events_next_to_csv_recordings_are_proposed(tmp_path: Path, output_of: Output) -> None:
    for name in ("a1", "b2"):
        lines = [f"{n / 64},{n % 5},{n % 7}" for n in range(64)]
        (tmp_path / f"{name}.csv").write_text("\n".join(["time,C3,C4", *lines, ""]), "utf-8")
    (tmp_path / "seizures.csv").write_text("file,onset,duration,label\na1,0,0.5,seizure\n", "utf-8")
    assert '\nevents = "seizures.csv"\n' in output_of("data", "describe", tmp_path)


def test_only_data_at_a_path_have_a_place_to_write_to(refused: Refused, tmp_path: Path) -> None:
    assert "--write is for data at a path" in refused("data", "describe", "mimic3", "--write")
    ran("data", "describe", "mimic3", "--out", tmp_path / "tables.toml")
    assert not [*tmp_path.glob("*.partial")]
