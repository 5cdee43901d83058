"""Bodies of requests, read into examples: JSON, binary numbers, csv or EDF."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from sequela.config import SignalSettings
from sequela.datasets.catalog import Modality
from sequela.errors import DataError, SequelaError, SettingError
from sequela.evaluation.number import plural
from sequela.files import temporary
from sequela.formats.arrays import Array
from sequela.formats.opened import json_value
from sequela.intake.one_row import Rows
from sequela.serving.scan import StoredRecording
from sequela.serving.served_model import ServedModel
from sequela.signals.cutting import cut_row, exceed
from sequela.signals.edf import EdfFile
from sequela.signals.segment_tables import is_number
from sequela.web.guards import Limits
from sequela.web.patients import Reader, patients_of, patients_of_table
from sequela.web.schemas import (
    BINARY,
    CSV,
    EDF,
    JSON,
    Named,
    Patient,
    Segment,
    Segments,
    validated,
)

_NUMBER = re.compile(r"\s*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?\s*", re.ASCII)
_SHOWN = 64  # characters of a name in a message
_CERTAIN = 10  # a first line of so many numbers from 0 up is a header
_SMALLEST = float(np.finfo(np.float32).tiny)  # least plausible value in µV that is not 0
_LARGEST = 1e6  # largest plausible value in µV


def kinds_of(model: ServedModel) -> tuple[str, ...]:
    """Return the supported media types."""
    kinds = {Modality.EEG: (JSON, BINARY, CSV, EDF), Modality.RECORDS: (JSON, CSV)}
    prepared = getattr(model.facts.takes, "preparation", None)
    if prepared and (prepared.reference or prepared.filter or prepared.notch):
        return (EDF,)  # a whole recording: a single segment cannot be filtered
    if not getattr(model.facts.takes, "rows", True):
        return (JSON,)  # csv has one row per patient, and this model reads visits
    return kinds[model.facts.kind]


@dataclass(frozen=True)
class BodyExamples:
    """The examples of a body."""

    inputs: Mapping[str, Array]  # of the model
    ids: Sequence[str]
    notes: Sequence[str] = ()
    unknown: Sequence[Sequence[str]] = ()  # codes of each patient outside the vocabulary
    patients: Sequence[Patient] = ()
    recording: bool = False  # whether they are the consecutive segments of one recording

    def __len__(self) -> int:
        return len(self.ids)


_Readers = Mapping[str, Callable[[bytes, Mapping[str, str]], BodyExamples]]


class Bodies:
    """Reads the bodies of requests to one model.

    A small body may expand: the limit in bytes also bounds its numbers after unpacking and padding.
    """

    def __init__(self, model: ServedModel, limits: Limits) -> None:
        self.model, self.numbers = model, limits.bytes
        self.most, self.longest = limits.examples, limits.length
        sizes = (getattr(model.facts.takes, name, 0) for name in ("n_chans", "n_times"))
        self._n_chans, self._n_times = sizes

    def read(self, kind: str, body: bytes, query: Mapping[str, str]) -> BodyExamples:
        """Read the examples of a body."""
        if not body:
            raise DataError("the body is empty: expected at least one example")
        signals: _Readers = {
            JSON: self._of_json,
            BINARY: self._of_numbers,
            CSV: self._of_csv,
            EDF: self._of_edf,
        }
        records: _Readers = {kind: lambda body, _: self._records(kind, body)}
        readers = {Modality.EEG: signals, Modality.RECORDS: records}
        examples = readers[self.model.facts.kind][kind](body, query)
        if len(examples) > self.most:
            raise SettingError(
                f"the body has {len(examples):,} examples: expected {self.most:,} at most; send "
                "several requests"
            )
        return examples

    @cached_property
    def _reader(self) -> Reader:
        return Reader(self.model, self.numbers)

    def _records(self, kind: str, body: bytes) -> BodyExamples:
        patients = patients_of(_value(body)) if kind == JSON else self._of_table(body)
        if not patients:
            raise DataError("the body has no patient: expected at least one")
        longest = max(len(patient.visits) for patient in patients)
        if longest > self.longest:
            raise SettingError(
                f"a patient has {longest:,} visits: expected {self.longest:,} at most"
            )
        inputs, unknown, notes = self._reader.inputs(patients)
        return BodyExamples(inputs, _ids(patients), notes, unknown, patients)

    def _of_table(self, body: bytes) -> list[Patient]:
        with temporary() as folder:
            path = folder / "body.csv"
            path.write_bytes(body)
            try:
                return patients_of_table(path, described_rows(self.model))
            except SequelaError as error:
                raise DataError(str(error).replace(str(path), "the body")) from error

    def _check(
        self, stated: Mapping[str, object], channels: int, names: Sequence[str] = ()
    ) -> None:
        for name in ("sfreq", "unit"):
            if stated.get(name) in (None, ""):
                expected = f"{name}={getattr(self.model.signal, name)}"
                raise SettingError(f"the {name} of the signal is missing: expected {expected}")
        if not _NUMBER.fullmatch(str(stated["sfreq"])):
            raise SettingError("sfreq is not a number: expected samples per second")
        self.model.check_signal(
            unit=str(stated["unit"]),
            sfreq=float(str(stated["sfreq"])),
            n_chans=channels,
            channels=names,
        )

    def _examples(self, arrays: Iterable[Array], ids: Sequence[str]) -> BodyExamples:
        arrays = list(arrays)
        lengths = np.array([array.shape[1] for array in arrays], np.int64)
        if lengths.max(initial=0) > self.longest:
            raise SettingError(
                f"a segment has {lengths.max():,} samples: expected {self.longest:,} at most"
            )
        # One long segment pads all others to its length: a small body could need all memory.
        if len(arrays) * self._n_chans * lengths.max(initial=0) > self.numbers:
            raise SettingError(
                f"{len(arrays):,} segments of up to {lengths.max():,} samples: expected "
                f"{self.numbers:,} numbers at most after padding; send long segments alone"
            )
        padded = np.zeros((len(arrays), self._n_chans, int(lengths.max(initial=0))), np.float32)
        for row, array in enumerate(arrays):
            padded[row, :, : array.shape[1]] = array
        inputs: dict[str, Array] = {"signal": padded}
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
        return BodyExamples(inputs, ids, notes)

    def _of_json(self, body: bytes, query: Mapping[str, str]) -> BodyExamples:
        value = _value(body)
        if isinstance(value, dict) and "examples" in value:
            content: Segments | Segment = validated(Segments.model_validate, value, "key")
        else:
            content = validated(Segment.model_validate, value, "key")
        parts = content.examples if isinstance(content, Segments) else [content]
        stated = content.model_dump(include={"sfreq", "unit"}, exclude_none=True)
        self._check({**query, **stated}, parts[0].signal.shape[0])
        for name in stated.keys() & query.keys():
            if query[name] != str(stated[name]):
                raise SettingError(
                    f"the body has {name}={stated[name]}, the address {name}={query[name]}: "
                    "expected one of them"
                )
        return self._examples([part.signal for part in parts], _ids(parts))

    def _of_numbers(self, body: bytes, query: Mapping[str, str]) -> BodyExamples:
        """Read little-endian float32, example after example, channel after channel."""
        self._check(query, self._n_chans)
        size = 4 * self._n_chans * self._n_times
        if len(body) % size:
            raise DataError(
                f"the body has {len(body):,} bytes: expected a multiple of {size:,}, which are "
                f"{self._n_chans} × {self._n_times} numbers of 4 bytes (little-endian float32)"  # noqa: RUF001
            )
        # Bytes in another order or of another type are numbers too, but with exponents that no EEG
        # in µV has.
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

    def _of_csv(self, body: bytes, query: Mapping[str, str]) -> BodyExamples:
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

    def _of_edf(self, body: bytes, _: Mapping[str, str]) -> BodyExamples:
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

    def _windows(self, array: Array, notes: Sequence[str]) -> BodyExamples:
        self._check_count(array.shape[1])
        segments = cut_row(array.astype(np.float32), self._n_times, self._n_times)
        examples = self._examples(segments, _numbers(len(segments)))
        notes = [*notes, *examples.notes]
        if rest := array.shape[1] % self._n_times:
            notes.append(f"Left out: {rest} samples at the end, less than a segment.")
        return replace(examples, notes=notes, recording=True)


def described_rows(model: ServedModel) -> Rows:
    """Return the description of the table with one row per patient that a model was trained on."""
    facts = model.records
    return Rows(SignalSettings.of(**facts.rows), (*facts.vocabulary,), (*facts.channels,))


def _value(body: bytes) -> object:
    try:
        return json_value(body)
    except ValueError as error:
        raise DataError(f"the body is not JSON ({error}): send it again") from error


def _numbers(count: int, first: int = 1) -> list[str]:
    return [str(place) for place in range(first, first + count)]


def _ids(parts: Iterable[Named | Patient]) -> list[str]:
    """Return the ids of examples; an example without one is called by its number, from 1."""
    ids = [str(place) if part.id == "" else str(part.id) for place, part in enumerate(parts, 1)]
    only(ids, ids, "id")
    return ids


def only(names: Iterable[str], expected: Sequence[str], kind: str) -> None:
    """Raise an error if a name is there twice or is not known."""
    allowed = set(expected)
    for name, count in Counter([*names]).items():
        if count > 1:
            raise DataError(f"the {kind} {name[:_SHOWN]} is there twice: expected one")
        if name not in allowed:
            words = ", ".join(expected) or "none"
            raise DataError(f"unknown {kind} {name[:_SHOWN]}: expected {words}")


def _numbers_of_csv(body: bytes) -> tuple[NDArray[np.float64], list[str]]:
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError("the body is not text in UTF-8: expected csv") from error
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines:
        raise DataError("the body has no line: expected numbers")
    # Spreadsheets of some countries write semicolons; the first mark in this order that occurs.
    between = next((mark for mark in ",;\t" if mark in lines[0]), None)
    first = [cell.strip().strip('"') for cell in lines[0].split(between)]
    counted = first == _numbers(len(first), 0)  # as pandas names columns without names
    if counted and len(first) < _CERTAIN:
        raise DataError(
            f"the first line may be a header or a sample ({', '.join(first)}): name the columns, "
            "or write the samples as 0.0"
        )
    names = [] if all(map(_NUMBER.fullmatch, first)) and not counted else first
    if "" in names:
        raise DataError(
            f"column {names.index('') + 1} has no name: leave it out if it counts the rows"
        )
    if not counted and any(map(is_number, names)):  # such as nan and 1_0, which are no names
        raise DataError(f"line 1 is not {plural(len(first), 'number')}: expected numbers, or names")
    only(names, names, "column")
    rows = []
    for place, line in enumerate(lines[bool(names) :], 1 + bool(names)):
        cells = line.split(between)
        if len(cells) != len(first) or not all(map(_NUMBER.fullmatch, cells)):
            raise DataError(
                f"line {place} is not {plural(len(first), 'number')}: expected a column of numbers "
                "for each channel"
            )
        rows.append([float(cell) for cell in cells])
    if not rows:
        raise DataError("the body has names and no numbers: expected a line of them")
    table = np.array(rows, np.float64)
    if not np.isfinite(table).all():
        raise DataError("a number is beyond 1.8e308: send µV")
    return table, names
