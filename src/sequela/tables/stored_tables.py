"""The stores of tables: CSV files, Parquet files, Excel workbooks and DuckDB files.

PostgreSQL is in ``postgres.py``, other databases in ``odbc.py``. Each value is read as text, and
converted to its column's kind only if the text is exactly such a value: a column of dates, decimals
or text gives the same result as a published CSV file, or the same error.
"""

import functools
import io
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from sequela.errors import (
    DataError,
    DataNotFoundError,
    SequelaError,
    extra,
    unknown_name,
    without_values,
)
from sequela.files import temporary
from sequela.formats.csv_files import PLAIN, Format, column_names, header, utf8_copy
from sequela.formats.opened import content, members, opened
from sequela.tables.declarations import Frame, Kind, Source
from sequela.tables.engine import (
    Engine,
    connect_duckdb,
    csv_problem,
    csv_texts,
    hide_progress,
    typed_text,
    wrong_kind,
)
from sequela.tables.published import Publication, stem_of

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection, DuckDBPyRelation
    from python_calamine import CalamineWorkbook


SUFFIXES = (".csv", ".csv.gz", ".csv.zip")
DUCKDB_SUFFIXES = (".duckdb", ".db")
TABLES = """
    SELECT table_schema, table_name FROM information_schema.tables
    WHERE lower(table_name) = $1 ORDER BY ALL
"""
ROWS = 100_000  # the number of rows in a batch that an engine reads
EXCEL = ".xlsx"
_WORKBOOK = ("an Excel workbook (.xlsx)", "save it again, or as csv")
# The place of a cell in the XML of a sheet: the letters of its column, the number of its row.
_CELL = re.compile(rb'<(?:\w+:)?c\s[^>]*?\br="([A-Z]{1,3})([0-9]{1,7})"')
# The number of cells of a sheet that are read even if most of them are blank.
MOST_BLANKS = 10_000_000
MOST_EXACT = 1e15  # the first number that Excel may round: it keeps 15 digits
# A text that may be a number with signs between its thousands.
GROUPED = re.compile("[+-]?[0-9]{1,3}([.,][0-9]{3})+")
# What a sheet shows and calamine does not read, and its XML.
LOST = {
    "cells with an error, such as #N/A": rb'<c [^>]*\bt="e"',
    "formulas without a stored value": rb"(?:</f>|<f\b[^>]*/>)(?:<v/>|<v></v>)?</c>",
    "merged cells": rb"<mergeCell ",
}


@dataclass(frozen=True)
class Stored:
    """A table in a store."""

    place: str  # the table, for the log
    full: str  # the table with its store, for messages
    columns: Collection[str]  # lower-case names of its columns
    # Function that reads columns by their kinds, text without outer spaces.
    scan: Callable[[Mapping[str, Kind], Engine], Frame]
    files: Sequence[Path] = ()


class CsvFiles:
    """The CSV files of a folder.

    Attributes:
        place: The store, for messages.
    """

    def __init__(
        self, root: Path, files: Sequence[Path], publication: Publication, source: Source
    ) -> None:
        self.place = str(root)
        self._root, self._files, self._publication = root, files, publication
        self._forms = {table.name: table.format for table in source.tables}

    def table(self, name: str) -> Stored | None:
        """Find a table by its published name; return ``None`` if it is not there."""
        path = file_of(name, self._files)
        if path is None:
            return None
        form = self._forms[name]
        names = header(path, form)

        def scan(kinds: Mapping[str, Kind], engine: Engine) -> Frame:
            self._publication.check_order(name, path, names, kinds)
            return engine.read_csv(path, names, kinds, form)

        return Stored(str(path.relative_to(self._root)), str(path), names, scan, [path])

    def close(self) -> None:
        """Release nothing: no file is held open."""


