"""How a stay ended, in data that never say it, and labels against a slow reference."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sequela.cohort.events import Events, open_events
from sequela.cohort.selection import select_cohort
from sequela.cohort.stays import create_stays
from sequela.cohort.tasks import in_hospital
from sequela.errors import DataError

Row = tuple[Any, ...]
Make = Callable[..., Events]


def stays_of(events: Events) -> list[tuple[Any, ...]]:
    with events.connect() as connection:
        create_stays(connection)
        return connection.execute(
            "SELECT strftime(admitted, '%d'), strftime(discharged, '%d'), expired "
            "FROM stays ORDER BY admitted"
        ).fetchall()


ADMITTED, LEFT = "HOSPITAL_ADMISSION//A", "HOSPITAL_DISCHARGE//HOME"
ALIVE, EXPIRED, DEAD = "HOSPITAL_OUTCOME//alive", "HOSPITAL_OUTCOME//expired", "MEDS_DEATH"
ENDS: dict[str, tuple[list[tuple[str, str]], list[tuple[Any, ...]]]] = {
    "without outcomes a death before discharge tells": (
        [("01", ADMITTED), ("05", LEFT), ("10", ADMITTED), ("15", LEFT), ("15", DEAD)],
        [("01", "05", False), ("10", "15", True)],
    ),
    "without outcomes an open stay ends with a death or nobody knows": (
        [("01", ADMITTED), ("10", ADMITTED), ("15", DEAD)],
        [("01", None, None), ("10", None, True)],
    ),
    "where outcomes are said a blank stays blank, and two are none": (
        [
            *[("01", ADMITTED), ("05", LEFT), ("05", ALIVE)],
            *[("10", ADMITTED), ("15", LEFT), ("15", DEAD)],
            *[("20", ADMITTED), ("25", LEFT), ("25", ALIVE), ("25", EXPIRED)],
        ],
        [("01", "05", False), ("10", "15", None), ("20", "25", None)],
    ),
    "a transfer at one moment": (
        [
            *[("01", ADMITTED), ("05", LEFT), ("05", ALIVE)],
            *[("05", ADMITTED), ("09", LEFT), ("09", EXPIRED)],
        ],
        [("01", "05", False), ("05", "09", True)],
    ),
}


@pytest.mark.parametrize("case", ENDS)
def test_how_a_stay_ended(make_events: Make, case: str) -> None:
    days, stays = ENDS[case]
    assert stays_of(make_events([(1, f"2020-01-{day}", code) for day, code in days])) == stays


HOUR = timedelta(hours=1)
DAY_0 = datetime(2020, 1, 1)
Drawn = tuple[int, int, str]  # hours to the admission, hours in hospital, how it ended

drawn_stays = st.lists(
    st.tuples(
        st.integers(1, 60), st.integers(0, 60), st.sampled_from(["alive", "expired", "blank"])
    ),
    max_size=4,
)


def rows_of(subject: int, stays: list[Drawn]) -> list[Row]:
    """Stays one after another, each event in hours after the one before."""
    rows: list[Row] = []
    now = DAY_0
    for number, (wait, hours, outcome) in enumerate(stays):
        admitted = now + wait * HOUR
        now = admitted + hours * HOUR
        visit = subject * 10 + number
        rows.append((subject, str(admitted), "HOSPITAL_ADMISSION//A", visit))
        rows.append((subject, str(now), "HOSPITAL_DISCHARGE//B", visit))
        if outcome != "blank":
            rows.append((subject, str(now), f"HOSPITAL_OUTCOME//{outcome}", visit))
    return rows


def plain_labels(people: list[list[Drawn]], hours: int) -> list[tuple[int, datetime, bool]]:
    labels = []
    for subject, stays in enumerate(people):
        now = DAY_0
        for wait, stayed, outcome in stays:
            now += wait * HOUR
            if outcome != "blank" and stayed > hours:
                labels.append((subject, now + hours * HOUR, outcome == "expired"))
            now += stayed * HOUR
    return labels


@given(people=st.lists(drawn_stays, min_size=5, max_size=20), hours=st.integers(0, 30))
@settings(max_examples=6, deadline=None)
def test_in_hospital_labels_are_those_of_a_plain_loop(
    write_meds: Callable[..., Path], people: list[list[Drawn]], hours: int
) -> None:
    rows = [row for subject, stays in enumerate(people) for row in rows_of(subject, stays)]
    expected = plain_labels(people, hours)
    with TemporaryDirectory() as folder:
        events = open_events(write_meds(Path(folder), rows))
        if len({label for *_, label in expected}) < 2:
            with pytest.raises(DataError):
                select_cohort(events, in_hospital(hours))
            return
        labels = select_cohort(events, in_hospital(hours)).labels.to_pylist()
    assert [tuple(row.values()) for row in labels] == expected
