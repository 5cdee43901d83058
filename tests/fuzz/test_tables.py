"""Hospital tables, plain, packed and under checksums, next to Python's csv module, cell by cell."""

import csv
import hashlib
import io
import re
import tempfile
from collections.abc import Callable
from datetime import datetime
from functools import cache, partial
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fuzz.damage import Case, Files, changed_csv, examples
from tests.fuzz.test_signals import changed_gzip, gzipped
from tests.tables.conftest import SMALL, built, written
from tests.tables.test_eicu import SCORE

from sequela.formats.opened import SUMS
from sequela.tables import build as building
from sequela.tables.declarations import FIRST_TIME, LAST_TIME, Kind, Table
from sequela.tables.declared.expressions import MOST_NUMBER
from sequela.tables.hospitals import source_of
from sequela.tables.tables import Tables, read_tables

WHOLE = re.compile(r"[+-]?[0-9]+([.]0*)?")
NUMBER = re.compile(r"[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]+)?")
TIME = re.compile(r"\d{4}-\d\d-\d\d([ T]\d\d:\d\d(:\d\d([.]\d{1,6})?)?)?", re.ASCII)
MOST_DIGITS = 30  # more than a number of 64 bits has
BLANKS = " \t\n\v\f\r"
LAB = {"subject_id": 5, "hadm_id": 51, "itemid": 1, "valuenum": 2.5, "valueuom": "g",
       "charttime": "2150-02-01 11:00:00", "storetime": "2150-02-01 13:00:00"}  # fmt: skip
NAFLD: dict[str, list[dict[str, Any]]] = {
    "nafld1": [
        {"id": i, "age": 50 + i, "male": i % 2, "weight": 70 + i, "height": 170 + i, "bmi": 20.5,
         "case_id": i, "futime": 900 + i, "status": i % 2}
        for i in range(1, 10)
    ],
    "nafld2": [{"id": i, "days": 9 * i - 30, "test": "hdl", "value": i + 0.5} for i in range(1, 9)],
    "nafld3": [{"id": i, "days": 10 * i, "event": "nafld"} for i in range(1, 10)],
}  # fmt: skip
NUMBERS = {"mimic4": {"hosp/labevents": [LAB]}, "eicu": {"apachePatientResult": [SCORE]}}
"""Tables with numbers, which those of ``SMALL`` do not have."""


@cache
def tables_of(source: str) -> Files:
    tables = NAFLD if source == "nafld" else SMALL[source]()
    with tempfile.TemporaryDirectory() as name:
        root = written(Path(name), {**tables, **NUMBERS.get(source, {})})
        paths = [path for path in root.rglob("*") if path.is_file()]
        return {path.relative_to(root).as_posix(): path.read_bytes() for path in paths}


def listed(files: Files) -> Files:
    """Add a list of the checksums of the files."""
    lines = [f"{hashlib.sha256(c).hexdigest()}  {name}\n" for name, c in sorted(files.items())]
    return {**files, SUMS: "".join(lines).encode()}


def read(source: str, folder: Path) -> Any:
    """Build a data set, and return the rows that were read for it."""
    values: dict[str, Any] = {}

    def spy(*arguments: Any) -> Tables:
        tables = read_tables(*arguments)
        for table, frame in tables.frames.items():
            rows = frame.collect("pyarrow").to_native().to_pylist()
            values[table] = sorted((list(row.values()) for row in rows), key=repr)
        return tables

    with tempfile.TemporaryDirectory() as out, mock.patch.object(building, "read_tables", spy):
        built(source, folder, Path(out) / "events")
    return values


def second_tables(source: str, files: Files) -> Any:
    contents = {Path(path).stem.lower(): content for path, content in files.items()}
    values = {}
    for table in source_of(source).tables:
        stem = table.name.rsplit("/", maxsplit=1)[-1].lower()
        if stem in contents:
            rows = rows_of(contents[stem], table, is_ordered=source != "omop")
            if rows is None:
                return None
            values[table.name] = sorted(rows, key=repr)
    return values


def second_listed(files: Files) -> Any:
    """Return the tables if the list itself was changed; else only the seed is right."""
    tables = {name: content for name, content in files.items() if name != SUMS}
    unchanged = files.get(SUMS) == listed(tables_of("mimic3"))[SUMS]
    return None if unchanged else second_tables("mimic3", tables)


def rows_of(content: bytes, table: Table, *, is_ordered: bool) -> list[list[Any]] | None:
    try:
        text = content.decode("utf-8-sig", "surrogateescape")
        lines = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except (UnicodeDecodeError, csv.Error):
        return None
    if "\0" in text or not text.endswith(("\n", "\r")) or not lines:
        return None
    names = [re.sub(r"\W+", "_", name.strip().lower()) for name in lines[0]]
    for kind in {*table.columns.values()} if is_ordered else ():
        published = [name for name, of in table.columns.items() if of is kind and name in names]
        if published != [name for name in names if name in published]:
            return None
    if len(set(names)) < len(names):
        return None
    rows = []
    for line in filter(None, lines[1:]):
        if len(line) != len(names):
            return None
        cells = dict(zip(names, line, strict=True))
        try:
            rows.append([value_of(cells.get(c, ""), kind) for c, kind in table.columns.items()])
        except ValueError:
            return None
    return rows


def value_of(text: str, kind: Kind) -> Any:
    """Return the value of a cell; raise ``ValueError`` if its kind does not allow it."""
    if any("\udc80" <= sign <= "\udcff" for sign in text):
        raise ValueError("not UTF-8, in a column that is read")
    if kind is Kind.TEXT:
        return text.strip(" ") or None
    text = text.strip(BLANKS)
    if not text:
        return None
    value: Any
    if kind is Kind.INTEGER:
        whole = WHOLE.fullmatch(text) and len(text) < MOST_DIGITS
        value = int(text.split(".")[0]) if whole else 2**63
        allowed = -(2**63) <= value < 2**63
    elif kind is Kind.NUMBER:
        value = float(text) if NUMBER.fullmatch(text) else float("inf")
        allowed = abs(value) <= MOST_NUMBER
    else:
        value = datetime.fromisoformat(text) if TIME.fullmatch(text) else datetime.min
        allowed = FIRST_TIME <= value <= LAST_TIME
    if not allowed:
        raise ValueError(text)
    return value


def case(source: str, pack: Callable[[Files], Files] = dict, **options: Any) -> Case:
    second = partial(second_tables, source)
    options = {"second_reader": second, "pack": pack, **options}
    return Case(partial(tables_of, source), partial(read, source), changed_csv, **options)


CASES = {f"{source}-csv": case(source) for source in ("mimic3", "mimic4", "eicu", "nafld", "omop")}
CASES["mimic3-gz"] = case("mimic3", gzipped, change_packed=changed_gzip)
CASES["mimic3-sums"] = Case(
    lambda: listed(tables_of("mimic3")), partial(read, "mimic3"), changed_csv, second_listed
)
USUAL = ("nafld-csv", "mimic3-gz")
NAMES = [pytest.param(name, marks=[] if name in USUAL else [pytest.mark.slow]) for name in CASES]


@pytest.mark.parametrize("name", NAMES)
@examples(10)
@given(data=st.data())
def test_damaged_tables(name: str, data: st.DataObject) -> None:
    CASES[name].check(data)
