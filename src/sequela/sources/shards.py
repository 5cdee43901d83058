"""The shards of a data set: equal events once, sorted, each subject in one file.

Many events are first spread over buckets of subjects on disk, in one pass; then one bucket at a
time is counted, sorted and written, so that the size of memory does not bound the data.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import meds.schema
import narwhals as nw
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sequela.errors import DataError
from sequela.sources.engine import Engine
from sequela.sources.meds_events import EVENT_COLUMNS, SPLITS

BUCKET_EVENTS = 5_000_000

Frame = nw.LazyFrame[Any]
Split = Callable[[NDArray[np.int64]], NDArray[np.int8]]


@dataclass(frozen=True)
class Shards:
    """What was written.

    Attributes:
        ids: int64 (subject,), sorted.
        split: int8 (subject,), index in ``SPLITS``.
        made: (number of the table, code) to the number of events that its rows gave.
        kept: The same to the number of events on disk, equal ones counted once.
        files: The shards.
    """

    ids: NDArray[np.int64]
    split: NDArray[np.int8]
    made: Counter[tuple[int, str]]
    kept: Counter[tuple[int, str]]
    files: tuple[Path, ...]

    def of_table(self, number: int) -> tuple[int, int]:
        """Events that a table gave, and those of them on disk."""
        codes = [key for key in self.made if key[0] == number]
        return sum(self.made[key] for key in codes), sum(self.kept[key] for key in codes)

    def of_codes(self) -> list[tuple[str, int]]:
        """Each code and the number of its events on disk, sorted by code."""
        codes: Counter[str] = Counter()
        for (_, code), events in self.kept.items():
            codes[code] += events
        return sorted(codes.items())


def write_shards(events: Frame, expected: int, engine: Engine, out: Path, split: Split) -> Shards:
    """Write ``out/data/{train,tuning,held_out}/N.parquet``.

    Args:
        events: MEDS columns, ``visit_id``, and ``table``, the number of the table.
        expected: How many events there are at most.
        engine: What moves them; it forgets all that it keeps but what is being written.
        out: The data set.
        split: Gives the index in ``SPLITS`` of subjects.

    Raises:
        DataError: There are no events.
    """
    buckets = _prime(-(-expected // BUCKET_EVENTS))
    # The second modulus makes the buckets of negative ids those that engines and Python agree on.
    bucket = (nw.col("subject_id") % buckets + buckets) % buckets
    parts = engine.parts(events.with_columns(bucket=bucket), "bucket", buckets)
    found = [_write_bucket(frame, number, engine, out, split) for number, frame in parts]
    ids = np.concatenate([each.ids for each in found])
    if not len(ids):
        raise DataError("no row gave an event: the tables are empty, or not those of this source")
    order = np.argsort(ids)
    return Shards(
        ids[order],
        np.concatenate([each.split for each in found])[order],
        sum((each.made for each in found), Counter()),
        sum((each.kept for each in found), Counter()),
        tuple(file for each in found for file in each.files),
    )


def _write_bucket(frame: Frame, number: int, engine: Engine, out: Path, split: Split) -> Shards:
    name = f"events {number}"
    copies = frame.group_by("table", *EVENT_COLUMNS).agg(copies=nw.len())
    events = engine.keep(copies, name)
    engine.forget(but=name)
    by_code = events.group_by("table", "code").agg(made=nw.col("copies").sum(), kept=nw.len())
    counts = by_code.collect("pyarrow").to_native().to_pylist()
    counted = events.group_by("subject_id").agg(events=nw.len()).sort("subject_id")
    ids = counted.collect("pyarrow").to_native()["subject_id"].to_numpy()
    part = split(ids)
    membership = pa.table({"subject_id": ids, "part": pa.array(part, pa.int32())})
    placed = events.join(
        engine.read_batches(f"membership {number}", membership.to_reader()),
        on="subject_id",
        how="inner",
    )
    files = []
    for index in np.unique(part).tolist():
        path = out / meds.schema.data_subdirectory / SPLITS[index] / f"{number}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        chosen = placed.filter(nw.col("part") == index).select(*EVENT_COLUMNS)
        engine.write_parquet(chosen.sort(*EVENT_COLUMNS), path)
        files.append(path)
    return Shards(
        ids,
        part,
        Counter({(row["table"], row["code"]): int(row["made"]) for row in counts}),
        Counter({(row["table"], row["code"]): int(row["kept"]) for row in counts}),
        tuple(files),
    )


def _prime(least: int) -> int:
    """The smallest prime, or 1, that is not below ``least``: ids often share small factors.

    Example:
        >>> [_prime(n) for n in (0, 1, 2, 4, 8, 14)]
        [1, 1, 2, 5, 11, 17]
    """
    number = max(least, 1)
    while any(number % divisor == 0 for divisor in range(2, int(number**0.5) + 1)):
        number += 1
    return number
