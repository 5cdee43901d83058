"""How a stay ended, in data that never say it."""

from collections.abc import Callable
from typing import Any

import pytest

from sequela.cohort.events import Events
from sequela.cohort.stays import create_stays

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
