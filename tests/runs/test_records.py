"""Runs on hospital records, on the tables that ship with the package."""

import csv
import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors import safe_open
from tests.records import write_labels
from tests.runs.conftest import Ask, Load, Train
from tests.runs.folders import content, interrupt

from sequela.cohort.cohort_settings import task_of_settings
from sequela.datasets.catalog import EXCERPTS
from sequela.errors import DataError, RunError
from sequela.evaluation.predictions import Predictions
from sequela.models.registry import lookup_network
from sequela.models.visits import VisitsBaseline
from sequela.runs import fit, records
from sequela.sequences import visit_batches
from sequela.sequences.feature_tables import last_values
from sequela.sequences.visit_batches import VisitDataset

MIMIC3 = EXCERPTS / "mimic3"
Where = dict[str, Any]
FILES = [
    "checkpoint",
    "config.toml",
    "cost.json",
    "environment.json",
    "history.jsonl",
    "metrics.json",
    "model.safetensors",
    "predictions.parquet",
    "split.json",
]
CASES = [
    ("visits-baseline", "mimic3", {"task": "report-2019"}, (100, 100, 40)),
    ("visits-improved", "mimic3", {"task": "report-2019"}, (100, 100, 40)),
    ("visits-baseline", "eicu", {}, (1893, 1619, 135)),
]


@pytest.mark.parametrize(("model", "data", "said", "counts"), CASES)
def test_a_run_is_complete_and_proven(
    model: str,
    data: str,
    said: dict[str, Any],
    counts: tuple[int, int, int],
    asked: Ask,
    trained: Train,
    strict_json: Callable[[Path], Any],
) -> None:
    folder = trained(asked(model, data, **said))
    there = sorted(path.name for path in folder.path.iterdir())
    assert [name for name in there if name in FILES] == FILES
    metrics = strict_json(folder.path / "metrics.json")
    described = metrics["data"]
    assert (described["examples"], described["subjects"], described["positives"]) == counts
    assert sum(part["examples"] for part in described["parts"].values()) == counts[0]
    # The proof is counted here again, from what was predicted.
    split = strict_json(folder.path / "split.json")
    predictions = folder.predictions
    parts = {n: set(predictions.part(n).subject_id.tolist()) for n in split["n_examples"]}
    assert sum(map(len, parts.values())) == len(set.union(*parts.values())) == counts[1]
    assert set(split["proof"]["ids_in_two_parts"]["subject"].values()) == {0}
    assert {n: len(ids) for n, ids in split["ids"]["subject"].items()} == {
        n: len(ids) for n, ids in parts.items()
    }
    assert {n: (predictions.split == n).sum() for n in parts} == split["n_examples"]
    assert predictions.label.sum() == counts[2]
    assert predictions.classes == ("survived", "died")
    half, chosen = metrics["parts"]["held_out"]["operating_points"]
    assert half["threshold"] == 0.5
    assert chosen["chosen_for"] == "largest sensitivity plus specificity on tuning data"


