"""Hospital tables: MIMIC, eICU, NAFLD, PhysioNet 2012 and OMOP, plain, packed, under checksums."""

import csv
import gzip
import hashlib
import io
import re
import tempfile
from collections.abc import Callable
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

from fuzz.mutators import CSV, GZIP
from fuzz.parser import Files, Parser, Seed, as_they_are
from sequela.datasets.catalog import EXCERPTS
from sequela.formats.opened import SUMS
from sequela.tables import build as building
from sequela.tables.declarations import FIRST_TIME, LAST_TIME, Kind, Table
from sequela.tables.declared.expressions import MOST_NUMBER
from sequela.tables.hospitals import source_of
from sequela.tables.tables import Tables, read_tables

SUBJECTS, UNITS = 12, 20
_WHOLE = re.compile(r"[+-]?[0-9]+([.]0*)?")
_NUMBER = re.compile(r"[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]+)?")
_TIME = re.compile(r"\d{4}-\d\d-\d\d([ T]\d\d:\d\d(:\d\d([.]\d{1,6})?)?)?", re.ASCII)
_LONG = 30  # characters, which no number of 64 bits has
_BLANKS = " \t\n\v\f\r"

Rows = list[dict[str, str]]


def csv_of(rows: Rows) -> bytes:
    """Return the rows of a table as csv."""
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode()


def _excerpt(folder: str, name: str) -> Rows:
    with gzip.open(EXCERPTS / folder / f"{name}.csv.gz", "rt", newline="") as file:
        return list(csv.DictReader(file))


@cache
def _mimic3() -> Files:
    """The first subjects of MIMIC-III's demo."""
    chosen = {row["subject_id"] for row in _excerpt("mimic3", "PATIENTS")[:SUBJECTS]}
    files = {}
    for name in ("PATIENTS", "ADMISSIONS", "ICUSTAYS", "DIAGNOSES_ICD", "SERVICES"):
        rows = [row for row in _excerpt("mimic3", name) if row["subject_id"] in chosen]
        files[f"{name}.csv"] = csv_of(rows)
    return files


@cache
def _mimic4() -> Files:
    """The same subjects with the columns of MIMIC-IV, and measurements."""
    old = {
        name: list(csv.DictReader(io.StringIO(content.decode())))
        for name, content in _mimic3().items()
    }
    stays = old["ADMISSIONS.csv"]
    year = {row["subject_id"]: row["admittime"][:4] for row in stays}
    patients = [
        {"subject_id": row["subject_id"], "gender": row["gender"], "anchor_age": "60",
         "anchor_year": year[row["subject_id"]], "anchor_year_group": "2011 - 2013",
         "dod": row["dod"][:10]}
        for row in old["PATIENTS.csv"]
    ]  # fmt: skip
    names = ("subject_id", "hadm_id", "admittime", "dischtime", "deathtime", "admission_type",
             "admission_location", "discharge_location", "insurance", "language", "marital_status",
             "ethnicity", "edregtime", "edouttime", "hospital_expire_flag")  # fmt: skip
    admissions = [{n.replace("ethnicity", "race"): row[n] for n in names} for row in stays]
    coded = [
        {"subject_id": row["subject_id"], "hadm_id": row["hadm_id"], "seq_num": row["seq_num"],
         "icd_code": row["icd9_code"], "icd_version": "9"}
        for row in old["DIAGNOSES_ICD.csv"]
    ]  # fmt: skip
    labs = [
        {"labevent_id": str(i), "subject_id": row["subject_id"], "hadm_id": row["hadm_id"],
         "specimen_id": "1", "itemid": "50912", "charttime": row["admittime"],
         "storetime": row["admittime"], "value": f"{i % 9}.{i % 7}", "valuenum": f"{i % 9}.{i % 7}",
         "valueuom": "mg/dL"}
        for i, row in enumerate(stays * 4)
    ]  # fmt: skip
    tables = {"patients": patients, "admissions": admissions, "diagnoses_icd": coded}
    return {f"hosp/{n}.csv": csv_of(rows) for n, rows in {**tables, "labevents": labs}.items()}


