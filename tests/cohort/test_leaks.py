from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sequela.cohort.events import Events
from sequela.cohort.labels import write_labels
from sequela.cohort.selection import cohort_of_labels, select_cohort
from sequela.cohort.tasks import in_hospital, post_discharge, task_named
from sequela.sources.codes import FAMILIES
from sequela.sources.declarations import PLACEHOLDER
from sequela.sources.hospitals import hospitals, source_of

Row = tuple[Any, ...]
Rows = Callable[[], list[Row]]
Make = Callable[..., Events]


def planted(rows: list[Row]) -> list[Row]:
    """The discharge codes of each stay once more, at its admission."""
    admitted = {row[3]: row[1] for row in rows if row[2].startswith("HOSPITAL_ADMISSION")}
    codes = [row for row in rows if row[2].startswith("ICD9CM")]
    return rows + [(row[0], admitted[row[3]], row[2], row[3]) for row in codes]


@pytest.mark.parametrize("visits", [True, False])
def test_planted_discharge_codes_are_found(rows: Rows, make_events: Make, *, visits: bool) -> None:
    cohort = select_cohort(make_events(planted(rows()), visits=visits), in_hospital())
    assert len(cohort.leaks) == 1
    assert "4 of 5 examples see 4 codes of a stay" in cohort.leaks[0].what


# Under each name that a source here or another writer of MEDS data gives them.
CODED_LATER = [
    *("ICD9CM//4280", "ICD10CM//I509", "ICD9PROC//3961", "ICD10PCS//02100Z9"),
    *("CPT//99291", "HCPCS//C1769", "DRG//HCFA//127"),
    *("DIAGNOSIS//ICD//9//4280", "DIAGNOSIS//ICD//10//I509"),
    *("PROCEDURE//ICD//9//3961", "PROCEDURE//ICD//10//02100Z9"),
    *("ICD9CM/428.0", "ICD10CM/I50.9", "ICD9Proc/39.61", "ICD10PCS/02100Z9"),
    *("CPT4/99291", "HCPCS/C1769", "HCFA/127", "APR/194"),
]


@pytest.mark.parametrize("code", CODED_LATER)
def test_every_family_coded_later_is_found_an_hour_after_admission(
    code: str, rows: Rows, make_events: Make
) -> None:
    early = (2, "2020-02-01 11:00", code, 22)
    (leak,) = select_cohort(make_events([*rows(), early]), in_hospital()).leaks
    assert leak.check == "codes from the future"
    assert "1 of 5 examples see 1 codes of a stay" in leak.what


def test_what_is_planted_is_every_family_that_a_source_declares_and_every_alias() -> None:
    declared = {
        PLACEHOLDER.split(fact.code)[0]
        for name in hospitals()
        for table in source_of(name).tables
        for fact in table.facts
        if "after discharge" in fact.why and "coders" in fact.why
    }
    assert declared == {f"{family.name}//" for family in FAMILIES if family.coded_later}
    names = [name for f in FAMILIES if f.coded_later for name in (f.name, *f.aliases)]
    assert [name for name in names if not any(c.startswith(name) for c in CODED_LATER)] == []


def test_codes_that_no_model_sees_do_not_leak(rows: Rows, make_events: Make) -> None:
    task = task_named("in-hospital", inputs=("LAB",))
    assert select_cohort(make_events(planted(rows())), task).leaks == ()


@pytest.mark.parametrize("task", [in_hospital(0), in_hospital(), post_discharge()])
def test_honest_tasks_do_not_leak(rows: Rows, make_events: Make, task: Any) -> None:
    assert select_cohort(make_events(rows()), task).leaks == ()


def test_labels_after_the_death_are_found(tmp_path: Path, rows: Rows, make_events: Make) -> None:
    events = make_events(rows())
    task = task_named("in-hospital", trigger="discharge", hours=0, exclude=("blank-status",))
    leaking = select_cohort(events, task)
    assert "positive labels are after the death is on record" in leaking.leaks[0].what
    write_labels(leaking.labels, tmp_path / "labels.parquet")
    from_file = cohort_of_labels(events, tmp_path / "labels.parquet")
    assert [leak.what for leak in from_file.leaks] == [leak.what for leak in leaking.leaks]
