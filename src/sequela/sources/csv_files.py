"""Published CSV files, plain or gzipped: their header, and the lines of values."""

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from sequela.errors import DataError
from sequela.sources.opened import opened

SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "vertical bars"}


@contextmanager
def rows_of(path: Path) -> Iterator[Any]:
    """Read the rows of a CSV file by ``csv.reader``, decompressed where its name ends in ``.gz``.

    Raises:
        DataError: If the file does not have the format of its name.
    """
    try:
        with (
            opened(path, "a published table") as stream,
            io.TextIOWrapper(stream, encoding="utf-8-sig", newline="") as text,
        ):
            yield csv.reader(text)
    except csv.Error as error:
        raise DataError(f"{path}: not a CSV file ({error}); fetch it again") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text; convert it, or fetch it again") from error


def header(path: Path) -> list[str]:
    """Read the names of the columns, in lower case and with ``_`` for other signs, in order.

    Raises:
        DataError: If the file is unreadable, empty, not separated by commas, or names a column
            twice.
    """
    with rows_of(path) as rows:
        written = [name.strip().lower() for name in next(rows, [])]
    check_commas(path, written)
    # R writes a first column without a name.
    names = [re.sub(r"\W+", "_", name) or f"column_{i}" for i, name in enumerate(written)]
    for name in names:
        if names.count(name) > 1:
            raise DataError(f"{path}: line 1 names the column '{name}' twice; expected it once")
    return names


def check_commas(place: Path | str, names: Sequence[str]) -> None:
    """Check that a first line, read as separated by commas, is separated by commas.

    Raises:
        DataError: If it is empty, or one name with other separators in it.
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


def line_of(path: Path, values: Mapping[int, str]) -> int | None:
    """Find the first line with values in the columns at their positions, counted from 1.

    Numbers and times match in any notation: ``2.70`` is found by ``2.7``.
    """
    with rows_of(path) as rows:
        for row in rows:
            if len(row) > max(values) and all(_same(row[i].strip(), values[i]) for i in values):
                return int(rows.line_num)
    return None


def _same(written: str, value: str) -> bool:
    if written == value.strip():
        return True
    for read in (int, float, datetime.fromisoformat):
        with suppress(ValueError):
            return read(written) == read(value)
    return False
