"""PostgreSQL databases as a root: tables are read through ADBC, and never written.

The only file for PostgreSQL. The password is never in a message: see ``Database``.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote, urlsplit

import pyarrow as pa

from sequela.errors import DataError, DataNotFoundError, SettingError, extra, without_values
from sequela.tables.declarations import Kind
from sequela.tables.odbc import SCHEMA, is_odbc
from sequela.tables.stored_tables import DuckDBFile, quoted

if TYPE_CHECKING:
    from duckdb import DuckDBPyRelation

DRIVER = "[libpq]"  # the driver's mark of a message from the server or its client library
OF_VALUES = "22"  # SQL states about a value, which the server quotes
SCHEMES = ("postgresql", "postgres")
# One snapshot for all tables, no chance to write, and times without a zone read as published.
SESSION = (
    "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY",
    "SET TIME ZONE 'UTC'",
    "SET DATESTYLE = 'ISO, YMD'",
)
# ``information_schema`` lacks materialized views, so the tables are listed from ``pg_class``.
COLUMNS = """
    SELECT n.nspname, c.relname, a.attname, n.nspname = ANY (current_schemas(false))
    FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_attribute a ON a.attrelid = c.oid
    WHERE lower(c.relname) = $1 AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
      AND a.attnum > 0 AND NOT a.attisdropped
      AND n.nspname NOT IN ('pg_catalog', 'information_schema')
    ORDER BY n.nspname, a.attnum
"""


def is_address(root: object) -> bool:
    """Return whether a root names a database rather than a folder."""
    return isinstance(root, str) and root.split("://", maxsplit=1)[0] in SCHEMES and "://" in root


def in_schema(address: str, schema: str | None) -> str:
    """Return the address of a database whose tables are looked for in one schema."""
    if schema is None:
        return address
    # The name becomes part of an address, in which other signs have a meaning.
    if not re.fullmatch(r"\w+", schema):
        raise SettingError(
            f"--schema {schema!r} is not a name of a schema: letters, digits and '_'"
        )
    if is_odbc(address):
        return f"{address};{SCHEMA}={schema}"
    joint = "&" if urlsplit(address).query else "?"
    return f"{address}{joint}options=-csearch_path%3D{schema}"


def database_of(address: str) -> str:
    """Return the name and the host of a database, for messages."""
    parts = urlsplit(address)
    host = parse_qs(parts.query).get("host", [parts.hostname or "localhost"])[0]
    return f"the database {parts.path.strip('/') or 'of that user'} at {host}"


class Database(DuckDBFile):
    """A connection to a database, in one read-only snapshot.

    The driver's messages are shown without the password, wherever it came from; the driver's own
    exception is not chained, so that no traceback shows it either.

    Attributes:
        place: The database without user and password, for messages and logs.
    """

    def __init__(self, address: str) -> None:
        """Connect to ``postgresql://user@host/database``."""
        with extra("postgres", "--root postgresql://..."):
            from adbc_driver_postgresql import dbapi
        super().__init__(Path(), ":memory:")
        parts = urlsplit(address)
        self._secrets = _secrets(address)
        self._in_named = "search_path" in unquote(parts.query)
        self.place = database_of(address)
        self._refusal: type[Exception] = dbapi.Error
        # In seconds. Without a limit, a wrong host may keep the user waiting for minutes.
        patience = "" if "connect_timeout" in parts.query else "connect_timeout=10"
        joint = "&" if parts.query else "?"
        with self._explained("cannot be reached"):
            self._database = dbapi.connect(f"{address}{joint}{patience}", autocommit=True)
            self._cursor = self._database.cursor()
            for statement in SESSION:
                self._cursor.execute(statement)
        # From here on all reads are in one transaction, and so in one snapshot.
        self._database.adbc_connection.set_autocommit(False)

    def _find(self, name: str) -> "tuple[str, DuckDBPyRelation, Sequence[Path]] | None":
        """Find a table; where the address names a schema, tables of other schemas are ignored.

        They may be about other people.
        """
        with self._explained("cannot be read"):
            self._cursor.execute(COLUMNS, (name,))
            rows = self._cursor.fetchall()
        # Tables on the search path are those that a user's own queries see.
        preferred = [row for row in rows if row[3]] or ([] if self._in_named else rows)
        places = list(dict.fromkeys((schema, relation) for schema, relation, *_ in preferred))
        if not places:
            return None
        if len(places) > 1:
            schemas = ", ".join(schema for schema, _ in places)
            raise DataError(
                f"{self.place} has {name} in several schemas ({schemas}): choose one with "
                f"--schema {places[0][0]} (or ?options=-csearch_path%3D{places[0][0]} at the end "
                "of --root)"
            )
        columns = {row[2]: pa.array([], pa.string()) for row in preferred}
        return ".".join(map(quoted, places[0])), self._connection.from_arrow(pa.table(columns)), ()

    def _selected(
        self, rows: "DuckDBPyRelation", place: str, kinds: Mapping[str, Kind]
    ) -> "DuckDBPyRelation":
        # As text, numbers are not rounded, and a value of another kind is named as in a csv file.
        texts = []
        for column in rows.columns:
            kind = kinds.get(column.lower())
            if kind is not None:
                # Dates become timestamps first, so that both have one form as text.
                cast = "::timestamp::text" if kind is Kind.TIME else "::text"
                texts.append(f"{quoted(column)}{cast} AS {quoted(column)}")
        with self._explained(f"does not give {place}"):
            self._cursor.execute(f"SELECT {', '.join(texts)} FROM {place}")  # noqa: S608 (quoted)
            return self._connection.from_arrow(self._cursor.fetch_record_batch())

    def close(self) -> None:
        """End the snapshot and the connection."""
        self._cursor.close()
        self._database.close()
        super().close()

    @contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        try:
            yield
        except self._refusal as error:
            kind = DataNotFoundError if what.startswith("cannot") else DataError
            words = self._words(error)
            if str(getattr(error, "sqlstate", "")).startswith(OF_VALUES):
                words = without_values(words)
            raise kind(f"{self.place} {what}: {words}") from None

    def _words(self, error: Exception) -> str:
        words = " ".join(str(error).rpartition(DRIVER)[2].split())
        for secret in self._secrets:
            words = words.replace(secret, "***")
        return words


def _secrets(address: str) -> list[str]:
    """Return all forms of the password in an address or the environment, longest first."""
    parts = urlsplit(address)
    # The last @ ends the user and the password; an earlier one should have been escaped.
    user = address.partition("://")[2].rpartition("@")[0]
    if re.search("[/?#@]", user) and "password=" not in user:
        raise SettingError("--root: write '@' in a password as %40 (and ':' as %3A, '/' as %2F)")
    written = user.partition(":")[2]
    forms = {written, unquote(written), os.environ.get("PGPASSWORD", "")}
    forms |= {*parse_qs(parts.query).get("password", [])}
    # A short form may be part of a longer one, whose rest would then be shown.
    return sorted(filter(None, forms), key=len, reverse=True)
