"""UCI 'Epileptic Seizure Recognition': the Bonn recordings cut into chunks of 178 samples.

A row is one chunk: its id, X1..X178 in µV, and y (1 seizure, 2 tumour area, 3 healthy area, 4 eyes
closed, 5 eyes open). The id is ``X{chunk}.{name}``, where the name is the text after the *first*
dot and belongs to one recording. The names are the output of R's ``make.unique(sep = "")`` for V1,
V1.1 .. V1.99 repeated for the sets in the order Z, O, N, F, S: ``V1.6`` is Z007, ``V1.791`` is
O080, ``V1.614`` is F007. So neither the number at the end nor any other part of a name identifies
the recording; only the whole name does.
"""

import csv
import io
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sequela.datasets.recordings import Recording
from sequela.errors import DataError, DataNotFoundError
from sequela.formats import opened
from sequela.formats.csv_files import check_separator
from sequela.signals import bonn

CHUNK_TIMES = 178
N_CHUNKS = 23

_SAMPLES = [f"X{sample}" for sample in range(1, CHUNK_TIMES + 1)]
_ID_COLUMNS = ("", "Unnamed", "Unnamed: 0", "id")
_ROW_ID = re.compile(r"X([0-9]{1,4})\.(.+)")
_EXPECTED = f"a csv file of an id, X1 to X{CHUNK_TIMES}, and y"
_REMEDY = "use the file as published"


@dataclass(frozen=True)
class _Table:
    """The rows of a csv file: line and id of each, and int16 (row, column), the other columns."""

    path: Path
    lines: list[int]
    ids: list[str]
    values: NDArray[np.int16]

    @property
    def samples(self) -> NDArray[np.int16]:
        return self.values[:, :CHUNK_TIMES]

    def fault(self, row: int, what: str) -> DataError:
        return DataError(f"{self.path} line {self.lines[row]}: {what}; {_REMEDY}")


def make_unique(names: Iterable[str]) -> list[str]:
    """Make names unique as R's ``make.unique(names, sep = "")`` does.

    The first of equal names stays; each later one gets the smallest number, counted on from the
    last one given to that name, that makes a name not yet in use, be it given or made.

    Example:
        >>> make_unique(["a", "a", "a2", "a"])
        ['a', 'a1', 'a2', 'a3']
    """
    given = list(names)
    in_use = set(given)
    next_number: dict[str, int] = {}
    unique = []
    for name in given:
        made = name
        if name in next_number:
            while (made := f"{name}{next_number[name]}") in in_use:
                next_number[name] += 1
            in_use.add(made)
        next_number[name] = next_number.get(name, 0) + 1
        unique.append(made)
    return unique


def recording_ids() -> dict[str, str]:
    """Return the recording that each of the 500 names belongs to.

    Example:
        >>> ids = recording_ids()
        >>> ids["V1.6"], ids["V1.791"], ids["V1.614"]
        ('Z007', 'O080', 'F007')
    """
    a_set = ["V1", *(f"V1.{number}" for number in range(1, 100))]
    ids = [f"{letter}{number:03d}" for letter in bonn.PUBLISHED_ORDER for number in range(1, 101)]
    return dict(zip(make_unique(a_set * len(bonn.PUBLISHED_ORDER)), ids, strict=True))


def read(path: Path) -> list[Recording]:
    """Read all recordings of a csv file, each (1, 4094), sorted by id."""
    table = _table(_csv_file(path))
    rows, values = _rows_by_chunk(table), table.samples
    return bonn.with_sessions(
        [
            bonn.recording(
                recording_id,
                values[[rows[recording_id, chunk] for chunk in range(1, N_CHUNKS + 1)]].reshape(-1),
            )
            for recording_id in sorted({recording_id for recording_id, _ in rows})
        ]
    )


@dataclass(frozen=True)
class Chunks:
    """Rows of a csv file, in its order.

    Attributes:
        recording_id: Recording of each row.
        chunk: int64 (row,), number of the chunk in its recording, from 1.
        values: int16 (row, 178), in µV.
    """

    recording_id: list[str]
    chunk: NDArray[np.int64]
    values: NDArray[np.int16]


def read_unlabelled(path: Path) -> Chunks:
    """Read all rows of a csv file, of which some may be missing, and the column y too."""
    table = _table(_csv_file(path), labelled=False)
    keys = list(_keys(table))
    return Chunks([id_ for id_, _ in keys], np.array([chunk for _, chunk in keys]), table.samples)


