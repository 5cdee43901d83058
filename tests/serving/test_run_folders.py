"""Run folders in use: baseline models and ensembles with them predict without a file."""

import pickle
from pathlib import Path

import numpy as np
import pytest
from tests.cli.calls import ran, refusal

from sequela.datasets.catalog import EXCERPTS, load_recordings
from sequela.runs.folder import RunFolder
from sequela.serving import load


def held_out(run: Path, n: int = 20) -> tuple[np.ndarray, np.ndarray]:
    """Return segments (example, channel, sample) of the test set, and what the run says of them."""
    known = RunFolder(run).predictions.part("held_out")
    recordings, _ = load_recordings("bonn", EXCERPTS / "bonn.parquet")
    signals = {each.recording_id: each.signal for each in recordings}
    segments = []
    for name in known.example_id[:n].tolist():
        recording, number = name.split("/")
        segments.append(signals[recording][:, 178 * (int(number) - 1) : 178 * int(number)])
    return np.stack(segments).astype(np.float32), known.probabilities[:n]


@pytest.fixture(scope="module")
def both(run: Path, baseline: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ensemble of a network and a baseline model."""
    out = tmp_path_factory.mktemp("runs") / "both"
    ran("ensemble", run, baseline, "--out", out)
    return out


def test_export_names_what_reads_the_run_folder(
    baseline: Path, both: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    for folder in (baseline, both):
        said = refusal(capsys, "export", folder, "--out", tmp_path / "model.onnx")
        assert f"{folder} has the baseline model spectral-logistic-regression, but only" in said
        assert f"name the run folder instead of a file, as in sequela predict {folder}" in said
    assert not list(tmp_path.iterdir())


def test_an_ensemble_with_a_network_also_when_it_is_sent_to_a_process(both: Path) -> None:
    segments, known = held_out(both)
    model = load(both)
    said = model.probabilities({"signal": segments})
    np.testing.assert_allclose(said, known, atol=1e-5)
    again = pickle.loads(pickle.dumps(model))  # noqa: S301 - as the server does
    assert (again.probabilities({"signal": segments}) == said).all()
