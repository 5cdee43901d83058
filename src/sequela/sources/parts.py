"""Rows that an engine separated on disk, as Arrow tables."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq


def read_parts(folder: Path, column: str, count: int) -> Iterator[tuple[int, pa.Table]]:
    """Read an engine's output partitioned by ``column``: each part is read, then deleted."""
    for value in range(count):
        part = folder / f"{column}={value}"
        if files := sorted(part.glob("*.parquet")):
            texts = texts_of(pq.read_schema(files[0]))
            tables = [pq.ParquetFile(file, read_dictionary=texts).read() for file in files]
            yield value, in_one_piece(pa.concat_tables(tables))
            shutil.rmtree(part)


def in_one_piece(table: pa.Table) -> pa.Table:
    """Return the table, each column in one chunk, text as a dictionary."""
    for name in texts_of(table.schema):
        place = table.column_names.index(name)
        table = table.set_column(place, name, table[name].dictionary_encode())
    return table.unify_dictionaries().combine_chunks()


def texts_of(schema: pa.Schema) -> list[str]:
    """Return the names of the columns that hold text."""
    texts = (pa.string(), pa.large_string())
    return [field.name for field in schema if field.type in texts]
