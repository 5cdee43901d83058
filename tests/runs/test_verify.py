"""Numbers that were changed after the run are refused wherever they are shown."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.runs.conftest import Ask, Train
from tests.runs.folders import edit, short

from sequela.analysis.compare import compare
from sequela.analysis.evaluate import evaluate_run
from sequela.errors import RunError
from sequela.evaluation.metrics import METRICS, Metric, accuracy
from sequela.evaluation.statistic import resampled_weights
from sequela.evaluation.summary import summarise_parts
from sequela.integrity.verify import verify
from sequela.report.card import build_card
from sequela.report.pages.build import build
from sequela.runs.find import named_runs, open_run
from sequela.runs.folder import RunFolder
from sequela.runs.folds import FoldsFolder
from sequela.runs.manifest import MANIFEST, seal

Edit = Callable[[Any], None]


@pytest.fixture
def copied(
    trained: Train, cross_validated: Callable[[str], FoldsFolder], asked: Ask, tmp_path: Path
) -> Path:
    """Two models on signals, and one of two classes on one split and on folds."""
    runs = {
        "mlp-baseline": trained(short()).path,
        "majority-class": trained(short("majority-class")).path,
        "single": trained(asked("logistic-regression")).path,
        "folds": cross_validated("logistic-regression").path,
    }
    for name, path in runs.items():
        shutil.copytree(path, tmp_path / "runs" / name)
    return tmp_path / "runs"


def forge(path: Path, change: Edit) -> None:
    """Change a file as a forger does, who writes the manifests anew."""
    edit(path, change)
    for folder in (path.parent, path.parent.parent):
        if (folder / MANIFEST).exists():
            seal(folder)


def put(*names: str | int, to: Any) -> Edit:
    def change(record: Any) -> None:
        for name in names[:-1]:
            record = record[name]
        record[names[-1]] = to

    return change


HELD_OUT = ("parts", "held_out")

EDITS: list[tuple[str, Edit, str]] = [
    ("mlp-baseline", put(*HELD_OUT, "accuracy", to=0.99), r"held_out accuracy = 0\.99, but the"),
    ("mlp-baseline", put(*HELD_OUT, "confusion", 1, 1, to=46), r"held_out confusion\[1\]\[1\] ="),
    ("mlp-baseline", put(*HELD_OUT, "per_class_recall", to=[1.0]), r"per_class_recall = \[1.0\],"),
    ("mlp-baseline", put(*HELD_OUT, "auroc", to=0.99), "auroc = 0.99, but the .* give None"),
    ("mlp-baseline", put(*HELD_OUT, "examples", to=10_000), "held_out examples = 10000"),
    ("single", put(*HELD_OUT, "auroc", to=0.99), r"held_out auroc = 0\.99, but the predictions"),
    (
        "single",
        put(*HELD_OUT, "operating_points", 1, "sensitivity", to=0.987),
        r"operating_points\[1\] sensitivity = 0\.987",
    ),
    ("folds/fold-01", put(*HELD_OUT, "accuracy", to=0.99), r"fold-01/metrics\.json: has held_out"),
]

OF_FOLDS: list[tuple[Edit, str]] = [
    (put("test", "auroc", to=0.99), r"folds\.json: has auroc = 0\.99, but the folds give"),
    (put("test", "operating_points", 0, "f1", to=0.9), r"operating_points\[0\] f1 = 0\.9"),
]


def refused(path: Path, message: str, out: Path) -> None:
    """By the page, the card, a comparison and an evaluation."""
    for show in (
        lambda: build([open_run(path)], out / "page.html"),
        lambda: build_card(open_run(path), out / "card.md"),
        lambda: evaluate_run(path),
    ):
        with pytest.raises(RunError, match=message) as caught:
            show()
        assert "\n" not in str(caught.value)
        assert "put the original back, or train again" in str(caught.value)
    assert not list(out.glob("*.html"))
    assert not list(out.glob("*.md"))


@pytest.mark.parametrize(("run", "change", "message"), EDITS)
def test_a_number_that_was_changed(run: str, change: Edit, message: str, copied: Path) -> None:
    path = copied / run
    forge(path / "metrics.json", change)
    shown = path.parent if (path.parent / "folds.json").exists() else path
    refused(shown, message, copied)


@pytest.mark.parametrize(("change", "message"), OF_FOLDS)
def test_a_mean_over_folds_that_was_changed(change: Edit, message: str, copied: Path) -> None:
    forge(copied / "folds/folds.json", change)
    refused(copied / "folds", message, copied)


def test_an_interval_that_was_changed(copied: Path) -> None:
    forge(copied / "single/metrics.json", put(*HELD_OUT, "auroc_ci", 0, to=0.9))
    with pytest.raises(RunError, match=r"held_out auroc_ci\[0\] = 0\.9"):
        verify(open_run(copied / "single"), intervals=True)
    forge(copied / "folds/folds.json", put("test", "auroc_ci", 0, to=0.9))
    with pytest.raises(RunError, match=r"folds\.json: has auroc_ci\[0\] = 0\.9"):
        verify(open_run(copied / "folds"), intervals=True)


@pytest.mark.parametrize(
    ("file", "keys"), [("single/metrics.json", HELD_OUT), ("folds/folds.json", ("test",))]
)
def test_a_changed_difference_between_groups_and_a_run_without_any(
    copied: Path, file: str, keys: tuple[str, ...]
) -> None:
    forge(copied / file, put(*keys, "group_differences", 0, "attribute", to="another"))
    with pytest.raises(RunError, match=r"group_differences\[0\] attribute = another"):
        verify(open_run((copied / file).parent), intervals=True)

    def remove(record: Any) -> None:
        for name in keys:
            record = record[name]
        del record["group_differences"]

    forge(copied / file, remove)  # as an earlier version wrote it
    verify(open_run((copied / file).parent), intervals=True)


def test_a_comparison_with_a_changed_run(copied: Path) -> None:
    forge(copied / "majority-class/metrics.json", put(*HELD_OUT, "accuracy", to=0.99))
    runs = named_runs([copied / "mlp-baseline", copied / "majority-class"])
    with pytest.raises(RunError, match=r"majority-class/metrics\.json: has held_out accuracy"):
        compare(runs)


def test_what_was_not_changed_is_verified(copied: Path) -> None:
    for name in ("mlp-baseline", "majority-class", "single", "folds"):
        verify(open_run(copied / name))
        verify(open_run(copied / name), intervals=True)


def test_the_numbers_of_a_run_are_computed_again_once(
    copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    computed: list[object] = []
    drawn: list[object] = []

    def compute(*given: Any, **asked: Any) -> Any:
        computed.append(given)
        return summarise_parts(*given, **asked)

    def draw(*given: Any) -> Any:
        drawn.append(given)
        return resampled_weights(*given)

    monkeypatch.setattr("sequela.integrity.verify.summarise_parts", compute)
    monkeypatch.setattr("sequela.evaluation.recipe.resampled_weights", draw)
    run = open_run(copied / "folds")
    for intervals, of_folds in ((False, 0), (False, 0), (True, 2), (True, 2)):
        verify(run, intervals=intervals)
        assert len(drawn) == of_folds  # all metrics, and the rates at both thresholds
    assert len(computed) == 2 * len(run.runs)


def test_another_machine_may_round_otherwise(copied: Path) -> None:
    loss = RunFolder(copied / "single").test["loss"]
    forge(copied / "single/metrics.json", put(*HELD_OUT, "loss", to=loss * (1 + 1e-9)))
    verify(RunFolder(copied / "single"))


def test_a_metric_that_was_registered_after_the_run(copied: Path, own_metrics: None) -> None:
    METRICS["own"] = Metric("own", "own", "accuracy again", accuracy, reported=True)
    verify(RunFolder(copied / "single"))
    forge(copied / "single/metrics.json", put(*HELD_OUT, "own", to=0.0))
    with pytest.raises(RunError, match="own = 0, but"):
        verify(RunFolder(copied / "single"))
