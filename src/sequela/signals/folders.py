"""Folders of files of recordings, plain or in BIDS layout, and the attributes of each file."""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, groupby, islice
from os.path import commonprefix
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from sequela.config import SignalSettings
from sequela.errors import DataError, DataNotFoundError, SettingError, form_of
from sequela.formats.arrays import few
from sequela.formats.csv_files import Format
from sequela.signals import csv_recordings, mne_recordings, seizure_lists
from sequela.signals.channels import Montage, canonical, to_microvolts, without
from sequela.signals.edf import SUFFIXES, EdfFile
from sequela.signals.stretches import RecordingIds, SampledFile, Stretch, filtered, no_subjects
from sequela.signals.window_classes import Classes, Event, check_inside, counted

SignalFile: TypeAlias = EdfFile | SampledFile
"""A file of one recording, opened; what both have is all that is known of it from here on."""
PARTICIPANTS = "participants.tsv"
BIDS = "bids"
ANNOTATIONS = "annotations"
# The usual names of the columns of a table of events, the most certain first.
_COLUMNS: Mapping[str, Sequence[str]] = {
    "file": ("file", "filename", "file_name", "recording", "edf"),
    "onset": ("onset", "start", "starttime", "start_time", "begin", "tstart"),
    "duration": ("duration", "seconds"),
    "end": ("end", "stop", "stop_time", "endtime", "end_time", "tend"),
    "label": (
        "label", "trial_type", "eventtype", "event_type", "event", "type", "description", "stage",
    ),
}  # fmt: skip
_NO_NUMBER = ("", "n/a", "none", "nan")
_FOLDER = "folder"  # declaration of an attribute that is the name of the file's folder
_HEADER = "header"  # declaration of a subject that is the patient of the file's header
_SUBJECT = re.compile(r"(?:^|/)(sub-[0-9A-Za-z]+)(?=[/_])")
NAMED = 10  # least count of a label that notes and messages name: rarer ones may be free text
EXPECTED = "EDF, BDF, FIF, BrainVision (.vhdr) or EEGLAB (.set) files, or a csv file of each"
# The names of channels with other signals, and of columns without one.
_NO_EEG = re.compile(
    r"ECG|EKG|EMG|EOG|RESP|SPO2|TEMP|PULSE|PHOTIC|STATUS|MARK|EVENT|TRIG|^HR$|^MK$|^DC[0-9]*$|"
    r"AUX|ACC|GYR|LABEL|CLASS|STAGE|TARGET|^Y$|^ID$|SUBJECT|PATIENT|SESSION|INDEX|COUNTER|^SAMPLE|^EPOCH"
)


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
    binary, texts = [], []
    for path in sorted(root.rglob("*")):
        inside = path.relative_to(root)
        hidden = any(part.startswith(".") or part == "derivatives" for part in inside.parts)
        if hidden or inside.as_posix() in (settings.listing, settings.events):
            continue
        if _is_binary(path):
            binary.append(path)
        elif csv_recordings.is_csv(path):
            texts.append(path)
    # Next to other recordings, csv files are usually tables about them.
    if not binary:
        return texts if _are_recordings(texts, settings) else []
    kinds = {path.suffix.lower() in SUFFIXES: path for path in binary}
    starts = zip(texts, map(csv_recordings.start_of, texts), strict=True)
    recorded = (path for path, start in starts if start.is_timed and start.is_recorded)
    several = [*kinds.values(), *islice(recorded, 1)]
    if len(several) > 1:
        raise DataError(
            f"{root}: recordings of several formats ({several[0].name}, {several[1].name}); "
            "expected one format; move the others to another folder"
        )
    return binary


def _are_recordings(texts: Sequence[Path], settings: SignalSettings) -> bool:
    """Return whether most csv files are a recording each, not tables of segments."""
    if settings.samples or settings.id:
        return False
    if len(texts) > 1 and (settings.rate or settings.time or settings.listing):
        return True
    starts = [csv_recordings.start_of(path) for path in texts]
    n_listings = sum(start.lists_files for start in starts)
    return sum(start.is_recorded for start in starts) * 2 > len(texts) - n_listings


