"""The plan of a run: from its own numbers, with a learning curve, in a sealed file."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.runs.conftest import Ask, Place, Train

from sequela.analysis.planning import _sample_sizes, plan_run
from sequela.errors import RunError
from sequela.evaluation.sample_size import cox_snell, for_classes, for_evaluation
from sequela.integrity.verify import verify_run
from sequela.runs.find import open_run
from sequela.runs.folder import RunFolder
from sequela.runs.folds import FoldsFolder
from sequela.runs.released import Released


@pytest.fixture
def run(trained: Train, asked: Ask, tmp_path: Path) -> Path:
    """A copy of a run of a baseline model."""
    source = trained(asked("logistic-regression", "eicu")).path
    return Path(shutil.copytree(source, tmp_path / "run"))


def test_the_plan_of_a_run(run: Path, place: Place, ledger: Path) -> None:
    opened = ledger.read_bytes() if ledger.exists() else b""
    before = RunFolder(run)
    planned, plan = plan_run(run, root=place("eicu"), refits=2)
    predictions = before.predictions
    known = predictions.where(predictions.split != "held_out")
    share, area = float(known.label.mean()), before.tuning["auroc"]
    training, evaluation = plan.purposes
    inputs = before.json("cost.json")["parameters"] - 1  # and an intercept
    r2 = cox_snell(area, share)
    assert [*training.needs] == for_classes(inputs, (1 - share, share), (r2,), r2)
    assert [*evaluation.needs] == for_evaluation(share, area)
    train = predictions.part("train")
    assert training.patients == len(np.unique(train.subject_id))
    assert training.events == len(np.unique(train.subject_id[train.label == 1]))
    assert evaluation.patients == len(np.unique(predictions.part("held_out").subject_id))
    deciding = max(training.needs, key=lambda need: need.patients)
    assert f"{deciding.patients:,} patients are needed" in plan.sentences[0]
    assert f"{deciding.criterion} decides" in plan.sentences[0]
    assert plan.curve
    assert plan.curve.points[-1].value == pytest.approx(area)  # all of the training set
    assert [point.models for point in plan.curve.points] == [6, 3, 2, 1]
    assert plan.stability
    assert plan.stability["models"] == 2
    # The file is that plan, and belongs to the folder; the test set was not opened.
    assert open_run(run).plan == plan
    assert not verify_run(open_run(run)).wrong
    assert (ledger.read_bytes() if ledger.exists() else b"") == opened
    assert Released(planned, 1).plan == plan
    few = replace(plan, cells=(*plan.cells, 9))
    planned.__dict__["plan"] = few
    assert Released(planned, 10).plan is None
    content = json.loads((run / "plan.json").read_text("utf-8"))
    content["purposes"][0]["patients"] += 1
    (run / "plan.json").write_text(json.dumps(content), "utf-8")
    with pytest.raises(RunError, match="was changed after the folder was finished"):
        open_run(run).require_complete()


def test_folds_share_people(
    cross_validated: Callable[[str], FoldsFolder], place: Place, tmp_path: Path
) -> None:
    source = cross_validated("logistic-regression").path
    run = Path(shutil.copytree(source, tmp_path / "folds"))
    folds, plan = plan_run(run, root=place("mimic3"), refits=2)
    tested = [fold.predictions.part("held_out").subject_id for fold in folds.once]
    assert plan.purposes[1].patients == len(np.unique(np.concatenate(tested)))
    train = folds.first.predictions.part("train")
    assert plan.purposes[0].patients == len(np.unique(train.subject_id))
    assert plan.curve
    mean = np.mean([fold.tuning["auroc"] for fold in folds.once])
    assert plan.curve.points[-1].value == pytest.approx(mean)
    assert plan.stability
    assert not verify_run(open_run(run)).wrong


def test_a_network_is_trained_again_only_if_wanted(
    trained: Train, asked: Ask, place: Place, tmp_path: Path
) -> None:
    source = trained(asked("visits-baseline", "eicu", epochs=1)).path
    run = Path(shutil.copytree(source, tmp_path / "run"))
    _, plan = plan_run(run, root=place("eicu"))
    assert plan.curve is None
    assert plan.stability is None
    assert plan.no_curve.startswith("--networks would train 12 networks on parts of the training")
    assert "(the criteria are for regression, and count its inputs)" in plan.sentences[0]
    lines: list[str] = []
    folder, plan = plan_run(run, root=place("eicu"), networks=True, tell=lines.append)
    assert lines[0].startswith("trains 12 networks on parts of the training set, in about")
    assert plan.curve
    assert plan.curve.points[-1].value == pytest.approx(folder.tuning["auroc"])
    assert plan.stability is None


def test_several_classes_of_sessions(
    trained: Train, asked: Ask, place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = trained(asked("logistic-regression", "bonn")).path
    run = Path(shutil.copytree(source, tmp_path / "run"))
    _, plan = plan_run(run, root=place("bonn"), refits=2)
    assert (plan.people, plan.event) == ("sessions", "in the rarest class")
    assert plan.purposes[0].patients == 30
    assert "(the published formulas are for two classes)" in plan.sentences[1]
    assert plan.curve
    assert plan.curve.metric == "accuracy"
    monkeypatch.setattr("sequela.analysis.planning._SIZES", (10, 3, 2, 1))
    _, plan = plan_run(run, root=place("bonn"), refits=2)
    assert plan.no_curve == "a sixth of the training set lacks a class"


@pytest.mark.parametrize(("data", "lacking"), [("bonn", "healthy area"), ("eicu", "died")])
def test_a_class_that_the_validation_set_lacks_is_named(
    trained: Train, asked: Ask, data: str, lacking: str
) -> None:
    run = RunFolder(trained(asked("logistic-regression", data)).path)
    known = run.predictions
    lacks = (known.split == "tuning") & (known.label == known.classes.index(lacking))
    run.__dict__["predictions"] = replace(known, label=np.where(lacks, 0, known.label))
    training, evaluation = _sample_sizes(run).purposes
    assert training.why == f"the validation set has no example of {lacking}"
    assert evaluation.why == {"eicu": training.why}.get(
        data, "the published formulas are for two classes"
    )
