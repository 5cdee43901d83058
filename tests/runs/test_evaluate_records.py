"""Runs on hospital records judged again, and on other records."""

from pathlib import Path

import pytest
from tests.cli.calls import ran
from tests.runs.conftest import Ask, Place, Train

from sequela.analysis.evaluate import evaluate_run, judge_elsewhere
from sequela.errors import RunError, SettingError
from sequela.runs.folder import RunFolder
from sequela.runs.folds import cross_validate


@pytest.fixture
def run(trained: Train, asked: Ask) -> RunFolder:
    return trained(asked(epochs=2))


def test_on_its_own_data_the_held_out_subjects_are_left_and_the_numbers_too(
    run: RunFolder, place: Place
) -> None:
    found = evaluate_run(run.path, data="mimic3", root=place("mimic3"))
    assert found["examples"] == run.test["examples"]
    assert found["loss"] == pytest.approx(run.test["loss"], abs=1e-6)
    assert found["auroc"] == pytest.approx(run.test["auroc"])
    ids = run.split.ids["subject"]
    seen = len(ids["train"]) + len(ids["tuning"])
    assert found["subjects_set_aside_as_trained_or_tuned_on"] == seen
    chosen, again = (each["operating_points"][1] for each in (run.test, found))
    assert chosen["confusion"] == again["confusion"]


def test_on_another_hospital_what_the_model_has_never_seen_is_unknown(
    run: RunFolder, place: Place
) -> None:
    found = evaluate_run(run.path, data="eicu", root=place("eicu"))
    assert found["subjects_set_aside_as_trained_or_tuned_on"] == 0
    assert found["unknown_codes"] > 0.9
    assert found["examples"] > 1000


def test_where_no_code_is_of_the_families_that_the_model_reads_no_share_is_unknown(
    place: Place, trained: Train, asked: Ask, capsys: pytest.CaptureFixture[str]
) -> None:
    run, mimic3 = trained(asked(data="eicu", inputs=("EICU_DX",))).path, place("mimic3")
    ran("evaluate", run, "--data", "mimic3", "--root", mimic3)
    said = " ".join(capsys.readouterr().out.split())
    assert "these data have no code of the families that the model reads" in said
    assert evaluate_run(run, data="mimic3", root=mimic3)["unknown_codes"] is None


def test_folds_are_many_models(place: Place, asked: Ask, tmp_path: Path) -> None:
    root, settings = place("mimic3"), asked("prevalence", task="report-2019")
    folds = cross_validate(settings, tmp_path / "f", folds=2, root=root)
    found = evaluate_run(folds.path)
    assert found["auroc"] == folds.test["auroc"]
    assert found["leaks"] is True
    with pytest.raises(SettingError, match="so none is left for an evaluation"):
        evaluate_run(folds.path, data="mimic3", root=root)
    with pytest.raises(RunError, match="one per fold or seed: name one of them"):
        judge_elsewhere(folds.path, data="mimic3", root=root)
