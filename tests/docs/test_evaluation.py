"""What the page on evaluation shows is what happens, and it leaves no check or metric out."""

import doctest
from pathlib import Path

from sequela.cohort import leakage
from sequela.evaluation import (
    calibration,
    comparison,
    conformal,
    curves,
    decision,
    recalibration,
)
from sequela.evaluation.statistic import METRICS

PAGE = Path(__file__).parents[2] / "docs" / "evaluation.md"


def test_examples_in_python() -> None:
    results = doctest.testfile(str(PAGE), module_relative=False, encoding="utf-8")
    assert results.attempted > 10
    assert results.failed == 0


def test_each_metric_stands_on_the_page() -> None:
    text = PAGE.read_text("utf-8").lower().replace("-", " ")
    assert [name for name in METRICS if name.replace("_", " ") not in text] == []


def test_each_public_function_stands_on_the_page() -> None:
    text = PAGE.read_text("utf-8")
    left_out = [
        name
        for module in (leakage, calibration, comparison, conformal, curves, decision, recalibration)
        for name, value in vars(module).items()
        if getattr(value, "__module__", None) == module.__name__
        and callable(value)
        and name[0].islower()
        and name[0] != "_"
        and name not in text
    ]
    assert left_out == []
