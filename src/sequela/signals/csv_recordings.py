"""csv files of one recording each: a row a sample, a column a channel, and often its time."""

import csv
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cache, lru_cache, partial
from itertools import chain, pairwise
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sequela.config import SignalSettings
from sequela.errors import DataError, SequelaError, SettingError, form_of
from sequela.formats.arrays import REMEDY, few
from sequela.formats.csv_files import PLAIN, SEPARATORS, Format, check_separator, rows_of
from sequela.formats.opened import opened
from sequela.signals import segment_tables
from sequela.signals.segment_tables import is_number
from sequela.signals.stretches import Piece, Reader, SampledFile
from sequela.signals.window_classes import Event, of_samples

EXPECTED = "a csv file of one recording"
SUFFIXES = (".csv", ".csv.gz")
FILE = ("file", "filename", "file_name", "name", "recording", "datei")
"""The usual names of a column with the names of files."""
# The keys of a declaration that may name a column.
_KEYS = ("label", "subject", "session", "recording", "site")
_TIME = re.compile(r"times?|time.?stamps?|t|seconds|zeit|zeitstempel|datetime", re.IGNORECASE)
_UNIT = re.compile(r"(.+?)(?:\s*[\[(]\s*([^\])]*?)\s*[\])]|\s*[_/\s]\s*(s|ms|us|µs|sec|[uµmn]?V))")
_ID = re.compile(r"(^|_)(id|nr|no|patient|subject|person|case|stay)(_|$)", re.IGNORECASE)
# The name of a sample in a table of one row a segment.
_SEGMENT = re.compile(r"(?!ch|e|el|chan)[^0-9]*[0-9]+", re.IGNORECASE)
_SECONDS: Mapping[str, float] = {
    "s": 1, "sec": 1, "seconds": 1, "sek": 1, "ms": 1e-3, "us": 1e-6, "µs": 1e-6,
}  # fmt: skip
_SLOWEST = 10  # Hz below which times without a unit are not taken for seconds
_FASTEST = 5000  # Hz above which times without a unit are not taken for seconds
_TICKS = (1e3, 1e6, 1 / 60, 1 / 3600)  # ms, µs, minutes and hours in a second
_GAP = 1.5  # sample steps above which the time between two samples is a gap
_HALF = 0.5  # sample steps by which a sample may be early or late
_DIGITS = 4  # most decimal digits of a rate in Hz that is found from times
_FINEST = 1e-6  # smallest step in seconds to which times are taken to be rounded
_HEAD = 1 << 16  # bytes of a file's start by which a recording is recognised
_ROWS = 50  # rows by which a recording is recognised
_FEWEST = 16  # rows of a recording, and numbered columns of a table of segments


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
    names = _columns_of(path, form)
    if all(re.fullmatch("[-+0-9.,eE ]+", name) for name in names):
        raise DataError(f"{path} line 1: numbers; expected the names of the columns; add them")
    time = time_of(names, settings)
    keys = {key: name for key in _KEYS if (name := getattr(settings, key)) in names}
    columns = [n for n in names if n.strip() and n != time and n not in keys.values()]
    if time is not None and time not in names:
        raise DataError(f"{path}: no column '{time}' (found: {few(names)}); correct time")
    if not columns:
        raise DataError(f"{path}: no channel (found: {few(names)}); expected a column for each")
    if time is None and settings.rate is None:
        raise SettingError(
            f"{path}: no column of the time (found: {few(names)}), so the sampling rate is "
            "unknown; name the column with --time, or give --rate, in Hz"
        )
    # Without such columns the first channel is read, for the number of rows.
    texts = _texts(path, [*keys.values()] if time is None else [time, *keys.values()], form)
    texts = texts or _texts(path, columns[:1], form)
    n_times = len(next(iter(texts.values())))
    if not n_times:
        raise DataError(f"{path}: no row below the header; expected a row for each sample")
    for key, column in keys.items():
        if "" in texts[column]:
            raise DataError(
                f"{path} row {texts[column].index('') + 1}: nothing in column {column}; expected "
                f"the {key} of each row"
            )
    sfreq = settings.rate or 0.0
    pieces: tuple[Piece, ...] = (Piece(0, n_times, 0.0),)
    if time is not None:
        times = _seconds(path, time, texts[time], form, settings.rate)
        sfreq, pieces = _pieces_of(path, times, settings.rate)
    label = keys.pop("label", None)
    annotations: list[Event] = []
    if label is not None:
        onsets = np.concatenate([start + np.arange(b - a) / sfreq for a, b, start in pieces])
        annotations = of_samples(onsets, 1 / sfreq, texts[label])
    channels = [parted(name) for name in columns]
    return SampledFile(
        path=path,
        labels=tuple(name for name, _ in channels),
        units=tuple(unit or settings.unit or "µV" for _, unit in channels),
        sfreq=sfreq,
        pieces=pieces,
        reader=partial(_reader, path, columns, form),
        annotations=tuple(annotations),
        attributes={key: _one(path, key, texts[column]) for key, column in keys.items()},
        labelled=label is not None,
        assumed=settings.unit is None and any(not unit for _, unit in channels),
    )


