"""OMOP: times and dates that are changed one by one, beside a second reading of the rules of docs.

Each file stays well-formed. What changes are times of day, days, deaths, births, visits and
operators; the values that are compared are the events of the build, with their times.
"""

import csv
import io
import tempfile
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pyarrow.dataset as ds

from fuzz.parser import Files, Mutator, Parser, Seed
from fuzz.parsers.tables import Rows, csv_of
from sequela.tables.build import build
from sequela.tables.hospitals import source_of

PEOPLE = 40
_DAY = timedelta(days=1)
_LIMITS = {"4171756": "//<", "4171754": "//<=", "4172704": "//>", "4171755": "//>="}
_ASIDE = {"measurement": 0.05, "visit_occurrence": 0.05, "death": 0.05}


def _seed() -> Files:
    tables: dict[str, Rows] = {name: [] for name in ("person", "visit_occurrence", "measurement")}
    for p in range(1, PEOPLE + 1):
        tables["person"].append(
            {"person_id": str(p), "gender_concept_id": "8507", "year_of_birth": str(1940 + p)}
        )
        day = f"2020-{p % 12 + 1:02d}-{p % 27 + 1:02d}"
        tables["visit_occurrence"].append(
            {"visit_occurrence_id": str(p), "person_id": str(p), "visit_concept_id": "9201",
             "visit_start_date": day, "visit_start_datetime": f"{day} 08:00:00",
             "visit_end_date": "2021-02-01", "visit_end_datetime": "2021-02-01 10:00:00"}
        )  # fmt: skip
        for m in range(3):
            tables["measurement"].append(
                {"measurement_id": str(10 * p + m), "person_id": str(p),
                 "measurement_concept_id": str(300 + m), "measurement_date": day,
                 "measurement_datetime": f"{day} {('00:00:00', '09:30:00', '23:15:10')[m]}",
                 "measurement_type_concept_id": ("32817", "32821", "0")[m],
                 "visit_occurrence_id": str(p), "value_as_number": f"{m}.5",
                 "operator_concept_id": ""}
            )  # fmt: skip
    tables["death"] = [
        {"person_id": str(p), "death_date": "2021-02-01", "death_datetime": ""}
        for p in range(1, 25)
    ]
    return {f"{name}.csv": csv_of(rows) for name, rows in tables.items()}


def _rows(content: bytes) -> Rows:
    return list(csv.DictReader(io.StringIO(content.decode())))


def _changed(change: Callable[[Random, Rows], None]) -> Mutator:
    def mutate(rng: Random, content: bytes) -> bytes:
        rows = _rows(content)
        change(rng, rows)
        return csv_of(rows)

    return mutate


def _cell(rng: Random, rows: Rows, ending: str) -> tuple[dict[str, str], str] | None:
    names = [name for name in rows[0] if name.endswith(ending)]
    return (rng.choice(rows), rng.choice(names)) if names else None


def _clock(rng: Random, rows: Rows) -> None:
    """Another time of day, or none."""
    if (found := _cell(rng, rows, "_datetime")) and found[0][found[1]]:
        row, name = found
        clock = rng.choice(("00:00:00", "00:00:01", "23:59:59", "12:34:56", "00:00:00.000001"))
        row[name] = rng.choice(("", f"{row[name][:10]} {clock}"))


def _day(rng: Random, rows: Rows) -> None:
    """Another day, in the date, in the datetime or in both."""
    if found := _cell(rng, rows, "_datetime"):
        row, name = found
        day = datetime.fromisoformat(row[name.removesuffix("time")])
        day += timedelta(days=rng.choice((-400, -61, -2, -1, 1, 2, 59, 60, 61, 400)))
        where = rng.choice(("date", "time", "both"))
        if where != "time":
            row[name.removesuffix("time")] = str(day.date())
        if where != "date":
            row[name] = f"{day.date()} {rng.choice(('00:00:00', '07:07:07'))}"


def _all_midnight(_: Random, rows: Rows) -> None:
    for row in rows:
        for name in row:
            if name.endswith("_datetime") and row[name]:
                row[name] = row[name][:10] + " 00:00:00"


