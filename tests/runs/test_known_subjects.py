"""Recordings whose subjects are known: whole subjects are kept together and resampled."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from sequela.analysis.evaluate import evaluate_run
from sequela.datasets import catalog
from sequela.datasets.recordings import Recording, Signals
from sequela.errors import SettingError
from sequela.runs import fit
from sequela.runs.folder import RunFolder
from sequela.studies.settings import run_settings

SUBJECTS = 20


def read(_: Path) -> list[Recording]:
    """Four recordings of each subject, two calm and two not."""
    rng = np.random.default_rng(0)
    return [
        Recording(
            recording_id=f"P{person:02d}-{number}",
            subject_id=f"P{person:02d}",
            signal=rng.normal(scale=20 + 80 * (number % 2), size=(1, 300)).astype(np.float32),
            sfreq=100.0,
            label=number % 2,
        )
        for person in range(SUBJECTS)
        for number in range(4)
    ]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunFolder]:
    ward = catalog.DataSet(
        title="A ward's EEG",
        kind="eeg",
        units=("subject", "recording", "row"),
        reads=read,
        signals=Signals(("calm", "seizure"), n_chans=1, sfreq=100.0, n_times=100),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(catalog.DATA_SETS, "ward", ward)
        root = tmp_path_factory.mktemp("ward")
        settings = run_settings("logistic-regression", "ward", records={}, training={})
        yield fit.train(settings, root / "run", root=root)


def test_groups_are_subjects(run: RunFolder) -> None:
    held_out = run.predictions.part("held_out")
    assert run.settings.split == "subject"
    assert (run.data["unit"], run.data["classes_fixed"]) == ("subject", False)
    assert run.test["groups"] == len(np.unique(held_out.subject_id)) == SUBJECTS // 5
    assert held_out.group_id.tolist() == held_out.subject_id.tolist()
    assert "recording_accuracy" not in run.test


def test_all_recordings_of_a_trained_subject_are_set_aside(run: RunFolder) -> None:
    found = evaluate_run(run.path, data="ward", root=run.path.parent)
    assert found["subjects_set_aside_as_trained_or_tuned_on"] == SUBJECTS - SUBJECTS // 5
    assert found["groups"] == SUBJECTS // 5


def test_recordings_of_one_subject_are_not_split(run: RunFolder, tmp_path: Path) -> None:
    by_recording = run.settings.model_copy(update={"split": "recording"})
    with pytest.raises((SettingError, ValueError), match=r"subject id\(s\) are in both|stand in"):
        fit.train(by_recording, tmp_path / "run", root=run.path.parent)
