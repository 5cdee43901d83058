"""Cross-validation by subject."""

import itertools
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.runs.conftest import Ask

from sequela.cohort import cohort_settings
from sequela.cohort.events import Events
from sequela.cohort.selection import Cohort, select_cohort
from sequela.cohort.tasks import Task
from sequela.config import RunSettings
from sequela.datasets.catalog import EXCERPTS
from sequela.errors import RunError
from sequela.evaluation.decision import Threshold, operation
from sequela.evaluation.intervals import Bootstrap
from sequela.evaluation.recipe import Design, across_folds, metric_across_folds
from sequela.listeners import Listener, listening
from sequela.runs.find import find_runs
from sequela.runs.folder import RunFolder
from sequela.runs.folds import FoldsFolder, cross_validate
from sequela.runs.recipe import judged, summarise_runs

MIMIC3 = EXCERPTS / "mimic3"
FOLDS, REPEATS = 2, 2
Where = dict[str, Any]


@pytest.fixture(scope="module")
def validated(cross_validated: Callable[[str], FoldsFolder]) -> dict[str, FoldsFolder]:
    return {model: cross_validated(model) for model in ("visits-baseline", "logistic-regression")}


@pytest.fixture
def network(validated: dict[str, FoldsFolder]) -> FoldsFolder:
    return validated["visits-baseline"]


def held_out(folder: RunFolder) -> list[str]:
    found: list[str] = folder.predictions.part("held_out").example_id.tolist()
    return found


def test_each_example_is_held_out_once_a_time(network: FoldsFolder) -> None:
    everybody = sorted(network.runs[0].predictions.example_id.tolist())
    assert len(network.runs) == FOLDS * REPEATS
    for repeat in range(REPEATS):
        runs = network.runs[repeat * FOLDS : (repeat + 1) * FOLDS]
        assert sorted(itertools.chain(*map(held_out, runs))) == everybody


def test_no_subject_stands_in_two_parts_of_a_fold(network: FoldsFolder) -> None:
    for folder in network.runs:
        predictions = folder.predictions
        parts = [
            set(predictions.part(name).subject_id.tolist())
            for name in ("train", "tuning", "held_out")
        ]
        assert sum(map(len, parts)) == len(set.union(*parts))
        assert all(set(predictions.part(n).label.tolist()) == {0, 1} for n in ("train", "tuning"))
    shared = network.describe_split()["ids_in_two_parts"]
    assert set(shared["subject"].values()) == {0}


def test_repeats_deal_anew(network: FoldsFolder) -> None:
    first, second = (
        {frozenset(held_out(folder)) for folder in network.runs[n * FOLDS :][:FOLDS]}
        for n in range(REPEATS)
    )
    assert not first & second


def test_models_of_one_seed_are_judged_on_the_same_folds(validated: dict[str, FoldsFolder]) -> None:
    one, other = validated.values()
    assert one.split_ids == other.split_ids
    pooled = [each.predictions for each in (one, other)]
    for name in ("example_id", "label", "subject_id"):
        np.testing.assert_array_equal(getattr(pooled[0], name), getattr(pooled[1], name))
    assert set(pooled[0].split.tolist()) == {"held_out"}
    # Each pooled probability is that of the fold which had not seen the example.
    for folder in one.runs[:FOLDS]:
        own = folder.predictions.part("held_out")
        place = np.searchsorted(pooled[0].example_id, own.example_id)
        np.testing.assert_array_equal(pooled[0].probabilities[place], own.probabilities)


def test_the_summary_is_the_mean_of_the_folds(network: FoldsFolder) -> None:
    tests = [folder.metrics["parts"]["held_out"] for folder in network.runs]
    said = judged(network.runs)
    for name, key in (("accuracy", "accuracy"), ("auroc", "auroc"), ("log_loss", "loss")):
        assert network.test[key] == pytest.approx(np.mean([test[key] for test in tests]))
        expected = metric_across_folds(name, said, np.random.default_rng(0)).interval
        assert expected is not None
        assert network.test[f"{key}_ci"] == pytest.approx([expected.low, expected.high])
        assert network.test[f"{key}_folds"] == FOLDS * REPEATS
        parts = network.test["variance"][key]
        assert parts["data"] > 0
        assert parts["split"] >= 0
        assert parts["seed"] is None
    assert list(network.test["variance_why"]) == ["seed"]
    assert [one.place for one in said] == [
        (repeat, fold, 0) for repeat in range(REPEATS) for fold in range(FOLDS)
    ]
    for which in range(2):
        points = [test["operating_points"][which] for test in tests]
        found_point = network.test["operating_points"][which]
        for name in ("sensitivity", "specificity", "f1", "alarm_rate"):
            given = [point[name] for point in points if point[name] is not None]
            assert found_point[name] == pytest.approx(np.mean(given))
        once = np.sum([point["confusion"] for point in points[:FOLDS]], axis=0)
        assert found_point["confusion"] == once.tolist()
    assert np.sum(network.test["confusion"]) == network.test["examples"]
    assert network.test["examples"] == network.metrics["data"]["examples"]
    assert network.test["groups"] == network.metrics["data"]["subjects"]
    assert network.facts["train_seconds"] == pytest.approx(
        sum(folder.metrics["train_seconds"] for folder in network.runs)
    )


