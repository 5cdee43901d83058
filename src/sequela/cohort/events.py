"""The events that cohorts and sequences are made from: a MEDS data set opened for SQL."""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from sequela.datasets.codes import body_of, family_of
from sequela.files import temporary
from sequela.formats.opened import Sums, sha256
from sequela.listeners import broadcast
from sequela.tables.account import ACCOUNT, earlier_of, leaks_of, read_account
from sequela.tables.engine import MEMORY_LIMIT, connect_duckdb
from sequela.tables.meds_events import EVENT_COLUMNS, data_files, schema_of

if TYPE_CHECKING:
    import duckdb

VIEW = (
    "CREATE VIEW events AS SELECT {columns} FROM read_parquet([{files}], union_by_name = {mixed})"
)
TYPES = {"subject_id": "BIGINT", "time": "TIMESTAMP", "code": "VARCHAR", "visit_id": "BIGINT"}
DISTINCT_CODES = "SELECT DISTINCT code FROM events WHERE code IS NOT NULL ORDER BY code"


@dataclass(frozen=True, kw_only=True)
class Events:
    """A MEDS 0.4 data set on disk, to be read by SQL."""

    root: Path  # the data set; its events are in ``data/**/*.parquet``
    files: tuple[Path, ...]  # the shards, sorted by name
    # The ``EVENT_COLUMNS`` that all of them have. Without ``visit_id`` a stay reaches from a
    # ``HOSPITAL_ADMISSION`` to the next ``HOSPITAL_DISCHARGE``.
    columns: tuple[str, ...]
    stays_in_order: bool  # whether the order of one subject's stays is known (eICU: it is not)
    # SQL type of ``numeric_value``: ``FLOAT``, or ``DOUBLE`` where a shard has it wider.
    numbers: str = "FLOAT"
    mixed: bool = False  # whether shards have different types
    # Whether each row carries the time it became available, so that its family of codes need not
    # (OMOP).
    dated_by_row: bool = False
    leaks: str = ""  # how the data leak the outcome: see :class:`sequela.tables.account.Account`
    earlier: str = ""  # the rows that were dated by the earlier of two times
    title: str = ""  # name of the data, where it differs from the catalogue's
    open: bool = False  # whether their licence is open
    origin: str = ""  # where the data were found, in words
    _codes: dict[str, pa.Array] = field(default_factory=dict, init=False, repr=False, compare=False)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of all shards and their names."""
        # The order of stays decides which history a model may see, so it belongs to the identity.
        total = hashlib.sha256(b"in order" if self.stays_in_order else b"not in order")
        for file in self.files:
            with file.open("rb") as stream:
                content = hashlib.file_digest(stream, "sha256").digest()
            total.update(file.relative_to(self.root).as_posix().encode() + b"\0" + content)
        return total.hexdigest()

    def passed(self, work: str, number: int, passes: int) -> None:
        """Report that a pass over the events is done, of several."""
        rows = sum(pq.read_metadata(file).num_rows for file in self.files)
        broadcast(
            "on_rows",
            f"{work}, pass {number} of {passes} over the events",
            rows * number,
            rows * passes,
        )

    @contextmanager
    def connect(self, memory_limit: str = MEMORY_LIMIT) -> "Iterator[duckdb.DuckDBPyConnection]":
        """Open a DuckDB connection with a view ``events`` and a table ``codes``.

        ``events`` has all of ``EVENT_COLUMNS``; ``codes`` has each distinct ``code``, its
        ``family`` and the ``body`` after it: see :mod:`sequela.datasets.codes`.
        """
        types = {**TYPES, "numeric_value": self.numbers}
        # Types differ between writers, and the SQL of cohorts relies on these.
        columns = [
            f"{name if name in self.columns else 'NULL'}::{types[name]} AS {name}"
            for name in EVENT_COLUMNS
        ]
        files = ", ".join("'" + str(file).replace("'", "''") + "'" for file in self.files)
        view = VIEW.format(columns=", ".join(columns), files=files, mixed=self.mixed)
        with temporary() as work, connect_duckdb(work, memory_limit) as connection:
            connection.execute(view)
            if not self._codes:  # parsed once, for all connections
                self._codes.update(_described_codes(connection))
            create_table(connection, "codes", self._codes)
            yield connection


@lru_cache(maxsize=1 << 12)
def _sha256(file: Path, _size: int, _changed: int) -> str:
    """Compute the SHA-256 once while a file keeps its size and modification time."""
    return sha256(file, "MEDS data")


def open_events(root: Path, origin: str = "") -> Events:
    """Find the events of a data set and check their columns.

    ``sequela build`` records whether the stays of its source are in order; other data sets are
    assumed to be.
    """
    account = read_account(root) if (root / ACCOUNT).is_file() else {}
    files = tuple(data_files(root))
    # Published data are verified in each run; an unchanged file is hashed once in a process.
    if sums := Sums.beside(root):
        for file in files:
            state = file.stat()
            sums.check(file, "MEDS data", _sha256(file, state.st_size, state.st_mtime_ns))
    schemas = {file: schema_of(file) for file in files}
    # A column counts only if all shards have it: else it is null for some subjects alone.
    columns = tuple(n for n in EVENT_COLUMNS if all(n in s.names for s in schemas.values()))
    types = {tuple(str(schema.field(n).type) for n in columns) for schema in schemas.values()}
    place = columns.index("numeric_value") if "numeric_value" in columns else None
    # Integers and doubles may not fit float32, so they are read in double precision.
    narrow = place is None or {shard[place] for shard in types} <= {"float", "halffloat"}
    return Events(
        root=root,
        files=files,
        columns=columns,
        stays_in_order=bool(account.get("stays_in_order", True)),
        numbers="FLOAT" if narrow else "DOUBLE",
        mixed=len(types) > 1,
        dated_by_row=bool(account.get("dated_by_row")),
        leaks=leaks_of(account),
        earlier=earlier_of(account),
        title=str(account.get("title", "")),
        open=bool(account.get("open")),
        origin=origin,
    )


def one_row(
    connection: "duckdb.DuckDBPyConnection", query: str, values: Mapping[str, object] | None = None
) -> tuple[Any, ...]:
    """Return the row of a query that has one row."""
    rows: list[tuple[Any, ...]] = connection.execute(query, values or {}).fetchall()
    (row,) = rows
    return row


def create_table(
    connection: "duckdb.DuckDBPyConnection", name: str, columns: Mapping[str, pa.Array]
) -> None:
    """Create a temporary table of these columns."""
    connection.register("new_rows", pa.table(columns))
    connection.execute(f"CREATE TEMP TABLE {name} AS SELECT * FROM new_rows")
    connection.unregister("new_rows")


def _described_codes(connection: "duckdb.DuckDBPyConnection") -> dict[str, pa.Array]:
    """Return the distinct codes, so that text is parsed once for each."""
    codes = [code for (code,) in connection.execute(DISTINCT_CODES).fetchall()]
    families, bodies = [family_of(code).name for code in codes], [body_of(code) for code in codes]
    columns = {"code": codes, "family": families, "body": bodies}
    return {name: pa.array(texts, pa.string()) for name, texts in columns.items()}