@cache
def _eicu() -> Files:
    """The first unit stays of eICU's demo."""
    chosen = {row["patientunitstayid"] for row in _excerpt("eicu", "patient")[:UNITS]}
    names = ("patient", "diagnosis", "apacheApsVar", "apachePatientResult")
    return {
        f"{name}.csv": csv_of(
            [r for r in _excerpt("eicu", name) if r["patientunitstayid"] in chosen]
        )
        for name in names
    }


def _nafld() -> Files:
    people = "".join(f"{i},{50 + i},{i % 2},7{i},17{i},2{i}.5,{i},{900 + i},{i % 3 == 0:d}\n"
                     for i in range(1, 10))  # fmt: skip
    values = "".join(f"{i},{100 * i - 300},hdl,{40 + i}.5\n" for i in range(1, 10))
    events = "".join(f"{i},{10 * i},nafld\n" for i in range(1, 10))
    return {
        "nafld1.csv": f"id,age,male,weight,height,bmi,case.id,futime,status\n{people}".encode(),
        "nafld2.csv": f"id,days,test,value\n{values}".encode(),
        "nafld3.csv": f"id,days,event\n{events}".encode(),
    }


def _omop() -> Files:
    """Twelve persons, each with two stays and four conditions of three types."""
    persons = "".join(f"{-i},8507,{1950 + i}\n" for i in range(1, SUBJECTS + 1))
    stays, coded = "", ""
    for i in range(1, SUBJECTS + 1):
        for n in (1, 2):
            day = f"2150-0{n}-{9 + i:02d}"
            stays += f"{10 * i + n},{-i},9201,{day},{day} 10:00:00,2150-03-01,2150-03-01 12:00:00\n"
            for of, kind in enumerate((32821, 32817, 0)):
                coded += (
                    f"{100 * i + 10 * n + of},{-i},{i % 3},{day},{day} 11:00:00,{kind},"
                    f"{10 * i + n},42{of}.0\n"
                )
    visit = "visit_start_date,visit_start_datetime,visit_end_date,visit_end_datetime"
    condition = "condition_start_date,condition_start_datetime,condition_type_concept_id"
    return {
        "person.csv": f"person_id,gender_concept_id,year_of_birth\n{persons}".encode(),
        "visit_occurrence.csv": f"visit_occurrence_id,person_id,visit_concept_id,{visit}\n"
        f"{stays}".encode(),
        "condition_occurrence.csv": "condition_occurrence_id,person_id,condition_concept_id,"
        f"{condition},visit_occurrence_id,condition_source_value\n{coded}".encode(),
        "death.csv": b"person_id,death_date\n-3,2150-02-20\n",
        "concept.csv": b"concept_id,concept_name,vocabulary_id,concept_code\n"
        b"0,None,None,None\n1,Heart failure,SNOMED,84114007\n",
    }


def packed(files: Files) -> Files:
    """Each csv file as .csv.gz."""
    return {f"{name}.gz": gzip.compress(content, mtime=0) for name, content in files.items()}


def listed(files: Files) -> Files:
    """The files beside a list of the checksums of what they should be."""
    lines = [f"{hashlib.sha256(c).hexdigest()}  {name}\n" for name, c in sorted(files.items())]
    return {**files, SUMS: "".join(lines).encode()}


def _read(name: str) -> Callable[[Path], Any]:
    """Build a data set; the values are the rows that were read for it."""

    def read(folder: Path) -> Any:
        values: dict[str, Any] = {}

        def spy(*arguments: Any) -> Tables:
            tables = read_tables(*arguments)
            for table, frame in tables.frames.items():
                rows = frame.collect("pyarrow").to_native().to_pylist()
                values[table] = sorted((list(row.values()) for row in rows), key=repr)
            return tables

        with tempfile.TemporaryDirectory() as out, mock.patch.object(building, "read_tables", spy):
            building.build(source_of(name), folder, Path(out) / "events")
        return values

    return read


