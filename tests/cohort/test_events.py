from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sequela.cohort.events import Events, one_row, open_events
from sequela.errors import DataError, DataNotFoundError

Make = Callable[..., Events]


def test_missing_optional_columns_are_null(make_events: Make) -> None:
    events = make_events([(1, "2020-01-01", "LAB//x")], visits=False)
    assert events.columns == ("subject_id", "time", "code", "numeric_value")
    with events.connect() as connection:
        row = one_row(connection, "SELECT code, numeric_value, visit_id FROM events")
        assert row == ("LAB//x", None, None)
        assert one_row(connection, "SELECT * FROM codes") == ("LAB//x", "LAB", "x")


def test_all_shards_are_read_whatever_their_folder(tmp_path: Path, write_meds: Any) -> None:
    root = write_meds(tmp_path / "it's a folder", [(1, "2020-01-01", "A")])
    write_meds(tmp_path / "b", [(2, "2020-01-01", "B")])
    (root / "data/train").mkdir()
    (tmp_path / "b/data/0.parquet").rename(root / "data/train/7.parquet")
    with open_events(root).connect() as connection:
        assert one_row(connection, "SELECT count(*), max(code) FROM events") == (2, "B")


def test_the_digest_follows_the_content(tmp_path: Path, write_meds: Any) -> None:
    def digest(name: str, *rows: tuple[Any, ...]) -> str:
        return open_events(write_meds(tmp_path / name, rows)).digest

    assert digest("a", (1, "2020-01-01", "A")) == digest("b", (1, "2020-01-01", "A"))
    assert digest("a", (1, "2020-01-01", "A")) != digest("c", (1, "2020-01-01", "B"))


def test_no_data(tmp_path: Path) -> None:
    with pytest.raises(DataNotFoundError, match="no MEDS data set there"):
        open_events(tmp_path)


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("code", None, "no column 'code'"),
        ("subject_id", pa.array(["one"]), "column 'subject_id' is string; MEDS 0.4 requires int64"),
        ("time", pa.array(["2020"]), r"column 'time' is string; MEDS 0.4 requires timestamp\[us\]"),
        ("visit_id", pa.array([1.5]), "column 'visit_id' is double"),
    ],
)
def test_columns_that_are_not_meds(
    tmp_path: Path, write_meds: Any, column: str, values: Any, message: str
) -> None:
    path = write_meds(tmp_path, [(1, "2020-01-01", "A")]) / "data/0.parquet"
    table = pq.read_table(path).drop_columns(column)
    pq.write_table(table if values is None else table.append_column(column, values), path)
    with pytest.raises(DataError, match=message):
        open_events(tmp_path)


def test_a_shard_that_is_no_parquet(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/0.parquet").write_text("nothing")
    with pytest.raises(DataError, match="not a readable Parquet"):
        open_events(tmp_path)
