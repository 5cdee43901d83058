"""The page of an explanation."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.approved import assert_approved, texts_of

from sequela.analysis.explain import explain
from sequela.datasets.catalog import EXCERPTS
from sequela.evaluation.attribution import Attribution
from sequela.evaluation.number import number
from sequela.report.pages.explanation_page import build_explanation, up_and_down
from sequela.runs.find import Run
from sequela.runs.folder import RunFolder
from sequela.sequences.flat import CodeAt

Outline = Callable[[Path], Any]


def test_segments_are_drawn_with_their_error(
    small_runs: list[RunFolder], synthetic: Path, outline: Outline, tmp_path: Path
) -> None:
    found = explain(small_runs[1].path, root=synthetic)
    page = build_explanation(found, tmp_path / "page.html", ids=True)
    seen = outline(page)
    assert seen.fetched == []
    assert len(seen.ids) == len(set(seen.ids))
    assert len(seen.labels) == len(found.examples) > 0
    text = page.read_text("utf-8")
    for each in found.examples:
        assert f">{each.example_id}</h3>" in text
        for name, one in each.numbers.items():
            assert f"The {name} is {one.reached:+.3f}" in text
            assert f"completeness error {one.error:.2g}" in text
    assert "Records of single patients" not in text
    assert_approved("explained-segments", texts_of(text).replace(str(synthetic), "here"))
    again = build_explanation(found, tmp_path / "again.html", ids=True)
    assert again.read_bytes() == page.read_bytes()
    without = build_explanation(found, tmp_path / "without.html").read_text("utf-8")
    assert not any(each.example_id in without for each in found.examples)


def test_codes_stand_in_a_table_that_sums_up(
    record_runs: list[Run], outline: Outline, tmp_path: Path
) -> None:
    run = next(r for r in record_runs if r.settings.data == "mimic3")
    found = explain(run.path, root=EXCERPTS / "mimic3", hide_below=10)
    page = build_explanation(found, tmp_path / "page.html", hide_below=10)
    text = page.read_text("utf-8")
    for each in found.examples:
        (one,) = each.numbers.values()
        assert f"<strong>{number(one.values.sum(), '+.3g')}</strong>" in text
    assert len(outline(page).ids) == len(set(outline(page).ids))
    assert_approved("explained-records", texts_of(text))


def test_what_moved_most_comes_first_and_nothing_is_lost() -> None:
    values = np.array([0.1, -0.5, 0.0, 0.7, -0.2, 0.3])
    codes = tuple(CodeAt(f"c{i}", 1, 0.0, 50) for i in range(len(values)))
    up, down, others = up_and_down(codes, Attribution(values, 0.0, values.sum(), 1), most=2)
    assert [(m.code.code, m.value) for m in up] == [("c3", 0.7), ("c5", 0.3)]
    assert [(m.code.code, m.value) for m in down] == [("c1", -0.5), ("c4", -0.2)]
    assert others == pytest.approx(0.1)
