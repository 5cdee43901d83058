"""OMOP: times that are changed one by one, next to a second reader of the rules of docs/omop.md.

Each file stays well-formed. Times of day, days, deaths, births, visits and operators change; the
events of the build are compared, with their times.
"""

import csv
import io
import tempfile
from collections import Counter
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fuzz.damage import Case, Files, examples
from tests.tables.conftest import written

from sequela.tables.build import build
from sequela.tables.hospitals import source_of

PEOPLE = 40
DAY = timedelta(days=1)
LIMITS = {"4171756": "//<", "4171754": "//<=", "4172704": "//>", "4171755": "//>="}
MOST_ASIDE = {"measurement": 0.05, "visit_occurrence": 0.05, "death": 0.05}
KEPT = ("OMOP//", "MEDS_DEATH", "HOSPITAL_ADM", "HOSPITAL_DIS")
Rows = list[dict[str, str]]


@cache
def database() -> Files:
    names = ("person", "visit_occurrence", "measurement")
    tables: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    persons, visits, measurements = tables.values()
    for p in range(1, PEOPLE + 1):
        day = f"2020-{p % 12 + 1:02d}-{p % 27 + 1:02d}"
        persons.append({"person_id": p, "gender_concept_id": 8507, "year_of_birth": 1940 + p})
        visits.append(
            {"visit_occurrence_id": p, "person_id": p, "visit_concept_id": 9201,
             "visit_start_date": day, "visit_start_datetime": f"{day} 08:00:00",
             "visit_end_date": "2021-02-01", "visit_end_datetime": "2021-02-01 10:00:00"}
        )  # fmt: skip
        for m, clock in enumerate(("00:00:00", "09:30:00", "23:15:10")):
            measurements.append(
                {"measurement_id": 10 * p + m, "person_id": p, "measurement_concept_id": 300 + m,
                 "measurement_date": day, "measurement_datetime": f"{day} {clock}",
                 "measurement_type_concept_id": (32817, 32821, 0)[m], "visit_occurrence_id": p,
                 "value_as_number": m + 0.5, "operator_concept_id": ""}
            )  # fmt: skip
    deaths = [
        {"person_id": p, "death_date": "2021-02-01", "death_datetime": ""} for p in range(1, 25)
    ]
    with tempfile.TemporaryDirectory() as name:
        root = written(Path(name), {**tables, "death": deaths})
        return {path.name: path.read_bytes() for path in root.iterdir()}


def rows_of(content: bytes) -> Rows:
    return list(csv.DictReader(io.StringIO(content.decode())))


@st.composite
def changed(draw: st.DrawFn, content: bytes) -> bytes:
    """Change the times of a row, or another of its cells, once or twice; or all times of day."""
    rows = rows_of(content)
    names = [name for name in rows[0] if name.endswith("_datetime")]
    if names and draw(st.integers(0, 12)) == 0:
        for row in rows:
            row.update({name: row[name][:10] + " 00:00:00" for name in names if row[name]})
    else:
        for _ in range(draw(st.integers(1, 2))):
            row = draw(st.sampled_from(rows))
            change_of_time = draw(st.sampled_from(("clock", "day", "cell"))) if names else "cell"
            if change_of_time == "cell":
                rows += change_cell(draw, row)
            else:
                change_time(draw, row, draw(st.sampled_from(names)), change_of_time)
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode()


def change_time(draw: st.DrawFn, row: dict[str, str], name: str, kind: str) -> None:
    date = name.removesuffix("time")
    if kind == "clock" and row[name]:
        clocks = ("00:00:00", "00:00:01", "23:59:59", "12:34:56", "00:00:00.000001")
        row[name] = draw(st.sampled_from(["", *(f"{row[name][:10]} {clock}" for clock in clocks)]))
    elif kind == "day":
        days = draw(st.sampled_from((-400, -61, -2, -1, 1, 2, 59, 60, 61, 400)))
        day = (datetime.fromisoformat(row[date]) + timedelta(days=days)).date()
        where = draw(st.sampled_from(("date", "time", "both")))
        if where != "time":
            row[date] = str(day)
        if where != "date":
            row[name] = f"{day} {draw(st.sampled_from(('00:00:00', '07:07:07')))}"


