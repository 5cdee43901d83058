"""The lists of seizures that CHB-MIT, Siena and SeizeIT publish next to their recordings.

Siena has clock times, typed by hand: P. Detti, Siena Scalp EEG Database 1.0.0, PhysioNet (2020),
doi:10.13026/5d4a-j060.
"""

import re
from collections.abc import Mapping
from glob import escape
from pathlib import Path

from sequela.errors import DataError, form_of
from sequela.formats import opened
from sequela.signals.edf import EdfFile
from sequela.signals.stretches import SampledFile
from sequela.signals.window_classes import Event

SEIZURE = "seizure"
_SUMMARY = "summary"
_SIENA = "siena"
_SEIZEIT = "seizeit"
# The names of the lists by source: of all recordings in a folder, or of the recording STEM.
_PATTERNS = {_SUMMARY: "*-summary.txt", _SIENA: "Seizures-list-*.txt", _SEIZEIT: "STEM_a*.tsv"}
SOURCES = tuple(_PATTERNS)
_FILE = re.compile(r"^File Name:\s*(\S.*?)\s*$", re.IGNORECASE | re.MULTILINE)
_COUNT = re.compile(r"^Number of Seizures in File:\s*([0-9]+)", re.IGNORECASE | re.MULTILINE)
_TIME = re.compile(
    r"^Seizure(?:\s+\d+)?\s+(Start|End)\s+Time:\s*([0-9.]+)\s*sec", re.IGNORECASE | re.MULTILINE
)
_SIENA_FILE = re.compile(r"^\s*File name:\s*(\S+)", re.IGNORECASE)
_SIENA_NEXT = re.compile(r"^\s*Seizure n", re.IGNORECASE)
_SIENA_TIME = re.compile(r"^\s*(?:Seizure )?(start|end) time:(.*)$", re.IGNORECASE)
_CLOCK = re.compile(r"(\d{1,2})[.:](\d{2})[.:](\d{2})\s*(\([^)]*\))?")
_DAY = 86_400  # seconds of a day: a seizure after midnight is on the next
_LATE = 1.0  # seconds by which a seizure of Siena may end after its recording: it has whole seconds
_SEIZEIT_ROW = re.compile(r"(\d+(?:\.\d*)?)\t(?:(\d+(?:\.\d*)?)|None)(?:\t.*)?")


def lists_beside(recording: Path, source: str) -> list[Path]:
    """Return the lists of a source for a recording, in the order of their names."""
    pattern = _PATTERNS[source].replace("STEM", escape(recording.stem))
    return sorted(recording.parent.glob(pattern))


def _required_lists(recording: Path, source: str) -> list[Path]:
    lists = lists_beside(recording, source)
    if not lists:
        raise DataError(
            f"{recording.parent}: no {_PATTERNS[source].replace('STEM', recording.stem)}, and "
            f"events are declared to be in one: expected it next to {recording.name}; put it "
            "there, or name another source with --events"
        )
    return lists


def seizures_of(source: str, files: Mapping[str, EdfFile | SampledFile]) -> dict[str, list[Event]]:
    """Read the seizures in the files of a folder, by name, from the lists in it."""
    paths = [file.path for file in files.values()]
    if source == _SEIZEIT:
        # Each annotator may have a list of a recording; the first list counts.
        return {path.name: _of_seizeit(_required_lists(path, source)[0]) for path in paths}
    lists = _required_lists(paths[0], source)
    seizures: dict[str, list[Event]] = {}
    for place in lists:
        events = _of_siena(place, files) if source == _SIENA else _of_summary(place)
        for name, listed in events.items():
            seizures.setdefault(name, []).extend(listed)
    for name in files:
        if name not in seizures:
            raise DataError(
                f"{lists[0]}: no entry for {name}: expected 'File name: {name}' and its seizures; "
                "add it, or move the file elsewhere"
            )
    return seizures


def _of_summary(place: Path) -> dict[str, list[Event]]:
    """Read the seizures in a summary of CHB-MIT, by the name of the file."""
    seizures: dict[str, list[Event]] = {}
    _, *parts = _FILE.split(opened.text(place, "a summary of CHB-MIT"))
    for name, part in zip(parts[::2], parts[1::2], strict=True):
        seizures.setdefault(name, []).extend(_in_part(place, name, part))
    return seizures


def _in_part(place: Path, name: str, part: str) -> list[Event]:
    """Return the seizures in the part of a summary that is about one file."""
    times = _TIME.findall(part)
    seconds = [float(time) for _, time in times]
    kinds = [kind.lower() for kind, _ in times]
    events = [Event(a, b - a, SEIZURE) for a, b in zip(seconds[::2], seconds[1::2], strict=False)]
    count = _COUNT.search(part)
    expected = int(count[1]) if count else len(events)
    alternate = {*kinds[::2]} <= {"start"} and {*kinds[1::2]} <= {"end"}
    if len(times) != 2 * expected or not alternate or seconds != sorted(seconds):
        raise DataError(
            f"{place}: {len(events)} seizures of {name} with a start and an end; expected "
            f"{expected}, as it states, each start before its end"
        )
    return events


def _of_siena(place: Path, files: Mapping[str, EdfFile | SampledFile]) -> dict[str, list[Event]]:
    """Read the seizures in a list of Siena, by the name of the file; ignore other files."""
    seizures: dict[str, list[Event]] = {}
    file: EdfFile | None = None
    start: float | None = None
    for number, line in enumerate(opened.text(place, "a list of Siena").splitlines(), 1):
        where = f"{place} line {number}"
        if _SIENA_NEXT.match(line):
            start = None
        elif match := _SIENA_FILE.match(line):
            listed = files.get(_intended(match[1], files))
            file = listed if isinstance(listed, EdfFile) else None
            if file is not None:
                seizures.setdefault(file.path.name, [])
        elif (match := _SIENA_TIME.match(line)) and file is not None:
            # The starts of recordings in the lists have errors; those in the headers have none.
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


def _intended(name: str, files: Mapping[str, EdfFile | SampledFile]) -> str:
    """Return the name of the file that a list of Siena intends."""
    # A letter O for a zero, or no number where a patient has one recording.
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


def _of_seizeit(place: Path) -> list[Event]:
    """Read the seizures of the recording that a table of SeizeIT is about."""
    seizures = []
    for number, line in enumerate(opened.text(place, "a table of SeizeIT").splitlines(), 1):
        if line.startswith("#") or not line.strip():
            continue
        row = _SEIZEIT_ROW.fullmatch(line)
        if row is None:
            raise DataError(
                f"{place} line {number}: expected the start and the end of a seizure in seconds, "
                "separated by tabs (the end may be None)"
            )
        onset, end = float(row[1]), None if row[2] is None else float(row[2])
        if end is not None and end < onset:
            raise DataError(
                f"{place} line {number}: the event ends before it begins; expected an end after it"
            )
        seizures.append(Event(onset, None if end is None else end - onset, SEIZURE))
    return seizures
