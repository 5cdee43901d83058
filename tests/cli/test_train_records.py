"""``sequela train`` and ``sequela reproduce`` on hospital records, as a user types them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.cli.calls import Output, Refused, ran

from sequela.models.defaults import DEFAULTS
from sequela.runs.folder import RunFolder
from sequela.runs.folds import FoldsFolder


@pytest.fixture(scope="module")
def events(excerpt_events: Callable[[str], Path]) -> Path:
    return excerpt_events("mimic3")


def asked(command: str, out: Path, *more: str | Path) -> list[str | Path]:
    return ["train", *command.split(), "--out", out, *more]


def test_a_run_on_records_says_what_it_reached_and_that_it_leaks(
    no_data: Path, tmp_path: Path, output_of: Output
) -> None:
    out = tmp_path / "run"
    lines = output_of(
        *asked("visits-baseline --data mimic3 --task report-2019 --epochs 2", out)
    ).splitlines()
    assert [line.split(":")[0] for line in lines[:2]] == ["epoch 1", "epoch 2"]
    auroc = RunFolder(out).metrics["parts"]["tuning"]["auroc"]
    assert lines[2].startswith("visits-baseline, report-2019 of mimic3, ICD codes to the dot: ")
    assert ": validation set" in lines[2]
    assert any(line.split()[:2] == ["AUROC", f"{auroc:.3f}"] for line in lines)
    assert "leaks by design" in lines
    assert any("excerpt that ships with sequela" in line for line in lines)
    assert [path.name for path in tmp_path.iterdir() if path != no_data] == ["run"]


def of_auroc(printed: str) -> list[str]:
    (line,) = [line for line in printed.splitlines() if line.startswith("AUROC")]
    return line.split()


def test_folds_say_what_they_reached_together(
    events: Path, tmp_path: Path, output_of: Output
) -> None:
    out = tmp_path / "folds"
    command = "prevalence --data mimic3 --hindsight --folds 2 --repeats 2"
    printed = output_of(*asked(command, out, "--root", events))
    line = "prevalence, in-hospital of mimic3, with later information: validation AUROC 0.500"
    assert f"[4/4] {line} (no interval)" in printed
    assert printed.count("; leaks by design") == 4
    assert "LEAK:" not in printed
    assert "validation set, mean over 4 folds" in printed
    assert of_auroc(printed) == ["AUROC", "0.500"]
    assert FoldsFolder(out).summary["repeats"] == 2
    printed = output_of(*asked(command, out, "--root", events, "--resume", "--open"))
    assert of_auroc(printed) == ["AUROC", "0.500", "(no", "interval)"]
    assert "These folds were evaluated once, with 1 model." in printed
    assert "with training variance (2 repeats, 2 folds)" in printed
    assert FoldsFolder(out).summary["repeats"] == 2


@pytest.mark.parametrize(
    ("options", "fields"),
    [
        (
            "--hours 12.5 --icd-digits 0 --min-subjects 5 --step-hours 6 --bins 0 --demographics",
            {"hours": 12.5, "icd_digits": 0, "min_subjects": 5, "step_hours": 6.0}
            | {"demographics": True},
        ),
        (
            "--hours 0 --from-icu --tables DIAGNOSES_ICD",
            {"hours": 0.0, "from_icu": True, "tables": ("DIAGNOSES_ICD",)},
        ),
        (
            "--task post-discharge --days 30 --inputs ICD9CM --inputs CPT",
            {"horizon_days": 30.0, "inputs": ("ICD9CM", "CPT")},
        ),
    ],
    ids=["of inputs", "of tables", "of the task"],
)
def test_each_option_reaches_the_run(
    options: str, fields: dict[str, Any], events: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    ran(*asked("prevalence --data mimic3", out, "--root", events, *options.split()))
    cohort, header = RunFolder(out).settings.cohort, RunFolder(out).metrics["data"]
    read = header["sequences"]["settings"]
    for field, value in fields.items():
        assert getattr(cohort, field) == value
        if field == "hours":
            assert header["task"]["hours"] == value
        assert read.get(field, value) == value
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


BAD = [
    ("visits-baseline --data mimic3 --task in-hospitel", "did you mean 'in-hospital'?"),
    ("gru-improved --data mimic3", "gru-improved reads signal"),
    ("boosting --data bonn", "boosting reads features:counts"),
    ("mlp-baseline --data bonn --hours 0", "--hours is an option for hospital records"),
    ("mlp-baseline --data bonn --from-icu", "--from-icu is an option for hospital records"),
    ("prevalence --data mimic3 --hours=-1", "setting hours = -1"),
    ("prevalence --data mimic3 --hours soon", "soon"),
    ("prevalence --data mimic3 --days 30", "go together"),
    ("prevalence --data mimic3 --bins 1", "bins must be 0 or at least 2"),
    ("prevalence --data eicu --tables NOSUCH", "unknown table 'NOSUCH'"),
    ("prevalence --data mimic3 --inputs NOSUCH", "no code of NOSUCH occurs in 1 training subject"),
    ("prevalence --data mimic3 --min-subjects 90", "occurs in 90 training subject"),
    ("prevalence --data mimic3 --labels nowhere.parquet", "no label file"),
    ("prevalence --data mimic3 --labels nowhere.parquet --hindsight", "not those of a label file"),
    ("prevalence --data mimic3 --task landmark --from-icu", "landmark does not count from an adm"),
    ("prevalence --data mimic3 --outcome readmitted", "there is no label file"),
    ("prevalence --data mimic3 --aim recall", "recall"),
    ("prevalence --data mimic3 --folds 1", "needs 2 folds and 1 repeat"),
    ("prevalence --data mimic3 --folds 3 --repeats 0", "needs 2 folds and 1 repeat"),
    ("prevalence --data mimic3 --repeats 3", "needs 2 folds and 1 repeat"),
    ("prevalence --data mimic3 --folds 90", "expected 2 to 31 folds"),
    ("prevalence --data mimic4", "mimic4 was not found"),
    ("prevalence --data physionet2012 --root nowhere", "nowhere does not exist"),
]


@pytest.mark.parametrize(("command", "message"), BAD)
def test_refused_in_one_line_and_nothing_written(
    command: str,
    message: str,
    refused: Refused,
    events: Path,
    excerpt_events: Callable[[str], Path],
    no_data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    # The events are there already: a refusal is not the same for being quick.
    more: list[str | Path] = []
    if "--data mimic3" in command:
        more = ["--root", events]
    elif "--data eicu" in command:
        more = ["--root", excerpt_events("eicu")]
    assert message in refused("train", *command.split(), *more)
    assert list(tmp_path.iterdir()) == []


def test_a_data_set_of_another_source_is_refused(
    refused: Refused, events: Path, tmp_path: Path
) -> None:
    said = refused(*asked("prevalence --data eicu", tmp_path / "run", "--root", events))
    assert "was built from mimic3" in said
    assert list(tmp_path.iterdir()) == []


def test_a_taken_out_is_refused_before_tables_are_read(
    refused: Refused, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("tables were read")

    monkeypatch.setattr("sequela.runs.records.load", never)
    (tmp_path / "thesis.docx").touch()
    for more in ((), ("--folds", "3"), ("--resume",), ("--folds", "3", "--resume")):
        for out in (tmp_path, tmp_path / "thesis.docx"):
            assert "is not empty" in refused(*asked("prevalence --data mimic3", out, *more))
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.docx"]


def test_the_folder_one_stands_in_will_do(
    events: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = tmp_path / "mine"
    inside.mkdir()
    monkeypatch.chdir(inside)
    ran(*asked("prevalence --data mimic3", Path(), "--root", events))
    assert (inside / "metrics.json").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("mortalety", "mortalety"),
        ("--root .", "--root is the place of one study's data"),
        ("seizure --root nowhere", "nowhere does not exist"),
        ("seizure --seed=-1", "setting seed = -1 cannot be used"),
        ("mortality --data mimic3", "mimic3"),
    ],
)
def test_a_study_that_cannot_be_made(
    arguments: str,
    message: str,
    refused: Refused,
    no_data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert message in refused("reproduce", *arguments.split())
    assert list(tmp_path.iterdir()) == []


def test_a_study_does_not_go_where_something_else_is(refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "thesis.docx").touch()
    for out in (tmp_path, tmp_path / "thesis.docx"):
        said = refused("reproduce", "mortality", "--out", out)
        assert "is not empty, and holds no study" in said
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.docx"]


def test_auto_reads_the_records_once_and_chooses_by_what_they_hold(
    no_data: Path, events: Path, tmp_path: Path, output_of: Output
) -> None:
    out = tmp_path / "run"
    first = output_of(
        *asked("auto --data mimic3 --epochs 1 --folds 2", out, "--root", events)
    ).splitlines()[0]
    assert first == f"auto: {DEFAULTS['codes'].model}, the default for records of codes"
    run = FoldsFolder(out)
    assert run.settings.model == DEFAULTS["codes"].model
    assert run.data["sequences"]["with_measurements"] == 0
    assert [path.name for path in tmp_path.iterdir() if path != no_data] == ["run"]
