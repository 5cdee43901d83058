"""Events in tables next to recordings, one for all or, in BIDS, one for each."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from sequela.errors import DataError, form_of
from sequela.signals.csv_recordings import small_table
from sequela.signals.window_classes import Event

BIDS = "bids"
ANNOTATIONS = "annotations"
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
