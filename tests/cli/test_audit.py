"""``sequela audit``: the data of a run are looked at again, and the status says what was found."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from benchmarks.attacks.tables import write_omop
from sklearn.metrics import roc_auc_score
from tests.cli.calls import Refused, ran, status


@pytest.fixture(scope="module")
def clean(synthetic: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("audit") / "clean"
    ran("train", "majority-class", "--data", "bonn", "--root", synthetic, "--out", out)
    return out


def test_a_clean_run_ends_with_0(
    clean: Path, synthetic: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status("audit", clean, "--root", synthetic) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[-1].startswith("nothing found; checked for: sessions in two sets, ")
    assert status("audit", clean, "--root", synthetic, "--json") == 0
    printed = json.loads(capsys.readouterr().out)
    assert (printed["findings"], printed["planned"]) == ([], False)


def test_a_leak_ends_with_3_and_is_printed(
    synthetic: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "by-row"
    ran("train", "majority-class", "--data", "bonn", "--root", synthetic, "--out", run,
        "--split", "row")  # fmt: skip
    capsys.readouterr()
    page = tmp_path / "audit.html"
    assert status("audit", run, "--root", synthetic, "--page", page) == 3
    assert "50 sessions are in both parts" in page.read_text("utf-8")
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith("LEAK: 50 sessions are in both parts, ")
    assert lines[1].endswith("(training set, validation set); split by session")
    assert lines[-2:] == ["leaks by design", f"page: {page}"]
    assert status("audit", run, "--root", synthetic, "--json") == 3
    printed = json.loads(capsys.readouterr().out)
    assert {found["check"] for found in printed["findings"]} == {"overlapping groups"}
    assert printed["planned"] is True


def test_suspicions_alone_end_with_4(
    clean: Path,
    synthetic: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sequela.audit.overlaps.REVEALING_AUROC", 0.5)
    monkeypatch.setattr("sequela.audit.overlaps._CHANCE_OF_COLUMN", 1e6)
    monkeypatch.setattr("sequela.runs.signals._READ", {})  # else they were audited before
    assert status("audit", clean, "--root", synthetic) == 4
    assert "SUSPICION: its values alone predict" in capsys.readouterr().out


def test_folds_are_audited_together(
    synthetic: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "folds"
    ran("train", "majority-class", "--data", "bonn", "--root", synthetic, "--out", run,
        "--folds", "2")  # fmt: skip
    assert status("audit", run, "--root", synthetic) == 0
    assert "nothing found" in capsys.readouterr().out


def test_other_data_than_those_of_the_run(
    clean: Path, synthetic: Path, tmp_path: Path, refused: Refused
) -> None:
    changed = shutil.copytree(synthetic, tmp_path / "changed")
    (changed / "S/S001.txt").write_text("7\n" * 4097, "utf-8")
    line = refused("audit", clean, "--root", changed)
    assert "was trained on other data than those found now" in line


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Rows of 40 patients, each in both parts."""
    lines = [f"{i // 4},{i % 3},{i // 4 % 2},{('train', 'test')[i % 4 == 0]}" for i in range(160)]
    path = tmp_path / "table.csv"
    path.write_text("\n".join(["person,value,outcome,split", *lines]) + "\n", "utf-8")
    return path


def test_a_table_of_others(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = table.with_name("audit.html")
    assert status("audit", table, "--page", page) == 3
    first, leak, *_ = capsys.readouterr().out.splitlines()
    roles = "split: split; label: outcome; patient: person; 1 other columns"
    assert first == f"table.csv: 160 rows: {roles}"
    assert leak.startswith(
        "LEAK: 40 patients are in both parts, with 40 of 40 examples of the test set"
    )
    assert "40 patients are in both parts" in page.read_text("utf-8")
    assert status("audit", table, "--split", "value", "--group", "person", "--json") == 3
    printed = json.loads(capsys.readouterr().out)
    assert (printed["schema"], printed["status"]) == ("sequela-audit/1", 3)
    assert {found["reference"] != "" for found in printed["findings"]} == {True}


def test_a_cohort_table_of_omop(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], refused: Refused
) -> None:
    root, page = write_omop(tmp_path / "cdm", 4000), tmp_path / "audit.html"
    assert status("audit", root, "--label", "2", "--page", page) == 0
    assert "nothing found" in capsys.readouterr().out
    assert "No findings; checked for: " in page.read_text("utf-8")
    cohorts = root / "cohort.csv"
    assert "cohorts 1, 2; expected two" in refused("audit", root, "--label", "3")
    shutil.move(cohorts, tmp_path / "of study.csv")
    named = ("--labels", tmp_path / "of study.csv", "--label", "2")
    assert status("audit", write_omop(tmp_path / "early", 60), *named) == 4
    assert "SUSPICION: " in capsys.readouterr().out
    line = refused("audit", root, "--labels", root / "death.csv", "--label", "2")
    assert "not a cohort table of OMOP" in line


def test_predictions_of_any_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], refused: Refused
) -> None:
    rows = [
        (i // 2, ("nein", "ja")[i % 5 < 2], f"{10 * (i % 5 < 2) + 7 * i % 60},5")
        for i in range(200)
    ]
    lines = [f"{patient};{died};{risk}" for patient, died, risk in rows] + ["100;ja;"]
    path, page = tmp_path / "predictions.csv", tmp_path / "page.html"
    path.write_text("\n".join(["Patient;verstorben;Risiko", *lines]) + "\n", "utf-8")
    named = ("--label", "verstorben", "--score", "Risiko", "--group", "Patient")
    assert status("evaluate", path, *named, "--page", page) == 0
    shown = capsys.readouterr().out
    assert "probability read in percent; blank rows left out: 1" in shown
    assert "200 examples in 100 groups" in shown
    assert "AUROC of ja" in page.read_text("utf-8")
    assert status("evaluate", path, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    label = np.array([died == "ja" for _, died, _ in rows])
    risk = np.array([float(risk.replace(",", ".")) for *_, risk in rows])
    assert found["auroc"] == pytest.approx(roc_auc_score(label, risk))
    assert "unknown column 'x'" in refused("evaluate", path, "--score", "x")
    assert "a table of predictions" in refused("evaluate", tmp_path, "--score", "x")


def test_what_is_not_a_table(table: Path, refused: Refused) -> None:
    assert "unknown column 'age'" in refused("audit", table, "--label", "age")
    assert "not the parts of a split" in refused("audit", table, table)
    assert "expected a name that ends in .html" in refused("audit", table, "--page", "a.pdf")
    assert "neither a run, nor a folder in MEDS" in refused("audit", table.parent)
    table.with_name("data").mkdir()
    assert "add --labels FILE" in refused("audit", table.parent)