@dataclass(frozen=True)
class Folder:
    """The recordings in a folder, with their events."""

    files: tuple[SignalFile, ...]  # in the order of their names
    events: tuple[tuple[Event, ...], ...]  # of each file
    ids: tuple[RecordingIds, ...]  # of each file; its recording is its path by default
    settings: SignalSettings  # with the classes that the source of events implies
    classes: Classes | None  # None if events are not read
    channels: tuple[str, ...]

    @classmethod
    def open(cls, root: Path, settings: SignalSettings, *, labelled: bool = True) -> "Folder":
        """Read all headers and events."""
        people = participants(root)
        if labelled and people is not None and settings.events is None and settings.label is None:
            settings = settings.model_copy(update={"events": BIDS})
        if settings.events in seizure_lists.SOURCES and not settings.classes:
            classes = (settings.background or "background", seizure_lists.SEIZURE)
            changes = {"classes": classes, "background": classes[0]}
            settings = settings.model_copy(update=changes)
        files = headers(root, settings)
        rows = listing(root, settings, {_name(root, file.path): file.path for file in files})
        unknown = settings.label is None and settings.events is None
        if labelled and unknown and not any(file.labelled for file in files):
            raise SettingError(
                f"{root}: the class of a window is unknown; name the source of events with "
                "--events, or give --label: a column, `folder`, or a regular expression"
            )
        events_beside = events_of(root, files, settings)
        ids, events = [], []
        for file in files:
            name = _name(root, file.path)
            row, subject = rows.get(name, {}), None
            if people is not None:
                subject = bids_subject(root, file.path, people)
                row = people[subject] | row
            attribute = partial(attribute_of, root, file, settings, row)
            subject = attribute("subject") or subject
            recording = attribute("recording") or name
            ids.append(RecordingIds(recording, subject, attribute("site"), attribute("session")))
            if labelled and file.labelled:
                events.append(tuple(file.annotations))
            elif label := attribute("label"):
                events.append((Event(0.0, file.seconds, label),))
            else:
                events.append(tuple(events_beside[name]))
            check_inside(events[-1], file.seconds, str(file.path))
        labels = [event.label for event in chain.from_iterable(events)]
        return cls(
            files=tuple(files),
            events=tuple(events),
            ids=tuple(ids),
            settings=settings,
            classes=_classes(root, settings, labels) if labelled else None,
            channels=without(settings.reference, settings.channels or common(files)),
        )

    def stretches(self, report: Callable[[float | None], None]) -> Iterator[Stretch]:
        """Yield the signal of each file, piece by piece where it has gaps.

        A recording may consist of successive files.
        """
        seconds: dict[str, float] = defaultdict(float)
        parts = zip(self.files, self.events, self.ids, strict=True)
        for number, (file, events, ids) in enumerate(parts, 1):
            reference = self.settings.reference
            montage = Montage(self.channels, file.labels, str(file.path), reference)
            for piece in stretches_of(file, montage, self.settings):
                yield replace(
                    piece,
                    ids=ids,
                    offset=seconds[ids.recording] + piece.offset,
                    events=[replace(e, onset=e.onset - piece.offset) for e in events],
                    classes=self.classes,
                )
            seconds[ids.recording] += file.seconds
            report(number / len(self.files))

    def classes_of_numbers(self) -> tuple[tuple[str, ...], NDArray[np.int64]]:
        """Return the names of the classes, which have their final numbers."""
        names = self.classes.names if self.classes else ()
        return names, np.arange(len(names))

    def notes(self, processing: Sequence[str]) -> list[str]:
        """Return sentences on the data, and on their processing."""
        notes = [*self.settings.in_words]
        if all(ids.subject is None for ids in self.ids):
            sessions = any(ids.session is not None for ids in self.ids)
            notes.append(no_subjects("session" if sessions else "recording"))
        classes = self.classes or Classes((), {}, frozenset())
        events = [*chain.from_iterable(self.events)]
        expected = {*classes.numbers, *classes.omitted}
        if unused := [event.label for event in events if event.label not in expected]:
            notes.append(f"events of no class are not used: {counted(unused, NAMED)}")
        if n_endless := sum(e.duration is None and e.label in classes.numbers for e in events):
            notes.append(
                f"{n_endless:,} events have no end: the rest of their recordings is left out"
            )
        if n_gaps := n_gaps_of(self.files):
            notes.append(f"{n_gaps:,} gaps in time; no window spans one")
        if any(file.assumed for file in self.files):
            notes.append("no unit is declared: the samples are assumed to be in µV")
        if not self.settings.channels:
            notes.append(f"the channels are those that all files have: {', '.join(self.channels)}")
        return [*notes, *processing]


