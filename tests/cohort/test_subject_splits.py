from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from meds.schema import SubjectSplitSchema

from sequela.cohort.subject_splits import parts_of_labels, read_subject_splits
from sequela.errors import DataError, DataNotFoundError, SplitError

LABELS = pa.table({"subject_id": [1, 1, 3]})


def test_parts_follow_the_subjects(tmp_path: Path) -> None:
    splits = pa.table({"subject_id": [3, 2, 1], "split": ["held_out", "tuning", "train"]})
    pq.write_table(SubjectSplitSchema.align(splits), tmp_path / "splits.parquet")
    table = read_subject_splits(tmp_path / "splits.parquet")
    assert parts_of_labels(LABELS, table).tolist() == [0, 0, 2]
    assert parts_of_labels(LABELS, {1: "tuning", 3: "train"}).tolist() == [1, 1, 0]


@pytest.mark.parametrize(
    ("ids", "parts", "message"),
    [
        (
            [1, 3, 1],
            ["train", "train", "tuning"],
            "rows 1 and 3 of the split put one subject in two parts",
        ),
        (
            [2, 1, 2, 1, 3],
            ["train", "train", "tuning", "tuning", "train"],
            "rows 2 and 4 of the split put one subject in two parts",
        ),
        ([1, 2], ["train", "train"], "1 subjects of the labels are in no part .* first in row 3"),
        ([], [], "2 subjects of the labels are in no part"),
        ([1, 3], ["train", "test"], "unknown part 'test'"),
        ([1, 3], ["train", None], "1 subjects are in no part of the split"),
    ],
)
def test_splits_that_cannot_be(ids: list[int], parts: list[str | None], message: str) -> None:
    splits = pa.table(
        {"subject_id": pa.array(ids, pa.int64()), "split": pa.array(parts, pa.string())}
    )
    with pytest.raises(SplitError, match=message):
        parts_of_labels(LABELS, splits)


def test_files_that_are_no_split(tmp_path: Path) -> None:
    with pytest.raises(DataNotFoundError, match="no split"):
        read_subject_splits(tmp_path / "none.parquet")
    pq.write_table(pa.table({"subject_id": [1]}), tmp_path / "splits.parquet")
    with pytest.raises(DataError, match="not a MEDS split"):
        read_subject_splits(tmp_path / "splits.parquet")
