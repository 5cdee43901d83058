"""A user's own recordings, read by their declaration: a path to windows."""

import hashlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sequela.config import SegmentLength, SignalSettings
from sequela.errors import DataError, DataNotFoundError, SettingError
from sequela.signals import folders, tables
from sequela.signals.channels import Montage, to_microvolts, without
from sequela.signals.cutting import Cutter, Shelf, Stretch, filtered, no_subjects
from sequela.signals.declaration import Classes, declared
from sequela.signals.events import Event, of_samples
from sequela.signals.segments import Segments
from sequela.signals.segments import Shelf as StoredShelf
from sequela.signals.windows import Whose

_OF_CLASSES = ("label", "classes", "omit", "events", "background")
"""The keys of a declaration that are only about classes."""
_OFTEN = 1000
"""The number of rows between reports of progress."""


def read(
    path: Path,
    given: SignalSettings | None = None,
    segment: SegmentLength | None = None,
    work: Path | None = None,
) -> Segments:
    """Read windows of the recordings at a path.

    Args:
        path: A table of segments, or a folder.
        given: Options that describe the data; the rest is in their ``signals.toml``.
        segment: Samples of a window, or ``recording`` for one window per row; as declared by
            default.
        work: Folder for the windows; the system's temporary folder by default.
    """
    settings = declared(path, given)
    title = settings.title or path.resolve().name.partition(".")[0]
    with StoredShelf(work, settings.reject) as shelf:
        cutter = Cutter(settings, segment, shelf, [*settings.in_words])
        if folders.is_recording(path, settings) or folders.has_recordings(path, settings):
            return folders.read(path, cutter, shelf, title)
        return Reader(table_of(path), cutter).windows(shelf, title)


def cut_unlabelled(
    path: Path,
    given: SignalSettings,
    segment: SegmentLength,
    shelf: Shelf,
    refuse: Callable[[str, str], None],
    done: Callable[[float | None], None],
) -> list[str]:
    """Cut the recordings at a path while they are read; columns and events of classes are ignored.

    The arguments are those of :func:`read`. ``shelf`` gets the windows in the order of the data,
    ``refuse`` the place of a row that cannot be cut and the reason, and ``done`` the share read so
    far, or ``None`` where that is not known. Notes on the processing are returned, as sentences.
    """
    fields = SignalSettings.model_fields
    settings = declared(path, given).model_copy(
        update={name: fields[name].default for name in _OF_CLASSES}
    )
    cutter = Cutter(settings, segment, shelf, [*settings.in_words])
    if folders.is_recording(path, settings) or folders.has_recordings(path, settings):
        folders.cut_all(path, cutter, done)
    else:
        Reader(table_of(path), cutter).cut_unlabelled(refuse, done)
    return [note for note in cutter.notes if note != no_subjects(settings.independent)]


def table_of(path: Path) -> Path:
    """Return the one table at a path."""
    if path.is_file():
        if tables.is_table(path):
            return path
        raise DataError(f"{path}: expected {tables.EXPECTED}, by its name; name another --root")
    if not path.is_dir():
        raise DataNotFoundError(f"{path} does not exist: expected {tables.EXPECTED}")
    found = sorted(each for each in path.iterdir() if tables.is_table(each))
    if len(found) != 1:
        names = ", ".join(each.name for each in found[:8]) or "none"
        raise DataError(
            f"{path}: found {names}; expected one table of segments; name it with --root, or give "
            "--time or --rate if each csv file is a recording"
        )
    return found[0]


