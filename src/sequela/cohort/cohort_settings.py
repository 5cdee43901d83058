"""The cohort of a task or label file, from settings."""

from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from sequela.cohort.events import Events, open_events
from sequela.cohort.selection import Cohort, cohort_of_labels, select_cohort
from sequela.cohort.task_files import declared_task
from sequela.cohort.tasks import Task, timed, with_hindsight
from sequela.config import CohortSettings
from sequela.errors import SettingError
from sequela.intake.one_row import Rows
from sequela.tables.built_events import events_of


def cohort_of_settings(
    data: str, settings: CohortSettings, root: Path | None, work: Path, rows: Rows | None = None
) -> Cohort:
    """Build the cohort of a task, or of a label file, from the events of a data set.

    Events that are built from tables are kept in the folder ``work``. ``rows`` describes a table
    with one row per patient.
    """
    task = task_of_settings(settings)
    located = events_of(data, root, work / "events", settings.tables, rows=rows)
    events = open_events(located.path, located.origin)
    if settings.labels is None:
        return _selected(events, events.digest, task, located.notes)
    return cohort_of_labels(events, Path(settings.labels), task, settings.outcome or "")


@lru_cache(maxsize=1)
def _selected(events: Events, _: str, task: Task, notes: tuple[str, ...]) -> Cohort:
    """Select a cohort, once for all folds and models; the digest tells changed events apart."""
    return replace(select_cohort(events, task), notes=notes)


def task_of_settings(settings: CohortSettings) -> Task:
    """Return the task of a run, changed where its settings require."""
    usual = declared_task(settings.task, settings.declared)
    changes: dict[str, Any] = {
        "hours": settings.hours,
        "horizon_days": settings.horizon_days,
        "inputs": settings.inputs or None,
        "trigger": "ICU admission" if settings.from_icu else None,
    }
    if settings.outcome and settings.labels is None:
        raise SettingError(
            f"outcome '{settings.outcome}' is for the labels of a file, and there is no label "
            "file: give one with --labels, or leave --outcome out (the outcome of "
            f"{settings.task} is '{usual.label}')"
        )
    if settings.horizons_days and settings.horizon_days:
        raise SettingError("--days and --horizons do not go together: leave one out")
    if settings.horizons_days and settings.labels is not None:
        raise SettingError(
            "--horizons is for tasks, and the labels of a file have no times: leave it out, or "
            "declare a task whose outcome is a code of the events"
        )
    if settings.hindsight and settings.labels is not None:
        raise SettingError(
            "--hindsight changes the times of a task, not those of a label file: "
            "leave one of them out"
        )
    if settings.from_icu and usual.trigger != "admission":
        raise SettingError(
            f"{settings.task} does not count from an admission, so --from-icu cannot be used: "
            "leave it out"
        )
    # Settings that were not made leave the task as declared.
    task = replace(usual, **{k: v for k, v in changes.items() if v is not None})
    if settings.horizons_days:
        task = timed(task, settings.horizons_days)
    return with_hindsight(task) if settings.hindsight else task
