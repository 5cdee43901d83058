"""PhysioNet/CinC Challenge 2012: 48 hours of intensive care, one text file per stay.

Times are published as hours and minutes since admission to the unit, without a calendar: here every
stay begins on 1 January 2000. Days (of discharge, of death) count from there and have no time of
day: what they tell was known for sure only at the end of that day. ``Survival`` counts full days
from admission to the midnight before the death: the death itself came up to a day later. Of the
deaths in hospital most have a ``Length_of_stay`` of ``Survival`` + 1, and 26 have a ``Survival`` of
1, though every stay of the challenge lasted 48 hours and 20 of these 26 have values from the last
of them.

The files: https://physionet.org/content/challenge-2012/1.0.0/. The excerpt that ships with the
package is the same as one Parquet file: a row a stay, its measurements as lists.
"""

import csv
import io
import tarfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import narwhals as nw
import pyarrow as pa
import pyarrow.csv as pacsv
from pyarrow import parquet

from sequela.errors import DataError, DataNotFoundError
from sequela.sources import codes
from sequela.sources.csv_files import check_commas
from sequela.sources.declarations import Batches, Check, Fact, Frames, Kind, Source, Table

INTEGER, NUMBER, TEXT = Kind.INTEGER, Kind.NUMBER, Kind.TEXT

ORIGIN = datetime(2000, 1, 1)
DAY = timedelta(days=1)
LAST_SECOND = DAY - timedelta(seconds=1)
FULL_DAYS = 2  # every stay of the challenge lasted 48 hours at least
SETS = ("a", "b", "c")
UNITS = ("coronary care", "cardiac surgery recovery", "medical", "surgical")
DESCRIPTORS = ("Age", "Gender", "Height", "ICUType", "Weight")

Member = tuple[str, bytes]


def read(root: Path) -> Batches:
    """The tables ``records`` and ``outcomes`` of all sets under a folder, or of the excerpt.

    Raises:
        DataNotFoundError: No set with its outcomes is there.
        DataError: A file is not what the challenge published.
    """
    if root.suffix == ".parquet":
        yield from _excerpt(root)
        return
    sets = [name for name in SETS if _outcomes(root, name).is_file()]
    if not sets:
        raise DataNotFoundError(
            f"{root}: no Outcomes-a.txt; expected it beside set-a (a folder, .zip or .tar.gz)"
        )
    outcomes = [_table(path.name, path.read_bytes(), OUTCOMES) for path in _paths(root, sets)]
    yield "outcomes", pa.concat_tables(outcomes).to_reader()
    schema = pa.schema([("recordid", pa.int64()), *_schema(RECORDS)])
    yield "records", pa.RecordBatchReader.from_batches(schema, _records(root, sets))


def _excerpt(file: Path) -> Batches:
    """The two tables of the excerpt."""
    try:
        stays = parquet.read_table(file).combine_chunks()
        outcomes = stays.select([name for name, _ in _schema(OUTCOMES)])
        lists = {name: stays[name].chunk(0) for name, _ in _schema(RECORDS)}
        of_stay = next(iter(lists.values())).value_parent_indices()
        columns = {name: each.flatten() for name, each in lists.items()}
        records = pa.table({"recordid": stays["recordid"].take(of_stay), **columns})
    except (pa.ArrowException, KeyError, OSError) as error:
        raise DataError(
            f"{file} is not the excerpt of PhysioNet 2012 ({error}): expected the Parquet file "
            "that ships with sequela; install sequela again, or name the folder of the published "
            "files"
        ) from error
    yield "outcomes", outcomes.to_reader()
    yield "records", records.to_reader()


def _paths(root: Path, sets: Iterable[str]) -> list[Path]:
    return [_outcomes(root, name) for name in sets]


def _outcomes(root: Path, name: str) -> Path:
    return root / f"Outcomes-{name}.txt"


def _records(root: Path, sets: Iterable[str]) -> Iterator[pa.RecordBatch]:
    for name in sets:
        for member, content in _members(root, name):
            stem = Path(member).stem
            if not stem.isdigit():
                raise DataError(f"{member}: expected a record named by its RecordID, as 132539.txt")
            table = _table(member, content, RECORDS)
            ids = pa.array([int(stem)] * len(table), pa.int64())
            yield from table.add_column(0, "recordid", ids).to_batches()