def _again(rng: Random, rows: Rows) -> None:
    """A second death or, in another table, another operator, birth or type."""
    row = rng.choice(rows)
    if "death_date" in row:
        rows.append({**row, "death_date": rng.choice(("2021-02-01", "2021-03-01", "1930-01-01"))})
    elif "operator_concept_id" in row:
        row["operator_concept_id"] = rng.choice((*_LIMITS, "4172703", "0"))
    elif "year_of_birth" in row:
        row["year_of_birth"] = rng.choice(("1900", "2021", "2022"))
    else:
        row["visit_end_datetime"] = rng.choice(("", "2019-01-01 00:00:00", "2021-02-01 00:00:00"))


CHANGES = {f"{f.__name__[1:]}{n}": _changed(f) for f in (_clock, _day, _again) for n in (1, 2)}


def _read(folder: Path) -> Any:
    with tempfile.TemporaryDirectory() as work:
        out = Path(work) / "events"
        build(source_of("omop"), folder, out)
        found: Counter[str] = Counter()
        for row in ds.dataset(out / "data").to_table().to_pylist():
            if row["code"].startswith(("OMOP//", "MEDS_DEATH", "HOSPITAL_ADM", "HOSPITAL_DIS")):
                found[f"{row['subject_id']} {row['code']} {row['time']}"] += 1
        return dict(sorted(found.items()))


def _own(row: dict[str, str], name: str, *, late: bool = True) -> datetime | None:
    """The time of a row; ``None`` where date and datetime are more than a day apart."""
    day = datetime.fromisoformat(row[f"{name}_date"])
    if row[f"{name}_datetime"]:
        time = datetime.fromisoformat(row[f"{name}_datetime"])
        if not day - _DAY <= time < day + 2 * _DAY:
            return None
        if time != time.replace(hour=0, minute=0, second=0, microsecond=0):
            return time
    return day + _DAY - timedelta(seconds=1) if late else day


def _says(files: Files) -> Any:  # noqa: PLR0912 (the rules of docs, one after the other)
    tables = {Path(name).stem: _rows(content) for name, content in files.items()}
    years = {row["person_id"]: int(row["year_of_birth"]) for row in tables["person"]}
    born = {person: datetime(year, 1, 1) for person, year in years.items()}
    aside: Counter[str] = Counter()
    found: set[str] = set()
    deaths: dict[str, datetime] = {}
    times = [(row["person_id"], _own(row, "death")) for row in tables["death"]]
    for person, time in times:
        if time and time >= born[person]:
            deaths[person] = min(time, deaths.get(person, time))
    for person, time in times:
        if time != deaths.get(person) or time is None:
            aside["death"] += 1
        else:
            found.add(f"{person} MEDS_DEATH {time}")

    def long_dead(person: str, time: datetime) -> bool:
        return person in deaths and time >= deaths[person] + timedelta(days=60)

    ends: dict[str, datetime | None] = {}
    for row in tables["visit_occurrence"]:
        person = row["person_id"]
        start = _own(row, "visit_start", late=False)
        end = _own(row, "visit_end")
        apart = start is None or end is None
        if start and end and end < start:
            aside["reversed"] += 1
            end = None
        ends[row["visit_occurrence_id"]] = end
        if start is None or apart or long_dead(person, start):
            aside["visit_occurrence"] += 1
            continue
        found.add(f"{person} HOSPITAL_ADMISSION//9201 {start}")
        if end:
            found.add(f"{person} HOSPITAL_DISCHARGE//UNKNOWN {end}")
    for row in tables["measurement"]:
        own, end = _own(row, "measurement"), ends[row["visit_occurrence_id"]]
        billed = row["measurement_type_concept_id"] == "32821"
        if own is None or long_dead(row["person_id"], own) or (billed and end is None):
            aside["measurement"] += 1
            continue
        known = max(own, end) if billed and end else own
        limit = _LIMITS.get(row["operator_concept_id"], "")
        code = f"OMOP//{row['measurement_concept_id']}//UNKNOWN{limit}"
        found.add(f"{row['person_id']} {code} {known}")
    if any(aside[name] > share * len(tables[name]) for name, share in _ASIDE.items()):
        return None
    if aside["reversed"] > 0.005 * len(tables["visit_occurrence"]):
        return None
    return dict.fromkeys(sorted(found), 1)


PARSERS = (
    Parser(
        "omop-times",
        lambda: [Seed(_seed())],
        _read,
        {**CHANGES, "all midnight": _changed(_all_midnight)},
        _says,
    ),
)
