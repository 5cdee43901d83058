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


def test_small_inputs_are_not_written(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        field.main(["--quick", "--write"])
    assert "leave --quick out" in capsys.readouterr().err
