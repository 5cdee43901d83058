"""A study as a file: what it declares is run, and what is wrong in it is named."""

from copy import copy
from pathlib import Path

import pytest

from sequela.cohort.task_files import declared_task
from sequela.errors import (
    DataError,
    DataNotFoundError,
    SequelaError,
    SettingError,
    UnknownNameError,
)
from sequela.studies import registry
from sequela.studies.file import read_study, shipped
from sequela.studies.registry import STUDIES

OWN = """
name = "wards"
title = "My wards"
data = "eicu"
task = "in-hospital"
models = ["visits-baseline", "logistic-regression"]
seeds = 2
folds = 3

[records]
hours = 12.0

[training.visits-baseline]
epochs = 3
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "wards.toml"
    path.write_text(text, "utf-8")
    return path


@pytest.mark.parametrize("key", ["records", "asked"])  # the key in version 0.2.0
def test_a_file_is_a_study(key: str, tmp_path: Path) -> None:
    study = read_study(written(tmp_path, OWN.replace("[records]", f"[{key}]")))
    assert (study.name, study.title, study.file) == ("wards", "My wards", "wards.toml")
    assert study.cohorts == (("eicu", "in-hospital"),)
    assert (study.splits, study.seeds, study.folds) == (("subject",), 2, 3)
    assert study.claims == ()
    runs = study.runs(("eicu", "in-hospital"), seed=4, quick=False)
    assert list(runs) == ["visits-baseline", "logistic-regression"]
    network = runs["visits-baseline"]
    assert network.training.epochs == 3
    assert network.seed == 4
    assert network.cohort
    assert network.cohort.hours == 12


@pytest.mark.parametrize("form", ["data", "cohorts"])
def test_its_task_may_be_a_file_beside_it(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome = '[outcome]\none = "dialysis"\ncodes = ["EICU_TX//renal*"]\n'
    task = f'name = "dialysis-later"\ntrigger = "admission"\nhours = 24\n{outcome}'
    (tmp_path / "dialysis.toml").write_text(task, "utf-8")
    text = OWN.replace('"in-hospital"', '"dialysis.toml"')
    if form == "cohorts":
        text = text.replace('data = "eicu"\ntask = "dialysis.toml"\n', "")
        text = text.replace("[records]\nhours = 12.0\n", "")
        text += '[[cohorts]]\ndata = "eicu"\ntask = "dialysis.toml"\nasked.hours = 12.0\n'
    study = read_study(written(tmp_path, text))
    assert study.cohorts == (("eicu", "dialysis-later"),)
    asked = study.cohort_of(study.cohorts[0])
    assert asked
    assert asked.hours == 12
    assert declared_task(asked.task, asked.declared).outcome.one == "dialysis"
    assert study.ask("eicu", {"task": "in-hospital"}).declared is None
    monkeypatch.setattr(registry, "STUDIES", copy(registry.STUDIES))
    registry.STUDIES.add(study)
    (tmp_path / "dialysis.toml").write_text(task.replace("hours", "ours"), "utf-8")
    with pytest.raises(SequelaError, match=r"dialysis.*unknown key 'ours'"):
        read_study(tmp_path / "wards.toml")


def test_the_studies_of_the_report_are_such_files() -> None:
    assert STUDIES["seizure"].training["gru-improved"].epochs == 14
    assert STUDIES["seizure"].reported["gru-baseline"]["parameters"] == 949
    study = shipped("mortality")
    assert study.primary[0] == (("mimic3", "in-hospital"), 1000)
    assert study.records[("mimic3", "report-2019")] == {"icd_digits": 0}
    assert study.file == ""


@pytest.mark.parametrize(
    ("change", "found", "error"),
    [
        (("seeds = 2", "seed = 2"), "key 'seed': unknown key 'seed': .*'seeds'.*name", DataError),
        (("seeds = 2", "seeds = 0"), "key 'seeds' is 0: .*greater than or equal to 1", DataError),
        (("visits-baseline", "visits-basic"), "visits-basic", UnknownNameError),
        (('"eicu"', '"icu"'), "icu", UnknownNameError),
        (('"in-hospital"', '"in-house"'), "in-house", UnknownNameError),
        (
            ("[training.visits-baseline]", "[training.gru-baseline]"),
            "not one of the m",
            SettingError,
        ),
        (("epochs = 3", "epochs = -3"), "epochs", SettingError),
        (('name = "wards"', "name = wards"), "expected a study in TOML", DataError),
    ],
)
def test_what_is_wrong_is_named_with_the_file(
    change: tuple[str, str], found: str, error: type[Exception], tmp_path: Path
) -> None:
    path = written(tmp_path, OWN.replace(*change))
    with pytest.raises(error, match=rf"wards\.toml: .*{found}"):
        read_study(path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataNotFoundError, match="is not there: expected a study in TOML"):
        read_study(tmp_path / "no.toml")
