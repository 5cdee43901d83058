"""Parquet files that this package writes and reads back, with a seal against damage.

A page of a Parquet file may carry a CRC-32, but its footer (names, types, counts) has none. So our
files have both: page checksums, which other readers can verify, and the SHA-256 of the columns in
the metadata. A seal reveals damage and careless edits, but not forgery.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sequela.errors import DataError
from sequela.sources.opened import content

SEAL = b"sequela.sha256"
"""The key of the seal in the file's metadata."""


def write(table: pa.Table, path: Path, **options: Any) -> None:
    """Write a table of numbers, truth values, times and text; the same table, the same bytes.

    Args:
        table: The columns.
        path: The file.
        options: Options of ``pyarrow.parquet.write_table``.
    """
    metadata = {**(table.schema.metadata or {}), SEAL: _seal(table).encode()}
    sealed = table.replace_schema_metadata(metadata)
    pq.write_table(sealed, path, write_page_checksum=True, **options)


def read(path: Path, expected: str, remedy: str) -> pa.Table:
    """Read the table of a file, and verify its checksums where it has any.

    Raises:
        DataNotFoundError: If there is no such file.
        DataError: If it is not a Parquet file, is damaged, or does not match its seal.
    """
    given = content(path, expected, remedy)
    try:
        file = pq.ParquetFile(pa.BufferReader(given), page_checksum_verification=True)
        table = file.read()
        table.validate(full=True)
        found = (table.schema.metadata or {}).get(SEAL)
        broken = found is not None and found.decode("ascii") != _seal(table)
    except (pa.ArrowException, OSError, ValueError, TypeError, MemoryError) as error:
        words = " ".join(str(error).split())[:200]
        raise DataError(f"{path} is damaged ({words}): expected {expected}; {remedy}") from error
    if broken:
        raise DataError(
            f"{path} is damaged: its values are not those that were written (their SHA-256 "
            f"differs): expected {expected}; {remedy}"
        )
    return table


def _seal(table: pa.Table) -> str:
    """Compute the SHA-256 of a table: its columns' names, types and values, and other metadata."""
    digest = hashlib.sha256()
    metadata = {k.hex(): v.hex() for k, v in (table.schema.metadata or {}).items() if k != SEAL}
    own = {name: value for name, value in metadata.items() if name != b"ARROW:schema".hex()}
    fields = [[field.name, str(field.type)] for field in table.schema]
    digest.update(json.dumps([fields, own, table.num_rows], sort_keys=True).encode())
    for column in table.columns:
        digest.update(_bytes(column))
    return digest.hexdigest()


def _bytes(column: pa.ChunkedArray) -> bytes:
    """Return nulls and values as bytes, independent of chunks."""
    known = np.packbits(column.is_valid().to_numpy(zero_copy_only=False)).tobytes()
    if pa.types.is_string(column.type):
        texts = [text.encode() for text in column.fill_null("").to_pylist()]
        return known + np.array([len(text) for text in texts], np.int64).tobytes() + b"".join(texts)
    if pa.types.is_boolean(column.type) or pa.types.is_timestamp(column.type):
        column = column.cast(pa.int64())
    filled = column.fill_null(0)
    return known + bytes(filled.to_numpy(zero_copy_only=False).tobytes())
