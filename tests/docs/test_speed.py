"""The page on speed says what the committed measurement says."""

import json
from pathlib import Path

from benchmarks.serving import run


def test_its_numbers_are_those_of_the_summary() -> None:
    found = json.loads(run.SUMMARY.read_text("utf-8"))
    assert run.MARK + "\n" + run.document(found) + "\n" + run.MARK in run.PAGE.read_text("utf-8")
    assert not any(each["errors"] for each in found["load"])
    assert Path(run.PAGE).read_text("utf-8").count(run.MARK) == 2
