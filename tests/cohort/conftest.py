"""A small hospital in which each rule has somebody."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sequela.cohort.events import Events, open_events

Row = tuple[Any, ...]


def stay(
    subject: int,
    visit: int,
    admitted: str,
    discharged: str | None,
    outcome: str | None,
    *codes: str,
) -> list[Row]:
    """The events of one stay; its codes are in the vocabulary at discharge."""
    rows: list[Row] = [(subject, admitted, "HOSPITAL_ADMISSION//EMERGENCY", visit)]
    if discharged:
        rows.append((subject, discharged, "HOSPITAL_DISCHARGE//HOME", visit))
        rows += [(subject, discharged, code, visit) for code in codes]
        if outcome:
            rows.append((subject, discharged, f"HOSPITAL_OUTCOME//{outcome}", visit))
    return rows


def born(subject: int, year: int = 1950) -> list[Row]:
    return [(subject, f"{year}-01-01", "MEDS_BIRTH"), (subject, None, "GENDER//F")]


def hospital() -> list[Row]:
    """Subjects 1 to 9: two plain ones, and one for each rule of ``in-hospital``."""
    return [
        # 1 lives through two stays.
        *born(1),
        *stay(1, 11, "2020-01-01 10:00", "2020-01-04 10:00", "alive", "ICD9CM//4280"),
        *stay(1, 12, "2020-03-01 10:00", "2020-03-09 10:00", "alive", "ICD9CM//0389"),
        # 2 dies in the second stay.
        *born(2),
        *stay(2, 21, "2020-01-01 10:00", "2020-01-03 10:00", "alive", "ICD9CM//25000"),
        *stay(2, 22, "2020-02-01 10:00", "2020-02-05 12:00", "expired", "ICD9CM//4275"),
        (2, "2020-02-05 12:00", "MEDS_DEATH"),
        # 3 is a minor.
        *born(3, 2005),
        *stay(3, 31, "2020-01-01 10:00", "2020-01-09 10:00", "alive"),
        # 4 dies and is admitted again as a donor of organs.
        *born(4),
        *stay(4, 41, "2020-01-01 10:00", "2020-01-05 10:00", "expired"),
        (4, "2020-01-05 10:00", "MEDS_DEATH"),
        *stay(4, 42, "2020-01-05 11:00", "2020-01-07 11:00", "expired"),
        (4, "2020-01-05 11:00", "ADMISSION_DX//BRAIN DEATH;ORGAN DONOR", 42),
        # 5 is discharged before the admission.
        *born(5),
        *stay(5, 51, "2020-01-05 10:00", "2020-01-01 10:00", "alive"),
        # 6 dies before the admission.
        *born(6),
        (6, "2020-01-01", "MEDS_DEATH"),
        *stay(6, 61, "2020-01-05 10:00", "2020-01-09 10:00", "expired"),
        # 7 stays for exactly a day: at the hour of prediction the discharge is known.
        *born(7),
        *stay(7, 71, "2020-01-01 10:00", "2020-01-02 10:00", "alive"),
        # 8 has a blank status.
        *born(8),
        *stay(8, 81, "2020-01-01 10:00", "2020-01-09 10:00", None),
        # 9 dies on the second day, before the day of prediction is over.
        *born(9),
        *stay(9, 91, "2020-01-01 10:00", "2020-01-02 18:00", "expired"),
        (9, "2020-01-02 08:00", "MEDS_DEATH"),
    ]


@pytest.fixture(scope="session")
def rows() -> Callable[[], list[Row]]:
    return hospital


@pytest.fixture(scope="session")
def one_stay() -> Callable[..., list[Row]]:
    return stay


@pytest.fixture
def make_events(tmp_path: Path, write_meds: Callable[..., Path]) -> Callable[..., Events]:
    def make(rows: list[Row], **options: Any) -> Events:
        return open_events(write_meds(tmp_path / "meds", rows, **options))

    return make
