"""A model of prepared recordings, from its run to predictions, scans, files and a server."""

import json
from pathlib import Path

import edfio
import numpy as np
import pyarrow.parquet as pq
import pytest
from tests.cli.calls import ran, refusal, status
from tests.conftest import Once
from tests.serving.web.conftest import client

from sequela.datasets.catalog import EXCERPTS
from sequela.report.commands import commands
from sequela.runs.find import open_run
from sequela.runs.folder import RunFolder
from sequela.runs.model import open_model
from sequela.serving import load
from sequela.serving.scan import Scanning, scan
from sequela.serving.signal_input import REJECTED
from sequela.signals.reading import read

SETTINGS = """\
events = "annotations"
classes = ["seizure"]
background = "background"
subject = "(p[0-9]+)"
window = 1
filter = [0.5, 30]
notch = 50
reference = ["M1"]
reject = 400
standardise = "robust"
"""


def night(path: Path, seed: int, *, rate: int = 128) -> Path:
    """Write 40 s: drifts and hum, a rhythm from 10 to 20 s, a large artefact at 30 s."""
    rng = np.random.default_rng(seed)
    t = np.arange(40 * rate) / rate
    signal = rng.normal(scale=10, size=(3, len(t))) + 300 * np.sin(2 * np.pi * 0.05 * t + seed)
    signal += 60 * np.sin(2 * np.pi * 50 * t)
    signal[:2, 10 * rate : 20 * rate] += 80 * np.sin(2 * np.pi * 5 * t[: 10 * rate])
    signal[0, 30 * rate : 30 * rate + 20] += 900
    names = ("EEG C3-REF", "EEG C4-REF", "EEG M1-REF")
    edfio.Edf(
        [
            edfio.EdfSignal(e, rate, label=n, physical_dimension="uV", physical_range=(-2000, 2000))
            for n, e in zip(names, signal, strict=True)
        ],
        annotations=[edfio.EdfAnnotation(10, 10, "seizure")],
    ).write(path)
    return path


@pytest.fixture(scope="module")
def made(once: Once) -> Path:
    """Recordings of 12 people with their declaration, a run on them, and its file."""

    def fill(out: Path) -> None:
        (out / "eeg").mkdir()
        for number in range(12):
            night(out / f"eeg/p{number:02d}.edf", number)
        (out / "eeg/signals.toml").write_text(SETTINGS, "utf-8")
        data = ("--data", "signals", "--root", out / "eeg")
        ran("train", "mlp-improved", *data, "--epochs", "8", "--out", out / "run")
        ran("export", out / "run", "--out", out / "run.onnx")
        night(out / "new.edf", 99, rate=256)

    return once("prepared", fill)


@pytest.fixture(scope="module")
def run(made: Path) -> RunFolder:
    return RunFolder(made / "run")


NOTE = (
    'prepared with reference "M1"; filter 0.5, 30.0; notch 50.0; reject 400.0; standardise "robust"'
)


