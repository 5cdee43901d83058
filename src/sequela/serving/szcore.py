"""Events that were found beside those that are known, scored as SzCORE does, by ``timescoring``.

J. Dan et al., SzCORE: Seizure Community Open-source Research Evaluation framework for the
validation of EEG-based automated seizure detection algorithms, Epilepsia (2024).
"""

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from sequela.config import SignalSettings
from sequela.errors import DataError, MissingExtraError
from sequela.serving.scan import Scan
from sequela.sources.signals import event_files
from sequela.sources.signals.edf import EdfFile
from sequela.sources.signals.events import Event
from sequela.sources.signals.folders import events_of

Span = tuple[float, float]
SOURCES = (*event_files.OF_SEIZURES, event_files.BIDS, event_files.ANNOTATIONS)
"""What may stand in place of a table: where events lie that come with the recordings."""
_RATE = 10
"""Hz of the masks of events: the precision of SzCORE's event scoring."""
_NOTHING = ("bckg", "n/a")
_SEIZURES = ("sz", "seiz")
"""How the names of seizures begin, in BIDS and in annotations."""
_DAY = 86_400


def truth(how: str, paths: Sequence[Path], event: str = event_files.SEIZURE) -> list[list[Span]]:
    """Onset and end of the known events of recordings, in seconds.

    Args:
        how: An ``events.tsv`` (of several recordings, with a column ``file``), or one of
            :data:`SOURCES`.
        paths: The recordings.
        event: The class that is looked for: other annotations are something else.

    Raises:
        DataError: If an event has no end, or begins after its recording.
        MissingExtraError: If ``timescoring``, which scores them, is not installed.
    """
    if find_spec("timescoring") is None:
        raise MissingExtraError.of("scan", "--truth")
    files = [EdfFile.open(path) for path in paths]
    if how not in SOURCES:
        place = Path(how)
        called = {str(path): {path.name, path.stem, str(path)} for path in paths}
        known = event_files.of_table(place, called)
        return [_spans(place, known[str(file.path)], file) for file in files]
    root = Path(os.path.commonpath([path.absolute().parent for path in paths]))
    there = [EdfFile.open(path.absolute()) for path in paths]
    found = events_of(root, there, (), SignalSettings(events=how))
    named = how == event_files.ANNOTATIONS
    return [
        _spans(file.path, [e for e in events if not named or _is(e, event)], file)
        for file, events in zip(there, found.values(), strict=True)
    ]


def _is(known: Event, event: str) -> bool:
    """Whether an annotation is an event of a class."""
    label = known.label.casefold()
    return label == event.casefold() or (
        event == event_files.SEIZURE and label.startswith(_SEIZURES)
    )


def _spans(place: Path, events: Sequence[Event], file: EdfFile) -> list[Span]:
    """Onset and end of each."""
    spans = []
    for event in events:
        if event.label in _NOTHING:
            continue
        if event.duration is None or not 0 <= event.onset < file.seconds:
            raise DataError(
                f"{place}: an event begins at {event.onset:g} s, lasts {event.duration or 'n/a'} "
                f"s, and the recording has {file.seconds:g} s: expected events with a duration "
                "within it"
            )
        spans.append((event.onset, min(event.onset + event.duration, file.seconds)))
    return spans


@dataclass(frozen=True)
class Scores:
    """Scores of one way to count, over all recordings.

    Attributes:
        by: ``event`` or ``sample``.
        known: Events, or seconds of them, that are known.
        met: Of these, those that were found.
        false: Events, or seconds, that were found and are none.
        days: Of recording.
    """

    by: str
    known: int
    met: int
    false: int
    days: float

    @property
    def numbers(self) -> Mapping[str, float]:
        """Sensitivity, precision, F1 and false alarms in 24 hours; NaN where there is none."""
        missed = self.known - self.met
        return {
            "sensitivity": _share(self.met, self.known),
            "precision": _share(self.met, self.met + self.false),
            "F1": _share(2 * self.met, 2 * self.met + self.false + missed),
            self.alarms: self.false / self.days,
        }

    @property
    def alarms(self) -> str:
        """What the last number is called."""
        what = "false alarms" if self.by == "event" else "seconds of false alarm"
        return f"{what} in 24 hours"

    def __str__(self) -> str:
        *shares, (alarms, rate) = self.numbers.items()
        said = [f"{name} {'n/a' if math.isnan(v) else f'{v:.3f}'}" for name, v in shares]
        return f"by {self.by}: {', '.join(said)}, {rate:.1f} {alarms}"


def _share(part: float, whole: float) -> float:
    return part / whole if whole else math.nan


def scores(known: Sequence[Sequence[Span]], scans: Sequence[Scan]) -> list[Scores]:
    """By event and by sample, over all recordings.

    Args:
        known: Onset and end of the known events of each.
        scans: What was found in each.
    """
    from timescoring.annotations import Annotation
    from timescoring.scoring import EventScoring, SampleScoring

    counts = {"event": np.zeros(3, int), "sample": np.zeros(3, int)}
    for spans, found in zip(known, scans, strict=True):
        size = math.ceil(found.seconds * _RATE)
        said = [(each.onset, each.onset + each.duration) for each in found.events]
        both = [Annotation(list(each), _RATE, size) for each in (spans, said)]
        for by, one in (("event", EventScoring(*both)), ("sample", SampleScoring(*both))):
            counts[by] += np.array([one.refTrue, one.tp, one.fp], int)
    days = sum(found.seconds for found in scans) / _DAY
    return [
        Scores(by, int(known_), int(met), int(false), days)
        for by, (known_, met, false) in counts.items()
    ]
