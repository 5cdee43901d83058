"""Checks of hospital tables: as a build does, and row by row against their declaration.

A message names rows by their numbers and states the expectation. It shows no value, so the list of
errors can be sent to the owner of the tables.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_
from pathlib import Path
from typing import TYPE_CHECKING

import narwhals as nw

from sequela.errors import DataError, DataNotFoundError
from sequela.files import temporary
from sequela.formats.csv_files import PLAIN, Format
from sequela.tables.account import Account
from sequela.tables.build import build
from sequela.tables.built_events import is_built
from sequela.tables.declarations import Condition, Frame, Kind, Source, Table
from sequela.tables.engine import typed_text
from sequela.tables.hospitals import source_of
from sequela.tables.rows import NO_FACT, gives_event, holds, out_of_range
from sequela.tables.stored_tables import (
    connection_for,
    file_of,
    files_under,
    parquet_files,
    sheets,
    text_of,
)
from sequela.tables.tables import check_columns, typed_blanks

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection, DuckDBPyRelation

ROW = "row number"
LISTED = 10
"""The number of rows that a message names."""


@dataclass(frozen=True)
class Fault:
    """Rows of a table that do not fit: their count, the first of them, whether a build stops."""

    place: str
    rows: tuple[int, ...]
    count: int
    problem: str
    refused: bool = True

    def line(self) -> str:
        """Format the fault in one line.

        Example:
            >>> Fault("stays.csv", (3, 8), 40, "left before admitted").line()
            'stays.csv, rows 3, 8 and 38 more: left before admitted'
        """
        parts = [f"{row:,}" for row in self.rows]
        if self.count > len(self.rows):
            parts.append(f"{self.count - len(self.rows):,} more")
        numbers = " and ".join(filter(None, (", ".join(parts[:-1]), parts[-1])))
        aside = "" if self.refused else "set aside: "
        rows = "row" if self.count == 1 else "rows"
        return f"{self.place}, {rows} {numbers}: {aside}{self.problem}"


def check(
    name: str,
    root: Path | str,
    changed: Collection[str] = (),
    allow_set_aside: Collection[str] = (),
) -> Account:
    """Read a hospital data set as a build does, and keep nothing but the log.

    The events are written to a folder of the system for temporary files (``TMPDIR``), because
    duplicates are found only after sorting, and memory may be too small.
    """
    built = isinstance(root, Path) and is_built(name, root)
    with temporary() as folder:
        source = source_of("meds" if built else name, root)
        events = folder / "events"
        return build(source, root, events, changed=changed, allow_set_aside=allow_set_aside)


def check_rows(name: str, root: Path) -> Iterator[str]:
    """Yield the errors, a line each."""
    if is_built(name, root):
        return
    errors = faults(source_of(name, root), root)
    if errors:
        yield "Rows are counted from 1 below the header."
    yield from (fault.line() for fault in errors)
    if refused := sum(fault.refused for fault in errors):
        raise DataError(
            f"{root}: {refused} of the above would stop a build; correct the rows, or their "
            "declaration in tables.toml"
        )


def faults(source: Source, root: Path) -> list[Fault]:
    """List the errors in the files of a folder."""
    with connection_for(root) as connection:
        return list(_faults(source, root, connection))


def _faults(source: Source, root: Path, connection: "DuckDBPyConnection") -> Iterator[Fault]:
    files = files_under(root)
    frames: dict[str, Frame] = {}
    places: dict[str, str] = {}
    for table in source.tables:
        relation, place, present, form = _opened(table, root, files, connection)
        if relation is None:
            if table.required:
                raise DataNotFoundError(
                    f"{root}: no table {table.name}; expected {table.name}.csv, .csv.gz, .csv.zip, "
                    ".parquet or a sheet of an .xlsx, as declared: add it, or correct the "
                    "declaration"
                )
            continue
        kinds = {name: kind for name, kind in table.columns.items() if name in present}
        name = f"rows of {table.name}"
        _numbered(relation, kinds, form).create(name)
        rows = nw.from_native(connection.table(f'"{name}"'))
        for column, kind in kinds.items():
            if kind is not Kind.TEXT:
                problem = f"column '{column}' holds something else; expected {kind.words}"
                yield from _fault(rows, nw.col(_wrong(column)), place, problem)
        frames[table.name] = typed_blanks(rows, table, more=(ROW,))
        places[table.name] = place
    for table in source.tables:
        if table.name in frames:
            yield from _of_rows(table, frames, places[table.name])


def _opened(
    table: Table, root: Path, files: Sequence[Path], connection: "DuckDBPyConnection"
) -> "tuple[DuckDBPyRelation | None, str, list[str], Format]":
    """Open a table as text: its rows, place, columns (empty if it is missing) and form."""
    path = file_of(table.name, files)
    name = table.name.lower()
    paths = [path] if path else parquet_files(files, root).get(name) or sheets(files).get(name)
    if paths is None:
        return None, "", [], PLAIN
    relation, names = text_of(paths, connection, table.format)
    check_columns(table, names, str(paths[0]))
    form = table.format if path else Format(date=table.format.date)
    return relation, str(paths[0].relative_to(root)), names, form


def _numbered(
    relation: "DuckDBPyRelation", kinds: Mapping[str, Kind], form: Format
) -> "DuckDBPyRelation":
    """Return rows with their number, their values, and whether a value is not of its kind."""
    values = {name: typed_text(name, kind, None, form) for name, kind in kinds.items()}
    bare = {name: text.removesuffix(f' AS "{name}"') for name, text in values.items()}
    wrong = [
        f'trim("{name}") <> \'\' AND ({bare[name]}) IS NULL AS "{_wrong(name)}"'
        for name, kind in kinds.items()
        if kind is not Kind.TEXT
    ]
    number = f'row_number() OVER () AS "{ROW}"'
    return relation.project(", ".join([number, *values.values(), *wrong]))


def _wrong(name: str) -> str:
    return f"{name} is of another kind"


def _of_rows(table: Table, frames: Mapping[str, Frame], place: str) -> Iterator[Fault]:
    """Yield rules of a table that its rows break, and rows that give no event."""
    read = frames[table.name]
    for column, (outside, expected) in out_of_range(table).items():
        problem = f"column '{column}' is out of range; expected {expected}"
        yield from _fault(read, outside, place, problem)
    if table.key:
        copies = read.group_by(*table.key).agg(copies=nw.len())
        twice = read.join(copies, on=list(table.key), how="inner")
        problem = f"several rows have one {' and '.join(table.key)}; expected one"
        yield from _fault(twice, nw.col("copies") > 1, place, problem)
    rows = table.prepare(read, frames) if table.prepare else read
    for check in table.checks:
        broken = list(_fault(rows, check.where, place, f"{check.problem}: {check.remedy}"))
        total = _count(read if check.among is None else rows.filter(holds(check.among)))
        yield from (fault for fault in broken if fault.count > check.share * total)
    yield from _aside(table, rows, place)


def _aside(table: Table, rows: Frame, place: str) -> Iterator[Fault]:
    """Yield rows that give no event, by reason."""
    before = nw.lit(value=False)
    for why, where in table.aside.items():
        yield from _fault(rows, holds(where) & ~before, place, why, refused=False)
        before = before | holds(where)
    if table.facts:
        gives = reduce(or_, map(gives_event, table.facts))
        yield from _fault(rows, ~before & ~gives, place, NO_FACT, refused=False)


def _fault(
    rows: Frame, where: Condition, place: str, problem: str, *, refused: bool = True
) -> Iterator[Fault]:
    """Yield a fault for the rows with a condition, if there are any."""
    numbers = rows.filter(holds(where)).select(nw.col(ROW)).unique()
    count = _count(numbers)
    if count:
        first = numbers.sort(ROW).head(LISTED).collect("pyarrow").to_native()[ROW].to_pylist()
        yield Fault(place, tuple(first), count, problem, refused)


def _count(rows: Frame) -> int:
    return int(rows.select(rows=nw.len()).collect("pyarrow").to_native()["rows"][0].as_py())
