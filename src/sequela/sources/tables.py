"""The tables of a source, found under a root and read with their declared columns and kinds."""

import os
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import narwhals as nw
import pyarrow as pa

from sequela.errors import DataError, DataNotFoundError, SequelaError, SettingError, unknown_name
from sequela.sources.catalog import lookup
from sequela.sources.csv_files import header
from sequela.sources.declarations import Batches, Kind, Source, Table
from sequela.sources.engine import Engine
from sequela.sources.opened import Sums
from sequela.sources.postgres import Database, is_address
from sequela.sources.published import Publication
from sequela.sources.stored_tables import DUCKDB_SUFFIXES, StoredTables, parquet_files

SUFFIXES = (".csv", ".csv.gz")
DTYPES = {
    Kind.INTEGER: nw.Int64(),
    Kind.NUMBER: nw.Float64(),
    Kind.TEXT: nw.String(),
    Kind.TIME: nw.Datetime("us"),
}


@dataclass(frozen=True)
class Tables:
    """The tables found under a root.

    Attributes:
        frames: Table to its rows, with all declared columns.
        places: Table to its place.
        not_read: Tables that are present but not read.
        files: Table to its file, where it was read from one.
        proofs: The same tables to the state of their checksums.
        publication: The facts about their publication.
    """

    frames: Mapping[str, nw.LazyFrame[Any]]
    places: Mapping[str, str]
    not_read: tuple[str, ...]
    files: Mapping[str, Path] = field(default_factory=dict)
    proofs: Mapping[str, str] = field(default_factory=dict)
    publication: Publication | None = None


def read_tables(
    source: Source,
    root: Path | str,
    engine: Engine,
    only: Collection[str] | None = None,
    changed: Collection[str] = (),
) -> Tables:
    """Read the tables of ``source`` under ``root``.

    Args:
        source: The declarations.
        root: Folder with the published files, or address of a PostgreSQL database.
        engine: The engine that reads them.
        only: Names of the tables to read besides the required ones; by default all that are
            present.
        changed: Names of tables that were changed after their publication, on purpose.

    Raises:
        DataNotFoundError: If the folder or a required table is missing.
        DataError: If a file is damaged or not the published one, lacks a column, or holds a value
            of another kind.
        UnknownNameError: If ``only`` or ``changed`` names a table that the source does not declare.
    """
    chosen = _chosen(source, only)
    check_names(source, changed)
    if is_address(root):
        if source.reads:
            raise SettingError(
                f"{source.name} is not read from a database: name a folder with --root"
            )
        return _read_store(source, Database(str(root)), chosen, engine)
    root = Path(root)
    if not source.reads and root.is_file() and root.suffix.lower() in DUCKDB_SUFFIXES:
        return _read_store(source, StoredTables(root), chosen, engine)
    if source.reads and (batches := source.reads(root)) is not None:
        return _hand_over(batches, chosen, root, engine)
    publication = Publication.at(root, source.name, changed)
    files = files_under(root)
    frames: dict[str, nw.LazyFrame[Any]] = {}
    paths: dict[str, Path] = {}
    without_csv = [table for table in chosen if file_of(table.name, files) is None]
    stored = _read_parquet(source, without_csv, root, files, engine)
    for table in chosen:
        path = file_of(table.name, files)
        if path is None:
            if table.required and table.name not in stored.frames:
                names = ", ".join(sorted(path.name for path in files)[:12]) or "nothing"
                found = f" (as .csv, .csv.gz or .parquet, in either case; found: {names})"
                raise _missing(source, table, str(root), found)
            continue
        frames[table.name] = _read_file(table, path, engine, publication)
        paths[table.name] = path
    places = {name: str(path.relative_to(root)) for name, path in paths.items()}
    used = {*places.values(), *stored.not_read}
    suffixes = {".csv", ".gz", ".parquet"}
    rest = sorted(str(path.relative_to(root)) for path in files if path.suffix in suffixes)
    kept, proofs = _kept(frames, paths, engine, publication)
    not_read = tuple(name for name in rest if name not in used)
    return Tables(
        {**kept, **stored.frames}, {**places, **stored.places}, not_read, paths, proofs, publication
    )


def typed_blanks(
    frame: nw.LazyFrame[Any], table: Table, beside: Collection[str] = ()
) -> nw.LazyFrame[Any]:
    """Return the declared columns of a table, null where text is empty or the column absent.

    Args:
        frame: The rows.
        table: The declaration.
        beside: Other columns to keep.
    """
    present = set(frame.collect_schema().names())
    columns = {}
    for name, kind in table.columns.items():
        column = nw.col(name) if name in present else nw.lit(None, DTYPES[kind])
        if kind is Kind.TEXT and name in present:
            column = nw.when(column != "").then(column)
        columns[name] = column
    return frame.select(*beside, **columns)


def check_names(source: Source, names: Collection[str]) -> None:
    """Check that a source declares tables of these names, in either case.

    Raises:
        UnknownNameError: If it does not.
    """
    declared = [table.name for table in source.tables]
    for name in names:
        if name.lower() not in {each.lower() for each in declared}:
            raise unknown_name("table", name, declared)


def check_columns(table: Table, found: Collection[str], place: str) -> None:
    """Check that all required columns are there.

    Raises:
        DataError: If one is missing.
    """
    for column in table.columns:
        if column in found or column in table.optional:
            continue
        near = get_close_matches(column, found, n=1)
        hint = f"; is it '{near[0]}'?" if near else ""
        raise DataError(
            f"{place}: no column '{column}' (found: {', '.join(found)}){hint}; "
            f"expected the columns of {table.name} as published"
        )


