"""The page on evaluation leaves no check or metric out."""

from tests.docs.conftest import DOCS

from sequela.audit import column_checks, overlaps, small_models
from sequela.evaluation import (
    calibration,
    comparison,
    conformal,
    curves,
    decision,
    recalibration,
    recipe,
)
from sequela.evaluation.metrics import METRICS

MODULES = (
    *(column_checks, overlaps, small_models, calibration, comparison, conformal, curves, decision),
    *(recalibration, recipe),
)
PAGE = DOCS / "evaluation.md"


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
