"""Files from outside, opened in one guarded way: regular files, of bounded size, whole.

Everything that reads a file which somebody else made comes through here:

- ``opened(path, expected)``: a file as a stream of bytes, decompressed where its name ends in
  ``.gz``.
- ``content(path, expected)``: the same as ``bytes``; ``text(path, expected)``: as ``str``.
- ``span(path, first, last, expected)``: some bytes of a file, as it lies there.
- ``json_value(text)``: strict JSON.
- ``members(path, expected)``: name and content of each file of a folder, a zip or a tar file.
- ``proven(path, expected)``: the whole file read once, before an engine reads it: its checksums are
  verified, its lines counted, its SHA-256 taken.
- ``Sums.beside(folder)``: what a publisher's ``SHA256SUMS.txt`` states; ``check(path)`` compares,
  ``check_all()`` does so for what is there, and ``words`` tells how many files were compared.

``expected`` is what the file should be, as the end of "expected ..."; ``remedy`` what to do else.

The rules. Links are followed, for data folders are often links; what they lead to must be a regular
file: no folder, pipe, socket or device. A member that is held in memory has at most ``MOST`` bytes;
a stream may be longer (published tables have 30 GB). Nothing decompresses to more than ``TIMES``
times its compressed size, once it is larger than ``SMALL``. All checksums are verified, of gzip
(RFC 1952, every stream of the file), zip and tar. What a library raises becomes a ``DataError``
that names the file, what was found, what was expected and what to do.
"""

import gzip
import hashlib
import io
import json
import math
import os
import re
import stat
import struct
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from sequela.errors import DataError, DataNotFoundError, system_words

MOST = 2_000_000_000
"""Bytes that a file, or a member of an archive, may have in memory."""
TIMES = 50
"""How often its compressed size a file may have, decompressed."""
SMALL = 1_000_000
"""Bytes up to which it may have any number of times its compressed size."""
REMEDY = "fetch it again"

SUMS = "SHA256SUMS.txt"
"""The list of checksums that PhysioNet publishes in each data set's folder."""

_CHUNK = 1 << 20
_MOST_BYTES = f"more than {MOST:,} bytes"
_TIMES_SIZE = f"more than {TIMES} times its size when decompressed"
_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
_SUM = re.compile(r"([0-9a-fA-F]{64})  ?\*?(\S.*)")
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_NOT_FINITE = ("NaN", "Infinity")
_DIGITS = 300
_ZIP_END = b"PK\x05\x06"
_ZIP_END_BYTES = 22
_ZIP_COUNT_UNKNOWN = 0xFFFF
_DEFLATE = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


@contextmanager
def opened(
    path: Path, expected: str, remedy: str = REMEDY, most: int | None = None
) -> Iterator[BinaryIO]:
    """A file as a stream of bytes, decompressed where its name ends in ``.gz``.

    Args:
        path: The file.
        expected: What it should be.
        remedy: What to do if it is not.
        most: Bytes that the stream may have; any number by default.

    Raises:
        DataNotFoundError: There is no such file.
        DataError: It is no regular file, cannot be read, is damaged, or decompresses to too much.
    """
    with _regular(path, expected, remedy) as file:
        size = os.fstat(file.fileno()).st_size
        compressed = path.name.lower().endswith(".gz")
        source = cast("BinaryIO", gzip.GzipFile(fileobj=file)) if compressed else file
        times_size = max(TIMES * size, SMALL) if compressed else size
        raw = _Guarded(source, str(path), f"expected {expected}; {remedy}", times_size, most)
        with io.BufferedReader(raw, _CHUNK) as stream:
            yield cast("BinaryIO", stream)


def content(path: Path, expected: str, remedy: str = REMEDY, most: int = MOST) -> bytes:
    """The bytes of a file, decompressed where its name ends in ``.gz``.

    Raises:
        DataNotFoundError: There is no such file.
        DataError: As ``opened``.
    """
    with opened(path, expected, remedy, most) as stream:
        return stream.read()


def span(path: Path, first: int, last: int, expected: str, remedy: str = REMEDY) -> bytes:
    """The bytes of a file from one up to another, as it lies there.

    Raises:
        DataNotFoundError: There is no such file.
        DataError: It is no regular file, cannot be read, or ends before.
    """
    with (
        _regular(path, expected, remedy) as file,
        _translated(str(path), f"expected {expected}; {remedy}"),
    ):
        file.seek(first)
        found = file.read(last - first)
    if len(found) < last - first:
        raise DataError(
            f"{path} ends at byte {first + len(found):,}: expected {expected}; {remedy}"
        )
    return found