def _members(root: Path, name: str) -> Iterator[Member]:
    """Name and content of each record of a set, from a folder or an archive."""
    folder, zipped, tarred = (root / f"set-{name}{end}" for end in ("", ".zip", ".tar.gz"))
    try:
        if folder.is_dir():
            yield from ((str(p), p.read_bytes()) for p in sorted(folder.glob("*.txt")))
        elif zipped.is_file():
            with zipfile.ZipFile(zipped) as archive:
                for each in sorted(archive.namelist()):
                    if each.endswith(".txt"):
                        yield f"{zipped}/{each}", archive.read(each)
        elif tarred.is_file():
            with tarfile.open(tarred, "r:gz") as archive:
                for member in archive:
                    if (file := archive.extractfile(member)) and member.name.endswith(".txt"):
                        yield f"{tarred}/{member.name}", file.read()
        else:
            raise DataNotFoundError(f"{folder}: not there, nor as .zip or .tar.gz")
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, OSError, zlib.error) as error:
        if isinstance(error, DataNotFoundError):
            raise
        raise DataError(f"{root}/set-{name}: the archive cannot be read ({error})") from error


def _schema(columns: dict[str, tuple[str, pa.DataType]]) -> list[tuple[str, pa.DataType]]:
    return list(columns.values())


def _table(place: str, content: bytes, columns: dict[str, tuple[str, pa.DataType]]) -> pa.Table:
    """A published CSV text with our names of its columns."""
    types = {name: kind for name, (_, kind) in columns.items()}
    try:
        table = pacsv.read_csv(
            io.BytesIO(content),
            convert_options=pacsv.ConvertOptions(
                column_types=types, include_columns=list(columns), strings_can_be_null=True
            ),
        )
    except (pa.ArrowInvalid, KeyError) as error:
        raise DataError(_problem(place, content, types) or f"{place}: {error}") from error
    return table.rename_columns([ours for ours, _ in columns.values()])


def _problem(place: str, content: bytes, types: dict[str, pa.DataType]) -> str | None:
    """What is wrong with a CSV text, and in which line."""
    rows = list(csv.reader(io.StringIO(content.decode("utf-8", "replace"))))
    names = rows[0] if rows else []
    check_commas(place, names)
    if missing := [name for name in types if name not in names]:
        return f"{place}: no column '{missing[0]}' (found: {', '.join(names) or 'nothing'})"
    for line, row in enumerate(rows[1:], start=2):
        if len(row) != len(names):
            return f"{place}, line {line}: {len(row)} columns; expected {len(names)}"
        for name, value in zip(names, row, strict=True):
            if name in types and types[name] != pa.string() and not _is_number(value, types[name]):
                return f"{place}, line {line}: column '{name}' holds '{value}'; expected a number"
    return None


def _is_number(value: str, kind: pa.DataType) -> bool:
    try:
        float(value) if kind == pa.float64() else int(value)
    except ValueError:
        return not value
    return True


RECORDS = {
    "Time": ("time", pa.string()),
    "Parameter": ("parameter", pa.string()),
    "Value": ("value", pa.float64()),
}
OUTCOMES = {
    "RecordID": ("recordid", pa.int64()),
    "SAPS-I": ("saps_i", pa.float64()),
    "SOFA": ("sofa", pa.float64()),
    "Length_of_stay": ("length_of_stay", pa.int64()),
    "Survival": ("survival", pa.int64()),
    "In-hospital_death": ("in_hospital_death", pa.int64()),
}


def end_of(day: nw.Expr) -> nw.Expr:
    """The end of a day counted from the origin."""
    return nw.lit(ORIGIN + LAST_SECOND) + day * nw.lit(DAY)


def _at_least_full_days(days: nw.Expr) -> nw.Expr:
    """A number of days, or the two that every stay lasted where it is less."""
    return nw.when(days > FULL_DAYS).then(days).otherwise(nw.lit(FULL_DAYS))


def outcomes(frame: nw.LazyFrame[Any], frames: Frames) -> nw.LazyFrame[Any]:
    """One row a stay, with times; ``in_records`` is null where its record is not there."""
    found = frames["records"].group_by("recordid").agg(in_records=nw.len())
    stayed = nw.col("length_of_stay")
    lived = nw.col("survival")
    death = nw.when(lived >= 0).then(end_of(_at_least_full_days(lived + 1)))
    return frame.join(found, on="recordid", how="left").with_columns(
        subject_id=nw.col("recordid"),
        visit_id=nw.col("recordid"),
        admission=nw.lit(ORIGIN),
        day_one=nw.lit(ORIGIN + DAY),
        discharge=end_of(_at_least_full_days(stayed)),
        death=death,
    )


