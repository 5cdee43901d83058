"""The shards of a data set: distinct events, sorted, each subject in one file.

Many events are first spread over buckets of subjects on disk, in one pass; then a few buckets at a
time are sorted in memory, counted and written, so that the size of memory does not bound the data.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path

import meds.schema
import narwhals as nw
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from sequela.errors import DataError
from sequela.files import whole
from sequela.tables.declarations import Frame
from sequela.tables.engine import Engine
from sequela.tables.meds_events import EVENT_COLUMNS, SCHEMA, SPLITS

BUCKET_EVENTS = 2_500_000  # sorted in some 250 MB
ROW_GROUP = 122_880  # rows that a reader takes at once; DuckDB reads several side by side

Split = Callable[[NDArray[np.int64]], NDArray[np.int8]]


@dataclass(frozen=True)
class Shards:
    """The written shards."""

    ids: NDArray[np.int64]  # int64 (subject,), sorted
    split: NDArray[np.int8]  # int8 (subject,), index in ``SPLITS``
    # (number of the table, code) to the number of events from its rows.
    made_counts: Counter[tuple[int, str]]
    # The same to the number of events on disk, duplicates counted once.
    kept_counts: Counter[tuple[int, str]]
    files: tuple[Path, ...]

    def of_table(self, number: int) -> tuple[int, int]:
        """Count the events of a table, and those of them on disk."""
        from_rows = sum(n for (table, _), n in self.made_counts.items() if table == number)
        on_disk = sum(n for (table, _), n in self.kept_counts.items() if table == number)
        return from_rows, on_disk

    def of_codes(self) -> list[tuple[str, int]]:
        """List each code and the number of its events on disk, sorted by code."""
        codes: Counter[str] = Counter()
        for (_, code), events in self.kept_counts.items():
            codes[code] += events
        return sorted(codes.items())


def write_shards(
    events: Sequence[Frame], expected: int, engine: Engine, out: Path, split: Split
) -> Shards:
    """Write ``out/data/{train,tuning,held_out}/N.parquet``; the engine drops all tables it keeps.

    The events of each fact have MEDS columns, ``visit_id``, and ``table``, the number of the table;
    there are at most ``expected`` of them.
    """
    buckets = _prime(-(-expected // BUCKET_EVENTS))
    # The second modulus makes engines and Python agree on the buckets of negative ids.
    bucket = (nw.col("subject_id") % buckets + buckets) % buckets
    work = partial(_write_bucket, out=out, split=split)
    parts = engine.map_parts(events, bucket, buckets, work)
    ids = np.concatenate([np.empty(0, np.int64), *(part.ids for part in parts)])
    if not len(ids):
        raise DataError("no row gave an event: the tables are empty, or not those of this source")
    order = np.argsort(ids)
    return Shards(
        ids[order],
        np.concatenate([part.split for part in parts])[order],
        sum((part.made_counts for part in parts), Counter()),
        sum((part.kept_counts for part in parts), Counter()),
        tuple(chain.from_iterable(part.files for part in parts)),
    )


def _write_bucket(number: int, table: pa.Table, out: Path, split: Split) -> Shards:
    if not len(table):
        return Shards(np.empty(0, np.int64), np.empty(0, np.int8), Counter(), Counter(), ())
    if lost := table["subject_id"].null_count:
        raise DataError(f"{lost} events have no subject_id: fill it in, or fetch the tables again")
    table, codes = _with_numbered_codes(table)
    rows, copies = distinct_rows(table)
    made_counts = _count(table, codes)
    # A copy is counted as an event of its table and code, like the event that is kept.
    kept_counts = made_counts - _count(table.take(pa.array(copies)), codes)
    # Subjects are whole in a bucket, so that their split and their shard can be decided here.
    subject = table["subject_id"].to_numpy()[rows]  # sorted
    # The value before the first subject differs from it, so that the first one counts.
    first = np.flatnonzero(np.diff(subject, prepend=subject[:1] - 1))
    ids, counts = subject[first], np.diff(first, append=len(subject))
    part = split(ids)
    part_of_row = np.repeat(part, counts)
    files = []
    for index in np.flatnonzero(np.bincount(part)).tolist():
        path = out / meds.schema.data_subdirectory / SPLITS[index] / f"{number}.parquet"
        with whole(path, lasting=False) as new:  # a cluster may try a task twice
            _write_rows(table.select(EVENT_COLUMNS), rows[part_of_row == index], new)
        files.append(path)
    return Shards(ids, part, made_counts, kept_counts, tuple(files))


def _with_numbered_codes(table: pa.Table) -> tuple[pa.Table, list[str]]:
    """Return the table with codes as indices of the distinct ones, which are sorted, and these."""
    column = table["code"].combine_chunks()
    # Indices of sorted codes are in the order of their texts, whatever order the engine has.
    order = pc.sort_indices(column.dictionary)
    place = np.empty(len(order), np.int32)
    place[order.to_numpy()] = np.arange(len(order), dtype=np.int32)
    codes = column.dictionary.take(order).cast(pa.string())
    numbered = pa.DictionaryArray.from_arrays(place[column.indices.to_numpy()], codes)
    return table.set_column(table.column_names.index("code"), "code", numbered), codes.to_pylist()


def distinct_rows(events: pa.Table) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Find the order of events by all columns, without duplicates.

    Args:
        events: ``EVENT_COLUMNS``, the codes as indices of sorted ones, and ``table``.

    Returns:
        The distinct rows in their order, and the rows that are copies of one of them.
    """
    # Whole numbers sort several times faster than text, and compare bit by bit.
    keys = {name: _key(events[name]) for name in (*EVENT_COLUMNS, "table")}
    by_all = [(name, "ascending") for name in keys]
    order = pc.sort_indices(pa.table(keys), by_all).to_numpy().astype(np.int64)
    equal = np.logical_and.reduce([np.diff(key[order]) == 0 for key in keys.values()])
    copies = np.flatnonzero(equal) + 1
    return np.delete(order, copies), order[copies]