def _keys(table: _Table) -> Iterator[tuple[str, int]]:
    """Yield the recording and chunk of each row, no two alike."""
    known = recording_ids()
    rows: dict[tuple[str, int], int] = {}
    for row, name in enumerate(table.ids):
        match = _ROW_ID.fullmatch(name)
        if match is None or match[2] not in known or not 1 <= int(match[1]) <= N_CHUNKS:
            raise table.fault(
                row,
                f"found id '{name[:30]}', expected X1 to X{N_CHUNKS}, a dot, and the name of a "
                f"recording, such as 'X21.V1.791'",
            )
        key = known[match[2]], int(match[1])
        if key in rows:
            first = table.lines[rows[key]]
            raise table.fault(row, f"found id '{name}' again, expected it only on line {first}")
        rows[key] = row
        yield key


def _rows_by_chunk(table: _Table) -> dict[tuple[str, int], int]:
    """Return the row of each recording's each chunk, after a check of ids and labels."""
    rows: dict[tuple[str, int], int] = {}
    for row, key in enumerate(_keys(table)):
        rows[key] = row
        label, expected = table.values[row, -1], bonn.SETS.index(key[0][0]) + 1
        if label != expected:
            outside = "" if 1 <= label <= len(bonn.SETS) else " (outside 1 to 5)"
            raise table.fault(
                row, f"found y = {label}{outside}, expected {expected} for '{table.ids[row]}'"
            )
    names = {recording_id: name for name, recording_id in recording_ids().items()}
    for recording_id in sorted({recording_id for recording_id, _ in rows}):
        missing = [c for c in range(1, N_CHUNKS + 1) if (recording_id, c) not in rows]
        if missing:
            chunks = ", ".join(str(chunk) for chunk in missing)
            raise DataError(
                f"{table.path}: recording {recording_id} (name {names[recording_id]}) lacks chunk "
                f"{chunks} of {N_CHUNKS}: expected all, else its signal has a gap; {_REMEDY}"
            )
    return rows


def _csv_file(path: Path) -> Path:
    if path.is_file():
        return path
    if not path.is_dir():
        raise DataNotFoundError(f"{path} does not exist: expected the csv file or its folder")
    files = sorted(
        each for each in path.iterdir() if each.name.lower().endswith((".csv", ".csv.gz"))
    )
    if len(files) != 1:
        found = ", ".join(each.name for each in files) or "none"
        error = DataError if files else DataNotFoundError
        raise error(
            f"{path}: found {found}, expected one .csv or .csv.gz file; name it with --root"
        )
    return files[0]


def _header(path: Path, header: list[str], *, labelled: bool) -> list[str]:
    """Check the names of the columns; y may be missing where the rows need no label."""
    check_separator(path, header)
    expected = [*_SAMPLES, "y"] if labelled or "y" in header else _SAMPLES
    missing = [name for name in expected if name not in header]
    if missing:
        raise DataError(
            f"{path} line 1: column {missing[0]} is missing ({len(missing)} of 179 are), "
            f"expected an id, X1 to X{CHUNK_TIMES}, and y; {_REMEDY}"
        )
    if header[0] not in _ID_COLUMNS or header[1:] != expected:
        raise DataError(
            f"{path} line 1: the columns are in another order or there are others among them, "
            f"expected an id, X1 to X{CHUNK_TIMES}, and y; {_REMEDY}"
        )
    return header


def _table(path: Path, *, labelled: bool = True) -> _Table:
    text = opened.text(path, _EXPECTED, _REMEDY, ended=True)
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    lines, ids, values = list[int](), list[str](), list[NDArray[np.int16]]()
    sample = cache(lambda text: int(text) if bonn.is_sample(text) else None)
    try:
        names = _header(path, next(reader, []), labelled=labelled)
        for fields in filter(None, reader):
            where = f"{path} line {reader.line_num}"
            if len(fields) != len(names):
                what = f"found {len(fields)} fields, expected {len(names)}"
                raise DataError(f"{where}: {what}; {_REMEDY}")
            row = [sample(field) for field in fields[1:]]
            if None in row:
                at = row.index(None) + 1
                what = f"found '{fields[at][:30]}' in column {names[at]}, expected {bonn.SAMPLE}"
                raise DataError(f"{where}: {what}; {_REMEDY}")
            lines.append(reader.line_num)
            ids.append(fields[0])
            values.append(np.array(row, np.int16))
    except csv.Error as error:
        raise DataError(
            f"{path} line {reader.line_num}: cannot be read ({error}): expected a csv file; "
            f"{_REMEDY}"
        ) from error
    if not values:
        raise DataError(f"{path} line 1: found no row below it, expected one a chunk; {_REMEDY}")
    return _Table(path, lines, ids, np.array(values))
