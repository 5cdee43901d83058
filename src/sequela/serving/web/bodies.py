"""Bodies of requests, read into examples: JSON, binary numbers, Parquet, csv or EDF."""

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sequela.errors import DataError, SequelaError, SettingError
from sequela.files import temporary
from sequela.serving.recording import Recording
from sequela.serving.served import ServedModel
from sequela.serving.web.patients import Patient, Reader, patients_of, patients_of_rows
from sequela.sources.opened import json_value
from sequela.sources.signals.edf import EdfFile

JSON = "application/json"
BINARY = "application/octet-stream"
PARQUET = "application/vnd.apache.parquet"
CSV = "text/csv"
EDF = "application/edf"
_SHOWN = 64
_REAL = {int, float}
_COLUMNS = ("subject_id", "time", "code", "numeric_value")


@dataclass(frozen=True)
class Examples:
    """Examples to predict for.

    Attributes:
        inputs: Inputs of :meth:`sequela.serving.served.ServedModel.probabilities`.
        ids: Ids of the examples.
        notes: Sentences on the preparation of the body.
        unknown: Codes of each patient outside the vocabulary.
        patients: The patients of records.
    """

    inputs: Mapping[str, NDArray[Any]]
    ids: Sequence[str]
    notes: Sequence[str] = ()
    unknown: Sequence[Sequence[str]] = ()
    patients: Sequence[Patient] = field(default=())

    def __len__(self) -> int:
        """Return the number of examples."""
        return len(self.ids)


