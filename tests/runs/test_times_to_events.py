"""Runs of the time to an event through all commands, on people who never were."""

import json
import math
import shutil
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.cli.calls import ran, refusal, status
from tests.conftest import Once, meds
from tests.serving.web.conftest import client

from sequela.analysis.compare import compare
from sequela.analysis.ensemble import make_ensemble
from sequela.analysis.evaluate import evaluate_run
from sequela.analysis.explain import explain
from sequela.analysis.stability import of_models, of_refits
from sequela.config import Options, RunSettings
from sequela.evaluation.predictions import Predictions
from sequela.evaluation.survival import at_horizons
from sequela.runs import fit
from sequela.runs.data import Examples, load
from sequela.runs.find import named_runs, open_run
from sequela.runs.folder import UNCHANGED, RunFolder
from sequela.runs.folds import cross_validate
from sequela.runs.manifest import seal
from sequela.serving import load as served
from sequela.serving.export import write_export
from sequela.studies.settings import run_settings

DAYS = (365.0, 730.0, 1460.0)
TASK = "--task landmark --hours 0 --horizons 365 730 1460"
MODELS = ("prevalence", "logistic-regression", "boosting", "cox", "visits-improved")
OTHERS = (*MODELS[:-1], "stroke-logistic-regression")
SELDOM = [pytest.param(model, marks=pytest.mark.slow) for model in OTHERS]
STROKE = """
name = "stroke"
trigger = "entry"
horizons_days = [365, 1460]
[outcome]
one = "stroke"
codes = ["ICD10CM//I63"]
"""
TEXT = "--data meds --root"


def cohort(n: int, first: int = 0) -> list[tuple[Any, ...]]:
    """Half of the people have a bad heart; they die, and have strokes, five times as soon."""
    rng, rows = np.random.default_rng(first), list[tuple[Any, ...]]()
    for subject in range(first, first + n):
        ill = rng.random() < 0.5
        death = rng.exponential(600 if ill else 3000)
        stroke, end = rng.exponential(800 if ill else 4000), rng.exponential(2500)

        def at(days: float) -> str:
            return f"{datetime(2000, 1, 1) + timedelta(days=days):%Y-%m-%d}"

        rows += [
            (subject, "1950-01-01", "MEDS_BIRTH"),
            (subject, None, f"GENDER//{'FM'[subject % 2]}"),
            (subject, at(0), "COHORT_ENTRY"),
            (subject, at(0), f"ICD10CM//{'I50' if ill else 'J10'}"),
        ]
        if rng.random() < 0.5:
            rows.append((subject, at(0), "ICD10CM//E11"))
        if stroke < min(death, end):
            rows.append((subject, at(stroke + 1), "ICD10CM//I63"))
        last = min(death, end)
        rows.append((subject, at(last + 1), "MEDS_DEATH" if death <= end else "FOLLOW_UP_END"))
    return rows


@pytest.fixture(scope="session")
def people(once: Once) -> Path:
    return once("times-people", lambda out: meds(out / "meds", cohort(240), visits=False)) / "meds"


@pytest.fixture(scope="session")
def strangers(once: Once) -> Path:
    """Other people, of another hospital."""
    fill = lambda out: meds(out / "meds", cohort(120, 5000), visits=False)  # noqa: E731
    return once("times-strangers", fill) / "meds"


@pytest.fixture(scope="session")
def runs(people: Path, once: Once) -> Path:
    """A run of each model; of some, with a competing event or one horizon; and folds."""

    def fill(out: Path) -> None:
        (out / "stroke.toml").write_text(STROKE, "utf-8")
        strokes = Options.of(task=str(out / "stroke.toml"), epochs=2)
        place: dict[str, Any] = {"root": people, "work": out / "work"}  # sequences are made once
        for model in ("logistic-regression", "cox"):
            fit.train(run_settings(model, "meds", strokes), out / f"stroke-{model}", **place)
        for model in MODELS:
            fit.train(short(model), out / model, **place)
        for model in ("logistic-regression", "visits-improved"):
            fit.train(short(model, (730.0,)), out / f"one-{model}", **place)
        cross_validate(short("cox"), out / "folds", folds=2, **place)
        cross_validate(short("visits-improved"), out / "seeds", folds=0, seeds=2, **place)

    return once("times-runs", fill)


def short(model: str, horizons: tuple[float, ...] = DAYS) -> RunSettings:
    options = Options.of(task="landmark", hours=0.0, horizons_days=horizons, epochs=2)
    return run_settings(model, "meds", options)


def loaded(model: str, people: Path, work: Path) -> Examples:
    return load(short(model), people, work)


