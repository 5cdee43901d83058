"""A process that reads a database through its ODBC driver.

A driver is native code of others, and the library aborts where a handle of a lost connection cannot
be freed: this process ends, and the main one reports it.
"""

import os
import pickle
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

import pyarrow as pa

PASSWORD = "SEQUELA_ODBC_PASSWORD"  # noqa: S105 (is the name of a variable)
MOST_TEXT = 8192  # bytes of a value, where a driver knows no limit; a longer one is an error
_BATCH = 65_535  # the most rows of a batch
_LOGIN_SECONDS = 15  # how long a database may take to accept a connection
# A database refuses what it does not know.
SESSION = (
    "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",  # standard SQL
    "SET SESSION TRANSACTION READ ONLY",  # MySQL
    "PRAGMA query_only = 1",  # SQLite
    "SET TIME ZONE 'UTC'",
)


def work() -> None:
    """Connect to the first pickled object of standard input; write the results of the others.

    An object on standard output is a schema, a batch of rows, ``None`` at the end of both, or the
    text of an error.
    """
    results, connection = os.fdopen(os.dup(1), "wb"), None
    os.dup2(2, 1)  # a driver may print
    while True:
        try:
            request = pickle.load(sys.stdin.buffer)  # noqa: S301 (is from the main process)
        except EOFError:
            return
        try:
            if connection is None:
                connection = _connected(request)
            else:
                for part in _rows(connection, *request):
                    pickle.dump(part, results)
            pickle.dump(None, results)
        except Exception as error:  # noqa: BLE001 (the main process raises it)
            pickle.dump(str(error), results)
        results.flush()


def _connected(address: str) -> Any:
    from arrow_odbc import Error, connect

    password = os.environ.get(PASSWORD)
    connection = connect(address, password=password, login_timeout_sec=_LOGIN_SECONDS)
    for statement in SESSION:
        with suppress(Error):
            connection.execute(statement)
    return connection


def _rows(
    connection: Any, query: str, numbers: Sequence[str], most: int | None
) -> Iterator[pa.Schema | pa.RecordBatch]:
    """Yield the schema and the rows of a query: floats in the columns ``numbers``, else text.

    Drivers round decimals, cut integers to 32 bits and turn a wrong date into NULL. As text they
    give each value as it is, or an error.
    """

    def exact(schema: pa.Schema) -> pa.Schema:
        fields = []
        for field in schema:
            is_number = field.name in numbers and pa.types.is_floating(field.type)
            fields.append((field.name, pa.float64() if is_number else pa.string()))
        return pa.schema(fields)

    batches = connection.read_arrow_batches(
        query,
        batch_size=most or _BATCH,
        max_text_size=MOST_TEXT,
        max_bytes_per_batch=1 << 25,  # 32 MB: wide rows come in smaller batches
        map_schema=exact,
        fetch_concurrently=False,  # else the error of a lost connection is lost too
    )
    yield batches.schema
    for batch in batches:
        yield batch
        if most is not None:
            return  # before the driver sends the whole table
