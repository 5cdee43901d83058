"""Guarded opening of external files: regular, complete files of bounded size.

All reading of external files uses these functions. ``expected`` is the description of the file, as
the end of "expected ..."; ``remedy`` the advice for other files.

The rules. Links are followed, for data folders are often links; their target must be a regular
file: no folder, pipe, socket or device. A member that is held in memory has at most ``MOST`` bytes;
a stream may be longer (published tables have 30 GB). Nothing decompresses to more than ``TIMES``
times its compressed size, once it is larger than ``SMALL``. All checksums are verified, of gzip
(RFC 1952, every stream of the file), zip and tar. Errors of libraries become a ``DataError`` that
names the file, the problem, the expectation and the remedy.
"""

import hashlib
import io
import json
import math
import os
import re
import stat
import struct
import tarfile
import tomllib
import zipfile
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, cast, get_args

from isal import igzip
from pydantic import BaseModel, TypeAdapter, ValidationError

from sequela.errors import DataError, DataNotFoundError, system_words, unknown_name

Model = TypeVar("Model")

MOST = 2_000_000_000  # the limit in bytes for a file, or a member of an archive, in memory
TIMES = 50  # the limit for the ratio of decompressed to compressed size
SMALL = 1_000_000  # the size in bytes up to which any ratio is allowed
DECIDE = "DECIDE"  # the mark of an open decision in a declaration
OPTIONAL = "leave it out"  # the words of a decision that may stay open
REMEDY = "fetch it again"
_MISSPELT = {"extra_forbidden", "unexpected_keyword_argument"}
_SHOWN = 100  # characters of a value in a message

SUMS = "SHA256SUMS.txt"  # the list of checksums that PhysioNet publishes in each data set's folder

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
# A line of the program sha256sum: the digits, then a space or ``*`` before the name.
_SUM = re.compile(r"([0-9a-fA-F]{64})  ?\*?(\S.*)")
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")  # an escape of half a pair (RFC 8259, section 8.2)
_NOT_FINITE = ("NaN", "Infinity")
_DIGITS = 300  # of a whole number; 309 overflow a double
_ZIP_END = b"PK\x05\x06"  # signature of the end of the central directory (APPNOTE.TXT, 4.3.16)
_ZIP_END_BYTES = 22  # its size without a comment
_ZIP_COUNT_UNKNOWN = 0xFFFF  # the number is elsewhere then, in Zip64
_DEFLATE = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


@contextmanager
def opened(
    path: Path, expected: str, remedy: str = REMEDY, most: int | None = None
) -> Iterator[BinaryIO]:
    """Open a file as a stream of bytes, decompressed where its name ends in .gz or .zip."""
    with _regular(path, expected, remedy) as file:
        size = os.fstat(file.fileno()).st_size
        compressed = path.name.lower().endswith((".gz", ".zip"))
        source: BinaryIO = file
        if path.name.lower().endswith(".gz"):
            source = cast("BinaryIO", igzip.IGzipFile(fileobj=file))
        elif compressed:
            with _translated(str(path), f"expected {expected} in a zip; {remedy}"):
                archive = zipfile.ZipFile(file)
                _check_count(file, archive)
                names = archive.namelist()
                if len(names) != 1:
                    raise zipfile.BadZipFile(f"it has {len(names)} entries, not one: unpack it")
                source = cast("BinaryIO", archive.open(names[0]))
        # Only packed content can be larger than its file.
        times_size = max(TIMES * size, SMALL) if compressed else size
        raw = _Guarded(source, str(path), f"expected {expected}; {remedy}", times_size, most)
        with io.BufferedReader(raw, _CHUNK) as stream:
            yield cast("BinaryIO", stream)


def content(path: Path, expected: str, remedy: str = REMEDY, most: int = MOST) -> bytes:
    """Read the bytes of a file, decompressed where its name ends in ``.gz``."""
    with opened(path, expected, remedy, most) as stream:
        return stream.read()


