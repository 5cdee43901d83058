"""Tables of segments as a source of stretches: each row is one, or each run of rows of one id."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sequela.config import SignalSettings
from sequela.errors import DataError, SettingError
from sequela.signals import tables
from sequela.signals.channels import Montage, to_microvolts
from sequela.signals.declaration import Classes, no_subjects
from sequela.signals.events import Event, of_samples
from sequela.signals.stretches import Reader, RecordingIds, Stretch, filtered
from sequela.signals.tables import Rows

_REPORTED = 1000
"""The number of rows between reports of progress."""


def _raise(place: str, reason: str) -> None:
    raise DataError(f"{place}: {reason}")


@dataclass
class SegmentTable:
    """A table of segments, whose rows become stretches.

    Attributes:
        labelled: False if the classes of its rows are ignored.
        refuse: Function that gets the place of a row without an id, and the reason why it cannot be
            cut; raises a DataError by default.
    """

    path: Path
    settings: SignalSettings
    labelled: bool = True
    refuse: Callable[[str, str], None] = _raise
    _numbers: dict[str, int] = field(default_factory=dict)
    _n_omitted: int = 0
    _n_gaps: int = 0

    def __post_init__(self) -> None:
        settings = self.settings
        self._layout = tables.layout_of(self.path, settings)
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
        if self._n_gaps:
            notes.append(f"{self._n_gaps:,} gaps in time; no window spans one")
        if self._n_omitted:
            notes.append(f"{self._n_omitted:,} rows of classes to omit are left out")
        return notes

    def classes_of_numbers(self) -> tuple[tuple[str, ...], NDArray[np.int64]]:
        """Return the names of the classes, and the class of each label, numbered as they came."""
        classes = Classes.of(self.settings, list(self._numbers))
        numbers = [classes.numbers[label] for label in self._numbers]
        return classes.names, np.array(numbers, np.int64)

    def stretches(self, done: Callable[[float | None], None]) -> Iterator[Stretch]:
        """Yield the rows, or in a table of one row a sample the pieces of each id."""
        if not self._layout.long:
            yield from self._of_rows(done)
            return
        for run in _runs(self.path, self.settings, self._layout):
            yield from self._of_run(run)
            done(None)

    def _of_rows(self, done: Callable[[float | None], None]) -> Iterator[Stretch]:
        """Yield rows that are segments, one after the other."""
        settings = self.settings
        if settings.rate is None:
            raise SettingError(f"{self.path}: the sampling rate is unknown; give --rate, in Hz")
        total = None if self.labelled else tables.n_rows_of(self.path)
        has_id = bool(settings.id or settings.recording)
        for rows in tables.rows(self.path, settings, self._layout):
            starts = [0.0] * len(rows.signal)
            if "time" in rows.texts:
                starts = tables.times_of(rows.texts["time"], self.path, rows.first, settings)
            for n, (signal, start) in enumerate(zip(rows.signal, starts, strict=True)):
                number = rows.first + n
                if (number - 1) % _REPORTED == 0:
                    done((number - 1) / total if total else None)
                place = f"{self.path} row {number}"
                texts = {key: values[n] for key, values in rows.texts.items()}
                if self.labelled and texts["label"] in settings.omit:
                    self._n_omitted += 1
                    continue
                label = self._number(texts["label"], place) if self.labelled else 0
                try:
                    ids = self._ids(texts, place, "" if has_id else row_id(number, signal))
                except DataError as error:
                    self.refuse(place, str(error).removeprefix(f"{place}: "))
                    continue
                in_microvolts = self._montage.apply(signal[self._montage.needs]) * self._scale
                yield Stretch.of_row(
                    in_microvolts, settings.rate, place, ids, label=label, offset=start
                )

    def _of_run(self, run: Rows) -> Iterator[Stretch]:
        """Yield consecutive rows of one id, each a sample, as stretches without a gap."""
        settings, place = self.settings, f"{self.path} row {run.first}"
        signal = np.asarray(run.signal).astype(np.float32)
        key = "id" if settings.id else "recording"
        first = {name: values[0] for name, values in run.texts.items()}
        ids = self._ids(first, place, run.texts[key][0])
        for name in RecordingIds._fields:
            values = set(run.texts.get(name, ()))
            if len(values) > 1:
                raise DataError(
                    f"{place}: the rows of its id are of {len(values)} {name}s; expected one, in "
                    f"column {getattr(settings, name)}"
                )
        times = np.array(tables.times_of(run.texts["time"], self.path, run.first, settings))
        sfreq, pieces = tables.pieces_of(self.path, times, settings.rate, run.first)
        self._n_gaps += len(pieces) - 1
        stretches = []
        for a, b, _ in pieces:
            part = self._montage.apply(signal[a:b].T[self._montage.needs])
            stretch = Stretch(
                place, ids, sfreq, b - a, len(part), _scaled(part, self._scale), float(times[a])
            )
            if self.labelled:
                events = of_samples(times[a:b] - times[a], 1 / sfreq, run.texts["label"][a:b])
                stretch = replace(stretch, events=events, classes=self._numbered(events, place))
            stretches.append(stretch)
        yield from filtered(stretches, settings)

    def _number(self, label: str, place: str) -> int:
        """Assign a label its number, by appearance; raise a DataError for an undeclared class."""
        if label == "" or (self._classes and label not in self._classes.numbers):
            expected = ", ".join(self._classes.numbers) if self._classes else "some class"
            raise DataError(
                f"{place}: class '{label[:80]}' in column {self.settings.label}; expected "
                f"{expected}; name it in classes, or leave it out with --omit"
            )
        return self._numbers.setdefault(label, len(self._numbers))

    def _numbered(self, events: Sequence[Event], place: str) -> Classes:
        """Return all labels so far as classes, by their number."""
        for event in events:
            if event.label not in self.settings.omit:
                self._number(event.label, place)
        return Classes(tuple(self._numbers), self._numbers, frozenset(self.settings.omit))

    def _ids(self, texts: Mapping[str, str], place: str, otherwise: str) -> RecordingIds:
        """Return the recording of a row, with subject, site and session."""
        for key in (*RecordingIds._fields, "id"):
            if texts.get(key) == "":
                raise DataError(
                    f"{place}: nothing in column {getattr(self.settings, key)}; expected the {key} "
                    "of each row"
                )
        recording = texts.get("recording") or texts.get("id") or otherwise
        return RecordingIds(
            recording, texts.get("subject"), texts.get("site"), texts.get("session")
        )


def row_id(row: int, signal: NDArray[np.float64]) -> str:
    """Return an id for a row without one that rows of other data do not have."""
    return f"row {row:07d} {hashlib.blake2b(signal.tobytes(), digest_size=4).hexdigest()}"


def _scaled(signal: NDArray[np.floating], scale: float) -> Reader:
    """Return a function that reads parts of a signal (n_chans, time) in µV."""
    return lambda first, last: signal[:, first:last].astype(np.float64) * scale


def _runs(path: Path, settings: SignalSettings, layout: tables.Layout) -> Iterator[Rows]:
    """Yield the rows of a table of one row a sample, those of an id together."""
    if settings.id is None and settings.recording is None:
        raise SettingError(
            f"{path}: the rows of one stretch of signal are unknown; name the column of their id "
            "with --id"
        )
    key = "id" if settings.id else "recording"
    finished: set[str] = set()
    parts: list[Rows] = []
    for rows in tables.rows(path, settings, layout):
        ids = np.array(rows.texts[key], np.str_)
        bounds = [0, *(np.flatnonzero(ids[1:] != ids[:-1]) + 1).tolist(), len(ids)]
        for a, b in pairwise(bounds):
            if a == b:
                continue
            if parts and parts[0].texts[key][0] != ids[a]:
                finished.add(parts[0].texts[key][0])
                yield _joined(parts)
                parts = []
            if ids[a] in finished:
                raise DataError(
                    f"{path} row {rows.first + a}: its id again, after others: expected the rows "
                    "of an id one after the other; sort the table by id and time"
                )
            texts = {name: values[a:b] for name, values in rows.texts.items()}
            parts.append(Rows(rows.first + a, texts, rows.signal[a:b]))
    if parts:
        yield _joined(parts)


def _joined(parts: Sequence[Rows]) -> Rows:
    """Join consecutive rows."""
    texts = {name: [text for part in parts for text in part.texts[name]] for name in parts[0].texts}
    return Rows(parts[0].first, texts, np.concatenate([part.signal for part in parts]))
