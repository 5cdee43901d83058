"""PhysioNet/CinC Challenge 2012: 48 hours of intensive care, one text file per stay.

The times its facts were known are in ``declared/physionet2012.toml``.

The files: https://physionet.org/content/challenge-2012/1.0.0/. The excerpt that ships with the
package is one Parquet file: a row a stay, its measurements as lists.
"""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cache, partial
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
from pyarrow import parquet

from sequela.errors import DataError, DataNotFoundError, form_of, unknown_name, without_values
from sequela.formats import opened
from sequela.formats.csv_files import check_separator
from sequela.tables.declarations import Batches, Source
from sequela.tables.declared.source import published

SETS = ("a", "b", "c")
DESCRIPTORS = ("Age", "Gender", "Height", "ICUType", "Weight")
PRESSURES = ("DiasABP", "MAP", "NIDiasABP", "NIMAP", "NISysABP", "SysABP")  # -1 if not known

# The parameters of a record: its id, the descriptors and the variables.
PARAMETERS = (
    "RecordID", *DESCRIPTORS, "ALP", "ALT", "AST", "Albumin", "BUN", "Bilirubin", "Cholesterol",
    "Creatinine", "DiasABP", "FiO2", "GCS", "Glucose", "HCO3", "HCT", "HR", "K", "Lactate", "MAP",
    "MechVent", "Mg", "NIDiasABP", "NIMAP", "NISysABP", "Na", "PaCO2", "PaO2", "Platelets",
    "RespRate", "SaO2", "SysABP", "Temp", "TroponinI", "TroponinT", "Urine", "WBC", "pH",
)  # fmt: skip
# The published sets: number of records, and of the rows of all of them.
PUBLISHED = {"a": (4_000, 1_757_980)}
# The smallest and the largest value of a parameter.
LIMITS = {
    "Age": (0, 120), "Gender": (0, 1), "ICUType": (1, 4), "MechVent": (0, 1), "Temp": (-50, 60),
}  # fmt: skip
# The limits of every other parameter: there are typing errors among the published values (a pH of
# 735), but no impossible ones.
ANY_LIMITS = (0, 100_000)

Member = tuple[str, bytes]

_AT_ONCE = 500  # records that are parsed and checked together
_EXPECTED = "a text file of the challenge as published"
_CLOCK = r"(?:[0-3][0-9]|4[0-7]):[0-5][0-9]|48:00"  # of the first 48 hours in intensive care
_NUMBER = r"-?[0-9]{1,15}(?:\.[0-9]{1,15})?(?:e[-+]?[0-9]{1,2})?"
_CELLS = {
    pa.large_string(): (_CLOCK, "a time from 00:00 to 48:00"),
    pa.string(): ("[A-Za-z0-9]*", "the name of a variable"),  # blank in 2,403 rows of set c
    pa.float64(): (_NUMBER, "a number"),
    pa.int64(): ("-?[0-9]{1,15}", "a whole number, or -1 where it is not known"),
}


def read(root: Path, names: Sequence[str] = SETS) -> Batches:
    """Read the tables ``records`` and ``outcomes`` of sets of a folder, or of the excerpt."""
    if root.suffix == ".parquet":
        if "a" not in names:
            raise DataNotFoundError(f"{root} holds set a alone: name the folder of set-{names[0]}")
        yield from _excerpt(root)
        return
    sets = [name for name in names if _outcomes(root, name).is_file()]
    if not sets or (names != SETS and len(sets) < len(names)):
        lacks = next(name for name in names if name not in sets)
        raise DataNotFoundError(
            f"{root}: no Outcomes-{lacks}.txt; expected it next to set-{lacks} (a folder, .zip or "
            ".tar.gz)"
        )
    paths = [_outcomes(root, name) for name in sets]
    outcomes = [_table(str(p), opened.content(p, _EXPECTED), OUTCOMES) for p in paths]
    for path, table in zip(paths, outcomes, strict=True):
        if not len(table):
            raise DataError(f"{path}: found no row, expected one a stay: fetch it again")
        # -1 is an unknown score, as in the description of the challenge.
        if pc.any(pc.or_(*(pc.less(table[n], -1.0) for n in ("saps_i", "sofa")))).as_py():
            raise DataError(f"{path}: found a score below -1, expected 0 or more: fetch it again")
        died = pc.is_in(table["in_hospital_death"], pa.array([0, 1]))
        if not pc.all(died).as_py():
            line = pc.index(died, value=False).as_py() + 2
            raise DataError(
                f"{path}, line {line}: In-hospital_death neither 0 nor 1; expected one of them: "
                "fetch it again"
            )
    yield "outcomes", pa.concat_tables(outcomes).to_reader()
    schema = pa.schema([("recordid", pa.int64()), *_schema(RECORDS)])
    yield "records", pa.RecordBatchReader.from_batches(schema, _records(root, sets))


