"""Tables in a DuckDB file or in Parquet files, read like the values of a CSV file.

Each value is read as text, and converted to its column's kind only if the text is exactly such a
value: a column of dates, decimals or text gives the same result as a published CSV file, or the
same error.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa

from sequela.errors import DataError, without_values
from sequela.sources.declarations import Kind
from sequela.sources.engine import hide_progress, typed_text, wrong_kind
from sequela.sources.opened import opened

DUCKDB_SUFFIXES = (".duckdb", ".db")
COLUMNS = """
    SELECT table_schema, table_name, column_name FROM information_schema.columns
    WHERE lower(table_name) = $1 ORDER BY table_schema, table_name, ordinal_position
"""
ROWS = 100_000  # in a batch


class StoredTables:
    """Tables that DuckDB reads in place, and never writes.

    Attributes:
        place: The file or folder, for messages and logs.
    """

    def __init__(self, path: Path, files: Mapping[str, Sequence[Path]] | None = None) -> None:
        """Open a DuckDB file, or Parquet files.

        Args:
            path: The DuckDB file, or the folder of the Parquet files.
            files: Lower-case table to its Parquet files.

        Raises:
            DataError: If it is not a DuckDB file, or has another version.
        """
        import duckdb

        self.place = str(path)
        self._files = files
        self._kinds: dict[str, Kind] = {}
        self._failure: type[Exception] = duckdb.Error
        if files is None:
            with opened(path, "a DuckDB database"):
                pass
        with self._translated(self.place):
            database = ":memory:" if files is not None else str(path)
            self._connection = duckdb.connect(database, read_only=files is None)
            hide_progress(self._connection)

    def columns(self, table: str) -> tuple[str, dict[str, str]]:
        """Return the place of a table, and its columns by their lower-case names; none if missing.

        Raises:
            DataError: If several schemas have it, a file is damaged, or a column is repeated.
        """
        name = table.rsplit("/", maxsplit=1)[-1].lower()
        found = self._of_database(name) if self._files is None else self._of_files(name)
        if found is None:
            return "", {}
        place, written = found
        names = {each.lower(): each for each in written}
        if len(names) < len(written):
            raise DataError(
                f"{self.place}, {place}: two columns have one name in upper and in lower case; "
                "expected each once"
            )
        return place, names

    def _of_database(self, name: str) -> tuple[str, list[str]] | None:
        with self._translated(self.place):
            rows = self._connection.execute(COLUMNS, [name]).fetchall()
        places = list(dict.fromkeys((schema, relation) for schema, relation, _ in rows))
        chosen = [each for each in places if each[0] == "main"] or places
        if len(chosen) > 1:
            where = ", ".join(".".join(each) for each in chosen)
            raise DataError(f"{self.place} has {name} more than once ({where}); keep one of them")
        if not chosen:
            return None
        return ".".join(map(_quoted, chosen[0])), [row[2] for row in rows if row[:2] == chosen[0]]

    def _of_files(self, name: str) -> tuple[str, list[str]] | None:
        files = (self._files or {}).get(name)
        if not files:
            return None
        listed = ", ".join("'" + str(file).replace("'", "''") + "'" for file in files)
        place = f"read_parquet([{listed}], union_by_name = true)"
        with self._translated(", ".join(map(str, files))):
            described = self._connection.execute(f"DESCRIBE SELECT * FROM {place}")  # noqa: S608
            return place, [row[0] for row in described.fetchall()]

    def read(
        self, place: str, columns: Mapping[str, str], kinds: Mapping[str, Kind]
    ) -> pa.RecordBatchReader:
        """Read the columns of ``kinds`` of a table, typed, in batches.

        Args:
            place: Place from ``columns``.
            columns: Columns from ``columns``.
            kinds: Lower-case names of the columns to read.

        Errors are raised where the batches are used, within ``streamed``.
        """
        self._kinds = dict(kinds)
        texts = ", ".join(f"{_quoted(columns[n])}::VARCHAR AS {_quoted(n)}" for n in kinds)
        wanted = ", ".join(typed_text(name, kind, "the table") for name, kind in kinds.items())
        query = f"SELECT {wanted} FROM (SELECT {texts} FROM {place})"  # noqa: S608
        return self._connection.sql(query).to_arrow_reader(ROWS)

    @contextmanager
    def streamed(self, place: str) -> Iterator[None]:
        """Translate errors about values while the batches of a table are used.

        Raises:
            DataError: If a value is of another kind, or a file is damaged.
        """
        try:
            yield
        except Exception as error:
            said = str(error)
            if found := re.search(r"(\w+) of the table holds: ([^\n]*)", said):
                where = f"{self.place}, {self.named(place)}"
                kind = self._kinds[found[1]]
                raise DataError(wrong_kind(where, found[1], found[2], kind)) from None
            if not isinstance(error, (self._failure, pa.ArrowException, OSError)):
                raise
            raise DataError(_damaged(f"{self.place}, {self.named(place)}", error)) from error

    def named(self, place: str) -> str:
        """Name a table for messages and logs: its own name, or its first file."""
        file = re.search(r"read_parquet\(\['((?:[^']|'')*)'", place)
        return str(Path(file[1].replace("''", "'")).relative_to(self.place)) if file else place

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    @contextmanager
    def _translated(self, place: str) -> Iterator[None]:
        try:
            yield
        except self._failure as error:
            raise DataError(_damaged(place, error)) from error


def parquet_files(files: Sequence[Path], root: Path) -> dict[str, list[Path]]:
    """Map lower-case tables to their Parquet files: ``person.parquet``, or all in ``person``."""
    found: dict[str, list[Path]] = {}
    for path in files:
        if path.suffix.lower() != ".parquet":
            continue
        alone = [path.stem.lower()]
        within = [] if path.parent == root else [path.parent.name.lower().removesuffix(".parquet")]
        for name in dict.fromkeys([*alone, *within]):
            found.setdefault(name, []).append(path)
    return found


def _damaged(place: str, error: Any) -> str:
    words = without_values(error)
    return f"{place}: not readable ({words}); expected a table: write it again"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