def records(frame: nw.LazyFrame[Any], _: Frames) -> nw.LazyFrame[Any]:
    """Measurements with their time and the words that codes stand for."""
    clock = nw.col("time").str
    minute = clock.slice(0, 2).cast(nw.Int64()) * 60 + clock.slice(3, 2).cast(nw.Int64())
    is_type = nw.col("parameter") == "ICUType"
    unit: nw.Expr = nw.lit(None, nw.String())
    for number, words in enumerate(UNITS, start=1):
        unit = nw.when(is_type & (nw.col("value") == number)).then(nw.lit(words)).otherwise(unit)
    is_sex = nw.col("parameter") == "Gender"
    female = nw.when(is_sex & (nw.col("value") == 0)).then(nw.lit("F"))
    sex = nw.when(is_sex & (nw.col("value") == 1)).then(nw.lit("M")).otherwise(female)
    return frame.with_columns(
        subject_id=nw.col("recordid"),
        visit_id=nw.col("recordid"),
        at=nw.lit(ORIGIN) + minute * nw.lit(timedelta(minutes=1)),
        unit=unit,
        sex=sex,
    )


SCORED = (
    "it is computed from the first 24 hours. It stands with the outcomes, not in the records: read "
    "only where it is named as an input"
)
SOURCE = Source(
    name="physionet2012",
    reads=read,
    tables=(
        Table(
            "records",
            {"recordid": INTEGER, "time": TEXT, "parameter": TEXT, "value": NUMBER},
            (
                Fact(
                    "admission", codes.ADMISSION + "//ICU", "at", "at 00:00",
                    "admission to the unit: that to the hospital is not published",
                    where=nw.col("parameter") == "RecordID",
                ),
                Fact("unit", codes.ICU_ADMISSION + "//{unit}", "at", "at 00:00",
                     "a descriptor, known on admission"),
                Fact("sex", "GENDER//{sex}", None, "always (static)", "it is taken not to change"),
                Fact("age in years", "AGE", "at", "at 00:00", "a descriptor, known on admission",
                     value="value", where=nw.col("parameter") == "Age"),
                Fact(
                    "measurement (height among them)", "CHART//{parameter}", "at", "at Time",
                    "charted then", value="value",
                    where=~nw.col("parameter").is_in(["RecordID", "ICUType", "Gender", "Age"])
                    & ~nw.col("value").is_null(),
                ),
            ),
            required=True,
            prepare=records,
            aside={
                "-1: the descriptor was not recorded": nw.col("parameter").is_in(DESCRIPTORS)
                & (nw.col("value") == -1),
            },
            checks=(
                Check("Time that is not HH:MM", ~nw.col("time").str.contains("^[0-9]{2}:[0-9]{2}$"),
                      "recordid", "fetch the set again"),
            ),
        ),
        Table(
            "outcomes",
            {
                "recordid": INTEGER,
                "saps_i": NUMBER,
                "sofa": NUMBER,
                "length_of_stay": INTEGER,
                "survival": INTEGER,
                "in_hospital_death": INTEGER,
            },
            (
                *(
                    Fact(what, f"{codes.SCORE}//{name}", "day_one", "24 hours after admission",
                         SCORED, value=column, where=nw.col(column) >= 0)
                    for what, name, column in (
                        ("SAPS I", "SAPS-I", "saps_i"),
                        ("SOFA", "SOFA", "sofa"),
                    )
                ),
                Fact(
                    "discharge", codes.DISCHARGE + "//UNKNOWN", "discharge",
                    "at the end of the day Length_of_stay, of the third day at the earliest",
                    "only the day is published; all stays lasted 48 hours",
                ),
                Fact(
                    "died in this stay", codes.EXPIRED, "discharge", "at discharge",
                    "In-hospital_death = 1. A label, never an input",
                    where=nw.col("in_hospital_death") == 1,
                ),
                Fact(
                    "left this stay alive", codes.ALIVE, "discharge", "at discharge",
                    "In-hospital_death = 0. A label, never an input",
                    where=nw.col("in_hospital_death") == 0,
                ),
                Fact(
                    "death", codes.DEATH, "death",
                    "at the end of the day Survival + 1, of the third day at the earliest",
                    "Survival counts full days to the midnight before the death. A label, never an "
                    "input",
                ),
                Fact(
                    "end of follow-up", codes.FOLLOW_UP_END, "discharge", "at discharge",
                    "no death is recorded (Survival = -1). A label, never an input",
                    where=nw.col("survival") < 0,
                ),
            ),
            key=("recordid",),
            required=True,
            prepare=outcomes,
            aside={"its record is not in the set": nw.col("in_records").is_null()},
            checks=(
                Check(
                    "In-hospital_death neither 0 nor 1", ~nw.col("in_hospital_death").is_in([0, 1]),
                    "recordid", "fetch the outcomes again",
                ),
            ),
            notes={"Length_of_stay is -1 (unknown): 2 days": nw.col("length_of_stay") < 0},
        ),
    ),
)  # fmt: skip
