"""The page of both studies, from small real runs."""

import csv
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import unquote

import numpy as np
import pytest
from tests.approved import assert_approved, texts_of
from tests.records import part_of

from sequela.analysis.compare import Compared
from sequela.config import CohortSettings, RunSettings, TrainingSettings
from sequela.datasets import catalog
from sequela.disclosure import HIDDEN
from sequela.evaluation.comparison import Difference
from sequela.evaluation.intervals import Interval
from sequela.evaluation.metrics import accuracy
from sequela.evaluation.number import number
from sequela.evaluation.predictions import joined
from sequela.integrity.openings import LEDGER, VARIABLE
from sequela.report.entry import Entry
from sequela.report.pages.build import _checks as checks
from sequela.report.pages.build import _conclusion as conclusion
from sequela.report.pages.build import build
from sequela.report.sections import probabilities
from sequela.report.sections.group import Group
from sequela.report.sections.inflation import PLANNED, inflations, leak_figure, leaks
from sequela.report.sections.part import StudyPart
from sequela.report.sections.part import _as_reported as as_reported
from sequela.report.sections.part import _choice as choice
from sequela.report.sections.standing import Row, Standing
from sequela.runs import fit, released
from sequela.runs.find import Run, find_runs
from sequela.runs.folder import RunFolder
from sequela.runs.folds import cross_validate
from sequela.runs.manifest import seal
from sequela.runs.record import DataRecord
from sequela.studies.registry import STUDIES
from sequela.studies.results import cohorts_of, results
from sequela.studies.verdicts import ANSWERS, CONTRADICTED, OPEN, SUPPORTED

