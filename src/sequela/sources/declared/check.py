"""A row-by-row check of hospital tables against their declaration.

A message names rows by their numbers and states the expectation. It shows no value, so the list of
errors can be sent to the owner of the tables.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import narwhals as nw

from sequela.errors import DataError, DataNotFoundError, without_values
from sequela.files import temporary
from sequela.sources.declarations import Kind, Source, Table
from sequela.sources.declared.texts import text_of
from sequela.sources.engine import connect_duckdb, csv_problem, typed_text
from sequela.sources.events import is_built
from sequela.sources.hospitals import source_of
from sequela.sources.rows import BOUNDS, NO_FACT, holds
from sequela.sources.stored_tables import parquet_files
from sequela.sources.tables import check_columns, file_of, files_under, typed_blanks

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

ROW = "row number"
LISTED = 10
"""The number of rows that a message names."""
Frame = nw.LazyFrame[Any]


@dataclass(frozen=True)
class Fault:
    """Rows of a table that do not fit.

    Attributes:
        place: The file.
        rows: The numbers of the first of them, counted from 1 below the header.
        count: The number of such rows.
        problem: The problem, and the expectation.
        refused: Whether a build refuses them; else it sets them aside.
    """

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
        unnamed = self.count - len(self.rows)
        parts = [f"{row:,}" for row in self.rows] + [f"{unnamed:,} more"] * (unnamed > 0)
        named = " and ".join(filter(None, (", ".join(parts[:-1]), parts[-1])))
        aside = "" if self.refused else "set aside: "
        return f"{self.place}, row{'s' * (self.count > 1)} {named}: {aside}{self.problem}"


def check_rows(name: str, root: Path) -> Iterator[str]:
    """Yield the errors, a line each.

    Args:
        name: Name of the data set.
        root: The folder of the tables, or of events that were built from them.

    Raises:
        DataError: If a build would refuse a row, after all lines; or a file cannot be read.
    """
    if is_built(name, root):
        return
    found = faults(source_of(name, root), root)
    if found:
        yield "Rows are counted from 1 below the header."
    yield from (fault.line() for fault in found)
    if refused := sum(fault.refused for fault in found):
        raise DataError(
            f"{root}: {refused} of the above would stop a build; correct the rows, or their "
            "declaration in tables.toml"
        )


def faults(source: Source, root: Path) -> list[Fault]:
    """List the errors in the files of a folder.

    Args:
        source: The declarations.
        root: The folder.

    Raises:
        DataNotFoundError: If a required table is missing.
        DataError: If a file cannot be read, or lacks a column.
    """
    import duckdb

    with temporary() as work:
        connection = connect_duckdb(work)
        try:
            return list(_faults(source, root, connection))
        except duckdb.Error as error:
            words = csv_problem(str(error)) or f"{root}: {without_values(error)}"
            raise DataError(words) from None
        finally:
            connection.close()


def _faults(source: Source, root: Path, connection: "DuckDBPyConnection") -> Iterator[Fault]:
    files = files_under(root)
    frames: dict[str, Frame] = {}
    places: dict[str, str] = {}
    for table in source.tables:
        relation, place, present = _opened(table, root, files, connection)
        if relation is None:
            if table.required:
                raise DataNotFoundError(
                    f"{root}: no table {table.name}; expected {table.name}.csv, .csv.gz or "
                    ".parquet, as declared: add it, or correct the declaration"
                )
            continue
        kinds = {name: kind for name, kind in table.columns.items() if name in present}
        name = f"rows of {table.name}"
        _numbered(relation, kinds).create(name)
        kept = nw.from_native(connection.table(f'"{name}"'))
        yield from _of_kinds(kept, kinds, place)
        frames[table.name] = typed_blanks(kept, table, beside=(ROW,))
        places[table.name] = place
    for table in source.tables:
        if table.name in frames:
            yield from _of_rows(table, frames, places[table.name])


def _opened(
    table: Table, root: Path, files: Sequence[Path], connection: "DuckDBPyConnection"
) -> tuple[Any, str, list[str]]:
    """Open a table as text: its rows, its place, and its columns (empty if it is missing)."""
    path = file_of(table.name, files)
    paths = [path] if path else parquet_files(files, root).get(table.name.lower())
    if paths is None:
        return None, "", []
    relation, names = text_of(paths, connection)
    check_columns(table, names, str(paths[0]))
    return relation, str(paths[0].relative_to(root)), names


def _numbered(relation: Any, kinds: Mapping[str, Kind]) -> Any:
    """Return rows with their number, their values, and whether a value is not of its kind."""
    values = [typed_text(name, kind, None) for name, kind in kinds.items()]
    wrong = [
        f'trim("{name}") <> \'\' AND ({_bare(name, kind)}) IS NULL AS "{_wrong(name)}"'
        for name, kind in kinds.items()
        if kind is not Kind.TEXT
    ]
    return relation.project(", ".join([f'row_number() OVER () AS "{ROW}"', *values, *wrong]))


def _bare(name: str, kind: Kind) -> str:
    return typed_text(name, kind, None).removesuffix(f' AS "{name}"')


def _wrong(name: str) -> str:
    return f"{name} is of another kind"


def _of_kinds(rows: Frame, kinds: Mapping[str, Kind], place: str) -> Iterator[Fault]:
    for name, kind in kinds.items():
        if kind is not Kind.TEXT:
            problem = f"column '{name}' holds something else; expected {kind}"
            yield from _found(rows, nw.col(_wrong(name)), place, problem)


def _of_rows(table: Table, frames: Mapping[str, Frame], place: str) -> Iterator[Fault]:
    """Yield rules of a table that its rows break, and rows that give no event."""
    read = frames[table.name]
    bounds = {
        **{name: BOUNDS[kind] for name, kind in table.columns.items() if kind in BOUNDS},
        **table.ranges,
    }
    for column, (least, most) in bounds.items():
        outside = (nw.col(column) < least) | (nw.col(column) > most)
        problem = f"column '{column}' is out of range; expected {least} to {most}"
        yield from _found(read, outside, place, problem)
    if table.key:
        copies = read.group_by(*table.key).agg(copies=nw.len())
        twice = read.join(copies, on=list(table.key), how="inner")
        problem = f"several rows have one {' and '.join(table.key)}; expected one"
        yield from _found(twice, nw.col("copies") > 1, place, problem)
    rows = table.prepare(read, frames) if table.prepare else read
    for check in table.checks:
        broken = list(_found(rows, check.where, place, f"{check.problem}: {check.remedy}"))
        total = _count(read if check.among is None else rows.filter(check.among))
        yield from (each for each in broken if each.count > check.share * total)
    yield from _aside(table, rows, place)


def _aside(table: Table, rows: Frame, place: str) -> Iterator[Fault]:
    """Yield rows that give no event, by reason."""
    before = nw.lit(value=False)
    for why, where in table.aside.items():
        yield from _found(rows, holds(where) & ~before, place, why, refused=False)
        before = before | holds(where)
    if table.facts:
        gives = nw.lit(value=False)
        for fact in table.facts:
            all_hold = nw.lit(value=True)
            for condition in fact.conditions():
                all_hold = all_hold & holds(condition)
            gives = gives | all_hold
        yield from _found(rows, ~before & ~gives, place, NO_FACT, refused=False)


def _found(
    rows: Frame, where: nw.Expr, place: str, problem: str, *, refused: bool = True
) -> Iterator[Fault]:
    """Yield a fault for the rows with a condition, if there are any."""
    chosen = rows.filter(holds(where)).select(nw.col(ROW)).unique()
    count = _count(chosen)
    if count:
        first = chosen.sort(ROW).head(LISTED).collect("pyarrow").to_native()[ROW].to_pylist()
        yield Fault(place, tuple(first), count, problem, refused)


def _count(rows: Frame) -> int:
    return int(rows.select(rows=nw.len()).collect("pyarrow").to_native()["rows"][0].as_py())