class DuckDBFile:
    """The tables of a DuckDB file, which are read in place and never written.

    Other databases and files replace ``_find`` and ``_selected``: their values come as text.

    Attributes:
        place: The store, for messages.
    """

    def __init__(self, path: Path, database: str | None = None) -> None:
        import duckdb

        self.place = str(path)
        self._forms: Mapping[str, Format] = {}
        self._failure: type[Exception] = duckdb.Error
        self._error: SequelaError | None = None
        if database is None:
            with opened(path, "a DuckDB database"):
                pass
        with self._translated(self.place):
            self._connection = duckdb.connect(database or str(path), read_only=database is None)
            hide_progress(self._connection)
            self._connection.execute("SET TimeZone = 'UTC'")  # not that of this machine

    def table(self, name: str) -> Stored | None:
        """Find a table by its published name; return ``None`` if it is not there."""
        source = self._find(stem_of(name))
        if source is None:
            return None
        place, rows, files = source
        form = self._forms.get(stem_of(name), PLAIN)
        full = f"{self.place}, {place}"
        columns = [column.lower() for column in rows.columns]
        # SQL ignores case, so two such columns cannot be told apart.
        if len(set(columns)) < len(columns):
            raise DataError(
                f"{full}: two columns have one name in upper and in lower case; expected each once"
            )

        def scan(kinds: Mapping[str, Kind], engine: Engine) -> Frame:
            typed = ", ".join(typed_text(n, kind, "the table", form) for n, kind in kinds.items())
            try:
                # As text, so that the rules for csv files decide the kind here too.
                texts = _as_text(self._selected(rows, place, kinds))
                return engine.read_batches(name, texts.project(typed).to_arrow_reader(ROWS))
            except Exception as error:
                if self._error is not None:  # the engine hides it in another error
                    raise self._error from None
                if match := re.search(r"(\w+) of the table holds: ([^\n]*)", str(error)):
                    column, value = match.groups()
                    words = wrong_kind(full, column, value, kinds[column], form)
                    raise DataError(words) from None
                if not isinstance(error, (self._failure, pa.ArrowException, OSError)):
                    raise
                raise DataError(_damaged(full, error)) from error

        return Stored(place, full, columns, scan, files)

    def _find(self, name: str) -> "tuple[str, DuckDBPyRelation, Sequence[Path]] | None":
        """Return the place of a table, its rows and its files."""
        with self._translated(self.place):
            places = self._connection.execute(TABLES, [name]).fetchall()
            # ``main`` is DuckDB's usual schema; other schemas may hold copies.
            places = [names for names in places if names[0] == "main"] or places
            if len(places) > 1:
                where = ", ".join(map(".".join, places))
                raise DataError(
                    f"{self.place} has {name} more than once ({where}); keep one of them"
                )
            if not places:
                return None
            place = ".".join(map(quoted, places[0]))
            return place, self._connection.sql(f"FROM {place}"), ()

    def _selected(
        self,
        rows: "DuckDBPyRelation",
        place: str,  # noqa: ARG002
        kinds: Mapping[str, Kind],  # noqa: ARG002
    ) -> "DuckDBPyRelation":
        """Return the rows of a table with at least these columns."""
        return rows

    def close(self) -> None:
        """Release all resources."""
        self._connection.close()

    @contextmanager
    def _translated(self, place: str) -> Iterator[None]:
        try:
            yield
        except self._failure as error:
            raise DataError(_damaged(place, error)) from error


class OtherFiles(DuckDBFile):
    """The Parquet files of a folder, and the sheets of its Excel workbooks."""

    def __init__(self, root: Path, files: Sequence[Path], source: Source) -> None:
        super().__init__(root, ":memory:")
        self._parquet = parquet_files(files, root)
        # Workbooks are a hospital's own: no publisher of the catalogue uses them.
        self._excel = files if source.name == "tables" else ()
        self._forms = {
            stem_of(table.name): Format(date=table.format.date, zone=table.format.zone)
            for table in source.tables
        }

    def _find(self, name: str) -> "tuple[str, DuckDBPyRelation, Sequence[Path]] | None":
        files = self._parquet.get(name) or sheets(self._excel).get(name)
        if not files:
            return None
        place = str(files[0].relative_to(self.place))
        if files[0].parent.suffix.lower() == EXCEL:
            return place, _sheet(self._connection, files), files
        with self._translated(", ".join(map(str, files))):
            return place, _parquet(self._connection, files), files


def files_under(root: Path) -> list[Path]:
    """List the files of a folder and of the folders in it."""
    if not root.is_dir():
        state = "a file" if root.exists() else "not there"
        raise DataNotFoundError(
            f"{root}: is {state}; expected the folder with the tables: name it with --root"
        )
    paths = (*root.glob("*"), *root.glob("*/*"))
    return sorted(path for path in paths if not path.is_dir())


def is_csv(path: Path) -> bool:
    """Return whether a file has the name of a CSV file."""
    return path.name.lower().endswith(SUFFIXES)


def is_duckdb(path: Path) -> bool:
    """Return whether a path is a DuckDB file, by its name."""
    return path.is_file() and path.suffix.lower() in DUCKDB_SUFFIXES