def text(path: Path, expected: str, remedy: str = REMEDY, *, ended: bool = False) -> str:
    """The text of a UTF-8 file, without the mark that some programs put before it.

    Raises:
        DataNotFoundError: There is no such file.
        DataError: As ``opened`` and ``as_text``.
    """
    return as_text(content(path, expected, remedy), str(path), expected, remedy, ended=ended)


def as_text(
    given: bytes, place: str, expected: str, remedy: str = REMEDY, *, ended: bool = False
) -> str:
    """Bytes as UTF-8 text, without the mark that some programs put before it.

    Args:
        given: The bytes.
        place: What an error calls them.
        expected: What they should be.
        remedy: What to do if they are not.
        ended: Whether the last line must have its end, as the publisher's has: where it has none,
            the number before it may be cut.

    Raises:
        DataError: They are not UTF-8, hold a NUL, which no text has, or have no end.
    """

    def fault(line: int, found: str) -> DataError:
        return DataError(f"{place} line {line}: found {found}; expected {expected}; {remedy}")

    try:
        read = given.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        found = f"byte {given[error.start]:#04x}, which is not UTF-8"
        raise fault(given.count(b"\n", 0, error.start) + 1, found) from error
    if (nul := read.find("\0")) >= 0:
        raise fault(read.count("\n", 0, nul) + 1, "a NUL byte")
    if ended and read and not read.endswith(("\n", "\r")):
        raise fault(len(read.splitlines()), "no end of the line: it may be cut")
    return read


def members(
    path: Path,
    expected: str,
    remedy: str = REMEDY,
    wanted: Callable[[str], bool] = lambda _: True,
) -> Iterator[tuple[str, bytes]]:
    """Name and content of each file in a folder, a zip file or a tar file, sorted in the first two.

    Args:
        path: A folder (files directly in it), a file named ``.tar`` or ``.tar.gz``, or a zip file.
        expected: What each file should be.
        remedy: What to do if one is not.
        wanted: Which names are asked for; what else lies in an archive is verified and left out.

    Raises:
        DataNotFoundError: There is no such path.
        DataError: A file is no regular one, the archive is damaged, or holds too much.
    """
    if path.is_dir():
        for each in sorted(path.iterdir()):
            if wanted(each.name):
                yield each.name, content(each, expected, remedy)
        return
    tarred = path.name.lower().endswith((".tar", ".tar.gz"))
    read = _tar_members if tarred else _zip_members
    yield from ((name, given) for name, given in read(path, expected, remedy) if wanted(name))


@dataclass(frozen=True)
class Proven:
    """What was found when a whole file was read.

    Attributes:
        size: Bytes, decompressed.
        lines: Number of line ends (LF, or CR where there is no LF).
        ends_with_line: Whether the last byte ends a line; true for an empty file.
        sha256: Of the file as it lies there, compressed or not.
    """

    size: int
    lines: int
    ends_with_line: bool
    sha256: str


def proven(path: Path, expected: str, remedy: str = REMEDY) -> Proven:
    """Read a whole file once: its checksums are verified and its lines counted.

    Engines that read tables in C++ do not verify the checksum of gzip; this does.

    Raises:
        DataNotFoundError: There is no such file.
        DataError: As ``opened``.
    """
    size, feeds, returns, last = 0, 0, 0, b"\n"
    with opened(path, expected, remedy) as stream:
        while chunk := stream.read(_CHUNK):
            size += len(chunk)
            feeds += chunk.count(b"\n")
            returns += 0 if feeds else chunk.count(b"\r")
            last = chunk[-1:]
    return Proven(size, feeds or returns, last in b"\r\n", sha256(path, expected, remedy))


def sha256(path: Path, expected: str, remedy: str = REMEDY) -> str:
    """SHA-256 of a file as it lies there, in hexadecimal digits.

    Raises:
        DataNotFoundError: There is no such file.
        DataError: It is no regular file, or cannot be read.
    """
    with _regular(path, expected, remedy) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass(frozen=True)
