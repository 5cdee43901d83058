"""Events in files next to recordings: tables, BIDS, and the lists of CHB-MIT, Siena and SeizeIT.

Siena has clock times, typed by hand: P. Detti, Siena Scalp EEG Database 1.0.0, PhysioNet (2020),
doi:10.13026/5d4a-j060. Each patient's folder has a ``Seizures-list-PN00.txt``; the onset of a
seizure is counted from the start in the header of its recording, because the starts in the lists
have errors.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from sequela.errors import DataError, form_of
from sequela.formats import opened
from sequela.signals.csv_recordings import small_table
from sequela.signals.edf import EdfFile
from sequela.signals.stretches import SignalFile
from sequela.signals.window_classes import Event

SEIZURE = "seizure"
SUMMARY = "summary"
SUMMARIES = "*-summary.txt"
SEIZEIT = "seizeit"
SIENA = "siena"
SIENA_LISTS = "Seizures-list-*.txt"
BIDS = "bids"
ANNOTATIONS = "annotations"
OF_SEIZURES = (SUMMARY, SIENA, SEIZEIT)  # sources whose events are always seizures
_COLUMNS: Mapping[str, Sequence[str]] = {
    "file": ("file", "filename", "file_name", "recording", "edf"),
    "onset": ("onset", "start", "starttime", "start_time", "begin", "tstart"),
    "duration": ("duration", "seconds"),
    "end": ("end", "stop", "stop_time", "endtime", "end_time", "tend"),
    "label": (
        "label", "trial_type", "eventtype", "event_type", "event", "type", "description", "stage",
    ),
}  # fmt: skip
"""The usual names of the columns of a table of events, the most certain first."""
_NO_NUMBER = ("", "n/a", "none", "nan")
_SUMMARY_NAME = re.compile(r"^File Name:\s*(\S.*?)\s*$", re.IGNORECASE)
_SUMMARY_TIME = re.compile(
    r"^Seizure(?:\s+\d+)?\s+(Start|End)\s+Time:\s*([0-9.]+)\s*sec", re.IGNORECASE
)
_SUMMARY_COUNT = re.compile(r"^Number of Seizures in File:\s*([0-9]+)", re.IGNORECASE)
_SIENA_NAME = re.compile(r"^\s*File name:\s*(\S+)", re.IGNORECASE)
_SIENA_NEXT = re.compile(r"^\s*Seizure n", re.IGNORECASE)
_SIENA_TIME = re.compile(r"^\s*(?:Seizure )?(start|end) time:(.*)$", re.IGNORECASE)
_CLOCK = re.compile(r"(\d{1,2})[.:](\d{2})[.:](\d{2})\s*(\([^)]*\))?")
_DAY = 86_400  # seconds of a day: a seizure after midnight is on the next
_LATE = 1.0
"""The seconds by which a seizure of Siena may end after its recording: lists have whole seconds."""


def of_lists(
    folder: Path, files: Mapping[str, SignalFile], *, siena: bool = False
) -> dict[str, list[Event]]:
    """Read the seizures in files of a folder, by name, from the lists of CHB-MIT or Siena in it."""
    pattern = SIENA_LISTS if siena else SUMMARIES
    places = sorted(folder.glob(pattern))
    if not places:
        raise DataError(
            f"{folder}: no {pattern}, and events are declared to be in one: expected it next to "
            f"{next(iter(files))}; put it there, or name another source with --events"
        )
    listed: dict[str, list[Event]] = {}
    for place in places:
        events = of_siena(place, files) if siena else of_summary(place)
        for name, seizures in events.items():
            listed.setdefault(name, []).extend(seizures)
    for name in files:
        if name not in listed:
            raise DataError(
                f"{places[0]}: no entry for {name}: expected 'File name: {name}' and its seizures; "
                "add it, or move the file elsewhere"
            )
    return listed


def of_summary(place: Path) -> dict[str, list[Event]]:
    """Read the seizures of each file that a summary of CHB-MIT lists."""
    seizures: dict[str, list[Event]] = {}
    counts: dict[str, int] = {}
    name, start = "", None
    for number, line in enumerate(opened.text(place, "a summary of CHB-MIT").splitlines(), 1):
        if match := _SUMMARY_NAME.match(line):
            name = match[1]
            seizures[name], start = [], None
        elif match := _SUMMARY_COUNT.match(line):
            counts[name] = int(match[1])
        elif match := _SUMMARY_TIME.match(line):
            seconds = float(match[2])
            if match[1].lower() == "start":
                start = seconds
            elif name and start is not None and seconds > start:
                seizures[name].append(Event(start, seconds - start, SEIZURE))
                start = None
            else:
                raise DataError(
                    f"{place} line {number}: the end of a seizure at {seconds:g} s, without a "
                    "start before it: expected a start, then its end"
                )
    for name, count in counts.items():
        complete = len(seizures.get(name, ()))
        if complete != count:
            raise DataError(
                f"{place}: {complete} seizures of {name} with a start and an end; expected "
                f"{count}, as it states"
            )
    return seizures


def of_siena(place: Path, files: Mapping[str, SignalFile]) -> dict[str, list[Event]]:
    """Read the seizures in ``files``, by name, from a list; other files are ignored.

    Names in the lists have errors too: a letter O for a zero, or no number where a patient has one
    recording. Where a list gives several times of one onset, the electric one counts, else the
    first.
    """
    seizures: dict[str, list[Event]] = {}
    file, start = None, None
    for number, line in enumerate(opened.text(place, "a list of Siena").splitlines(), 1):
        where = f"{place} line {number}"
        if _SIENA_NEXT.match(line):
            start = None
        elif match := _SIENA_NAME.match(line):
            listed = files.get(_intended(match[1], files))
            file = listed if isinstance(listed, EdfFile) else None
            if file is not None:
                seizures.setdefault(file.path.name, [])
        elif (match := _SIENA_TIME.match(line)) and file is not None:
            begin = _clock(file.clock, f"{file.path}, header")
            seconds = float((_clock(match[2], where) - begin) % _DAY)
            if match[1].lower() == "start":
                start = seconds
                continue
            if start is None:
                raise DataError(f"{where}: an end without a start before it: expected both")
            if not start < seconds <= file.seconds + _LATE:
                raise DataError(
                    f"{where}: a seizure of {file.path.name} from {start:g} s to {seconds:g} s, "
                    f"and the recording has {file.seconds:g} s: expected both within it, the end "
                    "after the start; correct the time"
                )
            seizure = Event(start, min(seconds, file.seconds) - start, SEIZURE)
            seizures[file.path.name].append(seizure)
            start = None
    return seizures


def _intended(name: str, files: Mapping[str, SignalFile]) -> str:
    """Return the name of the file that a list of Siena intends."""
    stem = name.removesuffix(".edf")
    for candidate in (name, name.replace("PNO", "PN0"), f"{stem.rstrip('-')}-1.edf"):
        if candidate in files:
            return candidate
    return name


def _clock(text: str, where: str) -> int:
    """Parse a clock time, in seconds; if there are several, the electric one, else the first."""
    times = list(_CLOCK.finditer(text))
    electric = [match for match in times if "electric" in (match[4] or "").lower()]
    match = next(iter(electric or times), None)
    hours, minutes, seconds = (int(part) for part in match.groups()[:3]) if match else (99, 0, 0)
    rest = _CLOCK.sub("", text)
    if re.search(r"\d", rest) or hours > 23 or minutes > 59 or seconds > 59:  # noqa: PLR2004
        raise DataError(
            f"{where}: a time of the form {form_of(text.strip())}: expected hours.minutes."
            "seconds, such as 19.58.36; correct it"
        )
    return 3600 * hours + 60 * minutes + seconds


def of_seizeit(path: Path) -> list[Event]:
    """Read the seizures of a recording from the tables ``NAME_a1.tsv``, ... next to it."""
    places = sorted(path.parent.glob(f"{path.stem}_a*.tsv"))
    if not places:
        raise DataError(
            f"{path}: no {path.stem}_a1.tsv next to it, and events are declared to be there; put "
            "it there, or name another source with --events"
        )
    seizures = []
    for number, line in enumerate(opened.text(places[0], "a table of SeizeIT").splitlines(), 1):
        if line.startswith("#") or not line.strip():
            continue
        fields = line.split("\t")
        place = f"{places[0]} line {number}"
        onset = _seconds(fields[0], place, "start")
        end = None if len(fields) < 2 else _seconds(fields[1], place, "end", none=True)  # noqa: PLR2004
        if onset is not None and end is not None and end < onset:
            raise DataError(f"{place}: the event ends before it begins; expected an end after it")
        if onset is not None:
            seizures.append(Event(onset, None if end is None else end - onset, SEIZURE))
    return seizures


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


def table(place: Path) -> list[tuple[str, Event, str]]:
    """Read the events of a csv or tsv table: the file of each (empty if none), it, its line."""
    expected = "a table of events with onset, duration (or end) and label"
    header, rows, form = small_table(place)
    names = [name.lower() for name in header]
    columns: dict[str, int] = {}
    for key, aliases in _COLUMNS.items():
        if usual := [name for name in aliases if name in names]:
            columns[key] = names.index(usual[0])
        elif key in ("onset", "label"):
            raise DataError(
                f"{place} line 1: no column {key} (found: {', '.join(names)}); expected {expected}"
            )
    events = []
    for where, cells in rows:
        cell = {key: cells[columns[key]] if key in columns else "" for key in _COLUMNS}
        onset = _seconds(form.plain(cell["onset"], "number"), where, "onset") or 0.0
        duration = _seconds(form.plain(cell["duration"], "number"), where, "duration", none=True)
        end = _seconds(form.plain(cell["end"], "number"), where, "end", none=True)
        if duration is None and end is not None:
            duration = end - onset
        if duration is not None and duration < 0:
            raise DataError(f"{where}: the event ends before it begins; expected an end after it")
        events.append((cell["file"], Event(onset, duration, cell["label"]), where))
    return events


def of_table(place: Path, files: Mapping[str, Iterable[str]]) -> dict[str, list[Event]]:
    """Read the events of one table, by recording, each of which may have several names."""
    recordings: dict[str, str] = {}
    for recording, names in files.items():
        recordings |= dict.fromkeys(names, recording)
    events: dict[str, list[Event]] = {recording: [] for recording in files}
    for name, event, where in table(place):
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


def of_bids(path: Path) -> list[Event]:
    """Read the events of a recording of a BIDS folder."""
    place = place_of_bids(path)
    if not place.exists():
        raise DataError(
            f"{path}: no {place.name} next to it: expected the events of each recording there; add "
            "it, or name another source with --events"
        )
    return [event for _, event, _ in table(place)]