@dataclass
class Reader:
    """A reader of a table."""

    path: Path
    cutter: Cutter

    def __post_init__(self) -> None:
        self.settings = self.cutter.settings
        self.layout = tables.layout_of(self.path, self.settings)
        self.classes = Classes.of(self.settings) if self.settings.classes else None
        self.seen: dict[str, int] = {}
        self.n_omitted = 0
        self.n_gaps = 0
        unit = self.settings.unit or "µV"
        self.scale = to_microvolts(unit) or 1.0
        channels = without(self.settings.reference, self.layout.channels)
        self.montage = Montage(
            channels, self.layout.channels, str(self.path), self.settings.reference
        )
        if self.settings.unit is None:
            self.cutter.note("no unit is declared: the samples are assumed to be in µV")
        if self.settings.subject is None:
            self.cutter.note(no_subjects(self.settings.independent))
        if self.settings.recording is None and self.settings.id is None:
            self.cutter.note("no recording is declared: each row is a separate recording")

    def windows(self, shelf: StoredShelf, title: str) -> Segments:
        """Read all windows of the table."""
        if self.settings.label is None:
            raise SettingError(
                f"{self.path}: the class of a row is unknown; name its column with --label"
            )
        if self.layout.long:
            for stretch, events in self.stretches():
                self.cutter.stretch(stretch, events, self._classes_of(events, stretch.place))
        for row in () if self.layout.long else self.rows():
            label = row.said["label"]
            if label in self.settings.omit:
                self.n_omitted += 1
                continue
            number = self._number(label, row.place)
            whose = self.whose(row.said, row.place, row.id)
            self.cutter.row(row.signal, self.rate, number, whose, row.place, row.start)
        classes = Classes.of(self.settings, list(self.seen))
        if self.n_gaps:
            self.cutter.note(f"{self.n_gaps:,} gaps in time; no window spans one")
        if self.n_omitted:
            self.cutter.note(f"{self.n_omitted:,} rows of classes to omit are left out")
        # Labels were numbered as they came.
        final = np.array([classes.found[each] for each in self.seen], np.int64)
        shelf.label = [final[each] for each in shelf.label]
        shelf.rejected = final[shelf.rejected]
        return shelf.windows(classes.names, self.montage.names, title, self.cutter.notes)

    def cut_unlabelled(
        self, refuse: Callable[[str, str], None], done: Callable[[float | None], None]
    ) -> None:
        """Cut all rows into windows without a class."""
        if self.layout.long:
            for stretch, _ in self.stretches():
                self.cutter.stretch(stretch)
                done(None)
            if self.n_gaps:
                self.cutter.note(f"{self.n_gaps:,} gaps in time; no window spans one")
            return
        total = tables.n_rows_of(self.path)
        for number, row in enumerate(self.rows()):
            if number % _OFTEN == 0:
                done(number / total if total else None)
            try:
                whose = self.whose(row.said, row.place, row.id)
                self.cutter.row(row.signal, self.rate, 0, whose, row.place, row.start)
            except DataError as error:
                refuse(row.place, str(error).removeprefix(f"{row.place}: "))

    def _number(self, label: str, place: str) -> int:
        """Assign a label its number, by appearance; raise a DataError for an undeclared class."""
        if label == "" or (self.classes and label not in self.classes.found):
            known = ", ".join(self.classes.found) if self.classes else "some class"
            raise DataError(
                f"{place}: class '{label[:80]}' in column {self.settings.label}; expected {known}; "
                "name it in classes, or leave it out with --omit"
            )
        return self.seen.setdefault(label, len(self.seen))

    def _classes_of(self, events: Sequence[Event], place: str) -> Classes:
        """Return all labels so far as classes, by their number."""
        for each in events:
            if each.label not in self.settings.omit:
                self._number(each.label, place)
        return Classes(tuple(self.seen), self.seen, frozenset(self.settings.omit))

    @property
    def rate(self) -> float:
        """The sampling rate of its rows, in Hz."""
        if self.settings.rate is None:
            raise SettingError(f"{self.path}: the sampling rate is unknown; give --rate, in Hz")
        return self.settings.rate

    def rows(self) -> "Iterator[Row]":
        """Yield rows that are segments, one after the other."""
        self.rate  # noqa: B018 - which nothing can be cut without
        named = self.settings.id or self.settings.recording
        for some in tables.rows(self.path, self.settings, self.layout):
            starts = [0.0] * len(some.signal)
            if "time" in some.said:
                starts = tables.times_of(some.said["time"], self.path, some.first, self.settings)
            for number, (signal, start) in enumerate(zip(some.signal, starts, strict=True)):
                yield Row(
                    f"{self.path} row {some.first + number}",
                    "" if named else row_id(some.first + number, signal),
                    {key: values[number] for key, values in some.said.items()},
                    self.montage.apply(signal[self.montage.needs]) * self.scale,
                    start,
                )

    def whose(self, said: dict[str, str], place: str, otherwise: str) -> Whose:
        """Return the recording of a row, with subject, site and session."""
        for key in (*Whose._fields, "id"):
            if said.get(key) == "":
                raise DataError(
                    f"{place}: nothing in column {getattr(self.settings, key)}; expected the {key} "
                    "of each row"
                )
        recording = said.get("recording") or said.get("id") or otherwise
        return Whose(recording, said.get("subject"), said.get("site"), said.get("session"))

    def stretches(self) -> Iterator[tuple[Stretch, list[Event]]]:
        """Yield stretches without a gap of a table of one row a sample, and the events of each."""
        if self.settings.id is None and self.settings.recording is None:
            raise SettingError(
                f"{self.path}: the rows of one stretch of signal are unknown; name the column "
                "of their id with --id"
            )
        done: set[str] = set()
        held: list[_Samples] = []
        for some in _by_id(self.path, self.settings, self.layout):
            if held and some.id != held[0].id:
                yield from self._flush(held)
                held = []
            if not held and some.id in done:
                raise DataError(
                    f"{self.path} row {some.first}: its id again, after others: expected the "
                    "rows of an id one after the other; sort the table by id and time"
                )
            done.add(some.id)
            held.append(some)
        if held:
            yield from self._flush(held)

    def _flush(self, held: "list[_Samples]") -> Iterator[tuple[Stretch, list[Event]]]:
        """Yield the rows of one id as stretches without a gap."""
        first = held[0]
        place = f"{self.path} row {first.first}"
        times = np.concatenate([each.times for each in held])
        labels = [label for each in held for label in each.said.get("label", ())]
        signal = np.concatenate([each.signal for each in held]).astype(np.float32)
        whose = self.whose({key: values[0] for key, values in first.said.items()}, place, first.id)
        for key in Whose._fields:
            people = {value for each in held for value in each.said.get(key, ())}
            if len(people) > 1:
                raise DataError(
                    f"{place}: the rows of its id are of {len(people)} {key}s; expected one, in "
                    f"column {getattr(self.settings, key)}"
                )
        sfreq, pieces = tables.pieces_of(self.path, times, self.settings.rate, first.first)
        self.n_gaps += len(pieces) - 1
        stretches, events = [], []
        for a, b, _ in pieces:
            part = self.montage.apply(signal[a:b].T[self.montage.needs])
            events.append(
                of_samples(times[a:b] - times[a], 1 / sfreq, labels[a:b]) if labels else []
            )
            read, start = _reads(part, self.scale), float(times[a])
            stretches.append(Stretch(place, whose, sfreq, b - a, len(part), read, start))
        yield from zip(filtered(stretches, self.settings), events, strict=True)


