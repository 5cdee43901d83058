"""PhysioNet/CinC Challenge 2012: 48 hours of intensive care, one text file per stay.

The times its facts were known are in ``declared/physionet2012.toml``.

The files: https://physionet.org/content/challenge-2012/1.0.0/. The excerpt that ships with the
package is one Parquet file: a row a stay, its measurements as lists.
"""

import io
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
from pyarrow import parquet

from sequela.errors import DataError, DataNotFoundError, form_of, unknown_name
from sequela.formats import opened
from sequela.tables.declarations import Batches, Source
from sequela.tables.declared.source import published

SETS = ("a", "b", "c")
# The published sets: number of records, and of the rows of all of them.
PUBLISHED = {"a": (4_000, 1_757_980)}

Member = tuple[str, bytes]

_AT_ONCE = 500  # records that are parsed and checked together
_EXPECTED = "a text file of the challenge as published"
_WHOLE = "-?[0-9]{1,15}"
_NUMBER = rf"{_WHOLE}(?:\.[0-9]{{1,15}})?(?:e[-+]?[0-9]{{1,2}})?"
# Of each published column: our name, its type, and the form of its cells.
RECORDS = {
    "Time": ("time", pa.large_string(), r"(?:[0-3][0-9]|4[0-7]):[0-5][0-9]|48:00"),
    "Parameter": ("parameter", pa.string(), "[A-Za-z0-9]*"),  # blank in 2,403 rows of set c
    "Value": ("value", pa.float64(), _NUMBER),
}
OUTCOMES = {
    "RecordID": ("recordid", pa.int64(), _WHOLE),
    "SAPS-I": ("saps_i", pa.float64(), _NUMBER),
    "SOFA": ("sofa", pa.float64(), _NUMBER),
    "Length_of_stay": ("length_of_stay", pa.int64(), _WHOLE),
    "Survival": ("survival", pa.int64(), _WHOLE),
    "In-hospital_death": ("in_hospital_death", pa.int64(), _WHOLE),
}
Columns = dict[str, tuple[str, pa.DataType, str]]


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
    texts = [_rows(str(path), opened.content(path, _EXPECTED), OUTCOMES) for path in paths]
    for path, text in zip(paths, texts, strict=True):
        if not text:
            raise DataError(f"{path}: found no row, expected one a stay: fetch it again")
    yield "outcomes", _parsed("".join(texts), OUTCOMES).to_reader()
    schema = _schema(RECORDS).insert(0, pa.field("recordid", pa.int64()))
    yield "records", pa.RecordBatchReader.from_batches(schema, _records(root, sets))


def read_unlabelled(root: Path) -> Batches:
    """Read sets without known outcomes: the table ``outcomes`` is empty then."""
    if root.suffix == ".parquet" or any(_outcomes(root, name).is_file() for name in SETS):
        yield from read(root)
        return
    sets = [name for name in SETS if any(p.exists() for p in _set_places(root, name))]
    if not sets:
        raise DataNotFoundError(f"{root}: no set-a; expected a folder, .zip or .tar.gz of records")
    yield "outcomes", _schema(OUTCOMES).empty_table().to_reader()
    schema = _schema(RECORDS).insert(0, pa.field("recordid", pa.int64()))
    yield "records", pa.RecordBatchReader.from_batches(schema, _records(root, sets))


def _excerpt(file: Path) -> Batches:
    try:
        stays = parquet.read_table(file).combine_chunks()
        outcomes = stays.select(_schema(OUTCOMES).names)
        lists = {name: stays[name].chunk(0) for name in _schema(RECORDS).names}
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
        members = _members(root, name)
        while some := list(islice(members, _AT_ONCE)):
            yield from _read_together(some, rows_of).to_batches()
        published, rows = PUBLISHED.get(name, (0, 0))
        if len(rows_of) == published and sum(rows_of.values()) != rows:
            raise DataError(
                f"{root}/set-{name}: found {sum(rows_of.values()):,} rows in its {published:,} "
                f"records, expected {rows:,}, as published: a record was cut; fetch the set again"
            )


def _read_together(members: Sequence[Member], rows_of: dict[int, int]) -> pa.Table:
    """Parse some records, and add the number of rows of each to ``rows_of``."""
    ids, texts = [], []
    for place, content in members:
        stem = Path(place).stem
        if not re.fullmatch("[0-9]{1,15}", stem):
            raise DataError(f"{place}: expected a record named by its RecordID, as 132539.txt")
        if int(stem) in rows_of:
            raise DataError(f"{place} is a second {stem} in this set; remove one of them")
        ids.append(int(stem))
        texts.append(_rows(place, content, RECORDS))
        # A record begins with its own id, which shows a file under a wrong name.
        if not re.match(rf"00:00,RecordID,{stem}\r?\n", texts[-1]):
            raise DataError(f"{place}, line 2: expected its RecordID: fetch the set again")
        rows_of[ids[-1]] = texts[-1].count("\n")
    sizes = [rows_of[number] for number in ids]
    table = _parsed("".join(texts), RECORDS)
    return table.add_column(0, "recordid", pa.array(np.repeat(ids, sizes), pa.int64()))


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


def _schema(columns: Columns) -> pa.Schema:
    return pa.schema([(name, kind) for name, kind, _ in columns.values()])


def _rows(place: str, content: bytes, columns: Columns) -> str:
    """Return the lines below the header of a published CSV text, once their form is checked."""
    header, _, rows = opened.as_text(content, place, _EXPECTED, ended=True).partition("\n")
    row = ",".join(f"(?:{form})" for _, _, form in columns.values()) + r"\r?"
    # One match of the whole text is much faster than a match for each cell.
    if header.rstrip("\r") == ",".join(columns) and re.fullmatch(f"(?:{row}\n)*", rows):
        return rows
    lines = [header, *rows.split("\n")]
    wrong = (n for n, line in enumerate(lines[1:], start=2) if not re.fullmatch(row, line))
    line = next(wrong) if header.rstrip("\r") == ",".join(columns) else 1
    text = lines[line - 1][:80]
    fault = f"a line of the form {form_of(text)}" if text else "an empty line"
    raise DataError(
        f"{place}, line {line}: found {fault}; expected {','.join(columns)} as published: fetch it "
        "again"
    )


def _parsed(rows: str, columns: Columns) -> pa.Table:
    """Parse lines whose form is checked, with our names of their columns."""
    return pacsv.read_csv(
        io.BytesIO(rows.encode()),
        read_options=pacsv.ReadOptions(column_names=_schema(columns).names),
        # No text means null: a blank or NA that was not published would hide damage.
        convert_options=pacsv.ConvertOptions(column_types=_schema(columns), null_values=[]),
    )


def with_sets(sets: Sequence[str]) -> Source:
    """Return the source of some sets."""
    names = tuple(sorted({name.lower() for name in sets}))
    if unknown := [name for name in names if name not in SETS]:
        raise unknown_name("set of PhysioNet 2012", unknown[0], SETS)
    return replace(SOURCE, reads=partial(read, names=names))


SOURCE = replace(
    published("physionet2012"), reads=read, reads_unlabelled=read_unlabelled, with_options=with_sets
)