def span(path: Path, first: int, last: int, expected: str, remedy: str = REMEDY) -> bytes:
    """Read the bytes of a file from one up to another, not decompressed."""
    with (
        _regular(path, expected, remedy) as file,
        _translated(str(path), f"expected {expected}; {remedy}"),
    ):
        file.seek(first)
        part = file.read(last - first)
    if len(part) < last - first:
        raise DataError(f"{path} ends at byte {first + len(part):,}: expected {expected}; {remedy}")
    return part


def text(path: Path, expected: str, remedy: str = REMEDY) -> str:
    """Read the text of a UTF-8 file, without a byte order mark."""
    return as_text(content(path, expected, remedy), str(path), expected, remedy)


def declaration(
    path: Path,
    model: type[Model],
    expected: str,
    remedy: str = "correct it",
    *,
    keyed: bool = False,
    hidden: Collection[str] = (),
) -> Model:
    """Read a declaration in TOML.

    If ``keyed``, a key set below a mark decides that line. ``hidden`` fields are not keys.
    """
    toml = text(path, expected, remedy)
    lines = toml.splitlines()
    for number, line in enumerate(lines, start=1):
        below = next((later for later in lines[number:] if not later.startswith("#")), "")
        settled = keyed and ("=" in below or OPTIONAL in line)
        if DECIDE in line and not settled:
            question = line.strip().lstrip("#").strip().removeprefix(DECIDE).strip(" :")
            how = "set the key below it, or" if keyed else "decide it, and"
            raise DataError(
                f"{path}, line {number}: a person must still decide: {question}; {how} delete the "
                f"mark {DECIDE}"
            )
    try:
        keys = tomllib.loads(toml)
        return TypeAdapter(model).validate_python(keys)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise DataError(f"{path}: not TOML ({error}); expected {expected}; {remedy}") from error
    except ValidationError as error:
        raise DataError(f"{path}: {problem(error, model, keys, expected, hidden)}") from error


def problem(
    error: ValidationError,
    model: type[Any],
    value: Any,
    expected: str,
    hidden: Collection[str] = (),
) -> str:
    """Describe an error in one line: a misspelt key, else the innermost value that does not fit."""
    # One problem a message: a misspelt key explains the errors below it.
    first = min(error.errors(), key=lambda part: (part["type"] not in _MISSPELT, -len(part["loc"])))
    at: type[Any] = model
    path: list[str] = []
    for part in first["loc"]:
        with suppress(LookupError, TypeError):  # the type of one form of a value is not a key
            value = value[part]
            path.append(str(part))
        at = _model_in(_keys(at).get(str(part))) or at
    if first["type"] == "missing":
        return f"key '{'.'.join([*path, str(first['loc'][-1])])}' is missing; expected {expected}"
    key, message = f"key '{'.'.join(path)}'", first["msg"].removeprefix("Value error, ")
    if first["type"] in _MISSPELT:
        return f"{key}: {unknown_name('key', path[-1], _keys(at).keys() - hidden)}"
    if not path:
        return message
    meaning = None if is_dataclass(model) else model.model_fields[path[0]].description
    ending = f"; it is: {meaning[:1].lower()}{meaning[1:].rstrip('.')}" if meaning else ""
    return f"{key} is {repr(first['input'])[:_SHOWN]}: {message}{ending}"


def _keys(model: type[Any]) -> dict[str, object]:
    if is_dataclass(model):
        return {field.name: field.type for field in fields(model)}
    return {name: field.annotation for name, field in model.model_fields.items()}


def _model_in(annotation: object) -> type[Any] | None:
    """Return the first model or dataclass of a type such as ``tuple[Model, ...]``."""
    if isinstance(annotation, type) and (
        is_dataclass(annotation) or issubclass(annotation, BaseModel)
    ):
        return annotation
    return next(filter(None, map(_model_in, get_args(annotation))), None)


