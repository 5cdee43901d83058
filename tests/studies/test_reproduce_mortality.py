"""The mortality study on the excerpts, in one epoch, few folds and few models."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from benchmarks import make_mimic3_scale
from tests.processes import run_in_this_thread

from sequela.config import SMALLEST_CELL
from sequela.errors import DataNotFoundError, RunError, SettingError
from sequela.integrity.openings import LEDGER, read
from sequela.runs.find import Run, find_runs, open_run
from sequela.studies import reproduce
from sequela.studies.registry import STUDIES, question_of
from sequela.studies.results import in_order, results
from sequela.studies.study import Question
from sequela.tables import built_events

EICU, REPORT, MIMIC3, PHYSIONET = (
    ("eicu", "in-hospital"),
    ("mimic3", "report-2019"),
    ("mimic3", "in-hospital"),
    ("physionet2012", "in-hospital"),
)
STUDY = STUDIES["mortality"]  # as it is, whatever other tests put in its place
DEFAULT = "visits-attention"  # of records of codes
NETWORKS = ["visits-baseline", "visits-improved"]
MOVED = (
    '{"name": "moved", "trigger": "admission", '
    '"outcome": {"one": "move", "codes": ["TRANSFER//transfer"]}}'
)
REFERENCE = ["prevalence", "logistic-regression"]
FINISHED = ["claims-mortality.toml", "manifest.json", "results.json", "runs"]
FULL = 400
"""Subjects from which MIMIC-III is the primary cohort here."""


def change(patch: pytest.MonkeyPatch, **fields: Any) -> None:
    """Change the study."""
    patch.setitem(STUDIES, "mortality", replace(STUDIES["mortality"], **fields))


@pytest.fixture(autouse=True, scope="module")
def small_study(tmp_path_factory: pytest.TempPathFactory) -> Iterator[pytest.MonkeyPatch]:
    """Excerpts only, in this process, with short runs, weighted too, and two folds for few."""
    nowhere = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("SEQUELA_DATA", raising=False)
        patch.setattr("sequela.datasets.catalog.cache_folder", lambda name: nowhere / name)
        change(patch, quick_epochs=1, few=50, folds=2, reference_models=tuple(REFERENCE))
        change(patch, primary=((MIMIC3, FULL), (EICU, 0)), hindsight=((MIMIC3, FULL), (EICU, 0)))
        again = (NETWORKS[0], *REFERENCE[1:])
        change(patch, controls={"weighted": again[:1], "hindsight": again})
        run_in_this_thread(patch)
        yield patch


@pytest.fixture(scope="module")
def builds(small_study: pytest.MonkeyPatch) -> list[str]:
    """Each build of events."""
    made: list[str] = []
    build = built_events.build  # type: ignore[attr-defined]

    def counted(source: Any, *arguments: Any, **options: Any) -> Any:
        made.append(source.name)
        return build(source, *arguments, **options)

    small_study.setattr(built_events, "build", counted)
    return made


def go(out: Path, cohorts: Sequence[Question], patch: pytest.MonkeyPatch, **more: Any) -> list[Run]:
    with patch.context() as inner:
        change(inner, cohorts=tuple(cohorts))
        asked = {"quick": True, "processes": 1, **more}
        return reproduce.reproduce(out, studies=["mortality"], **asked)


def only(patch: pytest.MonkeyPatch) -> None:
    """One network and one floor."""
    training = {"visits-baseline": STUDY.training[NETWORKS[0]]}
    change(patch, training=training, reference_models=("prevalence",))


@pytest.fixture(scope="module")
def study(
    small_study: pytest.MonkeyPatch, builds: list[str], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    out = tmp_path_factory.mktemp("mortality") / "out"
    said: list[tuple[int, int]] = []
    folders = go(out, (EICU, REPORT), small_study, on_run=lambda _, done, n: said.append((done, n)))
    assert said == [(i, 13) for i in range(1, 14)]
    assert len(folders) == 13
    return out


def test_results(study: Path, strict_json: Callable[[Path], Any], builds: list[str]) -> None:
    studies = strict_json(study / "results.json")["studies"]
    assert list(studies) == ["mortality", "mortality-mimic3-report-2019"]
    eicu, report = studies.values()
    assert (eicu["data"]["name"], eicu["subjects"], eicu["examples"]) == ("eicu", 1619, 1893)
    assert (report["data"]["name"], report["subjects"]) == ("mimic3", 100)
    assert (eicu["split"]["unit"], eicu["split"]["folds"]) == ("subject", 0)
    assert (report["split"]["folds"], report["split"]["repeats"]) == (2, 1)
    for part, cohort, examples in (
        (eicu, "eicu-in-hospital", 394),
        (report, "mimic3-report-2019", 100),
    ):
        assert list(part["models"]) == NETWORKS
        assert list(part["floors"]) == REFERENCE
        assert list(part["default"]) == [DEFAULT]
        assert set(part["split"]["ids_in_two_parts"]["subject"].values()) == {0}
        for model, entry in {**part["models"], **part["floors"], **part["default"]}.items():
            test = entry["test"]
            assert test["examples"] == examples
            assert test == open_run(study / "runs" / cohort / entry["run"]).test
            assert entry["train_seconds"] >= 0
            assert bool(entry["leaks"]) == (part is report), model
            assert bool(entry["operations"]) == (model != "prevalence")
            assert entry["operations"] is not None
    assert eicu["models"]["visits-improved"]["report_2019"]["auroc"] == 0.8
    assert set(eicu["weighted"]) == {NETWORKS[0]}
    assert set(eicu["hindsight"]) == {NETWORKS[0], "logistic-regression"}
    assert all(entry["leaks"] for entry in eicu["hindsight"].values())
    assert "hindsight" not in report
    assert builds == ["eicu", "mimic3"]  # once for all runs
    eicu_runs = study / "runs" / "eicu-in-hospital"
    entries, _ = read(eicu_runs / LEDGER)  # each is opened once, at the end
    assert [e.run for e in entries] == [run.path.name for run in in_order(find_runs([eicu_runs]))]


def test_no_records_of_patients_are_left(study: Path) -> None:
    assert sorted(path.name for path in study.iterdir()) == FINISHED
    hidden = {path.name for path in study.rglob("*") if path.name.startswith(".")}
    assert hidden <= {f".{LEDGER}.lock"}
    assert not list(study.rglob("*.npy"))
    assert not list(study.rglob("*.partial"))


@pytest.mark.slow
def test_finished_runs_are_kept_and_missing_ones_made(
    study: Path, small_study: pytest.MonkeyPatch
) -> None:
    runs = study / "runs"
    lost = [
        runs / "eicu-in-hospital" / "prevalence" / "metrics.json",
        runs / "mimic3-report-2019" / "visits-baseline" / "fold-01" / "metrics.json",
        runs / "mimic3-report-2019" / "visits-baseline" / "folds.json",
    ]
    # Of a run that is made again, only what the clock says differs.
    old = {path: path.read_bytes() for path in study.rglob("predictions.parquet")}
    kept = {p: p.stat().st_mtime_ns for p in study.rglob("metrics.json") if p not in lost}
    for path in lost:
        path.unlink()
        path.with_name("manifest.json").unlink()
    go(study, (EICU, REPORT), small_study)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert {path: path.read_bytes() for path in old} == old
    assert all(path.exists() for path in lost)
    assert sorted(path.name for path in study.iterdir()) == FINISHED


@pytest.mark.slow
def test_an_interrupted_study_goes_on(
    small_study: pytest.MonkeyPatch, tmp_path: Path, strict_json: Callable[[Path], Any]
) -> None:
    out = tmp_path / "out"

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    with small_study.context() as patch:
        only(patch)
        with pytest.raises(KeyboardInterrupt):
            go(out, (MIMIC3,), patch, on_run=interrupt)
        assert not (out / "work").exists()
        assert not (out / "results.json").exists()
        (out / "work" / "events").mkdir(parents=True)  # as of one that was killed
        go(out, (MIMIC3,), patch)
    assert sorted(path.name for path in out.iterdir()) == FINISHED
    studies = strict_json(out / "results.json")["studies"]
    assert list(studies) == ["mortality-mimic3-in-hospital"]
    assert list(studies["mortality-mimic3-in-hospital"]["models"]) == ["visits-baseline"]


def test_a_folder_of_other_settings_is_refused_and_left_alone(
    study: Path, small_study: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Before anything is trained: a run that is missing and would fit is not made."""
    missing = study / "runs" / "eicu-in-hospital" / "prevalence"
    missing.rename(tmp_path / "prevalence")
    before = {path: path.stat().st_mtime_ns for path in study.rglob("*")}
    with pytest.raises(
        RunError, match="settings differ: seed is 0 in the folder and 1 in the command"
    ):
        go(study, (REPORT,), small_study, seed=1)
    with small_study.context() as patch:
        change(patch, few=100)  # folds where one split is
        with pytest.raises(RunError, match="is not empty"):
            go(study, (EICU,), patch)
    with small_study.context() as patch:
        change(patch, few=1)  # one split where folds are
        with pytest.raises(RunError, match="is not empty"):
            go(study, (REPORT,), patch)
    assert {path: path.stat().st_mtime_ns for path in study.rglob("*")} == before
    (tmp_path / "prevalence").rename(missing)


