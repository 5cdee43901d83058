"""A metric of one's own in runs and comparisons; tests/extension has one on card and page."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from sequela.analysis.compare import compare
from sequela.config import RunSettings
from sequela.errors import DataError, SettingError, UnknownNameError
from sequela.evaluation import metrics, statistic
from sequela.evaluation.metrics import METRICS, Metric, named, register
from sequela.evaluation.predictions import Predictions
from sequela.integrity.verify import verify_run
from sequela.runs import fit
from sequela.runs.find import Run, named_runs
from sequela.runs.folder import RunFolder
from sequela.runs.folds import FoldsFolder, cross_validate


def surprises(predictions: Predictions) -> float:
    """A number that is no share: bits by which the true class surprises."""
    return float(metrics.example_loss(predictions).mean() / np.log(2))


OWN = Metric(
    name="surprise",
    title="mean surprise",
    says="mean of -log2(probability of the true class)",
    value=surprises,
    statistic=lambda p: statistic.mean(metrics.example_loss(p) / np.log(2), p.group_index),
    better="lower",
    table=".2f",
    bounds=(0.0, float("inf")),
    hub="surprise",
    reported=True,
)


@pytest.fixture(scope="module")
def runs(
    synthetic: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[list[RunFolder], FoldsFolder]]:
    """Two reference models on one split, and one on folds, trained once the metric was known."""
    out, before = tmp_path_factory.mktemp("own"), dict(METRICS)
    register(OWN)
    settings = [
        RunSettings(model=model, data="bonn") for model in ("majority-class", "logistic-regression")
    ]
    single = [fit.train(each, out / each.model, root=synthetic) for each in settings]
    folds = cross_validate(settings[1], out / "folds", folds=2, root=synthetic)
    yield single, folds
    METRICS.clear()
    METRICS.update(before)


def held_out(run: Run) -> Predictions:
    return run.predictions.part("held_out")


def test_in_the_means_over_folds_within_its_own_bounds(
    runs: tuple[list[RunFolder], FoldsFolder],
) -> None:
    _, folds = runs
    each = [surprises(held_out(run)) for run in folds.runs]
    assert folds.test["surprise"] == pytest.approx(np.mean(each))
    assert folds.test["surprise_folds"] == 2
    low, high = folds.test["surprise_ci"]
    assert 1 < low < min(each) < max(each) < high  # not cut off where shares end


def test_in_comparisons(runs: tuple[list[RunFolder], FoldsFolder]) -> None:
    single, _ = runs
    found = compare(single, "surprise")
    assert [row.value for row in found.runs] == [surprises(held_out(run)) for run in single]


def test_the_log_loss_has_two_names(runs: tuple[list[RunFolder], FoldsFolder]) -> None:
    assert named("loss") is named("log_loss")
    assert compare(runs[0], "loss") == compare(runs[0], "log_loss")
    assert json.loads(json.dumps(compare(runs[0], "loss").to_dict()))["metric"] == "log_loss"


@pytest.mark.usefixtures("own_metrics")
def test_a_metric_whose_plugin_is_not_loaded_is_named_by_the_verification(
    runs: tuple[list[RunFolder], FoldsFolder],
) -> None:
    single, folds = runs
    agrees = "all numbers match the predictions"
    assert verify_run(RunFolder(single[0].path)).agrees[1] == agrees
    del METRICS["surprise"]
    words = f"{agrees}, but for surprise (of a plugin that is not loaded)"
    for run in (RunFolder(single[0].path), *named_runs([folds.path])):
        verified = verify_run(run)
        assert (verified.agrees[1:], verified.wrong) == ((words,), ())


@pytest.mark.usefixtures("own_metrics")
def test_a_metric_without_a_statistic_has_no_interval(
    runs: tuple[list[RunFolder], FoldsFolder], tmp_path: Path
) -> None:
    register(Metric("bare", "bare", "a number alone", metrics.accuracy, reported=True))
    single, folds = runs
    numbers = metrics.reported({"bare"})
    assert [each.name for each in numbers] == ["bare"]
    again = shutil.copytree(folds.path, tmp_path / "again")
    for runs_of in (single, named_runs([folds.path, again])):
        with pytest.raises(DataError, match="bare has no statistic to resample"):
            compare(runs_of, "bare")


@pytest.mark.usefixtures("own_metrics")
@pytest.mark.parametrize(
    ("name", "key", "complaint"),
    [
        ("accuracy", "", "a metric named 'accuracy' exists"),
        ("mine", "loss", "a metric named 'loss' exists"),
        ("confusion", "", "a metric named 'confusion' exists"),
        ("My metric", "", "cannot be named 'My metric'"),
        ("mine_ci", "", "cannot be named 'mine_ci'"),
    ],
)
def test_names_that_cannot_be(name: str, key: str, complaint: str) -> None:
    with pytest.raises(SettingError, match=complaint):
        register(Metric(name, "mine", "a number", metrics.accuracy, key=key))
    with pytest.raises(UnknownNameError):
        named("mine")
