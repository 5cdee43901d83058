"""Whom a model is asked about where nobody knows yet what came true."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sequela.cohort.events import Events
from sequela.cohort.outcomes import Outcome
from sequela.cohort.selection import select_cohort
from sequela.cohort.tasks import in_hospital, post_discharge
from sequela.cohort.unlabelled import ask_without_labels
from sequela.errors import DataError, SettingError

Row = tuple[Any, ...]
Made = Callable[..., Events]


def ids(cohort: Any) -> set[str]:
    return set(cohort.example_id.tolist())


def test_the_same_are_asked_and_those_without_a_status_too(
    make_events: Made, rows: Callable[[], list[Row]]
) -> None:
    events = make_events(rows())
    found = ask_without_labels(events, in_hospital())
    labelled = select_cohort(events, in_hospital())
    assert ids(found.cohort) - ids(labelled) == {"8 at 2020-01-02T10:00:00"}  # a blank status
    assert ids(labelled) <= ids(found.cohort)
    left = {(each.subject_id, each.reason) for each in found.left_out}
    assert (3, "younger than 18 years") in left
    assert (7, "discharged or dead by the time of prediction") in left
    assert len(found.left_out) + len(found.cohort.labels) == labelled.flow.candidates


def test_outcomes_decide_nothing(make_events: Made, rows: Callable[[], list[Row]]) -> None:
    """Without any outcome, death or discharge, all who were asked still are."""
    known = ids(select_cohort(make_events(rows()), in_hospital()))
    ends = ("HOSPITAL_OUTCOME", "HOSPITAL_DISCHARGE", "MEDS_DEATH")
    events = make_events([row for row in rows() if not row[2].startswith(ends)])
    found = ask_without_labels(events, in_hospital())
    assert known < ids(found.cohort)
    assert not found.cohort.label.any()
    (note,) = found.notes
    assert note.startswith("5 of 10 examples have no event on record after the time")


def test_who_was_lost_is_asked_too(make_events: Made, one_stay: Callable[..., list[Row]]) -> None:
    rows = [
        *one_stay(1, 11, "2020-01-01 10:00", "2020-01-04 10:00", "alive", "ICD9CM//4280"),
        (1, "2020-02-01", "FOLLOW_UP_END"),  # long before the horizon
        *one_stay(2, 21, "2020-01-01 10:00", "2020-01-04 10:00", "expired"),
    ]
    found = ask_without_labels(make_events(rows), post_discharge())
    assert ids(found.cohort) == {"1 at 2020-01-04T10:00:00"}
    assert [(each.subject_id, each.reason) for each in found.left_out] == [(2, "died in this stay")]


def test_nobody_is_refused(
    make_events: Made, one_stay: Callable[..., list[Row]], tmp_path: Path
) -> None:
    events = make_events(one_stay(1, 11, "2020-01-01 10:00", None, None))
    with pytest.raises(DataError, match=r"1 left out \(the time of the trigger is not known"):
        ask_without_labels(events, post_discharge())
    with pytest.raises(SettingError, match="leave --times out"):
        ask_without_labels(events, in_hospital(), tmp_path / "times.parquet")


def test_an_outcome_of_events_need_not_occur(
    make_events: Made, rows: Callable[[], list[Row]]
) -> None:
    sepsis = Outcome(
        "sepsis", "sepsis", "sepses", ("no sepsis", "sepsis"), events=("SEPSIS",), of="stays"
    )
    events, task = make_events(rows()), replace(in_hospital(), name="own", outcome=sepsis)
    with pytest.raises(DataError, match="no event has a code of the outcome"):
        select_cohort(events, task)
    assert len(ask_without_labels(events, task).cohort.labels) == 6
