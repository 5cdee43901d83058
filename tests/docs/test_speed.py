"""The page on speed has the numbers of the committed measurements."""

import json
from pathlib import Path

import pytest
from benchmarks.field import __main__ as field
from benchmarks.serving import run

PAGE = Path(run.PAGE).read_text("utf-8")


def test_its_numbers_are_those_of_the_summary() -> None:
    found = json.loads(run.SUMMARY.read_text("utf-8"))
    assert run.MARK + "\n" + run.document(found) + "\n" + run.MARK in PAGE
    assert not any(each["errors"] for each in found["load"])
    assert PAGE.count(run.MARK) == 2


def test_its_table_is_that_of_the_summary() -> None:
    found = json.loads(field.SUMMARY.read_text("utf-8"))
    assert field.MARK + "\n" + field.document(found) + "\n" + field.MARK in PAGE
    assert PAGE.count(field.MARK) == 2
    for work in found["works"].values():
        assert work["scale"] == 1
        assert all(len(taken["seconds"]) == found["runs"] for taken in work["ways"].values())


@pytest.mark.slow
def test_each_way_does_the_work(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    field.main(["--only", "epoch", "--quick", "--runs", "1", "--folder", str(tmp_path)])
    printed = capsys.readouterr().out.splitlines()
    turns = [line.partition(":")[0] for line in printed if line.startswith("epoch, ")]
    assert turns == ["epoch, sequela", "epoch, torch"]
    rows = [line.split(" | ") for line in printed if line.startswith("| ")][1:]
    assert [row[1] for row in rows] == ["sequela", "torch"]
    assert all("2,326 patients" in row[-1] for row in rows)
    assert [path.name for path in tmp_path.iterdir()] == ["epoch-0.05"]


def test_small_inputs_are_not_written(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        field.main(["--quick", "--write"])
    assert "leave --quick out" in capsys.readouterr().err
