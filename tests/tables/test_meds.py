"""Any MEDS data set as input."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from meds import schema as standard
from tests.rows_hash import rows_hash

from sequela.datasets.codes import BIRTH, DEATH
from sequela.errors import DataError, DataNotFoundError

TIME = datetime(2100, 1, 1)


def test_the_codes_of_the_standard() -> None:
    assert (standard.birth_code, standard.death_code) == (BIRTH, DEATH)


@pytest.fixture
def meds(tmp_path: Path) -> Path:
    """Two shards, one of them with text and a hospital stay, and a split of its own."""
    root = tmp_path / "meds"
    shard(root, "train/0", subject_id=[1, 1], time=[None, TIME], code=["GENDER//F", "A"])
    shard(
        root,
        "held_out/0",
        subject_id=[2, 2],
        time=[TIME, TIME],
        code=["B", "B"],
        numeric_value=pa.array([1.5, 1.5], pa.float32()),
        text_value=pa.array(["x", None], pa.large_string()),
        hadm_id=[7, 7],
    )
    (root / "metadata").mkdir()
    dataset(root, meds_version="0.4.1")
    split = pa.table({"subject_id": [1, 2], "split": ["tuning", "held_out"]})
    pq.write_table(split, root / "metadata" / "subject_splits.parquet")
    codes = pa.table({"code": ["A"], "description": ["a"]})
    pq.write_table(codes, root / "metadata" / "codes.parquet")
    return root


def shard(root: Path, name: str, **columns: Any) -> None:
    path = root / "data" / f"{name}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    columns["time"] = pa.array(columns["time"], pa.timestamp("us"))
    pq.write_table(pa.table(columns), path)


def dataset(root: Path, **metadata: str) -> None:
    (root / "metadata" / "dataset.json").write_text(json.dumps(metadata))


def test_events_split_and_descriptions_are_kept(meds: Path, made: Any) -> None:
    built = made("meds", meds)
    rows = [tuple(row.values()) for row in built.rows]
    assert rows == [
        (2, TIME, "B", 1.5, 7),
        (1, None, "GENDER//F", None, None),
        (1, TIME, "A", None, None),
    ]
    splits = pq.read_table(built.out / "metadata" / "subject_splits.parquet").to_pylist()
    assert [row["split"] for row in splits] == ["tuning", "held_out"]
    codes = pq.read_table(built.out / "metadata" / "codes.parquet").to_pylist()
    assert [row["description"] for row in codes] == ["a", None, None]
    assert built.table("data").duplicates == 1
    assert "column text_value of data" in built.account.not_read


def test_what_we_write_reads_back_the_same(made: Any, unchanged: Any) -> None:
    first = unchanged("eicu")
    again = made("meds", first.out, seed=5)
    assert rows_hash(first.out) == rows_hash(again.out)
    assert again.account.stays_in_order is False


def test_a_subject_in_two_files(meds: Path, made: Any) -> None:
    shard(meds, "tuning/0", subject_id=[2], time=[TIME], code=["A"])
    with pytest.raises(DataError, match=r"subject 2 is in .*held_out/0.* and in .*tuning/0"):
        made("meds", meds)


def test_an_older_version(meds: Path, made: Any) -> None:
    dataset(meds, meds_version="0.3.3")
    with pytest.raises(DataError, match=r"MEDS version 0.3.3; expected 0.4"):
        made("meds", meds)
    (meds / "metadata" / "dataset.json").write_text("{")
    with pytest.raises(DataError, match="not a JSON object"):
        made("meds", meds)


def test_what_is_no_meds(meds: Path, made: Any, tmp_path: Path) -> None:
    pq.write_table(pa.table({"patient_id": [1], "events": ["x"]}), meds / "data" / "old.parquet")
    with pytest.raises(DataError, match=r"old.parquet: not MEDS 0.4 data"):
        made("meds", meds)
    shard(meds, "old", subject_id=[3], time=[TIME], code=["A"], hadm_id=["x"])
    with pytest.raises(DataError, match="hadm_id is string; expected integers"):
        made("meds", meds)
    (meds / "data" / "old.parquet").write_bytes(b"PAR1 not")
    with pytest.raises(DataError, match=r"old.parquet: not a readable Parquet file"):
        made("meds", meds)
    with pytest.raises(DataNotFoundError, match="no MEDS data set"):
        made("meds", tmp_path)
