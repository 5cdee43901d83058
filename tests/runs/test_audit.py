"""Every leak that is planted is found, and clean runs are not accused."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.runs.conftest import Ask, Load
from tests.runs.folders import edit

from sequela.audit.finding import Finding
from sequela.audit.searches import AuditOutcome
from sequela.cohort.split import PARTS
from sequela.config import RunSettings
from sequela.datasets.catalog import EXCERPTS
from sequela.integrity.verify import verify_run
from sequela.runs import fit, signals
from sequela.runs.audit import Leaks, audit, check_examples, sentences, status_of
from sequela.runs.data import Examples
from sequela.runs.folder import RunFolder
from sequela.runs.manifest import seal
from sequela.runs.records import Records
from sequela.runs.signals import Recordings
from sequela.sequences.scaling import Scaling


@pytest.fixture(scope="module")
def stays(asked: Ask, opened: Load) -> Records:
    """Of eICU: some two thousand records."""
    return opened(asked(data="eicu", min_subjects=1))


def checks(found: list[Finding]) -> list[str]:
    return [finding.check for finding in found]


@pytest.fixture(scope="module")
def bonn() -> Recordings:
    """The excerpt: so many recordings that chance explains less."""
    by_session = RunSettings(model="mlp-baseline", data="bonn", split="session")
    return signals.load(by_session, EXCERPTS / "bonn.parquet")


@pytest.fixture(scope="module")
def half(bonn: Recordings) -> Recordings:
    """Every second recording of the excerpt."""
    recording = bonn.arrays.recording_id
    kept = np.isin(recording, np.unique(recording)[::2])
    return replace(bonn, arrays=bonn.arrays.where(kept), part=bonn.part[kept])


@pytest.fixture(scope="module")
def records(asked: Ask, opened: Load) -> Records:
    return opened(asked(task="in-hospital"))


def test_what_was_partly_left_out_is_not_said_to_be_checked(recordings: Recordings) -> None:
    whole, without = (check_examples(recordings, exempt).titles for exempt in ([], ["SQ001"]))
    (partly,) = {*without} - {*whole}
    assert partly == "sessions in two sets, under one name or two (without SQ001)"


def with_signal(data: Recordings, signal: np.ndarray[Any, Any]) -> Recordings:
    segments = replace(data.arrays, signal=signal.astype(np.float32))
    scaling = Scaling.fit(segments.signal[data.part == PARTS.index("train")])
    return replace(data, arrays=segments, scaling=scaling)


def test_clean_data_are_not_accused(
    recordings: Recordings, bonn: Recordings, records: Records, stays: Records
) -> None:
    assert [audit(data) for data in (recordings, bonn, records, stays)] == [[], [], [], []]


def test_models_on_the_same_data_and_sets_are_audited_once(
    asked: Ask, opened: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    audited: list[Examples] = []

    def count(data: Examples) -> AuditOutcome:
        audited.append(data)
        return check_examples(data)

    monkeypatch.setattr("sequela.runs.audit.check_examples", count)
    monkeypatch.setattr("sequela.runs.audit._AUDITED", {})
    first, again = (opened(asked(model)) for model in ("visits-baseline", "logistic-regression"))
    assert fit.audit_record(first) == fit.audit_record(again)
    assert audited == [first]
    split_otherwise = opened(asked(seed=1))
    late = replace(first.arrays, step_time=first.arrays.step_time + 1)
    for number, other in enumerate((split_otherwise, replace(first, arrays=late)), 2):
        fit.audit_record(other)
        assert len(audited) == number


@pytest.mark.parametrize(
    ("noise", "check"), [(0.0, "identical rows"), (0.3, "near-identical rows")]
)
def test_a_segment_copied_into_another_part(half: Recordings, noise: float, check: str) -> None:
    signal = half.arrays.signal.copy()
    to, source = half.rows("held_out")[0], half.rows("train")[5]
    drawn = np.random.default_rng(0).normal(size=signal.shape[1:])
    signal[to] = signal[source] + noise * drawn
    assert checks(audit(with_signal(half, signal))) == [check]


def test_a_part_that_lacks_a_class(recordings: Recordings) -> None:
    held_out = recordings.part == PARTS.index("held_out")
    label = np.where(held_out, 0, recordings.labels)
    segments = replace(recordings.arrays, label=label)
    assert "labels of one class" in checks(audit(replace(recordings, arrays=segments)))


def test_a_scaling_fitted_on_everything(recordings: Recordings) -> None:
    planted = replace(recordings, scaling=Scaling.fit(recordings.arrays.signal))
    assert checks(audit(planted)) == ["scaling of other parts"]


def test_a_subject_in_two_parts(records: Records) -> None:
    part = records.part.copy()
    subject = records.arrays.subject_id
    several = next(s for s in np.unique(subject) if (subject == s).sum() > 1)
    part[np.flatnonzero(subject == several)[0]] = (part[subject == several][0] + 1) % 3
    assert "overlapping groups" in checks(audit(replace(records, part=part)))


def test_a_code_that_tells_the_outcome(records: Records) -> None:
    sequences = records.arrays
    place = len(sequences.vocabulary)
    counts = np.diff(sequences.code_offsets)
    last = sequences.step_offsets[1:] - 1  # the last step of each example
    told = np.zeros(len(counts), np.int64)
    told[last[sequences.label]] = 1
    codes = np.insert(sequences.codes, sequences.code_offsets[1:][told == 1], place)
    planted = replace(
        sequences,
        codes=codes.astype(np.int32),
        code_offsets=np.concatenate(([0], np.cumsum(counts + told))),
        header={**sequences.header, "vocabulary": [*sequences.vocabulary, "MORGUE"]},
    )
    found = audit(replace(records, arrays=planted))
    assert set(checks(found)) == {
        "columns that reveal the outcome",
        "codes that tell the outcome",
        "inputs that tell the outcome",
        "an input that outweighs the others",
    }
    assert {one.severity for one in found} == {"suspicion"}
    named = [one.check for one in found if "MORGUE" in one.where]
    assert named == [*checks(found)[:2], "an input that outweighs the others"]


def test_a_vocabulary_of_all_parts(records: Records) -> None:
    header = records.arrays.header
    known = {**header, "vocabulary": [*records.arrays.vocabulary, "ICD9CM//0000"]}
    found = audit(replace(records, arrays=replace(records.arrays, header=known)))
    assert checks(found) == ["vocabulary of other parts"]
    assert found[0].what == "1 known code occurs in no training example"  # of few: not named


def test_a_step_after_the_prediction(records: Records) -> None:
    late = records.arrays.step_time.copy()
    late[3] = np.datetime64("2300-01-01")
    found = audit(replace(records, arrays=replace(records.arrays, step_time=late)))
    assert checks(found) == ["events after the prediction"]


def test_a_record_under_two_names(stays: Records) -> None:
    """One patient's record stands again under the name of another, in another part."""
    sequences = stays.arrays
    long = int(np.argmax(np.diff(sequences.code_offsets[sequences.step_offsets])))
    to = next(int(i) for i in range(len(sequences)) if stays.part[i] != stays.part[long])
    lists = [
        sequences.codes[sequences.code_offsets[s] : sequences.code_offsets[s + 1]]
        for s in range(len(sequences.step_time))
    ]
    steps = [[*range(*sequences.step_offsets[i : i + 2])] for i in range(len(sequences))]
    steps[to] = steps[long]
    taken = [step for of_example in steps for step in of_example]
    planted = replace(
        sequences,
        codes=np.concatenate([lists[step] for step in taken]),
        code_offsets=np.cumsum([0, *(len(lists[step]) for step in taken)]),
        step_offsets=np.cumsum([0, *(len(of_example) for of_example in steps)]),
        step_time=np.repeat(sequences.prediction_time, [len(s) for s in steps]),
        value_offsets=np.zeros(len(taken) + 1, np.int64),  # these records have no values
    )
    assert "identical records" in checks(audit(replace(stays, arrays=planted)))


def test_the_exit_status_tells_a_leak_from_a_suspicion() -> None:
    leak = Finding("declared leak", "leak", facts={"reason": "by design"})
    suspicion = replace(leak, severity="suspicion")
    for findings, status in (((), 0), ((leak, suspicion), 3), ((suspicion,), 4)):
        assert status_of(finding.severity for finding in findings) == status


def test_what_is_found_stands_in_the_run(synthetic: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    settings = RunSettings(model="majority-class", data="bonn", split="row")
    folder = fit.train(settings, tmp_path / "run", root=synthetic)
    leaks = folder.metrics["leaks"]
    assert {leak["check"] for leak in leaks} == {"overlapping groups"}
    assert {leak["severity"] for leak in leaks} == {"leak"}
    assert folder.metrics["suspicions"] == []
    # A run of version 0.2.0 holds the sentences.
    lines, words = Leaks.of(folder).lines(), sentences(leaks)
    edit(folder.path / "metrics.json", lambda record: record.update(leaks=words))
    edit(folder.path / "environment.json", lambda record: record.update(sequela="0.2.0"))
    seal(folder.path)
    earlier = RunFolder(folder.path)
    assert Leaks.of(earlier).lines() == lines
    assert not verify_run(earlier).wrong
