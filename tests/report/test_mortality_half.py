"""The page of both studies, from small real runs."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sequela.config import RunSettings
from sequela.errors import RunError
from sequela.report import mortality_half
from sequela.report.build import build
from sequela.report.shown import Shown
from sequela.runs import fit
from sequela.runs.find import Run, find_runs
from sequela.runs.folder import RunFolder
from sequela.sources.catalog import EXCERPTS
from sequela.studies import mortality
from sequela.studies.reproduce import cohorts_of, results
from sequela.studies.verdicts import FAILS, HOLDS, UNKNOWN

Outline = Callable[[Path], Any]
OfCohort = Callable[..., dict[str, RunSettings]]


@pytest.fixture(scope="module")
def page(
    record_runs: list[Run], small_runs: list[RunFolder], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    return build([*record_runs, *small_runs], tmp_path_factory.mktemp("page") / "page.html")


def of(runs: list[Run], data: str, task: str) -> list[Run]:
    return [
        each
        for each in runs
        if each.settings.cohort and (each.settings.data, each.settings.cohort.task) == (data, task)
    ]


def test_both_studies_on_one_page_that_fetches_nothing(page: Path, outline: Outline) -> None:
    found = outline(page)
    assert found.fetched == []
    assert "script" not in found.tags
    twice = [one for one in found.ids if found.ids.count(one) > 1]
    assert twice == []
    assert len(found.labels) == found.tags.count("svg")
    text = page.read_text("utf-8")
    assert text.index('id="seizure"') < text.index('id="mortality"')
    assert all(f'href="#{half}"' in text for half in ("seizure", "mortality"))
    assert not list(page.parent.glob("*.partial"))


def test_links_within_the_page_go_somewhere(page: Path, outline: Outline) -> None:
    found = outline(page)
    assert set(found.pointed) <= set(found.ids)


def test_small_cohorts_are_not_hidden(page: Path, record_runs: list[Run]) -> None:
    text = page.read_text("utf-8")
    assert mortality.TOO_FEW in text.lower()
    assert "MIMIC-III Clinical Database" in text
    test = of(record_runs, "mimic3", "in-hospital")[0].test
    assert f"{test['auroc']:.2f}" in text
    for licence in ("ODbL 1.0", "CC BY 4.0"):
        assert licence in text
    for citation in ("Johnson", "Pollard", "Andrzejak"):
        assert citation in text


def test_the_same_folders_give_the_same_bytes_without_data_or_model(
    page: Path, record_runs: list[Run], small_runs: list[RunFolder], tmp_path: Path
) -> None:
    for number, folder in enumerate([*record_runs, *small_runs]):
        shutil.copytree(folder.path, tmp_path / "runs" / str(number) / folder.path.name)
    for model in tmp_path.glob("runs/**/model.safetensors"):
        model.unlink()
    again = build(find_runs([tmp_path / "runs"]), tmp_path / "again.html").read_bytes()
    assert again == page.read_bytes()


def test_the_reports_question_alone_is_red_at_the_top(
    record_runs: list[Run], tmp_path: Path
) -> None:
    alone = of(record_runs, "mimic3", "report-2019")
    text = build(alone, tmp_path / "page.html").read_text("utf-8")
    alarm = text.index('class="alarm"')
    assert alarm < text.index("<h3")
    assert "it reads the diagnoses of the last visit" in text[alarm : text.index("<h3")].lower()


def test_cohorts_are_named_and_the_primary_one_is_first(record_runs: list[Run]) -> None:
    names = ["mortality", "mortality-mimic3-report-2019", "mortality-mimic3-in-hospital"]
    assert list(cohorts_of(record_runs)) == names
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


def test_claims_are_judged_on_the_honest_cohort(record_runs: list[Run]) -> None:
    content = mortality_half.content(record_runs)
    assert content["main"].key == "mortality"
    judged = content["verdicts"]
    assert [v.claim for v in judged] == list(mortality.CLAIMS)
    assert {v.verdict for v in judged} <= {HOLDS, FAILS, UNKNOWN}
    improved = next(r for r in record_runs if r.settings.model == "visits-improved")
    level = next(v for v in judged if v.claim.number == "auroc")
    assert f"{improved.test['auroc']:.2f}" in level.why
    assert len(content["as_reported"]) == len(judged)
    # What looks back, or is weighted, is no answer to a claim.
    assert {s.name for s in content["main"].shown} == {
        "visits-baseline",
        "visits-improved",
        "logistic-regression",
    }
    assert content["main"].best.run in record_runs
    assert {s.name for s in content["main"].hindsight} == {"visits-baseline", "logistic-regression"}


def test_a_page_of_floors_alone_says_what_is_missing(
    record_runs: list[Run], tmp_path: Path
) -> None:
    folded = of(record_runs, "mimic3", "in-hospital")
    text = build(folded, tmp_path / "page.html").read_text("utf-8")
    assert "There is no run of visits-baseline here." in text
    assert mortality.TOO_FEW in text.lower()


def test_what_looks_back_has_a_page_of_its_own_too(record_runs: list[Run], tmp_path: Path) -> None:
    back = [
        each
        for each in of(record_runs, "eicu", "in-hospital")
        if each.settings.cohort and each.settings.cohort.hindsight
    ]
    text = build(back, tmp_path / "page.html").read_text("utf-8")
    assert "until the end of the stay" in text[: text.index("<h3")].lower()


def test_runs_of_other_splits_do_not_share_a_cohort(
    record_runs: list[Run], of_cohort: OfCohort, tmp_path: Path
) -> None:
    settings = of_cohort("eicu", "in-hospital", ["prevalence"], seed=1)["prevalence"]
    other = fit.train(settings, tmp_path / "other", root=EXCERPTS / "eicu")
    with pytest.raises(RunError, match="of different data or splits"):
        build([record_runs[0], other], tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()


def test_keys_of_what_is_shown_are_its_own(record_runs: list[Run]) -> None:
    eicu = [Shown.of(each, mortality.REPORTED) for each in of(record_runs, "eicu", "in-hospital")]
    honest = [s for s in eicu if not (s.run.settings.cohort and s.run.settings.cohort.hindsight)]
    assert len({s.key for s in honest}) == len(honest)
    assert len({s.title for s in honest}) == len(honest)


def test_the_same_model_twice_has_ids_of_its_own(
    record_runs: list[Run], of_cohort: OfCohort, outline: Outline, tmp_path: Path
) -> None:
    """Two runs of one model, trained in another number of epochs."""
    settings = of_cohort("eicu", "in-hospital", ["visits-baseline"], epochs=1)["visits-baseline"]
    other = fit.train(settings, tmp_path / "other", root=EXCERPTS / "eicu")
    found = outline(build([record_runs[0], other], tmp_path / "page.html"))
    assert len(found.ids) == len(set(found.ids))
