"""The sentence on runs of another training size, where they are on a page."""

from pathlib import Path

import pytest

from sequela.evaluation.number import within
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


def test_the_page_names_it_and_compares_the_others_only(
    small_runs: list[RunFolder], smaller: RunFolder, shared_recordings: Path, tmp_path: Path
) -> None:
    text = build([small_runs[0], smaller], tmp_path / "page.html").read_text("utf-8")
    before = (shared_recordings / "report.html").read_text("utf-8")
    assert "training on other shares" not in before
    sizes = [run.metrics["parts"]["train"]["groups"] for run in (smaller, small_runs[0])]
    assert sizes[0] < sizes[1]
    low, high = smaller.test["accuracy_ci"]
    score = f"{smaller.test['accuracy']:.0%} {within(low, high, '.0%')}"
    assert (
        "<p>Accuracy on the same test set after training on other shares of the data: "
        f"MLP baseline {score} with {sizes[0]} sessions.</p>"
    ) in text
    assert text.count('<th scope="row">MLP baseline</th>') == before.count(
        '<th scope="row">MLP baseline</th>'
    )