def file_of(name: str, files: Collection[Path]) -> Path | None:
    """Return the one CSV file of a table: its folder may be left out, its case may differ."""
    stem = stem_of(name)
    names = {stem + suffix for suffix in SUFFIXES}
    places = [path for path in files if path.name.lower() in names]
    # Where a csv file has a copy in Parquet, it is not clear which of them is newer.
    for folder in {path.parent for path in places[:1]}:
        parquet = (path for path in files if path.suffix.lower() == ".parquet")
        stored = {path if path.parent == folder else path.parent for path in parquet}
        copies = (stem, f"{stem}.parquet")
        places += [p for p in stored if p.parent == folder and p.name.lower() in copies]
    if len(places) > 1:
        words = " and ".join(map(str, places))
        raise DataError(f"the table {name} is there more than once: {words}; keep one of them")
    return places[0] if places else None


def parquet_files(files: Sequence[Path], root: Path) -> dict[str, list[Path]]:
    """Map lower-case tables to their Parquet files: ``person.parquet``, or all in ``person``."""
    tables: dict[str, list[Path]] = {}
    for path in files:
        if path.suffix.lower() != ".parquet":
            continue
        names = {path.stem.lower()}
        # A folder with the name of a table holds its parts, as Spark writes them.
        if path.parent != root:
            names.add(path.parent.name.lower().removesuffix(".parquet"))
        for name in names:
            tables.setdefault(name, []).append(path)
    return tables


def sheets(files: Sequence[Path], sheet: str = "") -> dict[str, list[Path]]:
    """Map lower-case tables to sheets of Excel workbooks, as ``hospital.xlsx/Labs``.

    A sheet that is alone, or the only one that is wanted, has the name of its file.
    """
    tables: dict[str, list[Path]] = {}
    for path in files:
        if path.suffix.lower() == EXCEL and not path.name.startswith("~$"):  # Excel's lock
            names = _workbook(path).sheet_names
            if sheet and len(names) > 1:
                if sheet not in names:
                    raise unknown_name(f"sheet of {path}", sheet, names)
                names = [sheet]
            for name in names:
                table = path.stem if len(names) == 1 else name
                # Names of sheets have spaces and other signs, which names of tables do not have.
                tables.setdefault(re.sub(r"\W+", "_", table.lower()), []).append(path / name)
    return tables


def _workbook(path: Path) -> "CalamineWorkbook":
    with extra("excel", path.name):
        from python_calamine import CalamineWorkbook
    # Each part is verified: it is whole and of a bounded size.
    for _, part in members(
        path, *_WORKBOOK, is_wanted=lambda name: name.startswith("xl/worksheets/")
    ):
        _check_part(path, part)
    with _excel_errors(path):
        return CalamineWorkbook.from_filelike(io.BytesIO(content(path, *_WORKBOOK)))


@contextmanager
def _excel_errors(path: Path) -> Iterator[None]:
    from python_calamine import CalamineError

    expected, remedy = _WORKBOOK
    try:
        yield
    except CalamineError as error:
        words = without_values(error)
        raise DataError(
            f"{path} is not readable ({words}): expected {expected}; {remedy}"
        ) from None


def _check_part(path: Path, sheet: bytes) -> None:
    """Refuse cells with a value in Excel alone, and one far from all others: it takes memory."""
    for what, pattern in LOST.items():
        if count := len(re.findall(pattern, sheet)):
            raise DataError(
                f"{path}: {what}: {count:,} in a sheet, which would be blank; in Excel, "
                "correct or empty them, save stored values, or unmerge cells and fill each"
            )
    cells, width, height = 0, b"", 0
    for cell in _CELL.finditer(sheet):
        cells += 1
        width, height = max(width, cell[1].rjust(3)), max(height, int(cell[2]))
    # Letters of columns count A to Z, then AA: numbers to the base 26 without a zero.
    columns = functools.reduce(lambda total, letter: total * 26 + letter - 64, width.strip(), 0)
    # A sparse table may have 20 times as many places as cells. A stray cell far away makes more,
    # and each place takes memory.
    if columns * height > max(MOST_BLANKS, 20 * cells):
        raise DataError(
            f"{path}: a sheet reaches to column {width.decode().strip()} and row {height:,} with "
            f"{cells:,} cells: expected one table; delete what is far from it, or save it as csv"
        )


