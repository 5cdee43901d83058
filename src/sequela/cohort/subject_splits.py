"""The split file of the MEDS standard: ``metadata/subject_splits.parquet``, subject to part."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from sequela.cohort.split import PARTS
from sequela.errors import DataError, DataNotFoundError, SplitError, without_values
from sequela.formats.columns import values_of


def read_subject_splits(path: Path) -> pa.Table:
    """Read a MEDS split: a table of ``subject_id`` and ``split``.

    Raises:
        DataNotFoundError: If there is no such file.
        DataError: If it is not a table with these columns.
    """
    if not path.is_file():
        raise DataNotFoundError(f"no split {path}; MEDS data have one in metadata/")
    try:
        table = pq.ParquetFile(path).read(["subject_id", "split"])
        return table.cast(pa.schema([("subject_id", pa.int64()), ("split", pa.string())]))
    except (pa.ArrowInvalid, OSError, ValueError) as error:
        raise DataError(
            f"{path} is not a MEDS split (subject_id, split): {without_values(error)}"
        ) from None


def parts_of_labels(labels: pa.Table, splits: pa.Table | Mapping[int, str]) -> NDArray[np.int64]:
    """Look up the part of each row of a label table: int64 (example,), indices into ``PARTS``.

    Raises:
        SplitError: If a subject is in two parts, a part has another name, or a subject of the
            labels is in no part.
    """
    if isinstance(splits, Mapping):
        splits = pa.table({"subject_id": [*splits], "split": [*splits.values()]})
    ids = values_of(splits["subject_id"])
    named = splits["split"].combine_chunks().dictionary_encode()
    names = named.dictionary.to_pylist()
    if named.null_count:
        raise SplitError(
            f"{named.null_count} subjects are in no part of the split: expected "
            "each in one; add them to the split"
        )
    strange = sorted(set(names) - set(PARTS))
    if strange:
        raise SplitError(f"unknown part '{strange[0]}' in the split (known: {', '.join(PARTS)})")
    part = np.array([PARTS.index(name) for name in names], np.int64)[values_of(named.indices)]
    distinct, first, inverse = np.unique(ids, return_index=True, return_inverse=True)
    moved = np.flatnonzero(part != part[first][inverse])
    if len(moved):
        row = min(moved, key=ids.__getitem__)
        rows = f"{first[inverse[row]] + 1} and {row + 1}"
        raise SplitError(f"rows {rows} of the split put one subject in two parts; keep one")
    asked = values_of(labels["subject_id"])
    lost = ~np.isin(asked, distinct)
    if lost.any():
        raise SplitError(
            f"{len(np.unique(asked[lost]))} subjects of the labels are in no part of the split, "
            f"the first in row {int(lost.argmax()) + 1} of the labels; add them to the split"
        )
    return np.asarray(part[first][np.searchsorted(distinct, asked)])