class Sums:
    """The checksums that a publisher states of the files of a folder.

    Attributes:
        place: The list itself.
        of: Path of each file relative to the list's folder, to its SHA-256.
    """

    place: Path
    of: Mapping[str, str]

    @classmethod
    def beside(cls, folder: Path) -> "Sums | None":
        """What the list in a folder states; ``None`` where there is no list.

        Raises:
            DataError: The list has a line that is not a checksum and a name.
        """
        place = folder / SUMS
        if not place.exists():
            return None
        expected = "a SHA-256 in 64 digits and a file's name a line, as published"
        stated: dict[str, str] = {}
        for number, line in enumerate(text(place, expected).splitlines(), start=1):
            if not line.strip():
                continue
            match = _SUM.fullmatch(line.rstrip())
            name = match[2].removeprefix("./") if match else ""
            if not match or stated.get(name, match[1].lower()) != match[1].lower():
                found = f"'{line[:80]}'" if not match else f"another checksum of {name}"
                raise DataError(
                    f"{place} line {number}: found {found}; expected {expected}; {REMEDY}"
                )
            stated[name] = match[1].lower()
        return cls(place, stated)

    def check(self, path: Path, expected: str, found: str | None = None) -> bool:
        """Whether a file is listed; it is as published then.

        Args:
            path: A file in the list's folder or below.
            expected: What it should be.
            found: Its SHA-256, where it is known already.

        Raises:
            DataError: It is not the file that the list states.
        """
        stated = self.of.get(path.relative_to(self.place.parent).as_posix())
        if stated is None:
            return False
        found = found or sha256(path, expected)
        if found != stated:
            raise DataError(
                f"{path}: found SHA-256 {found}; expected {stated}, as {self.place.name} beside it "
                f"states: the file was changed or cut; {REMEDY}"
            )
        return True

    def check_all(self) -> str:
        """See that each listed file that is there is as published; says how many are, in words.

        Raises:
            DataError: One is not.
        """
        folder = self.place.parent
        here = [path for name in self.of if (path := folder / name).exists()]
        for path in here:
            self.check(path, "a file as published")
        files = "file" if len(here) == 1 else "files"
        return f"{len(here):,} {files} as {self.place.name} states"


def json_value(text: str | bytes, *, finite: bool = True) -> Any:
    """A JSON text, read as RFC 8259 says and not as Python does.

    Args:
        text: The JSON.
        finite: Whether to refuse NaN and infinity, which are not JSON.

    Raises:
        ValueError: It is not JSON, names a member twice, nests too deeply, has a number that is not
            finite, or half of a surrogate pair, which no text has.

    Example:
        >>> json_value('{"a": 1, "a": 2}')
        Traceback (most recent call last):
        ...
        ValueError: it names 'a' twice
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8")

    def members_of(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            names = [name for name, _ in pairs]
            raise ValueError(f"it names '{next(n for n in names if names.count(n) > 1)}' twice")
        return found

    def number(written: str) -> float:
        value = float(written)
        if not math.isfinite(value) and (finite or written.lstrip("-") not in _NOT_FINITE):
            raise ValueError(f"{written[:30]} is no finite number")
        return value

    def whole(written: str) -> int:
        number(written if len(written) <= _DIGITS else "inf")
        return int(written)

    try:
        value = json.loads(
            text,
            object_pairs_hook=members_of,
            parse_float=number,
            parse_int=whole,
            parse_constant=number,
        )
        if _SURROGATE.search(text):
            json.dumps(value, ensure_ascii=False).encode()
    except RecursionError as error:
        raise ValueError("it nests too deeply") from error
    return value


class _Guarded(io.RawIOBase):
    """A stream that raises our errors, and ends with one where it gives too much."""

    def __init__(
        self, source: BinaryIO, place: str, rest: str, times_size: int, most: int | None
    ) -> None:
        self._source = source
        self._place, self._rest = place, rest
        self._times_size, self._most = times_size, most
        self._given = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Bytes into ``buffer``, and how many."""
        with _translated(self._place, self._rest):
            part = self._source.read(len(buffer))
        buffer[: len(part)] = part
        self._given += len(part)
        if self._most is not None and self._given > self._most:
            raise _too_much(self._place, f"more than {self._most:,} bytes", self._rest)
        if self._given > self._times_size:
            raise _too_much(self._place, _TIMES_SIZE, self._rest)
        return len(part)


