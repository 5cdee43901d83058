"""The whole study on a small data set."""

import html
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from tests.processes import run_in_this_thread

from sequela.config import RunSettings
from sequela.errors import RunError
from sequela.integrity.openings import LEDGER, read
from sequela.report.pages.build import build
from sequela.runs import pool
from sequela.runs.find import Run, find_runs, open_run
from sequela.runs.manifest import Manifest, changes
from sequela.studies import claims
from sequela.studies.registry import STUDIES
from sequela.studies.reproduce import _together, _turn, reproduce
from sequela.studies.results import in_order, results
from sequela.studies.verdicts import ANSWERS, FAILS, HOLDS, NOT_YET

DEFAULT = "spectral-mlp"
NETWORKS = ["mlp-baseline", "mlp-improved"]
REFERENCE = ["majority-class", "logistic-regression"]
STUDY = STUDIES["seizure"]  # as it is, whatever other tests put in its place
CLAIMS = tuple(each for each in STUDY.claims if {*each.models} <= {*NETWORKS})


@pytest.fixture(autouse=True, scope="module")
def small_study() -> Iterator[None]:
    """Few models, each trained for one epoch, in this process: to start another takes longer."""
    small = replace(
        STUDY,
        quick_epochs=1,
        training={name: STUDY.training[name] for name in NETWORKS},
        reference_models=tuple(REFERENCE),
        claims=CLAIMS,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(STUDIES, "seizure", small)
        run_in_this_thread(patch)
        yield


class Pages:
    """Builds pages of a study, and keeps what was known when each was written."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.said: list[tuple[str, int, int]] = []
        self.names: list[list[str]] = []
        self.awaited: list[list[str]] = []
        self.texts: list[str] = []
        self.results: list[str] = []

    def __call__(self, runs: Sequence[Run], awaited: Sequence[RunSettings]) -> None:
        if len(runs) not in (4, 9) and awaited:
            return  # some of the pages are enough
        page = build(runs, self.out / "report.html", awaited=awaited)
        self.names.append([run.path.name for run in runs])
        self.awaited.append([settings.model for settings in awaited])
        self.texts.append(page.read_text("utf-8"))
        self.results.append((self.out / "results.json").read_text("utf-8"))


@pytest.fixture(scope="module")
def pages(
    synthetic: Path, tmp_path_factory: pytest.TempPathFactory, small_study: None
) -> tuple[Pages, list[Run]]:
    """The pages of a study that writes one whenever a run is finished, and its runs."""
    shown = Pages(tmp_path_factory.mktemp("study") / "out")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sequela.studies.reproduce._BEFORE_A_PAGE", 0.0)
        patch.setattr("sequela.studies.reproduce._SHARE_OF_PAGES", 1e9)
        runs = reproduce(
            shown.out,
            studies=["seizure"],
            root=synthetic,
            quick=True,
            processes=1,
            on_run=lambda run, done, n: shown.said.append((run.path.name, done, n)),
            on_page=shown,
        )
    return shown, runs


Study = tuple[Path, list[Run], list[tuple[str, int, int]]]


@pytest.fixture(scope="module")
def study(pages: tuple[Pages, list[Run]]) -> Study:
    """The folder of the study, its runs, and what was said while they were trained."""
    return pages[0].out, pages[1], pages[0].said


def test_runs_in_the_order_of_the_page(study: Study) -> None:
    out, folders, said = study
    names = [
        f"{model}.by-{split}"
        for split in ("session", "recording", "row")
        for model in [*NETWORKS, *REFERENCE, DEFAULT]
        if split != "recording" or model not in NETWORKS
    ]
    assert [folder.path.name for folder in folders] == names
    assert sorted(name for name, _, _ in said) == sorted(names)
    controls = [not name.endswith(".by-session") for name, _, _ in said]
    assert controls == sorted(controls)  # results come first
    assert [name for name, _, _ in said[:2]] == [f"{model}.by-session" for model in REFERENCE]
    assert [(done, n) for _, done, n in said] == [(i, 13) for i in range(1, 14)]
    assert [f.path for f in in_order(find_runs([out / "runs"]))] == [f.path for f in folders]
    assert [f.path for f in in_order(find_runs([out]))] == [f.path for f in folders]


def test_results(study: Study) -> None:
    out = study[0]
    results = json.loads((out / "results.json").read_text("utf-8"))
    assert set(results) == {"smallest_cell", "studies", "environment"}
    assert results["smallest_cell"] == 1  # nobody is counted
    units = {"seizure": "session", "seizure-by-recording": "recording", "seizure-by-row": "row"}
    assert list(results["studies"]) == [*units]
    for name, unit in units.items():
        part = results["studies"][name]
        whole = unit == "session"
        assert (part["examples"], part["recordings"], part["subjects"]) == (1150, 50, None)
        assert part["data"]["name"] == "bonn"
        assert (part["split"]["unit"], part["split"]["leaks"]) == (unit, unit == "row")
        shared = part["split"]["ids_in_two_parts"]["recording"].values()
        assert (max(shared) > 0) == (unit == "row")
        networks = part.get("models", {})
        assert list(networks) == ([] if unit == "recording" else NETWORKS)
        assert list(part["floors"]) == REFERENCE
        assert list(part["default"]) == [DEFAULT]
        for model, entry in {**networks, **part["floors"]}.items():
            test = entry["test"]
            # By session each is held out once, in one of two folds; else there is one split.
            assert test["examples"] == (1150 if whole else 230)
            assert entry["epochs"] == (0 if model in REFERENCE else 1)
            assert test["groups"] == 50 if whole else test["groups"] >= 10
            assert entry["train_seconds"] >= 0
            run = open_run(out / "runs" / entry["run"])
            assert (run.settings.model, run.folds) == (model, 2 * whole)
            assert run.test == test
        if networks:
            assert networks["mlp-baseline"]["parameters"] == 2949
            assert networks["mlp-baseline"]["report_2019"]["accuracy"] == 0.25
        assert part["floors"]["majority-class"]["test"]["accuracy"] == pytest.approx(0.2, abs=0.05)


def test_the_default_model_stands_beside_the_reports_in_one_line(study: Study) -> None:
    out, runs, _ = study
    best = json.loads((out / "results.json").read_text("utf-8"))["studies"]["seizure"]["best"]
    own, *others = (
        open_run(out / "runs" / f"{name}.by-session")
        for name in (DEFAULT, *(each["model"] for each in best["beside"]))
    )
    assert best["model"] == DEFAULT
    assert best["accuracy"] == pytest.approx(own.test["accuracy"])
    networks = [run for run in runs if run.path.name in {f"{n}.by-session" for n in NETWORKS}]
    assert others[0].test["accuracy"] == max(run.test["accuracy"] for run in networks)
    for each, other in zip(best["beside"], others, strict=True):
        assert each["difference"] == pytest.approx(own.test["accuracy"] - other.test["accuracy"])
        assert each["ci"][0] <= each["difference"] <= each["ci"][1]
        assert each["better"] in (True, False, None)
        assert (each["better"] is not None) == (each["p_value"] < 0.05)
    first = best["beside"][0]
    ratio = others[0].facts["operations"] / own.facts["operations"]
    assert first["operations_ratio"] == pytest.approx(ratio)
    ratio = others[1].facts["operations"] / own.facts["operations"]
    assert best["beside"][1]["operations_ratio"] == pytest.approx(ratio)
    page = (out / "report.html").read_text("utf-8")
    assert html.escape(best["sentence"], quote=False) in page


def test_all_splits_stand_on_the_same_segments(study: Study) -> None:
    by_session, *others = (
        open_run(study[0] / "runs" / f"{DEFAULT}.by-{unit}")
        for unit in ("session", "recording", "row")
    )
    for other in others:
        assert sorted(by_session.predictions.example_id) == sorted(other.predictions.example_id)
    assert [each.first.split.leaks for each in (by_session, *others)] == [False, False, True]


def test_claims_are_declared_before_training_and_judged_twice(
    study: Study, synthetic: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = study[0]
    path = out / "claims-seizure.toml"
    assert len(CLAIMS) > 1
    assert claims.read(path) == CLAIMS
    first = min(each.stat().st_mtime for each in (out / "runs").rglob("config.toml"))
    assert path.stat().st_mtime <= first
    judged = json.loads((out / "results.json").read_text("utf-8"))["studies"]["seizure"]["claims"]
    assert [each["id"] for each in judged] == [claim.id for claim in CLAIMS]
    for each in judged:
        assert set(each) == {  # no reruns: it is quick
            *("id", "claim", "primary", "verdict", "interval_verdict", "why", "by_row")
        }
        assert {each["verdict"], each["by_row"]} <= set(ANSWERS)
    changed = (CLAIMS[0].model_copy(update={"value": 0.5}), *CLAIMS[1:])
    monkeypatch.setitem(STUDIES, "seizure", replace(STUDIES["seizure"], claims=changed))
    with pytest.raises(RunError, match="begun with other claims"):
        reproduce(out, studies=["seizure"], root=synthetic, quick=True, processes=1)
    assert (out / "manifest.json").exists()  # what is refused is left as it was


def test_the_study_is_the_reports() -> None:
    full, quick = (
        list(STUDY.runs(("bonn", ""), seed=4, quick=flag).values()) for flag in (False, True)
    )
    assert len(full) == len({(s.model, s.split) for s in full}) == 24
    assert {s.seed for s in full} == {4}
    for a, b in zip(full, quick, strict=True):
        epochs = min(a.training.epochs, STUDY.quick_epochs)
        if a.model in STUDY.training:
            assert a.training == STUDY.training[a.model]
            average = min(a.training.average, STUDY.quick_average)
            shorter = {"epochs": epochs, "average": average}
            assert b.training == a.training.model_copy(update=shorter)
    assert {model for claim in STUDY.claims for model in claim.models} == set(STUDY.training)


def test_pages_of_an_unfinished_study_begin_after_the_baseline_models(
    pages: tuple[Pages, list[Run]],
) -> None:
    shown, runs = pages
    assert len(shown.names) >= 3
    baselines = {f"{model}.by-session" for model in REFERENCE}
    assert all(baselines <= {*names} for names in shown.names)
    counts = [len(names) for names in shown.names]
    assert counts == sorted(set(counts))  # each has more runs than the one before
    assert shown.names[-1] == [run.path.name for run in runs]
    assert shown.awaited[-1] == []


def test_an_unfinished_page_says_so_and_reloads_itself(pages: tuple[Pages, list[Run]]) -> None:
    shown, runs = pages
    *unfinished, last = shown.texts
    for text, names, awaited in zip(unfinished, shown.names, shown.awaited, strict=False):
        assert '<meta http-equiv="refresh" content="30">' in text
        assert f"{len(names)} of {len(runs)} runs are finished" in text
        follow = "networks" if {*awaited} & {*NETWORKS, DEFAULT} else "the others"
        assert f"{follow} follow" in text
    assert 'http-equiv="refresh"' not in last
    assert "Unfinished" not in last
    assert build(runs, shown.out.parent / "report.html").read_text("utf-8") == last


def test_results_of_an_unfinished_study_are_marked(pages: tuple[Pages, list[Run]]) -> None:
    shown, runs = pages
    *unfinished, last = map(json.loads, shown.results)
    for content, names in zip(unfinished, shown.names, strict=False):
        count = {"finished": len(names), "awaited": len(runs) - len(names)}
        assert content["unfinished"] == count
    assert last == json.loads(json.dumps(results(runs)))
    assert "unfinished" not in last


def test_claims_that_need_missing_runs_are_not_yet_tested(pages: tuple[Pages, list[Run]]) -> None:
    shown, _ = pages
    *unfinished, last = map(json.loads, shown.results)
    final = {each["id"]: each["verdict"] for each in last["studies"]["seizure"]["claims"]}
    assert NOT_YET not in final.values()
    for content, names in zip(unfinished, shown.names, strict=False):
        for claim, each in zip(CLAIMS, content["studies"]["seizure"]["claims"], strict=True):
            missing = not {f"{model}.by-session" for model in claim.models} <= {*names}
            assert (each["verdict"] == NOT_YET) == missing
            if each["verdict"] in (HOLDS, FAILS):  # it stays, whatever the others give
                assert final[claim.id] == each["verdict"]
    assert any(NOT_YET in text for text in shown.texts[:-1])
    assert NOT_YET not in shown.texts[-1]


def test_each_test_set_is_logged_once_however_many_pages(pages: tuple[Pages, list[Run]]) -> None:
    shown, runs = pages
    entries, damage = read(shown.out / "runs" / LEDGER)
    assert damage == ""
    assert sorted(entry.run for entry in entries) == sorted(run.path.name for run in runs)
    assert {entry.command for entry in entries} == {"report"}
    assert changes(shown.out) == []  # the manifest has the last page and results
    assert "report.html" in Manifest.read(shown.out).added


def test_cheap_results_come_first_and_long_controls_before_short_ones(tmp_path: Path) -> None:
    def run(model: str, seconds: float, split: str = "session", folds: int = 5) -> pool.PlannedRun:
        settings = RunSettings.of(model=model, data="bonn", split=split)
        return pool.PlannedRun(tmp_path / f"{model}-{split}", settings, folds, seconds=seconds)

    runs = [
        run("logistic-regression", 0.3),
        run("spectral-boosting", 2),
        run("mlp-baseline", 0.9),
        run("gru-improved", 22),
        run("gru-improved", 22, "row", 0),
        run("mlp-baseline", 0.9, "row", 0),
    ]
    jobs = [pool.PoolJob((each,), None) for each in (runs[3], runs[5], *runs[:3], runs[4])]
    assert [job.planned[0] for job in sorted(jobs, key=_turn)] == runs
    (together,) = _together([record("visits-improved"), record("boosting")])
    assert [each.settings.model for each in together] == ["boosting", "visits-improved"]


def record(model: str) -> pool.PlannedRun:
    settings = RunSettings.of(
        model=model, data="eicu", split="subject", cohort={"task": "in-hospital"}
    )
    return pool.PlannedRun(Path(model), settings, 5)
