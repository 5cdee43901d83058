"""Runs in the order of the page, and ``results.json``."""

from collections.abc import Sequence
from typing import Any

from sequela.config import RunSettings
from sequela.disclosure import Hidden, as_json
from sequela.evaluation.metrics import headline
from sequela.runs.find import Run
from sequela.runs.released import Released
from sequela.studies.registry import STUDIES, planned_leak, question_of, study_of
from sequela.studies.study import Question, Study
from sequela.studies.verdicts import default_model, inflation, judge_study

# From the strictest unit to the one that leaks: the honest result comes first on the page.
_SPLITS = ("subject", "session", "recording", "site", "time", "row")


def by_study(folders: Sequence[Run]) -> list[tuple[Study, list[Run]]]:
    """Return each study that has runs here, in the order of the page."""
    studies: dict[str, tuple[Study, list[Run]]] = {}
    for run in in_order(folders):
        study = study_of(run)
        studies.setdefault(study.name, (study, []))[1].append(run)
    return list(studies.values())


def in_order(folders: Sequence[Run]) -> list[Run]:
    """Sort runs by study and question; baseline models last, then leaks."""
    studies = list(STUDIES)

    def place(run: Run) -> tuple[object, ...]:
        # Earlier entries decide first. The path is the last: without it, equal runs would come in
        # the order of the file system, and the page would have other bytes on another machine.
        settings, question, study = run.settings, question_of(run), study_of(run)
        models = [*study.training, *study.reference_models]
        return (
            studies.index(study.name) if study.name in studies else len(studies),
            study.place_of(question),
            question,
            planned_leak(run) == "hindsight",
            _SPLITS.index(settings.split),
            models.index(settings.model) if settings.model in models else len(models),
            settings.model,
            settings.training.class_weights,
            str(run.path),
        )

    return sorted(folders, key=place)


def results(
    folders: Sequence[Run], hide_below: int | None = None, awaited: Sequence[RunSettings] = ()
) -> dict[str, Any]:
    """Return the content of ``results.json``: every study by its name, and what is ``unfinished``.

    A study's primary question has the study's own name, other questions have separate names. Runs
    that leak by their split form separate studies. Numbers that must not be shown are null.
    """
    studies: dict[str, dict[str, object]] = {}
    models = {settings.model for settings in awaited}
    for study, runs in by_study(folders):
        cohorts = cohorts_of(study, runs)
        # Runs that leak by their split are studies of their own: nobody takes them for results.
        for key, cohort in cohorts.items():
            for split in ("", "-by-recording", "-by-row"):
                if leaking := [run for run in cohort if _split_leak(run) == split]:
                    studies[key + split] = as_json(_content(study, leaking, hide_below, cohort))
        main = next(iter(cohorts))
        if judged := judge_study(study, [*cohorts.values()], awaited=models):
            studies[main]["claims"] = [verdict.to_dict() for verdict in judged]
    content: dict[str, Any] = {
        "smallest_cell": min(Released(run, hide_below).smallest for run in folders),
        "studies": studies,
        "environment": folders[0].environment,
    }
    if awaited:
        content["unfinished"] = {"finished": len(folders), "awaited": len(awaited)}
    return content


def _split_leak(run: Run) -> str:
    leak = planned_leak(run)
    return f"-by-{leak}" if leak in _SPLITS else ""


def cohorts_of(study: Study, runs: Sequence[Run]) -> dict[str, list[Run]]:
    """Return the runs of a study by the name of their question, the primary one first."""
    grouped: dict[Question, list[Run]] = {}
    for run in runs:
        grouped.setdefault(question_of(run), []).append(run)
    sizes = {
        question: runs_of_question[0].metrics.data for question, runs_of_question in grouped.items()
    }
    # Where people are not identified, each example counts as one.
    primary = study.primary_of(
        {question: d.subjects or d.examples for question, d in sizes.items()}
    )
    order = sorted(grouped, key=lambda question: question != primary)
    return {
        study.key_of(question, is_primary=question == primary): grouped[question]
        for question in order
    }


def _content(
    study: Study, runs: Sequence[Run], hide_below: int | None, cohort: Sequence[Run]
) -> dict[str, object]:
    """Return one study of ``results.json``; the first run represents its data and split."""
    plain = [run for run in cohort if not run.settings.training.class_weights]
    honest = {run.settings.model: run for run in plain if not planned_leak(run)}
    first = runs[0]
    data = Released(first, hide_below).metrics.data
    content: dict[str, object] = {
        "data": data,
        "split": first.describe_split(),
        **{n: data[n] for n in ("subjects", "examples", "recordings") if n in data},
    }
    kinds: dict[str, dict[str, object]] = {
        kind: {} for kind in ("models", "floors", "default", "weighted", "hindsight")
    }
    content |= kinds
    for run in runs:
        model, released = run.settings.model, Released(run, hide_below)
        kind = "models" if model in study.training else "floors"
        if study.default and kind == "floors" and model not in study.reference_models:
            kind = "default"
        if planned_leak(run) == "hindsight":
            kind = "hindsight"
        elif run.settings.training.class_weights:
            kind = "weighted"
        kinds[kind][model] = {
            **run.facts,
            "test": released.test,
            "report_2019": study.reported.get(model, {}),
            "leaks": released.metrics.leaks,
            "run": run.path.name,
            **_inflation(honest.get(model), run, hide_below),
        }
    if best := default_model(study, runs):
        content["best"] = best
    return {name: value for name, value in content.items() if value != {}}


def _inflation(honest: Run | None, run: Run, hide_below: int | None) -> dict[str, object]:
    """Return how much a planned leak inflates the score, where both scores may be shown."""
    if honest is None or not planned_leak(run):
        return {}
    key = headline(run.data.classes, run.test).key
    # The difference and one score would reveal the hidden score by subtraction.
    if any(isinstance(Released(side, hide_below).test[key], Hidden) for side in (honest, run)):
        return {}
    difference = inflation(honest, run)
    return {"inflation": difference and {"difference": difference.value, "ci": difference.interval}}
