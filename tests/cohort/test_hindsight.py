from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sequela.cohort.events import Events
from sequela.cohort.labels import write_labels
from sequela.cohort.selection import cohort_of_labels, select_cohort
from sequela.cohort.tasks import in_hospital, post_discharge, task_named

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
    assert "4 of 5 examples see 4 billing codes of a stay" in cohort.leaks[0].what


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
    assert "stand after the death is on record" in leaking.leaks[0].what
    write_labels(leaking.labels, tmp_path / "labels.parquet")
    from_file = cohort_of_labels(events, tmp_path / "labels.parquet")
    assert [leak.what for leak in from_file.leaks] == [leak.what for leak in leaking.leaks]