def as_text(
    data: bytes, place: str, expected: str, remedy: str = REMEDY, *, ended: bool = False
) -> str:
    """Decode bytes as UTF-8 text, without a byte order mark.

    If ``ended``, the last line must have a line end, as in published files: without one, the number
    before it may be cut.
    """

    def fault(line: int, content: str) -> DataError:
        return DataError(f"{place} line {line}: found {content}; expected {expected}; {remedy}")

    try:
        read = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        byte = f"byte {data[error.start]:#04x}, which is not UTF-8"
        raise fault(data.count(b"\n", 0, error.start) + 1, byte) from error
    if (nul := read.find("\0")) >= 0:
        raise fault(read.count("\n", 0, nul) + 1, "a NUL byte")
    if ended and read and not read.endswith(("\n", "\r")):
        raise fault(len(read.splitlines()), "no end of the line: it may be cut")
    return read


def members(
    path: Path,
    expected: str,
    remedy: str = REMEDY,
    is_wanted: Callable[[str], bool] = lambda _: True,
) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of each file in a folder, zip or tar file, sorted in the first two.

    Of a folder these are the files directly in it. A tar file is named ``.tar`` or ``.tar.gz``.
    Members of an archive that are not wanted, by their name, are verified and left out.
    """
    if path.is_dir():
        for file in sorted(path.iterdir()):
            if is_wanted(file.name):
                yield file.name, content(file, expected, remedy)
        return
    tarred = path.name.lower().endswith((".tar", ".tar.gz"))
    read = _tar_members if tarred else _zip_members
    yield from ((name, data) for name, data in read(path, expected, remedy) if is_wanted(name))


def sha256(path: Path, expected: str, remedy: str = REMEDY) -> str:
    """Compute the SHA-256 of a file itself, in hexadecimal digits."""
    with _regular(path, expected, remedy) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass(frozen=True)
class Sums:
    """The published checksums of a folder's files."""

    place: Path  # the list itself
    sha256_of: Mapping[str, str]  # by the path of each file, relative to the list's folder

    @classmethod
    def beside(cls, folder: Path) -> "Sums | None":
        """Read the list in a folder; ``None`` where there is no list."""
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
                fault = f"'{line[:80]}'" if not match else f"another checksum of {name}"
                raise DataError(
                    f"{place} line {number}: found {fault}; expected {expected}; {REMEDY}"
                )
            stated[name] = match[1].lower()
        return cls(place, stated)

    def check(self, path: Path, expected: str, digest: str | None = None) -> bool:
        """Compare a file, or its SHA-256, with the list; return whether it is listed."""
        stated = self.sha256_of.get(path.relative_to(self.place.parent).as_posix())
        if stated is None:
            return False
        digest = digest or sha256(path, expected)
        if digest != stated:
            raise DataError(
                f"{path}: found SHA-256 {digest}; expected {stated}, as {self.place.name} next to "
                f"it states: the file was changed or cut; {REMEDY}"
            )
        return True

    def check_all(self) -> str:
        """Compare each listed file that is present, and return their number in words."""
        folder = self.place.parent
        here = [path for name in self.sha256_of if (path := folder / name).exists()]
        for path in here:
            self.check(path, "a file as published")
        files = "file" if len(here) == 1 else "files"
        return f"{len(here):,} {files} as {self.place.name} states"


