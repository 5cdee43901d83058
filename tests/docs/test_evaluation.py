"""What the page on evaluation shows is what happens, and it leaves no check or metric out."""

import doctest
from pathlib import Path

import pytest

from sequela.cohort import overlaps, tells
from sequela.evaluation import (
    calibration,
    comparison,
    conformal,
    curves,
    decision,
    event,
    recalibration,
    recipe,
)
from sequela.evaluation.metrics import METRICS

MODULES = (
    overlaps,
    tells,
    calibration,
    comparison,
    conformal,
    curves,
    decision,
    event,
    recalibration,
    recipe,
)
PAGE = Path(__file__).parents[2] / "docs" / "evaluation.md"


@pytest.mark.usefixtures("own_metrics")
def test_examples_in_python() -> None:
    results = doctest.testfile(str(PAGE), module_relative=False, encoding="utf-8")
    assert results.attempted > 10
    assert results.failed == 0


def test_each_metric_stands_on_the_page() -> None:
    lines = PAGE.read_text("utf-8").splitlines()
    rows = [
        f"| {m.title} (`{m.name}`) | {m.better or 'neither'} | {m.needs} | {m.says} |"
        for m in METRICS.values()
    ]
    assert [row for row in rows if not any(line.startswith(row) for line in lines)] == []


def test_each_public_function_stands_on_the_page() -> None:
    text = PAGE.read_text("utf-8")
    left_out = [
        name
        for module in MODULES
        for name, value in vars(module).items()
        if getattr(value, "__module__", None) == module.__name__
        and callable(value)
        and name[0].islower()
        and name[0] != "_"
        and name not in text
    ]
    assert left_out == []
