"""What a model was trained on is known under other names, and in two parts of one split."""

import shutil
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.runs.conftest import Ask, Load, Train
from tests.runs.folders import short

from sequela.analysis.evaluate import evaluate_run
from sequela.cohort.split import PARTS
from sequela.config import RunSettings
from sequela.datasets.catalog import EXCERPTS, Recording
from sequela.formats.opened import SUMS
from sequela.runs import fit, signals
from sequela.runs.audit import audit
from sequela.runs.data import Examples
from sequela.runs.folder import RunFolder
from sequela.runs.manifest import seal
from sequela.sequences.flat import Sequences
from sequela.signals import bonn


@pytest.fixture
def run(trained: Train, tmp_path: Path) -> RunFolder:
    return RunFolder(Path(shutil.copytree(trained(short()).path, tmp_path / "run")))


def renamed(data: Path, out: Path) -> Path:
    """The same recordings with other numbers, louder, upside down and 89 samples later."""
    for letter in "ZONFS":
        (out / letter).mkdir(parents=True)
        for file in sorted((data / letter).iterdir()):
            number = 100 - int(file.stem[1:])
            signal = np.roll(np.loadtxt(file), -89)
            text = "".join(f"{round(-1.1 * value) + 20}\n" for value in signal)
            (out / letter / f"{letter}{number:03d}.txt").write_text(text, "utf-8")
    return out


def test_renamed_recordings_are_set_aside(run: RunFolder, synthetic: Path, tmp_path: Path) -> None:
    found = evaluate_run(run.path, data="bonn", root=renamed(synthetic, tmp_path / "all"))
    assert found["sessions_set_aside_as_trained_or_tuned_on"] == 40
    assert found["sessions_set_aside_under_another_name"] == 40
    assert found["groups"] == 10


BY_SESSION = RunSettings(model="majority-class", data="bonn", split="session")


def written(recordings: Iterable[Recording], out: Path, *, exchanged: bool = False) -> Path:
    """A folder of recordings, with the names of others of their class if ``exchanged``."""
    for each in recordings:
        letter, number = each.recording_id[0], int(each.recording_id[1:])
        (out / letter).mkdir(parents=True, exist_ok=True)
        name = f"{letter}{101 - number if exchanged else number:03d}.txt"
        text = "".join(f"{value:.0f}\n" for value in each.signal[0])
        (out / letter / name).write_text(text, "utf-8")
    return out


@pytest.mark.slow
def test_the_name_of_another_recording_does_not_count(tmp_path: Path) -> None:
    recordings = bonn.read(EXCERPTS / "bonn.parquet")
    everything = written(recordings, tmp_path / "all")
    run = fit.train(BY_SESSION, tmp_path / "run", root=everything)
    exchanged = written(recordings, tmp_path / "exchanged", exchanged=True)
    found = evaluate_run(run.path, data="bonn", root=exchanged)
    test_set = run.metrics["parts"]["held_out"]
    assert (found["examples"], found["groups"]) == (test_set["examples"], test_set["groups"])


def test_recordings_of_a_session_that_was_seen_are_not_new(tmp_path: Path) -> None:
    """A model learns from the first recording of each session, and is evaluated on the last."""
    recordings = bonn.read(EXCERPTS / "bonn.parquet")
    first = {each.session_id: each for each in reversed(recordings)}
    last = {each.session_id: each for each in recordings}
    others = [each for each in last.values() if each is not first[each.session_id]]
    some = written(first.values(), tmp_path / "first")
    run = fit.train(BY_SESSION, tmp_path / "run", root=some)
    found = evaluate_run(run.path, data="bonn", root=written(others, tmp_path / "others"))
    tested = set(run.predictions.part("held_out").group_id.tolist())
    assert found["groups"] == len(tested & {each.session_id for each in others})


def test_a_run_of_before_knows_names_alone(run: RunFolder, synthetic: Path, tmp_path: Path) -> None:
    split = run.json("split.json")
    del split["content"]
    run.write("split.json", split)
    seal(run.path)
    other = renamed(synthetic, tmp_path / "all")
    assert evaluate_run(run.path, root=other)["sessions_set_aside_under_another_name"] == 0


@pytest.mark.parametrize("by", [0, 1, 8, 89])
def test_a_recording_copied_into_another_part_is_found(recordings: Examples, by: int) -> None:
    segments = recordings.arrays
    to, source = (
        np.flatnonzero(segments.recording_id == segments.recording_id[recordings.rows(part)[0]])
        for part in ("held_out", "train")
    )
    signal = segments.signal.copy()
    changed = np.roll(-1.1 * signal[source].ravel(), -by) + 20
    signal[to] = changed.reshape(signal[to].shape)
    found = audit(replace(recordings, arrays=replace(segments, signal=signal)))
    (copied,) = [each for each in found if each.check == "same content"]
    assert (copied.severity, copied.where) == ("leak", "training set, test set")
    assert copied.what.startswith(
        "1 of 10 sessions of the test set is a copy of one of the training set"
    )


def test_folds_share_no_content(synthetic: Path) -> None:
    for fold in range(3):
        found = audit(signals.load(short(folds=3, fold=fold), synthetic))
        assert "same content" not in {each.check for each in found}


@pytest.fixture(scope="module")
def patients(asked: Ask, opened: Load) -> Examples:
    return opened(asked(task="post-discharge", min_subjects=1))


def under_other_ids(sequences: Sequences) -> Sequences:
    """The same patients with other ids, all dates shifted."""
    later = sequences.step_time + np.timedelta64(400, "D")
    return replace(sequences, subject_id=sequences.subject_id + 10**6, step_time=later)


def test_patients_are_known_under_other_ids_and_dates(patients: Examples) -> None:
    again = replace(patients, arrays=under_other_ids(patients.arrays))
    seen = patients.split.seen(again.content)
    trained = patients.part != PARTS.index("held_out")
    of_subject = dict(zip(patients.arrays.subject_id.tolist(), trained.tolist(), strict=True))
    expected = np.array([of_subject[one] for one in sorted(of_subject)])
    assert not seen[~expected].any()
    assert seen[expected].mean() > 0.75  # the others have few codes


def shifted(events: Path) -> Path:
    """Other ids, and all dates 400 days later; no list states the sums of what was changed."""
    (events / SUMS).unlink()
    for shard in events.rglob("data/**/*.parquet"):
        table = pq.read_table(shard)
        ids = pa.array(table["subject_id"].to_numpy() + 5_000_000, table["subject_id"].type)
        times = table["time"].to_numpy() + np.timedelta64(400, "D")
        new = {"subject_id": ids, "time": pa.array(times, table["time"].type)}
        for name, column in new.items():
            table = table.set_column(table.column_names.index(name), name, column)
        pq.write_table(table, shard)
    return events


def test_own_patients_through_meds_are_set_aside(
    asked: Ask, trained: Train, opened: Load, tmp_path: Path
) -> None:
    settings = asked("prevalence", task="post-discharge", min_subjects=1)
    folder = trained(settings)
    events = opened(settings).cohort.events.root
    other = shifted(Path(shutil.copytree(events, tmp_path / "meds")))
    found = evaluate_run(folder.path, data="meds", root=other)
    seen = sum(len(folder.split.ids["subject"][part]) for part in ("train", "tuning"))
    renamed = found["subjects_set_aside_under_another_name"]
    assert renamed == found["subjects_set_aside_as_trained_or_tuned_on"]
    assert 0.75 * seen < renamed <= seen
