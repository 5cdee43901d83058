"""PhysioNet 2012: text files of stays in a folder, a zip or a tar file, and their outcomes."""

import csv
import io
import math
import re
from functools import cache
from pathlib import Path
from typing import Any

from fuzz.mutators import CSV, GZIP
from fuzz.parser import Files, Parser, Seed
from fuzz.parsers.archives import tarred, zipped
from sequela.datasets.catalog import EXCERPTS
from sequela.tables.sources import physionet2012

_OUTCOMES = "Outcomes-a.txt"
_HEADERS = {
    "outcomes": ["RecordID", "SAPS-I", "SOFA", "Length_of_stay", "Survival", "In-hospital_death"],
    "records": ["Time", "Parameter", "Value"],
}
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?")


def _excerpt() -> dict[str, Any]:
    """The tables of the excerpt that ships with the package."""
    batches: Any = physionet2012.read(EXCERPTS / "physionet2012.parquet")
    return {name: each.read_all() for name, each in batches}


@cache
def _texts() -> Files:
    tables = _excerpt()
    stays = tables["outcomes"].slice(0, 3).to_pylist()
    lines = [",".join(_HEADERS["outcomes"])]
    lines += [",".join(f"{value:g}" for value in stay.values()) for stay in stays]
    files = {_OUTCOMES: "\n".join(lines) + "\n"}
    for stay in stays:
        rows = [
            row
            for row in tables["records"].slice(0, 3000).to_pylist()
            if row["recordid"] == stay["recordid"]
        ]
        text = "\n".join(f"{r['time']},{r['parameter']},{r['value']:.6g}" for r in rows[:60])
        files[f"set-a/{stay['recordid']}.txt"] = f"Time,Parameter,Value\n{text}\n"
    return {name: text.encode() for name, text in files.items()}


def _zip(files: Files) -> Files:
    packed = zipped("set-a.zip")({n: c for n, c in files.items() if n != _OUTCOMES})
    return {**packed, _OUTCOMES: files[_OUTCOMES]}


def _read(folder: Path) -> Any:
    batches: Any = physionet2012.read(folder)
    return {name: each.read_all().to_pydict() for name, each in batches}


def _says(files: Files) -> Any:
    """Rows in ranges: a clock within 48 hours, finite numbers, the record's own id."""
    outcomes = _rows(files[_OUTCOMES], _HEADERS["outcomes"])
    records: dict[str, list[Any]] = {n: [] for n in ("recordid", "time", "parameter", "value")}
    for name in sorted(files):
        if name == _OUTCOMES:
            continue
        rows = _rows(files[name], _HEADERS["records"])
        if rows is None:
            return None
        for clock, parameter, value in rows:
            match = re.fullmatch(r"([0-9]{2}):([0-5][0-9])", clock)
            if match is None or int(match[1]) * 60 + int(match[2]) > 48 * 60:
                return None
            number = _number(value)
            if number is None or not _in_range(parameter, number, int(Path(name).stem)):
                return None
            for column, each in zip(
                records.values(), (int(Path(name).stem), clock, parameter, number), strict=True
            ):
                column.append(each)
    if outcomes is None or not outcomes:
        return None
    said: dict[str, list[Any]] = {
        n: []
        for n in ("recordid", "saps_i", "sofa", "length_of_stay", "survival", "in_hospital_death")
    }
    for row in outcomes:
        numbers = [n for cell in row if (n := _number(cell)) is not None and -1 <= n <= 2**53]
        if len(numbers) < len(row):
            return None
        recordid, saps, sofa, *days, died = numbers
        if not all(float(n).is_integer() for n in (recordid, *days, died)) or died not in (0, 1):
            return None
        for column, each in zip(
            said.values(), (int(recordid), saps, sofa, *map(int, days), int(died)), strict=True
        ):
            column.append(each)
    return {"outcomes": said, "records": records}


def _rows(content: bytes, header: list[str]) -> list[list[str]] | None:
    """The rows below the published header, each of its width, the last one ended."""
    try:
        text = content.decode("utf-8-sig")
        rows = [row for row in csv.reader(io.StringIO(text, newline=""), strict=True) if row]
    except (UnicodeDecodeError, csv.Error):
        return None
    if not rows or rows[0] != header or not text.endswith(("\n", "\r")) or "\0" in text:
        return None
    return rows[1:] if all(len(row) == len(header) for row in rows) else None


def _number(text: str) -> float | None:
    number = float(text) if _NUMBER.fullmatch(text) else math.nan
    return number if math.isfinite(number) else None


def _in_range(parameter: str, value: float, recordid: int) -> bool:
    closed = {"RecordID": (recordid,), "Gender": (-1, 0, 1), "ICUType": (1, 2, 3, 4)}
    if parameter in closed:
        return value in closed[parameter]
    if parameter == "Age":
        return value == -1 or 0 <= value <= 130
    least = {"Temp": -50.0, "Height": -1.0, "Weight": -1.0}.get(parameter, 0.0)
    return parameter in physionet2012_parameters() and least <= value <= 1e5


@cache
def physionet2012_parameters() -> frozenset[str]:
    """The 37 variables and five descriptors, and the record's id."""
    return frozenset(_excerpt()["records"]["parameter"].to_pylist())


PARSERS = (
    Parser("physionet2012-text", lambda: [Seed(_texts())], _read, CSV, _says),
    Parser("physionet2012-zip", lambda: [Seed(_texts(), _zip)], _read, CSV, _says, GZIP),
    Parser(
        "physionet2012-tar",
        lambda: [Seed(_texts(), tarred("set-a.tar.gz", _OUTCOMES))],
        _read,
        CSV,
        _says,
        GZIP,
    ),
)