@pytest.mark.parametrize("studies", [["seizure", "mortality"], ["mortality", "seizure"]])
def test_a_root_needs_the_name_of_its_study(studies: Any, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="name seizure or mortality"):
        reproduce.reproduce(tmp_path / "out", studies=studies, root=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_root_without_the_tables_leaves_nothing(
    small_study: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    for place, cohorts in (("nowhere", (MIMIC3,)), ("empty", (EICU, MIMIC3))):
        with pytest.raises(DataNotFoundError):
            go(tmp_path / "out", cohorts, small_study, root=tmp_path / place)
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]


@pytest.fixture
def full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two blocks of tables in the form of MIMIC-III, with more subjects than its demo."""
    for name, value in {
        "PATIENTS": 400,
        "ADMISSIONS": 500,
        "READMITTED": 65,
        "DIAGNOSES": 3_000,
        "PROCEDURES": 750,
        "ICU_STAYS": 520,
        "DIAGNOSIS_CODES": 600,
        "PROCEDURE_CODES": 200,
    }.items():
        monkeypatch.setattr(make_mimic3_scale, name, value)
    make_mimic3_scale.make(tmp_path / "full", scale=2)
    return tmp_path / "full"


@pytest.mark.slow
def test_a_full_mimic3_is_the_primary_cohort(
    full: Path, small_study: pytest.MonkeyPatch, tmp_path: Path, strict_json: Callable[[Path], Any]
) -> None:
    out = tmp_path / "out"
    with small_study.context() as patch:
        only(patch)
        change(patch, few=20)  # MIMIC-III has that many
        go(out, (EICU, REPORT, MIMIC3), patch, root=full)
    studies = strict_json(out / "results.json")["studies"]
    assert list(studies) == [
        "mortality",
        "mortality-eicu-in-hospital",
        "mortality-mimic3-report-2019",
    ]
    main = studies["mortality"]
    assert main["data"]["name"] == "mimic3"
    assert main["subjects"] >= FULL
    assert main["data"]["origin"] == f"the data in folder {full.name}"  # and not where it is
    assert "excerpt" in studies["mortality-eicu-in-hospital"]["data"]["origin"]
    assert main["split"]["folds"] == 0
    assert "hindsight" in main
    assert "hindsight" not in studies["mortality-eicu-in-hospital"]
    assert "weighted" not in studies["mortality-eicu-in-hospital"]
    assert studies["mortality-mimic3-report-2019"]["subjects"] == 800
    assert [path.name for path in out.iterdir() if path.name == "work"] == []


def test_the_study_is_the_reports() -> None:
    for question in STUDY.cohorts:
        full, quick = (STUDY.runs(question, seed=4, quick=flag) for flag in (False, True))
        assert list(full) == list(quick)
        assert {s.seed for s in full.values()} == {4}
        assert {s.split for s in full.values()} == {"subject"}
        assert {s.cohort.task for s in full.values() if s.cohort} == {question[1]}
        for model in NETWORKS:
            assert full[model].training == STUDY.training[model]
            assert not full[model].cohort.hindsight  # type: ignore[union-attr]
            assert full[f"{model}.hindsight"].cohort.hindsight  # type: ignore[union-attr]
        assert "prevalence.hindsight" not in full
        bare = partial(STUDY.runs, question, is_primary=False, looks_back=False)
        plain = bare(seed=4, quick=False)
        simple = [*REFERENCE, "boosting"]
        assert plain == {name: full[name] for name in (*NETWORKS, *simple)}
        back = STUDY.runs(question, is_primary=False, seed=4, quick=False)
        assert {*back} - {*plain} == {
            f"{name}.hindsight" for name in (*NETWORKS, *REFERENCE[1:], "boosting")
        }
    assert {model for claim in STUDY.claims for model in claim.models} == set(NETWORKS)
    assert set(STUDY.reported) == set(NETWORKS)
    data_sets = {"eicu", "mimic3", "mimic4", "physionet2012", "nafld"}
    assert data_sets | {REPORT} == set(STUDY.records)


@pytest.mark.parametrize(
    ("subjects", "expected", "looks_back"),
    [
        ({}, PHYSIONET, EICU),
        ({MIMIC3: 100, PHYSIONET: 3994, EICU: 1619}, PHYSIONET, EICU),
        ({MIMIC3: 999}, PHYSIONET, EICU),
        ({MIMIC3: 1000}, MIMIC3, MIMIC3),
        ({REPORT: 46_520}, PHYSIONET, EICU),
        ({MIMIC3: 38_000, PHYSIONET: 3994, EICU: 139_367}, MIMIC3, MIMIC3),
    ],
)
def test_which_cohort_is_the_main_result_and_which_one_shows_the_leak(
    subjects: dict[Question, int], expected: Question, looks_back: Question
) -> None:
    assert STUDY.primary_of(subjects) == expected
    assert STUDY.hindsight_of(subjects) == looks_back


def test_the_question_of_a_run_is_found_again(study: Path) -> None:
    """The report's question reads ICD codes of three characters (E codes four)."""
    digits = {}
    for question in (REPORT, MIMIC3):
        cohort = STUDY.cohort_of(question)
        assert cohort is not None
        digits[question] = cohort.icd_digits
    assert digits == {REPORT: 0, MIMIC3: None}
    (run,) = find_runs([study / "runs" / "mimic3-report-2019" / "prevalence"])
    assert question_of(run) == REPORT


@pytest.mark.parametrize(
    ("data", "said", "expected"),
    [
        ("eicu", {}, {"from_icu": True, "min_subjects": 20, "inputs": ("EICU_ADX", "EICU_DX", "EICU_TX", "EICU_HX")}),  # noqa: E501
        ("eicu", {"task": "post-discharge"}, {"from_icu": False, "min_subjects": 20}),
        ("eicu", {"task": "post-discharge", "from_icu": True}, {"from_icu": True}),
        ("physionet2012", {"task": "landmark"}, {"hours": None, "step_hours": 6.0, "bins": 5}),
        ("physionet2012", {"hours": 24.0}, {"hours": 24.0}),
        ("nafld", {}, {"task": "landmark", "demographics": True}),
        ("mimic3", {"task": "report-2019"}, {"inputs": (), "icd_digits": 0}),
        ("mimic3", {"task": "report-2019", "icd_digits": 1}, {"icd_digits": 1}),
        ("mimic3", {}, {"icd_digits": None}),
        ("mimic3", {"inputs": ("CPT",)}, {"inputs": ("CPT",), "tables": ()}),
        ("mimic3", {"inputs": ("CPT",), "tables": ("CPTEVENTS",)}, {"tables": ("CPTEVENTS",)}),
        ("mimic4", {"task": "moved", "declared": MOVED}, {"tables": (), "hours": None}),
        ("meds", {}, {"task": "in-hospital", "inputs": (), "tables": (), "from_icu": False}),
    ],
)  # fmt: skip
def test_what_is_asked_of_a_data_set(
    data: str, said: dict[str, Any], expected: dict[str, Any]
) -> None:
    asked = STUDY.ask(data, said)
    assert {name: getattr(asked, name) for name in expected} == expected


def test_results_are_valid_after_a_second_look(study: Path) -> None:
    """The same folders give the same results; small counts only if they are asked for."""
    found = find_runs([study])
    again = json.loads(json.dumps(results(found)))
    on_disk = json.loads((study / "results.json").read_text("utf-8"))
    assert again["studies"] == on_disk["studies"]
    assert on_disk["smallest_cell"] == 1  # the demos are open
    usual = results(found, SMALLEST_CELL)
    models = usual["studies"]["mortality-mimic3-report-2019"]["floors"].values()
    assert usual["smallest_cell"] == SMALLEST_CELL
    assert None in [each["test"]["confusion"] for each in models]


def test_one_split_is_not_repeated(small_study: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A study that is not quick repeats its folds; a cohort of one split has none to repeat."""
    with small_study.context() as patch:
        change(patch, cohorts=(EICU,), few=0, repeats=2)
        runs, work = tmp_path / "runs", tmp_path / "work"
        found = {"data": "", "seeds": (0, None), "quick": False}
        jobs = reproduce._jobs(STUDIES["mortality"], runs, None, work, **found)  # type: ignore[arg-type]
    planned = [each for job in jobs for each in job.planned]
    assert {(each.folds, each.repeats) for each in planned} == {(0, 1)}
