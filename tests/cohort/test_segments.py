from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sequela.config import SignalSettings
from sequela.datasets.catalog import Recording
from sequela.errors import DataError, SettingError
from sequela.signals.bonn import CLASSES
from sequela.signals.reading import read
from sequela.signals.segments import cut, stretches


def a_recording(recording_id: str, n_times: int, n_chans: int = 1, label: int = 0) -> Recording:
    signal = np.random.default_rng(n_times).normal(size=(n_chans, n_times)).astype(np.float32)
    return Recording(recording_id, None, signal, 173.61, label)


@given(
    n_chans=st.integers(1, 3),
    n_times=st.integers(1, 9),
    lengths=st.lists(st.integers(9, 40), min_size=1),
)
def test_segments_are_slices_of_the_recordings(
    n_chans: int, n_times: int, lengths: list[int]
) -> None:
    recordings = [
        a_recording(f"r{number}", length, n_chans, number % 5)
        for number, length in enumerate(lengths)
    ]
    segments = cut(recordings, n_times, CLASSES)
    expected = []
    dropped = 0
    for each in recordings:
        start = 0
        while start + n_times <= each.signal.shape[1]:
            name = f"{each.recording_id}/{start // n_times + 1:02d}"
            expected.append((name, each, each.signal[:, start : start + n_times]))
            start += n_times
        dropped += each.signal.shape[1] - start
    assert len(segments) == len(expected)
    assert segments.n_dropped == dropped
    assert segments.signal.shape == (len(expected), n_chans, n_times)
    for position, (name, each, signal) in enumerate(expected):
        assert segments.segment_id[position] == name
        assert segments.recording_id[position] == each.recording_id
        assert segments.label[position] == each.label
        np.testing.assert_array_equal(segments.signal[position], signal)


def test_types_are_those_that_models_take() -> None:
    segments = cut([a_recording("Z007", 4097, label=4)], 178, CLASSES)
    assert segments.signal.shape == (23, 1, 178)
    assert segments.signal.dtype == np.float32
    assert segments.label.dtype == np.int64
    assert segments.signal.flags.c_contiguous
    assert segments.segment_id[[0, -1]].tolist() == ["Z007/01", "Z007/23"]
    assert (segments.n_dropped, segments.sfreq, segments.classes[4]) == (3, 173.61, "eyes open")


def test_segments_do_not_share_memory_with_the_recording() -> None:
    each = a_recording("a", 10)
    assert not np.shares_memory(cut([each], 5, CLASSES).signal, each.signal)


def test_subjects_are_kept_where_they_are_known() -> None:
    known = [replace(a_recording(name, 10), subject_id=f"p{name}") for name in "ab"]
    subjects = cut(known, 5, CLASSES).subject_id
    np.testing.assert_array_equal(subjects, ["pa", "pa", "pb", "pb"])
    assert cut([a_recording("a", 10)], 5, CLASSES).subject_id is None
    with pytest.raises(DataError, match="some recordings name their subject"):
        cut([known[0], a_recording("c", 10)], 5, CLASSES)


@pytest.mark.parametrize(
    ("recordings", "message"),
    [
        ([], "found no recording"),
        ([a_recording("a", 9), a_recording("a", 9)], "recording a occurs twice"),
        ([a_recording("a", 9, label=5)], "recording a has label 5: expected 0 to 4"),
        ([replace(a_recording("a", 9), label=None)], "recording a has label None"),
        ([a_recording("a", 9), a_recording("b", 9, 2)], "b has 2 channels .* expected 1"),
        ([a_recording("a", 9), replace(a_recording("b", 9), sfreq=256.0)], "at 256.0 Hz"),
    ],
)
def test_recordings_that_do_not_belong_together(recordings: list[Recording], message: str) -> None:
    with pytest.raises(DataError, match=message):
        cut(recordings, 3, CLASSES)


@pytest.mark.parametrize("n_times", [0, -3, 10])
def test_lengths_that_cannot_be_cut(n_times: int) -> None:
    with pytest.raises(SettingError, match=f"segments of {n_times} samples: expected 1 to 9"):
        cut([a_recording("a", 9)], n_times, CLASSES)