def _says(name: str, seed: Callable[[], Files]) -> Callable[[Files], Any]:
    """What the texts say, cell by cell, by the csv module of Python and regular expressions."""

    def says(files: Files) -> Any:
        by_stem = {Path(path).stem.lower(): content for path, content in files.items()}
        published = {Path(p).stem.lower(): _names(c) for p, c in seed().items()}
        values = {}
        for table in source_of(name).tables:
            stem = table.name.rsplit("/", maxsplit=1)[-1].lower()
            if stem in by_stem:
                rows = _rows(by_stem[stem], table, published.get(stem, []))
                if rows is None:
                    return None
                values[table.name] = sorted(rows, key=repr)
        return values

    return says


def _names(content: bytes) -> list[str]:
    line = content.decode("utf-8-sig").splitlines()[0]
    return [re.sub(r"\W+", "_", name.strip().lower()) for name in line.split(",")]


def _rows(content: bytes, table: Table, published: list[str]) -> list[list[Any]] | None:
    try:
        text = content.decode("utf-8-sig", "surrogateescape")
        lines = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except (UnicodeDecodeError, csv.Error):
        return None
    if "\0" in text or not text.endswith(("\n", "\r")) or not lines:
        return None
    names = [re.sub(r"\W+", "_", name.strip().lower()) for name in lines[0]]
    known = [each for each in names if each in published]
    if len(set(names)) < len(names) or known != [each for each in published if each in names]:
        return None
    found = []
    for line in lines[1:]:
        if not line:
            continue
        if len(line) != len(names):
            return None
        cells = dict(zip(names, line, strict=True))
        row = [_value(cells.get(column, ""), kind) for column, kind in table.columns.items()]
        if any(value is _NONE for value in row):
            return None
        found.append(row)
    return found


_NONE = object()


def _value(text: str, kind: Kind) -> Any:
    """What a cell says; ``_NONE`` if nothing that its kind allows."""
    if any("\udc80" <= sign <= "\udcff" for sign in text):  # not UTF-8, in a column that is read
        return _NONE
    if kind is Kind.TEXT:
        return text.strip(" ") or None
    text = text.strip(_BLANKS)
    if not text:
        return None
    if kind is Kind.INTEGER:
        value = int(text.split(".")[0]) if _WHOLE.fullmatch(text) and len(text) < _LONG else 2**63
        return value if -(2**63) <= value < 2**63 else _NONE
    if kind is Kind.NUMBER:
        number = float(text) if _NUMBER.fullmatch(text) else float("inf")
        return number if abs(number) <= MOST_NUMBER else _NONE
    try:
        time = datetime.fromisoformat(text) if _TIME.fullmatch(text) else datetime.min
    except ValueError:
        return _NONE
    return time if FIRST_TIME <= time <= LAST_TIME else _NONE


def _of(name: str, source: str, files: Callable[[], Files]) -> Parser:
    return Parser(name, lambda: [Seed(files())], _read(source), CSV, _says(source, files))


def _says_if_unlisted(files: Files) -> Any:
    """What the texts say where the list itself was changed; else only the seed is right."""
    texts = {name: content for name, content in files.items() if name != SUMS}
    listing = listed(_mimic3())[SUMS]
    return None if files.get(SUMS) == listing else _says("mimic3", _mimic3)(texts)


PARSERS = (
    _of("mimic3-csv", "mimic3", _mimic3),
    _of("mimic4-csv", "mimic4", _mimic4),
    _of("eicu-csv", "eicu", _eicu),
    _of("nafld-csv", "nafld", _nafld),
    # Its columns have no published order.
    Parser("omop-csv", lambda: [Seed(_omop())], _read("omop"), CSV, _says("omop", dict)),
    Parser(
        "mimic3-gz",
        lambda: [Seed(_mimic3(), packed)],
        _read("mimic3"),
        CSV,
        _says("mimic3", _mimic3),
        GZIP,
    ),
    Parser(
        "mimic3-sums",
        lambda: [Seed(listed(_mimic3()), as_they_are)],
        _read("mimic3"),
        CSV,
        _says_if_unlisted,
    ),
)