class Bodies:
    """Reads the bodies of requests to one model.

    Args:
        model: The model.
        most: The most examples of a request.
        longest: The most samples of a channel, or visits of a patient.
        numbers: The most numbers of a request, and bytes of a table, after unpacking and padding:
            a small body may expand.
    """

    def __init__(self, model: ServedModel, *, most: int, longest: int, numbers: int) -> None:
        self.model, self.most, self.longest, self.numbers = model, most, longest, numbers
        self._reader = None if model.about["kind"] == "signal" else Reader(model, numbers)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The supported media types."""
        return (JSON, PARQUET, CSV) if self._reader else (JSON, BINARY, PARQUET, CSV, EDF)

    def read(self, kind: str, body: bytes, said: Mapping[str, str]) -> Examples:
        """Read the examples of a body.

        Args:
            kind: Its media type, one of :attr:`kinds`.
            body: Its bytes.
            said: ``sfreq`` and ``unit`` of a signal whose file lacks them.

        Raises:
            DataError: If the body does not fit its type or the model.
            SettingError: If it is too large, or its unit, rate or channels differ.
        """
        if not body:
            raise DataError("the body is empty: expected at least one example")
        found = self._records(kind, body) if self._reader else self._signals(kind, body, said)
        if len(found) > self.most:
            raise SettingError(
                f"the body has {len(found):,} examples: expected {self.most:,} at most; send "
                "several requests"
            )
        if not len(found):
            raise DataError("the body has no example: expected at least one")
        return found

    def _records(self, kind: str, body: bytes) -> Examples:
        if kind == JSON:
            said = _value(body)
            several = isinstance(said, dict) and "patients" in said
            patients = patients_of(said["patients"] if several else [said])
        else:
            patients = patients_of_rows(self._rows(kind, body))
        longest = max((len(each.visits) for each in patients), default=0)
        if longest > self.longest or len(patients) > self.most:
            raise SettingError(
                f"{len(patients):,} patients with up to {longest:,} visits: expected {self.most:,} "
                f"and {self.longest:,} at most"
            )
        if self._reader is None or not patients:
            raise DataError("the body has no patient: expected at least one")
        inputs, unknown = self._reader.inputs(patients)
        ids = [each.id or str(place) for place, each in enumerate(patients, 1)]
        return Examples(inputs, ids, (), unknown, patients)

    def read_patients(self, patients: Sequence[Patient]) -> Mapping[str, NDArray[Any]]:
        """Return the inputs of the model for patients."""
        if self._reader is None:
            raise SettingError("the model reads signals, not patients")
        return self._reader.inputs(patients)[0]

    def _signals(self, kind: str, body: bytes, said: Mapping[str, str]) -> Examples:
        readers: dict[str, Callable[[bytes, Mapping[str, str]], Examples]] = {
            JSON: self._of_json,
            BINARY: self._of_numbers,
            PARQUET: self._of_parquet,
            CSV: self._of_csv,
            EDF: self._of_edf,
        }
        return readers[kind](body, said)

    @property
    def _n_chans(self) -> int:
        return int(self.model.about["signal"]["n_chans"])

    @property
    def _n_times(self) -> int:
        return int(self.model.about["signal"]["n_times"])

    def _check(self, said: Mapping[str, Any], channels: int, names: Sequence[str] = ()) -> None:
        """Check the unit, rate and channels of a request."""
        signal = self.model.about["signal"]
        for name in ("sfreq", "unit"):
            if said.get(name) in (None, ""):
                raise SettingError(
                    f"the {name} of the signal is missing: expected {name}={signal[name]}"
                )
        try:
            sfreq = float(said["sfreq"])
        except (TypeError, ValueError) as error:
            raise SettingError("sfreq is not a number: expected samples per second") from error
        self.model.check_signal(
            unit=str(said["unit"]), sfreq=sfreq, n_chans=channels, channels=names
        )

    def _examples(self, arrays: Sequence[NDArray[Any]], ids: Sequence[str]) -> Examples:
        """Make examples of arrays (channel, sample), of several lengths if the model allows it."""
        lengths = np.array([each.shape[1] for each in arrays], np.int64)
        if lengths.max(initial=0) > self.longest:
            raise SettingError(
                f"a segment has {lengths.max():,} samples: expected {self.longest:,} at most"
            )
        if len(arrays) * self._n_chans * lengths.max(initial=0) > self.numbers:
            raise SettingError(
                f"{len(arrays):,} segments of up to {lengths.max():,} samples: expected "
                f"{self.numbers:,} numbers at most after padding; send long segments alone"
            )
        whole = np.zeros((len(arrays), self._n_chans, int(lengths.max(initial=0))), np.float32)
        for row, each in enumerate(arrays):
            whole[row, :, : each.shape[1]] = each
        inputs: dict[str, NDArray[Any]] = {"signal": whole}
        if "lengths" in self.model.inputs:
            inputs["lengths"] = lengths
        elif len(set(lengths.tolist())) > 1 or lengths[0] != self._n_times:
            raise DataError(
                f"segments have {lengths.min()} to {lengths.max()} samples: expected "
                f"{self._n_times} of each channel"
            )
        return Examples(inputs, ids)

    def _of_json(self, body: bytes, _: Mapping[str, str]) -> Examples:
        said = _value(body)
        if not isinstance(said, dict) or not ({"signal", "examples"} & set(said)):
            raise DataError("the JSON has no signal: expected {signal, sfreq, unit}")
        each = said.get("examples", [said])
        if not isinstance(each, list) or not each or len(each) > self.most:
            raise DataError(f"examples must be a list of 1 to {self.most:,} objects")
        if not all(isinstance(one, dict) and "signal" in one for one in each):
            raise DataError("an example is not an object with a signal: expected {signal, id}")
        arrays = [self._array(one["signal"]) for one in each]
        self._check(said, arrays[0].shape[0])
        ids = [str(one.get("id") or place) for place, one in enumerate(each, 1)]
        return self._examples(arrays, ids)

    def _array(self, said: Any) -> NDArray[np.float32]:
        """Convert nested lists to float32 (channel, sample)."""
        rows = said if isinstance(said, list) and said and isinstance(said[0], list) else [said]
        # Checked before numpy, which gives each text of a list as much room as the longest.
        if not all(isinstance(row, list) and row and set(map(type, row)) <= _REAL for row in rows):
            raise DataError("a signal is not a list of numbers or of channels: expected one")
        if len(set(map(len, rows))) > 1:
            raise DataError("a signal has channels of several lengths: expected one")
        try:
            found = np.array(rows, np.float64)
        except OverflowError:
            found = np.full((1, 1), np.inf)
        if not np.all(np.abs(found) <= np.finfo(np.float32).max):  # NaN is not either
            raise DataError("a signal has a number beyond 3.4e38 or NaN: send µV")
        return found.astype(np.float32)

    def _of_numbers(self, body: bytes, said: Mapping[str, str]) -> Examples:
        """Read little-endian float32, example after example, channel after channel."""
        self._check(said, self._n_chans)
        size = 4 * self._n_chans * self._n_times
        if len(body) % size:
            raise DataError(
                f"the body has {len(body):,} bytes: expected a multiple of {size:,}, which are "
                f"{self._n_chans} × {self._n_times} numbers of 4 bytes (little-endian float32)"  # noqa: RUF001
            )
        whole = np.frombuffer(body, "<f4").reshape(-1, self._n_chans, self._n_times)
        inputs: dict[str, NDArray[Any]] = {"signal": whole}
        if "lengths" in self.model.inputs:
            inputs["lengths"] = np.full(len(whole), self._n_times, np.int64)
        return Examples(inputs, _numbers(len(whole)))

    def _of_parquet(self, body: bytes, said: Mapping[str, str]) -> Examples:
        """Read a column ``signal`` of lists, channel after channel, and an optional ``id``."""
        table = self._table(body, ("id", "signal"))
        if "signal" not in table.column_names:
            raise DataError(
                "the table has no column signal: expected a list of numbers in each row"
            )
        if table.num_rows > self.most:
            raise SettingError(f"the table has {table.num_rows:,} rows: expected {self.most:,}")
        self._check(said, self._n_chans)
        arrays = []
        for row in table["signal"].to_pylist():
            flat = self._array(row if row is not None else [])
            if flat.shape[0] != 1 or flat.shape[1] % self._n_chans:
                raise DataError(f"a signal is not a list of samples of {self._n_chans} channel(s)")
            arrays.append(flat.reshape(self._n_chans, -1))
        named = "id" in table.column_names
        ids = [str(each) for each in table["id"].to_pylist()] if named else _numbers(len(arrays))
        return self._examples(arrays, ids)

    def _of_csv(self, body: bytes, said: Mapping[str, str]) -> Examples:
        """Read a column per channel; for one channel also a row per segment."""
        table, names = _numbers_of_csv(body)
        if self._n_chans == 1 and table.shape[1] == self._n_times:
            self._check(said, 1)
            return self._examples([row[None] for row in table], _numbers(len(table)))
        self._check(said, table.shape[1], names)
        return self._windows(table.T, ())

    def _of_edf(self, body: bytes, _: Mapping[str, str]) -> Examples:
        """Read an EDF or BDF file with the channels and rate of the model."""
        signal = self.model.about["signal"]
        with temporary() as folder:
            path = folder / "recording.edf"
            path.write_bytes(body)
            try:
                recording = Recording.of(EdfFile.open(path), signal, signal["channels"])
                self._check({"sfreq": signal["sfreq"], "unit": "uV"}, len(recording.names))
                self._check_count(recording.n_times)
                array = recording.read(0, recording.n_times)
            except SequelaError as error:  # without the path and the options of the command line
                said = str(error).replace(str(path), "the file").replace(" with --channels", "")
                raise DataError(said) from error
        notes = [f"{note[:1].upper()}{note[1:]}." for note in recording.notes]
        return self._windows(array, notes)

    def _check_count(self, n_times: int) -> None:
        """Check the number of segments of a recording."""
        count = n_times // self._n_times
        if not count:
            raise DataError(
                f"the recording has {n_times} samples: expected {self._n_times} or more"
            )
        if count > self.most:
            raise SettingError(
                f"the recording has {count:,} segments: expected {self.most:,} at most; use "
                "sequela scan for long recordings"
            )

    def _windows(self, array: NDArray[Any], notes: Sequence[str]) -> Examples:
        """Cut a recording (channel, sample) into consecutive segments."""
        self._check_count(array.shape[1])
        count, rest = divmod(array.shape[1], self._n_times)
        cut = array[:, : count * self._n_times].reshape(len(array), count, self._n_times)
        left = [f"Left out: {rest} samples at the end, less than a segment."] * bool(rest)
        found = self._examples(list(cut.swapaxes(0, 1).astype(np.float32)), _numbers(count))
        return Examples(found.inputs, found.ids, [*notes, *left])

    def _rows(self, kind: str, body: bytes) -> list[dict[str, Any]]:
        """Read the rows of a table of coded events."""
        import csv

        if kind == PARQUET:
            rows: list[dict[str, Any]] = self._table(body, _COLUMNS).to_pylist()
            return rows
        try:
            text = body.decode("utf-8-sig")
            read = csv.DictReader(io.StringIO(text), strict=True)
            if not {"time", "code"} <= set(read.fieldnames or ()):
                raise DataError(
                    f"the columns are {', '.join(read.fieldnames or ())[:_SHOWN]}: expected time "
                    "and code, and optionally subject_id and numeric_value"
                )
            return list(read)
        except (UnicodeDecodeError, csv.Error) as error:
            raise DataError("the body is not csv in UTF-8: send it again") from error

    def _check_bytes(self, size: int) -> None:
        """Raise an error if a table is too large after unpacking."""
        if size > self.numbers:
            raise SettingError(
                f"the table has {size:,} bytes after unpacking: expected {self.numbers:,} at most; "
                "send several"
            )

    def _table(self, body: bytes, columns: Sequence[str]) -> Any:
        """Read columns of a Parquet file, after a check of their unpacked size."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            said = pq.read_metadata(io.BytesIO(body))
            groups = [said.row_group(i) for i in range(said.num_row_groups)]
            chunks = [group.column(i) for group in groups for i in range(group.num_columns)]
            wanted = [each for each in chunks if each.path_in_schema.split(".")[0] in columns]
            texts = {c.path_in_schema for c in wanted if c.physical_type == "BYTE_ARRAY"}
            if not texts <= set(columns):
                raise DataError("the table has a list of texts: expected numbers in a signal")
            self._check_bytes(sum(max(4 * c.num_values, c.total_uncompressed_size) for c in wanted))
            # Dictionaries keep repeated texts once.
            file = pq.ParquetFile(io.BytesIO(body), metadata=said, read_dictionary=sorted(texts))
            table = file.read(columns=list(columns))
            self._check_bytes(sum(map(_bytes_of_texts, table.columns)))
        except (pa.ArrowException, OSError, ValueError) as error:
            if isinstance(error, SequelaError):
                raise
            raise DataError(
                "the body is not a Parquet file, or was truncated: send it again"
            ) from error
        return table