def test_whole_recordings_are_one_segment_each_and_equally_long() -> None:
    recordings = [a_recording("Z001", 50), a_recording("Z002", 50)]
    segments = cut(recordings, "recording", CLASSES)
    np.testing.assert_array_equal(segments.signal[1], recordings[1].signal)
    assert segments.segment_id.tolist() == ["Z001/01", "Z002/01"]
    assert segments.n_dropped == 0
    with pytest.raises(SettingError, match=r"50 to 60 samples, .* with --segment 50"):
        cut([*recordings, a_recording("Z003", 60)], "recording", CLASSES)
    with pytest.raises(DataError, match="found no recording"):
        cut([], "recording", CLASSES)


def test_a_stretch_is_of_one_recording_and_one_class_without_a_gap() -> None:
    recordings = [
        Recording(name, None, np.zeros((1, 4 * 178), np.float32), 173.61, label)
        for name, label in (("a", 0), ("b", 0), ("c", 1))
    ]
    segments = cut(recordings, 178, CLASSES)
    rows = np.array([0, 1, 3, 4, 5, 7, 8])
    assert stretches(segments, rows).tolist() == [0, 0, 1, 2, 2, 3, 4]
    mixed = replace(segments, label=np.array([0, 1, 1, 1, 0, 0, 0, 0, 1, 1, 1, 1]))
    assert stretches(mixed, np.arange(5)).tolist() == [0, 1, 1, 1, 2]


def test_a_stretch_ends_at_a_gap_and_where_segments_overlap() -> None:
    recording = Recording("a", None, np.zeros((1, 6 * 178), np.float32), 173.61, 0)
    segments, rows = cut([recording], 178, CLASSES), np.arange(6)
    places = np.array([0, 1, 2, 4, 5, 5.5])  # one is missing, and the last overlaps
    timed = replace(segments, start=places * 178 / 173.61)
    assert stretches(timed, rows).tolist() == [0, 0, 0, 1, 1, 2]
    assert stretches(timed.where(places != 1), rows[:5]).tolist() == [0, 1, 2, 2, 3]
    unknown = replace(segments, start=np.zeros(6))  # of a table without times
    assert stretches(unknown, rows).tolist() == [0] * 6


def test_windows_are_numbered_in_each_recording(tmp_path: Path) -> None:
    signal = np.arange(12, dtype=np.float32).reshape(4, 1, 3)
    ids, sessions, y = ["b", "b", "b", "a"], ["t", "t", "t", "s"], ["yes", "yes", "no", "no"]
    np.savez(tmp_path / "own.npz", X=signal[[1, 2, 3, 0]], y=y, id=ids, session=sessions)
    found = read(tmp_path, SignalSettings(label="y", recording="id", session="session", rate=3))
    assert found.segment_id.tolist() == ["a/01", "b/01", "b/02", "b/03"]
    np.testing.assert_array_equal(found.signal, signal)
    assert (found.label.tolist(), found.subject_id) == ([0, 1, 1, 0], None)
    np.testing.assert_array_equal(found.session_id, ["s", "t", "t", "t"])


def test_the_description_counts_windows_and_gives_ranges() -> None:
    first, second = a_recording("a", 10), replace(a_recording("b", 7, label=4), session_id="s")
    first.signal[0, :3], first.signal[0, 9] = (-20, 4, 30), 99  # the last sample fills no segment
    lines = cut([first, second], 3, CLASSES).describe().splitlines()
    assert lines[:4] == [
        "  recordings    2",
        "  subjects      not known",
        "  windows       5 of 3 samples at 173.61 Hz",
        "  channels      1",
    ]
    assert lines[4] == "  seizure       3 windows of 1 recordings, -20 to 30 µV"
    assert lines[5] == "  tumour area   0 windows of 0 recordings"
    assert lines[8].startswith("  eyes open     2 windows of 1 recordings, ")


def test_recordings_with_the_same_samples_are_named() -> None:
    first = a_recording("a", 9)
    other = replace(first, recording_id="b", signal=first.signal.copy())
    third = replace(first, recording_id="c", signal=first.signal.copy())
    other.signal[0, 8] += 1
    cut([first, other], 3, CLASSES).require_distinct()
    with pytest.raises(DataError, match="recordings a and c have the same samples: expected each"):
        cut([first, other, third], 3, CLASSES).require_distinct()
