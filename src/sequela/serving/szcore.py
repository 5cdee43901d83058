"""Scores of detected events against known events by SzCORE, with ``timescoring``.

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
from sequela.signals.edf import EdfFile
from sequela.signals.folders import ANNOTATIONS, BIDS, events_of
from sequela.signals.seizure_lists import SEIZURE
from sequela.signals.seizure_lists import SOURCES as LISTS
from sequela.signals.window_classes import Event

Span = tuple[float, float]
SOURCES = (*LISTS, BIDS, ANNOTATIONS)  # sources of known events other than a table
_RATE = 10  # hz of the masks of events: the precision of SzCORE's event scoring
_NOTHING = ("bckg", "n/a")
_SEIZURES = ("sz", "seiz")  # the start of the names of seizures, in BIDS and in annotations
_DAY = 86_400


def truth(how: str, paths: Sequence[Path], event: str = SEIZURE) -> list[list[Span]]:
    """Read onset and end of the known events of recordings, in seconds."""
    if find_spec("timescoring") is None:
        raise MissingExtraError.of("scan", "--truth")
    # A table is looked for in the working folder, and all else next to the recordings.
    source = how if how in SOURCES else str(Path(how).absolute())
    root = Path(os.path.commonpath([path.absolute().parent for path in paths]))
    files = [EdfFile.open(path.absolute()) for path in paths]
    by_recording = events_of(root, files, SignalSettings(events=source))
    spans = []
    for file, events in zip(files, by_recording.values(), strict=True):
        chosen_events = [
            annotation for annotation in events if how != ANNOTATIONS or _is(annotation, event)
        ]
        spans.append(_spans(file.path if how in SOURCES else Path(how), chosen_events, file))
    return spans


def _is(event: Event, name: str) -> bool:
    # Annotations of one event differ between sites: sz, SEIZURE, seizure left temporal.
    label = event.label.casefold()
    return label == name.casefold() or (name == SEIZURE and label.startswith(_SEIZURES))


def _spans(place: Path, events: Sequence[Event], file: EdfFile) -> list[Span]:
    spans = []
    for event in events:
        if event.label in _NOTHING:
            continue
        # Such an event would change the sensitivity without a word.
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
    """Scores by event or by sample, over all recordings."""

    by: str  # ``event`` or ``sample``
    events: int  # number of known events, or their samples
    detected: int  # number of detected ones among them
    false: int  # number of false detections
    days: float  # length of all recordings in days, without gaps

    @property
    def numbers(self) -> Mapping[str, float]:
        """Sensitivity, precision, F1 and false alarms in 24 hours; NaN if undefined."""
        return {
            "sensitivity": _share(self.detected, self.events),
            "precision": _share(self.detected, self.detected + self.false),
            "F1": _share(2 * self.detected, self.detected + self.false + self.events),
            self.alarms: self.false / self.days,
        }

    @property
    def alarms(self) -> str:
        """The name of the last number."""
        what = "false alarms" if self.by == "event" else "seconds of false alarm"
        return f"{what} in 24 hours"

    def __str__(self) -> str:
        *shares, (alarms, rate) = self.numbers.items()
        words = [f"{name} {'n/a' if math.isnan(v) else f'{v:.3f}'}" for name, v in shares]
        return f"by {self.by}: {', '.join(words)}, {rate:.1f} {alarms}"


def _share(part: float, total: float) -> float:
    return part / total if total else math.nan


def scores(truths: Sequence[Sequence[Span]], scans: Sequence[Scan]) -> list[Scores]:
    """Compute scores by event and by sample, over all recordings."""
    from timescoring.annotations import Annotation
    from timescoring.scoring import EventScoring, SampleScoring

    # Counts are summed before the rates are computed: each event weighs the same.
    counts = {"event": np.zeros(3, int), "sample": np.zeros(3, int)}
    for spans, scan in zip(truths, scans, strict=True):
        # Masks of tenths of a second, in which SzCORE counts overlap.
        size = math.ceil(scan.seconds * _RATE)
        detected = [(event.onset, event.onset + event.duration) for event in scan.events]
        masks = [Annotation(list(events), _RATE, size) for events in (spans, detected)]
        for by, scoring in (("event", EventScoring(*masks)), ("sample", SampleScoring(*masks))):
            counts[by] += np.array([scoring.refTrue, scoring.tp, scoring.fp], int)
    # Gaps cannot hold false alarms, and would make the rate look better.
    days = sum(scan.seconds - scan.recording.gaps for scan in scans) / _DAY
    return [
        Scores(by, int(events), int(detected), int(false), days)
        for by, (events, detected, false) in counts.items()
    ]
