"""When examples end, and by what, from the tables and from label files."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sequela.cohort.cohort_settings import task_of_settings
from sequela.cohort.events import Events
from sequela.cohort.selection import Cohort, select_cohort
from sequela.cohort.task_files import declared_task, read_task
from sequela.cohort.tasks import Task, icu_transfer, in_hospital, landmark, readmission, timed
from sequela.config import CohortSettings
from sequela.errors import DataError, SettingError

Make = Callable[..., Events]
Row = tuple[Any, ...]
DAYS = (10.0, 100.0)
ALMOST = 1 - 1e-6 / 86400
"""A date without a time counts at the end of its day."""


def ends(cohort: Cohort) -> dict[int, tuple[float, int]]:
    """The days and the event of each subject with one example."""
    rows = cohort.labels.to_pylist()
    assert all(r["boolean_value"] == (r["event"] == 1 and r["time"] <= DAYS[-1]) for r in rows)
    return {row["subject_id"]: (round(row["time"], 6), row["event"]) for row in rows}


def people(*lasts: str) -> list[Row]:
    """Subjects from 1 on, who enter on the same day; what each ends with: ``date CODE``."""
    rows: list[Row] = []
    for subject, last in enumerate(lasts, 1):
        rows += [(subject, "2020-01-01", "COHORT_ENTRY"), (subject, "2020-01-01", "ICD10CM//I50")]
        rows += [(subject, *each.rsplit(" ", 1)) for each in last.split(", ") if each]
    return rows


def test_deaths_and_ends_of_follow_up(make_events: Make) -> None:
    rows = people(
        "2020-01-05 MEDS_DEATH",
        "2020-01-05 FOLLOW_UP_END",
        "2020-01-05 FOLLOW_UP_END, 2020-01-05 MEDS_DEATH",  # on one day: the death was seen
        "2020-01-05 FOLLOW_UP_END, 2020-01-09 MEDS_DEATH",  # not seen
        "2021-01-05 MEDS_DEATH",  # beyond the last horizon
        "2021-01-05 FOLLOW_UP_END",
        "2020-01-01 FOLLOW_UP_END",  # left out
        "2020-01-11 MEDS_DEATH",
    )
    cohort = select_cohort(make_events(rows), timed(landmark(0), DAYS))
    almost = round(4 + ALMOST, 6)
    assert ends(cohort) == {
        1: (almost, 1),
        2: (4, 0),
        3: (almost, 1),
        4: (4, 0),
        5: (round(370 + ALMOST, 6), 1),
        6: (370, 0),
        8: (round(10 + ALMOST, 6), 1),
    }
    assert cohort.task.classes[1:] == ("died by day 10", "died from day 10 to 100")
    assert [step.rule for step in cohort.flow.steps if step.removed] == ["follow-up-ended"]
    notes = " ".join(cohort.flow.notes)
    assert "3 examples had the event by day 100" in notes
    assert "2 examples were followed for less than 100 days" in notes


def test_without_ends_of_follow_up_everybody_is_followed_to_the_last_horizon(
    make_events: Make,
) -> None:
    rows = people("2020-01-05 MEDS_DEATH", "2020-03-01 ICD10CM//I50", "")
    cohort = select_cohort(make_events(rows), timed(landmark(0), DAYS))
    assert ends(cohort) == {1: (round(4 + ALMOST, 6), 1), 2: (100, 0), 3: (100, 0)}
    assert "subjects without a death on record count as alive" in " ".join(cohort.flow.notes)


def test_a_horizon_beyond_all_follow_up_is_refused(make_events: Make) -> None:
    rows = people("2020-01-05 MEDS_DEATH", "2020-01-09 FOLLOW_UP_END")
    with pytest.raises(DataError, match="nobody was followed until day 100"):
        select_cohort(make_events(rows), timed(landmark(0), DAYS))


def test_a_stay_ends_by_death_or_alive(
    make_events: Make, rows: Callable[[], list[Row]], one_stay: Callable[..., list[Row]]
) -> None:
    more = [
        *one_stay(20, 201, "2020-01-01 10:00", "2020-01-06 10:00", "expired"),
        *one_stay(21, 211, "2020-01-01 10:00", "2020-09-01 10:00", "alive"),
        *one_stay(22, 221, "2020-01-01 10:00", "2020-01-06 10:00", "expired"),
        (22, "2020-01-05 10:00", "MEDS_DEATH"),
    ]
    cohort = select_cohort(make_events([*rows(), *more]), timed(in_hospital(24), (3, 100)))
    found = {
        (row["subject_id"], row["prediction_time"].month): (row["time"], row["event"])
        for row in cohort.labels.to_pylist()
    }
    assert found == {
        (1, 1): (2, 2),
        (1, 3): (7, 2),
        (2, 1): (1, 2),
        (2, 2): (pytest.approx(3 + 2 / 24), 1),
        (4, 1): (3, 1),
        (20, 1): (4, 1),
        (21, 1): (100, 0),
        (22, 1): (3, 1),
    }
    assert cohort.task.classes[-1] == "discharged alive from day 3 to 100"
    assert "3 examples had the competing event “discharged alive” by then" in " ".join(
        cohort.flow.notes
    )


def test_follow_up_that_ended_before_the_prediction_counts_for_no_time(
    make_events: Make, one_stay: Callable[..., list[Row]]
) -> None:
    rows = [
        *one_stay(1, 11, "2020-01-01 10:00", "2020-01-06 10:00", "expired"),
        *one_stay(2, 21, "2020-01-01 10:00", "2020-01-09 10:00", "alive"),
        *one_stay(3, 31, "2020-01-03 10:00", "2020-01-09 10:00", "alive"),
        (3, "2020-01-01 10:00", "FOLLOW_UP_END"),
    ]
    cohort = select_cohort(make_events(rows), timed(in_hospital(24), (3, 7)))
    assert ends(cohort) == {1: (4, 1), 2: (7, 2), 3: (0, 0)}


def test_death_rivals_a_readmission(make_events: Make, one_stay: Callable[..., list[Row]]) -> None:
    def twice(subject: int, *again: str) -> list[Row]:
        found = one_stay(subject, 10 * subject, "2020-01-01 10:00", "2020-01-06 10:00", "alive")
        for day in again:
            found += one_stay(subject, 10 * subject + 1, day, None, None)
        return [*found, (subject, "2021-01-01", "FOLLOW_UP_END")]

    rows = [*twice(1, "2020-01-16 10:00"), *twice(2), *twice(3)]
    rows.append((2, "2020-01-11 10:00", "MEDS_DEATH"))
    found = ends(select_cohort(make_events(rows), timed(readmission(), DAYS)))
    assert found == {1: (10, 1), 2: (5, 2), 3: (pytest.approx(360.583333), 0)}


def test_leaving_rivals_a_transfer(make_events: Make, one_stay: Callable[..., list[Row]]) -> None:
    rows = [
        *one_stay(1, 10, "2020-01-01 10:00", "2020-01-09 10:00", "alive"),
        (1, "2020-01-04 10:00", "ICU_ADMISSION//MICU", 10),
        *one_stay(2, 20, "2020-01-01 10:00", "2020-01-06 10:00", "alive"),
    ]
    assert ends(select_cohort(make_events(rows), timed(icu_transfer(), DAYS))) == {
        1: (2, 1),
        2: (4, 2),
    }


DECLARED = """
name = "stroke"
trigger = "entry"
horizons_days = [10, 100]
[outcome]
one = "stroke"
codes = ["ICD10CM//I63*"]
"""


def test_a_declared_task_of_codes(tmp_path: Path, make_events: Make) -> None:
    (tmp_path / "task.toml").write_text(DECLARED, "utf-8")
    task = declared_task(*read_task(tmp_path / "task.toml"))
    rows = people(
        "2020-01-05 ICD10CM//I63.9, 2020-01-09 MEDS_DEATH",
        "2020-01-05 12:00 MEDS_DEATH",
        "2021-01-01 FOLLOW_UP_END",
        "2020-01-01 ICD10CM//I63.9",  # on record
        "2020-01-09 MEDS_DEATH, 2020-01-10 ICD10CM//I63.9",  # after the death
    )
    cohort = select_cohort(make_events(rows), task)
    almost = round(8 + ALMOST, 6)
    assert ends(cohort) == {1: (4, 1), 2: (4.5, 2), 3: (366, 0), 5: (almost, 2)}
    assert cohort.task.classes[0] == "no stroke beyond day 100"
    assert "“died without it”" in task.describe()
    assert Task.from_dict(task.to_dict()) == task


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("horizons_days = []", "horizons_days"),
        ("horizons_days = [100, 10]", "expected days above 0 that rise"),
        ("horizons_days = [10]\nhorizon_days = 10", "do not go together"),
    ],
)
def test_a_wrong_declaration(tmp_path: Path, change: str, message: str) -> None:
    text = DECLARED.replace("horizons_days = [10, 100]", change)
    (tmp_path / "task.toml").write_text(text, "utf-8")
    with pytest.raises(DataError, match=message):
        read_task(tmp_path / "task.toml")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"task": "length-of-stay-7d"}, "whose time is not known"),
        ({"task": "report-2019"}, "whose time is not known"),
        ({"horizons_days": (10.0, 10.0)}, "expected days above 0 that rise"),
        ({"horizons_days": (30.0, 10.0)}, "expected days above 0 that rise"),
        ({"horizons_days": (0.0, 10.0)}, "expected days above 0 that rise"),
        ({"hindsight": True}, "--hindsight and --horizons do not go together"),
        ({"task": "post-discharge", "horizon_days": 30.0}, "--days and --horizons do not go"),
        ({"labels": "labels.parquet"}, "the labels of a file have no times"),
    ],
)
def test_tasks_without_times(settings: dict[str, Any], message: str) -> None:
    asked = CohortSettings(**{"task": "in-hospital", "horizons_days": DAYS} | settings)
    with pytest.raises(SettingError, match=message):
        task_of_settings(asked)
