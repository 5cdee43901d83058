"""The lists of seizures of CHB-MIT: files such as ``chb01-summary.txt``, one for each case."""

import re
from collections.abc import Collection
from pathlib import Path

from sequela.errors import DataError
from sequela.formats import opened
from sequela.signals.window_classes import Event

SEIZURE = "seizure"
SUMMARIES = "*-summary.txt"
_FILE = re.compile(r"^File Name:\s*(\S.*?)\s*$", re.IGNORECASE | re.MULTILINE)
_COUNT = re.compile(r"^Number of Seizures in File:\s*([0-9]+)", re.IGNORECASE | re.MULTILINE)
_TIME = re.compile(
    r"^Seizure(?:\s+\d+)?\s+(Start|End)\s+Time:\s*([0-9.]+)\s*sec", re.IGNORECASE | re.MULTILINE
)


def seizures_of(folder: Path, names: Collection[str]) -> dict[str, list[Event]]:
    """Read the seizures in the files of a folder, by name, from the summaries in it."""
    places = sorted(folder.glob(SUMMARIES))
    if not places:
        raise DataError(
            f"{folder}: no {SUMMARIES}, and events are declared to be in one: expected it next to "
            f"{next(iter(names))}; put it there, or name another source with --events"
        )
    seizures: dict[str, list[Event]] = {}
    for place in places:
        _, *parts = _FILE.split(opened.text(place, "a summary of CHB-MIT"))
        for name, part in zip(parts[::2], parts[1::2], strict=True):
            seizures.setdefault(name, []).extend(_in_part(place, name, part))
    for name in names:
        if name not in seizures:
            raise DataError(
                f"{places[0]}: no entry for {name}: expected 'File name: {name}' and its seizures; "
                "add it, or move the file elsewhere"
            )
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