def change_cell(draw: st.DrawFn, row: dict[str, str]) -> Rows:
    """Return a second death, or change an operator, a birth or the end of a visit."""
    if "death_date" in row:
        days = ("2021-02-01", "2021-03-01", "1930-01-01")
        return [{**row, "death_date": draw(st.sampled_from(days))}]
    if "operator_concept_id" in row:
        row["operator_concept_id"] = draw(st.sampled_from((*LIMITS, "4172703", "0")))
    elif "year_of_birth" in row:
        row["year_of_birth"] = draw(st.sampled_from(("1900", "2021", "2022")))
    else:
        ends = ("", "2019-01-01 00:00:00", "2021-02-01 00:00:00")
        row["visit_end_datetime"] = draw(st.sampled_from(ends))
    return []


def read(folder: Path) -> Any:
    with tempfile.TemporaryDirectory() as work:
        out = Path(work) / "events"
        build(source_of("omop"), folder, out)
        rows = ds.dataset(out / "data").to_table().to_pylist()
        events = (f"{row['subject_id']} {row['code']} {row['time']}" for row in rows)
        counts = Counter(event for event in events if event.split()[1].startswith(KEPT))
        return dict(sorted(counts.items()))


def time_of(row: dict[str, str], name: str, *, late: bool = True) -> datetime | None:
    """Return the time of a row; ``None`` if date and datetime are more than a day apart."""
    day = datetime.fromisoformat(row[f"{name}_date"])
    if row[f"{name}_datetime"]:
        time = datetime.fromisoformat(row[f"{name}_datetime"])
        if not day - DAY <= time < day + 2 * DAY:
            return None
        if time != time.replace(hour=0, minute=0, second=0, microsecond=0):
            return time
    return day + DAY - timedelta(seconds=1) if late else day


def second_events(files: Files) -> Any:
    tables = {Path(name).stem: rows_of(content) for name, content in files.items()}
    years = {row["person_id"]: int(row["year_of_birth"]) for row in tables["person"]}
    aside: Counter[str] = Counter()
    events: set[str] = set()
    deaths: dict[str, datetime] = {}
    times = [(row["person_id"], time_of(row, "death")) for row in tables["death"]]
    for person, time in times:
        if time and time >= datetime(years[person], 1, 1):
            deaths[person] = min(time, deaths.get(person, time))
    for person, time in times:
        if time != deaths.get(person) or time is None:
            aside["death"] += 1
        else:
            events.add(f"{person} MEDS_DEATH {time}")

    def long_dead(person: str, time: datetime) -> bool:
        return person in deaths and time >= deaths[person] + timedelta(days=60)

    ends: dict[str, datetime | None] = {}
    for row in tables["visit_occurrence"]:
        person = row["person_id"]
        start = time_of(row, "visit_start", late=False)
        end = time_of(row, "visit_end")
        apart = start is None or end is None
        if start and end and end < start:
            aside["reversed"] += 1
            end = None
        ends[row["visit_occurrence_id"]] = end
        if start is None or apart or long_dead(person, start):
            aside["visit_occurrence"] += 1
            continue
        events.add(f"{person} HOSPITAL_ADMISSION//9201 {start}")
        if end:
            events.add(f"{person} HOSPITAL_DISCHARGE//UNKNOWN {end}")
    for row in tables["measurement"]:
        measured, end = time_of(row, "measurement"), ends[row["visit_occurrence_id"]]
        billed = row["measurement_type_concept_id"] == "32821"
        if measured is None or long_dead(row["person_id"], measured) or (billed and end is None):
            aside["measurement"] += 1
            continue
        known = max(measured, end) if billed and end else measured
        limit = LIMITS.get(row["operator_concept_id"], "")
        code = f"OMOP//{row['measurement_concept_id']}//UNKNOWN{limit}"
        events.add(f"{row['person_id']} {code} {known}")
    if any(aside[name] > share * len(tables[name]) for name, share in MOST_ASIDE.items()):
        return None
    if aside["reversed"] > 0.005 * len(tables["visit_occurrence"]):
        return None
    return dict.fromkeys(sorted(events), 1)


CASE = Case(database, read, changed, second_events)


@pytest.mark.slow
@examples(12)
@given(data=st.data())
def test_changed_times(data: st.DataObject) -> None:
    CASE.check(data)
