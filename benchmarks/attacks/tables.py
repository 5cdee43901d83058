"""Attacks on tables: a hospital's own, and OMOP. Facts are dated before they were known."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import numpy as np
from benchmarks.attacks.attack import Attack, Outcome
from benchmarks.attacks.bench import Bench

_STAYS = 600
_START = datetime(2150, 1, 1)
_ROLES = """
[people]
table = "patients"
id = "patient"

[stays]
table = "stays"
id = "stay"
subject = "patient"
gives.came = "admitted"
gives.discharge = "left"

[tables.patients]
columns = { patient = "integer", sex = "text" }
facts = [{ code = "GENDER//{sex}", why = "assumed not to change" }]

[tables.stays]
columns = { stay = "integer", patient = "integer", admitted = "time", left = "time", end = "text" }
facts = [
  { code = "HOSPITAL_ADMISSION", time = "admitted", known = "at admission", why = "noted then" },
  { code = "HOSPITAL_DISCHARGE", time = "left", known = "at discharge", why = "noted then" },
  { code = "HOSPITAL_OUTCOME//expired", time = "left", known = "at discharge", why = "a label", where = "end == 'died'" },
  { code = "HOSPITAL_OUTCOME//alive", time = "left", known = "at discharge", why = "a label", where = "end == 'home'" },
]

[tables.triage]
columns = { stay = "integer", level = "integer" }
facts = [{ code = "TRIAGE//{level}", time = "came", known = "on arrival", why = "a nurse notes it then" }]

[tables.problems]
columns = { stay = "integer", problem = "text" }
facts = [{ code = "PROBLEM//{problem}", time = "%(problems)s", known = "then", why = "staff wrote it then" }]

[tables.wards]
columns = { stay = "integer", ward = "text" }
facts = [{ code = "WARD//{ward}", time = "%(wards)s", known = "then", why = "noted then" }]

[tables.cultures]
columns = { stay = "integer", organism = "text", taken = "time", released = "time" }
facts = [{ code = "CULTURE//{organism}", time = "%(cultures)s", known = "then", why = "read then" }]

