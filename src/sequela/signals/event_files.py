"""Events in files next to recordings: tables, BIDS, and the formats of CHB-MIT and SeizeIT."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from sequela.errors import DataError, form_of
from sequela.formats import opened
from sequela.signals.csv_recordings import small_table
from sequela.signals.events import Event

SEIZURE = "seizure"
SUMMARY = "summary"
SUMMARIES = "*-summary.txt"
SEIZEIT = "seizeit"
SIENA = "siena"
BIDS = "bids"
ANNOTATIONS = "annotations"
OF_SEIZURES = (SUMMARY, SIENA, SEIZEIT)
"""The sources whose events are always seizures."""
_FILE = ("file", "filename", "file_name", "recording", "edf")
_ONSET = ("onset", "start", "starttime", "start_time", "begin", "tstart")
_DURATION = ("duration", "seconds")
_END = ("end", "stop", "stop_time", "endtime", "end_time", "tend")
_LABEL = ("label", "trial_type", "eventtype", "event_type", "event", "type", "description", "stage")
_NAMED = re.compile(r"^File Name:\s*(\S.*?)\s*$", re.IGNORECASE)
_TIME = re.compile(r"^Seizure(?:\s+\d+)?\s+(Start|End)\s+Time:\s*([0-9.]+)\s*sec", re.IGNORECASE)
_COUNT = re.compile(r"^Number of Seizures in File:\s*([0-9]+)", re.IGNORECASE)
_NONE = ("", "n/a", "none", "nan")


def of_lists(
    folder: Path,
    names: Sequence[str],
    pattern: str,
    listed: Callable[[Path], dict[str, list[Event]]],
) -> dict[str, list[Event]]:
    """Read the seizures in files of a folder, from the lists in it that have a name."""
    places = sorted(folder.glob(pattern))
    if not places:
        raise DataError(
            f"{folder}: no {pattern}, and events are declared to be in one: expected it next to "
            f"{names[0]}; put it there, or name another source with --events"
        )
    found: dict[str, list[Event]] = {}
    for place in places:
        for name, events in listed(place).items():
            found.setdefault(name, []).extend(events)
    for name in names:
        if name not in found:
            raise DataError(
                f"{places[0]}: no entry for {name}: expected 'File name: {name}' and its seizures; "
                "add it, or move the file elsewhere"
            )
    return found


def of_summary(place: Path) -> dict[str, list[Event]]:
    """Read the seizures of each file that a summary of CHB-MIT lists."""
    found: dict[str, list[Event]] = {}
    stated: dict[str, int] = {}
    name, start = "", None
    for number, line in enumerate(opened.text(place, "a summary of CHB-MIT").splitlines(), 1):
        if match := _NAMED.match(line):
            name = match[1]
            found[name], start = [], None
        elif match := _COUNT.match(line):
            stated[name] = int(match[1])
        elif match := _TIME.match(line):
            seconds = float(match[2])
            if match[1].lower() == "start":
                start = seconds
            elif name and start is not None and seconds > start:
                found[name].append(Event(start, seconds - start, SEIZURE))
                start = None
            else:
                raise DataError(
                    f"{place} line {number}: the end of a seizure at {seconds:g} s, without a "
                    "start before it: expected a start, then its end"
                )
    for name, count in stated.items():
        if len(found.get(name, ())) != count:
            raise DataError(
                f"{place}: {len(found.get(name, ()))} seizures of {name} with a start and an end; "
                f"expected {count}, as it states"
            )
    return found


def of_seizeit(path: Path) -> list[Event]:
    """Read the seizures of a recording from the tables ``NAME_a1.tsv``, ... next to it."""
    places = sorted(path.parent.glob(f"{path.stem}_a*.tsv"))
    if not places:
        raise DataError(
            f"{path}: no {path.stem}_a1.tsv next to it, and events are declared to be there; put "
            "it there, or name another source with --events"
        )
    found = []
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
            found.append(Event(onset, None if end is None else end - onset, SEIZURE))
    return found


def _seconds(written: str, place: str, what: str, *, none: bool = False) -> float | None:
    if none and written.strip().lower() in _NONE:
        return None
    try:
        found = float(written)
    except ValueError as error:
        raise DataError(
            f"{place}: the {what} is of the form {form_of(written)}; expected seconds, as a number "
            "with a point"
        ) from error
    return found


def table(place: Path) -> list[tuple[str, Event, str]]:
    """Read the events of a csv or tsv table: the file of each (empty if none), it, its line."""
    expected = "a table of events with onset, duration (or end) and label"
    written, rows, form = small_table(place)
    names = [name.lower() for name in written]
    columns = {
        what: next((names.index(name) for name in known if name in names), None)
        for what, known in (
            ("file", _FILE),
            ("onset", _ONSET),
            ("duration", _DURATION),
            ("end", _END),
            ("label", _LABEL),
        )
    }
    for what in ("onset", "label"):
        if columns[what] is None:
            raise DataError(
                f"{place} line 1: no column {what} (found: {', '.join(names)}); expected {expected}"
            )
    found = []
    for where, cells in rows:
        said = {what: "" if at is None else cells[at] for what, at in columns.items()}
        onset = _seconds(form.plain(said["onset"], "number"), where, "onset") or 0.0
        duration = _seconds(form.plain(said["duration"], "number"), where, "duration", none=True)
        end = _seconds(form.plain(said["end"], "number"), where, "end", none=True)
        if duration is None and end is not None:
            duration = end - onset
        if duration is not None and duration < 0:
            raise DataError(f"{where}: the event ends before it begins; expected an end after it")
        found.append((said["file"], Event(onset, duration, said["label"]), where))
    return found


def of_table(place: Path, files: Mapping[str, Iterable[str]]) -> dict[str, list[Event]]:
    """Read the events of one table, by recording."""
    known = {name: key for key, names in files.items() for name in names}
    found: dict[str, list[Event]] = {key: [] for key in files}
    for name, event, where in table(place):
        key = known.get(name) or (next(iter(files)) if not name and len(files) == 1 else None)
        if key is None:
            raise DataError(
                f"{where}: an event of a recording that is not here; expected a column file with "
                f"the name of one, such as {next(iter(files))}"
            )
        found[key].append(event)
    return found


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
