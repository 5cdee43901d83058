"""Seizures as the Siena Scalp EEG Database lists them: clock times, typed by hand.

Source: P. Detti, Siena Scalp EEG Database 1.0.0, PhysioNet (2020), doi:10.13026/5d4a-j060. Each
patient's folder has a ``Seizures-list-PN00.txt`` with clock times; the onset of a seizure is
counted from the start in the header of its recording, because the starts in the lists have errors.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from sequela.errors import DataError, form_of
from sequela.formats import opened
from sequela.signals.event_files import SEIZURE
from sequela.signals.events import Event
from sequela.signals.sampled import SignalFile

PATTERN = "Seizures-list-*.txt"
_NAMED = re.compile(r"^\s*File name:\s*(\S+)", re.IGNORECASE)
_NEXT = re.compile(r"^\s*Seizure n", re.IGNORECASE)
_TIME = re.compile(r"^\s*(?:Seizure )?(start|end) time:(.*)$", re.IGNORECASE)
_CLOCK = re.compile(r"(\d{1,2})[.:](\d{2})[.:](\d{2})\s*(\([^)]*\))?")
_STARTED = slice(176, 184)
_DAY = 86_400
_LATE = 1.0
"""The seconds by which a seizure may end after its recording: the lists have whole seconds."""


def of_list(place: Path, files: Mapping[str, SignalFile]) -> dict[str, list[Event]]:
    """Read the seizures in ``files``, by name, from a list; other files are ignored.

    Names in the lists have errors too: a letter O for a zero, or no number where a patient has one
    recording. Where a list gives several times of one onset, the electric one counts, else the
    first.
    """
    found: dict[str, list[Event]] = {}
    file, start = None, None
    for number, line in enumerate(opened.text(place, "a list of Siena").splitlines(), 1):
        where = f"{place} line {number}"
        if _NEXT.match(line):
            start = None
        elif match := _NAMED.match(line):
            file = files.get(_name(match[1], files))
            if file is not None:
                found.setdefault(file.path.name, [])
        elif (match := _TIME.match(line)) and file is not None:
            begun = _clock(file.header[_STARTED].decode("latin-1"), f"{file.path}, header")
            seconds = float((_clock(match[2], where) - begun) % _DAY)
            if match[1].lower() == "start":
                start = seconds
                continue
            if start is None:
                raise DataError(f"{where}: an end without a start before it: expected both")
            found[file.path.name].append(_seizure(start, seconds, file, where))
            start = None
    return found


def _name(listed: str, files: Mapping[str, SignalFile]) -> str:
    """Return the name of the intended file."""
    stem = listed.removesuffix(".edf")
    for each in (listed, listed.replace("PNO", "PN0"), f"{stem.rstrip('-')}-1.edf"):
        if each in files:
            return each
    return listed


def _clock(written: str, where: str) -> int:
    """Parse a clock time, in seconds; if there are several, the electric one, else the first."""
    times = list(_CLOCK.finditer(written))
    electric = [match for match in times if "electric" in (match[4] or "").lower()]
    chosen = next(iter(electric or times), None)
    parts = [int(part) for part in chosen.groups()[:3]] if chosen else [99]
    if re.search(r"\d", _CLOCK.sub("", written)) or parts[0] > 23 or max(parts[1:]) > 59:  # noqa: PLR2004
        raise DataError(
            f"{where}: a time of the form {form_of(written.strip())}: expected hours.minutes."
            "seconds, such as 19.58.36; correct it"
        )
    hours, minutes, seconds = parts
    return 3600 * hours + 60 * minutes + seconds


def _seizure(start: float, end: float, file: SignalFile, where: str) -> Event:
    if not start < end <= file.seconds + _LATE:
        raise DataError(
            f"{where}: a seizure of {file.path.name} from {start:g} s to {end:g} s, and the "
            f"recording has {file.seconds:g} s: expected both within it, the end after the start; "
            "correct the time"
        )
    return Event(start, min(end, file.seconds) - start, SEIZURE)
