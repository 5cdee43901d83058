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
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sequela.errors import DataError, DataNotFoundError
from sequela.sources import bonn, opened
from sequela.sources.csv_files import check_commas
from sequela.sources.recordings import Recording

if TYPE_CHECKING:
    import pyarrow as pa

CHUNK_TIMES = 178
N_CHUNKS = 23

_SAMPLES = [f"X{sample}" for sample in range(1, CHUNK_TIMES + 1)]
_ID_COLUMNS = ("", "Unnamed", "Unnamed: 0", "id")
_ROW_ID = re.compile(r"X([0-9]{1,4})\.(.+)")
_HEXADECIMAL = re.compile("[0-9][xX]")
"""The pattern of hexadecimal numbers: Arrow reads 0x10 as 16."""
_EXPECTED = f"a csv file of an id, X1 to X{CHUNK_TIMES}, and y"
_REMEDY = "use the file as published"


@dataclass(frozen=True)
class _File:
    """A csv file that was read whole.

    Attributes:
        path: Its path.
        text: Its content.
    """

    path: Path
    text: str


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
    """Read all recordings of a csv file, each (1, 4094), sorted by id.

    Args:
        path: The csv or csv.gz file, or a folder that holds one.

    Raises:
        DataNotFoundError: If there is no such file.
        DataError: If it is not as published.
    """
    place = _csv_file(path)
    file = _File(place, opened.text(place, _EXPECTED, _REMEDY, ended=True))
    names, values, labels = _columns(_table(file))
    rows = _rows_by_chunk(file, names, labels)
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
    """Read all rows of a csv file, of which some may be missing, and the column y too.

    Args:
        path: The csv or csv.gz file, or a folder that holds one.

    Raises:
        DataNotFoundError: If there is no such file.
        DataError: If a row is not a published one.
    """
    place = _csv_file(path)
    file = _File(place, opened.text(place, _EXPECTED, _REMEDY, ended=True))
    names, values, _ = _columns(_table(file, labelled=False))
    keys = list(_keys(file, names))
    return Chunks([id_ for id_, _ in keys], np.array([chunk for _, chunk in keys]), values)


def _keys(file: _File, names: list[str]) -> Iterator[tuple[str, int]]:
    """Yield the recording and chunk of each row, no two alike."""
    known = recording_ids()
    rows: dict[tuple[str, int], int] = {}
    for row, name in enumerate(names):
        match = _ROW_ID.fullmatch(name)
        if match is None or match[2] not in known or not 1 <= int(match[1]) <= N_CHUNKS:
            raise _fault(
                file,
                row,
                f"found id '{name[:30]}', expected X1 to X{N_CHUNKS}, a dot, and the name of a "
                f"recording, such as 'X21.V1.791'",
            )
        key = known[match[2]], int(match[1])
        if key in rows:
            first = _line(file, rows[key])
            raise _fault(file, row, f"found id '{name}' again, expected it only on line {first}")
        rows[key] = row
        yield key


def _rows_by_chunk(
    file: _File, names: list[str], labels: NDArray[np.int16]
) -> dict[tuple[str, int], int]:
    """Return the row of each recording's each chunk, after a check of ids and labels."""
    rows: dict[tuple[str, int], int] = {}
    for row, key in enumerate(_keys(file, names)):
        rows[key] = row
        expected = bonn.SETS.index(key[0][0]) + 1
        if labels[row] != expected:
            outside = "" if 1 <= labels[row] <= len(bonn.SETS) else " (outside 1 to 5)"
            raise _fault(
                file,
                row,
                f"found y = {labels[row]}{outside}, expected {expected} for '{names[row]}'",
            )
    _check_whole(file, rows, {recording_id: name for name, recording_id in recording_ids().items()})
    return rows


def _csv_file(path: Path) -> Path:
    """Return the one csv file at a path."""
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


