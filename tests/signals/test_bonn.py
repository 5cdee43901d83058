import re
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from sequela.datasets.catalog import Recording
from sequela.errors import DataError, DataNotFoundError
from sequela.signals import bonn

N_TIMES = 4097


def zipped(folder: Path, *, inside: str = "") -> None:
    """Put a set's folder into the zip file of its name."""
    with zipfile.ZipFile(folder.with_suffix(".zip"), "w") as archive:
        for file in sorted(folder.iterdir()):
            archive.write(file, f"{inside}{file.name}")
        archive.writestr(f"__MACOSX/._{file.name}", b"not a recording")
    shutil.rmtree(folder)


def test_folders_are_read(bonn_folder: Path, excerpt: dict[str, Recording]) -> None:
    recordings = bonn.read(bonn_folder)
    ids = [each.recording_id for each in recordings]
    assert ids == ["F001", "F002", "N001", "N002", "O001", "O002", "S001", "S002", "Z001", "Z002"]
    for each in recordings:
        assert each.signal.shape == (1, N_TIMES)
        assert each.signal.dtype == np.float32
        assert (each.sfreq, each.subject_id) == (173.61, None)
    np.testing.assert_array_equal(recordings[8].signal, excerpt["Z001"].signal)


def test_labels_follow_the_order_of_the_classes(bonn_folder: Path) -> None:
    named = {each.recording_id[0]: each.label for each in bonn.read(bonn_folder)}
    assert named == {"S": 0, "F": 1, "N": 2, "O": 3, "Z": 4}
    assert bonn.CLASSES == ("seizure", "tumour area", "healthy area", "eyes closed", "eyes open")


@pytest.mark.parametrize("inside", ["", "Z/", "data/eeg/"])
def test_zip_files_are_read(bonn_folder: Path, inside: str) -> None:
    from_folders = bonn.read(bonn_folder)
    for letter in "ZONFS":
        zipped(bonn_folder / letter, inside=inside)
    for folder, zip_file in zip(from_folders, bonn.read(bonn_folder), strict=True):
        assert (folder.recording_id, folder.label) == (zip_file.recording_id, zip_file.label)
        np.testing.assert_array_equal(folder.signal, zip_file.signal)


def test_case_of_names_and_hidden_files_do_not_matter(bonn_folder: Path) -> None:
    (bonn_folder / "Z").rename(bonn_folder / "z")
    (bonn_folder / "z" / "Z001.txt").rename(bonn_folder / "z" / "z001.Txt")
    (bonn_folder / "z" / ".DS_Store").write_bytes(b"\0")
    assert "Z001" in [each.recording_id for each in bonn.read(bonn_folder)]


def test_a_set_without_recordings_is_refused(bonn_folder: Path) -> None:
    shutil.rmtree(bonn_folder / "S")
    (bonn_folder / "S").mkdir()
    (bonn_folder / "S" / ".DS_Store").write_bytes(b"")
    with pytest.raises(DataError, match=r"S holds no recording: expected S001\.txt to S100\.txt"):
        bonn.read(bonn_folder)


def test_a_folder_goes_before_a_zip_file(bonn_folder: Path) -> None:
    (bonn_folder / "Z.zip").write_bytes(b"not looked at")
    assert len(bonn.read(bonn_folder)) == 10


@settings(max_examples=20)
@given(
    values=st.lists(st.integers(-32768, 32767), max_size=50),
    end=st.sampled_from(["\n", "\r\n", "\r", " \n", "\t\r\n"]),
    after=st.sampled_from(["\n", "\r\n\r\n", "\r"]),
)
def test_whole_numbers_of_16_bits_are_read(values: list[int], end: str, after: str) -> None:
    values += [-32768, 32767] + [0] * (N_TIMES - len(values) - 2)
    content = (end.join(str(value) for value in values) + after).encode()
    np.testing.assert_array_equal(bonn.parse_signal(content, "Z001.txt"), values)


@pytest.mark.parametrize(
    ("line", "text", "shown"),
    [
        (1, b"a number", "'a number'"),
        (4097, b"NaN", "'NaN'"),
        (17, b"12.0", "'12.0'"),
        (17, b"1_000", "'1_000'"),
        (17, b"12 13", "'12 13'"),
        (17, b"5-3", "'5-3'"),
        (17, b"", "''"),
        (17, b"32768", "'32768'"),
        (17, b"-32769", "'-32769'"),
        (17, b"9" * 5000, f"'{'9' * 30}'"),
        (17, "\N{FULLWIDTH DIGIT ONE}".encode(), "'\N{FULLWIDTH DIGIT ONE}'"),
    ],
)
def test_a_line_that_is_no_sample_is_named(line: int, text: bytes, shown: str) -> None:
    lines = [b"%d" % value for value in range(N_TIMES)]
    lines[line - 1] = text
    message = f"Z/Z001.txt line {line}: found {shown}, expected a whole number of microvolts"
    with pytest.raises(DataError, match=re.escape(message)):
        bonn.parse_signal(b"\n".join([*lines, b""]), "Z/Z001.txt")