def _reader(path: Path, columns: Sequence[str], form: Format, signals: Sequence[int]) -> Reader:
    """Return a function that reads some columns: all rows once, when it is first called."""
    names = [columns[signal] for signal in signals]

    @cache
    def samples() -> NDArray[np.float64]:
        batches = segment_tables.batches(path, names, (), form)
        parts = [
            np.stack([segment_tables.numbers_of(batch[name]) for name in names])
            for batch in batches
        ]
        return np.concatenate(parts, axis=1)

    return lambda first, last: samples()[:, first:last]


def _texts(path: Path, columns: Sequence[str], form: Format) -> dict[str, list[str]]:
    texts: dict[str, list[str]] = {column: [] for column in columns}
    if texts:
        for batch in segment_tables.batches(path, [*texts], texts, form):
            for column in texts:
                texts[column] += segment_tables.as_texts(batch[column].to_pylist())
    return texts


class CsvStart(NamedTuple):
    """The facts that the start of a csv file shows."""

    header: bytes  # its first line; empty if it is longer than the start
    is_timed: bool  # a column has the name of a time
    is_recorded: bool  # the first rows are samples: in equal steps, or all numbers
    lists_files: bool  # a column has the name of a column of files, and none of a time


def start_of(path: Path) -> CsvStart:
    """Look at the start of a file, once while the file stays as it is."""
    state = path.stat()
    return _start_of(path, state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=10_000)
def _start_of(path: Path, _size: int, _changed: int) -> CsvStart:
    head = _head(path)
    names, rows, form = _rows_of(head)
    is_timed = time_of(names) is not None
    line, end, _ = head.partition(b"\n")
    return CsvStart(
        header=line if end else b"",
        is_timed=is_timed,
        is_recorded=_are_samples(path, names, rows, form),
        lists_files=not is_timed and any(name.strip().lower() in FILE for name in names),
    )


def _head(path: Path) -> bytes:
    with suppress(SequelaError), opened(path, EXPECTED) as stream:
        return stream.read(_HEAD)
    return b""


def _columns_of(path: Path, form: Format) -> list[str]:
    """Return the names of the columns, from the start of the file if that was read."""
    with suppress(UnicodeError, csv.Error):
        line = start_of(path).header.decode("utf-8-sig" if form.is_utf8 else form.encoding)
        if line and line.count(form.quote) % 2 == 0:  # else it goes on in the next line
            reader = csv.reader([line], delimiter=form.separator, quotechar=form.quote)
            return segment_tables.checked_names(path, next(reader), form)
    return segment_tables.columns_of(path, form)[0]


def first_rows(path: Path) -> tuple[list[str], list[list[str]], Format]:
    """Return the header, whole first rows, and the probable form of a csv file."""
    return _rows_of(_head(path))


def _rows_of(head: bytes) -> tuple[list[str], list[list[str]], Format]:
    lines = head.decode("latin-1").splitlines()[: _ROWS + 2] or [""]
    separator = max(SEPARATORS, key=lines[0].count)
    names, *rows = csv.reader((line.replace('"', "") for line in lines), delimiter=separator)
    marked = separator != "," and re.search("[0-9],[0-9]", "".join(lines[1:]))
    complete = [row for row in rows[:-1] if len(row) == len(names)]  # the last may be cut
    decimal = "," if marked else "."
    return names, complete, Format.of((f"separator={separator}", f"decimal={decimal}"))


def small_table(
    place: Path, encoding: str = PLAIN.encoding
) -> tuple[list[str], list[tuple[str, dict[str, str]]], Format]:
    """Read a table next to recordings: its columns, the place and cells of each row, its form."""
    form = replace(first_rows(place)[2], encoding=encoding)
    if ".tsv" in place.name.lower():
        form = replace(form, separator="\t")
    lines = []
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
            lines.append((where, dict(zip(names, map(str.strip, fields), strict=True))))
    return names, lines, form


def _are_samples(
    path: Path, names: Sequence[str], rows: Sequence[Sequence[str]], form: Format
) -> bool:
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
    cells = (form.plain(cell, "number") for cell in chain.from_iterable(rows))
    return numbered < _FEWEST and not any(map(_ID.search, names)) and all(map(is_number, cells))


def _one(path: Path, key: str, values: Sequence[str]) -> str:
    """Return the one value of a column about the whole recording."""
    if len(several := {*values}) > 1:
        raise DataError(
            f"{path}: its rows are of {len(several)} {key}s; expected one recording in a file"
        )
    return values[0]


