import json
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.sequences.conftest import Nested, nested_lists

from sequela.errors import DataError, DataNotFoundError
from sequela.sequences.flat import (
    LAYOUT,
    Sequences,
    _days_since,
    open_sequences,
    spans,
    writing_sequences,
)

Write = Callable[..., Sequences]


def read_back(sequences: Sequences) -> Nested:
    return [
        [["?abcdefgh".index(code) for code in step] for step in sequences.codes_of(i)]
        for i in range(len(sequences))
    ]


@given(nested=nested_lists | st.just([]), pieces=st.integers(1, 4))
@settings(max_examples=30, deadline=None)
def test_what_is_written_in_pieces_reads_back(
    write_nested: Write, nested: Nested, pieces: int
) -> None:
    with TemporaryDirectory() as name:
        sequences = write_nested(Path(name) / "s", nested, pieces)
        assert read_back(sequences) == nested
        assert sequences.lengths.tolist() == [len(example) for example in nested]
        assert sequences.label.tolist() == [i % 2 == 1 for i in range(len(nested))]


def test_arrays_are_mapped_not_loaded_and_plain_numpy_reads_them(
    write_nested: Write, tmp_path: Path
) -> None:
    sequences = write_nested(tmp_path / "s", [[[1, 2], [3]]])
    assert isinstance(sequences.codes.base, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        sequences.codes[0] = 5
    assert np.load(tmp_path / "s" / "codes.npy").tolist() == [1, 2, 3]


def test_an_error_leaves_what_was_there(write_nested: Write, tmp_path: Path) -> None:
    write_nested(tmp_path / "s", [[[1]]])
    with pytest.raises(RuntimeError), writing_sequences(tmp_path / "s", {}):
        raise RuntimeError
    assert read_back(open_sequences(tmp_path / "s")) == [[[1]]]
    assert [p.name for p in tmp_path.iterdir()] == ["s"]


def test_writing_again_replaces(write_nested: Write, tmp_path: Path) -> None:
    write_nested(tmp_path / "s", [[[1]]])
    write_nested(tmp_path / "s", [[[2]]])
    assert read_back(open_sequences(tmp_path / "s")) == [[[2]]]
    assert [p.name for p in tmp_path.iterdir()] == ["s"]


def test_a_stale_folder_is_refused(write_nested: Write, tmp_path: Path) -> None:
    old, new = "0123456789abcdef", "fedcba9876543210"
    write_nested(tmp_path / "s", [[[1]]], digest=old)
    assert open_sequences(tmp_path / "s", digest=old).digest == old
    said = r"stale: made from 0123456789ab, .* now are fedcba987654; build them again"
    with pytest.raises(DataError, match=said):
        open_sequences(tmp_path / "s", digest=new)


def test_no_sequences_there(tmp_path: Path) -> None:
    with pytest.raises(DataNotFoundError, match="build them first"):
        open_sequences(tmp_path)


@pytest.mark.parametrize("name", LAYOUT)
def test_a_missing_array_is_named(write_nested: Write, tmp_path: Path, name: str) -> None:
    write_nested(tmp_path / "s", [[[1]]])
    (tmp_path / "s" / f"{name}.npy").unlink()
    with pytest.raises(DataError, match=rf"{name}.npy is damaged .*No such file"):
        open_sequences(tmp_path / "s")


def test_a_truncated_array_or_one_of_another_length_is_named(
    write_nested: Write, tmp_path: Path
) -> None:
    write_nested(tmp_path / "s", [[[1, 2, 3]]])
    path = tmp_path / "s" / "codes.npy"
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(DataError, match=r"codes\.npy is damaged"):
        open_sequences(tmp_path / "s")
    np.save(path, np.array([1], np.int32))
    with pytest.raises(DataError, match=r"codes\.npy holds int32 \(1,\)"):
        open_sequences(tmp_path / "s")


@pytest.mark.parametrize("text", ["{", "{}", json.dumps({"shapes": {"codes": 1}})])
def test_a_header_that_is_none(write_nested: Write, tmp_path: Path, text: str) -> None:
    write_nested(tmp_path / "s", [[[1]]])
    (tmp_path / "s" / "sequences.json").write_text(text)
    with pytest.raises(DataError, match="not a header"):
        open_sequences(tmp_path / "s")


def test_examples_of_a_part_that_is_not_there(write_nested: Write, tmp_path: Path) -> None:
    sequences = write_nested(tmp_path / "s", [[[1]], [[2]]])
    assert sequences.examples_of("train").tolist() == [0, 1]
    assert sequences.examples_of("held_out").tolist() == []


@given(st.lists(st.tuples(st.integers(0, 99), st.integers(0, 5))))
def test_spans_are_the_ranges_one_after_another(pairs: list[tuple[int, int]]) -> None:
    starts = np.array([p[0] for p in pairs], np.int64)
    counts = np.array([p[1] for p in pairs], np.int64)
    assert spans(starts, counts).tolist() == [i for s, c in pairs for i in range(s, s + c)]


def test_days_are_counted_from_the_step_before_at_another_time_of_the_same_subject() -> None:
    subject = np.array([2, 1, 1, 1, 2, 1])
    hours = np.array([0, 0, 49, 49, 30, 120])
    time = np.datetime64("2130-01-01", "us") + hours * np.timedelta64(1, "h")
    assert _days_since(subject, time).tolist() == [-1, -1, 2, 2, 1, 2]


def test_subjects_who_come_at_the_same_time_have_no_step_before() -> None:
    time = np.full(3, np.datetime64("2130-01-01", "us"))
    assert _days_since(np.array([1, 2, 3]), time).tolist() == [-1, -1, -1]