@pytest.mark.parametrize(
    ("n_lines", "found"),
    [(4096, "ends at line 4096"), (4098, "has 4,098 lines")],
)
def test_a_file_of_another_length_is_refused(n_lines: int, found: str) -> None:
    with pytest.raises(DataError, match=rf"Z001.txt {found}: expected 4,097 samples"):
        bonn.parse_signal(b"7\n" * n_lines, "Z001.txt")


def test_a_number_that_may_be_cut_is_refused() -> None:
    with pytest.raises(DataError, match="line 4097: found no end of the line"):
        bonn.parse_signal(b"7\n" * 4096 + b"12", "Z001.txt")
    with pytest.raises(DataError, match="line 17: found a NUL byte"):
        bonn.parse_signal(b"7\n" * 16 + b"1\x00\n", "Z001.txt")
    with pytest.raises(DataError, match="line 1: found ''"):
        bonn.parse_signal(b"", "Z001.txt")


@pytest.mark.parametrize(
    ("missing", "message"),
    [("S", "lacks set S of"), ("ZF", "lacks sets Z, F of"), ("ZONFS", "lacks sets Z, O, N, F, S")],
)
def test_missing_sets_are_named(bonn_folder: Path, missing: str, message: str) -> None:
    for letter in missing:
        shutil.rmtree(bonn_folder / letter)
    with pytest.raises(DataNotFoundError, match=message):
        bonn.read(bonn_folder)


def test_the_root_must_be_a_folder(tmp_path: Path) -> None:
    with pytest.raises(DataNotFoundError, match="does not exist: expected a folder"):
        bonn.read(tmp_path / "nowhere")
    (tmp_path / "file").touch()
    with pytest.raises(DataNotFoundError, match="file is a file: expected a folder"):
        bonn.read(tmp_path / "file")


@pytest.mark.parametrize("name", ["notes.doc", "O001.txt", "Z1.txt", "Z0001.txt", "Z001.txt.bak"])
def test_a_file_that_is_not_of_the_set_is_named(bonn_folder: Path, name: str) -> None:
    shutil.copy(bonn_folder / "Z" / "Z001.txt", bonn_folder / "Z" / name)
    with pytest.raises(DataError, match=f"{name} is not a recording of set Z"):
        bonn.read(bonn_folder)


def test_a_second_file_of_a_recording_is_refused(bonn_folder: Path) -> None:
    content = (bonn_folder / "Z" / "Z001.txt").read_bytes()
    zipped(bonn_folder / "Z")
    with zipfile.ZipFile(bonn_folder / "Z.zip", "a") as archive:
        archive.writestr("again/z001.TXT", content)
    with pytest.raises(DataError, match=r"again/z001.TXT is a second Z001 in this set"):
        bonn.read(bonn_folder)


def test_a_folder_in_place_of_a_file_is_named(bonn_folder: Path) -> None:
    (bonn_folder / "Z" / "Z003.txt").mkdir()
    with pytest.raises(DataError, match=r"Z003.txt is a folder: expected a text file"):
        bonn.read(bonn_folder)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        *((spoil, r"N.zip is damaged \(.*\): expected")
          for spoil in (lambda b: b[:-40], lambda _: b"<html>", lambda _: b"")),
        # A digit of the first entry: only its checksum can tell.
        (lambda b: b[:200] + bytes([b[200] ^ 1]) + b[201:],
         r"N.zip/N001.TXT is damaged \(Bad CRC-32"),
    ],
)  # fmt: skip
def test_a_broken_zip_file_is_named(
    bonn_folder: Path, spoil: Callable[[bytes], bytes], message: str
) -> None:
    zipped(bonn_folder / "N")
    file = bonn_folder / "N.zip"
    file.write_bytes(spoil(file.read_bytes()))
    with pytest.raises(DataError, match=message):
        bonn.read(bonn_folder)


def test_a_fault_inside_a_zip_file_is_named_with_file_and_line(bonn_folder: Path) -> None:
    (bonn_folder / "O" / "O002.txt").write_bytes(b"1\n2\nx\n")
    zipped(bonn_folder / "O")
    with pytest.raises(DataError, match=r"O.zip/O002.txt line 3: found 'x'"):
        bonn.read(bonn_folder)


def test_the_excerpt_holds_100_recordings_of_each_set(excerpt: dict[str, Recording]) -> None:
    assert list(excerpt) == sorted(excerpt)
    assert np.bincount([each.label or 0 for each in excerpt.values()]).tolist() == [100] * 5


def test_another_parquet_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "other.parquet"
    parquet.write_table(pa.table({"recording_id": ["Z001"]}), file)
    with pytest.raises(DataError, match="is not the excerpt of the Bonn data"):
        bonn.read(file)
    file.write_bytes(b"PAR1")
    with pytest.raises(DataError, match="is not the excerpt of the Bonn data"):
        bonn.read(file)


def test_published_files_are_read_once_until_they_change(
    bonn_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, opened = bonn.read_set, list[str]()

    def counted(place: Path, letter: str) -> list[Recording]:
        opened.append(letter)
        return read(place, letter)

    monkeypatch.setattr(bonn, "read_set", counted)
    first = bonn.read(bonn_folder)
    assert bonn.read(bonn_folder) == first
    assert len(opened) == 5
    (bonn_folder / "Z" / "Z002.txt").unlink()
    assert [each.recording_id for each in bonn.read(bonn_folder)][-1] == "Z001"
