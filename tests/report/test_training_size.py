"""The learning curve over the training size, where runs of several sizes are on a page."""

from pathlib import Path
from urllib.parse import unquote

import pytest

from sequela.errors import SettingError
from sequela.figures.training_size import training_size
from sequela.report.pages.build import build
from sequela.report.sections.training_size import apart
from sequela.runs import fit
from sequela.runs.folder import RunFolder


@pytest.fixture(scope="module")
def smaller(
    small_runs: list[RunFolder], synthetic: Path, tmp_path_factory: pytest.TempPathFactory
) -> RunFolder:
    """The first model, trained on less and judged on the same recordings."""
    settings = small_runs[0].settings.model_copy(update={"fractions": (0.3, 0.5, 0.2)})
    return fit.train(settings, tmp_path_factory.mktemp("sizes") / "smaller", root=synthetic)


def test_a_run_of_another_share_stands_aside(
    small_runs: list[RunFolder], smaller: RunFolder
) -> None:
    assert apart([*small_runs, smaller]) == (small_runs, [smaller])
    assert apart(small_runs) == (small_runs, [])
    assert apart([smaller]) == ([smaller], [])
    assert apart([smaller, small_runs[0]]) == ([small_runs[0]], [smaller])


def test_the_page_draws_it_and_compares_the_others_only(
    small_runs: list[RunFolder], smaller: RunFolder, shared_recordings: Path, tmp_path: Path
) -> None:
    text = build([small_runs[0], smaller], tmp_path / "page.html").read_text("utf-8")
    before = (shared_recordings / "report.html").read_text("utf-8")
    assert "Learning curve over the size of the training set" in text
    assert "Learning curve over the size of the training set" not in before
    sizes = [run.metrics["parts"]["train"]["groups"] for run in (smaller, small_runs[0])]
    assert sizes[0] < sizes[1]
    csv = unquote(text.partition('download="seizure-training-size.csv" href="')[2].split('"')[0])
    for run in (smaller, small_runs[0]):
        low, high = run.test["accuracy_ci"]
        assert f",{low:.4g},{high:.4g}" in csv
    drawn = text[text.index('id="figure-seizure-training-size"') :]
    drawn = drawn[: drawn.index("</figure>")]
    for run, size in zip((smaller, small_runs[0]), sizes, strict=True):
        assert f"MLP baseline, {size} sessions: {100 * run.test['accuracy']:.0f}" in drawn
    assert text.count('<th scope="row">MLP baseline</th>') == before.count(
        '<th scope="row">MLP baseline</th>'
    )


def test_nothing_is_no_picture() -> None:
    with pytest.raises(SettingError, match="name runs of one model and several sizes"):
        training_size([], metric="accuracy", unit="recordings")
