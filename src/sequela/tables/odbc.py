"""Databases with an ODBC driver as a root: ``odbc:`` and a connection string.

The tables are never written. A connection string may hold a password, so messages and logs have
only what ``harmless`` keeps of it.
"""

import os
import pickle
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

import pyarrow as pa

from sequela.errors import (
    DataError,
    DataNotFoundError,
    SequelaError,
    SettingError,
    extra,
    without_values,
)
from sequela.tables.declarations import Kind
from sequela.tables.odbc_process import MOST_TEXT, PASSWORD
from sequela.tables.stored_tables import DuckDBFile

if TYPE_CHECKING:
    from duckdb import DuckDBPyRelation

PREFIX = "odbc:"
SCHEMA = "schema"  # our own key of a connection string
HARMLESS = ("dsn", "driver", "server", "servername", "host", "port", "database", "dbq", SCHEMA)
# A value in braces may hold ``;`` and ``=``; ``}}`` stands for one brace (ODBC's specification).
_PAIR = re.compile(r"\s*([^=;]+?)\s*=\s*(\{(?:[^}]|\}\})*\}|[^;{]*)\s*(?:;|$)")
# Parts of the names of keys whose value is a secret, in any driver's words.
_SECRET = re.compile("pw|pass|secret|token|key|cred")
_LEAST = 4  # the characters from which the value of an unknown key is hidden in messages
_ERROR = re.compile(r"State: (\w*), Native error: -?\d+, Message: (.*)", re.DOTALL)
_OF_VALUES = "22"  # SQL states about a value, which the server quotes
_TOO_LONG = "too large to be written into the allocated buffer"
_HINTS = {
    "State: IM002": "; `odbcinst -q -s` lists the data sources, `odbcinst -q -d` the drivers",
    "Can't open lib": "; install the driver: `odbcinst -q -d` lists those that are there",
    "libodbc": "; install the driver manager (Debian: unixodbc)",
}
# Words of drivers that refuse access, in contrast to a query that they do not understand.
_FORBIDDEN = re.compile("permission|denied|privilege|authorized", re.IGNORECASE)
# One of these lists the tables: most databases; SQLite; Oracle; Db2.
_LISTS = (
    "SELECT table_schema, table_name FROM information_schema.tables",
    "SELECT NULL, name FROM sqlite_master WHERE type IN ('table', 'view')",
    "SELECT owner, table_name FROM all_tables UNION SELECT owner, view_name FROM all_views",
    "SELECT tabschema, tabname FROM syscat.tables",
)
_SYSTEM = ("information_schema", "performance_schema", "pg_catalog", "mysql", "sys", "system")
_COMMAND = "from sequela.tables.odbc_process import work; work()"
_MARKS = ('""', "``", "[]")  # around names: most databases; MySQL; SQL Server, by its settings


def is_odbc(root: object) -> bool:
    """Return whether a root names a database with an ODBC driver."""
    return isinstance(root, str) and root[: len(PREFIX)].lower() == PREFIX


def harmless(address: str) -> str:
    """Return the parts of a connection string that name the database.

    Example:
        >>> harmless("odbc:DSN=hospital;UID=reader;PWD={a;b}")
        'the database DSN=hospital'
    """
    parts = [f"{key}={value}" for key, value in _pairs(address) if key.lower() in HARMLESS]
    return f"the database {';'.join(parts)}"


def _pairs(address: str) -> list[tuple[str, str]]:
    text = address[len(PREFIX) :]
    if not text.strip() or _PAIR.sub("", text).strip("; "):
        raise SettingError(
            "--root odbc: is not followed by a connection string; expected keys and values with "
            "';' between them, such as DSN=hospital or Driver=...;Server=...;Database=...; write a "
            "value that holds ';' or '{' in braces"
        )
    return _PAIR.findall(text)


def _secrets(pairs: Iterable[tuple[str, str]]) -> list[str]:
    """Return the values that no message may hold, longest first."""
    values = {os.environ.get(PASSWORD, "")}
    for key, value in pairs:
        is_harmless = key.lower() in HARMLESS or key.lower() == "uid"
        # An unknown key may hold a secret; hiding 1 or Yes would black out the message.
        if _SECRET.search(key.lower()) or (not is_harmless and len(value) >= _LEAST):
            values |= {value, value.strip("{}").replace("}}", "}")}
    # A short secret may be part of a longer one, whose rest would then be shown.
    return sorted(filter(None, values), key=len, reverse=True)


def _quoted(name: str, marks: str) -> str:
    return marks[0] + name.replace(marks[1], marks[1] * 2) + marks[1]


