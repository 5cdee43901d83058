"""A process that reads a database through its ODBC driver.

A driver is native code of others, and the library ends its process where a handle of a lost
connection cannot be freed. So only this process ends, and the main one reports it.
"""

import json
import os
import struct
import sys
from contextlib import suppress
from typing import Any

import pyarrow as pa

PASSWORD = "SEQUELA_ODBC_PASSWORD"  # noqa: S105 (is the name of a variable)
HEADER = struct.Struct("<cQ")  # the kind of a message, and the bytes after this header
PATIENCE = 15  # seconds for a login
MOST_TEXT = 8192  # bytes of a value, where the driver knows no limit; a longer one is an error
BATCH = 65_535  # rows
MOST_BYTES = 1 << 25  # of the two buffers that the driver fills
# What a database does not know is an error there, and is left out: others understand it.
SESSION = (
    "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",  # of the standard
    "SET SESSION TRANSACTION READ ONLY",  # MySQL and MariaDB
    "PRAGMA query_only = 1",  # SQLite
    "SET TIME ZONE 'UTC'",
)


def work() -> None:
    """Connect to the database of the first line of standard input; return the rows of the others.

    A row of standard input is a JSON object. The messages on standard output are a schema (``S``),
    its batches (``B``), and the end (``.``) or an error (``E``).
    """
    messages = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # a driver may print

    def send(kind: bytes, content: bytes = b"") -> None:
        messages.write(HEADER.pack(kind, len(content)) + content)
        messages.flush()

    connection = None
    for line in sys.stdin.buffer:
        try:
            if connection is None:
                connection = _connect(json.loads(line))
            else:
                for message in _rows(connection, **json.loads(line)):
                    send(*message)
            send(b".")
        except Exception as error:  # noqa: BLE001 - the main process raises it
            send(b"E", str(error).encode())


def _connect(address: str) -> Any:
    from arrow_odbc import Error, connect

    password = os.environ.get(PASSWORD)
    connection = connect(address, password=password, login_timeout_sec=PATIENCE)
    for statement in SESSION:
        with suppress(Error):
            connection.execute(statement)
    return connection


def _rows(connection: Any, query: str, numbers: list[str], most: int | None) -> Any:
    """Yield the messages of a query, with all columns as text but for floats in ``numbers``.

    Drivers round decimals, cut whole numbers to 32 bits and read other text as NULL, but give the
    text of a value as it is, or an error.
    """

    def exact(schema: pa.Schema) -> pa.Schema:
        floats = {
            name for name in numbers if pa.types.is_floating(schema.field(name).type)
        }  # a driver's "float" may have 64 bits
        kinds = (pa.float64() if name in floats else pa.string() for name in schema.names)
        return pa.schema(list(zip(schema.names, kinds, strict=True)))

    batches = connection.read_arrow_batches(
        query,
        max_text_size=MOST_TEXT,
        max_bytes_per_batch=MOST_BYTES,
        batch_size=most or BATCH,
        map_schema=exact,
        fetch_concurrently=False,  # else a lost connection has no message
    )
    yield b"S", batches.schema.serialize().to_pybytes()
    rows = 0
    for batch in batches:
        yield b"B", batch.serialize().to_pybytes()
        rows += batch.num_rows
        if most is not None and rows >= most:
            break
