import csv
import gzip
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sequela.datasets.catalog import EXCERPTS, load_recordings
from sequela.datasets.recordings import Recording
from sequela.errors import DataError, DataNotFoundError
from sequela.signals import uci_seizure
from sequela.signals.uci_seizure import make_unique, recording_ids

HEADER = ["Unnamed", *(f"X{sample}" for sample in range(1, 179)), "y"]


@pytest.fixture(scope="module")
def recordings() -> list[Recording]:
    """Three recordings of the excerpt, of three sets."""
    all_of_them, _ = load_recordings("bonn", EXCERPTS / "bonn.parquet")
    return [each for each in all_of_them if each.recording_id in {"Z004", "O002", "F007"}]


def rows_of(recordings: list[Recording]) -> list[list[object]]:
    """The rows of the published csv file, shuffled as there."""
    names = {recording_id: name for name, recording_id in recording_ids().items()}
    rows: list[list[object]] = []
    for each in recordings:
        assert each.label is not None
        for chunk in range(1, 24):
            samples = each.signal[0, 178 * (chunk - 1) : 178 * chunk].astype(int).tolist()
            rows.append([f"X{chunk}.{names[each.recording_id]}", *samples, each.label + 1])
    random.Random(3).shuffle(rows)
    return rows


def write(
    file: Path,
    rows: list[list[object]],
    *,
    header: list[str] = HEADER,
    quoting: int = csv.QUOTE_MINIMAL,
) -> Path:
    opened = gzip.open if file.suffix == ".gz" else open
    with opened(file, "wt", newline="") as text:
        csv.writer(text, quoting=quoting, lineterminator="\n").writerows([header, *rows])  # type: ignore[arg-type]
    return file


@pytest.mark.parametrize("first", ["", "Unnamed", "Unnamed: 0"])
@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_NONNUMERIC, csv.QUOTE_ALL])
def test_every_published_header_and_quoting_is_read(
    tmp_path: Path, recordings: list[Recording], first: str, quoting: int
) -> None:
    file = write(
        tmp_path / "seizure.csv", rows_of(recordings), header=[first, *HEADER[1:]], quoting=quoting
    )
    read = uci_seizure.read(file)
    assert [each.recording_id for each in read] == ["F007", "O002", "Z004"]
    for got, original in zip(read, recordings, strict=True):
        np.testing.assert_array_equal(got.signal, original.signal[:, :4094])
        assert got.signal.dtype == np.float32
        assert (got.label, got.sfreq, got.subject_id) == (original.label, 173.61, None)


@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
def test_a_byte_order_mark_does_not_matter(
    tmp_path: Path, recordings: list[Recording], quoting: int
) -> None:
    file = write(tmp_path / "seizure.csv", rows_of(recordings), quoting=quoting)
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    assert len(uci_seizure.read(file)) == 3


def test_a_compressed_file_in_a_folder_is_read(tmp_path: Path, recordings: list[Recording]) -> None:
    write(tmp_path / "seizure.csv.gz", rows_of(recordings))
    (tmp_path / "README.txt").write_text("not data")
    assert len(uci_seizure.read(tmp_path)) == 3


@given(st.lists(st.sampled_from(["a", "a1", "a2", "a11", "b", "b1", ""]), max_size=25))
def test_make_unique_follows_its_definition(names: list[str]) -> None:
    # Slowly: from 1 on for each repeated name, whatever is neither given nor already made.
    made: list[str] = []
    for position, name in enumerate(names):
        unique = name
        if name in names[:position]:
            number = 1
            while (unique := f"{name}{number}") in [*names, *made]:
                number += 1
        made.append(unique)
    assert make_unique(names) == made


def test_make_unique_as_in_the_manual_of_r() -> None:
    # From the examples of ?make.unique, with sep = "" where the manual has the default ".".
    assert make_unique(["a", "a", "a"]) == ["a", "a1", "a2"]
    assert make_unique(["a", "a", "a2", "a"]) == ["a", "a1", "a2", "a3"]


def test_known_names() -> None:
    ids = recording_ids()
    assert len(ids) == 500
    assert len(set(ids.values())) == 500
    known = {"V1": "Z001", "V1.6": "Z007", "V1.99": "Z100", "V11": "O001", "V1.791": "O080"}
    assert {name: ids[name] for name in known} == known
    assert ids["V1.614"] == "F007"
    assert set(ids.values()) == {f"{s}{n:03d}" for s in "ZONFS" for n in range(1, 101)}


