"""The page: what it holds, and that it is the same each time."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sequela.errors import RunError
from sequela.report.pages.build import build
from sequela.runs import fit
from sequela.runs.find import find_runs
from sequela.runs.folder import RunFolder
from sequela.studies.registry import STUDIES


def test_the_page_is_self_contained_and_named(
    small_page: Path, outline: Callable[[Path], Any]
) -> None:
    found = outline(small_page)
    assert found.fetched == []
    assert found.tags.count("script") == 1  # it sorts and filters, and fetches nothing
    assert len(found.ids) == len(set(found.ids))
    # two curves and a matrix for each MLP, a matrix for each reference model, the leak, all models,
    # and of the best: ROC, reliability and a matrix
    assert len(found.labels) == 2 * 3 + 2 + 1 + 1 + 3
    assert not list(small_page.parent.glob("*.partial"))


def test_the_page_says_what_a_reader_must_know(
    small_runs: list[RunFolder], small_page: Path
) -> None:
    text = small_page.read_text("utf-8")
    test = small_runs[1].metrics["parts"]["held_out"]
    assert f"<b>{100 * test['accuracy']:.0f}</b>" in text
    # What makes the numbers say less stands where it is read: beside them, and in the method.
    first, second, *_ = STUDIES["seizure"].caveats
    assert first in text[: text.index("<nav")]
    assert second in text[text.index('id="method"') : text.index('id="details"')]
    assert ">by row<" in text


@pytest.mark.parametrize("change", [{"seed": 5}, {"fractions": (0.3, 0.3, 0.4)}])
def test_runs_of_other_splits_do_not_share_a_page(
    change: dict[str, Any], small_runs: list[RunFolder], synthetic: Path, tmp_path: Path
) -> None:
    settings = small_runs[2].settings.model_copy(update=change)
    other = fit.train(settings, tmp_path / "other", root=synthetic)
    with pytest.raises(RunError, match="have different splits"):
        build([*small_runs, other], tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()


def test_no_run_no_page(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="at least one run"):
        build([], tmp_path / "page.html")
    with pytest.raises(RunError, match="expected a run folder"):
        find_runs([tmp_path])