@pytest.mark.parametrize(("model", "data", "said"), [case[:3] for case in CASES])
def test_the_models_file_is_enough_to_predict_any_example(
    model: str, data: str, said: dict[str, Any], asked: Ask, opened: Load, trained: Train
) -> None:
    """Header and tensors rebuild the model; each example alone has the probabilities on record."""
    settings = asked(model, data, **said)
    folder, loaded = trained(settings), opened(settings)
    with safe_open(folder.path / "model.safetensors", framework="pt") as file:
        header = json.loads(file.metadata()["sequela"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    assert header["model"] == model
    assert header["classes"] == ["survived", "died"]
    assert header["vocabulary"] == list(loaded.arrays.vocabulary)
    assert header["task"]["name"] == said.get("task", "in-hospital")
    entry = lookup_network(header["model"])
    rebuilt = entry.build(entry.config(**header["config"])).eval()
    rebuilt.load_state_dict(tensors)
    on_record = folder.predictions
    by_id = dict(zip(on_record.example_id.tolist(), on_record.probabilities, strict=True))
    labels = dict(zip(on_record.example_id.tolist(), on_record.label.tolist(), strict=True))
    sequences = loaded.arrays
    dataset = VisitDataset(sequences)
    for row in range(0, len(sequences), 13):
        with torch.inference_mode():
            alone = rebuilt(*dataset[[row]].inputs).softmax(1)[0].numpy()
        time = sequences.prediction_time[row].astype("datetime64[s]")
        name = f"{sequences.subject_id[row]} at {time}"
        assert by_id[name] == pytest.approx(alone, abs=1e-5)
        assert labels[name] == sequences.label[row]


@pytest.mark.parametrize("step_hours", [None, 24.0])
def test_the_steps_of_examples_are_told(step_hours: float | None, asked: Ask, opened: Load) -> None:
    data = opened(asked(step_hours=step_hours) if step_hours else asked())
    lengths = np.sort(np.diff(data.arrays.step_offsets))
    told = data.describe()["sequences"]
    spread = told["steps_distribution"]
    assert told["steps"] == lengths.mean()
    assert spread["share_of_one"] == np.count_nonzero(lengths == 1) / len(lengths)
    assert spread["quantiles"]["0.5"] == lengths[(len(lengths) - 1) // 2]
    assert list(spread["quantiles"].values()) == sorted(spread["quantiles"].values())
    assert spread["most"] == lengths[-1]


def test_the_reports_question_leaks_and_says_so(asked: Ask, trained: Train) -> None:
    leaking = trained(asked(task="report-2019")).metrics
    assert {leak["check"] for leak in leaking["leaks"]} >= {"declared leak", "known outcome"}
    assert "LEAKS" in leaking["data"]["question"]
    honest = trained(asked()).metrics
    assert honest["leaks"] == []
    assert "LEAKS" not in honest["data"]["question"]


@pytest.mark.parametrize("said", [{}, {"inputs": ("ICD9CM", "CPT")}, {"hours": 96.0}])
@pytest.mark.parametrize("hindsight", [False, True])
def test_a_model_sees_what_was_known_by_then_and_no_more(
    said: dict[str, Any],
    hindsight: bool,  # noqa: FBT001
    asked: Ask,
    opened: Load,
) -> None:
    """All codes of the asked families up to the prediction, counted by hand from the events."""
    loaded = opened(asked(**said, hindsight=hindsight))
    sequences, task = loaded.arrays, loaded.cohort.task
    rows = pa.concat_tables(
        [pq.read_table(file) for file in loaded.cohort.events.files]
    ).to_pylist()
    of_subject: dict[int, list[dict[str, Any]]] = {}
    for row in rows:
        if row["code"].split("//")[0] in task.inputs and row["time"] is not None:
            of_subject.setdefault(row["subject_id"], []).append(row)
    known = set(sequences.vocabulary[1:])
    seen: set[str] = set()
    for example in range(len(sequences)):
        asked_at = sequences.prediction_time[example].item()
        events = of_subject.get(int(sequences.subject_id[example]), [])
        visible = {row["code"] for row in events if row["time"] <= asked_at}
        given = {code for step in sequences.codes_of(example) for code in step}
        assert given - {"UNKNOWN"} == visible & known
        assert ("UNKNOWN" in given) == bool(visible - known)
        if loaded.part[example] == 0:
            seen |= visible
    assert known == seen  # the vocabulary is that of the training part


def test_hindsight_asks_the_same_of_the_same(asked: Ask, opened: Load) -> None:
    honest, back = (opened(asked(hindsight=flag)) for flag in (False, True))
    for name in ("subject_id", "label", "part"):
        np.testing.assert_array_equal(
            getattr(honest.arrays, name), getattr(back.arrays, name), err_msg=name
        )
    assert honest.split == back.split
    assert honest.cohort.flow == back.cohort.flow
    later = back.arrays.prediction_time > honest.arrays.prediction_time
    assert later.all()
    assert [leak.check for leak in honest.cohort.leaks] == []
    assert back.cohort.leaks[0].check == "declared leak"
    assert "LEAKS" in back.cohort.task.describe()


def test_hindsight_sees_the_codes_of_discharge_but_not_where_somebody_went(
    asked: Ask, opened: Load
) -> None:
    plain = asked().cohort
    assert plain is not None
    everything = plain.model_copy(update={"inputs": (), "tables": ()})
    families = {}
    for flag in (False, True):
        settings = asked().model_copy(
            update={"cohort": everything.model_copy(update={"hindsight": flag})}
        )
        loaded = opened(settings)
        families[flag] = {code.split("//")[0] for code in loaded.arrays.vocabulary}
        last = [set().union(*loaded.arrays.codes_of(i)) for i in range(len(loaded.arrays))]
        with_diagnosis = sum(any(c.startswith("ICD9CM") for c in codes) for codes in last)
        assert (with_diagnosis == len(last)) == flag  # every stay of the demo is coded
    assert {"HOSPITAL_DISCHARGE", "ICU_DISCHARGE"} <= families[False]  # of earlier stays
    assert not {"HOSPITAL_DISCHARGE", "ICU_DISCHARGE"} & families[True]
    assert not {"HOSPITAL_OUTCOME", "MEDS_DEATH"} & (families[False] | families[True])


def test_hours_of_zero_are_hours(asked: Ask, opened: Load) -> None:
    at_the_door, later = (opened(asked(hours=hours)).arrays for hours in (0.0, 24.0))
    assert len(at_the_door) > len(later)
    times = dict(zip(later.subject_id.tolist(), later.prediction_time, strict=True))
    shared = [
        (times[subject] - time) / np.timedelta64(1, "h")
        for subject, time in zip(
            at_the_door.subject_id.tolist(), at_the_door.prediction_time, strict=True
        )
        if subject in times
    ]
    assert 24.0 in shared


def test_what_the_sequences_are_made_of_changes_their_digest(asked: Ask, opened: Load) -> None:
    one, other, again = (opened(asked(min_subjects=n)) for n in (1, 5, 1))
    assert one.digest == again.digest != other.digest


def test_most_examples_may_be_empty(asked: Ask, opened: Load, trained: Train) -> None:
    """Few have an earlier stay with diagnoses; what one costs is counted on one who has."""
    settings = asked(inputs=("ICD9CM",))
    loaded = opened(settings)
    empty = [not set().union(*loaded.arrays.codes_of(i)) for i in range(len(loaded.arrays))]
    assert np.mean(empty) > 0.5
    assert len(loaded.inputs(("codes",)).example[0]) > 0
    assert trained(settings).metrics["operations"] > 0


def test_the_time_of_one_prediction_reads_one_patient(
    asked: Ask, opened: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = opened(asked(inputs=("ICD9CM", "LAB"))).inputs(("codes", "values"))
    visits = []

    def counted(sequences: Any, asked_visits: Any) -> Any:
        visits.append(len(asked_visits))
        return last_values(sequences, asked_visits)

    monkeypatch.setattr(visit_batches, "last_values", counted)
    assert inputs.example
    assert visits == [inputs.steps]


# What is refused -----------------------------------------------------------------------------


def test_a_taken_folder_is_refused_before_events_are_built(
    asked: Ask, trained: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = trained(asked())

    def never(*_: object, **__: object) -> None:
        raise AssertionError("events were asked for")

    monkeypatch.setattr("sequela.tables.built_events.build", never)
    monkeypatch.setattr(records, "load", never)
    before = {path: path.stat().st_mtime_ns for path in folder.path.rglob("*")}
    with pytest.raises(RunError, match="is not empty; continue it with --resume"):
        fit.train(asked(), folder.path, root=MIMIC3)
    with pytest.raises(RunError, match="settings differ"):
        fit.train(asked(seed=1), folder.path, root=MIMIC3, resume=True)
    assert {path: path.stat().st_mtime_ns for path in folder.path.rglob("*")} == before


# Interrupted and resumed ---------------------------------------------------------------------


def test_interrupted_within_an_epoch_without_a_work_folder(
    asked: Ask, trained: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The records of patients that were made on the way go, whatever happens."""
    out, calls = tmp_path / "runs" / "run", 0
    forward = VisitsBaseline.forward

    def interrupted(self: VisitsBaseline, *inputs: torch.Tensor) -> torch.Tensor:
        nonlocal calls
        calls += 1
        if calls == 4:  # an epoch is one batch of each of two parts, and one is for the cost
            (work,) = (tmp_path / "runs").glob(".run.*.work")
            assert (work / "events" / "mimic3").is_dir()
            interrupt()
        logits: torch.Tensor = forward(self, *inputs)
        return logits

    with monkeypatch.context() as patch:
        patch.setattr(VisitsBaseline, "forward", interrupted)
        with pytest.raises(KeyboardInterrupt):
            fit.train(asked(), out, root=MIMIC3)
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["run"]
    assert not list(tmp_path.rglob("*.partial"))
    fit.train(asked(), out, root=MIMIC3, resume=True)
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["run"]
    assert content(out) == content(trained(asked()).path)


# Labels from a file --------------------------------------------------------------------------


def test_a_label_file_of_the_tasks_labels_gives_the_same_run(
    asked: Ask, opened: Load, trained: Train, tmp_path: Path
) -> None:
    own = opened(asked())
    write_labels(own.cohort.labels, tmp_path / "labels.parquet")
    settings = asked(labels=str(tmp_path / "labels.parquet"))
    given = opened(settings)
    assert given.cohort.labels.equals(own.cohort.labels)
    assert given.digest == own.digest
    assert given.split == own.split
    by_file, by_task = trained(settings), trained(asked())
    read = [Predictions.read(run.path / "predictions.parquet") for run in (by_file, by_task)]
    assert np.array_equal(read[0].probabilities, read[1].probabilities)
    assert [some.classes for some in read] == [("no event", "event"), ("survived", "died")]
    of_readmission = asked(labels=str(tmp_path / "labels.parquet"), outcome="readmitted")
    assert ", labels of a file of " in settings.title
    assert ", readmitted of " in of_readmission.title
    named = opened(of_readmission)
    assert named.classes == ("not readmitted", "readmitted")
    assert named.describe()["outcome"]["many"] == "readmitted"
    assert by_file.metrics["data"]["flow"]["unit"] == "labels"
    assert "label" in by_file.metrics["data"]["question"]
    assert "24 hours" not in by_file.metrics["data"]["question"]


def test_a_label_file_without_times_is_refused(
    asked: Ask, opened: Load, mimic3: Where, tmp_path: Path
) -> None:
    labels = tmp_path / "labels.parquet"
    pq.write_table(opened(asked()).cohort.labels.drop_columns("prediction_time"), labels)
    with pytest.raises(DataError, match="has no column 'prediction_time'") as caught:
        fit.train(asked(labels=str(labels)), tmp_path / "run", **mimic3)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == [labels]


# Counted from the ICU ------------------------------------------------------------------------


def test_eicu_counts_from_the_first_unit_of_the_stay(asked: Ask, opened: Load) -> None:
    """Who is asked about, when and what came true, counted by hand from the table of patients."""
    with gzip.open(EXCERPTS / "eicu" / "patient.csv.gz", "rt") as file:
        units = list(csv.DictReader(file))
    stays: dict[str, list[dict[str, str]]] = {}
    for unit in units:
        stays.setdefault(unit["patienthealthsystemstayid"], []).append(unit)
    outcomes = []
    for same in stays.values():
        first = max(same, key=lambda unit: int(unit["hospitaladmitoffset"]))
        minor = first["age"].isdigit() and int(first["age"]) < 18
        stayed = int(first["hospitaldischargeoffset"])  # minutes, from this unit's admission
        if first["hospitaldischargestatus"] and not minor and stayed > 24 * 60:
            outcomes.append(first["hospitaldischargestatus"] == "Expired")
    loaded = opened(asked(data="eicu"))
    assert (len(loaded.arrays), int(loaded.arrays.label.sum())) == (len(outcomes), sum(outcomes))
    assert loaded.cohort.task.trigger == "ICU admission"
    assert "24 hours after the first ICU admission of each stay" in loaded.cohort.task.describe()


def test_eicu_counts_from_the_icu_only_where_its_own_question_is_asked(asked: Ask) -> None:
    """Another task has its own times: what the study says of a data set's is not theirs."""
    from_discharge = asked(data="eicu", task="post-discharge").cohort
    assert from_discharge is not None
    assert task_of_settings(from_discharge).trigger == "discharge"
    landmark = asked(data="physionet2012", task="landmark").cohort
    assert landmark is not None
    assert task_of_settings(landmark).hours == 24 * 365
    assert task_of_settings(landmark.model_copy(update={"hours": 48.0})).hours == 48