def stretches_of(
    file: SignalFile,
    montage: Montage,
    settings: SignalSettings,
    remedy: str = "give it with --unit, or name other channels",
) -> Sequence[Stretch]:
    """Return the filtered signal of some channels of a file, piece by piece where it has gaps.

    ``settings`` have the unit of channels whose unit is not a voltage.
    """
    rates = {file.rate(signal) for signal in montage.needs}
    if len(rates) > 1:
        listed = ", ".join(f"{file.labels[i]} {file.rate(i):g} Hz" for i in montage.needs[:6])
        raise DataError(
            f"{file.path}: the channels have different rates ({listed}); expected one; name "
            "channels of one rate with --channels"
        )
    scales = []
    for signal in montage.needs:
        scale = to_microvolts(file.units[signal]) or to_microvolts(settings.unit or "")
        if scale is None:
            raise DataError(
                f"{file.path}: channel {file.labels[signal]} is in '{file.units[signal]}'; "
                f"expected a voltage; {remedy}"
            )
        scales.append(scale)
    factors = np.array(scales, np.float64)[:, np.newaxis]
    samples = file.reader(montage.needs)

    def read(begin: int, first: int, last: int) -> NDArray[np.float64]:
        return montage.apply(samples(begin + first, begin + last) * factors)

    sfreq = rates.pop()
    stretches = [
        Stretch(
            place=str(file.path),
            ids=RecordingIds(file.path.name),
            sfreq=sfreq,
            n_times=piece.last - piece.first,
            n_chans=len(montage.names),
            read=partial(read, piece.first),
            offset=piece.start,
            notes=montage.notes,
        )
        for piece in file.pieces_of(montage.needs[0])
    ]
    return filtered(stretches, settings)


def n_gaps_of(files: Sequence[SignalFile]) -> int:
    """Return the number of gaps in time in files."""
    return sum(len(file.pieces_of(0)) - 1 for file in files)


def _classes(root: Path, settings: SignalSettings, labels: Sequence[str]) -> Classes:
    """Return the declared classes, or those of all labels if these are not of events."""
    if settings.classes or settings.events is None:
        return Classes.of(settings, labels)
    raise SettingError(
        f"{root}: the events that are classes are unknown (found: {counted(labels, NAMED)}); "
        "name them with --classes, and windows without one with --background (`sequela data "
        "describe` lists all labels)"
    )


def headers(root: Path, settings: SignalSettings) -> list[SignalFile]:
    """Read the headers of the recordings at a path."""
    files = files_of(root, settings)
    if not files:
        raise DataNotFoundError(f"{root}: no recording; expected {EXPECTED}; name another --root")
    for path in files:
        if csv_recordings.is_csv(path) and csv_recordings.start_of(path).lists_files:
            raise SettingError(
                f"{path}: a table of files, next to recordings; name it with --listing, or with "
                "--events, or move it to another folder"
            )
    opened = [_opened(path, settings) for path in files]
    by_name: dict[str, SignalFile] = {}
    for file in opened:
        name = _name(root, file.path)
        first = by_name.setdefault(name, file)
        if first is not file:
            raise DataError(
                f"{file.path}: a second file of the recording {name}, next to {first.path.name}; "
                "expected one; remove or rename one of them"
            )
    annotations = [file for file in opened if isinstance(file, EdfFile) and not file.labels]
    recordings = [_annotated(file, annotations) for file in opened if file.labels]
    if not recordings:
        raise DataError(f"{root}: no file has a signal; expected recordings, not only annotations")
    return recordings


def _annotated(file: SignalFile, annotations: Sequence[EdfFile]) -> SignalFile:
    """Return a recording with the file of annotations that belongs to it, if there is one."""
    if not isinstance(file, EdfFile):
        return file
    # Sleep-EDF's SC4001EC-Hypnogram.edf belongs to SC4001E0-PSG.edf: next to it, from the same
    # start on, with the name that begins most alike.
    beside = [
        candidate
        for candidate in annotations
        if candidate.path.parent == file.path.parent and candidate.start == file.start
    ]
    if not beside:
        return file
    name = file.path.name
    closest = max(beside, key=lambda candidate: len(commonprefix([candidate.path.name, name])))  # noqa: RUF071
    return replace(file, annotated_by=closest)


def _opened(path: Path, settings: SignalSettings) -> SignalFile:
    if csv_recordings.is_csv(path):
        return csv_recordings.open_csv(path, settings)
    if mne_recordings.is_mne(path):
        return mne_recordings.open_mne(path)
    return EdfFile.open(path)


def _name(root: Path, path: Path) -> str:
    """Return the path of a file in the folder, without its suffix."""
    inside = path.relative_to(root if root.is_dir() else root.parent)
    return inside.with_name(re.sub(r"(\.[^.]+?)(\.gz)?$", "", inside.name)).as_posix()


