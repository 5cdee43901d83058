"""The tables of a source, found under a root and read with their declared columns and kinds."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import partial
from itertools import chain
from pathlib import Path

import narwhals as nw
import pyarrow as pa

from sequela.errors import DataError, DataNotFoundError, SequelaError, SettingError, unknown_name
from sequela.formats.opened import Sums
from sequela.tables.declarations import Batches, Frame, Kind, Source, Table
from sequela.tables.engine import Engine
from sequela.tables.odbc import OdbcDatabase, harmless, is_odbc
from sequela.tables.postgres import Database, database_of, is_address
from sequela.tables.published import Publication
from sequela.tables.stored_tables import (
    EXCEL,
    CsvFiles,
    DuckDBFile,
    OtherFiles,
    Stored,
    files_under,
    is_csv,
    is_duckdb,
    sheets,
)

DTYPES = {
    Kind.INTEGER: nw.Int64(),
    Kind.NUMBER: nw.Float64(),
    Kind.TEXT: nw.String(),
    Kind.TIME: nw.Datetime("us"),
}


@dataclass(frozen=True)
class Tables:
    """The tables found under a root."""

    frames: Mapping[str, Frame]  # table to its rows, with all declared columns
    places: Mapping[str, str]  # table to its place
    # Tables that are present but not read, and own ones that are declared and absent.
    not_read: tuple[str, ...]
    # Table to its file, where it was read from one.
    files: Mapping[str, Path] = field(default_factory=dict)
    # The same tables to the state of their checksums.
    proofs: Mapping[str, str] = field(default_factory=dict)
    publication: Publication | None = None


def read_tables(
    source: Source,
    root: Path | str,
    engine: Engine,
    only: Collection[str] | None = None,
    changed: Collection[str] = (),
) -> Tables:
    """Read the tables of ``source`` under ``root``, with the arguments of :func:`build.build`.

    ``only`` are the names of its ``tables``: those to read besides the required ones.
    """
    declared = _declared(source, only)
    check_names(source, changed)
    if source.reads and isinstance(root, Path):
        batches = source.reads(root)
        if batches is not None:
            return _hand_over(batches, declared, root, engine)
    files, publication, stores = _stores(source, root, changed)
    frames: dict[str, Frame] = {}
    tables: dict[str, Stored] = {}
    with ExitStack() as opened:
        for store in stores:
            opened.callback(store.close)
        for table in declared:
            # The first store with the table counts: csv files, then others.
            stored = next(filter(None, (store.table(table.name) for store in stores)), None)
            if stored is not None:
                check_columns(table, stored.columns, stored.full)
                kinds = {n: kind for n, kind in table.columns.items() if n in stored.columns}
                frames[table.name] = typed_blanks(stored.scan(kinds, engine), table)
                tables[table.name] = stored
            elif table.required:
                raise _missing(source, table, stores[0].place, files if publication else None)
    places = {name: stored.place for name, stored in tables.items()}
    is_private = source.name == "tables"  # a publication leaves tables out
    absent = [table.name for table in declared if is_private and table.name not in tables]
    if publication is None:
        return Tables(frames, places, tuple(absent))
    # Files are verified while an engine reads them; tables of other stores have no published form.
    read = {*chain.from_iterable(stored.files for stored in tables.values())}
    firsts = {name: stored.files[0] for name, stored in tables.items()}
    csv = {name: path for name, path in firsts.items() if is_csv(path)}
    forms = {table.name: table.format for table in declared}
    checks = {n: partial(publication.prove, n, path, form=forms[n]) for n, path in csv.items()}
    computed, proofs = engine.keep_all({name: frames[name] for name in csv}, csv, checks)
    rest = [path for path in files if path.suffix in {".csv", ".gz", ".zip", ".parquet"}]
    books = [path for path in files if path.suffix.lower() == EXCEL]
    rest += chain(*sheets(books).values()) if is_private else books
    not_read = sorted(str(path.relative_to(root)) for path in rest if path not in read)
    return Tables(frames | computed, places, (*absent, *not_read), csv, proofs, publication)


def _stores(
    source: Source, root: Path | str, changed: Collection[str]
) -> tuple[list[Path], Publication | None, list[CsvFiles | DuckDBFile]]:
    """Open the stores of a root; for a folder also list its files, and their publication."""
    if isinstance(root, str):
        if source.reads:
            raise SettingError(
                f"{source.name} is not read from a database or address: name a folder with --root"
            )
        if is_odbc(root):
            return [], None, [OdbcDatabase(root)]
        return [], None, [Database(root)]
    if not source.reads and is_duckdb(root):
        return [], None, [DuckDBFile(root)]
    publication = Publication.at(root, source.name, changed)
    files = files_under(root)
    stores: list[CsvFiles | DuckDBFile] = [CsvFiles(root, files, publication, source)]
    if not source.reads and any(path.suffix.lower() in {".parquet", EXCEL} for path in files):
        stores.append(OtherFiles(root, files, source))
    return files, publication, stores


def shown(root: Path | str) -> str:
    """Return a root for messages, of an address without user and password."""
    if is_odbc(root):
        return harmless(str(root))
    return database_of(str(root)) if is_address(root) else str(root)


def typed_blanks(frame: Frame, table: Table) -> Frame:
    """Return the declared columns of a table, null where text is empty or the column absent."""
    present = set(frame.collect_schema().names())
    columns = {}
    for name, kind in table.columns.items():
        column = nw.col(name) if name in present else nw.lit(None, DTYPES[kind])
        # An empty text would be a value of its own in codes and joins.
        if kind is Kind.TEXT and name in present:
            column = nw.when(column != "").then(column)
        columns[name] = column
    return frame.select(**columns)


def check_names(source: Source, names: Collection[str]) -> None:
    """Check that a source declares tables of these names, in either case."""
    declared = [table.name for table in source.tables]
    for name in names:
        if name.lower() not in map(str.lower, declared):
            raise unknown_name("table", name, declared)


def check_columns(table: Table, columns: Collection[str], place: str) -> None:
    """Check that all required columns are there."""
    for column in table.columns:
        if column in columns or column in table.optional:
            continue
        near = get_close_matches(column, columns, n=1)
        hint = f"; is it '{near[0]}'?" if near else ""
        raise DataError(
            f"{place}: no column '{column}' (found: {', '.join(columns)}){hint}; "
            f"expected the columns of {table.name} as published"
        )


def _hand_over(batches: Batches, tables: list[Table], root: Path, engine: Engine) -> Tables:
    declared = {table.name: table for table in tables}
    sums = Sums.beside(root) if root.is_dir() else None
    place = f"{root} ({sums.check_all()})" if sums else str(root)
    frames: dict[str, Frame] = {}
    rest: list[str] = []
    for name, rows in batches:
        if (table := declared.get(name)) is None:
            continue
        if isinstance(rows, list):
            frame = engine.read_parquet(rows)
        else:
            frame = _read_batches(name, rows, engine)
        names = frame.collect_schema().names()
        rest += [f"column {column} of {name}" for column in names if column not in table.columns]
        frames[name] = typed_blanks(frame, table)
    return Tables(frames, dict.fromkeys(frames, place), tuple(rest))


def _read_batches(name: str, reader: pa.RecordBatchReader, engine: Engine) -> Frame:
    """Read batches, and raise their own error instead of the engine's."""
    errors: list[SequelaError] = []

    def watched() -> Iterator[pa.RecordBatch]:
        try:
            yield from reader
        except SequelaError as error:
            errors.append(error)
            raise

    try:
        batches = pa.RecordBatchReader.from_batches(reader.schema, watched())
        return engine.read_batches(name, batches)
    except Exception:
        # The engine's own error hides the words of the reader's.
        if errors:
            raise errors[0] from None
        raise


def _declared(source: Source, only: Collection[str] | None) -> list[Table]:
    """Return the declared tables, or those of ``only`` and the ones that each build needs."""
    if only is None:
        return list(source.tables)
    check_names(source, only)
    names = {name.lower() for name in only}
    # Tables without facts describe codes or people, which the selected tables need.
    return [t for t in source.tables if t.required or not t.facts or t.name.lower() in names]


def _missing(
    source: Source, table: Table, place: str, files: Collection[Path] | None
) -> DataNotFoundError:
    data_set, forms = source.data_set, ""
    if files is not None:
        names = ", ".join(sorted(path.name for path in files)[:12]) or "nothing"
        forms = f" (as .csv, .csv.gz, .csv.zip or .parquet, in either case; found: {names})"
    return DataNotFoundError(
        f"{place}: no table {table.name}{forms}; expected {data_set.title}: {data_set.how_to_get}"
    )
