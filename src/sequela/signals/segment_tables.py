"""Tables of segments: csv, Parquet, npy and npz files with one row a segment.

A table is a source of stretches: each row is one.
"""

import hashlib
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from itertools import chain, repeat
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sequela.config import SignalSettings
from sequela.errors import DataError, DataNotFoundError, SettingError, without_values
from sequela.errors import form_of as shape_of
from sequela.formats import opened
from sequela.formats.arrays import KEYS, REMEDY, Array, arrays_of, few, missing
from sequela.formats.csv_files import PLAIN, Format, check_separator, rows_of, utf8
from sequela.signals.channels import Montage, to_microvolts
from sequela.signals.stretches import RecordingIds, Stretch, no_subjects
from sequela.signals.window_classes import Classes

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow import parquet

EXPECTED = "a csv, Parquet, npy or npz file of segments"
SUFFIXES = (".csv", ".csv.gz", ".parquet", ".npy", ".npz")
_CHANNEL = "{channel}"
_BATCH = 1024  # rows of a Parquet file that are read at once
_REPORTED = 1000  # number of rows between reports of progress


@dataclass(frozen=True)
class SegmentRows:
    """Some rows of a table."""

    first: int  # number of the first row, from 1
    texts: Mapping[str, Sequence[str]]  # text in each row, by key of the declaration
    signal: Sequence[NDArray[np.float64]]  # for each row, (n_chans, n_times), as in the file


@dataclass(frozen=True)
class Layout:
    """The place of the samples in a table."""

    channels: tuple[str, ...]
    columns: tuple[tuple[str, ...], ...]  # of each channel: one a sample, or one that holds lists


def is_table(path: Path) -> bool:
    """Return whether a file has the name of a table."""
    return path.name.lower().endswith(SUFFIXES)


def table_of(path: Path) -> Path:
    """Return the one table at a path."""
    if path.is_file():
        if is_table(path):
            return path
        raise DataError(f"{path}: expected {EXPECTED}, by its name; name another --root")
    if not path.is_dir():
        raise DataNotFoundError(f"{path} does not exist: expected {EXPECTED}")
    files = sorted(file for file in path.iterdir() if is_table(file))
    if len(files) != 1:
        names = ", ".join(file.name for file in files[:8]) or "none"
        raise DataError(
            f"{path}: found {names}; expected one table of segments; name it with --root, or give "
            "--time or --rate if each csv file is a recording"
        )
    return files[0]


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
        return Layout(names, ())
    columns, lists = columns_of(path, Format.of(settings.format))
    keys = _keys(settings)
    for key, column in keys.items():
        if column not in columns:
            raise missing(path, column, columns, key)
    rest = [column for column in columns if column not in keys.values()]
    if settings.samples:
        return _by_pattern(path, settings, rest)
    free = [column for column in rest if column in lists]
    if not settings.channels and not free:
        raise SettingError(
            f"{path}: the columns of the samples are unknown (found: {few(columns)}); name "
            "them with --samples, such as 'X*', or with --channels"
        )
    channels = settings.channels or tuple(free)
    for channel in channels:
        if channel not in columns:
            raise missing(path, channel, columns, "channels")
        if channel not in lists:
            raise DataError(
                f"{path}: column '{channel}' holds one sample a row: expected a list a row; write "
                "each recording with one row a sample to a csv file in one folder"
            )
    return Layout(channels, tuple((channel,) for channel in channels))


def _keys(settings: SignalSettings) -> dict[str, str]:
    """Return the columns that are not samples, by key of the declaration."""
    return {key: column for key in KEYS if (column := getattr(settings, key)) is not None}


def _arrays(path: Path, settings: SignalSettings) -> dict[str, Array]:
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
    return Layout(channels, tuple(columns))


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


