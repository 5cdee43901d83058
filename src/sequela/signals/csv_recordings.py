"""csv files of one recording each: a row a sample, a column a channel, and often its time."""

import csv
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sequela.config import SignalSettings
from sequela.errors import DataError, SequelaError, SettingError, form_of
from sequela.formats.arrays import REMEDY, few
from sequela.formats.csv_files import PLAIN, SEPARATORS, Format, check_separator, rows_of
from sequela.formats.opened import opened
from sequela.signals import tables
from sequela.signals.edf import Piece
from sequela.signals.events import of_samples
from sequela.signals.sampled import SampledFile
from sequela.signals.tables import is_number

EXPECTED = "a csv file of one recording"
SUFFIXES = (".csv", ".csv.gz")
FILE = ("file", "filename", "file_name", "name", "recording", "datei")
"""The usual names of a column with the names of files."""
SAID = ("label", "subject", "session", "recording", "site")
"""The keys of a declaration that may name a column."""
_TIME = re.compile(r"times?|time.?stamps?|t|seconds|zeit|zeitstempel|datetime", re.IGNORECASE)
_UNIT = re.compile(r"(.+?)(?:\s*[\[(]\s*([^\])]*?)\s*[\])]|\s*[_/\s]\s*(s|ms|us|µs|sec|[uµmn]?V))")
_ID = re.compile(r"(^|_)(id|nr|no|patient|subject|person|case|stay)(_|$)", re.IGNORECASE)
_SEGMENT = re.compile(r"(?!ch|e|el|chan)[^0-9]*[0-9]+", re.IGNORECASE)
"""The name of a sample in a table of one row a segment."""
_SECONDS: Mapping[str, float] = {
    "s": 1, "sec": 1, "seconds": 1, "sek": 1, "ms": 1e-3, "us": 1e-6, "µs": 1e-6,
}  # fmt: skip
_SLOWEST = 10
"""Hz below which times without a unit are not taken for seconds."""
_FASTEST = 5000  # Hz above which they are not either
_TICKS = (1e3, 1e6, 1 / 60, 1 / 3600)  # in a second: ms, µs, minutes, hours
_LOOK, _ROWS, _FEWEST = 1 << 16, 50, 16
"""The bytes and rows that are looked at to recognise a recording, and the fewest rows of one."""


def is_csv(path: Path) -> bool:
    """Return whether a file has the name of a csv file."""
    return path.name.lower().endswith(SUFFIXES)


def parted(name: str) -> tuple[str, str]:
    """Return the name of a column without its unit, and the unit.

    Example:
        >>> parted("Fp1 [mV]"), parted("time_ms"), parted("C3/mV"), parted("C3 A1")
        (('Fp1', 'mV'), ('time', 'ms'), ('C3', 'mV'), ('C3 A1', ''))
    """
    match = _UNIT.fullmatch(name.strip())
    return (match[1], match[2] or match[3] or "") if match else (name.strip(), "")


def time_of(names: Sequence[str], settings: SignalSettings | None = None) -> str | None:
    """Return the declared column of the time, else the first one whose name is usual for it."""
    if settings and settings.time:
        return settings.time
    return next((name for name in names if _TIME.fullmatch(parted(name)[0])), None)