def events_of(
    root: Path, files: Sequence[SignalFile], settings: SignalSettings
) -> dict[str, list[Event]]:
    """Read the events of each recording, by its name."""
    where = settings.events
    names = {_name(root, file.path): file for file in files}
    if where is None:
        return {name: [] for name in names}
    if where == ANNOTATIONS:
        return {name: [*file.annotations] for name, file in names.items()}
    if where == BIDS:
        return {name: _events_of_bids(file.path) for name, file in names.items()}
    if where in seizure_lists.SOURCES:
        events: dict[str, list[Event]] = {}
        for _, some in groupby(files, key=lambda file: file.path.parent):
            in_folder = {file.path.name: file for file in some}
            seizures = seizure_lists.seizures_of(where, in_folder)
            events |= {_name(root, file.path): seizures[name] for name, file in in_folder.items()}
        return events
    place = (root if root.is_dir() else root.parent) / where
    aliases = {}
    for name, file in names.items():
        aliases[name] = {name, file.path.name, file.path.stem}
        if file.path.is_relative_to(place.parent):
            aliases[name].add(file.path.relative_to(place.parent).as_posix())
    return events_by_recording(place, aliases)


def _seconds(text: str, place: str, what: str, *, none: bool = False) -> float | None:
    if none and text.strip().lower() in _NO_NUMBER:
        return None
    try:
        return float(text)
    except ValueError as error:
        raise DataError(
            f"{place}: the {what} is of the form {form_of(text)}; expected seconds, as a number "
            "with a point"
        ) from error


def events_in(place: Path) -> list[tuple[str, Event, str]]:
    """Read the events of a csv or tsv table: the file of each (empty if none), it, its line."""
    expected = "a table of events with onset, duration (or end) and label"
    header, rows, form = csv_recordings.small_table(place)
    names = {name.lower(): name for name in header}
    columns: dict[str, str] = {}
    for key, aliases in _COLUMNS.items():
        if usual := [name for name in aliases if name in names]:
            columns[key] = names[usual[0]]
        elif key in ("onset", "label"):
            raise DataError(
                f"{place} line 1: no column {key} (found: {', '.join(names)}); expected {expected}"
            )
    events = []
    for where, row in rows:
        cell = {key: row[columns[key]] if key in columns else "" for key in _COLUMNS}
        onset = _seconds(form.plain(cell["onset"], "number"), where, "onset") or 0.0
        duration = _seconds(form.plain(cell["duration"], "number"), where, "duration", none=True)
        end = _seconds(form.plain(cell["end"], "number"), where, "end", none=True)
        if duration is None and end is not None:
            duration = end - onset
        if duration is not None and duration < 0:
            raise DataError(f"{where}: the event ends before it begins; expected an end after it")
        events.append((cell["file"], Event(onset, duration, cell["label"]), where))
    return events


def events_by_recording(place: Path, files: Mapping[str, Iterable[str]]) -> dict[str, list[Event]]:
    """Read the events of one table, by recording, each of which may have several names."""
    recordings: dict[str, str] = {}
    for recording, names in files.items():
        recordings |= dict.fromkeys(names, recording)
    events: dict[str, list[Event]] = {recording: [] for recording in files}
    for name, event, where in events_in(place):
        key = recordings.get(name)
        if key is None and not name and len(files) == 1:
            (key,) = files
        if key is None:
            raise DataError(
                f"{where}: an event of a recording that is not here; expected a column file with "
                f"the name of one, such as {next(iter(files))}"
            )
        events[key].append(event)
    return events


def place_of_bids(path: Path) -> Path:
    """Return the path of a recording's events in BIDS."""
    return path.with_name(f"{path.stem.removesuffix('_eeg')}_events.tsv")


def _events_of_bids(path: Path) -> list[Event]:
    """Read the events of a recording of a BIDS folder."""
    place = place_of_bids(path)
    if not place.exists():
        raise DataError(
            f"{path}: no {place.name} next to it: expected the events of each recording there; add "
            "it, or name another source with --events"
        )
    return [event for _, event, _ in events_in(place)]


def common(files: Sequence[SignalFile]) -> tuple[str, ...]:
    """Return the EEG channels that all files have, in the order of the first."""
    counts = Counter(chain.from_iterable(set(_eeg(file)) for file in files))
    channels = dict.fromkeys(name for name in _eeg(files[0]) if counts[name] == len(files))
    if not channels:
        raise DataError(
            f"{files[0].path.parent}: no channel of EEG is in all files; name some with --channels"
        )
    return tuple(channels)


def _eeg(file: SignalFile) -> list[str]:
    """Return the names of channels that hold a voltage, and by their name are EEG."""
    return [
        name
        for label, unit in zip(file.labels, file.units, strict=True)
        if to_microvolts(unit) and (name := canonical(label)) and not _NO_EEG.search(name)
    ]


