"""Tables of segments: csv, Parquet, npy and npz files, one row a segment or one row a sample."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import chain, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sequela.config import SignalSettings
from sequela.errors import DataError, SettingError, without_values
from sequela.errors import form_of as shape_of
from sequela.formats import opened
from sequela.formats.arrays import KEYS, REMEDY, arrays_of, few, missing
from sequela.formats.csv_files import PLAIN, Format, check_separator, rows_of, utf8
from sequela.signals.stretches import Piece

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow import parquet

EXPECTED = "a csv, Parquet, npy or npz file of segments"
SUFFIXES = (".csv", ".csv.gz", ".parquet", ".npy", ".npz")
_CHANNEL = "{channel}"
_GAP = 1.5  # sample steps above which the time between two samples is a gap
_HALF = 0.5  # sample steps by which a sample may be early or late
_DIGITS = 4  # most decimal digits of a rate in Hz that is found from times
_BATCH = 1024  # rows of a Parquet file that are read at once
_FINEST = 1e-6
"""The smallest step in seconds to which times are taken to be rounded."""


@dataclass(frozen=True)
class Rows:
    """Some rows of a table.

    Attributes:
        first: Number of the first, from 1.
        texts: For each key of the declaration that names a column: its text in each row.
        signal: For each row, (n_chans, n_times), as in the file; for a table of one row a sample,
            one array (row, n_chans).
    """

    first: int
    texts: Mapping[str, Sequence[str]]
    signal: Sequence[NDArray[np.float64]] | NDArray[np.float64]


@dataclass(frozen=True)
class Layout:
    """The place of the samples in a table.

    Attributes:
        channels: Names of the channels.
        columns: Columns of each channel: one a sample, or one that holds a list or a sample.
        long: Whether a row is one sample.
    """

    channels: tuple[str, ...]
    columns: tuple[tuple[str, ...], ...]
    long: bool


def is_table(path: Path) -> bool:
    """Return whether a file has the name of a table."""
    return path.name.lower().endswith(SUFFIXES)


def layout_of(path: Path, settings: SignalSettings) -> Layout:
    """Find the samples, by the names and types of the columns and the declaration."""
    if path.suffix.lower() in {".npy", ".npz"}:
        n_chans = _arrays(path, settings)["signal"].shape[1]
        names = settings.channels or tuple(f"channel {n}" for n in range(1, n_chans + 1))
        if len(names) != n_chans:
            raise DataError(
                f"{path}: {n_chans} channels, and {len(names)} names for them: expected one each; "
                "correct channels"
            )
        return Layout(names, (), long=False)
    columns, lists = columns_of(path, Format.of(settings.format))
    keys = _keys(settings)
    for key, column in keys.items():
        if column not in columns:
            raise missing(path, column, columns, key)
    others = [column for column in columns if column not in keys.values()]
    if settings.samples:
        return _by_pattern(path, settings, others)
    free = [column for column in others if column in lists]
    long = not free and settings.time is not None
    if not settings.channels and not free:
        raise SettingError(
            f"{path}: the columns of the samples are unknown (found: {few(columns)}); name "
            "them with --samples, such as 'X*', or with --channels"
        )
    channels = settings.channels or tuple(free)
    for channel in channels:
        if channel not in columns:
            raise missing(path, channel, columns, "channels")
        if not long and channel not in lists:
            raise DataError(
                f"{path}: column '{channel}' holds one sample a row: expected a list a row, or the "
                "column of each sample's time with --time"
            )
    return Layout(channels, tuple((channel,) for channel in channels), long)


def _keys(settings: SignalSettings) -> dict[str, str]:
    """Return the columns that are not samples, by key of the declaration."""
    return {key: column for key in KEYS if (column := getattr(settings, key)) is not None}


def _arrays(path: Path, settings: SignalSettings) -> dict[str, NDArray[Any]]:
    """Read the arrays of an npy or npz file by key; ``signal`` is (row, n_chans, n_times)."""
    arrays = arrays_of(path, settings)
    signal = arrays["signal"]
    if not signal.shape[1:-1]:  # one channel
        arrays["signal"] = signal[:, np.newaxis]
    return arrays


def _by_pattern(path: Path, settings: SignalSettings, names: Sequence[str]) -> Layout:
    pattern = settings.samples or ""
    if _CHANNEL not in pattern and len(settings.channels) > 1:
        raise SettingError(
            f"samples is '{pattern}' and there are {len(settings.channels)} channels: expected "
            f"'{_CHANNEL}' in it, such as '{_CHANNEL}_*', or one channel"
        )
    channels = settings.channels or ("signal",)
    if _CHANNEL in pattern and not settings.channels:
        raise SettingError(
            f"samples is '{pattern}' and no channel is named: name them with --channels"
        )
    columns = []
    for channel in channels:
        own_pattern = pattern.replace(_CHANNEL, channel)
        samples = [name for name in names if fnmatchcase(name, own_pattern)]
        if not samples:
            raise DataError(
                f"{path}: no column is named '{own_pattern}' (found: {few(names)}); correct samples"
            )
        if all(re.search("[0-9]", name.removeprefix(channel)) for name in samples):
            samples.sort(key=lambda name: int(re.findall("[0-9]+", name)[-1]))
        columns.append(tuple(samples))
    lengths = {len(samples) for samples in columns}
    if len(lengths) > 1:
        raise DataError(
            f"{path}: the channels have {min(lengths)} to {max(lengths)} columns of samples: "
            "expected as many each; correct samples or channels"
        )
    return Layout(channels, tuple(columns), long=False)


def columns_of(path: Path, form: Format = PLAIN) -> tuple[list[str], set[str]]:
    """Return the names of the columns of a csv or Parquet file, and those that hold lists."""
    if not path.name.lower().endswith(".parquet"):
        with rows_of(path, form) as rows:
            return checked_names(path, next(rows, []), form), set()
    import pyarrow as pa

    with _parquet(path) as file:
        schema = file.schema_arrow
    kinds = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    lists = {column.name for column in schema if any(kind(column.type) for kind in kinds)}
    return schema.names, lists


def checked_names(path: Path, names: list[str], form: Format) -> list[str]:
    """Return the names of the columns of a csv file, or raise a DataError if they are not."""
    check_separator(path, names, form.separator)
    for name in names:
        if names.count(name) > 1:
            raise DataError(f"{path}: line 1 names the column '{name}' twice; expected it once")
    return names


@contextmanager
def _parquet(path: Path) -> "Iterator[parquet.ParquetFile]":
    import pyarrow as pa
    from pyarrow import parquet

    with opened.opened(path, "a Parquet file", REMEDY):
        pass  # a regular file
    try:
        with parquet.ParquetFile(path, pre_buffer=False) as file:  # holds the data already read
            yield file
    except (pa.ArrowException, OSError) as error:
        raise DataError(
            f"{path} cannot be read ({' '.join(str(error).split())[:200]}): expected a Parquet "
            f"file; {REMEDY}"
        ) from error


def rows(path: Path, settings: SignalSettings, layout: Layout) -> Iterator[Rows]:
    """Yield all rows of a table, some at a time."""
    if path.suffix.lower() in {".npy", ".npz"}:
        arrays = _arrays(path, settings)
        signal = arrays.pop("signal").astype(np.float64, copy=False)
        texts = {key: as_texts(array.tolist()) for key, array in arrays.items()}
        yield Rows(1, texts, list(signal))
        return
    keys, first, form = _keys(settings), 1, Format.of(settings.format)
    columns = dict.fromkeys([*keys.values(), *chain.from_iterable(layout.columns)])
    for batch in batches(path, [*columns], keys.values(), form):
        texts = {key: as_texts(batch[column].to_pylist()) for key, column in keys.items()}
        yield Rows(first, texts, _signals(path, batch, layout, first))
        first += batch.num_rows


def n_rows_of(path: Path) -> int | None:
    """Return the number of rows of a Parquet file; ``None`` for other files."""
    if not path.name.lower().endswith(".parquet"):
        return None
    with _parquet(path) as file:
        return int(file.metadata.num_rows)


def batches(
    path: Path, columns: Sequence[str], texts: Collection[str], form: Format = PLAIN
) -> Iterator["pa.Table"]:
    """Yield columns of a csv or Parquet file, some rows at a time; in csv, others are numbers."""
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    if path.name.lower().endswith(".parquet"):
        with _parquet(path) as file:
            for batch in file.iter_batches(batch_size=_BATCH, columns=[*columns]):
                yield pa.Table.from_batches([batch])
        return

    types = {name: pa.string() if name in texts else pa.float64() for name in columns}
    try:
        with (
            utf8(path, EXPECTED, form) as stream,
            arrow_csv.open_csv(
                stream,
                arrow_csv.ReadOptions(use_threads=False),
                arrow_csv.ParseOptions(delimiter=form.separator, quote_char=form.quote),
                arrow_csv.ConvertOptions(
                    decimal_point=form.decimal,
                    column_types=types,
                    include_columns=[*columns],
                    null_values=["", "NA", "NaN", "nan"],
                    strings_can_be_null=False,
                ),
            ) as reader,
        ):
            for batch in reader:
                yield pa.Table.from_batches([batch])
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, DataError):
            raise
        raise _first_fault(path, columns, texts, form, str(error)) from None


def _first_fault(
    path: Path, columns: Collection[str], texts: Collection[str], form: Format, reason: str
) -> DataError:
    """Find the first error in a csv file, slowly, line by line."""
    mark = "comma" if form.decimal == "," else "point"
    with rows_of(path, form) as lines:
        names = next(lines)
        for fields in lines:
            place = f"{path} line {lines.line_num}"
            if fields and len(fields) != len(names):
                return DataError(
                    f"{place}: {len(fields)} fields; expected {len(names)}, as the header has; "
                    f"{REMEDY}"
                )
            for name, written in zip(names, fields, strict=False):
                number = form.plain(written, "number")
                if name in columns and name not in texts and not is_number(number):
                    return DataError(
                        f"{place}: column {name} holds a value of the form "
                        f"{shape_of(written)}; expected a number, with a {mark}; {REMEDY}"
                    )
    return DataError(
        f"{path} cannot be read ({without_values(reason)}): expected {EXPECTED}; {REMEDY}"
    )


def is_number(written: str) -> bool:
    """Return whether a text is a number, or empty."""
    try:
        float(written or "nan")
    except ValueError:
        return False
    return True


def as_texts(values: Iterable[object]) -> list[str]:
    """Return values as text; whole numbers without a point; missing ones empty."""
    return [
        ""
        if value is None
        else str(int(value))
        if isinstance(value, float) and value.is_integer()
        else str(value).strip()
        for value in values
    ]


def _signals(
    path: Path, batch: "pa.Table", layout: Layout, first: int
) -> Sequence[NDArray[np.float64]] | NDArray[np.float64]:
    """Return for each row (n_chans, n_times); for one row a sample, (row, n_chans)."""
    import pyarrow as pa

    # For each channel its samples of each row: (row, n_times), or a list of arrays (n_times,).
    of_channel: list[NDArray[np.float64] | list[NDArray[np.float64]]] = []
    for channel, columns in zip(layout.channels, layout.columns, strict=True):
        if len(columns) == 1 and pa.types.is_nested(batch[columns[0]].type):
            of_channel.append(_lists(path, channel, batch[columns[0]], first))
            continue
        try:
            arrays = [batch[name].cast(pa.float64()).to_numpy() for name in columns]
        except pa.ArrowException as error:
            raise DataError(
                f"{path}: column {columns[0]} holds {batch[columns[0]].type}; expected numbers; "
                f"{REMEDY}"
            ) from error
        of_channel.append(np.column_stack(arrays))
    if layout.long:
        return np.hstack(of_channel)
    signals = []
    for row, channels in enumerate(zip(*of_channel, strict=True)):
        lengths = {len(samples) for samples in channels}
        if len(lengths) > 1:
            raise DataError(
                f"{path} row {first + row}: the channels have {min(lengths)} to {max(lengths)} "
                f"samples; expected as many each; {REMEDY}"
            )
        signals.append(np.array(channels, np.float64))
    return signals


def _lists(
    path: Path, channel: str, column: "pa.ChunkedArray", first: int
) -> list[NDArray[np.float64]]:
    """Return the samples of a column of lists, for each row (n_times,)."""
    import pyarrow as pa

    array = column.combine_chunks()
    if isinstance(array, pa.ChunkedArray):  # no chunks
        return []
    if array.null_count:
        row = array.is_null().to_pylist().index(True)
        raise DataError(
            f"{path} row {first + row}: column {channel} holds nothing; expected a list of "
            f"samples; {REMEDY}"
        )
    try:
        values = array.flatten().cast(pa.float64()).to_numpy(zero_copy_only=False)
    except pa.ArrowException as error:
        raise DataError(
            f"{path}: column {channel} holds {array.type}; expected lists of numbers; {REMEDY}"
        ) from error
    lengths = array.value_lengths().to_numpy(zero_copy_only=False).astype(np.int64)
    return np.split(values, np.cumsum(lengths)[:-1])


def texts_of(path: Path, column: str, form: Format = PLAIN) -> Iterator[str]:
    """Yield the values of a column of a csv or Parquet file, as text."""
    for batch in batches(path, [column], {column}, form):
        yield from as_texts(batch[column].to_pylist())


def times_of(texts: Sequence[str], path: Path, first: int, settings: SignalSettings) -> list[float]:
    """Parse times in seconds."""
    times, form = [], Format.of(settings.format)
    for row, text in enumerate(texts):
        try:
            times.append(float(form.plain(text, "number")))
        except ValueError:
            times.append(np.nan)
        if not np.isfinite(times[-1]):
            raise DataError(
                f"{path} row {first + row}: a time of the form {shape_of(text)}; expected "
                f"seconds, as a number with a point; {REMEDY}"
            )
    return times


def pieces_of(
    path: Path, times: NDArray[np.float64], rate: float | None, first_row: int = 1
) -> tuple[float, tuple[Piece, ...]]:
    """Find the rate in Hz and the pieces without a gap in times of samples, in seconds.

    Raises:
        DataError: At the first row whose time is off by half a sample and does not begin a piece.
    """
    steps = np.diff(times)
    if (steps <= 0).any():
        row = int(np.flatnonzero(steps <= 0)[0]) + 1 + first_row
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
                f"{path} row {row + first_row}: irregular times: {steps[row - 1]:.6g} s after the "
                f"row before; expected {1 / sfreq:.4g} s in all rows, except at gaps; resample it, "
                "or correct the times"
            )
    start = times[0]
    return sfreq, tuple(Piece(a, b, float(times[a] - start)) for a, b in parts)


def _rate(times: NDArray[np.float64]) -> float:
    """Return the rate in Hz with the fewest digits that fits times as they are rounded."""
    if len(times) == 1:
        return 1.0
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
