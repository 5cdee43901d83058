"""Files from outside: what is read, and what is refused before it does harm."""

import gzip
import hashlib
import io
import os
import socket
import tarfile
import zipfile
from pathlib import Path

import pytest

from sequela.errors import DataError, DataNotFoundError
from sequela.formats.opened import MOST, SUMS, Sums, as_text, content, json_value, members


def test_what_is_no_regular_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkfifo("Z001.txt")  # not waited for
    with pytest.raises(DataError, match=r"Z001.txt is a pipe: expected a text"):
        content(Path("Z001.txt"), "a text")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("s")
        with pytest.raises(DataError, match="is a socket"):
            content(Path("s"), "a text")
    with pytest.raises(DataError, match="is a device"):
        content(Path("/dev/zero"), "a text")
    with pytest.raises(DataError, match="is a folder"):
        content(tmp_path, "a text")
    with pytest.raises(DataNotFoundError, match="is not there"):
        content(Path("nowhere"), "a text")


def test_a_link_to_a_file_is_followed(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1")
    (tmp_path / "b").symlink_to("a")
    assert content(tmp_path / "b", "a text") == b"1"


def test_what_unpacks_to_too_much_is_refused(tmp_path: Path) -> None:
    bomb = bytes(20_000_000)
    (tmp_path / "a.gz").write_bytes(gzip.compress(bomb))
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a", bomb)
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as tar:
        info = tarfile.TarInfo("a")
        info.size = len(bomb)
        tar.addfile(info, io.BytesIO(bomb))
    with pytest.raises(DataError, match="more than 50 times its size"):
        content(tmp_path / "a.gz", "a text")
    for name in ("a.zip", "a.tar.gz"):
        with pytest.raises(DataError, match="more than 50 times its size"):
            list(members(tmp_path / name, "a text"))


def test_a_member_that_says_it_is_too_large(tmp_path: Path) -> None:
    info = tarfile.TarInfo("a")
    info.size = MOST + 1
    (tmp_path / "a.tar").write_bytes(info.tobuf())
    with pytest.raises(DataError, match="more than 2,000,000,000 bytes"):
        list(members(tmp_path / "a.tar", "a text"))


def test_a_damaged_header_is_not_the_end_of_a_tar_file(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for name in ("a", "b"):
            info = tarfile.TarInfo(name)
            info.size = 3
            tar.addfile(info, io.BytesIO(b"123"))
    whole = bytearray((tmp_path / "a.tar").read_bytes())
    assert len(list(members(tmp_path / "a.tar", "a text"))) == 2
    whole[1024] ^= 1  # the name of the second
    (tmp_path / "a.tar").write_bytes(whole)
    with pytest.raises(DataError, match="cut or damaged"):
        list(members(tmp_path / "a.tar", "a text"))


def test_every_stream_of_a_gzip_file_is_read_and_verified(tmp_path: Path) -> None:
    file = tmp_path / "a.csv.gz"
    file.write_bytes(gzip.compress(b"1\n") + gzip.compress(b"2\n3"))
    assert content(file, "a text") == b"1\n2\n3"
    damaged = bytearray(file.read_bytes())
    damaged[-6] ^= 1
    file.write_bytes(damaged)
    with pytest.raises(DataError, match="CRC check failed"):
        content(file, "a text")


def test_published_checksums_are_verified_and_told(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"1\n")
    digest = hashlib.sha256(b"1\n").hexdigest()
    (tmp_path / SUMS).write_text(f"{digest}  a.csv\n{digest} *not/here.csv\n")
    sums = Sums.beside(tmp_path)
    assert sums is not None
    assert sums.check_all() == "1 file as SHA256SUMS.txt states"
    (tmp_path / "a.csv").write_bytes(b"2\n")
    with pytest.raises(DataError, match=r"as SHA256SUMS\.txt next to it states"):
        sums.check_all()
    (tmp_path / SUMS).write_text("no sum a.csv\n")
    with pytest.raises(DataError, match=r"SHA256SUMS.txt line 1: found 'no sum a.csv'"):
        Sums.beside(tmp_path)


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (b"1\n\xff\n", "line 2: found byte 0xff, which is not UTF-8"),
        (b"1\n2\x00\n", "line 2: found a NUL byte"),
        (b"1\n2", "line 2: found no end of the line"),
    ],
)
def test_what_is_no_whole_text(given: bytes, found: str) -> None:
    with pytest.raises(DataError, match=found):
        as_text(given, "a.txt", "a text", ended=True)


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"a":1,"a":2}', "NaN", "1e999", "9" * 400, '"\\ud800"', "{", ""]
)
def test_what_only_python_takes_for_json(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        json_value(text)
