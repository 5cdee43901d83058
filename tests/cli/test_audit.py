"""``sequela audit``: the data of a run are looked at again, and the status says what was found."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd  # type: ignore[import-untyped]
import pytest
from benchmarks.attacks.tables import write_omop
from sklearn.metrics import roc_auc_score
from tests.cli.calls import Output, Refused, ran


def test_a_clean_run_ends_with_0(run: Path, synthetic: Path, output_of: Output) -> None:
    out = output_of("audit", run, "--root", synthetic).splitlines()
    assert out[-1].startswith("nothing found; checked for: sessions in two sets, ")
    printed = json.loads(output_of("audit", run, "--root", synthetic, "--json"))
    assert (printed["findings"], printed["planned"]) == ([], False)


def test_a_leak_ends_with_3_and_is_printed(
    synthetic: Path, tmp_path: Path, output_of: Output
) -> None:
    run = tmp_path / "by-row"
    ran("train", "majority-class", "--data", "bonn", "--root", synthetic, "--out", run,
        "--split", "row")  # fmt: skip
    page = tmp_path / "audit.html"
    lines = output_of("audit", run, "--root", synthetic, "--page", page, ended=3).splitlines()
    assert "50 sessions are in both parts" in page.read_text("utf-8")
    assert lines[1].startswith("LEAK SQ001: 50 sessions are in both parts, ")
    assert lines[1].endswith("(training set, validation set); split by session")
    assert lines[-2:] == ["leaks by design", f"page: {page}"]
    printed = json.loads(output_of("audit", run, "--root", synthetic, "--json", ended=3))
    assert {found["check"] for found in printed["findings"]} == {"overlapping groups"}
    assert printed["planned"] is True


def test_suspicions_alone_end_with_4(
    run: Path, synthetic: Path, output_of: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sequela.audit.column_checks.REVEALING_AUROC", 0.5)
    monkeypatch.setattr("sequela.audit.column_checks.CHANCE", 1e6)
    monkeypatch.setattr("sequela.runs.signals._READ", {})  # else they were audited before
    printed = output_of("audit", run, "--root", synthetic, ended=4)
    assert "SUSPICION SQ022: its values alone predict" in printed


def test_folds_are_audited_together(synthetic: Path, tmp_path: Path, output_of: Output) -> None:
    run = tmp_path / "folds"
    ran("train", "majority-class", "--data", "bonn", "--root", synthetic, "--out", run,
        "--folds", "2")  # fmt: skip
    assert "nothing found" in output_of("audit", run, "--root", synthetic)


def test_other_data_than_those_of_the_run(
    run: Path, synthetic: Path, tmp_path: Path, refused: Refused
) -> None:
    changed = shutil.copytree(synthetic, tmp_path / "changed")
    (changed / "S/S001.txt").write_text("7\n" * 4097, "utf-8")
    line = refused("audit", run, "--root", changed)
    assert "was trained on other data than those found now" in line


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Rows of 40 patients, each in both parts."""
    lines = [f"{i // 4},{i % 3},{i // 4 % 2},{('train', 'test')[i % 4 == 0]}" for i in range(160)]
    path = tmp_path / "table.csv"
    path.write_text("\n".join(["person,value,outcome,split", *lines]) + "\n", "utf-8")
    return path


def test_a_table_of_others(table: Path, output_of: Output) -> None:
    page = table.with_name("audit.html")
    first, leak, *_ = output_of("audit", table, "--page", page, ended=3).splitlines()
    roles = "split: split; label: outcome; patient: person; 1 other column"
    assert first == f"table.csv: 160 rows: {roles}"
    assert leak.startswith(
        "LEAK SQ001: 40 patients are in both parts, with 40 of 40 examples of the test set"
    )
    assert "40 patients are in both parts" in page.read_text("utf-8")
    printed = json.loads(
        output_of("audit", table, "--split", "value", "--group", "person", "--json", ended=3)
    )
    assert (printed["schema"], printed["status"]) == ("sequela-audit/1", 3)
    assert {found["reference"] != "" for found in printed["findings"]} == {True}


