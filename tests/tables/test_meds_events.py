"""The split by hash, and validation of shards."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sequela.errors import DataError
from sequela.tables.meds_events import split_of, validate

IDS = st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=20, unique=True)
MASK = 2**64 - 1


def plain_split(subject: int, seed: int) -> int:
    """SplitMix64 in Python's integers."""
    state = (subject + (seed + 1) * 0x9E3779B97F4A7C15) & MASK
    state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & MASK
    share = (state ^ (state >> 31)) / 2**64
    return 0 if share < 0.8 else 1 if share < 0.9 else 2


@given(IDS, st.integers(0, 2**31))
def test_the_split_is_a_hash_of_the_id(ids: list[int], seed: int) -> None:
    found = split_of(np.array(ids, np.int64), seed).tolist()
    assert found == [plain_split(subject, seed) for subject in ids]
    assert split_of(np.array(ids[::-1], np.int64), seed).tolist() == found[::-1]


def test_shards_that_break_the_standard(tmp_path: Path) -> None:
    path = tmp_path / "0.parquet"
    time = pa.array([None, None], pa.timestamp("us"))
    pq.write_table(pa.table({"subject_id": [1, None], "time": time, "code": ["a", "b"]}), path)
    with pytest.raises(DataError, match="a null in subject_id"):
        validate([path])
    pq.write_table(pa.table({"subject_id": ["1", "2"], "time": time, "code": ["a", "b"]}), path)
    with pytest.raises(DataError, match=r"not MEDS 0\.4 data"):
        validate([path])