def participants(root: Path) -> dict[str, dict[str, str]] | None:
    """Read the rows of ``participants.tsv`` by id; ``None`` if the folder is not in BIDS layout."""
    place = root / PARTICIPANTS
    if not root.is_dir() or not place.exists():
        return None
    names, rows, _ = csv_recordings.small_table(place)
    if "participant_id" not in names:
        raise DataError(
            f"{place} line 1: no column participant_id (found: {few(names)}); expected it"
        )
    return {row["participant_id"]: row for _, row in rows}


def bids_subject(root: Path, path: Path, people: Mapping[str, object]) -> str:
    """Return the subject of a BIDS file, by its path."""
    name = path.relative_to(root).as_posix()
    subjects: set[str] = {*_SUBJECT.findall(name)}
    if len(subjects) != 1:
        several = " and ".join(sorted(subjects)) or "no subject"
        raise DataError(f"{path}: the path names {several}; expected one, such as sub-01/...")
    (subject,) = subjects
    if subject not in people:
        raise DataError(
            f"{path}: {subject} is not in {PARTICIPANTS}: expected a line for each subject; add it"
        )
    return subject


def listing(
    root: Path, settings: SignalSettings, files: Mapping[str, Path]
) -> dict[str, dict[str, str]]:
    """Read the rows of a table that lists the files of a folder, by the name of the recording."""
    if settings.listing is None:
        return {}
    place = (root if root.is_dir() else root.parent) / settings.listing
    if not place.is_file():
        raise DataNotFoundError(f"{place} does not exist; expected the table of files (listing)")
    names, rows, _ = csv_recordings.small_table(place, Format.of(settings.format).encoding)
    column = next((name for name in names if name.lower() in csv_recordings.FILE), None)
    if column is None:
        raise DataError(
            f"{place} line 1: no column file or name (found: {few(names)}); expected the name "
            "of each file there"
        )
    recordings: dict[str, str] = {}
    for name, path in files.items():
        recordings |= dict.fromkeys((name, path.name, path.stem), name)
    listed: dict[str, dict[str, str]] = {}
    for where, row in rows:
        recording = recordings.get(row[column])
        if recording is None:
            raise DataError(
                f"{where}: no file '{row[column]}' in the folder; expected one, such as "
                f"{next(iter(files))}; delete the line, or correct it"
            )
        if recording in listed:
            raise DataError(
                f"{where}: the file '{row[column]}' again; expected each once; delete one of "
                "the lines"
            )
        listed[recording] = row
    if missing := [name for name in files if name not in listed]:
        raise DataError(
            f"{place}: no line for {few(missing)}; expected one for each file; add it, or move the "
            "file to another folder"
        )
    return listed


def attribute_of(
    root: Path, file: SignalFile, settings: SignalSettings, row: Mapping[str, str], key: str
) -> str | None:
    """Return a declared attribute of a file: by a table, its column, folder, header or path.

    ``row`` is its row in a table of files or of participants.
    """
    how = getattr(settings, key)
    if how is None:
        return None
    if how in row:
        if not row[how]:
            raise DataError(
                f"{file.path}: the table of files has nothing in column {how}; expected its {key}"
            )
        return row[how]
    if key in file.attributes:
        return file.attributes[key]
    inside = file.path.relative_to(root if root.is_dir() else root.parent)
    if how == _FOLDER:
        if len(inside.parts) < 2:  # noqa: PLR2004
            raise DataError(
                f"{file.path}: is not in its own folder, and {key} is declared as its name; "
                "expected FOLDER/FILE"
            )
        return inside.parts[0]
    if how == _HEADER and key == "subject":
        if not file.patient:
            raise DataError(
                f"{file.path}: the header names no patient, and {key} is declared to be there; "
                "find it in the path, with a regular expression"
            )
        return file.patient
    return _in_path(inside.as_posix(), file, key, how, row)


def _in_path(inside: str, file: SignalFile, key: str, how: str, row: Mapping[str, str]) -> str:
    """Return what a regular expression finds in the path of a file."""
    try:
        match = re.search(how, inside)
    except re.error as error:
        raise SettingError(
            f"{key} is '{how}', which is not a regular expression ({error}); correct it"
        ) from error
    if match is None or not match.re.groups or not match[1]:
        columns = [*row] if row else [] if isinstance(file, EdfFile) else [*file.labels]
        no_column = f", and there is no such column (found: {few(columns)})" if columns else ""
        raise DataError(
            f"{file.path}: its path has no {key} as '{how}' finds it{no_column}; expected a group "
            f'that matches, or {key} = "folder"'
        )
    return match[1]