def _hand_over(batches: Batches, chosen: list[Table], root: Path, engine: Engine) -> Tables:
    """Read tables by the source's own function."""
    declared = {table.name: table for table in chosen}
    sums = Sums.beside(root) if root.is_dir() else None
    place = f"{root} ({sums.check_all()})" if sums else str(root)
    frames: dict[str, nw.LazyFrame[Any]] = {}
    rest: list[str] = []
    for name, given in batches:
        if (table := declared.get(name)) is None:
            continue
        if isinstance(given, list):
            frame = engine.read_parquet(given)
        else:
            frame = _read_batches(name, given, engine)
        names = frame.collect_schema().names()
        rest += [f"column {column} of {name}" for column in names if column not in table.columns]
        frames[name] = typed_blanks(frame, table)
    return Tables(frames, dict.fromkeys(frames, place), tuple(rest))


def _read_batches(name: str, given: pa.RecordBatchReader, engine: Engine) -> nw.LazyFrame[Any]:
    """Read batches, and raise their own error instead of the engine's."""
    errors: list[SequelaError] = []

    def watched() -> Iterator[pa.RecordBatch]:
        try:
            yield from given
        except SequelaError as error:
            errors.append(error)
            raise

    try:
        reader = pa.RecordBatchReader.from_batches(given.schema, watched())
        return engine.read_batches(name, reader)
    except Exception:
        if errors:
            raise errors[0] from None
        raise


def _read_parquet(
    source: Source, chosen: list[Table], root: Path, files: list[Path], engine: Engine
) -> Tables:
    """Read tables from Parquet files in the folder; ``not_read`` has the files that were read."""
    found = parquet_files(files, root)
    there = [t for t in chosen if t.name.rsplit("/", maxsplit=1)[-1].lower() in found]
    if source.reads or not there:
        return Tables({}, {}, ())
    tables = _read_store(source, StoredTables(root, found), there, engine)
    read = (found[t.name.rsplit("/", maxsplit=1)[-1].lower()] for t in there)
    used = tuple(str(path.relative_to(root)) for paths in read for path in paths)
    return Tables(tables.frames, tables.places, used)


def _read_store(
    source: Source, database: Database | StoredTables, chosen: list[Table], engine: Engine
) -> Tables:
    """Read tables from a database or another store, under the names of the published files."""
    frames: dict[str, nw.LazyFrame[Any]] = {}
    places: dict[str, str] = {}
    try:
        for table in chosen:
            place, names = database.columns(table.name)
            if names:
                check_columns(table, names, f"{database.place}, {database.named(place)}")
                kinds = {name: kind for name, kind in table.columns.items() if name in names}
                with database.streamed(place):
                    batches = database.read(place, names, kinds)
                    frame = engine.read_batches(table.name, batches)
                frames[table.name] = typed_blanks(frame, table)
                places[table.name] = database.named(place)
            elif table.required:
                raise _missing(source, table, database.place, "")
    finally:
        database.close()
    return Tables(frames, places, ())


def _kept(
    frames: Mapping[str, nw.LazyFrame[Any]],
    paths: Mapping[str, Path],
    engine: Engine,
    publication: Publication,
) -> tuple[dict[str, nw.LazyFrame[Any]], dict[str, str]]:
    """Keep the frames, while another pass over their files checks these."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        proofs = {name: pool.submit(publication.prove, name, path) for name, path in paths.items()}
        try:
            kept = engine.keep_all(frames)
        except Exception:
            # An engine's result for a damaged file would hide the damage.
            for proof in proofs.values():
                proof.result()
            raise
        return kept, {name: proof.result() for name, proof in proofs.items()}


def _read_file(
    table: Table, path: Path, engine: Engine, publication: Publication
) -> nw.LazyFrame[Any]:
    names = header(path)
    check_columns(table, names, str(path))
    publication.check_order(table.name, path, names)
    kinds = {name: kind for name, kind in table.columns.items() if name in names}
    return typed_blanks(engine.read_csv(path, names, kinds), table)


def _chosen(source: Source, only: Collection[str] | None) -> list[Table]:
    if only is None:
        return list(source.tables)
    check_names(source, only)
    wanted = {name.lower() for name in only}
    return [t for t in source.tables if t.required or not t.facts or t.name.lower() in wanted]


def files_under(root: Path) -> list[Path]:
    """List the files of a folder and of the folders in it.

    Raises:
        DataNotFoundError: If it is not a folder.
    """
    if not root.is_dir():
        state = "a file" if root.exists() else "not there"
        raise DataNotFoundError(
            f"{root}: is {state}; expected the folder with the tables: name it with --root"
        )
    found = [*root.glob("*"), *root.glob("*/*")]
    return sorted(path for path in found if not path.is_dir())


def file_of(name: str, files: Collection[Path]) -> Path | None:
    """Return the one CSV file of a table: its folder may be left out, its case may differ.

    Raises:
        DataError: If there are several.
    """
    stem = name.rsplit("/", maxsplit=1)[-1].lower()
    wanted = {stem + suffix for suffix in SUFFIXES}
    found = [path for path in files if path.name.lower() in wanted]
    if len(found) > 1:
        names = " and ".join(str(path) for path in found)
        raise DataError(f"the table {name} is there more than once: {names}; keep one of them")
    return found[0] if found else None


def _missing(source: Source, table: Table, place: str, found: str) -> DataNotFoundError:
    data_set = lookup(source.name)
    return DataNotFoundError(
        f"{place}: no table {table.name}{found}; expected {data_set.title}: {data_set.how_to_get}"
    )
