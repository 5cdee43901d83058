import csv
import gzip
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sequela.datasets.catalog import EXCERPTS, Recording, load_recordings
from sequela.errors import DataError, DataNotFoundError
from sequela.signals import uci_seizure
from sequela.signals.uci_seizure import recording_ids

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


def test_a_byte_order_mark_does_not_matter(tmp_path: Path, recordings: list[Recording]) -> None:
    file = write(tmp_path / "seizure.csv", rows_of(recordings), quoting=csv.QUOTE_ALL)
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    assert len(uci_seizure.read(file)) == 3


def test_a_compressed_file_in_a_folder_is_read(tmp_path: Path, recordings: list[Recording]) -> None:
    write(tmp_path / "seizure.csv.gz", rows_of(recordings))
    (tmp_path / "README.txt").write_text("not data")
    assert len(uci_seizure.read(tmp_path)) == 3


def test_names_follow_the_definition_of_r() -> None:
    # make.unique(sep = ""), slowly: the smallest number from 1 on that makes a name which is
    # neither one of the names to make unique nor already made.
    given = ["V1", *(f"V1.{number}" for number in range(1, 100))] * 5
    made: list[str] = []
    for position, name in enumerate(given):
        unique, number = name, 0
        while unique in made or (position >= 100 and unique in given):
            number += 1
            unique = f"{name}{number}"
        made.append(unique)
    assert [*recording_ids()] == made


def test_known_names() -> None:
    ids = recording_ids()
    assert len(ids) == 500
    known = {"V1": "Z001", "V1.6": "Z007", "V1.99": "Z100", "V1.791": "O080", "V1.614": "F007"}
    assert {name: ids[name] for name in [*known, "V11"]} == {**known, "V11": "O001"}
    assert set(ids.values()) == {f"{s}{n:03d}" for s in "ZONFS" for n in range(1, 101)}


@pytest.mark.parametrize(
    ("row", "column", "value", "message"),
    [
        (4, 7, "", "row 5: nan in column X7; expected a whole number"),
        (4, 7, "12.5", "row 5: 12.5 in column X7"),
        (4, 7, "40000", "row 5: 40000 in column X7"),
        (4, 7, "x", "line 6: column X7 holds a value of the form 'a'; expected a number"),
        (4, 179, "6", "row 5: y is '6'; expected"),
        (4, 0, "X24.V1", "row 5: id 'X24.V1'; expected X1 to X23"),
        (4, 0, "X2.V2", "row 5: id 'X2.V2'"),
        (4, 0, "V1.6", "row 5: id 'V1.6'"),
    ],
)
def test_a_spoilt_field_is_named_with_its_row(
    tmp_path: Path, recordings: list[Recording], row: int, column: int, value: object, message: str
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
            lambda rows: [*rows[:9], rows[2], *rows[9:]],
            r"row 10: id '.*' again; expected it only in row 3",
        ),
        (
            lambda rows: [row for row in rows if row[0] not in {"X3.V1.3", "X17.V1.3"}],
            "21 rows of recording Z004; expected all 23",
        ),
        (
            lambda rows: [*rows[:20], rows[20][:100], *rows[21:]],
            "line 22: 100 fields; expected 180",
        ),
    ],
)
def test_spoilt_rows_are_named(
    tmp_path: Path, recordings: list[Recording], change: Callable[[Any], Any], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        uci_seizure.read(write(tmp_path / "seizure.csv", change(rows_of(recordings))))


@pytest.mark.parametrize(
    ("places", "message"),
    [
        ([*range(7), *range(8, 180)], r"177 columns of samples \(missing: X7\)"),
        ([*range(1, 180)], r"177 columns of samples \(missing: X1\)"),
        ([*range(179)], "no column 'y'"),
    ],
)
def test_columns_that_are_not_those_published(
    tmp_path: Path, recordings: list[Recording], places: list[int], message: str
) -> None:
    rows = [[row[at] for at in places] for row in rows_of(recordings)]
    file = write(tmp_path / "seizure.csv", rows, header=[HEADER[at] for at in places])
    with pytest.raises(DataError, match=message):
        uci_seizure.read(file)


def test_columns_are_read_by_name(tmp_path: Path, recordings: list[Recording]) -> None:
    places = [0, 179, 2, 1, *range(178, 2, -1)]
    rows = [[row[at] for at in places] for row in rows_of(recordings)]
    file = write(tmp_path / "seizure.csv", rows, header=[HEADER[at] for at in places])
    for read, original in zip(uci_seizure.read(file), recordings, strict=True):
        np.testing.assert_array_equal(read.signal, original.signal[:, :4094])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("seizure.csv", b"", "empty; expected a header and rows"),
        ("seizure.csv", f"{','.join(HEADER)}\n".encode(), "no row below the header"),
        ("seizure.csv", b"\x00\xff\xfe" * 50, "not UTF-8 text"),
        ("seizure.csv.gz", b"no gzip", "is damaged"),
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
    with pytest.raises(DataError, match="found none; expected one"):
        uci_seizure.read(tmp_path)
    with pytest.raises(DataNotFoundError, match="does not exist"):
        uci_seizure.read(tmp_path / "nowhere")
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).touch()
    with pytest.raises(DataError, match=r"found a\.csv, b\.csv; expected one"):
        uci_seizure.read(tmp_path)