@dataclass(frozen=True)
class Row:
    """A row that is a segment.

    Attributes:
        place: Name in errors.
        id: Its id, where no column has one.
        said: For each key of the declaration that names a column: its text.
        signal: float64 (n_chans, n_times) in µV.
        start: Seconds from the recording's start.
    """

    place: str
    id: str
    said: dict[str, str]
    signal: NDArray[np.float64]
    start: float


def row_id(row: int, signal: NDArray[np.float64]) -> str:
    """Return an id for a row without one that rows of other data do not have."""
    return f"row {row:07d} {hashlib.blake2b(signal.tobytes(), digest_size=4).hexdigest()}"


def _reads(signal: NDArray[np.floating], scale: float) -> Callable[[int, int], NDArray[np.float64]]:
    """Return a function that reads parts of a signal (n_chans, time) in µV."""
    return lambda first, last: signal[:, first:last].astype(np.float64) * scale


@dataclass(frozen=True)
class _Samples:
    """Consecutive rows with one id."""

    id: str
    first: int
    times: NDArray[np.float64]
    said: dict[str, Sequence[str]]
    signal: NDArray[np.float64]


def _by_id(path: Path, settings: SignalSettings, layout: tables.Layout) -> Iterator[_Samples]:
    """Yield the rows of a table of one row a sample, in runs of one id."""
    key = "id" if settings.id else "recording"
    for some in tables.rows(path, settings, layout):
        ids = np.array(some.said[key], np.str_)
        times = np.array(tables.times_of(some.said["time"], path, some.first, settings))
        bounds = [0, *(np.flatnonzero(ids[1:] != ids[:-1]) + 1).tolist(), len(ids)]
        signal = np.asarray(some.signal)
        for a, b in itertools.pairwise(bounds):
            if a < b:
                said = {name: values[a:b] for name, values in some.said.items()}
                yield _Samples(str(ids[a]), some.first + a, times[a:b], said, signal[a:b])
