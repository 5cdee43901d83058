"""Labels in the MEDS label schema: the subjects, prediction times and outcomes."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from sequela.errors import DataError, DataNotFoundError, without_values
from sequela.formats import sealed

SCHEMA = pa.schema(
    [
        pa.field("subject_id", pa.int64(), nullable=False),
        pa.field("prediction_time", pa.timestamp("us"), nullable=False),
        pa.field("boolean_value", pa.bool_(), nullable=False),
    ]
)
# With the days from the prediction to what ended first, and what it was: 0 the end of follow-up, 1
# the event, 2 a competing event. ``boolean_value`` is whether the event came by the last horizon.
TIMED_SCHEMA = SCHEMA.append(pa.field("time", pa.float64(), nullable=False)).append(
    pa.field("event", pa.int64(), nullable=False)
)
_REMEDY = f"write it again, without the metadata {sealed.KEY} if it was changed on purpose"
KEY = ("subject_id", "prediction_time")


def read_labels(path: Path) -> pa.Table:
    """Read labels from a Parquet file, such as ACES writes: ``SCHEMA``, by subject, then time.

    The file has ``subject_id``, ``prediction_time`` and ``boolean_value``, or ``integer_value`` of
    0 and 1; the other value columns of the schema are ignored.
    """
    return _typed(path, _truth)


def read_times(path: Path) -> pa.Table:
    """Read subjects and times from a label file as :func:`read_labels` does, ignoring labels.

    All labels of the result are false.
    """
    return _typed(path, lambda table, _: pa.array(np.zeros(len(table), np.bool_)))


def _typed(path: Path, label: Callable[[pa.Table, Path], pa.ChunkedArray]) -> pa.Table:
    """Read a table with subjects and times, and return it with its labels as ``SCHEMA``, sorted."""
    if not path.is_file():
        raise DataNotFoundError(f"no label file {path}")
    table = sealed.read(path, "a label file in Parquet", _REMEDY)
    for name in (*KEY, "boolean_value", "integer_value"):
        if table.column_names.count(name) > 1:
            raise DataError(f"{path} has the column '{name}' twice; expected it once: remove one")
    for name in KEY:
        if name not in table.column_names:
            raise DataError(
                f"{path} has no column '{name}' (found: {', '.join(table.column_names)}); "
                "labels have the columns of the MEDS label schema"
            )
    _check_zone(table["prediction_time"].type, path)
    # Only these columns: ACES and MEDS write others, which differ in type.
    columns = {name: table[name] for name in KEY} | {"boolean_value": label(table, path)}
    for name, column in columns.items():
        if column.null_count:
            raise DataError(
                f"{path}: '{name}' is blank in {column.null_count} of {len(column)} rows"
            )
    try:
        typed = pa.table(columns).cast(SCHEMA)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError) as error:
        raise DataError(
            f"{path}: not the MEDS label schema ({without_values(error)}); {_REMEDY}"
        ) from None
    return sorted_labels(typed)


def _check_zone(kind: pa.DataType, path: Path) -> None:
    """Refuse times with a zone: events have none, so any conversion would be a guess."""
    if pa.types.is_timestamp(kind) and kind.tz is not None:
        raise DataError(
            f"{path}: 'prediction_time' has the time zone {kind.tz}, and the times of events have "
            "none: expected the hospital's own time without a zone; write it so (polars: "
            ".dt.convert_time_zone(ZONE).dt.replace_time_zone(None), with the hospital's zone)"
        )


def _truth(table: pa.Table, path: Path) -> pa.ChunkedArray:
    """Return the labels as booleans; another value is an error and never read as false."""
    # The schema has a column for each type of value; writers leave the others null.
    columns = [n for n in ("boolean_value", "integer_value") if n in table.column_names]
    name = next(iter([n for n in columns if table[n].null_count < len(table)] or columns), None)
    if name is None:
        raise DataError(
            f"{path} has neither 'boolean_value' nor 'integer_value' "
            f"(found: {', '.join(table.column_names)}): expected one of them, since tasks here "
            "have two classes"
        )
    column = table[name]
    if pa.types.is_boolean(column.type):
        return column
    if not pa.types.is_integer(column.type):
        raise DataError(f"{path}: '{name}' is {column.type}; expected true and false, or 1 and 0")
    unknown = pc.invert(pc.is_in(column, pa.array([0, 1, None], column.type)))
    if pc.any(unknown).as_py():
        first = pc.index(unknown, value=True).as_py() + 1
        raise DataError(
            f"{path}: unknown label value in '{name}' in {pc.sum(unknown).as_py()} rows (the first "
            f"is row {first}); expected 0 or 1"
        )
    return column.cast(pa.bool_())


def sorted_labels(labels: pa.Table) -> pa.Table:
    """Sort the labels by subject, then time."""
    labels = labels.sort_by([(name, "ascending") for name in KEY]).combine_chunks()
    subject, time = (labels[name].to_numpy() for name in KEY)
    # A time that occurs twice would count the subject twice, whether the labels agree or not.
    twice = np.flatnonzero((subject[1:] == subject[:-1]) & (time[1:] == time[:-1]))
    if len(twice):
        raise DataError(
            f"{len(twice)} labels occur twice: expected one label for each subject and time; "
            "remove the others"
        )
    return labels


def example_ids(
    subject_id: NDArray[np.int64], prediction_time: NDArray[np.datetime64]
) -> NDArray[np.str_]:
    """Build names of examples from a subject and its prediction time."""
    times = np.datetime_as_string(prediction_time.astype("datetime64[us]"), unit="s")
    return np.char.add(np.char.add(subject_id.astype(np.str_), " at "), times)