def open_csv(path: Path, settings: SignalSettings) -> SampledFile:
    """Read the columns, the times and the classes of a recording; its samples are read later."""
    form = Format.of(settings.format)
    names, _ = tables.columns_of(path, form)
    if all(re.fullmatch("[-+0-9.,eE ]+", name) for name in names):
        raise DataError(f"{path} line 1: numbers; expected the names of the columns; add them")
    time = time_of(names, settings)
    said = {k: c for k in SAID if (c := getattr(settings, k)) in names}
    columns = [n for n in names if n.strip() and n != time and n not in said.values()]
    if time is not None and time not in names:
        raise DataError(f"{path}: no column '{time}' (found: {few(names)}); correct time")
    if not columns:
        raise DataError(f"{path}: no channel (found: {few(names)}); expected a column for each")
    if time is None and settings.rate is None:
        raise SettingError(
            f"{path}: no column of the time (found: {few(names)}), so the sampling rate is "
            "unknown; name the column with --time, or give --rate, in Hz"
        )
    texts = [*dict.fromkeys(each for each in (time, *said.values()) if each)] or columns[:1]
    found = [*tables.batches(path, texts, texts, form)]
    read = {n: [t for b in found for t in tables.as_texts(b[n].to_pylist())] for n in texts}
    n_times = len(next(iter(read.values())))
    if not n_times:
        raise DataError(f"{path}: no row below the header; expected a row for each sample")
    for key, column in said.items():
        if "" in read[column]:
            raise DataError(
                f"{path} row {read[column].index('') + 1}: nothing in column {column}; expected "
                f"the {key} of each row"
            )
    sfreq = settings.rate or 0.0
    pieces: tuple[Piece, ...] = (Piece(0, n_times, 0.0),)
    if time is not None:
        times = _seconds(path, time, read[time], form, settings.rate)
        sfreq, pieces = tables.pieces_of(path, times, settings.rate)
    at = np.concatenate([start + np.arange(b - a) / sfreq for a, b, start in pieces])
    label = said.pop("label", None)
    units = [parted(name) for name in columns]
    return SampledFile(
        path=path,
        labels=tuple(name for name, _ in units),
        units=tuple(unit or settings.unit or "µV" for _, unit in units),
        sfreq=sfreq,
        pieces=pieces,
        reads=partial(_read, path, tuple(columns), form),
        annotations=tuple(of_samples(at, 1 / sfreq, read[label])) if label else (),
        attributes={key: _one(path, key, read[column]) for key, column in said.items()},
        labelled=label is not None,
        assumed=settings.unit is None and any(not unit for _, unit in units),
    )


def first_rows(path: Path) -> tuple[list[str], list[list[str]], Format]:
    """Return the header, whole first rows, and the probable form of a csv file."""
    lines = [""]
    with suppress(SequelaError), opened(path, EXPECTED) as stream:
        lines = stream.read(_LOOK).decode("latin-1").splitlines()[: _ROWS + 2] or lines
    separator = max(SEPARATORS, key=lines[0].count)
    names, *rows = csv.reader((each.replace('"', "") for each in lines), delimiter=separator)
    marked = separator != "," and re.search("[0-9],[0-9]", "".join(lines[1:]))
    whole = [row for row in rows[:-1] if len(row) == len(names)]  # the last may be cut
    decimal = "," if marked else "."
    return names, whole, Format.of((f"separator={separator}", f"decimal={decimal}"))


def small_table(
    place: Path, encoding: str = PLAIN.encoding
) -> tuple[list[str], list[tuple[str, list[str]]], Format]:
    """Read a table next to recordings: its columns, the place and cells of each row, its form."""
    form = replace(first_rows(place)[2], encoding=encoding)
    if ".tsv" in place.name.lower():
        form = replace(form, separator="\t")
    found = []
    with rows_of(place, form) as rows:
        names = [name.strip() for name in next(rows, [])]
        check_separator(place, names, form.separator)
        for name in filter(None, names):
            if names.count(name) > 1:
                raise DataError(
                    f"{place} line 1: the column {name} is there twice; expected it once"
                )
        for fields in filter(any, rows):
            where = f"{place} line {rows.line_num}"
            if len(fields) != len(names):
                raise DataError(f"{where}: {len(fields)} fields; expected {len(names)}")
            found.append((where, [cell.strip() for cell in fields]))
    return names, found, form


def looks_recorded(path: Path) -> bool:
    """Return whether the first rows of a csv file are samples: in equal steps, or all numbers."""
    names, rows, form = first_rows(path)
    if len(rows) < _FEWEST:
        return False
    columns = dict(zip(names, zip(*rows, strict=True), strict=False))
    time = time_of(names)
    if time is not None:
        with suppress(SequelaError):
            # With a rate, which no unit fits, the unit is not checked: open_csv does so.
            steps = np.diff(_seconds(path, time, columns[time], form, 1e-9))
            return bool(steps.min() > 0 and steps.max() < 1 / _SLOWEST)
        return False
    numbered = sum(bool(_SEGMENT.fullmatch(name)) for name in names)
    cells = (form.plain(cell, "number") for row in rows for cell in row)
    return numbered < _FEWEST and not any(map(_ID.search, names)) and all(map(is_number, cells))


