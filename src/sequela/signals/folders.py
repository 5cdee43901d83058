"""Folders of files of recordings, plain or in BIDS layout."""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby, islice
from os.path import commonprefix
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sequela.config import SignalSettings
from sequela.errors import DataError, DataNotFoundError, SettingError
from sequela.signals import csv_recordings, event_files, mne_recordings, siena
from sequela.signals.channels import Montage, canonical, to_microvolts, without
from sequela.signals.cutting import Cutter, Stretch, filtered, no_subjects
from sequela.signals.declaration import Classes
from sequela.signals.edf import SUFFIXES, EdfFile
from sequela.signals.events import Event, check_inside, counted
from sequela.signals.sampled import SignalFile
from sequela.signals.segments import Segments, Shelf
from sequela.signals.whose import PARTICIPANTS, bids_subject, listing, of_path, participants
from sequela.signals.windows import Whose

_BACKGROUND = "background"
NAMED = 10
"""The least count of a label that notes and messages name: rarer ones may be free text."""
EXPECTED = "EDF, BDF, FIF, BrainVision (.vhdr) or EEGLAB (.set) files, or a csv file of each"
_NO_EEG = re.compile(
    r"ECG|EKG|EMG|EOG|RESP|SPO2|TEMP|PULSE|PHOTIC|STATUS|MARK|EVENT|TRIG|^HR$|^MK$|^DC[0-9]*$|"
    r"AUX|ACC|GYR|LABEL|CLASS|STAGE|TARGET|^Y$|^ID$|SUBJECT|PATIENT|SESSION|INDEX|COUNTER|^SAMPLE|^EPOCH"
)
"""The names of channels with other signals, and of columns without one."""


def is_recording(path: Path, settings: SignalSettings | None = None) -> bool:
    """Return whether a file has the name of a recording, or is a csv file of one."""
    if path.is_file() and csv_recordings.is_csv(path):
        return _are_recordings([path], settings or SignalSettings())
    return path.is_file() and _is_binary(path)


def has_recordings(path: Path, settings: SignalSettings | None = None) -> bool:
    """Return whether a folder, or a subfolder, holds recordings, or is in BIDS layout."""
    if not path.is_dir():
        return False
    return (path / PARTICIPANTS).exists() or bool(files_of(path, settings or SignalSettings()))


