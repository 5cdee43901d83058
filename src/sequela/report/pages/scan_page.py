"""The page of scanned recordings: an overview of each, its events enlarged, and scores."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sequela.evaluation.number import duration
from sequela.figures.recording import ScoredRecording, Span, clock, near, whole
from sequela.report.page import write_page
from sequela.report.picture import Picture, picture

if TYPE_CHECKING:
    from sequela.serving.scan import Found, Scan
    from sequela.serving.szcore import Scores

_DRAWN = 12
"""Number of events that are drawn enlarged, over all recordings: the most confident ones."""
_BESIDE = 10.0  # seconds that are drawn before and after an event
_LONGEST = 120.0  # seconds of an event that are drawn


@dataclass(frozen=True)
class ScannedRecording:
    """One recording on the page."""

    name: str
    scan: "Scan"
    overview: Picture
    events: Sequence[tuple[str, "Found", Picture | None]]


def build_scan(
    scans: "Sequence[Scan]",
    out: Path,
    *,
    about: dict[str, object],
    known_events: Sequence[Sequence[Span]] | None = None,
    scores: "Sequence[Scores]" = (),
) -> Path:
    """Write the page. The recordings are read again where events are drawn enlarged."""
    # Of all recordings together, only the most probable events are drawn: each drawing reads its
    # recording again.
    confident: list[tuple[float, int, int]] = []
    for place, scan in enumerate(scans):
        confident += [(event.confidence, place, row) for row, event in enumerate(scan.events)]
    confident.sort(key=lambda event: -event[0])
    enlarged = {(place, row) for _, place, row in confident[:_DRAWN]}
    subject = f"{len(scans)} recordings" if len(scans) > 1 else "a recording"
    sections = [
        _section(scan, place, None if known_events is None else known_events[place], enlarged)
        for place, scan in enumerate(scans)
    ]
    return write_page(
        "scan.html.j2",
        out,
        title=f"{scans[0].event.capitalize()} in {subject}",
        about=about,
        sections=sections,
        scores=scores,
        duration=duration(sum(event.seconds for event in scans)),
        n_events=len(confident),
        n_drawn=len(enlarged),
        clock=clock,
    )


def _section(
    scan: "Scan",
    place: int,
    known_events: Sequence[Span] | None,
    enlarged_events: set[tuple[int, int]],
) -> ScannedRecording:
    spans = [(event.onset, event.onset + event.duration) for event in scan.events]
    arrays = scan.times, scan.probability, scan.range
    scored = ScoredRecording(*arrays, scan.threshold, scan.event, spans, known_events)
    overview = picture(
        whole(scored, scan.seconds), f"recording-{place + 1}", "The whole recording."
    )
    events = []
    for row, event in enumerate(scan.events):
        name = f"event-{place + 1}-{row + 1}"
        enlarged = _near(scan, scored, event, name) if (place, row) in enlarged_events else None
        events.append((clock(event.onset), event, enlarged))
    return ScannedRecording(scan.path.name, scan, overview, events)


def _near(scan: "Scan", scored: ScoredRecording, event: "Found", name: str) -> Picture:
    read, rate = scan.recording.read, scan.recording.sfreq
    first = max(0.0, event.onset - _BESIDE)  # a reader compares an event with its surroundings
    last = min(scan.seconds, event.onset + min(event.duration, _LONGEST) + _BESIDE)
    begin, end = round(first * rate), min(round(last * rate), scan.recording.n_times)
    figure = near(scored, read(begin, end), scan.recording.names, (begin / rate, end / rate))
    caption = f"From {clock(event.onset)}, {event.duration:.0f} s."
    if event.duration > _LONGEST:
        caption += f" Its first {_LONGEST:.0f} s are drawn."
    return picture(figure, name, caption)