def _sheet(connection: "DuckDBPyConnection", places: Sequence[Path]) -> "DuckDBPyRelation":
    """Read a sheet as text: numbers with a decimal point, times in ISO 8601."""
    if len(places) > 1:
        raise DataError(f"there are two sheets {' and '.join(map(str, places))}; keep one of them")
    (place,) = places
    workbook = _workbook(place.parent)
    with _excel_errors(place.parent):
        rows = workbook.get_sheet_by_name(place.name).iter_rows()
    written = [_cell(value) or "" for value in next(rows, [])]
    if not any(written):
        raise DataError(f"{place}: empty; expected a header and rows: delete the sheet, or fill it")
    # A title above the table leaves most cells of row 1 blank.
    if 2 * sum(map(bool, written)) < len(written):
        raise DataError(f"{place}: expected the names of the columns in row 1: delete rows above")
    names, numeric, grouped = column_names(place, written), set[str](), set[str]()
    columns: list[list[str | None]] = [[] for _ in written]
    for row in rows:
        for name, column, value in zip(names, columns, row, strict=True):
            _check_cell(value, place, name)
            if isinstance(value, float):
                numeric.add(name)
            # 1.234 is ambiguous only next to real numbers in its column.
            elif isinstance(value, str) and GROUPED.fullmatch(value.strip()):
                grouped.add(name)
            column.append(_cell(value))
    for name in numeric & grouped:
        raise DataError(
            f"{place}: column '{name}' has numbers, and texts such as 1.234, which may be 1234: "
            "convert the texts to numbers in Excel"
        )
    table = pa.table([pa.array(column, pa.string()) for column in columns], names)
    return connection.from_arrow(table)


def _check_cell(value: object, place: Path, name: str) -> None:
    """Refuse a number or time that is not what the sheet shows."""
    if isinstance(value, timedelta) or (isinstance(value, float) and abs(value) >= MOST_EXACT):
        raise DataError(
            f"{place}: column '{name}' has a duration, or a number of more than 15 digits, and "
            "Excel keeps 15: expected hours as numbers, and ids as text: enter them again"
        )


def _cell(value: object) -> str | None:
    # Excel stores each number as a double, so that a whole number has a fraction of zero.
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip() or None


def _damaged(place: str, error: Exception) -> str:
    words = without_values(error)
    return f"{place}: not readable ({words}); expected a table: write it again"


def quoted(name: str) -> str:
    """Quote a name for SQL."""
    return '"' + name.replace('"', '""') + '"'


@contextmanager
def connection_for(root: Path) -> Iterator["DuckDBPyConnection"]:
    """Open a connection for the files of a folder, and translate its errors about them."""
    import duckdb

    with temporary() as work:
        connection = connect_duckdb(work)
        try:
            yield connection
        except duckdb.Error as error:
            raise DataError(csv_problem(str(error)) or f"{root}: {without_values(error)}") from None
        finally:
            connection.close()


def work_of(connection: "DuckDBPyConnection") -> Path:
    """Return the work folder of a connection."""
    return Path(connection.execute("SELECT current_setting('temp_directory')").fetchall()[0][0])


def paths_of(path: Path, sheet: str = "") -> Sequence[Path]:
    """Return a file as :func:`text_of` takes it: for a workbook, its only or named sheet."""
    return next(iter(sheets([path], sheet).values()), [path])


def text_of(
    paths: Sequence[Path], connection: "DuckDBPyConnection", form: Format = PLAIN
) -> "tuple[DuckDBPyRelation, list[str]]":
    """Read a table as text, and its columns in lower case."""
    if not is_csv(paths[0]):
        read = _sheet if paths[0].parent.suffix.lower() == EXCEL else _parquet
        rows = _as_text(read(connection, paths))
        return rows, rows.columns
    names = header(paths[0], form)
    relation = csv_texts(connection, utf8_copy(paths[0], form, work_of(connection)), names, form)
    filled = (f'nullif("{name}", \'\') AS "{name}"' for name in names)
    return relation.project(", ".join(filled)), names


def _parquet(connection: "DuckDBPyConnection", paths: Sequence[Path]) -> "DuckDBPyRelation":
    return connection.read_parquet(list(map(str, paths)), union_by_name=True)


def _as_text(rows: "DuckDBPyRelation") -> "DuckDBPyRelation":
    """Return rows with each value as text, and columns in lower case."""
    texts = (f"{quoted(name)}::VARCHAR AS {quoted(name.lower())}" for name in rows.columns)
    return rows.project(", ".join(texts))
