"""The cohort of a task or label file, from settings."""

from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from sequela.cohort.events import Events, open_events
from sequela.cohort.selection import Cohort, cohort_of_labels, select_cohort
from sequela.cohort.task_files import task_said
from sequela.cohort.tasks import Task, timed, with_hindsight
from sequela.config import CohortSettings
from sequela.errors import SettingError
from sequela.intake.one_row import Rows
from sequela.tables.events import events_of


def ask(
    data: str, asked: CohortSettings, root: Path | None, work: Path, rows: Rows | None = None
) -> Cohort:
    """Build the cohort of a task, or of a label file, from the events of a data set.

    Events that are built from tables are kept in the folder ``work``. ``rows`` describes a table
    with one row per patient.
    """
    task = task_asked(asked)
    located = events_of(data, root, work / "events", asked.tables, rows=rows)
    events = open_events(located.path, located.origin)
    if asked.labels is None:
        return _selected(events, events.digest, task, located.notes)
    return cohort_of_labels(
        events, Path(asked.labels), task, asked.outcome or "", asked.horizons_days or None
    )


@lru_cache(maxsize=1)
def _selected(events: Events, _: str, task: Task, notes: tuple[str, ...]) -> Cohort:
    """Select a cohort, once for all folds and models; the digest tells changed events apart."""
    return replace(select_cohort(events, task), notes=notes)


def task_asked(asked: CohortSettings) -> Task:
    """Return the task of a run, changed where its settings require."""
    usual = task_said(asked.task, asked.declared)
    changes: dict[str, Any] = {
        "hours": asked.hours,
        "horizon_days": asked.horizon_days,
        "inputs": asked.inputs or None,
        "trigger": "ICU admission" if asked.from_icu else None,
    }
    if asked.outcome and asked.labels is None:
        raise SettingError(
            f"outcome '{asked.outcome}' is for the labels of a file, and there is no label file: "
            "give one with --labels, or leave --outcome out (the outcome of "
            f"{asked.task} is '{usual.label}')"
        )
    if asked.horizons_days and asked.horizon_days:
        raise SettingError("--days and --horizons do not go together: leave one out")
    if asked.hindsight and asked.labels is not None:
        raise SettingError(
            "--hindsight changes the times of a task, not those of a label file: "
            "leave one of them out"
        )
    if asked.from_icu and usual.trigger != "admission":
        raise SettingError(
            f"{asked.task} does not count from an admission, so --from-icu cannot be used: leave "
            "it out"
        )
    task = replace(usual, **{k: v for k, v in changes.items() if v is not None})
    if asked.horizons_days and asked.labels is None:
        task = timed(task, asked.horizons_days)
    return with_hindsight(task) if asked.hindsight else task
