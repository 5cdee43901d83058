"""The commands that a page gives to make its runs again."""

import shlex
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
from tests.records import part_of

from sequela.cli.app import build_app
from sequela.config import CohortSettings, Options, RunSettings, SignalSettings
from sequela.report.commands import _is_split_so, commands
from sequela.runs.model import Member
from sequela.runs.pool import PlannedRun
from sequela.runs.record import DataRecord
from sequela.studies.registry import STUDIES, records_of, training_of
from sequela.studies.settings import run_settings
from sequela.studies.study import Study

if TYPE_CHECKING:
    from sequela.runs.folder import RunFolder


@dataclass
class Asked:
    """As much of a run as its command depends on."""

    settings: RunSettings
    data: DataRecord

    path = Path("runs/run")
    repeats = 1
    seeds = 1


def given(*settings: RunSettings, positives: int = 1500) -> list[str]:
    data = part_of(DataRecord, counts=[4000 - positives, positives], title="")
    return commands([cast("RunFolder", Asked(each, data)) for each in settings])


@pytest.mark.parametrize(("quick", "flag"), [(False, ""), (True, " --quick")])
def test_the_studys_own_runs_are_one_command(
    quick: bool,  # noqa: FBT001
    flag: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    runs = [
        each.model_copy(
            update={"folds": STUDIES["seizure"].folds_for(None, each.split, quick=quick)}
        )
        for each in STUDIES["seizure"].runs(("uci-seizure", ""), seed=3, quick=quick).values()
    ]
    expected = [f"sequela reproduce seizure --data uci-seizure --seed 3{flag}"]
    assert given(*runs) == given(runs[0]) == expected
    monkeypatch.setitem(STUDIES, "seizure", replace(STUDIES["seizure"], file="own study.toml"))
    assert given(*runs) == [expected[0].replace("reproduce seizure", "study 'own study.toml'")]


@pytest.mark.parametrize(
    ("split", "seeds", "of_study", "of_quick"),
    [
        ("row", 1, True, True),
        ("recording", 1, True, True),
        ("session", 1, False, True),
        ("session", 5, True, False),
    ],
)
def test_a_studys_seeds_are_for_the_honest_split_alone(
    split: Any, seeds: int, *, of_study: bool, of_quick: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = replace(STUDIES["seizure"], seeds=5, few=0)
    monkeypatch.setattr("sequela.report.commands.study_of", lambda _: study)
    settings = RunSettings(model="mlp-baseline", data="bonn", split=split)
    monkeypatch.setattr(Study, "folds_for", lambda *_, **__: 0)
    run: Any = SimpleNamespace(settings=settings, seeds=seeds)
    assert _is_split_so(run, quick=False) is of_study
    assert _is_split_so(run, quick=True) is of_quick


def test_only_a_finer_split_shows_a_leak() -> None:
    """A study by patient and by hospital has two results."""
    by_hospital = Study("own", "t", "h", splits=("subject", "site"), folds=5)
    assert not by_hospital.shows_leak("site")
    assert by_hospital.folds_for(30, "site", quick=False) == 5
    assert by_hospital.shows_leak("row")
    assert [STUDIES["seizure"].shows_leak(split) for split in STUDIES["seizure"].splits] == [
        False,
        True,
        True,
    ]


def test_other_runs_have_a_command_each_that_the_command_line_takes() -> None:
    changed = training_of("gru-improved", {"epochs": 3, "class_weights": True})
    gru = RunSettings(model="gru-improved", data="bonn", seed=1, split="row", training=changed)
    mine = RunSettings(model="mine", data="bonn")
    lines = given(gru, mine)
    assert lines == [
        "sequela train gru-improved --data bonn --split row --seed 1 --epochs 3 --class-weights",
        "sequela train mine --data bonn --split recording --seed 0",
    ]
    for line in lines:
        build_app().parse_args(line.split()[1:], exit_on_error=False, print_error=False)


def test_the_form_of_csv_recordings_is_in_the_command() -> None:
    form = ("separator=;", "decimal=,", "encoding=latin-1")
    signals = SignalSettings(events="seizures.csv", window=1, format=form)
    (line,) = given(RunSettings(model="mlp-baseline", data="signals", signals=signals))
    assert "--format 'separator=;' --format decimal=, --format encoding=latin-1" in line


def ensemble(**members: RunSettings) -> RunSettings:
    named = [
        asdict(Member(name, "0" * 64, each.model_dump(mode="json", exclude_none=True)))
        for name, each in members.items()
    ]
    settings = {"mean": "geometric", "members": named}
    return RunSettings(model="ensemble", data="bonn", seed=4, model_settings=settings)


def test_an_ensemble_is_made_of_its_members_in_their_order() -> None:
    small, floor = (
        RunSettings(model=name, data="bonn", training=training_of(name, {}))
        for name in ("mlp-baseline", "mine")
    )
    assert given(ensemble(mlp=small, of_two=ensemble(a=small, b=floor), floor=floor)) == [
        "sequela train mlp-baseline --data bonn --split recording --seed 0 --out runs/1-mlp",
        "# runs/2-of_two: an ensemble; its own card lists its commands",
        "sequela train mine --data bonn --split recording --seed 0 --out runs/3-floor",
        "sequela ensemble runs/1-mlp runs/2-of_two runs/3-floor --mean geometric --out run",
    ]


def test_settings_that_no_option_changes_are_pointed_to() -> None:
    no_clipping = training_of("mlp-improved", {"clip_norm": None})
    for odd in (
        RunSettings(model="mlp-improved", data="bonn", training=no_clipping),
        RunSettings(model="mlp-baseline", data="bonn", fractions=(0.5, 0.3, 0.2)),
    ):
        assert given(odd)[0].endswith("(with the further settings of its config.toml)")


# Records -------------------------------------------------------------------------------------


class StopHereError(Exception):
    """Raised where training would begin."""


def parsed(line: str, monkeypatch: pytest.MonkeyPatch) -> tuple[RunSettings, int, int]:
    """Settings, folds and repeats that the command line makes of a command."""
    found: list[tuple[RunSettings, int, int]] = []

    def planned(run: PlannedRun, **_: Any) -> None:
        found.append((run.settings, run.folds, run.repeats))
        raise StopHereError

    monkeypatch.setattr(PlannedRun, "train", planned)
    with pytest.raises(StopHereError):
        build_app()(shlex.split(line)[1:], exit_on_error=False, print_error=False)
    return found[0]


SAID: list[tuple[str, str, dict[str, Any], dict[str, Any]]] = [
    ("visits-improved", "eicu", {}, {"epochs": 3}),
    ("visits-baseline", "mimic3", {"task": "report-2019"}, {"epochs": 3}),
    ("boosting", "eicu", {"hours": 0.0}, {}),
    ("boosting", "eicu", {"task": "post-discharge", "horizon_days": 30.5}, {}),
    ("logistic-regression", "mimic3", {"inputs": ("ICD9CM", "SERVICE")}, {}),
    ("logistic-regression", "mimic3", {"tables": ("DIAGNOSES_ICD",), "icd_digits": 0}, {}),
    ("prevalence", "physionet2012", {"bins": 0, "step_hours": 8766.123456789}, {}),
    ("visits-baseline", "mimic3", {"labels": "/data/of mine/it's.parquet"}, {}),
    ("visits-baseline", "meds", {"from_icu": True, "demographics": True, "min_subjects": 3}, {}),
    ("visits-baseline", "nafld", {"hindsight": True, "task": "in-hospital"}, {"batch_size": 17}),
    (
        "visits-improved",
        "mimic4",
        {"aim": "sensitivity", "aim_target": 0.123456789},
        {"learning_rate": 0.0012345678, "class_weights": True},
    ),
    ("visits-improved", "eicu", {"aim": "f1", "hours": 1e-5}, {}),
    (
        "visits-improved",
        "eicu",
        {},
        {
            "patience": 3,
            "weight_decay": 0.05,
            "label_smoothing": 0.1,
            "schedule": "one-cycle",
            "clip_norm": 0.5,
            "average": 0.9,
            "mixed_precision": False,
        },
    ),
]


@pytest.mark.parametrize(("model", "data", "said", "training"), SAID)
@pytest.mark.parametrize("n_folds", [0, 4])
def test_the_command_gives_the_settings_again(
    model: str,
    data: str,
    said: dict[str, Any],
    training: dict[str, Any],
    n_folds: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = run_settings(model, data, Options.of(seed=11, **said, **training))
    fold = settings.model_copy(update={"folds": n_folds})
    (line,) = given(fold)
    if line.startswith("sequela reproduce"):
        assert settings in [
            each
            for cohort in STUDIES["mortality"].cohorts
            for each in STUDIES["mortality"].runs(cohort, seed=11, quick=False).values()
        ]
        assert not n_folds  # as many as a study uses where examples are enough
        return
    assert parsed(line, monkeypatch) == (settings, n_folds, 1)


def test_the_mortality_studys_own_runs_are_one_command() -> None:
    for quick, flag in ((False, ""), (True, " --quick")):
        runs = [
            settings
            for question in STUDIES["mortality"].cohorts
            for settings in STUDIES["mortality"]
            .runs(question, is_primary=question[0] == "eicu", seed=3, quick=quick)
            .values()
        ]
        assert given(*runs) == [f"sequela reproduce mortality --seed 3{flag}"]


def test_the_study_folds_small_cohorts() -> None:
    """One split of a cohort of few deaths is not the study's, nor are folds of many."""
    settings = STUDIES["mortality"].runs(("eicu", "in-hospital"), seed=3, quick=False)
    one = settings["boosting"]
    folded = one.model_copy(update={"folds": STUDIES["mortality"].folds})
    assert given(one, positives=1000) == given(folded, positives=999)
    assert given(one, positives=999)[0].startswith("sequela train boosting")
    assert given(folded, positives=1000)[0].endswith(f"--folds {STUDIES['mortality'].folds}")


@pytest.mark.parametrize(
    "change",
    [{"from_icu": False}, {"inputs": ()}, {"tables": ()}, {"min_subjects": 1, "from_icu": False}],
)
def test_what_no_option_can_leave_out_is_pointed_to(change: dict[str, Any]) -> None:
    """That eICU is counted from the ICU has no option against it."""
    usual = records_of("eicu", {})
    settings = RunSettings(
        model="boosting",
        data="eicu",
        split="subject",
        cohort=CohortSettings(**{**usual.model_dump(), **change}),
    )
    (line,) = given(settings)
    assert line.endswith("(with the further settings of its config.toml)")


def test_a_label_file_is_named_in_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    line = "sequela train boosting --data mimic3 --labels labels.parquet"
    settings, _, _ = parsed(line, monkeypatch)
    assert settings.cohort is not None
    assert settings.cohort.labels == str(tmp_path.resolve() / "labels.parquet")
