"""Bodies of requests, read into examples: JSON, binary numbers, Parquet, csv or EDF."""

import io
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sequela.config import SignalSettings
from sequela.datasets.catalog import Modality
from sequela.datasets.codes import AGE
from sequela.errors import DataError, SequelaError, SettingError
from sequela.files import temporary
from sequela.formats.opened import json_value
from sequela.intake.one_row import Rows, coded
from sequela.serving.scan import StoredRecording
from sequela.serving.served_model import ServedModel
from sequela.signals.cutting import cut_row, exceed
from sequela.signals.edf import EdfFile
from sequela.signals.segment_tables import is_number
from sequela.web import schemas
from sequela.web.guards import Limits
from sequela.web.patients import COLUMNS, NUMBER, Reader, patients_of, patients_of_rows
from sequela.web.schemas import BINARY, CSV, EDF, JSON, PARQUET, Patient, array_of, validated

_SHOWN = 64
_CERTAIN = 10
"""So many numbers from 0 up in a first line are a header."""
_SMALLEST, _LARGEST = float(np.finfo(np.float32).tiny), 1e6
"""Bounds of a value in µV that is not 0, in bytes whose type and order are not known."""


def kinds_of(model: ServedModel) -> tuple[str, ...]:
    """Return the supported media types."""
    prepared = getattr(model.facts.takes, "preparation", None)
    if prepared and (prepared.reference or prepared.filter or prepared.notch):
        return (EDF,)  # a whole recording: a single segment cannot be filtered
    kinds = {
        Modality.EEG: (JSON, BINARY, PARQUET, CSV, EDF),
        Modality.RECORDS: (JSON, PARQUET, CSV),
    }
    return kinds[model.facts.kind]


@dataclass(frozen=True)
class Examples:
    """Examples to predict for.

    Attributes:
        inputs: Inputs of :meth:`sequela.serving.served_model.ServedModel.probabilities`.
        unknown: Codes of each patient outside the vocabulary.
        recording: Whether the examples are the consecutive segments of one recording.
    """

    inputs: Mapping[str, NDArray[Any]]
    ids: Sequence[str]
    notes: Sequence[str] = ()
    unknown: Sequence[Sequence[str]] = ()
    patients: Sequence[Patient] = field(default=())
    recording: bool = False

    def __len__(self) -> int:
        return len(self.ids)


_Readers = Mapping[str, Callable[[bytes, Mapping[str, str]], Examples]]