def json_value(text: str | bytes, *, finite: bool = True) -> Any:
    """Parse a JSON text strictly by RFC 8259, unlike Python's parser.

    Example:
        >>> json_value('{"a": 1, "a": 2}')
        Traceback (most recent call last):
        ...
        ValueError: it names 'a' twice
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8")

    def members_of(pairs: list[tuple[str, object]]) -> dict[str, object]:
        members = dict(pairs)
        if len(members) < len(pairs):
            names = [name for name, _ in pairs]
            raise ValueError(f"it names '{next(n for n in names if names.count(n) > 1)}' twice")
        return members

    def number(written: str) -> float:
        value = float(written)
        if not math.isfinite(value) and (finite or written.lstrip("-") not in _NOT_FINITE):
            raise ValueError(f"{written[:30]} is not a finite number")
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
        if _SURROGATE.search(text):  # half of a pair is not a character, and cannot be written
            json.dumps(value, ensure_ascii=False).encode()
    except RecursionError as error:
        raise ValueError("it nests too deeply") from error
    return value


class _Guarded(io.RawIOBase):
    """A stream that raises our errors, also when it exceeds its limits."""

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
        """Read bytes into ``buffer``, and return their number."""
        with _translated(self._place, self._rest):
            part = self._source.read(len(buffer))
        buffer[: len(part)] = part
        self._given += len(part)
        # The limits are checked as the bytes come, so a zip bomb is stopped after one chunk.
        if self._most is not None and self._given > self._most:
            raise _too_much(self._place, f"more than {self._most:,} bytes", self._rest)
        if self._given > self._times_size:
            raise _too_much(self._place, _TIMES_SIZE, self._rest)
        return len(part)


@contextmanager
def _regular(path: Path, expected: str, remedy: str) -> Iterator[io.BufferedReader]:
    rest = f"expected {expected}; {remedy}"
    try:
        _check_regular(path, path.stat().st_mode, rest)
        # The file may have been replaced a moment ago: do not wait for a pipe.
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
        # The name may lead to another file by now, so the open file is checked again.
        _check_regular(path, os.fstat(file.fileno()).st_mode, rest)
        yield file


def _check_regular(path: Path, mode: int, rest: str) -> None:
    if not stat.S_ISREG(mode):
        kind = next((words for is_kind, words in _KINDS if is_kind(mode)), "not a regular file")
        if stat.S_ISDIR(mode):
            rest = f"{rest.partition(';')[0]}; name a file in it"
        raise DataError(f"{path} is {kind}: {rest}")


@contextmanager
def _translated(place: str, rest: str) -> Iterator[None]:
    """Translate a library's errors about a damaged file.

    ``zipfile`` and ``tarfile`` raise errors of many kinds for damaged files, some undocumented
    (``struct.error``, ``NotImplementedError``, ``OverflowError``...); only their calls may be
    within.
    """
    try:
        yield
    except DataError:
        raise
    except MemoryError as error:
        raise DataError(f"{place} needs more memory than there is: {rest}") from error
    except Exception as error:
        why = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{place} is damaged ({why[:200]}): {rest}") from error


def _too_much(place: str, excess: str, rest: str) -> DataError:
    return DataError(f"{place} holds {excess}, which no published file does: {rest}")


def _zip_members(path: Path, expected: str, remedy: str) -> Iterator[tuple[str, bytes]]:
    rest = f"expected {expected}; {remedy}"
    with _regular(path, expected, remedy) as file:
        size = os.fstat(file.fileno()).st_size
        with _translated(str(path), rest):
            archive = zipfile.ZipFile(file)
            _check_count(file, archive)
        entries = sorted(archive.infolist(), key=lambda entry: entry.filename)
        # The list states the sizes, so a bomb is refused before anything is unpacked.
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
    """Check that an archive's list has as many entries as its end states: one may hide another."""
    # A comment of at most 65,535 bytes may follow the end.
    file.seek(-min(os.fstat(file.fileno()).st_size, _ZIP_END_BYTES + 0xFFFF), os.SEEK_END)
    tail = file.read()
    # Bytes 10 and 11 hold the number of entries (APPNOTE.TXT, 4.3.16).
    (stated,) = struct.unpack_from("<H", tail, tail.rindex(_ZIP_END) + 10)
    count = len(archive.infolist())
    if stated not in (_ZIP_COUNT_UNKNOWN, count):
        raise zipfile.BadZipFile(f"{count} entries, and {stated} according to its end")


class _Header(tarfile.TarInfo):
    """A header that must be complete: ``tarfile`` ends the archive at a damaged one."""

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
            # As a stream, so that an archive may be larger than memory.
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
                raise DataError(f"{place} is cut, or not a regular file: {rest}")
            if file:
                yield member.name, read
        while stream.read(_CHUNK):  # to the checksum at the end
            pass
