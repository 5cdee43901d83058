"""Published CSV files, plain or gzipped: their header, and the line at which a value stands."""

import csv
import gzip
import re
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from sequela.errors import DataError

SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "vertical bars"}


@contextmanager
def opened(path: Path) -> Iterator[TextIO]:
    """A CSV file as text, decompressed where its name ends in ``.gz``.

    Raises:
        DataError: The file cannot be read as what its name says.
    """
    try:
        stream = gzip.open(path, "rt") if path.suffix == ".gz" else path.open()  # noqa: SIM115
        with stream as text:
            assert not isinstance(text, gzip.GzipFile)  # noqa: S101 (text mode, for the types)
            text.reconfigure(encoding="utf-8-sig", newline="")
            yield text
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"{path}: not a readable gzip file ({error}); fetch it again") from error
    except csv.Error as error:
        raise DataError(f"{path}: not a CSV file ({error}); fetch it again") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text; convert it, or fetch it again") from error


def header(path: Path) -> list[str]:
    """Names of the columns, lower case and with ``_`` for other signs, in the file's order.

    Raises:
        DataError: The file is unreadable, empty, separated by another sign than a comma, or names
            a column twice.
    """
    with opened(path) as text:
        written = [name.strip().lower() for name in next(csv.reader(text), [])]
    check_commas(path, written)
    # R writes a first column without a name.
    names = [re.sub(r"\W+", "_", name) or f"column_{i}" for i, name in enumerate(written)]
    for name in names:
        if names.count(name) > 1:
            raise DataError(f"{path}: line 1 names the column '{name}' twice; expected it once")
    return names


def check_commas(place: Path | str, names: Sequence[str]) -> None:
    """See that a first line, read as separated by commas, holds names so separated.

    Raises:
        DataError: It holds nothing, or one name with other separators in it.
    """
    if not any(names):
        raise DataError(f"{place}: empty; expected a header and rows")
    if len(names) > 1:
        return
    for sign, word in SEPARATORS.items():
        if sign in names[0]:
            raise DataError(
                f"{place}, line 1: the columns are separated by {word}; expected commas: write the "
                "file again with commas, and points in its numbers"
            )


def line_of(path: Path, position: int, value: str) -> int | None:
    """Line at which ``value`` first stands in the column at ``position``, counted from 1.

    Numbers are the same however they are written: ``2.70`` is found by ``2.7``.
    """
    with opened(path) as text:
        rows = csv.reader(text)
        for row in rows:
            if len(row) > position and _same(row[position].strip(), value):
                return rows.line_num
    return None


def _same(written: str, value: str) -> bool:
    try:
        return written == value or float(written) == float(value)
    except ValueError:
        return False