def lists_files(path: Path) -> bool:
    """Return whether a csv file is a table of files, by the name of a column."""
    names, _, _ = first_rows(path)
    return time_of(names) is None and any(name.strip().lower() in FILE for name in names)


def _one(path: Path, key: str, values: Sequence[str]) -> str:
    """Return the one value of a column about the whole recording."""
    if len(several := {*values}) > 1:
        raise DataError(
            f"{path}: its rows are of {len(several)} {key}s; expected one recording in a file"
        )
    return values[0]


def _read(
    path: Path,
    columns: tuple[str, ...],
    form: Format,
    signals: Sequence[int],
    first: int,
    last: int,
) -> NDArray[np.float64]:
    """Return some columns (signal, time) from a row up to another."""
    status = path.stat()
    chosen = tuple(columns[i] for i in signals)
    return samples(path, chosen, form, (status.st_mtime_ns, status.st_size))[:, first:last]


@lru_cache(maxsize=1)
def samples(
    path: Path, columns: tuple[str, ...], form: Format, _: tuple[int, int]
) -> NDArray[np.float64]:
    """Return columns of a file (column, row); those of the last file are kept."""
    found = tables.batches(path, columns, (), form)
    parts = [np.stack([b[c].to_numpy() for c in columns]) for b in found]
    return np.concatenate(parts, axis=1)


def _seconds(
    path: Path, column: str, texts: Sequence[str], form: Format, rate: float | None
) -> NDArray[np.float64]:
    """Return times in seconds, from numbers with a unit in the header, or dates and times."""
    unit = parted(column)[1].lower()
    if unit and unit not in _SECONDS:
        raise DataError(f"{path}: column '{column}' is in '{unit}'; expected s, ms or µs")
    plain = [form.plain(each, "number") for each in texts] if form.decimal == "," else texts
    if is_number(plain[0]):
        found = _converted(plain, "float64")
    else:
        moments = _converted(
            [form.plain(each, "time").replace(",", ".") for each in texts], "datetime64[us]"
        )
        found, unit = (moments - moments[0]) / np.timedelta64(1, "s"), "s"
    if len(bad := np.flatnonzero(~np.isfinite(found))):
        raise DataError(
            f"{path} row {bad[0] + 1}: a time of the form {form_of(texts[bad[0]])}; expected a "
            f"number with the decimal mark '{form.decimal}', or a date and time such as "
            f"2026-01-31 10:00:00.004; {REMEDY}"
        )
    if len(found) == 1 and rate is None:
        raise DataError(f"{path}: one row; expected several, or the rate with --rate")
    step = float(np.median(np.diff(found))) if len(found) > 1 else 1.0
    if unit:
        return found * _SECONDS[unit]
    if rate is not None:  # it states the unit
        return found / next((s for s in _TICKS if abs(step * rate / s - 1) < 0.1), 1)  # noqa: PLR2004
    if not 1 / _FASTEST <= step <= 1 / _SLOWEST:
        raise DataError(
            f"{path}: column '{column}' rises by {step:g} a row, and no unit is given; expected "
            f"seconds, at {_SLOWEST} to {_FASTEST:,} Hz; write it as in 'time [ms]', or give "
            "--rate, in Hz, which also shows minutes and hours"
        )
    return found


def _converted(texts: Sequence[str], kind: str) -> NDArray[Any]:
    """Convert texts to numbers or times; others are missing."""
    try:
        return np.array(texts, kind)
    except ValueError:
        if len(texts) == 1:
            return np.array(["nan" if kind == "float64" else "NaT"], kind)
        half = len(texts) // 2
        return np.concatenate([_converted(some, kind) for some in (texts[:half], texts[half:])])
