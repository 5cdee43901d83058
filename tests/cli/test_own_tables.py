"""Tables and a task of one's own, through the command line."""

from pathlib import Path

import pytest
from tests.cli.calls import Output, Refused, ran, refusal
from tests.tables import hospital

from sequela.report.commands import commands
from sequela.runs.find import open_run

TASK = """
name = "back-within-60d"
trigger = "discharge"
horizon_days = 60
outcome = "readmission within the horizon"
"""


@pytest.fixture
def own(tmp_path: Path, no_data: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return hospital.write(tmp_path, monkeypatch)


def test_a_run_keeps_its_task(own: Path, tmp_path: Path) -> None:
    (tmp_path / "task.toml").write_text(TASK, "utf-8")
    data = ("--data", "tables", "--root", own)
    out = tmp_path / "run"
    ran("train", "logistic-regression", *data, "--task", "task.toml", "--out", out)
    (tmp_path / "task.toml").unlink()
    ran("evaluate", out)
    found = open_run(out).data
    assert found["task"]["name"] == "back-within-60d"
    assert found["question"].startswith("readmission within 60 days, predicted at each discharge")
    assert "--task back-within-60d.toml" in commands([open_run(out)])[0]


def test_what_cannot_be_is_refused(own: Path, tmp_path: Path, refused: Refused) -> None:
    said = refused("build", "tables", "--root", "postgresql://x", "--out", "e")
    assert "name their folder with --root" in said
    (own / "tables.toml").unlink()
    said = refused("build", "tables", "--root", own, "--out", "e")
    assert "tables.toml is not there" in said
    assert "sequela data describe" in said
    said = refused("build", "tables", "--root", own, "--declaration", "no.toml", "--out", "e")
    assert "no.toml does not exist" in said
    assert "describe" not in said
    said = refused("data", "describe", "omop")
    assert "is not declared in a file; expected one of clif, eicu, mimic3, mimic4, nafld" in said


def test_a_table_that_is_absent_is_listed(own: Path, tmp_path: Path, output_of: Output) -> None:
    (own / "labs.csv").unlink()
    assert "\nlabs: not read (declared, but not there)\n" in output_of(
        "build", "tables", "--root", own, "--out", tmp_path / "events"
    )


def test_a_published_declaration_is_shown(output_of: Output) -> None:
    for name, table in (("mimic3", "ADMISSIONS"), ("mimic4", '"hosp/admissions"')):
        assert f"[tables.{table}.columns]" in output_of("data", "describe", name)


def test_rows_that_do_not_fit(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (own / "patients.csv").read_text("utf-8")
    (own / "patients.csv").write_text(text.replace("1930-03-01", "01.03.1930", 1), "utf-8")
    message = refusal(capsys, "data", "check", "tables", "--root", own)
    assert "patients.csv, line 2: column 'born' holds a value of the form" in message
    assert "1930" not in message