class OdbcDatabase(DuckDBFile):
    """A connection to a database, which is only read: see ``odbc_process``.

    Attributes:
        place: The database without user and password, for messages and logs.
    """

    def __init__(self, address: str) -> None:
        """Connect to ``odbc:CONNECTION STRING``, in which ``Schema=`` limits the tables."""
        pairs = _pairs(address)
        with extra("odbc", "--root odbc:..."):
            version("arrow-odbc")
        super().__init__(Path(), ":memory:")
        self.place, self._secrets = harmless(address), _secrets(pairs)
        self._schema = {key.lower(): value for key, value in pairs}.get(SCHEMA)  # the last one
        self._marks: Sequence[str] = _MARKS
        self._process = subprocess.Popen(  # noqa: S603 (this Python)
            [sys.executable, "-P", "-c", _COMMAND],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        try:
            # Without a ';' at its end, the library appends the password to the last value.
            self._send("".join(f"{key}={value};" for key, value in pairs if key.lower() != SCHEMA))
            self._receive(DataNotFoundError)
        except BaseException:
            self.close()
            raise

    @cached_property
    def tables(self) -> list[tuple[str, str]]:
        """The schemas and tables that the user may see, of the named schema or of all.

        Raises:
            DataNotFoundError: If no table is in the named schema.
        """
        # Databases differ in how they list tables: the first query that works decides.
        columns = self._first_of(_LISTS)[1].read_all().to_pydict().values()
        tables = [(schema or "", name) for schema, name in zip(*columns, strict=True)]
        tables = [(schema, name) for schema, name in tables if schema.lower() not in _SYSTEM]
        if self._schema is None:
            return tables
        in_schema = [table for table in tables if table[0].lower() == self._schema.lower()]
        if not in_schema:
            schemas = ", ".join(sorted({schema for schema, _ in tables})) or "none"
            raise DataNotFoundError(
                f"{self.place} shows no table in this schema (found: {schemas}): correct its name, "
                "or give the user the right to read it"
            )
        return in_schema

    def head(self, name: str, rows: int) -> pa.Table:
        """Return the first rows of a table that is there, all columns as text."""
        return self._rows(f"SELECT * FROM {self._opened(name)[0]}", most=rows).read_all()  # noqa: S608

    def close(self) -> None:
        """End the process and the connection."""
        self._process.kill()
        self._process.communicate()
        super().close()

    def _find(self, name: str) -> "tuple[str, DuckDBPyRelation, Sequence[Path]] | None":
        try:
            place, columns = self._opened(name)
        except DataError as error:
            # Some databases list only what the user may read.
            if any(name == table.lower() for _, table in self.tables) or _refused(error):
                raise
            return None
        return place, self._connection.from_arrow(columns), ()

    def _opened(self, name: str) -> tuple[str, pa.Table]:
        """Return a table's quoted name, and its columns without rows."""
        tables = [table for table in self.tables if table[1].lower() == name.lower()]
        schemas = [schema for schema, _ in tables]
        if len(tables) > 1:
            raise DataError(
                f"{self.place} has {name} in several schemas ({', '.join(schemas)}): "
                f"choose one with --schema {schemas[0]}, or with Schema={schemas[0]} in --root"
            )
        # Some databases list only a user's own tables, so a name that is not listed is tried too.
        names = tables[0] if tables else (self._schema or "", name)
        places = [".".join(_quoted(n, marks) for n in names if n) for marks in self._marks]
        number, rows = self._first_of([f"SELECT * FROM {place} WHERE 1 = 0" for place in places])  # noqa: S608
        # The marks that worked are those of this database, so no others are tried again.
        self._marks = [self._marks[number]]
        return places[number], rows.read_all()

    def _selected(
        self, rows: "DuckDBPyRelation", place: str, kinds: Mapping[str, Kind]
    ) -> "DuckDBPyRelation":
        names = {name: kinds[name.lower()] for name in rows.columns if name.lower() in kinds}
        columns = ", ".join(_quoted(name, *self._marks) for name in names)
        numbers = [name for name, kind in names.items() if kind is Kind.NUMBER]
        batches = self._rows(f"SELECT {columns} FROM {place}", numbers)  # noqa: S608 (is quoted)
        # SQL Server and Oracle write times with more digits than those of microseconds.
        cut = r"regexp_replace({0}, '([.]\d{{6}})\d+$', '\1') AS {0}"
        texts = [(cut if kind is Kind.TIME else "{0}", name) for name, kind in names.items()]
        typed = (text.format(_quoted(name, '""')) for text, name in texts)
        return self._connection.from_arrow(batches).project(", ".join(typed))

    def _first_of(self, queries: Sequence[str]) -> tuple[int, pa.RecordBatchReader]:
        """Return the number and the rows of the first query that the database understands."""
        errors = []
        for number, query in enumerate(queries):
            try:
                return number, self._rows(query)
            except DataError as error:
                errors.append(error)
        # A refusal explains more than the syntax errors of queries meant for other databases.
        raise next(filter(_refused, errors), errors[0])

    def _rows(
        self, query: str, numbers: Sequence[str] = (), most: int | None = None
    ) -> pa.RecordBatchReader:
        self._error = None
        self._send((query, numbers, most))
        schema = self._receive()
        return pa.RecordBatchReader.from_batches(schema, iter(self._receive, None))

    def _send(self, request: object) -> None:
        with suppress(BrokenPipeError):  # the next message is the end
            pickle.dump(request, into := cast("IO[bytes]", self._process.stdin))
            into.flush()

    def _receive(self, kind: type[SequelaError] = DataError) -> Any:
        """Return the next message of the process, or raise its error."""
        try:
            message = pickle.load(cast("IO[bytes]", self._process.stdout))  # noqa: S301 (is ours)
        except (EOFError, pickle.UnpicklingError):
            status = self._process.wait()
            message = (
                f"the driver ended with status {status}, as it does where the connection is lost; "
                "run the command again"
            )
        if isinstance(message, str):
            self._error = kind(f"{self.place} is not readable: {self._words(message)}")
            raise self._error
        return message

    def _words(self, error: str) -> str:
        if _TOO_LONG in error:
            return (
                f"a value is longer than its column's type, or than {MOST_TEXT} bytes; give the "
                "column a longer type in a view (SQLite: add BigInt=1), or do not declare it"
            )
        state, words = match.groups() if (match := _ERROR.search(error)) else ("", error)
        words = " ".join(words.split())
        for secret in self._secrets:
            words = words.replace(secret, "***")
        hint = next((hint for sign, hint in _HINTS.items() if sign in error), "")
        return (without_values(words) if state[:2] == _OF_VALUES else words) + hint


def _refused(error: Exception) -> bool:
    return bool(_FORBIDDEN.search(str(error)))
