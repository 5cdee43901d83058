"""What may be published: pages and numbers without counts of few people, and without ids."""

import json
import shutil
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.canaries import called

from sequela.audit.finding import Code, Finding
from sequela.cli.app import main
from sequela.errors import OutputError, SettingError
from sequela.figures.registry import RUN_FIGURES
from sequela.report.share import share
from sequela.runs.find import Run
from sequela.runs.folder import RunFolder
from sequela.runs.manifest import seal
from sequela.runs.released import Released


def test_a_shared_run_holds_no_internal_file(shared_records: Path, record_runs: list[Run]) -> None:
    assert sorted(each.name for each in shared_records.iterdir()) == [
        "card.md",
        "cost.json",
        "environment.json",
        "history.jsonl",
        "left-out.txt",
        "numbers.json",
        "report.html",
    ]
    numbers = json.loads((shared_records / "numbers.json").read_text("utf-8"))
    assert numbers["smallest_cell"] == 10
    assert not any(
        0 < row["training_subjects"] < 10 for row in numbers["data"]["sequences"]["frequent"]
    )
    assert [each.name for each in shared_records.parent.iterdir()] == ["out"]
    with pytest.raises(OutputError, match="exists already"):
        share(record_runs[0], shared_records)


def test_folds_and_public_recordings_are_shared(
    shared_folds: Path, shared_recordings: Path
) -> None:
    names = [each.name for each in shared_folds.iterdir()]
    assert len(names) == 6
    assert "left-out.txt" in names
    assert (shared_recordings / "model.safetensors").exists()
    numbers = json.loads((shared_recordings / "numbers.json").read_text("utf-8"))
    assert numbers["test"]["confusion"] is not None


def test_epochs_that_give_a_small_count_away_are_shared_without_metrics(
    record_runs: list[Run], small_runs: list[RunFolder], tmp_path: Path
) -> None:
    run = record_runs[0].first
    assert run.history[0].metrics
    assert Released(run, hide_below=1).history == run.history
    few = Released(run, hide_below=10**6)
    assert [each.metrics for each in few.history] == [{}] * len(run.history)
    assert [each.loss for each in few.history] == [each.loss for each in run.history]
    assert RUN_FIGURES["accuracy"].draw(few) is None
    assert RUN_FIGURES["loss"].draw(few) is not None
    assert Released(small_runs[0], hide_below=10**6).history == small_runs[0].history


@pytest.mark.parametrize("patient", ["Vogel-01", "7310001"])
def test_a_data_file_that_is_named_after_a_patient(
    patient: str, tmp_path: Path, no_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Users choose names, which no rule of disclosure hides: the title of the data is one."""
    names = [f"{patient[:-2]}{n:02d}" for n in range(60)]
    signals = [*np.random.default_rng(0).normal(size=(60, 64))]
    table = pa.table({"patient": names, "stage": ["N", "W"] * 30, "C3": signals})
    file, run, out = tmp_path / f"{patient}.parquet", tmp_path / "run", tmp_path / "out"
    pq.write_table(table, file)
    columns = ("--label", "stage", "--subject", "patient", "--channels", "C3", "--rate", 64)
    data = ("--data", "signals", "--root", file, *columns)
    assert called(main, "train", "majority-class", *data, "--out", run) == 0
    assert called(main, "share", run, "--out", out) == 2
    assert capsys.readouterr().err.count(": it would contain the id of a subject or example") == 3
    assert not out.exists()


@pytest.fixture
def with_a_code(record_runs: list[Run], tmp_path: Path) -> RunFolder:
    """A run whose audit names a code of 18 subjects, 4 of them in the training part."""
    copy = tmp_path / "run"
    shutil.copytree(record_runs[6].first.path, copy)
    metrics = json.loads((copy / "metrics.json").read_text("utf-8"))
    row = {"code": "ICD//Q88.1", "training_subjects": 4}
    metrics["data"]["sequences"]["frequent"].append(row)
    for check, numbers in (
        ("codes that tell the outcome", {"shares": ((18, 54), (0, 106))}),
        ("columns that reveal the outcome", {"auroc": 0.907}),
    ):
        facts = {"how": "its presence alone predicts", "name": "died", "least": 0.8}
        codes = (Code("ICD//Q88.1", 18, **numbers),)
        finding = Finding(check, "suspicion", facts=facts, codes=codes)
        metrics["suspicions"].append(asdict(finding))
    (copy / "metrics.json").write_text(json.dumps(metrics), "utf-8")
    seal(copy)
    return RunFolder(copy)


def test_a_code_is_named_if_enough_have_it_wherever_they_are(
    with_a_code: RunFolder, tmp_path: Path
) -> None:
    share(with_a_code, tmp_path / "ten")
    for name in ("card.md", "report.html", "numbers.json"):
        assert "ICD//Q88.1 (in 18 of 54" in (tmp_path / "ten" / name).read_text("utf-8")
        assert "in 18 subjects" not in (tmp_path / "ten" / name).read_text("utf-8")
    share(with_a_code, tmp_path / "twenty", hide_below=20)
    for name in ("card.md", "report.html", "numbers.json"):
        text = (tmp_path / "twenty" / name).read_text("utf-8")
        assert "Q88.1" not in text
        assert "a code of fewer than 20 subjects (in fewer than 20 of 54 and 0 of 106)" in text


def test_weights_are_shared_only_with_a_vocabulary_of_many(
    record_runs: list[Run], tmp_path: Path
) -> None:
    (rare,) = {
        run.path: run
        for run in record_runs
        if run.settings.data == "mimic3" and run.settings.model == "visits-improved"
    }.values()
    assert rare.data["sequences"]["settings"]["min_subjects"] < 10
    with pytest.raises(SettingError, match="each fold has its own model"):
        share(record_runs[-1], tmp_path / "out", model=True)
    assert list(tmp_path.iterdir()) == []
    files, lines = share(rare, tmp_path / "out", model=True)
    assert "model.safetensors" not in [each.name for each in files]
    assert "train it with --min-subjects 10" in lines[0]
