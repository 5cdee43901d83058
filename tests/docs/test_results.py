"""README and the page of results hold the committed numbers, and what ``reproduce`` writes fits."""

import json
from pathlib import Path
from typing import Any

import pytest
from benchmarks.reproduction import page

SUMMARY = page.read()


@pytest.mark.parametrize("path", [page.README, page.PAGE], ids=lambda path: path.name)
def test_the_page_holds_the_committed_numbers(path: Path) -> None:
    text = path.read_text("utf-8")
    inside = page.parts(SUMMARY)[path]
    assert page.written(text, inside) == text, "run python benchmarks/reproduction/page.py"


def test_the_readme_is_short() -> None:
    assert len(page.README.read_text("utf-8").splitlines()) <= 120


def test_the_results_are_five_lines() -> None:
    assert page.five_lines(SUMMARY).count("\n") == 4


def test_a_page_without_a_marked_place_is_refused() -> None:
    with pytest.raises(ValueError, match="no place marked for times"):
        page.written("# Title\n", {"times": "an hour"})


def test_what_reproduce_writes_is_summarised() -> None:
    entry: dict[str, Any] = {
        "parameters": 7,
        "operations": None,
        "leaks": [],
        "run": "x",
        "epochs": 1,
    }
    test = {"auroc": 0.8, "auroc_ci": [0.7, 0.9], "accuracy": 0.9, "recording_accuracy": None}
    results = {
        "environment": {"sequela": "9", "machine": "m", "system": "s", "cores": 2},
        "studies": {
            "mortality": {
                "data": {"title": "T", "question": "death", "positives": 60},
                "examples": 200,
                "subjects": 10,
                "models": {"visits-baseline": entry | {"test": test}},
                "floors": {"boosting": entry | {"test": test, "leaks": [{"severity": "leak"}]}},
                "default": {"values-lstm": entry | {"test": test}},
                "best": {"sentence": "It is so."},
            }
        },
    }
    found = page.summary_of(json.loads(json.dumps(results)), {"date": "today"})
    assert found["made"] == {"date": "today", "version": "9", "machine": "m s, 2 cores"}
    study = found["studies"]["mortality"]
    assert (study["leaks"], study["default"], study["best"]) == (True, "values-lstm", "It is so.")
    assert study["models"]["boosting"]["auroc"] == 0.8
    assert "| 60 of 200 | 0.80 (0.70 to 0.90) |" in page.mortality_table(found)
    study["positives"] = 31
    table = page.mortality_table(found)
    assert "0.80" not in table
    assert "Not in the table: T. There, 31 deaths of 200 examples are too few" in table
