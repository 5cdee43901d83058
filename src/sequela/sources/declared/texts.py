"""Tables in files as DuckDB reads them: each value as text."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sequela.sources.csv_files import header
from sequela.sources.engine import csv_texts

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

PARQUET = ".parquet"


def text_of(paths: Sequence[Path], connection: "DuckDBPyConnection") -> tuple[Any, list[str]]:
    """Read a table as text, and its columns in lower case.

    Args:
        paths: Its CSV file, or its Parquet files.
        connection: The connection that reads them.

    Raises:
        DataError: If the header of the CSV file cannot be read.
    """
    if paths[0].suffix.lower() == PARQUET:
        relation = connection.read_parquet(list(map(str, paths)), union_by_name=True)
        texts = (f'"{name}"::VARCHAR AS "{name.lower()}"' for name in relation.columns)
        return relation.project(", ".join(texts)), [name.lower() for name in relation.columns]
    names = header(paths[0])
    relation = csv_texts(connection, paths[0], names)
    filled = (f'nullif("{name}", \'\') AS "{name}"' for name in names)
    return relation.project(", ".join(filled)), names
