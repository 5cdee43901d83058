from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from meds.schema import LabelSchema
from tests.records import write_labels

from sequela.cohort.events import Events
from sequela.cohort.labels import read_labels
from sequela.cohort.selection import cohort_of_labels, select_cohort
from sequela.cohort.tasks import in_hospital
from sequela.errors import DataError, DataNotFoundError

Row = tuple[Any, ...]
Make = Callable[..., Events]
TIMES = [datetime(2020, 1, 2), datetime(2020, 1, 1)]


def written(folder: Path, **columns: Any) -> Path:
    values = {"subject_id": [2, 1], "prediction_time": TIMES, "boolean_value": [True, False]}
    values.update(columns)
    path = folder / "labels.parquet"
    pq.write_table(pa.table({k: v for k, v in values.items() if v is not None}), path)
    return path


def test_labels_come_sorted(tmp_path: Path) -> None:
    labels = read_labels(written(tmp_path))
    assert labels["subject_id"].to_pylist() == [1, 2]
    assert labels["boolean_value"].to_pylist() == [False, True]


def test_written_labels_are_meds_labels(tmp_path: Path) -> None:
    labels = read_labels(written(tmp_path))
    write_labels(labels, tmp_path / "out.parquet")
    table = pq.read_table(tmp_path / "out.parquet")
    LabelSchema.validate(table)
    assert read_labels(tmp_path / "out.parquet").equals(labels)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["labels.parquet", "out.parquet"]


@pytest.mark.parametrize("empty", [None, pa.array([None, None], pa.bool_())])
def test_integers_0_and_1_are_labels_where_the_booleans_are_none(
    tmp_path: Path, empty: pa.Array | None
) -> None:
    path = written(tmp_path, boolean_value=empty, integer_value=[1, 0])
    assert read_labels(path)["boolean_value"].to_pylist() == [False, True]


def test_milliseconds_and_seconds_are_read(tmp_path: Path) -> None:
    path = written(tmp_path, prediction_time=pa.array(TIMES, pa.timestamp("ms")))
    assert read_labels(path)["prediction_time"].type == pa.timestamp("us")


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            {"boolean_value": None, "integer_value": [2, 0]},
            "unknown label value .* in 1 rows .the first is row 1.; expected 0",
        ),
        ({"boolean_value": ["yes", "no"]}, "is string; expected true and false"),
        ({"boolean_value": None}, "neither 'boolean_value' nor 'integer_value'"),
        ({"boolean_value": [True, None]}, "'boolean_value' is blank in 1 of 2 rows"),
        ({"prediction_time": None}, "no column 'prediction_time'"),
        ({"prediction_time": [TIMES[0], None]}, "'prediction_time' is blank"),
        ({"prediction_time": [1.5, 2.5]}, "labels.parquet"),
        (
            {"prediction_time": pa.array(TIMES, pa.timestamp("us", "America/New_York"))},
            "'prediction_time' has the time zone America/New_York, .* without a zone",
        ),
        ({"subject_id": [1, 1], "prediction_time": [TIMES[0]] * 2}, "1 labels occur twice"),
    ],
)
def test_a_label_that_cannot_be_used_is_an_error(
    tmp_path: Path, columns: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        read_labels(written(tmp_path, **columns))


def test_no_file_and_no_parquet(tmp_path: Path) -> None:
    with pytest.raises(DataNotFoundError, match="no label file"):
        read_labels(tmp_path / "none.parquet")
    (tmp_path / "text.parquet").write_text("subject_id,label")
    with pytest.raises(DataError, match="is damaged"):
        read_labels(tmp_path / "text.parquet")


def test_a_cohort_from_a_file_is_that_of_the_task(
    tmp_path: Path, make_events: Make, rows: Callable[[], list[Row]]
) -> None:
    events = make_events(rows())
    ours = select_cohort(events, in_hospital())
    write_labels(ours.labels, tmp_path / "labels.parquet")
    theirs = cohort_of_labels(events, tmp_path / "labels.parquet")
    assert theirs.labels.equals(ours.labels)
    assert (theirs.flow.unit, theirs.flow.examples, theirs.flow.positives) == ("labels", 5, 2)


def test_an_edited_label_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "labels.parquet"
    write_labels(read_labels(written(tmp_path)), path)
    table = pq.read_table(path)
    pq.write_table(table, path, compression="zstd")  # the metadata stay, the bytes do not
    with pytest.raises(DataError, match=r"its SHA-256 differs.*without the metadata sequela"):
        read_labels(path)
    pq.write_table(table.replace_schema_metadata({"sequela.sha256": "0" * 64}), path)  # of 0.2
    assert read_labels(path).num_rows == 2


@pytest.mark.parametrize("name", ["subject_id", "prediction_time", "boolean_value"])
def test_a_column_twice(tmp_path: Path, name: str) -> None:
    table = pq.read_table(written(tmp_path))
    pq.write_table(table.append_column(name, table[name]), tmp_path / "twice.parquet")
    with pytest.raises(DataError, match=f"has the column '{name}' twice; expected it once"):
        read_labels(tmp_path / "twice.parquet")


def test_labels_for_strangers(
    tmp_path: Path, make_events: Make, rows: Callable[[], list[Row]]
) -> None:
    path = written(tmp_path, subject_id=[1, 77])
    with pytest.raises(DataError, match="1 subjects that the events do not have"):
        cohort_of_labels(make_events(rows()), path)


def test_labels_of_one_class_and_none(
    tmp_path: Path, make_events: Make, rows: Callable[[], list[Row]]
) -> None:
    events = make_events(rows())
    with pytest.raises(DataError, match="one class only"):
        cohort_of_labels(events, written(tmp_path, boolean_value=[True, True]))
    nobody = {
        "subject_id": pa.array([], pa.int64()),
        "prediction_time": pa.array([], pa.timestamp("us")),
        "boolean_value": pa.array([], pa.bool_()),
    }
    with pytest.raises(DataError, match="the cohort is empty"):
        cohort_of_labels(events, written(tmp_path, **nobody))