def _key(column: pa.ChunkedArray) -> NDArray[np.int64]:
    """Return integers in the order of a column's values, nulls first."""
    if pa.types.is_dictionary(column.type):
        return np.asarray(column.combine_chunks().indices, np.int64)
    key = np.asarray(column.fill_null(pa.scalar(0, column.type)))
    nulls = np.asarray(column.is_null())
    if key.dtype.kind == "f":
        bits = key.view(np.int32)
        key = bits ^ ((bits >> 31) & 0x7FFFFFFF)  # the order of floats is that of these integers
    key = key.astype(np.int64)
    if not nulls.any():
        return key
    # Nulls are below the smallest value, so they come first on every engine.
    return np.where(nulls, key[~nulls].min(initial=0) - 1, key)


def _write_rows(events: pa.Table, rows: NDArray[np.int64], path: Path) -> None:
    """Write a shard; sorted columns compress better without a dictionary."""
    with pq.ParquetWriter(path, SCHEMA, compression="zstd", use_dictionary=["code"]) as writer:
        for first in range(0, len(rows), ROW_GROUP):
            group = events.take(pa.array(rows[first : first + ROW_GROUP]))
            writer.write_table(group.cast(SCHEMA))  # only the codes of these rows


def _count(events: pa.Table, codes: list[str]) -> Counter[tuple[int, str]]:
    table = events["table"].to_numpy().astype(np.int64)
    # One number stands for the pair of table and code, so that a single count covers all pairs.
    counts = np.bincount(table * len(codes) + events["code"].combine_chunks().indices.to_numpy())
    present = np.flatnonzero(counts)
    numbers, places = np.divmod(present, len(codes))
    keys = zip(numbers.tolist(), map(codes.__getitem__, places), strict=True)
    return Counter(dict(zip(keys, counts[present].tolist(), strict=True)))


def _prime(least: int) -> int:
    """Return the smallest prime, or 1, that is not below ``least``: ids often share small factors.

    Example:
        >>> [_prime(n) for n in (0, 1, 2, 4, 8, 14)]
        [1, 1, 2, 5, 11, 17]
    """
    number = max(least, 1)
    while any(number % divisor == 0 for divisor in range(2, int(number**0.5) + 1)):
        number += 1
    return number
