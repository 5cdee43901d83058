"""Events sorted and made distinct, against a slow plain reference."""

import math
import subprocess
import sys
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sequela.datasets.catalog import EXCERPTS
from sequela.errors import DataError
from sequela.tables import shards
from sequela.tables.meds_events import EVENT_COLUMNS, SCHEMA

CODES = ["A", "B//1", "C"]
ORIGIN = datetime(2100, 1, 1)
# Near ones, and such as together need more than 64 bits.
SUBJECTS = st.integers(1, 2) | st.sampled_from([-(2**63), -7, 2**40, 2**63 - 1])
TIMES = st.integers(-1, 1).map(lambda n: ORIGIN + n * timedelta(microseconds=1)) | st.sampled_from(
    [datetime(1800, 1, 1), datetime(2200, 12, 31, 23, 59, 59, 999_999)]
)
ROW = st.fixed_dictionaries(
    {
        "subject_id": SUBJECTS,
        "time": st.none() | TIMES,
        "code": st.sampled_from(CODES),
        "numeric_value": st.none() | st.sampled_from([-math.inf, -2.5, 0.0, 2.0**127, math.inf]),
        "visit_id": st.none() | st.integers(-1, 1) | st.just(2**63 - 1),
        "table": st.integers(0, 1),
    }
)
EMPTY = {"subject_id": 1, "time": None, "code": "A", "numeric_value": None, "visit_id": None,
         "table": 0}  # fmt: skip
EVENTS = pa.schema([*SCHEMA, pa.field("table", pa.int32())])


def encoded(rows: list[dict[str, Any]]) -> pa.Table:
    table = pa.Table.from_pylist(rows, EVENTS)
    codes = pa.array([CODES.index(row["code"]) for row in rows], pa.int32())
    numbered = pa.DictionaryArray.from_arrays(codes, pa.array(CODES))
    return table.set_column(2, "code", numbered).combine_chunks()


def key(row: dict[str, Any]) -> tuple[Any, ...]:
    """All columns, what is null first."""
    return tuple((row[name] is not None, row[name] or 0) for name in EVENTS.names)


@given(st.lists(ROW, min_size=1, max_size=40))
def test_distinct_rows_against_a_plain_reference(rows: list[dict[str, Any]]) -> None:
    events = encoded(rows)
    distinct, copies = shards.distinct_rows(events)
    found = events.take(pa.array(distinct)).to_pylist()
    seen = {key(row): row for row in rows}
    assert [key(row)[:5] for row in found] == sorted(key(row)[:5] for row in seen.values())
    assert Counter(map(key, found)) == Counter(dict.fromkeys(seen, 1))
    assert sorted([*distinct.tolist(), *copies.tolist()]) == list(range(len(rows)))


def test_an_event_of_nobody(tmp_path: Path) -> None:
    table = encoded([{**EMPTY, "subject_id": None}, EMPTY])
    with pytest.raises(DataError, match="1 events have no subject_id"):
        shards._write_bucket(0, table, tmp_path, lambda ids: ids.astype("int8"))


def test_rows_reach_the_disk_in_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "ROW_GROUP", 2)
    rows = [{**EMPTY, "code": code, "visit_id": visit} for code in CODES for visit in (None, 5, 5)]
    table = encoded(rows)
    written = shards._write_bucket(3, table, tmp_path, lambda ids: (ids - 1).astype("int8"))
    assert written.files == (tmp_path / "data/train/3.parquet",)
    file = pq.ParquetFile(written.files[0])
    assert file.num_row_groups == 3
    assert file.schema_arrow.equals(SCHEMA)
    assert file.read().column_names == list(EVENT_COLUMNS)
    assert written.made_counts == {(0, code): 3 for code in CODES}
    assert written.kept_counts == {(0, code): 2 for code in CODES}
    assert written.of_codes() == [(code, 2) for code in CODES]


PATH = """
import sys
from pathlib import Path
import numpy as np
from sequela.cohort.events import open_events
from sequela.cohort.selection import select_cohort
from sequela.cohort.tasks import report_2019
from sequela.tables.build import build
from sequela.tables.hospitals import source_of

root, out = Path(sys.argv[1]), Path(sys.argv[2])
build(source_of("mimic3"), root, out / "events", tables=["DIAGNOSES_ICD"])
cohort = select_cohort(open_events(out / "events"), report_2019())
from sequela.sequences.build import build_sequences
from sequela.tables.meds_events import read_splits
splits = read_splits(out / "events")
part = [splits[subject] for subject in cohort.labels["subject_id"].to_pylist()]
build_sequences(cohort, np.array(part), out / "sequences")
heavy = ("polars", "pyspark", "scipy", "sklearn", "torch")
print([name for name in heavy if name in sys.modules])
"""


def test_the_path_to_sequences_loads_nothing_heavy(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PATH, str(EXCERPTS / "mimic3"), str(tmp_path)]
    said = subprocess.run(command, capture_output=True, text=True, check=True)
    assert said.stdout == "[]\n"
    assert np.load(tmp_path / "sequences/codes.npy").size > 0