def read_unlabelled(root: Path) -> Batches:
    """Read sets without known outcomes: the table ``outcomes`` is empty then."""
    if root.suffix == ".parquet" or any(_outcomes(root, name).is_file() for name in SETS):
        yield from read(root)
        return
    sets = [name for name in SETS if any(p.exists() for p in _set_places(root, name))]
    if not sets:
        raise DataNotFoundError(f"{root}: no set-a; expected a folder, .zip or .tar.gz of records")
    yield "outcomes", pa.schema(_schema(OUTCOMES)).empty_table().to_reader()
    schema = pa.schema([("recordid", pa.int64()), *_schema(RECORDS)])
    yield "records", pa.RecordBatchReader.from_batches(schema, _records(root, sets))


def _excerpt(file: Path) -> Batches:
    try:
        stays = parquet.read_table(file).combine_chunks()
        outcomes = stays.select([name for name, _ in _schema(OUTCOMES)])
        lists = {name: stays[name].chunk(0) for name, _ in _schema(RECORDS)}
        of_stay = next(iter(lists.values())).value_parent_indices()
        columns = {name: column.flatten() for name, column in lists.items()}
        records = pa.table({"recordid": stays["recordid"].take(of_stay), **columns})
    except (pa.ArrowException, KeyError, OSError) as error:
        raise DataError(
            f"{file} is not the excerpt of PhysioNet 2012 ({error}): expected the Parquet file "
            "that ships with sequela; install sequela again, or name the folder of the published "
            "files"
        ) from error
    yield "outcomes", outcomes.to_reader()
    yield "records", records.to_reader()


def _outcomes(root: Path, name: str) -> Path:
    places = (root / f"Outcomes-{name}.txt", root / "outcomes" / f"outcomes-{name}.txt")
    return next(filter(Path.is_file, places), places[0])


def _records(root: Path, sets: Iterable[str]) -> Iterator[pa.RecordBatch]:
    for name in sets:
        rows_of: dict[int, int] = {}
        # Set c has rows without a parameter, and the other sets have none.
        parameters = ("", *PARAMETERS) if name == "c" else PARAMETERS
        members = _members(root, name)
        while some := list(islice(members, _AT_ONCE)):
            yield from _read_together(some, rows_of, parameters).to_batches()
        published, rows = PUBLISHED.get(name, (0, 0))
        if len(rows_of) == published and sum(rows_of.values()) != rows:
            raise DataError(
                f"{root}/set-{name}: found {sum(rows_of.values()):,} rows in its {published:,} "
                f"records, expected {rows:,}, as published: a record was cut; fetch the set again"
            )


def _read_together(
    members: Sequence[Member], rows_of: dict[int, int], parameters: Sequence[str]
) -> pa.Table:
    """Parse and check some records, and add the number of rows of each to ``rows_of``."""
    ids, texts = [], []
    for place, content in members:
        stem = Path(place).stem
        if not re.fullmatch("[0-9]{1,15}", stem):
            raise DataError(f"{place}: expected a record named by its RecordID, as 132539.txt")
        if int(stem) in rows_of:
            raise DataError(f"{place} is a second {stem} in this set; remove one of them")
        ids.append(int(stem))
        texts.append(_rows(place, content, RECORDS))
        rows_of[ids[-1]] = texts[-1].count("\n")
    table, sizes = _parsed(members[0][0], "".join(texts), RECORDS), [rows_of[i] for i in ids]
    table = table.add_column(0, "recordid", pa.array(np.repeat(ids, sizes), pa.int64()))
    _check_records([place for place, _ in members], sizes, table, parameters)
    return table


def _check_records(
    places: Sequence[str], sizes: Sequence[int], table: pa.Table, parameters: Sequence[str]
) -> None:
    """Check the values of records, of which each has a place and a number of rows."""
    parameter, value, record_id = table["parameter"], table["value"], table["recordid"]
    ends = np.cumsum(sizes)
    for place, size, end in zip(places, sizes, ends.tolist(), strict=True):
        first = parameter[end - size].as_py() if size else "nothing"
        if first != "RecordID":
            raise DataError(
                f"{place}, line 2: found {first}, expected the record's RecordID: fetch the set "
                "again"
            )
    least, most = ANY_LIMITS
    wrong = pc.or_(pc.less(value, float(least)), pc.greater(value, float(most)))
    for name, (least, most) in LIMITS.items():
        out = pc.or_(pc.less(value, float(least)), pc.greater(value, float(most)))
        wrong = pc.if_else(pc.equal(parameter, name), out, wrong)
    # A record begins with its own id, which shows a file under a wrong name.
    of_another = pc.not_equal(value, pc.cast(record_id, pa.float64()))
    wrong = pc.if_else(pc.equal(parameter, "RecordID"), of_another, wrong)
    # -1 means unknown only for these parameters; for others it is an error.
    unknown = pc.and_(pc.equal(value, -1.0), pc.is_in(parameter, pa.array(DESCRIPTORS + PRESSURES)))
    wrong = pc.and_not(wrong, pc.or_(unknown, pc.equal(parameter, "")))
    # These three are codes, so a fraction can only come from damage.
    closed = pc.is_in(parameter, pa.array(["Gender", "ICUType", "MechVent"]))
    wrong = pc.or_(wrong, pc.and_(closed, pc.not_equal(value, pc.floor(value))))
    wrong = pc.or_(wrong, pc.invert(pc.is_in(parameter, pa.array(parameters))))
    if not pc.any(wrong, min_count=0).as_py():
        return
    row = pc.index(wrong, value=True).as_py()
    # The record of a row is the first one that ends after it.
    record = int(np.searchsorted(ends, row, side="right"))
    line = row - (ends - sizes)[record] + 2  # line 1 is the header
    name = parameter[row].as_py()
    least, most = LIMITS.get(name, ANY_LIMITS)
    expected = f"{least} to {most}" if name in PARAMETERS else "a variable of the challenge"
    expected = "the number in the record's name" if name == "RecordID" else expected
    raise DataError(
        f"{places[record]}, line {line}: found {name} of the form "
        f"{form_of(f'{value[row].as_py():g}')}, expected {expected}: "
        "fetch the set again"
    )