def test_events_with_a_label_file(tmp_path: Path, output_of: Output) -> None:
    for within, ended, words in ((4000, 0, "nothing found"), (60, 4, "SUSPICION SQ")):
        root, labels = write_omop(tmp_path / str(within), within), tmp_path / "labels.parquet"
        visits = pd.read_csv(root / "visit_occurrence.csv", parse_dates=["visit_start_datetime"])
        rows = {
            "subject_id": visits.person_id,
            "prediction_time": visits.visit_start_datetime.astype("datetime64[us]"),
            "boolean_value": visits.discharged_to_source_value == "Died",
        }
        pd.DataFrame(rows).to_parquet(labels, index=False)
        page = tmp_path / "audit.html"
        assert words in output_of("audit", root, "--labels", labels, "--page", page, ended=ended)
        assert "What was looked for" in page.read_text("utf-8")


def test_predictions_of_any_model(tmp_path: Path, output_of: Output, refused: Refused) -> None:
    rows = [
        (i // 2, ("nein", "ja")[i % 5 < 2], f"{10 * (i % 5 < 2) + 7 * i % 60},5")
        for i in range(200)
    ]
    lines = [f"{patient};{died};{risk}" for patient, died, risk in rows] + ["100;ja;"]
    path, page = tmp_path / "predictions.csv", tmp_path / "page.html"
    path.write_text("\n".join(["Patient;verstorben;Risiko", *lines]) + "\n", "utf-8")
    named = ("--label", "verstorben", "--score", "Risiko", "--group", "Patient")
    shown = output_of("evaluate", path, *named, "--page", page)
    assert "probability read in percent; blank rows left out: 1" in shown
    assert "200 examples in 100 groups" in shown
    assert "AUROC of ja" in page.read_text("utf-8")
    found = json.loads(output_of("evaluate", path, "--json"))
    label = np.array([died == "ja" for _, died, _ in rows])
    risk = np.array([float(risk.replace(",", ".")) for *_, risk in rows])
    assert found["auroc"] == pytest.approx(roc_auc_score(label, risk))
    assert "unknown column 'x'" in refused("evaluate", path, "--score", "x")
    assert "a table of predictions" in refused("evaluate", tmp_path, "--score", "x")


def test_checks_that_are_left_out(table: Path, output_of: Output, refused: Refused) -> None:
    page, left_out = table.with_name("audit.html"), ("--ignore", "SQ001")
    lines = output_of("audit", table, *left_out, "--page", page).splitlines()
    assert "not checked: SQ001 (overlapping groups): left out with --ignore" in lines
    assert "Left out with --ignore: SQ001 overlapping groups." in page.read_text("utf-8")
    printed = json.loads(output_of("audit", table, *left_out, "--json"))
    reasons = {each["code"]: each["reason"] for each in printed["unchecked"]}
    assert reasons["SQ001"] == "left out with --ignore"
    assert reasons["SQ038"] == "the data are not windows of signals"
    assert reasons["SQ046"] == "no time of the prediction is known, name it with --time"
    assert not {"SQ002", "SQ007", "SQ022"} & {*reasons}
    error = refused("audit", table, "--ignore", "SQ01")
    assert "unknown check 'SQ01': did you mean 'SQ" in error
    assert "(known: 53, from SQ001 to SQ053)" in error


def test_what_is_not_a_table(table: Path, refused: Refused) -> None:
    assert "unknown column 'age'" in refused("audit", table, "--label", "age")
    assert "not the parts of a split" in refused("audit", table, table)
    assert "expected a name that ends in .html" in refused("audit", table, "--page", "a.pdf")
    assert "neither a run, nor a folder in MEDS" in refused("audit", table.parent)
    table.with_name("data").mkdir()
    assert "add --labels FILE" in refused("audit", table.parent)
