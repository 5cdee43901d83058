"""The cohort of a run and its split, from settings."""

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sequela.cohort.attributes import sites_of
from sequela.cohort.events import Events, open_events
from sequela.cohort.selection import Cohort, cohort_of_labels, select_cohort
from sequela.cohort.split import Split, at_first, divided_by_time, draw_for, periods
from sequela.cohort.task_files import declared_task
from sequela.cohort.tasks import Task, timed, with_hindsight
from sequela.config import CohortSettings, RunSettings
from sequela.datasets import catalog
from sequela.datasets.codes import SITE
from sequela.errors import SettingError, SplitError
from sequela.identity.pseudonyms import Ids
from sequela.intake.one_row import Rows
from sequela.tables.account import ACCOUNT, read_account
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
        # The file's own times may be anywhere, so "later" has no meaning for them.
        raise SettingError(
            f"{settings.task} does not count from an admission, so --from-icu cannot be used: "
            "leave it out"
        )
    # Settings that were not made leave the task as declared.
    task = replace(
        usual,
        hours=usual.hours if settings.hours is None else settings.hours,
        horizon_days=usual.horizon_days if settings.horizon_days is None else settings.horizon_days,
        inputs=settings.inputs or usual.inputs,
        trigger="ICU admission" if settings.from_icu else usual.trigger,
    )
    if settings.horizons_days:
        task = timed(task, settings.horizons_days)
    return with_hindsight(task) if settings.hindsight else task


@dataclass(frozen=True)
class Division:
    """A cohort in parts: for each example an index into ``PARTS`` and, by site, its hospital."""

    cohort: Cohort
    split: Split
    part: NDArray[np.int64]
    site: Ids | None = None


def divide(cohort: Cohort, settings: RunSettings) -> Division:
    """Split a cohort as the settings of a run require."""
    # The account names the data set, and so the units that its publisher allows.
    if (cohort.events.root / ACCOUNT).is_file():
        built_from = str(read_account(cohort.events.root).get("source"))
        if built_from in catalog.DATA_SETS:
            catalog.lookup(built_from).check_split(settings.split)
    if settings.split == "time":
        return _by_time(cohort, settings)
    site = None
    if settings.split == "site":
        cohort, site = by_site(cohort)
        if site is None:
            raise SplitError(
                f"no hospital is on record by the time of prediction (code {SITE}//...), so these "
                "data cannot be split by site: use --split subject"
            )
    ids = {"row": cohort.example_id, "subject": cohort.subject_id.astype(np.str_)}
    split, part = draw_for(settings, cohort.label, ids if site is None else {**ids, "site": site})
    return Division(cohort, split, part, site)


def by_site(cohort: Cohort) -> tuple[Cohort, Ids | None]:
    """Keep each subject at the site of its first example, and return the sites too.

    Sites are str (example,). Examples at other sites are left out, and so are examples without a
    site. Where no example has a site the cohort is returned unchanged, and the sites are ``None``.
    """
    site = sites_of(cohort.events, cohort.labels)
    on_record = site != ""
    if not on_record.any():
        return cohort, None
    # Examples without a site cannot decide which site was a subject's first.
    included = on_record.copy()
    included[on_record] = at_first(cohort.subject_id[on_record].astype(np.str_), site[on_record])
    reason = "the subject was first seen at another site; subjects and sites stay whole"
    removed = {
        "site not known": ("no hospital is on record", ~on_record),
        "another site": (reason, on_record & ~included),
    }
    return cohort.only(included, removed), site[included]


def _by_time(cohort: Cohort, settings: RunSettings) -> Division:
    """Assign subjects to the period of their first prediction; later predictions elsewhere go."""
    # Sorted by subject, then time, as ``at_first`` needs it.
    subject = cohort.subject_id.astype(np.str_)
    time = cohort.labels["prediction_time"].to_numpy()
    part = periods(subject, time, settings.fractions)
    included = at_first(subject, part)
    reason = "the subject was first seen in an earlier period; subjects and periods stay whole"
    cohort = cohort.only(included, {"a later period": (reason, ~included)})
    split = divided_by_time(
        label=cohort.label,
        subject=subject[included],
        time=time[included],
        part=part[included],
        seed=settings.seed_of_split,
        fractions=settings.fractions,
    )
    return Division(cohort, split, part[included])