@contextmanager
def _regular(path: Path, expected: str, remedy: str) -> Iterator[io.BufferedReader]:
    """A regular file, opened."""
    rest = f"expected {expected}; {remedy}"
    try:
        _check_regular(path, path.stat().st_mode, rest)
        # What is there now may be another file than a moment ago: a pipe is not waited for.
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        file = os.fdopen(os.open(path, flags), "rb")
    except DataError:
        raise
    except FileNotFoundError as error:
        raise DataNotFoundError(f"{path} is not there: {rest}") from error
    except (OSError, ValueError) as error:  # a name with a NUL is a ValueError
        words = (
            system_words(error, path) if isinstance(error, OSError) else f"{str(path)!r}: {error}"
        )
        raise DataError(f"{words}; {rest}") from error
    with file:
        _check_regular(path, os.fstat(file.fileno()).st_mode, rest)
        yield file


def _check_regular(path: Path, mode: int, rest: str) -> None:
    if not stat.S_ISREG(mode):
        found = next((words for is_kind, words in _KINDS if is_kind(mode)), "no regular file")
        if stat.S_ISDIR(mode):
            rest = f"{rest.partition(';')[0]}; name a file in it"
        raise DataError(f"{path} is {found}: {rest}")


@contextmanager
def _translated(place: str, rest: str) -> Iterator[None]:
    """What a library raises about a damaged file becomes ours.

    ``zipfile`` and ``tarfile`` meet damage with errors of many kinds, not all of them documented
    (``struct.error``, ``NotImplementedError``, ``OverflowError``...); nothing but their calls may
    stand within.
    """
    try:
        yield
    except DataError:
        raise
    except MemoryError as error:
        raise DataError(f"{place} asks for more memory than there is: {rest}") from error
    except Exception as error:
        why = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{place} is damaged ({why[:200]}): {rest}") from error


def _too_much(place: str, found: str, rest: str) -> DataError:
    return DataError(f"{place} holds {found}, which no published file does: {rest}")


def _zip_members(path: Path, expected: str, remedy: str) -> Iterator[tuple[str, bytes]]:
    rest = f"expected {expected}; {remedy}"
    with _regular(path, expected, remedy) as file:
        size = os.fstat(file.fileno()).st_size
        with _translated(str(path), rest):
            archive = zipfile.ZipFile(file)
            _check_count(file, archive)
        entries = sorted(archive.infolist(), key=lambda entry: entry.filename)
        if sum(entry.file_size for entry in entries) > max(TIMES * size, SMALL):
            raise _too_much(str(path), _TIMES_SIZE, rest)
        for entry in entries:
            place = f"{path}/{entry.filename}"
            if entry.file_size > MOST:
                raise _too_much(place, _MOST_BYTES, rest)
            if entry.compress_type not in _DEFLATE:
                raise DataError(f"{place} is not packed by deflate: {rest}")
            with _translated(place, rest):
                read = archive.read(entry)
            if not entry.is_dir():
                yield entry.filename, read


def _check_count(file: BinaryIO, archive: zipfile.ZipFile) -> None:
    """See that an archive's list has as many entries as its end says: one may hide another."""
    file.seek(-min(os.fstat(file.fileno()).st_size, _ZIP_END_BYTES + 0xFFFF), os.SEEK_END)
    tail = file.read()
    (stated,) = struct.unpack_from("<H", tail, tail.rindex(_ZIP_END) + 10)
    found = len(archive.infolist())
    if stated not in (_ZIP_COUNT_UNKNOWN, found):
        raise zipfile.BadZipFile(f"{found} entries, and {stated} according to its end")


class _Header(tarfile.TarInfo):
    """A header that must be whole: ``tarfile`` takes a damaged one for the end of the archive."""

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> "_Header":
        try:
            return super().fromtarfile(archive)
        except (tarfile.InvalidHeaderError, tarfile.EmptyHeaderError) as error:  # type: ignore[attr-defined]
            raise tarfile.ReadError(f"cut or damaged: {error}") from error


def _tar_members(path: Path, expected: str, remedy: str) -> Iterator[tuple[str, bytes]]:
    rest = f"expected {expected}; {remedy}"
    with opened(path, expected, remedy) as stream:
        with _translated(str(path), rest):
            archive = tarfile.open(fileobj=stream, mode="r|", tarinfo=_Header)  # noqa: SIM115
        while True:
            with _translated(str(path), rest):
                member = archive.next()
            if member is None:
                break
            place = f"{path}/{member.name}"
            if member.size > MOST:
                raise _too_much(place, _MOST_BYTES, rest)
            with _translated(place, rest):
                file = archive.extractfile(member) if member.isreg() else None
                read = file.read() if file else b""
            if len(read) != member.size:
                raise DataError(f"{place} is cut, or no regular file: {rest}")
            if file:
                yield member.name, read
        while stream.read(_CHUNK):  # to the checksum at the end
            pass
