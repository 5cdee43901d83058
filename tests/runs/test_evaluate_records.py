"""Runs on hospital records judged again, and on other records."""

from collections.abc import Callable
from pathlib import Path

import pytest

from sequela.analysis.evaluate import evaluate_run
from sequela.analysis.external import judge_elsewhere
from sequela.cli.app import main
from sequela.config import CohortSettings, RunSettings, TrainingSettings
from sequela.errors import SettingError
from sequela.runs import fit
from sequela.runs.folder import RunFolder
from sequela.runs.folds import cross_validate

Events = Callable[[str], Path]


def settings(**asked: object) -> RunSettings:
    return RunSettings(
        model="visits-baseline",
        data="mimic3",
        split="subject",
        cohort=CohortSettings.of(**asked),
        training=TrainingSettings(epochs=2),
    )


@pytest.fixture(scope="module")
def trained(excerpt_events: Events, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    out = tmp_path_factory.mktemp("evaluate") / "run"
    return fit.train(settings(), out, root=excerpt_events("mimic3"))


def test_its_own_numbers_again(trained: RunFolder) -> None:
    found = evaluate_run(trained.path)
    assert {name: found[name] for name in trained.test} == trained.test
    assert found["leaks"] is False


def test_on_its_own_data_the_held_out_subjects_are_left_and_the_numbers_too(
    trained: RunFolder, excerpt_events: Events
) -> None:
    found = evaluate_run(trained.path, data="mimic3", root=excerpt_events("mimic3"))
    assert found["examples"] == trained.test["examples"]
    assert found["loss"] == pytest.approx(trained.test["loss"], abs=1e-6)
    assert found["auroc"] == pytest.approx(trained.test["auroc"])
    ids = trained.split.ids["subject"]
    seen = len(ids["train"]) + len(ids["tuning"])
    assert found["subjects_set_aside_as_trained_or_tuned_on"] == seen
    chosen, again = (each["operating_points"][1] for each in (trained.test, found))
    assert chosen["confusion"] == again["confusion"]


def test_on_another_hospital_what_the_model_has_never_seen_is_unknown(
    trained: RunFolder, excerpt_events: Events
) -> None:
    found = evaluate_run(trained.path, data="eicu", root=excerpt_events("eicu"))
    assert found["subjects_set_aside_as_trained_or_tuned_on"] == 0
    assert found["unknown_codes"] > 0.9
    assert found["examples"] > 1000


def test_where_no_code_is_of_the_families_that_the_model_reads_no_share_is_unknown(
    excerpt_events: Events, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, mimic3 = tmp_path / "run", excerpt_events("mimic3")
    of_eicu = settings(inputs=("EICU_DX",)).model_copy(update={"data": "eicu"})
    fit.train(of_eicu, run, root=excerpt_events("eicu"))
    assert evaluate_run(run, data="mimic3", root=mimic3)["unknown_codes"] is None
    with pytest.raises(SystemExit):
        main(["evaluate", str(run), "--data", "mimic3", "--root", str(mimic3)])
    said = " ".join(capsys.readouterr().out.split())
    assert "these data have no code of the families that the model reads" in said


def test_folds_are_many_models(excerpt_events: Events, tmp_path: Path) -> None:
    root = excerpt_events("mimic3")
    folds = cross_validate(settings(task="report-2019"), tmp_path / "f", folds=2, root=root)
    found = evaluate_run(folds.path)
    assert found["auroc"] == folds.test["auroc"]
    assert found["leaks"] is True
    with pytest.raises(SettingError, match="so none is left for an evaluation"):
        evaluate_run(folds.path, data="mimic3", root=root)
    with pytest.raises(SettingError, match="one per fold or seed: name one of them"):
        judge_elsewhere(folds.path, data="mimic3", root=root)