class Bodies:
    """Reads the bodies of requests to one model.

    A small body may expand: the limit in bytes also bounds its numbers after unpacking and padding.
    """

    def __init__(self, model: ServedModel, limits: Limits) -> None:
        self.model, self.numbers = model, limits.bytes
        self.most, self.longest = limits.examples, limits.length
        sizes = (getattr(model.facts.takes, name, 0) for name in ("n_chans", "n_times"))
        self._n_chans, self._n_times = sizes

    def read(self, kind: str, body: bytes, query: Mapping[str, str]) -> Examples:
        """Read the examples of a body."""
        if not body:
            raise DataError("the body is empty: expected at least one example")
        signals: _Readers = {
            JSON: self._of_json,
            BINARY: self._of_numbers,
            PARQUET: self._of_parquet,
            CSV: self._of_csv,
            EDF: self._of_edf,
        }
        records: _Readers = {kind: partial(self._records, kind)}
        readers = {Modality.EEG: signals, Modality.RECORDS: records}
        examples = readers[self.model.facts.kind][kind](body, query)
        if len(examples) > self.most:
            raise SettingError(
                f"the body has {len(examples):,} examples: expected {self.most:,} at most; send "
                "several requests"
            )
        if not len(examples):
            raise DataError("the body has no example: expected at least one")
        return examples

    @cached_property
    def _reader(self) -> Reader:
        return Reader(self.model, self.numbers)

    def _records(self, kind: str, body: bytes, _: Mapping[str, str]) -> Examples:
        if kind == JSON:
            value = _value(body)
            is_list = isinstance(value, dict) and "patients" in value
            only(value if is_list else (), ("patients",), "key")
            patients = patients_of(value["patients"] if is_list else [value])
        elif kind == CSV and self.model.records.rows and not _is_coded(body):
            patients = self._of_cells(body)
        else:
            patients = patients_of_rows(self._rows(kind, body))
        longest = max((len(patient.visits) for patient in patients), default=0)
        if longest > self.longest or len(patients) > self.most:
            raise SettingError(
                f"{len(patients):,} patients with up to {longest:,} visits: expected {self.most:,} "
                f"and {self.longest:,} at most"
            )
        if not patients:
            raise DataError("the body has no patient: expected at least one")
        inputs, unknown, notes = self._reader.inputs(patients)
        return Examples(
            inputs, _ids([patient.id for patient in patients]), notes, unknown, patients
        )

    def _of_cells(self, body: bytes) -> list[Patient]:
        """Read a csv file with one row per patient, as the model was trained on."""
        rows_of_training = described_rows(self.model)
        with temporary() as folder:
            path = folder / "body.csv"
            path.write_bytes(body)
            try:
                rows = coded(path, rows_of_training)
            except SequelaError as error:
                raise DataError(str(error).replace(str(path), "the body")) from error
        ages = {row["subject_id"]: row["numeric_value"] for row in rows if row["code"] == AGE}
        patients = patients_of_rows([row for row in rows if row["code"] != AGE])
        return [patient.model_copy(update={"age": ages.get(patient.id)}) for patient in patients]

    def read_patients(self, patients: Sequence[Patient]) -> Mapping[str, NDArray[Any]]:
        """Return the inputs of the model for patients."""
        return self._reader.inputs(patients, variants=True)[0]

    def _check(self, stated: Mapping[str, Any], channels: int, names: Sequence[str] = ()) -> None:
        for name in ("sfreq", "unit"):
            if stated.get(name) in (None, ""):
                expected = f"{name}={getattr(self.model.signal, name)}"
                raise SettingError(f"the {name} of the signal is missing: expected {expected}")
        if not NUMBER.fullmatch(str(stated["sfreq"])):
            raise SettingError("sfreq is not a number: expected samples per second")
        self.model.check_signal(
            unit=str(stated["unit"]), sfreq=float(stated["sfreq"]), n_chans=channels, channels=names
        )

    def _examples(self, arrays: Iterable[NDArray[Any]], ids: Sequence[str]) -> Examples:
        """Make examples of arrays (channel, sample), of several lengths if the model allows it."""
        arrays = list(arrays)
        lengths = np.array([array.shape[1] for array in arrays], np.int64)
        if lengths.max(initial=0) > self.longest:
            raise SettingError(
                f"a segment has {lengths.max():,} samples: expected {self.longest:,} at most"
            )
        if len(arrays) * self._n_chans * lengths.max(initial=0) > self.numbers:
            raise SettingError(
                f"{len(arrays):,} segments of up to {lengths.max():,} samples: expected "
                f"{self.numbers:,} numbers at most after padding; send long segments alone"
            )
        padded = np.zeros((len(arrays), self._n_chans, int(lengths.max(initial=0))), np.float32)
        for row, array in enumerate(arrays):
            padded[row, :, : array.shape[1]] = array
        inputs: dict[str, NDArray[Any]] = {"signal": padded}
        if "lengths" in self.model.inputs:
            inputs["lengths"] = lengths
        elif len(set(lengths.tolist())) > 1 or lengths[0] != self._n_times:
            raise DataError(
                f"segments have {lengths.min()} to {lengths.max()} samples: expected "
                f"{self._n_times} of each channel"
            )
        most, notes = self.model.signal.preparation.reject, []
        if large := np.count_nonzero(exceed(padded, most)):
            notes = [f"Range above {most:g} µV, as in no window of the training: {large} segments."]
        return Examples(inputs, ids, notes)

    def _of_json(self, body: bytes, query: Mapping[str, str]) -> Examples:
        value = _value(body)
        is_list = isinstance(value, dict) and "examples" in value
        kind: Any = schemas.Segments if is_list else schemas.Segment
        body_read = validated(kind.model_validate, value, "key")
        parts: list[schemas.Named] = body_read.examples if is_list else [body_read]
        stated = body_read.model_dump(include={"sfreq", "unit"}, exclude_none=True)
        self._check({**query, **stated}, parts[0].signal.shape[0])
        for name in stated.keys() & query.keys():
            if query[name] != str(stated[name]):
                raise SettingError(
                    f"the body has {name}={stated[name]}, the address {name}={query[name]}: "
                    "expected one of them"
                )
        return self._examples(
            [named.signal for named in parts], _ids([named.id for named in parts])
        )

    def _of_numbers(self, body: bytes, query: Mapping[str, str]) -> Examples:
        """Read little-endian float32, example after example, channel after channel."""
        self._check(query, self._n_chans)
        size = 4 * self._n_chans * self._n_times
        if len(body) % size:
            raise DataError(
                f"the body has {len(body):,} bytes: expected a multiple of {size:,}, which are "
                f"{self._n_chans} × {self._n_times} numbers of 4 bytes (little-endian float32)"  # noqa: RUF001
            )
        flat = np.frombuffer(body, "<f4")
        sizes = np.abs(flat[flat != 0])
        halves = not flat[::2].any() and flat[1::2].any()  # whole numbers of 8 bytes
        if np.isfinite(flat).all() and (
            halves or not np.all((sizes >= _SMALLEST) & (sizes <= _LARGEST))
        ):
            raise DataError(
                "the numbers are not plausible in µV (0, or up to 1,000,000): expected "
                "little-endian float32, not another type or byte order"
            )
        segments = flat.reshape(-1, self._n_chans, self._n_times)
        return self._examples(segments, _numbers(len(segments)))

    def _of_parquet(self, body: bytes, query: Mapping[str, str]) -> Examples:
        """Read a column ``signal`` of lists, channel after channel, and an optional ``id``."""
        table = self._table(body, ("id", "signal"), ("signal",))
        if table.num_rows > self.most:
            raise SettingError(f"the table has {table.num_rows:,} rows: expected {self.most:,}")
        self._check(query, self._n_chans)
        arrays = []
        for row in table["signal"].to_pylist():
            flat = array_of(row if row is not None else [])
            if flat.shape[0] != 1 or flat.shape[1] % self._n_chans:
                raise DataError(f"a signal is not a list of samples of {self._n_chans} channel(s)")
            arrays.append(flat.reshape(self._n_chans, -1))
        has_ids = "id" in table.column_names
        return self._examples(
            arrays, _ids(table["id"].to_pylist() if has_ids else [""] * len(arrays))
        )

    def _of_csv(self, body: bytes, query: Mapping[str, str]) -> Examples:
        """Read a column per channel; for one channel also a row per segment."""
        table, names = _numbers_of_csv(body)
        if self._n_chans == 1 and table.shape[1] == self._n_times:
            self._check(query, 1)
            return self._examples(table[:, np.newaxis], _numbers(len(table)))
        clocks = [i for i, name in enumerate(names) if name.lower() in ("time", "t", "seconds")]
        signals = [i for i in range(table.shape[1]) if i not in clocks]
        self._check(query, len(signals), [names[i] for i in signals] if names else [])
        notes = [f"Left out: the column {names[i]}." for i in clocks]
        return self._windows(table[:, signals].T, notes)

    def _of_edf(self, body: bytes, _: Mapping[str, str]) -> Examples:
        """Read an EDF or BDF file with the channels and rate of the model."""
        signal = self.model.signal
        with temporary() as folder:
            path = folder / "recording.edf"
            path.write_bytes(body)
            try:
                recording = StoredRecording.of(EdfFile.open(path), signal, signal.channels)
                if recording.gaps:
                    raise DataError(f"{path} has gaps in time: expected none; use sequela scan")
                self._check({"sfreq": signal.sfreq, "unit": "uV"}, len(recording.names))
                self._check_count(recording.n_times)
                array = recording.read(0, recording.n_times)
            except SequelaError as error:  # without the path and the options of the command line
                message = str(error).replace(str(path), "the file").replace(" with --channels", "")
                raise DataError(message) from error
        return self._windows(array, [f"{note[:1].upper()}{note[1:]}." for note in recording.notes])

    def _check_count(self, n_times: int) -> None:
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
        segments = cut_row(array.astype(np.float32), self._n_times, self._n_times)
        examples = self._examples(segments, _numbers(len(segments)))
        notes = [*notes, *examples.notes]
        if rest := array.shape[1] % self._n_times:
            notes.append(f"Left out: {rest} samples at the end, less than a segment.")
        return replace(examples, notes=notes, recording=True)

    def _rows(self, kind: str, body: bytes) -> Sequence[Mapping[str, Any]]:
        import csv

        if kind == PARQUET:
            table: list[Any] = self._table(body, COLUMNS, ("time", "code")).to_pylist()
            return table
        try:
            lines = [line for line in csv.reader(io.StringIO(_text(body)), strict=True) if line]
        except csv.Error as error:
            raise DataError(f"the body is not csv ({error}): send it again") from error
        names = [cell.strip() for cell in next(iter(lines), [])]
        if not {"time", "code"} <= set(names):
            raise DataError(
                f"the columns are {', '.join(names)[:_SHOWN]}: expected time and code, and "
                "optionally subject_id and numeric_value"
            )
        only(names, COLUMNS, "column")
        for place, cells in enumerate(lines[1:], 1):
            if len(cells) != len(names):
                count = "1 cell" if len(cells) == 1 else f"{len(cells)} cells"
                raise DataError(f"row {place} has {count}: expected {len(names)}")
        return [dict(zip(names, cells, strict=True)) for cells in lines[1:]]

    def _check_bytes(self, size: int) -> None:
        if size > self.numbers:
            most = f"expected {self.numbers:,} at most; send several"
            raise SettingError(f"the table has {size:,} bytes after unpacking: {most}")

    def _table(self, body: bytes, columns: Sequence[str], needed: Sequence[str]) -> Any:
        """Read columns of a Parquet file, after a check of their unpacked size."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            metadata = pq.read_metadata(io.BytesIO(body))
            names = metadata.schema.to_arrow_schema().names
            if not set(needed) <= set(names):
                raise DataError(
                    f"the table has no column {' or '.join(needed)}: expected "
                    f"{' and '.join(columns)}"
                )
            only(names, columns, "column")
            groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
            chunks = [group.column(i) for group in groups for i in range(group.num_columns)]
            texts = {c.path_in_schema for c in chunks if c.physical_type == "BYTE_ARRAY"}
            if not texts <= set(columns):
                raise DataError("the table has a list of texts: expected numbers in a signal")
            self._check_bytes(sum(max(4 * c.num_values, c.total_uncompressed_size) for c in chunks))
            # Dictionaries keep repeated texts once.
            file = pq.ParquetFile(
                io.BytesIO(body), metadata=metadata, read_dictionary=sorted(texts)
            )
            table = file.read()
            self._check_bytes(sum(map(_bytes_of_texts, table.columns)))
        except (pa.ArrowException, OSError, ValueError) as error:
            if isinstance(error, SequelaError):
                raise
            raise DataError(
                "the body is not a Parquet file, or was truncated: send it again"
            ) from error
        return table


def described_rows(model: ServedModel) -> Rows:
    """Return the description of the table with one row per patient that a model was trained on."""
    facts = model.records
    return Rows(SignalSettings.of(**facts.rows), (*facts.vocabulary,), (*facts.channels,))


def _is_coded(body: bytes) -> bool:
    """Return whether the first line of a csv file names the columns of coded events."""
    first = body.partition(b"\n")[0].decode("utf-8-sig", "replace")
    return {"time", "code"} <= {name.strip() for name in first.split(",")}


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


def _numbers(count: int, first: int = 1) -> list[str]:
    return [str(place) for place in range(first, first + count)]


def _ids(said: Sequence[Any]) -> list[str]:
    """Return the ids of examples; an example without one is called by its number, from 1."""
    found = []
    for place, id_ in enumerate(said, 1):
        if type(id_) not in (str, int):
            raise DataError(f"the id of example {place} is not a text: expected one")
        found.append(str(place) if id_ == "" else str(id_))
    only(found, found, "id")
    return found


def only(names: Iterable[str], known: Sequence[str], kind: str, where: str = "") -> None:
    """Raise an error if a name is there twice or is not known."""
    allowed = set(known)
    for name, count in Counter([*names]).items():
        if count > 1:
            raise DataError(f"the {kind} {name[:_SHOWN]} is there twice: expected one")
        if name not in allowed:
            expected = ", ".join(known) or "none"
            raise DataError(f"unknown {kind} {name[:_SHOWN]}{where}: expected {expected}")


def _text(body: bytes) -> str:
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError("the body is not text in UTF-8: expected csv") from error


def _numbers_of_csv(body: bytes) -> tuple[NDArray[np.float64], list[str]]:
    """Return float64 (row, column), and the names of the columns from the first line, if any."""
    lines = [line for line in _text(body).splitlines() if line.strip()]
    if not lines:
        raise DataError("the body has no line: expected numbers")
    between = next((mark for mark in ",;\t" if mark in lines[0]), None)
    first = [cell.strip().strip('"') for cell in lines[0].split(between)]
    counted = first == _numbers(len(first), 0)  # as pandas names columns without names
    if counted and len(first) < _CERTAIN:
        raise DataError(
            f"the first line may be a header or a sample ({', '.join(first)}): name the columns, "
            "or write the samples as 0.0"
        )
    names = [] if all(map(NUMBER.fullmatch, first)) and not counted else first
    if "" in names:
        raise DataError(
            f"column {names.index('') + 1} has no name: leave it out if it counts the rows"
        )
    if not counted and any(map(is_number, names)):  # such as nan and 1_0, which are no names
        raise DataError(f"line 1 is not {len(first)} number(s): expected numbers, or names")
    only(names, names, "column")
    rows = []
    for place, line in enumerate(lines[bool(names) :], 1 + bool(names)):
        cells = line.split(between)
        if len(cells) != len(first) or not all(map(NUMBER.fullmatch, cells)):
            raise DataError(
                f"line {place} is not {len(first)} number(s): expected a column of numbers for "
                "each channel"
            )
        rows.append([float(cell) for cell in cells])
    table = np.array(rows, np.float64).reshape(len(rows), len(first))
    if not np.isfinite(table).all():
        raise DataError("a number is beyond 1.8e308: send µV")
    return table, names
