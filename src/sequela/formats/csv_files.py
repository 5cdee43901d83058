"""CSV files, plain, gzipped or zipped: their form, their header, and the lines of values."""

import codecs
import csv
import io
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Annotated, BinaryIO, Literal, Self, cast

from pydantic import AfterValidator, ConfigDict, TypeAdapter, ValidationError

from sequela.errors import DataError, SettingError
from sequela.formats.opened import opened, problem

if TYPE_CHECKING:
    from _csv import Reader

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}
Date = Literal[
    "%Y-%m-%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y", "%Y/%m/%d"
]  # fmt: skip
_DIGITS = {"%d": "([0-9]{1,2})", "%m": "([0-9]{1,2})", "%Y": "([0-9]{4})", ".": "[.]"}


def _encoding(name: str) -> str:
    try:
        "".encode(name)
    except (LookupError, ValueError) as error:
        raise ValueError(f"{error}; expected a name such as latin-1 or cp1252") from error
    return name


@dataclass(frozen=True)
class Format:
    """The form of CSV files."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    separator: Literal[",", ";", "\t", "|"] = ","  # between two cells
    decimal: Literal[".", ","] = "."  # decimal mark of numbers
    thousands: Literal["", ".", ",", "'"] = ""  # sign between thousands
    quote: Literal['"', "'"] = '"'  # around cells
    encoding: Annotated[str, AfterValidator(_encoding)] = "utf-8"  # of the text, such as latin-1
    date: Date = "%Y-%m-%d"  # order of day, month and year; ISO 8601 is always read
    zone: Literal["", "UTC"] = ""  # the zone that a time may name; by default none

    def __post_init__(self) -> None:
        if self.thousands == self.decimal:
            raise ValueError(f"decimal and thousands are both {self.decimal!r}: expected two marks")

    @classmethod
    def of(cls, declared: Iterable[str], usual: Mapping[str, str] | None = None) -> Self:
        """Return the form declared as KEY=VALUE; other keys are as usual, or by default."""
        pairs = (text.partition("=") for text in declared)
        keys = {key: value.replace("\\t", "\t") for key, _, value in pairs}
        try:
            return TypeAdapter(cls).validate_python({**(usual or {}), **keys})
        except ValidationError as error:
            words = problem(error, cls, keys, "a form")
            raise SettingError(f"--format: {words}") from error

    @property
    def is_utf8(self) -> bool:
        """True if the bytes of the file are read as they are."""
        return codecs.lookup(self.encoding).name in {"utf-8", "utf-8-sig"}

    def replaced(self, kind: str) -> list[tuple[str, str]]:
        """Return regular expressions and replacements that write a trimmed cell in the usual form.

        Each replaces its first match: a number gets a decimal point, a time the form of ISO 8601.
        A cell that has another form than declared gets one that no number or time has.
        """
        steps: list[tuple[str, str]] = []
        if kind == "time" and self.date != PLAIN.date:
            written = re.sub("%[dmY]|[.]", lambda part: _DIGITS[part[0]], self.date)
            order = re.findall("%([dmY])", self.date)
            year, month, day = (order.index(part) + 1 for part in "Ymd")
            # Days and months get a zero; the next pattern removes it from two digits.
            steps += [
                (f"^{written}", rf"\{year}-0\{month}-0\{day}"),
                ("^([0-9]{4})-0?([0-9]{2})-0?([0-9]{2})($|[ T])", r"\1-\2-\3\4"),
                ("^(.{10}[ T])([0-9]):", r"\10\2:"),
            ]
        if kind == "time" and self.zone:
            # A time of another zone keeps its offset, which no time has.
            steps.append(("([+-]00(:?00)?|Z)$", ""))
        if kind in {"number", "integer"}:
            if self.thousands:
                between, mark = f"[{self.thousands}]", f"[{self.decimal}]"
                # Groups have exactly three digits, as 1,23 is not a number with thousands.
                groups = f"(?:{between}([0-9]{{3}}))" + f"(?:{between}([0-9]{{3}}))?" * 3
                steps.append((f"^([+-]?[0-9]{{1,3}}){groups}((?:{mark}[0-9]*)?)$", r"\1\2\3\4\5\6"))
            if self.decimal != ".":
                # A point in a file with decimal commas is a fault: it becomes an invalid sign.
                steps += [("[.]", "!"), (",", ".")]
        return steps

    def plain(self, cell: str, kind: str) -> str:
        """Write a cell in the usual form: see ``replaced``."""
        text = cell.strip()
        for pattern, replacement in self.replaced(kind):
            # To Python ``\10`` is group 10; to DuckDB and Spark it is group 1 and a zero.
            text = re.sub(pattern, re.sub(r"\\(\d)", r"\\g<\1>", replacement), text, count=1)
        return text

    def words(self, kind: str) -> str:
        """Return what the form adds to the description of a kind; empty for the usual form."""
        keys = ("date", "zone") if kind == "time" else ("decimal", "thousands")
        form = ", ".join(f"{key} {getattr(self, key)!r}" for key in keys)
        return f", with {form}, as declared" if self.replaced(kind) else ""


PLAIN = Format()


@contextmanager
def utf8(path: Path, expected: str, form: Format = PLAIN) -> Iterator[BinaryIO]:
    """Open a CSV file as bytes in UTF-8, decompressed where its name ends in .gz or .zip."""
    with opened(path, expected) as stream:
        if form.is_utf8:
            yield stream
            return
        try:
            yield cast("BinaryIO", codecs.EncodedFile(stream, "utf-8", form.encoding))
        except UnicodeError as error:
            raise _not_text(path, form, error) from error


def utf8_copy(path: Path, form: Format, folder: Path) -> Path:
    """Copy a file into a folder, as text in UTF-8; return a file that is so already."""
    if form.is_utf8 and not path.name.lower().endswith(".zip"):
        return path
    copy = Path(mkdtemp(dir=folder)) / "copy.csv"
    with utf8(path, "a table", form) as stream, copy.open("wb") as file:
        shutil.copyfileobj(stream, file)
    return copy


def _not_text(path: Path, form: Format, error: UnicodeError) -> DataError:
    if form == PLAIN:
        return DataError(f"{path}: not UTF-8 text; convert it, or fetch it again")
    why = error.reason if isinstance(error, UnicodeDecodeError) else error
    return DataError(
        f"{path}: not text in the declared encoding {form.encoding} ({why}); correct `encoding` "
        "under [format]"
    )


@contextmanager
def rows_of(path: Path, form: Format = PLAIN) -> Iterator["Reader"]:
    """Read the rows of a CSV file by ``csv.reader``, decompressed as by ``opened``."""
    # Excel writes a byte order mark, which would be part of the first name.
    encoding = "utf-8-sig" if form.is_utf8 else form.encoding
    try:
        with (
            opened(path, "a published table") as stream,
            io.TextIOWrapper(stream, encoding=encoding, newline="") as text,
        ):
            yield csv.reader(text, delimiter=form.separator, quotechar=form.quote)
    except csv.Error as error:
        raise DataError(f"{path}: not a CSV file ({error}); fetch it again") from error
    except UnicodeError as error:
        raise _not_text(path, form, error) from error


def header(path: Path, form: Format = PLAIN) -> list[str]:
    """Read the names of the columns, in lower case and with ``_`` for other signs, in order."""
    # An empty file has no header, which ``check_separator`` reports.
    with rows_of(path, form) as rows:
        written = [name.strip() for name in next(rows, [])]
    check_separator(path, written, form.separator)
    return column_names(path, written)


def column_names(place: Path, written: Sequence[str]) -> list[str]:
    """Return the names of a table's columns, in lower case and with ``_`` for other signs."""
    # R writes a first column without a name.
    names = [re.sub(r"\W+", "_", n.lower()) or f"column_{i}" for i, n in enumerate(written)]
    for name in names:
        if names.count(name) > 1:
            raise DataError(f"{place}: line 1 names the column '{name}' twice; expected it once")
    return names