def held_out(folder: Path) -> Predictions:
    return RunFolder(folder).predictions.part("held_out")


@pytest.mark.parametrize("model", MODELS)
def test_the_numbers_are_those_of_times(model: str, runs: Path) -> None:
    record = json.loads((runs / model / "metrics.json").read_text("utf-8"))
    test = record["parts"]["held_out"]
    assert "confusion" not in test
    assert "accuracy" not in test
    assert "operating_points" not in test
    assert [each["days"] for each in test["horizons"]] == list(DAYS)
    predictions = held_out(runs / model)
    assert predictions.time is not None
    assert predictions.event is not None
    assert test["ends"] == predictions.intervals.ends(predictions.time, predictions.event)
    assert 0 < test["ends"][1] < test["examples"] == 48
    assert 0 <= test["concordance"] <= 1
    for each in test["horizons"]:
        assert each["observed_ci"][0] <= each["observed"] <= each["observed_ci"][1]
    risk = predictions.risk
    assert (np.diff(risk, axis=1) >= -1e-9).all()
    if model == "prevalence":
        assert test["concordance"] == 0.5
        assert np.ptp(risk, axis=0).max() == 0


def test_one_horizon_has_no_operating_points(
    runs: Path, strangers: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Those who were lost are not known to have had no event."""
    run = runs / "one-logistic-regression"
    parts = json.loads((run / "metrics.json").read_text())["parts"]
    assert "operating_points" not in parts["held_out"]
    capsys.readouterr()
    ran("evaluate", run)
    assert "operating points" not in capsys.readouterr().out
    ran("evaluate", run, *TEXT.split(), strangers)
    printed = capsys.readouterr().out
    assert "operating points" not in printed
    assert "concordance" in printed
    found = compare([open_run(run), open_run(runs / "one-visits-improved")]).runs[1]
    assert found.delong is None
    assert found.mcnemar is None


def test_the_risk_by_the_last_horizon_is_refitted(runs: Path, people: Path, tmp_path: Path) -> None:
    for model in ("cox", "logistic-regression", "prevalence"):
        folder = RunFolder(runs / model)
        found = of_refits(folder, loaded(model, people, tmp_path), refits=2)
        assert found is not None
        assert (found.changed, len(found.bins) > 0) == (0, True)
        (sentence,) = found.sentences(folder.data)
        assert sentence.startswith(f"The risk by day {DAYS[-1]:g} of one patient differs by 0.")
        assert "alarm" not in sentence
    seeds = of_models(open_run(runs / "seeds"))
    assert seeds is not None
    first, second = (run.predictions.part("held_out") for run in open_run(runs / "seeds").runs)
    apart = abs(first.risk[:, -1] - second.risk[:, -1]).mean()
    assert seeds.difference == pytest.approx(apart)
    assert "on average between the two seeds." in seeds.sentences(open_run(runs / "seeds").data)[0]


@pytest.mark.parametrize("model", ["visits-improved", "stroke-cox", *SELDOM])
def test_a_model_in_use_predicts_as_the_run(
    model: str, runs: Path, people: Path, tmp_path: Path
) -> None:
    used, out = runs / model, tmp_path / "predicted.parquet"
    if model == "visits-improved":
        used = tmp_path / "model.onnx"
        assert "probabilities differ" in write_export(runs / model, used, root=people)[0]
    assert served(used).about["horizons"]
    ran("predict", used, people, "--data", "meds", "--out", out)
    table, run = pq.read_table(out), RunFolder(runs / model).predictions
    place = {name: row for row, name in enumerate(run.example_id.tolist())}
    rows = [place[name] for name in table["id"].to_pylist()]
    intervals = run.intervals
    chances = run.probabilities[rows]
    for cause, name in enumerate(("risk", "rival_risk")[: intervals.causes], 1):
        for column, day in zip(intervals.risk(chances, cause).T, intervals.horizons, strict=True):
            np.testing.assert_allclose(table[f"{name}_{day:g}"], column, atol=1e-5)
    days = intervals.quantile(chances, 0.25)
    found = [math.inf if each is None else each for each in table["days_25"].to_pylist()]
    assert np.isinf(found).sum() == pytest.approx(np.isinf(days).sum(), abs=2)


def test_commands_on_finished_runs(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("cox", "folds", "seeds", "stroke-cox"):
        ran("evaluate", runs / name)
        printed = capsys.readouterr().out
        assert "concordance (Uno)" in printed
        assert "observed share" in printed
    ran("evaluate", runs / "cox", "--json")
    assert [each["days"] for each in json.loads(capsys.readouterr().out)["horizons"]] == list(DAYS)
    ran("compare", *(runs / name for name in ("cox", "prevalence", "visits-improved")))
    assert "concordance (Uno)" in capsys.readouterr().out
    said = refusal(capsys, "compare", runs / "cox", runs / "prevalence", "--metric", "accuracy")
    assert "accuracy is not defined for times to an event: choose one of" in said
    said = refusal(capsys, "explain", runs / "cox", "--out", "x.html")
    assert "is a baseline model" in said


def test_files_are_verified(runs: Path, people: Path, tmp_path: Path) -> None:
    for name in ("cox", "stroke-logistic-regression"):
        ran("verify", runs / name)
    path = Path(shutil.copytree(runs / "cox", tmp_path / "run"))
    place = path / "predictions.parquet"
    table = pq.read_table(place)
    changed = table["time"].to_numpy() + 50.0
    at = table.column_names.index("time")
    pq.write_table(table.set_column(at, table.field(at), pa.array(changed)), place)
    seal(path)
    assert status("verify", path) != 0


def test_pages(runs: Path, tmp_path: Path) -> None:
    named = [runs / name for name in ("cox", "visits-improved", "prevalence")]
    ran("report", *named, "--out", tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text("utf-8")
    assert "Kaplan" in page
    assert "confusion" not in page.lower()
    ran("report", named[0], "--hide-below", "50", "--out", tmp_path / "hidden.html")
    hidden = (tmp_path / "hidden.html").read_text("utf-8")
    few = "fewer than 50 patients"
    assert few in hidden
    assert few not in page
    assert "followed" in page


@pytest.mark.slow(but="folds")
@pytest.mark.parametrize("name", ["cox", "folds", "seeds", "one-visits-improved"])
def test_cards(name: str, runs: Path, tmp_path: Path) -> None:
    ran("share", runs / name, "--out", tmp_path / name)
    assert "concordance" in (tmp_path / name / "card.md").read_text("utf-8").lower()


@pytest.mark.slow(but="cox")
@pytest.mark.parametrize("name", ["cox", "one-logistic-regression"])
def test_an_external_page_shows_the_numbers_of_times(
    name: str, runs: Path, strangers: Path, tmp_path: Path
) -> None:
    out = tmp_path / "page.html"
    told = ["--page", out, "--hide-below", "1"]
    ran("evaluate", runs / name, *TEXT.split(), strangers, *map(str, told))
    page = out.read_text("utf-8")
    assert "concordance (Uno)" in page
    assert "adapts the model to the new people" in page
    assert "Share of the class" not in page


def test_an_ensemble_is_the_mean(runs: Path, tmp_path: Path) -> None:
    members = [runs / "cox", runs / "visits-improved"]
    made = make_ensemble(members, tmp_path / "ensemble")
    assert isinstance(made, RunFolder)
    mean = np.mean([RunFolder(each).predictions.probabilities for each in members], axis=0)
    np.testing.assert_allclose(made.predictions.probabilities, mean, atol=1e-6)
    assert made.predictions.horizons == DAYS


def test_settings_are_searched(people: Path, tmp_path: Path) -> None:
    more = ["--epochs", "1", "--trials", "2", "--out", tmp_path / "run"]
    ran("tune", "visits-improved", *TEXT.split(), people, *TASK.split(), *map(str, more))
    assert held_out(tmp_path / "run").horizons == DAYS


@pytest.mark.slow(but="one-visits-improved")
@pytest.mark.parametrize("name", ["visits-improved", "one-visits-improved"])
def test_predictions_are_explained(name: str, runs: Path, people: Path) -> None:
    found = explain(runs / name, root=people)
    assert found.importance is not None
    assert {"ICD10CM//I50", "ICD10CM//J10"} <= {each.code for each in found.importance.codes}
    predictions = RunFolder(runs / name).predictions
    assert predictions.time is not None
    for each in found.examples:  # nobody who was lost is shown as event-free
        row = predictions.example_id.tolist().index(each.example_id)
        assert predictions.label[row] or predictions.time[row] >= predictions.horizons[-1]


def test_a_server_gives_risks(runs: Path) -> None:
    visits = [{"time": "2000-01-01", "codes": ["ICD10CM//I50"]}]
    patient = {"id": "A", "time": "2000-01-01T12:00", "visits": visits}
    with client(served(runs / "visits-improved")) as asked:
        reply = asked.post("/v1/predict", json={"patients": [patient]})
        assert reply.status_code == 200, reply.text
        (each,) = reply.json()["predictions"]
        chances = list(each["probabilities"].values())
        assert list(each["risk"]) == ["365", "730", "1460"]
        assert each["risk"]["1460"] == pytest.approx(1 - chances[0], abs=1e-5)


def test_cox_is_that_of_scikit_survival(runs: Path, people: Path, tmp_path: Path) -> None:
    linear_model = pytest.importorskip("sksurv.linear_model")
    from sequela.models.reference import COX_PENALTIES
    from sequela.sequences.featurisers import Standardised

    data = loaded("cox", people, tmp_path)
    assert data.times is not None
    train = data.rows("train")
    features = data.inputs(("features:summaries",), standardise=False).features
    assert isinstance(features, np.ndarray)
    learnt = Standardised.learn(features, train)
    scaled = np.nan_to_num((features - learnt["mean"]) / learnt["deviation"]).astype(float)
    y = np.empty(len(train), [("event", bool), ("time", float)])
    y["event"], y["time"] = data.times.event[train] == 1, data.times.time[train]
    risk, apart = RunFolder(runs / "cox").predictions.risk, []
    for penalty in COX_PENALTIES:  # the run chose one of them
        model = linear_model.CoxPHSurvivalAnalysis(alpha=penalty).fit(scaled[train], y)
        curves = model.predict_survival_function(scaled)
        expected = 1 - np.array([curve(DAYS) for curve in curves])
        apart.append(np.abs(risk - expected).max())
    assert min(apart) < 1e-5


def test_what_cannot_be_is_refused(
    people: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:

    def line(model: str, *more: str) -> str:
        told = ["--task", "landmark", "--hours", "0", *more, "--out", tmp_path / "-".join(more)]
        return refusal(capsys, "train", model, *TEXT.split(), people, *map(str, told))

    assert "name the days to predict for with --horizons" in line("cox")
    days = ("--horizons", "365")
    assert "--class-weights would bias" in line("visits-improved", *days, "--class-weights")
    assert "--days and --horizons do not go together" in line("cox", *days, "--days", "30")
    assert "nobody was followed until day 99999" in line("prevalence", "--horizons", "99999")
    said = refusal(capsys, "train", "mlp-baseline", "--data", "bonn", *days)
    assert "--horizons is an option for hospital records" in said

    class Absent:
        """As if scikit-survival were not installed."""

        @staticmethod
        def find_spec(name: str, *_: object) -> None:
            if name == "sksurv":
                raise ModuleNotFoundError("No module named 'sksurv'", name="sksurv")

    for name in [each for each in sys.modules if each.partition(".")[0] == "sksurv"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [Absent, *sys.meta_path])
    assert "sequela[survival]" in line("cox", *days)


def test_who_is_followed_to_a_horizon_had_no_event_by_it(
    people: Path, tmp_path: Path, write_meds: Callable[..., Path]
) -> None:
    """Without FOLLOW_UP_END nobody is lost, so the numbers are plain means."""
    rows = [row for row in cohort(120) if row[2] != "FOLLOW_UP_END"]
    root = write_meds(tmp_path / "meds", rows, visits=False)
    told = ["--task", "landmark", "--hours", "0", "--horizons", "365", "730"]
    ran("train", "prevalence", *TEXT.split(), root, *map(str, told), "--out", tmp_path / "run")
    predictions = held_out(tmp_path / "run")
    assert predictions.time is not None
    free = (predictions.event == 0) | (predictions.time > 730)
    test = named_runs([tmp_path / "run"])[0].test
    assert test["horizons"][1]["observed"] == pytest.approx(1 - free.mean())
    expected = np.mean((predictions.risk[:, 1] - ~free) ** 2)
    assert test["horizons"][1]["brier"] == pytest.approx(expected)


@pytest.mark.slow(but="stroke-cox")
@pytest.mark.parametrize("name", ["visits-improved", "stroke-cox"])
def test_a_baseline_risk_is_updated(
    name: str, runs: Path, strangers: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    here = tmp_path / "here"
    ran("update", runs / name, "--root", strangers, "--out", here)
    made = RunFolder(here)
    record = made.metrics.update
    assert record is not None
    assert set(record.before) == {"concordance", "concordance_ci", "o_e", "o_e_ci"}
    before = Predictions.read(here / UNCHANGED).part("held_out")
    expected = at_horizons(*before.over_time)[-4:-2]
    observed, predicted = (float(np.ravel(number.estimate)[0]) for number in expected)
    assert record.before["o_e"] == pytest.approx(observed / predicted)
    if name == "visits-improved":
        assert "differ by" in write_export(here, tmp_path / "here.onnx")[0]
    numbers = evaluate_run(here, data="meds", root=strangers)
    assert numbers["concordance"] == pytest.approx(made.test["concordance"])
    line = refusal(capsys, "update", runs / "folds", "--root", strangers, "--out", tmp_path / "no")
    assert "has 2 models, one per fold or seed: name one of them" in line