def rows_of_table(path: Path, settings: SignalSettings, layout: Layout) -> Iterator[SegmentRows]:
    """Yield all rows of a table, some at a time."""
    if path.suffix.lower() in {".npy", ".npz"}:
        arrays = _arrays(path, settings)
        signal = arrays.pop("signal").astype(np.float64, copy=False)
        texts = {key: as_texts(array.tolist()) for key, array in arrays.items()}
        yield SegmentRows(1, texts, [*signal])
        return
    keys, first, form = _keys(settings), 1, Format.of(settings.format)
    columns = dict.fromkeys([*keys.values(), *chain.from_iterable(layout.columns)])
    for batch in batches(path, [*columns], keys.values(), form):
        texts = {key: as_texts(batch[column].to_pylist()) for key, column in keys.items()}
        yield SegmentRows(first, texts, _signals(path, batch, layout, first))
        first += batch.num_rows


def batches(
    path: Path, columns: Sequence[str], texts: Collection[str], form: Format = PLAIN
) -> Iterator["pa.RecordBatch"]:
    """Yield columns of a csv or Parquet file, some rows at a time; in csv, others are numbers."""
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    if path.name.lower().endswith(".parquet"):
        with _parquet(path) as file:
            yield from file.iter_batches(batch_size=_BATCH, columns=[*columns])
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
            yield from reader
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
    path: Path, batch: "pa.RecordBatch", layout: Layout, first: int
) -> list[NDArray[np.float64]]:
    """Return for each row (n_chans, n_times)."""
    import pyarrow as pa

    # For each channel its samples of each row: (row, n_times), or a list of arrays (n_times,).
    of_channel: list[NDArray[np.float64] | list[NDArray[np.float64]]] = []
    for channel, columns in zip(layout.channels, layout.columns, strict=True):
        if len(columns) == 1 and pa.types.is_nested(batch[columns[0]].type):
            of_channel.append(_lists(path, channel, batch[columns[0]], first))
            continue
        try:
            arrays = [numbers_of(batch[name].cast(pa.float64())) for name in columns]
        except pa.ArrowException as error:
            raise DataError(
                f"{path}: column {columns[0]} holds {batch[columns[0]].type}; expected numbers; "
                f"{REMEDY}"
            ) from error
        of_channel.append(np.column_stack(arrays))
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


def numbers_of(column: "pa.Array") -> NDArray[np.float64]:
    """Return a column of numbers, NaN where one is missing."""
    numbers: NDArray[np.float64] = column.to_numpy(zero_copy_only=False)
    return numbers


def _lists(path: Path, channel: str, array: "pa.Array", first: int) -> list[NDArray[np.float64]]:
    """Return the samples of a column of lists, for each row (n_times,)."""
    import pyarrow as pa

    if array.null_count:
        row = array.is_null().to_pylist().index(True)
        raise DataError(
            f"{path} row {first + row}: column {channel} holds nothing; expected a list of "
            f"samples; {REMEDY}"
        )
    try:
        values = numbers_of(array.flatten().cast(pa.float64()))
    except pa.ArrowException as error:
        raise DataError(
            f"{path}: column {channel} holds {array.type}; expected lists of numbers; {REMEDY}"
        ) from error
    lengths = array.value_lengths().to_numpy(zero_copy_only=False).astype(np.int64)
    return np.split(values, np.cumsum(lengths))[:-1]


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


