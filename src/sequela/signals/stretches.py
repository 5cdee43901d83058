"""Stretches: continuous signals without a gap, of which parts are read and filtered.

Recordings become segments in three steps. A folder of files or a table gives stretches
(:mod:`sequela.signals.folders`, :mod:`sequela.signals.segment_tables`), each stretch is cut into
windows (:mod:`sequela.signals.cutting`), and the windows of all recordings are stored as segments
(:mod:`sequela.signals.segments`). No step holds more than a part of a recording.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sequela.config import SignalSettings
from sequela.errors import DataError, SettingError
from sequela.signals.window_classes import Classes, Event

Reader = Callable[[int, int], NDArray[np.float64]]
"""A function that reads float64 (n_chans, time), from a sample up to another."""
_ORDER = 4  # of the Butterworth filters
_RINGING = 1e-3  # share of a filter's largest response below which its padding ends, as in MNE
_DECAYED = 1e-10  # share of the effect of an end below which samples do not depend on it


class RecordingIds(NamedTuple):
    """The recording of windows, with its subject, site and session."""

    recording: str
    subject: str | None = None
    site: str | None = None
    session: str | None = None


class Piece(NamedTuple):
    """Samples (in EDF, data records) without a gap, from one up to another; start in seconds."""

    first: int
    last: int
    start: float


def no_subjects(unit: str) -> str:
    """Return a note that people are unknown, where a split is by session or recording."""
    return (
        f"subjects are not known: the split is by {unit}, and {unit}s of one person may be in two "
        "parts"
    )


@dataclass(frozen=True)
class SampledFile:
    """A file of one recording whose signals have one rate: csv, and the formats of MNE."""

    path: Path
    labels: tuple[str, ...]
    units: tuple[str, ...]  # as written
    sfreq: float  # Hz
    pieces: tuple[Piece, ...]
    reader: Callable[[Sequence[int]], Reader]  # of some signals, in their units
    annotations: tuple[Event, ...] = ()
    patient: str = ""  # empty where it is not recorded
    attributes: Mapping[str, str] = field(default_factory=dict)  # by key of the declaration
    labelled: bool = False  # True if the annotations are the classes of its samples
    assumed: bool = False  # True if the unit of a signal is not recorded

    @property
    def seconds(self) -> float:
        """The length of the recording in seconds, gaps included."""
        first, last, start = self.pieces[-1]
        return start + (last - first) / self.sfreq

    def rate(self, _: int) -> float:
        """Return the sampling rate of a signal, in Hz."""
        return self.sfreq

    def pieces_of(self, _: int) -> tuple[Piece, ...]:
        """Return the pieces of a signal without a gap, in its samples."""
        return self.pieces


@dataclass(frozen=True)
class Stretch:
    """A continuous signal, of which parts can be read."""

    place: str  # name in errors
    ids: RecordingIds
    sfreq: float  # Hz
    n_times: int
    n_chans: int
    read: Reader  # in µV
    offset: float = 0.0  # seconds from the recording's start to its first sample
    events: Sequence[Event] = ()  # by onset in seconds from its first sample
    classes: Classes | None = None  # of the events; without them all windows have ``label``
    label: int = 0  # number of its class
    is_row: bool = False  # True for a row of a table, which is at least one window
    notes: Sequence[str] = ()  # sentences about the choice of its channels

    @classmethod
    def of_row(
        cls,
        signal: NDArray[np.float64],
        sfreq: float,
        place: str,
        ids: RecordingIds,
        *,
        label: int = 0,
        offset: float = 0.0,
    ) -> "Stretch":
        """Make a stretch of a short signal (n_chans, time) in µV, all of one class."""
        n_chans, n_times = signal.shape
        read = part_of(signal)
        return cls(place, ids, sfreq, n_times, n_chans, read, offset, label=label, is_row=True)


def part_of(signal: NDArray[np.float64]) -> Reader:
    """Return a function that reads parts of an array (n_chans, time)."""
    return lambda first, last: signal[:, first:last]


class _Filter(NamedTuple):
    """A Butterworth filter."""

    sections: NDArray[np.float64]  # of second order
    padding: int  # samples by which both ends of a signal are continued, turned by 180 degrees
    reach: int  # samples beyond which an end has no effect


@lru_cache(maxsize=8)
def _filter(kind: str, edges: tuple[float, ...], sfreq: float) -> _Filter:
    from scipy.signal import butter, sos2zpk, sosfilt

    sections = butter(_ORDER, np.squeeze(edges), kind, output="sos", fs=sfreq)  # type: ignore[call-overload]
    reach = int(np.log(_DECAYED) / np.log(np.abs(sos2zpk(sections)[1]).max())) + 1
    response = np.abs(sosfilt(sections, np.eye(1, reach)[0]))
    padding = int(np.flatnonzero(response > _RINGING * response.max())[-1])
    return _Filter(sections, padding, reach)


def filtered(pieces: Sequence[Stretch], settings: SignalSettings) -> Sequence[Stretch]:
    """Filter the pieces of a recording, each alone, as MNE does with ``method="iir"``."""
    place, sfreq = pieces[0].place, pieces[0].sfreq
    bands = {}
    if settings.filter:
        low, high = settings.filter
        kind = "lowpass" if not low else "bandpass" if high else "highpass"
        bands[kind] = tuple(edge for edge in settings.filter if edge)
    if settings.notch:
        half = settings.notch / 400 + 0.5  # Hz, as wide as MNE's
        bands["bandstop"] = (settings.notch - half, settings.notch + half)
    if any(edges[-1] >= sfreq / 2 for edges in bands.values()):
        raise SettingError(
            f"{place}: --filter and --notch (0.6 Hz above its frequency) reach half of the rate, "
            f"{sfreq / 2:g} Hz; expected lower frequencies"
        )
    filters = [_filter(*band, sfreq) for band in bands.items()]
    if not filters:
        return pieces
    padding = max(design.padding for design in filters)
    if (longest := max(piece.n_times for piece in pieces)) <= padding:
        raise DataError(
            f"{place}: {longest / sfreq:g} s without a gap; the filter needs more than "
            f"{padding / sfreq:.3g} s; leave the recording out, or filter other frequencies"
        )
    return [replace(piece, read=partial(_read_filtered, piece, filters)) for piece in pieces]


def _read_filtered(
    stretch: Stretch, filters: Sequence[_Filter], first: int, last: int
) -> NDArray[np.float64]:
    """Return some samples as of the whole stretch, filtered between missing samples."""
    from scipy.signal import sosfiltfilt

    # What is read reaches so far beyond the samples that its ends have no effect on them.
    reach = sum(design.reach for design in filters)
    begin = max(0, first - reach)
    signal = np.array(stretch.read(begin, min(stretch.n_times, last + reach)))
    missing = ~np.isfinite(signal).all(0)
    edges = np.flatnonzero(np.diff(missing, prepend=True, append=True)).reshape(-1, 2)
    for a, b in edges.tolist():
        part = signal[:, a:b]
        for design in filters:
            if b - a > design.padding:
                part[:] = sosfiltfilt(design.sections, part, padlen=design.padding)
            else:  # too short to be filtered
                part[:] = np.nan
    return signal[:, first - begin : last - begin]
