"""Events that were found beside those that are known, scored as SzCORE does, by ``timescoring``.

J. Dan et al., SzCORE: Seizure Community Open-source Research Evaluation framework for the
validation of EEG-based automated seizure detection algorithms, Epilepsia (2024).
"""

import math
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from sequela.errors import DataError, MissingExtraError
from sequela.serving.scan import Scan
from sequela.sources.signals.event_files import table

Span = tuple[float, float]
_RATE = 10
"""Hz of the masks of events: the precision of SzCORE's event scoring."""
_NOTHING = ("bckg", "n/a")


def truth(path: Path, seconds: float) -> list[Span]:
    """Onset and end of the known events of a BIDS ``events.tsv``, in seconds.

    Args:
        path: The table.
        seconds: Length of the recording.

    Raises:
        DataError: If an event has no end, or begins after the recording.
        MissingExtraError: If ``timescoring``, which scores them, is not installed.
    """
    if find_spec("timescoring") is None:
        raise MissingExtraError.of("scan", "--truth")
    spans = []
    for _, event, _ in table(path):
        if event.label in _NOTHING:
            continue
        if event.duration is None or not 0 <= event.onset < seconds:
            raise DataError(
                f"{path}: an event begins at {event.onset:g} s, lasts {event.duration or 'n/a'} s, "
                f"and the recording has {seconds:g} s: expected events with a duration "
                "within it"
            )
        spans.append((event.onset, min(event.onset + event.duration, seconds)))
    return spans


def scores(known: Sequence[Span], found: Scan) -> list[str]:
    """Sensitivity, precision, F1 and false alarms per 24 hours, by event and by sample."""
    from timescoring.annotations import Annotation
    from timescoring.scoring import EventScoring, SampleScoring

    size = math.ceil(found.seconds * _RATE)
    said = [(each.onset, each.onset + each.duration) for each in found.events]
    both = [Annotation(list(spans), _RATE, size) for spans in (known, said)]
    lines = []
    for name, scoring in (("event", EventScoring(*both)), ("sample", SampleScoring(*both))):
        numbers = (("sensitivity", scoring.sensitivity), ("precision", scoring.precision))
        told = [f"{what} {value:.3f}" for what, value in (*numbers, ("F1", scoring.f1))]
        rate = "false alarms" if name == "event" else "seconds of false alarm"
        told.append(f"{scoring.fpRate:.1f} {rate} in 24 hours")
        lines.append(f"by {name}: {', '.join(told)}")
    return lines