def test_the_record_of_a_run(
    made: Path, run: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings, notes = run.settings.signals, run.data["notes"]
    assert settings is not None
    assert (settings.filter, settings.reject, settings.reference) == ((0.5, 30), 400, ("M1",))
    assert run.data["channels"] == ["C3", "C4"]
    assert not run.metrics.leaks
    assert notes[0] == NOTE
    left_out = "windows with more than 400 µV from peak to peak are left out"
    assert f"{left_out}: 12 of 360 of background, 0 of 120 of seizure" in notes
    scaling, signal = open_model(run).header["scaling"], read(made / "eeg").signal[:, 0]
    assert scaling["std"][0] < 0.95 * signal.std()
    ran("verify", made / "run")
    capsys.readouterr()
    status("audit", made / "run", "--root", made / "eeg")
    assert f"; {NOTE}; " in capsys.readouterr().out
    ran("card", made / "run", "--out", tmp_path / "card.md")
    assert "- Note on the data: prepared with reference" in (tmp_path / "card.md").read_text()
    ran("report", made / "run", "--out", tmp_path / "page.html")
    assert "12 of 360 of background" in (tmp_path / "page.html").read_text("utf-8")
    (line,) = commands([open_run(made / "run")])
    assert "--filter 0.5 --filter 30.0 --notch 50" in line
    assert "further settings" not in line


def test_a_prediction_and_a_scan_prepare_as_the_training(
    made: Path, run: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ran("predict", made / "run.onnx", made / "eeg/p03.edf", "--out", tmp_path / "old.parquet")
    old = pq.read_table(tmp_path / "old.parquet").to_pydict()
    rows = [each.startswith("p03/") for each in run.predictions.example_id]
    known = run.predictions.probabilities[rows][:, 1]
    np.testing.assert_allclose(old["p_1"], known, atol=1e-5)
    listed = (tmp_path / "old.listed.csv").read_text("utf-8")
    assert REJECTED in listed
    new = made / "new.edf"  # of another rate
    ran("predict", made / "run", new, "--resample", "128", "--out", tmp_path / "new.parquet")
    found = pq.read_table(tmp_path / "new.parquet").to_pydict()
    assert "drift: channel" not in capsys.readouterr().out  # quartiles are not deviations
    scanned = scan(load(made / "run.onnx"), new, Scanning(step=1.0, smooth=0, threshold=0.5))
    scored = ~np.isnan(scanned.probability)
    np.testing.assert_allclose(scanned.probability[scored], found["p_1"], atol=1e-5)
    assert (~scored).nonzero()[0].tolist() == [30]
    assert scanned.in_words.endswith("1 s of flat, missing or rejected signal were not scored")
    assert NOTE in scanned.recording.notes


def test_other_recordings_are_prepared_alike_or_refused(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(2):
        night(tmp_path / f"p{number + 50}.edf", number + 50)
    place = tmp_path / "signals.toml"
    plain = SETTINGS.split("filter", maxsplit=1)[0]
    place.write_text(plain, "utf-8")
    data = ("evaluate", made / "run", "--data", "signals", "--root", tmp_path)
    ran(*data, "--json")
    numbers = json.loads(capsys.readouterr().out)
    assert numbers["examples"] == 78
    place.write_text(f"{plain}filter = [1, 30]\n", "utf-8")
    different = "prepared with filter 1.0, 30.0, but the model was trained on recordings prepared"
    assert different in refusal(capsys, *data)
    out = ("--out", tmp_path / "said.parquet")
    assert different in refusal(capsys, "predict", made / "run", tmp_path, *out)
    assert not (tmp_path / "said.parquet").exists()
    bonn = EXCERPTS / "bonn.parquet"
    for command in (
        ("evaluate", made / "run", "--data", "bonn", "--root", bonn),
        ("predict", made / "run", bonn, "--data", "bonn", *out),
    ):
        assert "not prepared, but the model was trained on" in refusal(capsys, *command)


def test_the_file_declares_the_preparation_and_the_server_takes_whole_recordings(
    made: Path,
) -> None:
    model = load(made / "run.onnx")
    assert model.about["signal"]["preparation"] == {
        "reference": ["M1"],
        "filter": [0.5, 30.0],
        "notch": 50.0,
        "reject": 400.0,
        "standardise": "robust",
    }
    expected = load(made / "run").about["signal"]["preparation"]
    assert model.about["signal"]["preparation"] == expected
    body = (made / "new.edf").read_bytes()
    with client(model) as asked:
        segment = {"signal": np.zeros((2, 128)).tolist(), "sfreq": 128, "unit": "uV"}
        refused = asked.post("/v1/predict", json=segment)
        assert refused.status_code == 415
        assert refused.json()["detail"] == (
            "the media type is application/json: expected one of application/edf, as the model "
            "filters whole recordings"
        )
        about = asked.get("/v1/model").json()
        assert about["signal"]["preparation"]["notch"] == 50
        assert about["serves"]["media_types"] == ["application/edf"]
        answer = asked.post(
            "/v1/predict", content=body, headers={"content-type": "application/edf"}
        )
    answer = answer.json()
    scanned = scan(model, made / "new.edf", Scanning(step=1.0, smooth=0, threshold=0.5))
    said = np.array([each["probabilities"]["seizure"] for each in answer["predictions"]])
    scored = ~np.isnan(scanned.probability)
    np.testing.assert_allclose(said[scored], scanned.probability[scored], atol=1e-5)
    assert "Range above 400 µV, as in no window of the training: 1 segments." in answer["notes"]
    assert answer["notes"][0] == f"P{NOTE[1:]}."


def test_scaling_of_a_signal_that_is_not_read_is_refused(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = ("--data", "signals", "--root", made / "eeg", "--out", tmp_path / "run")
    said = refusal(capsys, "train", "spectral-logistic-regression", *data)
    assert "--standardise change the signal, but spectral-logistic-regression reads" in said
