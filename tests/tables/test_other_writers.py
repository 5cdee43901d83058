"""MEDS data as polars and pandas write it: other types for the same values."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd  # type: ignore[import-untyped]
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sequela.cohort.events import open_events
from sequela.errors import DataError
from sequela.tables.meds_events import validate

TIMES = [None, datetime(2020, 1, 1, 10), datetime(2020, 1, 2)]
CODES = ["GENDER//F", "LAB//50912", "ICD9CM//4280"]
VALUES = [None, 1.5, None]
ROWS = [(1, time, code, value, 7) for time, code, value in zip(TIMES, CODES, VALUES, strict=True)]


def by_polars(path: Path) -> None:
    pl.DataFrame(
        {
            "subject_id": pl.Series([1, 1, 1], dtype=pl.Int32),
            "time": pl.Series(TIMES, dtype=pl.Datetime("ms")),
            "code": pl.Series(CODES, dtype=pl.Categorical),
            "numeric_value": pl.Series(VALUES, dtype=pl.Float64),
            "visit_id": pl.Series([7, 7, 7], dtype=pl.UInt64),
        }
    ).write_parquet(path)


def by_pandas(path: Path) -> None:
    pd.DataFrame(
        {
            "subject_id": [1, 1, 1],
            "time": pd.Series(TIMES, dtype="datetime64[ns]"),
            "code": pd.Series(CODES, dtype=pd.StringDtype("pyarrow")),  # as pandas 3 has all text
            "numeric_value": VALUES,
            "visit_id": pd.array([7, 7, 7], dtype="Int64"),
        }
    ).to_parquet(path, index=False)


def by_pyarrow(path: Path) -> None:
    columns = {
        "subject_id": pa.array([1, 1, 1], pa.uint16()),
        "time": pa.array(TIMES, pa.timestamp("us")),
        "code": pa.array(CODES, pa.large_string()).dictionary_encode(),
        "numeric_value": pa.array(VALUES, pa.float16()),
        "visit_id": pa.array([7, 7, 7], pa.int16()),
    }
    pq.write_table(pa.table(columns), path)


def shard(root: Path, write: Callable[[Path], None], name: str = "0") -> Path:
    (root / "data").mkdir(parents=True, exist_ok=True)
    write(root / "data" / f"{name}.parquet")
    return root


def changed(root: Path, name: str, values: pa.Array) -> Path:
    """The one shard with other values in a column."""
    path = root / "data" / "0.parquet"
    table = pq.read_table(path)
    pq.write_table(table.set_column(table.schema.get_field_index(name), name, values), path)
    return path


def rows_of(root: Path) -> list[tuple[Any, ...]]:
    with open_events(root).connect() as connection:
        return connection.execute("SELECT * FROM events ORDER BY time NULLS FIRST").fetchall()


@pytest.mark.parametrize("write", [by_polars, by_pandas, by_pyarrow])
def test_what_others_write_is_read_as_it_is(
    write: Callable[[Path], None], tmp_path: Path, made: Any
) -> None:
    root = shard(tmp_path / "meds", write)
    assert rows_of(root) == ROWS
    built = made("meds", root)
    assert [tuple(row.values()) for row in built.rows] == ROWS


def test_shards_of_several_writers_are_one_data_set(tmp_path: Path) -> None:
    for number, write in enumerate((by_pyarrow, by_polars, by_pandas)):
        shard(tmp_path, write, str(number))
    assert rows_of(tmp_path) == [row for row in ROWS for _ in range(3)]


def test_a_narrow_first_shard_does_not_cut_the_others(tmp_path: Path) -> None:
    def wide(path: Path) -> None:
        columns = {"subject_id": [70_000], "time": [datetime(2030, 1, 1)], "code": ["LAB//x"]}
        pq.write_table(pa.table({**columns, "numeric_value": [98.6], "visit_id": [2**40]}), path)

    root = shard(shard(tmp_path, by_pyarrow), wide, "1")
    assert rows_of(root)[-1] == (70_000, datetime(2030, 1, 1), "LAB//x", 98.6, 2**40)


def test_a_column_that_holds_nothing_is_none(tmp_path: Path) -> None:
    def write(path: Path) -> None:
        times = pa.array(TIMES, pa.timestamp("us"))
        columns = {"subject_id": [1, 1, 1], "time": times, "code": CODES}
        pq.write_table(pa.table({**columns, "numeric_value": pa.nulls(3)}), path)

    assert [row[3:] for row in rows_of(shard(tmp_path, write))] == [(None, None)] * 3


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("subject_id", pa.array([2**63, 1, 1], pa.uint64())),
        ("subject_id", pa.array([1.0, 1.0, 1.0])),
        ("time", pa.array([None, 1, 1_000], pa.int64()).cast(pa.timestamp("ns"))),
        ("time", pa.array(TIMES, pa.timestamp("us", "UTC"))),
        ("numeric_value", pa.array([None, 2**24 + 1, 1], pa.int64())),
        ("code", pa.array([b"a", b"b", b"c"])),
    ],
)
def test_what_would_lose_something_is_refused(name: str, values: pa.Array, tmp_path: Path) -> None:
    root = shard(tmp_path, by_pyarrow)
    path = changed(root, name, values)
    with pytest.raises(DataError, match=f"column '{name}' is .*; MEDS 0.4 requires"):
        open_events(root)
    with pytest.raises(DataError, match=r"not MEDS 0\.4 data"):
        validate([path])


def test_numbers_of_too_many_digits_are_not_rounded_unasked(tmp_path: Path) -> None:
    root = shard(tmp_path, by_polars)
    path = changed(root, "numeric_value", pa.array([None, 98.6, None]))
    assert rows_of(root)[1][3] == 98.6
    with pytest.raises(DataError, match=r"not MEDS 0\.4 data"):
        validate([path])