@pytest.mark.parametrize(
    ("row", "column", "value", "message"),
    [
        (4, 7, "NaN", "line 6: found 'NaN' in column X7, expected a whole number"),
        (4, 7, "", "line 6: found '' in column X7"),
        (4, 7, "inf", "line 6: found 'inf' in column X7"),
        (4, 7, "12.5", "line 6: found '12.5' in column X7"),
        (4, 7, "40000", "line 6: found '40000' in column X7"),
        (4, 179, "0", "line 6: found y = 0 .outside 1 to 5., expected"),
        (4, 179, "6", "line 6: found y = 6 .outside 1 to 5., expected"),
        (4, 0, "X24.V1", "line 6: found id 'X24.V1', expected X1 to X23"),
        (4, 0, "X2.V2", "line 6: found id 'X2.V2'"),
        (4, 0, "V1.6", "line 6: found id 'V1.6'"),
    ],
)
def test_a_spoilt_field_is_named_with_its_line(
    tmp_path: Path,
    recordings: list[Recording],
    row: int,
    column: int,
    value: object,
    message: str,
) -> None:
    rows = rows_of(recordings)
    rows[row][column] = value
    file = write(tmp_path / "seizure.csv", rows)
    with pytest.raises(DataError, match=message) as caught:
        uci_seizure.read(file)
    assert str(file) in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda rows: [*rows[:10], [*rows[10][:-1], 1 + rows[10][-1] % 5], *rows[11:]],
            "line 12: found y = 3, expected",
        ),
        (
            lambda rows: [*rows[:9], rows[2], *rows[9:]],
            r"line 11: found id '.*' again, expected it only on line 4",
        ),
        (
            lambda rows: [row for row in rows if row[0] not in {"X3.V1.3", "X17.V1.3"}],
            r"Z004 \(name V1.3\) lacks chunk 3, 17 of 23",
        ),
        (
            lambda rows: [*rows[:20], rows[20][:100], *rows[21:]],
            "line 22: found 100 fields, expected 180",
        ),
        # Lines are counted past empty ones.
        (
            lambda rows: [*rows[:2], [], *rows[2:6], [*rows[6][:-1], 9], *rows[7:]],
            "line 9: found y = 9 ",
        ),
    ],
)
def test_spoilt_rows_are_named_with_their_line(
    tmp_path: Path, recordings: list[Recording], change: Callable[[Any], Any], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        uci_seizure.read(write(tmp_path / "seizure.csv", change(rows_of(recordings))))


@pytest.mark.parametrize(
    ("places", "message"),
    [
        ([*range(7), *range(8, 180)], r"line 1: column X7 is missing \(1 of 179"),
        ([0, 2, 1, *range(3, 180)], "line 1: the columns are in another order"),
    ],
)
def test_columns_that_are_not_those_published(
    tmp_path: Path, recordings: list[Recording], places: list[int], message: str
) -> None:
    rows = [[row[at] for at in places] for row in rows_of(recordings)]
    file = write(tmp_path / "seizure.csv", rows, header=[HEADER[at] for at in places])
    with pytest.raises(DataError, match=message):
        uci_seizure.read(file)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("seizure.csv", b"", "empty; expected a header and rows"),
        ("seizure.csv", f"{','.join(HEADER)}\n".encode(), "line 1: found no row"),
        ("seizure.csv", b"\x00\xff\xfe" * 50, "line 1: found byte 0xff, which is not UTF-8"),
        ("seizure.csv.gz", b"no gzip", "is damaged"),
        ("seizure.csv.gz", gzip.compress(b"Unnamed," * 10_000, mtime=0)[:40], "is damaged"),
    ],
)
def test_a_file_that_is_no_such_csv_is_refused(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    file = tmp_path / name
    file.write_bytes(content)
    with pytest.raises(DataError, match=message):
        uci_seizure.read(file)


def test_a_file_broken_off_inside_the_rows_is_refused(
    tmp_path: Path, recordings: list[Recording]
) -> None:
    file = write(tmp_path / "seizure.csv.gz", rows_of(recordings))
    file.write_bytes(file.read_bytes()[:-2000])
    with pytest.raises(DataError, match="is damaged"):
        uci_seizure.read(file)


def test_the_file_must_be_one(tmp_path: Path) -> None:
    with pytest.raises(DataNotFoundError, match="found none, expected one"):
        uci_seizure.read(tmp_path)
    with pytest.raises(DataNotFoundError, match="does not exist"):
        uci_seizure.read(tmp_path / "nowhere")
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).touch()
    with pytest.raises(DataError, match=r"found a\.csv, b\.csv, expected one"):
        uci_seizure.read(tmp_path)
