"""MEDS data sets: as this package builds them, under checksums, and as others write them."""

import io
import json
import tempfile
from datetime import datetime, timedelta
from functools import cache, partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fuzz.damage import Case, Files, changed_bytes, changed_json, examples
from tests.tables.conftest import SMALL, built, written

from sequela.cohort.events import open_events

COLUMNS = ["subject_id", "time", "code", "numeric_value", "visit_id"]
SHARD, META = "data/0.parquet", "metadata/dataset.json"


@cache
def own_data() -> Files:
    """Return a data set as this package writes it, with its list of checksums."""
    with tempfile.TemporaryDirectory() as name:
        out = built("mimic3", written(Path(name, "in"), SMALL["mimic3"]()), Path(name, "out")).out
        paths = [path for path in out.rglob("*") if path.is_file()]
        return {path.relative_to(out).as_posix(): path.read_bytes() for path in paths}


@cache
def foreign_data(**options: Any) -> Files:
    """Return a data set as another program writes it, without a list of checksums."""
    first, count = datetime(2100, 1, 1), 400
    times = [first + timedelta(hours=i) for i in range(count)]
    table = pa.table(
        {
            "subject_id": pa.array([i // 40 for i in range(count)], pa.int64()),
            "time": pa.array(times, pa.timestamp("us")),
            "code": pa.array([f"LAB//{i % 7}" for i in range(count)]),
            "numeric_value": pa.array([i / 8 for i in range(count)], pa.float32()),
        }
    )
    out = io.BytesIO()
    pq.write_table(table, out, **options)
    return {SHARD: out.getvalue(), META: json.dumps({"meds_version": "0.4.1"}).encode()}


def rows_of(table: pa.Table) -> list[Any]:
    """Return rows in one order, and times as numbers, which have years that Python does not."""
    columns = {name: table[name] for name in sorted(COLUMNS) if name in table.column_names}
    columns["time"] = columns["time"].cast(pa.timestamp("us")).cast(pa.int64())
    columns["numeric_value"] = columns["numeric_value"].cast(pa.float32())
    rows = zip(*(column.to_pylist() for column in columns.values()), strict=True)
    return sorted(map(list, dict.fromkeys(rows)), key=repr)


def read_own(folder: Path) -> Any:
    """Return the events that a run reads."""
    with open_events(folder).connect() as connection:
        return rows_of(connection.table("events").select(*COLUMNS).to_arrow_table())


def read_foreign(folder: Path) -> Any:
    """Return the events of a build."""
    with tempfile.TemporaryDirectory() as name:
        out = built("meds", folder, Path(name) / "events").out
        shards = [pq.read_table(path) for path in sorted((out / "data").rglob("*.parquet"))]
        return rows_of(pa.concat_tables(shards).select(COLUMNS[:4]))


def second_meds(files: Files) -> Any:
    """Return what pyarrow reads alone, with the checksums of pages."""
    try:
        json.loads(files[META])
        file = pq.ParquetFile(io.BytesIO(files[SHARD]), page_checksum_verification=True)
        return rows_of(file.read())
    except Exception:  # noqa: BLE001 (whatever it is, the second reader has no values)
        return None


def changed(content: bytes) -> st.SearchStrategy[bytes]:
    return changed_json(content) if content.startswith(b"{") else changed_bytes(content)


PAGES = partial(foreign_data, write_page_checksum=True, compression="NONE")
CASES = {
    "meds-built": Case(own_data, read_own, changed_bytes),
    "meds-foreign": Case(foreign_data, read_foreign, changed, second_meds),
    "meds-pages": Case(PAGES, read_foreign, changed, second_meds),
}


@pytest.mark.parametrize("name", CASES)
@examples(16)
@given(data=st.data())
def test_damaged_meds(name: str, data: st.DataObject) -> None:
    CASES[name].check(data)
