"""Databases with an ODBC driver as a root: ``odbc:`` and a connection string.

The tables are never written. A connection string may hold a password, so messages and logs have
only what ``harmless`` keeps of it.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any, cast

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
from sequela.tables.engine import Engine
from sequela.tables.odbc_process import HEADER, MOST_TEXT, PASSWORD
from sequela.tables.stored_tables import DuckDBFile, Frame, Stored

PREFIX = "odbc:"
SCHEMA = "schema"  # our own key of a connection string
HARMLESS = ("dsn", "driver", "server", "servername", "host", "port", "database", "dbq", SCHEMA)
_PAIR = re.compile(r"\s*([^=;]+?)\s*=\s*(\{(?:[^}]|\}\})*\}|[^;{]*)\s*(?:;|$)")
_SECRET = re.compile("pw|pass|secret|token|key|cred")
_LEAST = 4  # characters of the value of another key that is hidden in messages
_ERROR = re.compile(r"State: (\w*), Native error: -?\d+, Message: (.*)", re.DOTALL)
_OF_VALUES = "22"  # SQL states about a value, which the server quotes
_TOO_LONG = "too large to be written into the allocated buffer"
_HINTS = {
    "IM002": "; `odbcinst -q -s` lists the names of data sources, `odbcinst -q -d` the drivers",
    "01000": "; install the driver: `odbcinst -q -d` lists those that are there",
}
_FORBIDDEN = re.compile("permission|denied|privilege|authorized", re.IGNORECASE)
_COMMAND = "from sequela.tables.odbc_process import work; work()"
# One of these lists the tables: most databases; SQLite; Oracle; Db2.
_LISTS = (
    "SELECT table_schema, table_name FROM information_schema.tables",
    "SELECT NULL, name FROM sqlite_master WHERE type IN ('table', 'view')",
    "SELECT owner, table_name FROM all_tables UNION SELECT owner, view_name FROM all_views",
    "SELECT tabschema, tabname FROM syscat.tables",
)
_SYSTEM = ("information_schema", "performance_schema", "pg_catalog", "mysql", "sys", "system")
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
    known = [f"{key}={value}" for key, value in _pairs(address) if key.lower() in HARMLESS]
    return f"the database {';'.join(known)}"


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
        known = key.lower() in HARMLESS or key.lower() == "uid"
        if _SECRET.search(key.lower()) or (not known and len(value) >= _LEAST):
            values |= {value, value.strip("{}").replace("}}", "}")}
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
        self.place = harmless(address)
        self._schema = {key.lower(): value for key, value in pairs}.get(SCHEMA)  # the last one
        self._secrets = _secrets(pairs)
        self._marks: Sequence[str] = _MARKS
        self._error: Exception | None = None
        self._process = subprocess.Popen(  # noqa: S603 - this Python
            [sys.executable, "-P", "-c", _COMMAND],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        try:
            # Without a ';' at its end, the library appends the password to the last value.
            self._send("".join(f"{key}={value};" for key, value in pairs if key.lower() != SCHEMA))
            self._receive("cannot be reached", DataNotFoundError)
        except BaseException:
            self.close()
            raise

    @cached_property
    def tables(self) -> list[tuple[str, str]]:
        """The schemas and tables that the user may see, of the named schema or of all.

        Raises:
            DataNotFoundError: If no table is in the named schema.
        """
        pairs = self._first_of(_LISTS)[1].read_all().to_pydict().values()
        found = [(schema or "", name) for schema, name in zip(*pairs, strict=True)]
        found = [each for each in found if each[0].lower() not in _SYSTEM]
        if self._schema is None:
            return found
        chosen = [each for each in found if each[0].lower() == self._schema.lower()]
        if not chosen:
            others = ", ".join(sorted({schema for schema, _ in found})) or "none"
            raise DataNotFoundError(
                f"{self.place} shows no table in a schema {self._schema} (found: {others}): "
                "correct --schema, or give the user the right to read it"
            )
        return chosen

    def table(self, name: str) -> Stored | None:
        """See ``Store``."""
        if (stored := super().table(name)) is None:
            return None

        def scan(kinds: Mapping[str, Kind], engine: Engine) -> Frame:
            try:
                return stored.scan(kinds, engine)
            except Exception:
                if self._error is None:
                    raise
                raise self._error from None  # the engine shows it within an error of its own

        return replace(stored, scan=scan)

    def head(self, name: str, rows: int) -> pa.Table | None:
        """Read the first rows of a table, all columns as text."""
        found = self._find(name.lower())
        return found and self._rows(f"SELECT * FROM {found[0]}", most=rows).read_all()  # noqa: S608

    def close(self) -> None:
        """See ``Store``."""
        self._process.kill()
        self._process.communicate()
        super().close()

    def _find(self, name: str) -> tuple[str, Any, Sequence[Path]] | None:
        found = [each for each in self.tables if each[1].lower() == name]
        if len(found) > 1:
            schemas = ", ".join(schema for schema, _ in found)
            raise DataError(
                f"{self.place} has {name} in several schemas ({schemas}): choose one with "
                f"--schema {found[0][0]}"
            )
        names = found[0] if found else (self._schema or "", name)
        places = [".".join(_quoted(n, marks) for n in names if n) for marks in self._marks]
        try:
            number, rows = self._first_of([f"SELECT * FROM {p} WHERE 1 = 0" for p in places])  # noqa: S608
        except DataError as error:
            if found or _FORBIDDEN.search(str(error)):  # some list only what the user may read
                raise
            return None
        self._marks = [self._marks[number]]
        return places[number], self._connection.from_arrow(rows.read_all()), ()

    def _selected(self, rows: Any, place: str, kinds: Mapping[str, Kind]) -> Any:
        names = [name for name in rows.columns if name.lower() in kinds]
        wanted = ", ".join(_quoted(name, self._marks[0]) for name in names)
        numbers = [name for name in names if kinds[name.lower()] is Kind.NUMBER]
        batches = self._rows(f"SELECT {wanted} FROM {place}", numbers)  # noqa: S608 (are quoted)
        # SQL Server and Oracle write times with more digits than microseconds.
        texts = (
            rf"regexp_replace({quoted}, '([.]\d{{6}})\d+$', '\1') AS {quoted}"
            if kinds[name.lower()] is Kind.TIME
            else quoted
            for name, quoted in ((name, _quoted(name, '""')) for name in names)
        )
        return self._connection.from_arrow(batches).project(", ".join(texts))

    def _first_of(self, queries: Sequence[str]) -> tuple[int, pa.RecordBatchReader]:
        """Return the number and the rows of the first query that the database understands."""
        errors = []
        for number, query in enumerate(queries):
            try:
                return number, self._rows(query)
            except DataError as error:
                errors.append(error)
        raise next((e for e in errors if _FORBIDDEN.search(str(e))), errors[0])

    def _rows(
        self, query: str, numbers: Sequence[str] = (), most: int | None = None
    ) -> pa.RecordBatchReader:
        self._send({"query": query, "numbers": numbers, "most": most})
        schema = pa.ipc.read_schema(pa.py_buffer(self._receive("is not readable")))

        def batches() -> Iterator[pa.RecordBatch]:
            while content := self._receive("is not readable"):
                yield pa.ipc.read_record_batch(pa.py_buffer(content), schema)

        return pa.RecordBatchReader.from_batches(schema, batches())

    def _send(self, request: object) -> None:
        self._error = None
        into = cast("IO[bytes]", self._process.stdin)
        with suppress(BrokenPipeError):  # the next message is its end
            into.write(json.dumps(request).encode() + b"\n")
            into.flush()

    def _receive(self, problem: str, kind: type[SequelaError] = DataError) -> bytes:
        """Return the content of the next message, empty at the end, or raise its error."""
        out = cast("IO[bytes]", self._process.stdout)
        header = out.read(HEADER.size)
        sign, size = HEADER.unpack(header) if len(header) == HEADER.size else (b"", 0)
        content = out.read(size)
        if sign == b"E":
            self._error = kind(f"{self.place} {problem}: {self._words(content.decode())}")
            raise self._error
        if sign == b"":
            status = self._process.wait()
            self._error = kind(
                f"{self.place} {problem}: the driver ended with status {status}, as it does where "
                "the connection is lost; run the command again"
            )
            raise self._error
        return content

    def _words(self, error: str) -> str:
        if _TOO_LONG in error:
            return (
                f"a value is longer than its column's type, or than {MOST_TEXT} bytes; give the "
                "column a longer type in a view (SQLite: add BigInt=1), or do not declare it"
            )
        state, words = found.groups() if (found := _ERROR.search(error)) else ("", error)
        words = " ".join(words.split())
        for secret in self._secrets:
            words = words.replace(secret, "***")
        if state.startswith(_OF_VALUES):
            words = without_values(words)
        return words + _HINTS.get(state, "")