def _members(root: Path, name: str) -> Iterator[Member]:
    """Yield name and content of each record of a set, from a folder or an archive."""
    places = _set_places(root, name)
    place = next(filter(Path.exists, places), None)
    if place is None:
        raise DataNotFoundError(f"{places[0]}: not there, nor as .zip or .tar.gz")
    remedy = "fetch the set again"
    for member, content in opened.members(place, _EXPECTED, remedy, lambda n: n.endswith(".txt")):
        yield f"{place}/{member}", content


def _set_places(root: Path, name: str) -> list[Path]:
    return [root / f"set-{name}{end}" for end in ("", ".zip", ".tar.gz")]


def _schema(columns: dict[str, tuple[str, pa.DataType]]) -> list[tuple[str, pa.DataType]]:
    return list(columns.values())


def _table(place: str, content: bytes, columns: dict[str, tuple[str, pa.DataType]]) -> pa.Table:
    """Parse a published CSV text with our names of its columns."""
    return _parsed(place, _rows(place, content, columns), columns)


def _rows(place: str, content: bytes, columns: dict[str, tuple[str, pa.DataType]]) -> str:
    """Return the lines below the header of a published CSV text, once their form is checked."""
    types = {name: kind for name, (_, kind) in columns.items()}
    text = opened.as_text(content, place, _EXPECTED, ended=True)
    header, _, rows = text.partition("\n")
    if header.rstrip("\r") != ",".join(columns) or not _form(tuple(types.values())).fullmatch(rows):
        raise DataError(_problem(place, text, types))
    return rows


def _parsed(place: str, rows: str, columns: dict[str, tuple[str, pa.DataType]]) -> pa.Table:
    header = ",".join(columns)
    try:
        table = pacsv.read_csv(
            io.BytesIO(f"{header}\n{rows}".encode()),
            convert_options=pacsv.ConvertOptions(
                column_types={name: kind for name, (_, kind) in columns.items()},
                # No text means null: a blank or NA that was not published would hide damage.
                include_columns=list(columns),
                null_values=[],
            ),
        )
    except pa.ArrowException as error:
        raise DataError(
            f"{place}: {without_values(error)}; expected {_EXPECTED}: fetch it again"
        ) from None
    return table.rename_columns([ours for ours, _ in columns.values()])


@cache
def _form(kinds: Sequence[pa.DataType]) -> re.Pattern[str]:
    """Return the pattern of all rows of a published text: no field is blank."""
    # One match of the whole text is much faster than a match for each cell.
    cells = ",".join(f"(?:{_CELLS[kind][0]})" for kind in kinds)
    return re.compile(rf"(?:{cells}\r?\n)*")


def _problem(place: str, text: str, types: dict[str, pa.DataType]) -> str:
    expected = ",".join(types)
    try:
        rows = list(csv.reader(io.StringIO(text, newline="")))
    except csv.Error as error:
        return f"{place}: not a CSV file ({error}); expected {expected}: fetch it again"
    names = rows[0] if rows else []
    check_separator(place, names)
    if missing := [name for name in types if name not in names]:
        return f"{place}: no column '{missing[0]}' (found: {', '.join(names) or 'nothing'})"
    if names != list(types):
        return f"{place}, line 1: found {','.join(names)}; expected {expected}: fetch it again"
    for line, row in enumerate(rows[1:], start=2):
        if len(row) != len(names):
            return f"{place}, line {line}: {len(row)} columns; expected {len(names)}"
        for (name, kind), value in zip(types.items(), row, strict=True):
            form, words = _CELLS[kind]
            if not re.fullmatch(form, value):
                return (
                    f"{place}, line {line}: column '{name}' holds a value of the form "
                    f"{form_of(value)}; expected {words}"
                )
    return f"{place}: not in the form in which it was published; fetch it again"


RECORDS = {
    "Time": ("time", pa.large_string()),
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


def with_sets(sets: Sequence[str]) -> Source:
    """Return the source of some sets."""
    names = tuple(sorted({name.lower() for name in sets}))
    if unknown := [name for name in names if name not in SETS]:
        raise unknown_name("set of PhysioNet 2012", unknown[0], SETS)
    return replace(SOURCE, reads=partial(read, names=names))


SOURCE = replace(
    published("physionet2012"), reads=read, reads_unlabelled=read_unlabelled, with_options=with_sets
)
