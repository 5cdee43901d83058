"""PhysioNet 2012: text files of stays in a folder, a zip or a tar file, and their outcomes."""

import csv
import gzip
import io
import math
import re
import tarfile
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fuzz.damage import Case, Files, changed_csv, examples
from tests.fuzz.test_signals import changed_gzip, zipped

from sequela.datasets.catalog import EXCERPTS
from sequela.tables.sources import physionet2012

OUTCOMES = "Outcomes-a.txt"
OUTCOME_COLUMNS = ["RecordID", "SAPS-I", "SOFA", "Length_of_stay", "Survival", "In-hospital_death"]
RECORD_COLUMNS = ["Time", "Parameter", "Value"]
NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?")


@cache
def excerpt() -> dict[str, Any]:
    tables: Any = physionet2012.read(EXCERPTS / "physionet2012.parquet")
    return {name: table.read_all() for name, table in tables}


@cache
def texts() -> Files:
    """Return the first stays of the excerpt, as published."""
    stays = excerpt()["outcomes"].slice(0, 3).to_pylist()
    lines = [OUTCOME_COLUMNS, *([f"{value:g}" for value in stay.values()] for stay in stays)]
    files = {OUTCOMES: "".join(f"{','.join(line)}\n" for line in lines)}
    rows = excerpt()["records"].slice(0, 3000).to_pylist()
    for stay in stays:
        measured = [row for row in rows if row["recordid"] == stay["recordid"]][:60]
        text = "".join(f"{r['time']},{r['parameter']},{r['value']:.6g}\n" for r in measured)
        files[f"set-a/{stay['recordid']}.txt"] = f"Time,Parameter,Value\n{text}"
    return {name: text.encode() for name, text in files.items()}


def tarred(files: Files) -> Files:
    """Pack the stays into one tar.gz file."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for member, content in files.items():
            if member != OUTCOMES:
                info = tarfile.TarInfo(member)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    return {"set-a.tar.gz": gzip.compress(out.getvalue(), mtime=0), OUTCOMES: files[OUTCOMES]}


def read(folder: Path) -> Any:
    tables: Any = physionet2012.read(folder)
    return {name: table.read_all().to_pydict() for name, table in tables}


def second_stays(files: Files) -> Any:
    """Return rows in their form: a clock within 48 hours, finite numbers, first the record's id."""
    records: dict[str, list[Any]] = {n: [] for n in ("recordid", "time", "parameter", "value")}
    for name in sorted(files.keys() - {OUTCOMES}):
        recordid, rows = int(Path(name).stem), rows_of(files[name], RECORD_COLUMNS)
        if not rows or rows[0] != ["00:00", "RecordID", str(recordid)]:
            return None
        for clock, parameter, value in rows:
            match = re.fullmatch(r"([0-9]{2}):([0-5][0-9])", clock)
            if match is None or int(match[1]) * 60 + int(match[2]) > 48 * 60:
                return None
            if not re.fullmatch("[A-Za-z0-9]*", parameter) or math.isnan(number(value)):
                return None
            row = (recordid, clock, parameter, number(value))
            for column, cell in zip(records.values(), row, strict=True):
                column.append(cell)
    names = ("recordid", "saps_i", "sofa", "length_of_stay", "survival", "in_hospital_death")
    outcomes: dict[str, list[Any]] = {name: [] for name in names}
    lines = rows_of(files[OUTCOMES], OUTCOME_COLUMNS)
    for line in lines or []:
        numbers = [number(cell) for cell in line]
        if not all(abs(value) <= 2**53 for value in numbers):
            return None
        patient, saps, sofa, *days = numbers
        if not all(value.is_integer() for value in (patient, *days)):
            return None
        cells = (int(patient), saps, sofa, *map(int, days))
        for column, cell in zip(outcomes.values(), cells, strict=True):
            column.append(cell)
    return {"outcomes": outcomes, "records": records} if lines else None


def rows_of(content: bytes, header: list[str]) -> list[list[str]] | None:
    """Return the rows below the published header, each of its width, the last one ended."""
    try:
        text = content.decode("utf-8-sig")
        rows = [row for row in csv.reader(io.StringIO(text, newline=""), strict=True) if row]
    except (UnicodeDecodeError, csv.Error):
        return None
    if not rows or rows[0] != header or not text.endswith(("\n", "\r")) or "\0" in text:
        return None
    return rows[1:] if all(len(row) == len(header) for row in rows) else None


def number(text: str) -> float:
    value = float(text) if NUMBER.fullmatch(text) else math.nan
    return value if math.isfinite(value) else math.nan


ZIP = zipped("set-a.zip", (OUTCOMES,))
CASES = {
    "physionet2012-text": Case(texts, read, changed_csv, second_stays),
    "physionet2012-zip": Case(texts, read, changed_csv, second_stays, ZIP, changed_gzip),
    "physionet2012-tar": Case(texts, read, changed_csv, second_stays, tarred, changed_gzip),
}


@pytest.mark.parametrize("name", CASES)
@examples(2)
@given(data=st.data())
def test_damaged_stays(name: str, data: st.DataObject) -> None:
    CASES[name].check(data)