def _is_binary(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES or mne_recordings.is_mne(path)


def files_of(root: Path, settings: SignalSettings) -> list[Path]:
    """List the recordings at a path, sorted, without hidden folders and derivatives."""
    if root.is_file():
        return [root]
    inside = sorted(
        each
        for each in root.rglob("*")
        if (_is_binary(each) or csv_recordings.is_csv(each))
        and each.relative_to(root).as_posix() not in (settings.listing, settings.events)
        and not any(
            part.startswith(".") or part == "derivatives" for part in each.relative_to(root).parts
        )
    )
    binary = [each for each in inside if _is_binary(each)]
    texts = [each for each in inside if each not in {*binary}]
    kinds = {each.suffix.lower() in SUFFIXES: each for each in binary}
    timed = (e for e in texts if csv_recordings.time_of(csv_recordings.first_rows(e)[0]))
    recorded = filter(csv_recordings.looks_recorded, timed) if binary else ()
    several = [*kinds.values(), *islice(recorded, 1)]
    if len(several) > 1:
        raise DataError(
            f"{root}: recordings of several formats ({several[0].name}, {several[1].name}); "
            "expected one format; move the others to another folder"
        )
    return binary or (texts if _are_recordings(texts, settings) else [])


def _are_recordings(texts: Sequence[Path], settings: SignalSettings) -> bool:
    """Return whether most csv files are a recording each, not tables of segments."""
    if settings.samples or settings.id:
        return False
    if len(texts) > 1 and (settings.rate or settings.time or settings.listing):
        return True
    recorded = [each for each in texts if csv_recordings.looks_recorded(each)]
    listed = [each for each in texts if csv_recordings.lists_files(each)]
    return len(recorded) * 2 > len(texts) - len(listed)


def read(root: Path, cutter: Cutter, shelf: Shelf, title: str) -> Segments:
    """Cut the recordings in a folder into windows."""
    folder = Folder.open(root, cutter.settings)
    epochs = all(each.file.epochs for each in folder.recordings)
    if cutter.settings.window is None and cutter.segment is None and not epochs:
        raise SettingError(
            f"{root}: the length of a window is unknown; give --window, in seconds, such as 4"
        )
    for note in folder.notes:
        cutter.note(note)
    declared = cutter.settings
    cutter.settings = folder.settings  # with the classes from the source of events
    for recording in folder.recordings:
        _cut(recording, folder, cutter, folder.classes)
    cutter.settings = declared
    return shelf.windows(folder.classes.names, folder.channels, title, cutter.notes)


def cut_all(root: Path, cutter: Cutter, done: Callable[[float], None]) -> None:
    """Cut all recordings in a folder into windows without a class; events are not read."""
    folder = Folder.open(root, cutter.settings, classes=Classes((), {}, frozenset()))
    for note in folder.notes:
        cutter.note(note)
    for number, recording in enumerate(folder.recordings, 1):
        _cut(recording, folder, cutter, None)
        done(number / len(folder.recordings))


@dataclass(frozen=True)
class FileRecording:
    """A file, with its events and recording.

    Attributes:
        file: Its header and samples.
        events: The events in it.
        whose: Its recording (by default its path), with subject, site and session.
        offset: Seconds from the recording's start to the file's: a recording may consist of
            successive files.
    """

    file: SignalFile
    events: tuple[Event, ...]
    whose: Whose
    offset: float


@dataclass(frozen=True)
class Folder:
    """The content of a folder of recordings.

    Attributes:
        recordings: In the order of their names.
        settings: The declaration, with the classes that the source of events implies.
        channels: The channels to read from each.
    """

    recordings: tuple[FileRecording, ...]
    settings: SignalSettings
    classes: Classes
    channels: tuple[str, ...]
    notes: tuple[str, ...]

    @classmethod
    def open(cls, root: Path, settings: SignalSettings, classes: Classes | None = None) -> "Folder":
        """Read all headers and events."""
        people = participants(root)
        bids = people is not None
        labelled = classes is None
        if labelled and bids and settings.events is None and settings.label is None:
            settings = settings.model_copy(update={"events": event_files.BIDS})
        files, beside = headers(root, settings)
        rows = listing(root, settings, {_name(root, each.path): each.path for each in files})
        own_classes = any(each.labelled for each in files)
        if labelled and not own_classes and settings.label is None and settings.events is None:
            raise SettingError(
                f"{root}: the class of a window is unknown; name the source of events with "
                "--events, or give --label: a column, `folder`, or a regular expression"
            )
        if settings.events in event_files.OF_SEIZURES and not settings.classes:
            names = (settings.background or _BACKGROUND, event_files.SEIZURE)
            settings = settings.model_copy(update={"classes": names, "background": names[0]})
        events = events_of(root, files, beside, settings)
        seconds: dict[str, float] = defaultdict(float)
        found = []
        for file in files:
            name = _name(root, file.path)
            in_file = labelled and file.labelled
            said = {
                key: of_path(root, file, key, getattr(settings, key), people, rows.get(name))
                for key in (*Whose._fields, *(() if in_file else ("label",)))
            }
            if bids and said["subject"] is None:
                said["subject"] = bids_subject(root, file.path, people)
            own = [*file.annotations] if in_file else events[name]
            if label := said.get("label"):
                own = [Event(0.0, file.seconds, label)]
            check_inside(own, file.seconds, str(file.path))
            of = said["recording"] or name
            whose = Whose(of, said["subject"], said["site"], said["session"])
            found.append(FileRecording(file, tuple(own), whose, seconds[of]))
            seconds[of] += file.seconds
        labels = [event.label for each in found for event in each.events]
        classes = classes or _classes(root, settings, labels)
        channels = without(settings.reference, settings.channels or common(files))
        notes = _notes(found, classes, () if settings.channels else channels)
        return cls(tuple(found), settings, classes, channels, tuple(notes))


def _notes(
    found: Sequence[FileRecording], classes: Classes, chosen: Sequence[str]
) -> Iterator[str]:
    if all(each.whose.subject is None for each in found):
        sessions = any(each.whose.session is not None for each in found)
        yield no_subjects("session" if sessions else "recording")
    events = [event for each in found for event in each.events]
    known = {*classes.found, *classes.omitted}
    if other := [event.label for event in events if event.label not in known]:
        yield f"events of no class are not used: {counted(other, NAMED)}"
    if endless := sum(each.duration is None and each.label in classes.found for each in events):
        yield f"{endless:,} events have no end: the rest of their recordings is left out"
    if n_gaps := sum(len(each.file.pieces) - 1 for each in found if not each.file.epochs):
        yield f"{n_gaps:,} gaps in time; no window spans one"
    if any(each.file.assumed for each in found):
        yield "no unit is declared: the samples are assumed to be in µV"
    if chosen:
        yield f"the channels are those that all files have: {', '.join(chosen)}"


def _classes(root: Path, settings: SignalSettings, labels: Sequence[str]) -> Classes:
    if settings.classes or settings.events is None:
        return Classes.of(settings, labels)
    raise SettingError(
        f"{root}: the events that are classes are unknown (found: {counted(labels, NAMED)}); "
        "name them with --classes, and windows without one with --background (`sequela data "
        "describe` lists all labels)"
    )


def headers(root: Path, settings: SignalSettings) -> tuple[list[SignalFile], list[SignalFile]]:
    """Read the headers of files with signals, and of those that hold only annotations."""
    files = files_of(root, settings)
    if not files:
        raise DataNotFoundError(f"{root}: no recording; expected {EXPECTED}; name another --root")
    if tables := [e for e in files if csv_recordings.is_csv(e) and csv_recordings.lists_files(e)]:
        raise SettingError(
            f"{tables[0]}: a table of files, next to recordings; name it with --listing, or with "
            "--events, or move it to another folder"
        )
    found = [_opened(each, settings) for each in files]
    seen: dict[str, SignalFile] = {}
    for each in found:
        if (other := seen.setdefault(_name(root, each.path), each)) is not each:
            raise DataError(
                f"{each.path}: a second file of the recording {_name(root, each.path)}, next to "
                f"{other.path.name}; expected one; remove or rename one of them"
            )
    signals = [each for each in found if each.signals]
    if not signals:
        raise DataError(f"{root}: no file has a signal; expected recordings, not only annotations")
    return signals, [each for each in found if not each.signals]


def _opened(path: Path, settings: SignalSettings) -> SignalFile:
    if csv_recordings.is_csv(path):
        return csv_recordings.open_csv(path, settings)
    if mne_recordings.is_mne(path):
        return mne_recordings.open_mne(path, settings)
    return EdfFile.open(path)


def _name(root: Path, path: Path) -> str:
    """Return the path of a file in the folder, without its suffix."""
    inside = path.relative_to(root if root.is_dir() else root.parent)
    return inside.with_name(re.sub(r"(\.[^.]+?)(\.gz)?$", "", inside.name)).as_posix()


def events_of(
    root: Path,
    headers: Sequence[SignalFile],
    beside: Sequence[SignalFile],
    settings: SignalSettings,
) -> dict[str, list[Event]]:
    """Read the events of each recording, by its name."""
    where = settings.events
    names = {_name(root, each.path): each for each in headers}
    if where is None:
        return {name: [] for name in names}
    if where == event_files.ANNOTATIONS:
        return {
            name: [*each.annotations, *_hypnogram(each, beside)] for name, each in names.items()
        }
    if where == event_files.BIDS:
        return {name: event_files.of_bids(each.path) for name, each in names.items()}
    if where == event_files.SEIZEIT:
        return {name: event_files.of_seizeit(each.path) for name, each in names.items()}
    if where in (event_files.SUMMARY, event_files.SIENA):
        found: dict[str, list[Event]] = {}
        for folder, some in groupby(headers, key=lambda each: each.path.parent):
            files = {each.path.name: each for each in some}
            pattern, listed = event_files.SUMMARIES, event_files.of_summary
            if where == event_files.SIENA:
                pattern, listed = siena.PATTERN, partial(siena.of_list, files=files)
            events = event_files.of_lists(folder, [*files], pattern, listed)
            found |= {_name(root, each.path): events[name] for name, each in files.items()}
        return found
    place = (root if root.is_dir() else root.parent) / where
    called = {
        name: {name, each.path.name, each.path.stem, each.path.relative_to(place.parent).as_posix()}
        if each.path.is_relative_to(place.parent)
        else {name, each.path.name, each.path.stem}
        for name, each in names.items()
    }
    return event_files.of_table(place, called)


def _hypnogram(file: SignalFile, beside: Sequence[SignalFile]) -> tuple[Event, ...]:
    """Return the annotations for this file in a file without signals.

    Sleep-EDF has such files: they are next to the recording, start when it does, and their names
    begin alike.
    """
    same = [
        each for each in beside if each.path.parent == file.path.parent and each.start == file.start
    ]
    if not same:
        return ()
    alike = [len(commonprefix([each.path.name, file.path.name])) for each in same]  # noqa: RUF071
    return same[alike.index(max(alike))].annotations


def common(headers: Sequence[SignalFile]) -> tuple[str, ...]:
    """Return the EEG channels that all files have, in the order of the first."""
    counts = Counter(name for each in headers for name in set(_eeg(each)))
    found = dict.fromkeys(name for name in _eeg(headers[0]) if counts[name] == len(headers))
    if not found:
        raise DataError(
            f"{headers[0].path.parent}: no channel of EEG is in all files; name some with "
            "--channels"
        )
    return tuple(found)


def _eeg(file: SignalFile) -> list[str]:
    """Return the names of channels that hold a voltage, and by their name are EEG."""
    return [
        name
        for i in file.signals
        if to_microvolts(file.units[i])
        and (name := canonical(file.labels[i]))
        and not _NO_EEG.search(name)
    ]


def _cut(recording: FileRecording, folder: Folder, cutter: Cutter, classes: Classes | None) -> None:
    file = recording.file
    settings, there = cutter.settings, [file.labels[i] for i in file.signals]
    montage = Montage(folder.channels, there, str(file.path), settings.reference)
    for note in montage.notes:
        cutter.note(note)
    for piece in stretches_of(file, montage, settings):
        events = [replace(e, onset=e.onset - piece.offset) for e in recording.events]
        offset = recording.offset + piece.offset
        cutter.stretch(replace(piece, whose=recording.whose, offset=offset), events, classes)
    csv_recordings.samples.cache_clear()


def stretches_of(
    file: SignalFile,
    montage: Montage,
    settings: SignalSettings,
    remedy: str = "give it with --unit, or name other channels",
) -> Sequence[Stretch]:
    """Return the filtered signal of some channels of a file, piece by piece where it has gaps.

    Settings have the unit of channels whose unit is not a voltage.
    """
    needed = [file.signals[i] for i in montage.needs]
    rates = {file.rate(i) for i in needed}
    if len(rates) > 1:
        each = ", ".join(f"{file.labels[i]} {file.rate(i):g} Hz" for i in needed[:6])
        raise DataError(
            f"{file.path}: the channels have different rates ({each}); expected one; name channels "
            "of one rate with --channels"
        )
    scales = [to_microvolts(file.units[i]) or to_microvolts(settings.unit or "") for i in needed]
    for i, scale in zip(needed, scales, strict=True):
        if scale is None:
            raise DataError(
                f"{file.path}: channel {file.labels[i]} is in '{file.units[i]}'; expected a "
                f"voltage; {remedy}"
            )
    factors = np.array(scales, np.float64)[:, np.newaxis]

    def read(begin: int, first: int, last: int) -> NDArray[np.float64]:
        return montage.apply(file.read(needed, begin + first, begin + last) * factors)

    per_record, sfreq = file.samples[needed[0]], rates.pop()
    pieces = [
        Stretch(
            place=str(file.path),
            whose=Whose(file.path.name),
            sfreq=sfreq,
            n_times=(piece.last - piece.first) * per_record,
            n_chans=len(montage.names),
            read=partial(read, piece.first * per_record),
            offset=piece.start,
        )
        for piece in file.pieces
    ]
    return filtered(pieces, settings)
