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


def test_without_outcomes_a_death_before_discharge_tells(make_events: Make) -> None:
    rows = [
        (1, "2020-01-01", "HOSPITAL_ADMISSION//A"),
        (1, "2020-01-05", "HOSPITAL_DISCHARGE//HOME"),
        (1, "2020-01-10", "HOSPITAL_ADMISSION//A"),
        (1, "2020-01-15", "HOSPITAL_DISCHARGE//DIED"),
        (1, "2020-01-15", "MEDS_DEATH"),
    ]
    assert stays_of(make_events(rows)) == [("01", "05", False), ("10", "15", True)]


def test_without_outcomes_an_open_stay_ends_with_a_death_or_nobody_knows(
    make_events: Make,
) -> None:
    rows = [
        (1, "2020-01-01", "HOSPITAL_ADMISSION//A"),
        (1, "2020-01-10", "HOSPITAL_ADMISSION//A"),
        (1, "2020-01-15", "MEDS_DEATH"),
    ]
    assert stays_of(make_events(rows)) == [("01", None, None), ("10", None, True)]


def test_where_outcomes_are_said_a_blank_stays_blank(make_events: Make) -> None:
    rows = [
        (1, "2020-01-01", "HOSPITAL_ADMISSION//A"),
        (1, "2020-01-05", "HOSPITAL_DISCHARGE//HOME"),
        (1, "2020-01-05", "HOSPITAL_OUTCOME//alive"),
        (1, "2020-01-10", "HOSPITAL_ADMISSION//A"),
        (1, "2020-01-15", "HOSPITAL_DISCHARGE//HOME"),
        (1, "2020-01-15", "MEDS_DEATH"),
        (1, "2020-01-20", "HOSPITAL_ADMISSION//A"),
        (1, "2020-01-25", "HOSPITAL_DISCHARGE//HOME"),
        (1, "2020-01-25", "HOSPITAL_OUTCOME//alive"),
        (1, "2020-01-25", "HOSPITAL_OUTCOME//expired"),
    ]
    found = [("01", "05", False), ("10", "15", None), ("20", "25", None)]
    assert stays_of(make_events(rows)) == found


def test_a_transfer_at_one_moment(make_events: Make) -> None:
    rows = [
        (1, "2020-01-01", "HOSPITAL_ADMISSION//A"),
        (1, "2020-01-05", "HOSPITAL_DISCHARGE//TRANSFER"),
        (1, "2020-01-05", "HOSPITAL_OUTCOME//alive"),
        (1, "2020-01-05", "HOSPITAL_ADMISSION//A"),
        (1, "2020-01-09", "HOSPITAL_DISCHARGE//DEAD"),
        (1, "2020-01-09", "HOSPITAL_OUTCOME//expired"),
    ]
    assert stays_of(make_events(rows)) == [("01", "05", False), ("05", "09", True)]


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


@given(people=st.lists(drawn_stays, min_size=1, max_size=4), hours=st.integers(0, 30))
@settings(max_examples=25, deadline=None)
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