def check_separator(place: Path | str, names: Sequence[str], separator: str = ",") -> None:
    """Check that a first line, read with a separator, has no other one instead."""
    if not any(names):
        raise DataError(f"{place}: empty; expected a header and rows")
    if len(names) > 1:
        return
    for sign, word in SEPARATORS.items():
        if sign in names[0]:
            remedy = "correct `separator` under [format]"
            if separator == ",":
                key = "separator=\\t" if sign == "\t" else f"separator={sign}"
                remedy = (
                    "write the file again with commas, and points in its numbers; for data of your "
                    f"own, add --format '{key}', or declare it under [format]"
                )
            raise DataError(
                f"{place}, line 1: the columns are separated by {word}; expected "
                f"{SEPARATORS[separator]}: {remedy}"
            )


def line_of(path: Path | None, values: Mapping[str, object], form: Format = PLAIN) -> int | None:
    """Find the first line with values in columns, counted from 1, if all of them are known.

    Numbers and times match in any notation: ``2.70`` is found by ``2.7``.
    """
    names = header(path, form) if path else []
    if path is None or not values or any(n not in names or values[n] is None for n in values):
        return None
    cells = {names.index(name): str(value) for name, value in values.items()}
    with rows_of(path, form) as rows:
        for row in rows:
            if len(row) > max(cells) and all(_same(row[i], cells[i], form) for i in cells):
                return int(rows.line_num)
    return None


def _same(written: str, value: str, form: Format) -> bool:
    if written.strip() == value.strip():
        return True
    # The kind of the column is not known here, so each kind is tried.
    reads = ((int, "integer"), (float, "number"), (datetime.fromisoformat, "time"))
    for read, kind in reads:
        with suppress(ValueError):
            return read(form.plain(written, kind)) == read(value)
    return False