@dataclass
class SegmentTable:
    """A table of segments, whose rows become stretches."""

    path: Path
    settings: SignalSettings
    labelled: bool = True  # False if the classes of its rows are ignored
    refuse: Callable[[str, str], None] | None = None
    """Receives the place of a row without an id, and the reason; by default it is an error."""
    _numbers: dict[str, int] = field(default_factory=dict)
    _n_omitted: int = 0

    def __post_init__(self) -> None:
        settings = self.settings
        self._layout = layout_of(self.path, settings)
        self._classes = Classes.of(settings) if settings.classes else None
        self._scale = to_microvolts(settings.unit or "µV") or 1.0
        channels, reference = self._layout.channels, settings.reference
        self._montage = Montage(channels, channels, str(self.path), reference)
        if self.labelled and settings.label is None:
            raise SettingError(
                f"{self.path}: the class of a row is unknown; name its column with --label"
            )

    @property
    def channels(self) -> Sequence[str]:
        """The names of the channels that are read."""
        return self._montage.names

    def notes(self, processing: Sequence[str]) -> list[str]:
        """Return sentences on the data, with those on their processing in their place."""
        settings, notes = self.settings, [*self.settings.in_words]
        if settings.unit is None:
            notes.append("no unit is declared: the samples are assumed to be in µV")
        if settings.subject is None:
            notes.append(no_subjects(settings.independent))
        if settings.recording is None and settings.id is None:
            notes.append("no recording is declared: each row is a separate recording")
        notes += processing
        if self._n_omitted:
            notes.append(f"{self._n_omitted:,} rows of classes to omit are left out")
        return notes

    def classes_of_numbers(self) -> tuple[tuple[str, ...], NDArray[np.int64]]:
        """Return the names of the classes, and the class of each label, numbered as they came."""
        classes = Classes.of(self.settings, list(self._numbers))
        numbers = [classes.numbers[label] for label in self._numbers]
        return classes.names, np.array(numbers, np.int64)

    def stretches(self, report: Callable[[float | None], None]) -> Iterator[Stretch]:
        """Yield rows, which are segments, one after the other."""
        settings = self.settings
        if settings.rate is None:
            raise SettingError(f"{self.path}: the sampling rate is unknown; give --rate, in Hz")
        has_id = bool(settings.id or settings.recording)
        for rows in rows_of_table(self.path, settings, self._layout):
            starts: Iterable[float] = repeat(0.0)
            if "time" in rows.texts:
                starts = times_of(rows.texts["time"], self.path, rows.first, settings)
            for n, (signal, start) in enumerate(zip(rows.signal, starts, strict=False)):
                number = rows.first + n
                if (number - 1) % _REPORTED == 0:
                    report(None)
                place = f"{self.path} row {number}"
                texts = {key: values[n] for key, values in rows.texts.items()}
                if self.labelled and texts["label"] in settings.omit:
                    self._n_omitted += 1
                    continue
                label = self._number(texts["label"], place) if self.labelled else 0
                try:
                    ids = self._ids(texts, place, "" if has_id else row_id(number, signal))
                except DataError as error:
                    if self.refuse is None:
                        raise
                    self.refuse(place, str(error).removeprefix(f"{place}: "))
                    continue
                in_microvolts = self._montage.apply(signal[self._montage.needs]) * self._scale
                yield Stretch.of_row(
                    in_microvolts, settings.rate, place, ids, label=label, offset=start
                )

    def _number(self, label: str, place: str) -> int:
        """Assign a label its number, by appearance; raise a DataError for an undeclared class."""
        if label == "" or (self._classes and label not in self._classes.numbers):
            expected = ", ".join(self._classes.numbers) if self._classes else "some class"
            raise DataError(
                f"{place}: class '{label[:80]}' in column {self.settings.label}; expected "
                f"{expected}; name it in classes, or leave it out with --omit"
            )
        return self._numbers.setdefault(label, len(self._numbers))

    def _ids(self, texts: Mapping[str, str], place: str, otherwise: str) -> RecordingIds:
        """Return the recording of a row, with subject, site and session."""
        for key in (*RecordingIds._fields, "id"):
            if texts.get(key) == "":
                raise DataError(
                    f"{place}: nothing in column {getattr(self.settings, key)}; expected the {key} "
                    "of each row"
                )
        recording = texts.get("recording") or texts.get("id") or otherwise
        return RecordingIds(recording, *map(texts.get, ("subject", "site", "session")))


def row_id(row: int, signal: NDArray[np.float64]) -> str:
    """Return an id for a row without one that rows of other data do not have."""
    return f"row {row:07d} {hashlib.blake2b(signal.tobytes(), digest_size=4).hexdigest()}"
