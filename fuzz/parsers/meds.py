"""MEDS data sets: as this package builds them, under checksums, and as others write them."""

import io
import json
import tempfile
from contextlib import suppress
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from fuzz.mutators import BYTES, JSON
from fuzz.parser import Files, Mutator, Parser, Seed
from fuzz.parsers.tables import _mimic3
from sequela.cohort.events import open_events
from sequela.tables.build import build
from sequela.tables.hospitals import source_of

COLUMNS = ["subject_id", "time", "code", "numeric_value", "visit_id"]
META = "metadata/dataset.json"


@cache
def _built() -> Files:
    """Some subjects of MIMIC-III as this package writes them, with their list of checksums."""
    with tempfile.TemporaryDirectory() as name:
        root, out = Path(name) / "in", Path(name) / "out"
        root.mkdir()
        for path, content in _mimic3().items():
            (root / path).write_bytes(content)
        build(source_of("mimic3"), root, out)
        paths = sorted(path for path in out.rglob("*") if path.is_file())
        return {path.relative_to(out).as_posix(): path.read_bytes() for path in paths}


def _foreign(**options: Any) -> Files:
    """A data set as another program writes it, without a list of checksums."""
    count = 400
    first = datetime(2100, 1, 1)
    table = pa.table(
        {
            "subject_id": pa.array([i // 40 for i in range(count)], pa.int64()),
            "time": pa.array(
                [first + timedelta(hours=i) for i in range(count)], pa.timestamp("us")
            ),
            "code": pa.array([f"LAB//{i % 7}" for i in range(count)]),
            "numeric_value": pa.array([i / 8 for i in range(count)], pa.float32()),
        }
    )
    out = io.BytesIO()
    pq.write_table(table, out, **options)
    return {"data/0.parquet": out.getvalue(), META: json.dumps({"meds_version": "0.4.1"}).encode()}


def _rows(table: pa.Table) -> list[Any]:
    """Rows in one order, times as numbers, which also hold years that Python does not know."""
    columns = {name: table[name] for name in COLUMNS if name in table.column_names}
    columns["time"] = columns["time"].cast(pa.timestamp("us")).cast(pa.int64())
    columns["numeric_value"] = columns["numeric_value"].cast(pa.float32())
    rows = zip(*(columns[name].to_pylist() for name in sorted(columns)), strict=True)
    return sorted(map(list, dict.fromkeys(rows)), key=repr)


def _read_built(folder: Path) -> Any:
    """What a run reads: the events through DuckDB."""
    events = open_events(folder)
    with events.connect() as connection:
        return _rows(connection.table("events").select(*COLUMNS).to_arrow_table())


def _read_foreign(folder: Path) -> Any:
    """What a build makes of it."""
    with tempfile.TemporaryDirectory() as name:
        out = Path(name) / "events"
        build(source_of("meds"), folder, out)
        shards = [pq.read_table(path) for path in sorted((out / "data").rglob("*.parquet"))]
        return _rows(pa.concat_tables(shards).select(COLUMNS[:4]))


def _says(files: Files) -> Any:
    """What pyarrow reads alone, with the checksums of pages."""
    with suppress(Exception):  # whatever it cannot read says nothing
        json.loads(files[META])
        content = io.BytesIO(files["data/0.parquet"])
        table = pq.ParquetFile(content, page_checksum_verification=True).read()
        return _rows(table)
    return None


_CHANGES: dict[str, Mutator] = {
    **BYTES,
    **{f"json {name}": JSON[name] for name in ("leaf", "deep", "key twice")},
}
PARSERS = (
    Parser("meds-built", lambda: [Seed(_built())], _read_built, BYTES),
    Parser("meds-foreign", lambda: [Seed(_foreign())], _read_foreign, _CHANGES, _says),
    Parser(
        "meds-pages",
        lambda: [Seed(_foreign(write_page_checksum=True, compression="NONE"))],
        _read_foreign,
        _CHANGES,
        _says,
    ),
)