@pytest.mark.parametrize("repeats", [1, REPEATS])
def test_an_interval_at_a_threshold_is_that_of_the_recipe(
    network: FoldsFolder, repeats: int
) -> None:
    runs = network.runs[: FOLDS * repeats]
    said = judged(runs)
    summary = summarise_runs(runs)["test"]["operating_points"][1]
    chosen = [run.metrics["parts"]["held_out"]["operating_points"][1] for run in runs]
    at = [Threshold(each["threshold"], each["chosen_for"]) for each in chosen]
    held_out = [operation(one.held_out, there) for one, there in zip(said, at, strict=True)]
    tuning = [operation(one.tuning, t) for one, t in zip(said, at, strict=True) if one.tuning]
    rng = np.random.default_rng(0)
    found = across_folds(held_out, rng, Bootstrap(), Design.of(said), tuning)
    for name, number in zip(("sensitivity", "specificity"), found, strict=False):
        assert number.interval is not None
        expected = [max(number.interval.low, 0), min(number.interval.high, 1)]
        assert summary[f"{name}_ci"] == pytest.approx(expected)


def test_shares_and_their_intervals_lie_between_0_and_1(
    validated: dict[str, FoldsFolder], strict_json: Callable[[Path], Any]
) -> None:
    for folder in validated.values():
        numbers = strict_json(folder.path / "folds.json")["test"]
        several = [numbers, *numbers["operating_points"]]
        for name, value in itertools.chain(*(each.items() for each in several)):
            if name.endswith("_ci") and name != "loss_ci":
                assert 0 <= value[0] <= value[1] <= 1, name
        for each in folder.runs:
            strict_json(each.path / "metrics.json")


def test_unfinished_folds_are_no_run(
    asked: Ask, network: FoldsFolder, mimic3: Where, tmp_path: Path
) -> None:
    """Interrupted after two folds; then continued, with the numbers of an uninterrupted one."""
    out = tmp_path / "folds"

    class Interrupt(Listener):
        def on_fold_end(self, folder: Path, count: int, total: int) -> None:
            assert RunFolder(folder).complete
            assert total == FOLDS * REPEATS
            if count == 2:
                raise KeyboardInterrupt

    def go(**more: Any) -> FoldsFolder:
        settings = asked(epochs=2)
        return cross_validate(settings, out, folds=FOLDS, repeats=REPEATS, **mimic3, **more)

    with pytest.raises(KeyboardInterrupt), listening(Interrupt()):
        go()
    assert sorted(path.name for path in out.iterdir()) == ["fold-00", "fold-01"]
    with pytest.raises(RunError, match="not all folds are finished; continue with --resume"):
        find_runs([out])
    assert [folder.path for folder in find_runs([out / "fold-00"])] == [out / "fold-00"]
    with pytest.raises(RunError, match="is not empty; continue it with --resume"):
        go()
    before = {path: path.stat().st_mtime_ns for path in (out / "fold-01").rglob("*")}
    again = go(resume=True)
    assert {path: path.stat().st_mtime_ns for path in (out / "fold-01").rglob("*")} == before
    assert [folder.path for folder in find_runs([tmp_path])] == [out]
    ours, theirs = again.test, network.test
    assert {n: v for n, v in ours.items() if "seconds" not in n} == {
        n: v for n, v in theirs.items() if "seconds" not in n
    }


def test_folds_do_not_go_where_something_else_is(
    asked: Ask, network: FoldsFolder, mimic3: Where, tmp_path: Path
) -> None:
    (tmp_path / "thesis.docx").touch()

    def refused(out: Path, message: str, settings: RunSettings, folds: int = FOLDS) -> None:
        before = sorted(out.rglob("*"))
        with pytest.raises(RunError, match=message):
            cross_validate(settings, out, folds=folds, **mimic3, resume=True)
        assert sorted(out.rglob("*")) == before

    refused(tmp_path, "is not empty; choose another --out", asked("prevalence"))
    folds = Path(shutil.copytree(network.path, tmp_path.with_name("folds")))
    refused(folds / "fold-00", "is not empty; choose another --out", asked(epochs=2))
    refused(folds, "settings differ", asked(epochs=5))
    refused(folds, "settings differ", asked(epochs=2), folds=4)


def test_a_damaged_summary(network: FoldsFolder, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="continue it with --resume"):
        _ = FoldsFolder(tmp_path).summary
    (tmp_path / "folds.json").write_text("{")
    with pytest.raises(RunError, match="damaged"):
        _ = FoldsFolder(tmp_path).summary
    missing = {**network.json("folds.json"), "runs": ["fold-00"]}
    (tmp_path / "folds.json").write_text(json.dumps(missing))
    with pytest.raises(RunError, match="not finished"):
        find_runs([tmp_path])


def test_recordings_are_folded_too(synthetic: Path, tmp_path: Path) -> None:
    settings = RunSettings(model="majority-class", data="bonn")
    found = cross_validate(settings, tmp_path / "folds", folds=2, root=synthetic)
    assert sorted(itertools.chain(*map(held_out, found.runs))) == sorted(
        found.runs[0].predictions.example_id.tolist()
    )
    assert found.test["examples"] == 1150
    assert "operating_points" not in found.metrics["parts"]["held_out"]
    low, high = found.test["recording_accuracy_ci"]
    assert 0 <= low <= found.test["recording_accuracy"] <= high <= 1


def test_a_cohort_is_selected_once_for_all_folds(
    asked: Ask, mimic3: Where, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    selected = list[str]()

    def counted(events: Events, task: Task) -> Cohort:
        selected.append(task.name)
        return select_cohort(events, task)

    monkeypatch.setattr(cohort_settings, "select_cohort", counted)
    cohort_settings._selected.cache_clear()
    settings = asked("prevalence", task="in-hospital", min_subjects=3)
    cross_validate(settings, tmp_path / "run", folds=2, **mimic3)
    assert selected == ["in-hospital"]
