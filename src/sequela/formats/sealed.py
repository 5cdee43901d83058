"""Checksums within files, which reveal damage and careless edits, but not forgery.

A file of a run folder is in the folder's manifest. A file that is used without one has its SHA-256
in its metadata, computed with zeros in its place.
"""

import hashlib
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from sequela.errors import DataError
from sequela.formats.opened import content

EMPTY = "0" * 64  # the value of the metadata until the SHA-256 of the file is known
KEY = "sequela.file-sha256"  # the key in the metadata of Parquet files
_BETWEEN = 2  # bytes from a key to its value: the type and the length of the value


def seal(data: bytes, key: str = KEY) -> bytes:
    """Replace the zeros in the metadata of a file by the SHA-256 of the file."""
    # The metadata is at the end of a Parquet file, so the last occurrence of the key is meant.
    begin = data.rindex(key.encode()) + len(key) + _BETWEEN
    return data[:begin] + _digest(data) + data[begin + len(EMPTY) :]


def is_intact(data: bytes, key: str = KEY) -> bool | None:
    """Return whether a file has the SHA-256 in its metadata; ``None`` if there is none."""
    place = data.rfind(key.encode())
    if place < 0:
        return None
    begin = place + len(key) + _BETWEEN
    end = begin + len(EMPTY)
    return _digest(data[:begin] + EMPTY.encode() + data[end:]) == data[begin:end]


def _digest(data: bytes) -> bytes:
    return hashlib.sha256(data).hexdigest().encode()


def write(table: pa.Table, path: Path) -> None:
    """Write a Parquet file with its SHA-256; the same table, the same bytes."""
    metadata = {**(table.schema.metadata or {}), KEY: EMPTY}
    buffer = pa.BufferOutputStream()
    # The checksum of each page shows where a file is damaged, and not only that it is.
    pq.write_table(table.replace_schema_metadata(metadata), buffer, write_page_checksum=True)
    path.write_bytes(seal(buffer.getvalue().to_pybytes()))


def read(path: Path, expected: str, remedy: str) -> pa.Table:
    """Read the table of a Parquet file, and verify its checksums where it has any."""
    data = content(path, expected, remedy)
    try:
        table = pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=True).read()
        table.validate(full=True)
    except (pa.ArrowException, OSError, ValueError, TypeError, MemoryError) as error:
        words = " ".join(str(error).split())[:200]
        raise DataError(f"{path} is damaged ({words}): expected {expected}; {remedy}") from error
    if is_intact(data) is False:
        raise DataError(
            f"{path} is damaged: it is not as it was written (its SHA-256 differs): expected "
            f"{expected}; {remedy}"
        )
    return table