def _bytes_of_texts(column: Any) -> int:
    """Count the bytes of a column's texts in all rows; 0 for a column of numbers."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_dictionary(column.type):
        return 0
    sizes = [
        pc.sum(pc.take(pc.binary_length(chunk.dictionary), chunk.indices).cast(pa.int64()))
        for chunk in column.chunks
    ]
    return sum(size.as_py() or 0 for size in sizes)


def _value(body: bytes) -> Any:
    try:
        return json_value(body)
    except ValueError as error:
        raise DataError(f"the body is not JSON ({error}): send it again") from error


def _numbers(count: int) -> list[str]:
    return [str(place) for place in range(1, count + 1)]


def _numbers_of_csv(body: bytes) -> tuple[NDArray[np.float64], list[str]]:
    """Return float64 (row, column), and the names of the columns from the first line, if any."""
    try:
        lines = [line for line in body.decode("utf-8-sig").splitlines() if line.strip()]
    except UnicodeDecodeError as error:
        raise DataError("the body is not text in UTF-8: expected csv") from error
    if not lines:
        raise DataError("the body has no line: expected numbers")
    between = next((mark for mark in ",;\t" if mark in lines[0]), None)
    first = [cell.strip().strip('"') for cell in lines[0].split(between)]
    names = [] if all(map(_is_number, first)) else first
    rows = []
    for place, line in enumerate(lines[bool(names) :], 1 + bool(names)):
        cells = line.split(between)
        if len(cells) != len(first) or not all(map(_is_number, cells)):
            raise DataError(
                f"line {place} is not {len(first)} number(s): expected a column of numbers for "
                "each channel"
            )
        rows.append([float(cell) for cell in cells])
    table = np.array(rows, np.float64).reshape(len(rows), len(first))
    timed = [i for i, name in enumerate(names) if name.lower() in ("time", "t", "seconds")]
    kept = [i for i in range(len(first)) if i not in timed]
    return table[:, kept], [names[i] for i in kept] if names else []


def _is_number(cell: str) -> bool:
    try:
        return bool(np.isfinite(float(cell)))
    except ValueError:
        return False