Outline = Callable[[Path], Any]


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the curves out, which take longest; the page of both studies has them."""

    def few(_: object, best: object, prefix: str) -> dict[str, object]:
        return {"of_few": True, "best": best, "prefix": prefix, "subgroups": {}}

    monkeypatch.setattr(probabilities, "content", few)


def of(runs: list[Run], data: str, task: str) -> list[Run]:
    return [
        each
        for each in runs
        if each.settings.cohort and (each.settings.data, each.settings.cohort.task) == (data, task)
    ]


def test_cohorts_are_named_and_the_primary_one_is_first(record_runs: list[Run]) -> None:
    names = ["mortality", "mortality-mimic3-report-2019", "mortality-mimic3-in-hospital"]
    assert list(cohorts_of(STUDIES["mortality"], record_runs)) == names
    studies = results(record_runs)["studies"]
    assert list(studies) == names
    eicu = studies["mortality"]
    assert list(eicu["models"]) == ["visits-baseline", "visits-improved"]
    assert list(eicu["weighted"]) == ["visits-baseline"]
    assert set(eicu["hindsight"]) == {"visits-baseline", "logistic-regression"}
    assert eicu["models"]["visits-baseline"]["leaks"] == []
    assert eicu["hindsight"]["visits-baseline"]["leaks"] != []
    assert studies[names[1]]["models"]["visits-improved"]["leaks"] != []
    assert studies[names[2]]["split"]["folds"] == 2
    assert studies[names[1]]["floors"]["prevalence"]["test"]["auroc"] == 0.5


def test_both_studies_on_one_page_that_fetches_nothing(page: Path, outline: Outline) -> None:
    found = outline(page)
    assert found.fetched == []
    twice = [one for one in found.ids if found.ids.count(one) > 1]
    assert twice == []
    assert set(found.pointed) <= set(found.ids)  # links within the page go somewhere
    text = page.read_text("utf-8")
    assert text.index('id="seizure"') < text.index('id="mortality"')
    assert not list(page.parent.glob("*.partial"))
    assert_approved("both-studies", texts_of(text))


def test_one_step_is_red_where_recurrent_models_read_it(page: Path) -> None:
    """86 of 100 patients of the MIMIC-III demo have one admission."""
    text = page.read_text("utf-8")
    said = "86 % of the sequences have one step, where a recurrent model"
    assert f'<strong class="does-not-hold">One step:</strong> {said}' in text


def test_only_the_reports_own_question_stands_beside_the_main_one() -> None:
    def group(data: str, task: str) -> Any:
        settings = RunSettings(model="boosting", data=data, cohort=CohortSettings(task=task))
        return SimpleNamespace(first=SimpleNamespace(settings=settings), study=STUDIES["mortality"])

    main, reported = group("mimic3", "in-hospital"), group("mimic3", "report-2019")
    later = group("physionet2012", "in-hospital")
    assert as_reported([main, later]) is None
    assert as_reported([reported, later]) is None
    assert as_reported([main, later, reported]) is reported


@pytest.mark.slow
def test_the_same_folders_give_the_same_bytes_without_data_or_model(
    record_runs: list[Run],
    small_runs: list[RunFolder],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    copies = [
        shutil.copytree(folder.path, tmp_path / "runs" / str(number) / folder.path.name)
        for number, folder in enumerate([*record_runs, *small_runs])
    ]

    def page(name: str) -> bytes:
        monkeypatch.setenv(VARIABLE, str(tmp_path / name / LEDGER))
        for copy in copies:
            copy.with_name(LEDGER).unlink(missing_ok=True)
        return build(find_runs([tmp_path / "runs"]), tmp_path / name / "page.html").read_bytes()

    before = page("before")
    models = list((tmp_path / "runs").rglob("model.safetensors"))
    assert models
    for model in models:
        model.unlink()
        seal(model.parent)
    for copy in copies:
        seal(copy)
    assert page("after") == before


def test_runs_that_leak_are_called_so_at_the_top(
    small_runs: list[RunFolder], record_runs: list[Run], tmp_path: Path
) -> None:
    reported, *_ = of(record_runs, "mimic3", "report-2019")
    back = next(each for each in record_runs if each.path.name.endswith(".hindsight"))
    for run, why in (
        (small_runs[-1], "overlapping groups"),
        (reported, "it reads the diagnoses of the last visit"),
        (back, "to the end of the stay"),
    ):
        text = build([run], tmp_path / "page.html").read_text("utf-8")
        top = text[text.index('class="alarm"') : text.index("<nav")].lower()
        assert "these runs leak" in top
        assert why in top
        assert 'id="claims"' not in text


def test_claims_are_judged_on_the_honest_cohort(record_runs: list[Run]) -> None:
    placed = StudyPart.of(STUDIES["mortality"], record_runs, 10)
    main, judged = placed.main, placed.judged
    assert main.key == "mortality"
    assert {each.claim.id for each in judged} == {claim.id for claim in STUDIES["mortality"].claims}
    answers = [ANSWERS.index(each.verdict) for each in judged]
    assert answers == sorted(answers)
    loss = next(each for each in judged if each.claim.id == "visits-baseline-loss")
    assert loss.interval_verdict in (SUPPORTED, CONTRADICTED, OPEN)
    assert "at a prevalence of 20 %" in loss.why
    assert "at a prevalence of 50 %" in loss.why
    assert placed.as_reported
    assert placed.as_reported.key == "mortality-mimic3-report-2019"
    assert all(each.as_reported and not each.by_row for each in judged)
    # Runs with later information, or with weighted classes, do not answer a claim.
    assert {s.name for s in main.plain} == {
        "visits-baseline",
        "visits-improved",
        "logistic-regression",
    }
    assert main.best.run in record_runs
    assert {s.name for s in main.leaking} == {"visits-baseline", "logistic-regression"}


def test_a_page_of_reference_models_alone_says_what_is_missing(shared_folds: Path) -> None:
    assert_approved("folds", texts_of((shared_folds / "report.html").read_text("utf-8")))


def test_a_fold_of_few_has_no_dot(record_runs: list[Run]) -> None:
    folds = record_runs[-1]
    assert len(folds.runs) == 2
    for smallest, dots in ((1, 2), (10**6, 0)):
        entry = Entry(folds, smallest, STUDIES["mortality"])
        (row,) = Standing.of([entry], entry).rows
        assert len(row.models) == dots


@pytest.mark.parametrize(
    ("low", "high", "as_good"),
    [(-0.1, 0.1, True), (-0.1, 0.0, True), (-0.2, -0.1, False), (0.1, 0.2, False)],
)
def test_a_model_is_as_good_where_the_interval_of_the_difference_holds_zero(
    small_runs: list[RunFolder], low: float, high: float, *, as_good: bool
) -> None:
    interval = Interval(low, high, 0.95, "paired", 2000, 80)
    apart = Compared("b", "mlp-improved", 0.7, Difference((low + high) / 2, interval, 0.5))
    assert Row(Entry(small_runs[0]), 0.7, None, (), apart).as_good is as_good


@pytest.mark.parametrize(("epochs", "quick"), [(4, True), (5, False)])
def test_networks_of_no_more_epochs_than_a_quick_run_has_are_no_results(
    epochs: int, *, quick: bool
) -> None:
    study = SimpleNamespace(training={"gru": SimpleNamespace(epochs=50)}, quick_epochs=4)
    settings = SimpleNamespace(training=SimpleNamespace(epochs=epochs))
    entry = SimpleNamespace(name="gru", run=SimpleNamespace(settings=settings))
    property_: Any = Group.quick
    assert property_.fget(SimpleNamespace(study=study, plain=[entry])) is quick


def test_single_splits_are_compared_as_independent_numbers(small_runs: list[RunFolder]) -> None:
    honest, leaking = small_runs[0], small_runs[4]
    (row,) = inflations(PLANNED[0], [Entry(honest)], [Entry(leaking)])
    found = row.by
    assert not found.paired
    assert found.value == leaking.test["accuracy"] - honest.test["accuracy"]
    (low, high), (their_low, their_high) = leaking.test["accuracy_ci"], honest.test["accuracy_ci"]
    below = np.hypot(leaking.test["accuracy"] - low, their_high - honest.test["accuracy"])
    above = np.hypot(high - leaking.test["accuracy"], honest.test["accuracy"] - their_low)
    assert found.interval == pytest.approx((found.value - below, found.value + above))
    (drawn,) = leak_figure(PLANNED[0], [row]).rows
    assert drawn["leak"] == "by row"
    (said,) = leaks([Entry(honest)], [Entry(leaking)])
    assert said.finding.startswith("A split by row adds ")


@pytest.mark.parametrize(
    ("data", "command", "quick", "shown"),
    [
        ({"recordings": 400}, "sequela reproduce seizure --seed 0", False, True),
        ({"open": True}, "sequela reproduce mortality --seed 0", False, True),
        ({"open": False}, "sequela reproduce mortality --seed 0", False, False),  # a hospital's own
        ({"recordings": 400}, "sequela train gru-improved", False, False),
        ({"recordings": 400}, "sequela reproduce seizure --quick", True, False),
    ],
)
def test_settings_were_chosen_on_the_data_that_are_shipped(
    data: dict[str, Any], command: str, *, quick: bool, shown: bool
) -> None:
    study = STUDIES["seizure"]
    main: Any = SimpleNamespace(data=part_of(DataRecord, **data), quick=quick, study=study)
    assert bool(choice(main, command)) is shown


def test_a_page_whose_numbers_are_hidden_tells_none(
    small_runs: list[RunFolder], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()  # with its curves
    monkeypatch.setattr(released, "of_people", lambda _: True)
    text = build(small_runs, tmp_path / "page.html", 10**6).read_text("utf-8")
    assert "Accuracy is hidden: a class has too few people." in text
    for run in small_runs:
        assert f"{100 * run.test['accuracy']:.1f}" not in text


def test_an_unfinished_page_draws_no_conclusion(
    small_runs: list[RunFolder], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sequela.report.pages.build._conclusion", lambda _: "So it is.")
    network = small_runs[0].settings.model_copy(update={"model": "gru-baseline"})
    for awaited in ([], [network]):
        page = build(small_runs, tmp_path / "page.html", awaited=awaited)
        assert ("So it is." in page.read_text("utf-8")) is not bool(awaited)


def test_the_first_sentence_is_the_conclusion(
    small_runs: list[RunFolder], monkeypatch: pytest.MonkeyPatch
) -> None:
    placed = StudyPart.of(STUDIES["seizure"], small_runs, 10)
    assert placed.network
    assert placed.baseline
    parts = []
    for network, baseline, low, answer in (
        (0.6, 0.7, -0.1, "A simple model matched or beat its networks."),
        (0.7, 0.7, -0.1, "A simple model matched or beat its networks."),
        (0.7, 0.6, -0.1, "No network was clearly better than a simple model."),
        (0.7, 0.6, 0.1, "A network was clearly better than the best simple model."),
    ):
        difference = Difference(0.1, Interval(low, 1.0, 0.95, "", 9, 80), 0.5)
        compared = {placed.network.entry.key: Compared("b", "b", network, difference)}
        monkeypatch.setattr("sequela.report.sections.standing._apart", lambda *_, c=compared: c)
        rivals = replace(placed.network, value=network), replace(placed.baseline, value=baseline)
        parts.append(replace(placed, network=rivals[0], baseline=rivals[1]))
        assert conclusion(parts[-1:]) == answer
        assert conclusion([replace(parts[-1], network=None)]) == ""
    monkeypatch.setattr(Group, "quick", True)
    for part in parts:
        assert part.void.startswith("Quick run")
        assert conclusion([part]) == ""


def test_the_checks_begin_with_what_is_good(
    small_runs: list[RunFolder], record_runs: list[Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    segments = StudyPart.of(STUDIES["seizure"], small_runs[:1], 10)
    stays = StudyPart.of(STUDIES["mortality"], record_runs[:2], 10)
    assert checks([segments]) == [
        (True, "no leak found", ""),
        (True, "sessions kept apart", ""),
        (False, "The test set has 10 sessions: intervals are unreliable", ""),
        (False, "not tested elsewhere", ""),
    ]
    both = checks([segments, stays])
    assert (True, "sessions and patients kept apart", "") in both
    assert (False, "best of 2, chosen on the test set", "Mortality") in both
    found = [{"severity": "leak", "check": "rows", "what": "rows of one recording are in two sets"}]
    monkeypatch.setattr(Group, "findings", found)
    assert [good for good, *_ in checks([segments])] == [False] * 3


def test_three_models_are_drawn_with_their_numbers(small_runs: list[RunFolder]) -> None:
    entries = [Entry(run) for run in small_runs[:3]]
    found = Standing.of(entries, entries[1])
    drawn = found.against_operations("name")
    assert drawn
    link = drawn.data
    lines = csv.DictReader(unquote(link).partition(",")[2].splitlines())
    rows = {row["model"]: row for row in lines}
    assert rows.keys() == {entry.title for entry in entries}
    for entry in entries:
        row = rows[entry.title]
        numbers = [entry.test["accuracy"], *entry.test["accuracy_ci"]]
        said = [float(row[name]) for name in ("accuracy", "low", "high")]
        assert said == pytest.approx(numbers, abs=1e-4)
        assert int(row["operations"]) == entry.run.facts.operations
    assert Standing.of(entries[:2], entries[0]).against_operations("name") is None


def test_the_training_time_is_that_of_one_model(record_runs: list[Run]) -> None:
    (folds,) = (run for run in record_runs if run.folds)
    entry = Entry(folds, 1, STUDIES["mortality"])
    one = sum(run.metrics["train_seconds"] for run in folds.runs) / len(folds.runs)
    (row,) = Standing.of([entry], entry).rows
    assert len(folds.runs) > 1
    assert row.train_seconds == pytest.approx(one)


def test_the_axis_holds_all_that_is_drawn_and_round_numbers() -> None:
    entry: Any = SimpleNamespace()
    metric: Any = SimpleNamespace(bounds=(0, 1))
    rows = (Row(entry, 0.8, (0.7, 0.9), (0.6, 0.95)), Row(entry, 0.75, None, ()))
    wide = Standing(rows, rows[0], metric, "stay")
    assert wide.ends == pytest.approx((0.6 - 0.04 * 0.35, 0.95 + 0.04 * 0.35))
    assert [value for _, value in wide.ticks] == pytest.approx([0.6, 0.7, 0.8, 0.9])
    assert wide.at(0.775) == "50.00%"
    perfect = (Row(entry, 1.0, None, ()),)
    assert Standing(perfect, perfect[0], metric, "stay").ends == pytest.approx((0.96, 1))


def test_of_a_hidden_best_no_difference_is_shown(small_runs: list[RunFolder]) -> None:
    best, *others = (Entry(run) for run in small_runs[:3])
    hidden = replace(best, hide_below=10**6)
    hidden.__dict__["test"] = best.test.replace(accuracy=HIDDEN)
    found = Standing.of([hidden, *others], hidden)
    assert found.best is None
    assert [row.entry for row in found.rows] == sorted(others, key=lambda e: -e.value)
    assert all(row.apart is None for row in found.rows)
    assert Standing.of([best, *others], best).rows[1].apart


@pytest.mark.slow
def test_the_same_model_twice_has_ids_of_its_own(
    record_runs: list[Run], outline: Outline, tmp_path: Path
) -> None:
    """Two runs of one model, of another number of epochs."""
    other = RunFolder(Path(shutil.copytree(record_runs[0].path, tmp_path / "other")))
    config = other.path / "config.toml"
    text = config.read_text("utf-8")
    assert "epochs = 2" in text
    config.write_text(text.replace("epochs = 2", "epochs = 3"), "utf-8")
    seal(other.path)
    found = outline(build([record_runs[0], other], tmp_path / "page.html"))
    assert len(found.ids) == len(set(found.ids))


@pytest.fixture
def mine(small_runs: list[RunFolder], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Run]:
    """Runs on a data set that no study has, with classes of its own."""
    monkeypatch.setitem(catalog.DATA_SETS, "mine", catalog.DATA_SETS["bonn"])
    for run in small_runs:
        copy = tmp_path / "runs" / run.path.name
        shutil.copytree(run.path, copy)
        config = copy / "config.toml"
        config.write_text(config.read_text("utf-8").replace('"bonn"', '"mine"'), "utf-8")
        metrics = run.json("metrics.json")
        metrics["data"] |= {"name": "mine", "title": "My EEG", "classes": list("abcde")}
        RunFolder(copy).write("metrics.json", metrics)
        seal(copy)
    return find_runs([tmp_path / "runs"])


def test_runs_of_no_study_have_a_part_without_claims(mine: list[Run], tmp_path: Path) -> None:
    text = build(mine, tmp_path / "page.html").read_text("utf-8")
    assert "<h1>My EEG</h1>" in text
    assert "The class of a 1.03 s segment of EEG" in text[: text.index("<nav")]
    assert "MLP improved" in text
    assert "MLP improved is " in text
    assert " MLP baseline, its baseline: " in text
    assert "How much leakage inflates the score" in text
    assert "by row" in text
    for foreign in (
        "The report's claims",
        ": the claims of",
        "volunteers",
        "2019 report",
        "Bonn",
        "death",
    ):
        assert foreign not in text
    assert list(results(mine)["studies"]) == ["mine", "mine-by-row"]


def test_what_splits_add_is_paired_on_the_same_segments(
    synthetic: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = RunSettings(
        model="mlp-baseline", data="bonn", split="session", training=TrainingSettings(epochs=3)
    )
    folds = cross_validate(settings, tmp_path / "folds", folds=2, root=synthetic)
    runs: list[Run] = [folds]
    for split in ("recording", "row"):
        changed = settings.model_copy(update={"split": split})
        runs.append(fit.train(changed, tmp_path / split, root=synthetic))
    group = Group.of(STUDIES["seizure"], "seizure", runs, 10)
    leaking = group.leaking
    assert [entry.title for entry in group.entries] == 3 * ["MLP baseline"]
    (found,) = leaks(group.plain, leaking)
    drawn = found.picture.drawing
    assert ">by recording<" in drawn
    assert ">by row<" in drawn
    held_out = joined([run.predictions.part("held_out") for run in folds.runs])
    by = [inflations(PLANNED[0], group.plain, [entry])[0].by for entry in leaking]
    for entry, inflated, split in zip(leaking, by, ("recording", "row"), strict=True):
        test = entry.run.first.predictions.part("held_out")
        same = held_out.where(np.isin(held_out.example_id, test.example_id))
        assert inflated.value == pytest.approx(accuracy(test) - accuracy(same))
        points = number(100 * inflated.value, "+.0f")
        surely = "" if inflated.interval[0] > 0 else "not "
        assert f"A split by {split} adds {points} points, {surely}significantly." in found.finding
    monkeypatch.setattr(released, "of_people", lambda _: True)
    hidden = Group.of(STUDIES["seizure"], "seizure", runs, 10**6)
    (found,) = leaks(group.plain, [leaking[0], hidden.leaking[1]])
    assert "by recording adds" in found.finding
    assert "by row" not in found.finding  # as its accuracy is not shown
    assert leaks(hidden.plain, hidden.leaking) == []