def _header(file: _File, *, labelled: bool = True) -> list[str]:
    """Check the names of the columns; y may be missing where the rows need no label."""
    header = next(_fields(file), (0, []))[1]
    check_commas(file.path, header)
    expected = [*_SAMPLES, "y"] if labelled or "y" in header else _SAMPLES
    missing = [name for name in expected if name not in header]
    if missing:
        raise DataError(
            f"{file.path} line 1: column {missing[0]} is missing ({len(missing)} of 179 are), "
            f"expected an id, X1 to X{CHUNK_TIMES}, and y; {_REMEDY}"
        )
    if header[0] not in _ID_COLUMNS or header[1:] != expected:
        raise DataError(
            f"{file.path} line 1: the columns are in another order or there are others among them, "
            f"expected an id, X1 to X{CHUNK_TIMES}, and y; {_REMEDY}"
        )
    return ["id", *expected]


def _table(file: _File, *, labelled: bool = True) -> "pa.Table":
    """Read the file's rows: id as string, the rest as int16."""
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    header = _header(file, labelled=labelled)
    if next(_rows(file), None) is None:
        raise DataError(
            f"{file.path} line 1: found no row below it, expected one a chunk; {_REMEDY}"
        )
    if found := _HEXADECIMAL.search(file.text):
        raise _first_fault(file, f"'{found[0]}'")
    try:
        return arrow_csv.read_csv(
            io.BytesIO(file.text.encode()),
            arrow_csv.ReadOptions(column_names=header, skip_rows=1, use_threads=False),
            convert_options=arrow_csv.ConvertOptions(
                column_types={name: pa.string() if name == "id" else pa.int16() for name in header},
                null_values=[],
            ),
        )
    except (pa.ArrowException, OSError) as error:
        raise _first_fault(file, str(error)) from error


def _columns(
    table: "pa.Table",
) -> tuple[list[str], NDArray[np.int16], NDArray[np.int16]]:
    """Return ids (row,), samples (row, 178) and y (row,), 0 where there is none."""
    samples = np.column_stack([table[name].to_numpy() for name in _SAMPLES])
    none = np.zeros(table.num_rows, np.int16)
    labels = table["y"].to_numpy() if "y" in table.column_names else none
    return table["id"].to_pylist(), samples, labels


def _rows(file: _File) -> Iterator[tuple[int, list[str]]]:
    """Yield line number and fields of each row that is not empty, without the header."""
    found = _fields(file)
    next(found)
    yield from (each for each in found if each[1])


def _fields(file: _File) -> Iterator[tuple[int, list[str]]]:
    """Yield line number and fields of each row."""
    reader = csv.reader(io.StringIO(file.text, newline=""), strict=True)
    try:
        for fields in reader:
            yield reader.line_num, fields
    except csv.Error as error:
        raise DataError(
            f"{file.path} line {reader.line_num}: cannot be read ({error}): expected a csv file; "
            f"{_REMEDY}"
        ) from error


def _line(file: _File, row: int) -> int:
    """Return the line of a row."""
    return next(line for number, (line, _) in enumerate(_rows(file)) if number == row)


def _fault(file: _File, row: int, what: str) -> DataError:
    return DataError(f"{file.path} line {_line(file, row)}: {what}; {_REMEDY}")


def _first_fault(file: _File, reason: str) -> DataError:
    """Find the first error in a file of whole numbers, slowly, row by row."""
    names = next(_fields(file))[1]
    for line, fields in _rows(file):
        if len(fields) != len(names):
            what = f"found {len(fields)} fields, expected {len(names)}"
            return DataError(f"{file.path} line {line}: {what}; {_REMEDY}")
        for column, field in zip(names[1:], fields[1:], strict=True):
            if not bonn.is_sample(field):
                what = f"found '{field[:30]}' in column {column}, expected {bonn.SAMPLE}"
                return DataError(f"{file.path} line {line}: {what}; {_REMEDY}")
    return DataError(f"{file.path} cannot be read ({reason}): expected a csv file; {_REMEDY}")


def _check_whole(file: _File, rows: dict[tuple[str, int], int], names: dict[str, str]) -> None:
    """Raise unless each recording that is there has all its chunks."""
    for recording_id in sorted({recording_id for recording_id, _ in rows}):
        missing = [c for c in range(1, N_CHUNKS + 1) if (recording_id, c) not in rows]
        if missing:
            chunks = ", ".join(str(chunk) for chunk in missing)
            raise DataError(
                f"{file.path}: recording {recording_id} (name {names[recording_id]}) lacks chunk "
                f"{chunks} of {N_CHUNKS}: expected all, else its signal has a gap; {_REMEDY}"
            )