[tables.labs]
columns = { stay = "integer", test = "text", taken = "time", reported = "time", result = "number" }
facts = [{ code = "LAB//{test}", time = "%(labs)s", known = "then", why = "read then", value = "result" }]
"""  # noqa: E501


def _write(place: Path, head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([head, *rows])


def _stays(seed: int) -> list[tuple[int, datetime, datetime, bool, list[int]]]:
    """Draw stays: number, admission, discharge, death, and problems that are coded at its end."""
    rng, stays = np.random.default_rng(seed), []
    for number in range(_STAYS):
        came = _START + timedelta(hours=int(rng.integers(20_000)), minutes=int(rng.integers(60)))
        left = came + timedelta(hours=int(rng.integers(60, 300)))
        died = bool(rng.random() < 0.15)
        chance = np.full(30, 0.08) + 0.12 * died * (np.arange(30) < 8)
        problems = np.flatnonzero(rng.random(30) < chance).tolist()
        stays.append((number, came, left, died, problems))
    return stays


def _own(bench: Bench, *, name: str, times: Mapping[str, str]) -> Outcome:
    """Audit the tables of a hospital, whose declaration names these times."""
    root, rng, stays = bench.work / "own" / name, np.random.default_rng(1), _stays(0)
    _write(root / "patients.csv", ["patient", "sex"], [(n, "FM"[n % 2]) for n, *_ in stays])
    _write(
        root / "stays.csv",
        ["stay", "patient", "admitted", "left", "end"],
        [(n, n, came, left, "died" if died else "home") for n, came, left, died, _ in stays],
    )
    _write(
        root / "triage.csv",
        ["stay", "level"],
        [(n, int(rng.integers(1, 6))) for n, *_ in stays],
    )
    coded = [(n, f"D{code:02}") for n, *_, codes in stays for code in codes]
    _write(root / "problems.csv", ["stay", "problem"], coded)
    results = []
    for n, came, _, died, _ in stays:
        for hours in (2, 8, 18):
            taken = came + timedelta(hours=hours)
            value = rng.normal(2 + 0.5 * died)
            results.append((n, "lactate", taken, taken + timedelta(hours=3), round(value, 2)))
    _write(root / "labs.csv", ["stay", "test", "taken", "reported", "result"], results)
    wards = [(n, "high care" if rng.random() < 0.2 + 0.5 * died else "general")
             for n, _, _, died, _ in stays]  # fmt: skip
    _write(root / "wards.csv", ["stay", "ward"], wards)
    cultures = [
        (n, "abc"[n % 3], came + timedelta(hours=3), came + timedelta(hours=int(40 + n % 9)))
        for n, came, *_ in stays
        if n % 4 == 0
    ]
    _write(root / "cultures.csv", ["stay", "organism", "taken", "released"], cultures)
    usual = {"problems": "discharge", "labs": "reported", "wards": "discharge"}
    times = {**usual, "cultures": "released", **times}
    (root / "tables.toml").write_text(_ROLES % times, "utf-8")
    return bench.audit_tables("tables", root)


def _omop(bench: Bench, *, name: str, within: int) -> Outcome:
    """Audit a small database in OMOP, whose conditions are dated within these minutes."""
    return bench.audit_tables("omop", write_omop(bench.work / "omop" / name, within))


def write_omop(root: Path, within: int) -> Path:
    """Write a small database in OMOP."""
    stays, rng = _stays(0), np.random.default_rng(1)
    _write(
        root / "person.csv",
        ["person_id", "gender_concept_id", "year_of_birth", "race_concept_id",
         "ethnicity_concept_id", "gender_source_value"],
        [(n + 1, 8507, 2080, 0, 0, "M") for n, *_ in stays],
    )  # fmt: skip
    _write(
        root / "visit_occurrence.csv",
        ["visit_occurrence_id", "person_id", "visit_concept_id", "visit_start_date",
         "visit_start_datetime", "visit_end_date", "visit_end_datetime",
         "discharged_to_source_value"],
        [
            (n + 1, n + 1, 9201, came.date(), came, left.date(), left, "Died" if died else "Home")
            for n, came, left, died, _ in stays
        ],
    )  # fmt: skip
    rows = list[tuple[object, ...]]()
    for n, came, _, _, problems in stays:
        for code in problems:
            at = came + timedelta(minutes=int(rng.integers(5, within)) if within else 0)
            rows.append((len(rows) + 1, n + 1, 0, at.date(), at, 32817, n + 1, f"D{code:02}", 0))
    _write(
        root / "condition_occurrence.csv",
        ["condition_occurrence_id", "person_id", "condition_concept_id", "condition_start_date",
         "condition_start_datetime", "condition_type_concept_id", "visit_occurrence_id",
         "condition_source_value", "condition_source_concept_id"],
        rows,
    )  # fmt: skip
    _write(
        root / "death.csv",
        ["person_id", "death_date", "death_datetime"],
        [(n + 1, left.date(), left) for n, _, left, died, _ in stays if died],
    )
    head = ["concept_id", "concept_name", "domain_id", "vocabulary_id", "concept_code"]
    _write(root / "concept.csv", head, [(0, "No matching concept", "", "None", "0")])
    return root


_OWN: dict[str, dict[str, str]] = {
    "nothing planted in a hospital's own tables": {},
    "own tables: problems that are coded at discharge, dated at admission": {"problems": "came"},
    "own tables: results dated when taken, although a later time is there": {"labs": "taken"},
    "own tables: cultures dated when taken, although they were released later": {
        "cultures": "taken"},
    "own tables: the ward at the end of the stay, dated at admission": {"wards": "came"},
}  # fmt: skip
_OMOP: dict[str, int] = {
    "nothing planted in OMOP: conditions written in the course of care": 4000,
    "OMOP: all conditions typed as EHR, dated at the visit's start": 0,
    "OMOP: all conditions typed as EHR, dated in the first hour of the visit": 60,
}
"""Minutes within which conditions are dated."""

ATTACKS = (
    *(
        Attack(name, partial(_own, name=name, times=times), planted=bool(times))
        for name, times in _OWN.items()
    ),
    *(
        Attack(name, partial(_omop, name=name, within=within), planted=within < 4000)
        for name, within in _OMOP.items()
    ),
)
