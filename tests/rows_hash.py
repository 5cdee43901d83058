"""The SHA-256 of the events of a data set."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sequela.tables.meds_events import EVENT_COLUMNS, data_files


def rows_hash(root: Path) -> str:
    """Compute the SHA-256 of all events of a data set, shard by shard in their order.

    It is equal for equal rows, whichever engine wrote them and however the files are encoded.
    """
    digest = hashlib.sha256()
    for path in data_files(root):
        digest.update(path.relative_to(root).as_posix().encode())
        for batch in pq.ParquetFile(path).iter_batches(1 << 16, columns=list(EVENT_COLUMNS)):
            for column in EVENT_COLUMNS:
                digest.update(_bytes(batch.column(column)))
    return digest.hexdigest()


def shards_of(out: Path) -> dict[str, str]:
    """Compute the SHA-256 of the bytes of each shard."""
    files = sorted(path for path in (out / "data").rglob("*") if path.is_file())
    return {
        str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files
    }


def _bytes(column: Any) -> bytes:
    valid = column.is_valid().to_numpy(zero_copy_only=False)
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        values = "\0".join(column.fill_null("").to_pylist()).encode()
    else:
        width = pa.int32() if column.type.bit_width == 32 else pa.int64()
        values = column.view(width).fill_null(0).to_numpy().tobytes()
    return np.packbits(valid).tobytes() + bytes(values)
