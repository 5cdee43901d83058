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
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sequela.errors import DataError
from sequela.formats.opened import content

SEAL = b"sequela.sha256"
"""The key of the seal in the file's metadata."""
_CONTINUES, _NEXT_I32 = 0x80, 0x15


def write(table: pa.Table, path: Path, **options: Any) -> None:
    """Write a table of numbers, truth values, times and text; the same table, the same bytes."""
    metadata = {**(table.schema.metadata or {}), SEAL: _seal(table).encode()}
    sealed = table.replace_schema_metadata(metadata)
    pq.write_table(sealed, path, write_page_checksum=True, **options)


def read(path: Path, expected: str, remedy: str) -> pa.Table:
    """Read the table of a file, and verify its checksums where it has any."""
    given = content(path, expected, remedy)
    try:
        table = pq.ParquetFile(pa.BufferReader(given), page_checksum_verification=True).read()
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


def is_checked(path: Path) -> bool:
    """Return whether a Parquet file has a seal, or a checksum in the first page of each column.

    A page header is in the compact protocol of Thrift: after type and two sizes, each a number of
    32 bits, field 4 is the checksum (https://github.com/apache/parquet-format).
    """
    data = path.read_bytes()
    metadata = pq.ParquetFile(pa.BufferReader(data)).metadata
    if SEAL in (metadata.metadata or {}):
        return True
    groups = map(metadata.row_group, range(metadata.num_row_groups))
    for column in (group.column(i) for group in groups for i in range(group.num_columns)):
        place = column.dictionary_page_offset or column.data_page_offset
        for _ in range(3):
            place += 1  # the header of a field; then a number whose last byte is below 128
            while data[place] >= _CONTINUES:
                place += 1
            place += 1
        if data[place] != _NEXT_I32:
            return False
    return True


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
        column = column.fill_null("")
        lengths = pc.binary_length(column).to_numpy().astype(np.int64).tobytes()
        whole = (pa.ListArray.from_arrays([0, len(each)], each) for each in column.chunks)
        joined = [pc.binary_join(each, "")[0].as_buffer().to_pybytes() for each in whole]
        return b"".join((known, lengths, *joined))
    if pa.types.is_boolean(column.type) or pa.types.is_timestamp(column.type):
        column = column.cast(pa.int64())
    filled = column.fill_null(0)
    return known + bytes(filled.to_numpy(zero_copy_only=False).tobytes())