def _seconds(
    path: Path, column: str, texts: Sequence[str], form: Format, rate: float | None
) -> NDArray[np.float64]:
    """Return times in seconds, from numbers with a unit in the header, or dates and times."""
    unit = parted(column)[1].lower()
    if unit and unit not in _SECONDS:
        raise DataError(f"{path}: column '{column}' is in '{unit}'; expected s, ms or µs")
    plain = [form.plain(text, "number") for text in texts] if form.decimal == "," else texts
    if is_number(plain[0]):
        times = _converted(plain, "float64")
    else:
        moments = _converted(
            [form.plain(text, "time").replace(",", ".") for text in texts], "datetime64[us]"
        )
        times, unit = (moments - moments[0]) / np.timedelta64(1, "s"), "s"
    if len(bad := np.flatnonzero(~np.isfinite(times))):
        raise DataError(
            f"{path} row {bad[0] + 1}: a time of the form {form_of(texts[bad[0]])}; expected a "
            f"number with the decimal mark '{form.decimal}', or a date and time such as "
            f"2026-01-31 10:00:00.004; {REMEDY}"
        )
    if len(times) == 1 and rate is None:
        raise DataError(f"{path}: one row; expected several, or the rate with --rate")
    step = float(np.median(np.diff(times))) if len(times) > 1 else 1.0
    if unit:
        return times * _SECONDS[unit]
    if rate is not None:  # it states the unit
        return times / next((s for s in _TICKS if abs(step * rate / s - 1) < 0.1), 1)  # noqa: PLR2004
    if not 1 / _FASTEST <= step <= 1 / _SLOWEST:
        raise DataError(
            f"{path}: column '{column}' rises by {step:g} a row, and no unit is given; expected "
            f"seconds, at {_SLOWEST} to {_FASTEST:,} Hz; write it as in 'time [ms]', or give "
            "--rate, in Hz, which also shows minutes and hours"
        )
    return times


def _converted(texts: Sequence[str], kind: Literal["float64", "datetime64[us]"]) -> NDArray[Any]:
    """Convert texts to numbers or times; others are missing."""
    try:
        return np.array(texts, kind)
    except ValueError:
        if len(texts) == 1:
            return np.array(["nan" if kind == "float64" else "NaT"], kind)
        half = len(texts) // 2
        return np.concatenate([_converted(part, kind) for part in (texts[:half], texts[half:])])


def _pieces_of(
    path: Path, times: NDArray[np.float64], rate: float | None
) -> tuple[float, tuple[Piece, ...]]:
    """Find the rate in Hz and the pieces without a gap in times of samples, in seconds.

    Raises:
        DataError: At the first row whose time is off by half a sample and does not begin a piece.
    """
    steps = np.diff(times)
    if (steps <= 0).any():
        row = int(np.flatnonzero(steps <= 0)[0]) + 2
        raise DataError(
            f"{path} row {row}: its time is not after the time of the row before; expected rising "
            f"times; {REMEDY}"
        )
    # The rate is that of the longest piece, where rounded times are most exact together.
    step = 1 / rate if rate else float(np.median(steps)) if len(steps) else 1.0
    bounds = [0, *(np.flatnonzero(steps > _GAP * step) + 1).tolist(), len(times)]
    parts = [*pairwise(bounds)]
    first, last = max(parts, key=lambda part: part[1] - part[0])
    sfreq = rate or _rate(times[first:last])
    for a, b in parts:
        off = np.abs(times[a:b] - times[a] - np.arange(b - a) / sfreq)
        off[1:] = np.maximum(off[1:], np.abs(steps[a : b - 1] - 1 / sfreq))
        uneven = np.flatnonzero(off > _HALF / sfreq)
        if len(uneven) or (b - a == 1 and len(parts) > 1):
            row = a + int(uneven[0] if len(uneven) else a == 0)
            raise DataError(
                f"{path} row {row + 1}: irregular times: {steps[row - 1]:.6g} s after the "
                f"row before; expected {1 / sfreq:.4g} s in all rows, except at gaps; resample it, "
                "or correct the times"
            )
    start = times[0]
    return sfreq, tuple(Piece(a, b, float(times[a] - start)) for a, b in parts)


def _rate(times: NDArray[np.float64]) -> float:
    """Return the rate in Hz with the fewest digits that fits times as they are rounded."""
    if len(times) == 1:
        return 1.0
    # A step between rounded times is inexact, but all times together allow only few rates. Devices
    # have rates of few digits, so the one with the fewest that explains every time is taken.
    times = times - times[0]
    sfreq = (len(times) - 1) / float(times[-1])
    ticks = (10.0**-n for n in range(7))
    tick = next((t for t in ticks if np.allclose(times / t, np.round(times / t), 0, 0.01)), _FINEST)
    at = np.arange(len(times))
    for tolerance in (tick * (1 + 1e-6), _HALF / sfreq):  # rounded times, times with a jitter
        for digits in range(_DIGITS + 1):
            near = round(sfreq, digits)
            if near and np.abs(times - at / near).max() <= tolerance:
                return near
    return sfreq
