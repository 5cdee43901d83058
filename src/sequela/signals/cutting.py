"""Signals cut into windows: rows of a table, or continuous signals piece by piece."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sequela.config import SegmentLength, SignalSettings
from sequela.errors import DataError, SettingError
from sequela.signals.declaration import Classes
from sequela.signals.events import NO_CLASS, Event, label_windows
from sequela.signals.windows import Cut, Rates, Whose, blocks, cut_row

_RINGING = 1e-3  # of the largest response of a filter: when it is over for the padding, as in MNE
_DECAYED = 1e-10  # of the effect of an end: when it is over for the reach


def no_subjects(unit: str) -> str:
    """Return a note that people are unknown, where a split is by session or recording."""
    return (
        f"subjects are not known: the split is by {unit}, and {unit}s of one person may be in two "
        "parts"
    )


class Shelf(Protocol):
    """A receiver of windows while they are cut."""

    n_dropped: int

    def put(self, windows: Cut) -> None:
        """See :meth:`sequela.signals.segments.Shelf.put`."""


@dataclass
class Stretch:
    """A continuous signal, of which parts can be read.

    Attributes:
        place: Name in errors.
        whose: Its recording, with subject, site and session.
        sfreq: Samples per second, in Hz.
        read: Function that returns float64 (n_chans, time) in µV, from a sample up to another.
        offset: Seconds from the recording's start to its first sample; event times count from the
            start.
    """

    place: str
    whose: Whose
    sfreq: float
    n_times: int
    n_chans: int
    read: Callable[[int, int], NDArray[np.float64]]
    offset: float = 0.0


@lru_cache(maxsize=8)
def _designed(kind: str, edges: tuple[float, ...], sfreq: float) -> tuple[Any, int, int]:
    """Design a Butterworth filter: its second-order sections, its padding and its reach in samples.

    The padding continues both ends of a signal, turned by 180 degrees. An end has no effect beyond
    the reach.
    """
    from scipy.signal import butter, sos2zpk, sosfilt

    sos = butter(4, np.squeeze(edges), kind, output="sos", fs=sfreq)  # type: ignore[call-overload]
    reach = int(np.log(_DECAYED) / np.log(np.abs(sos2zpk(sos)[1]).max())) + 1
    response = np.abs(sosfilt(sos, np.eye(1, reach)[0]))
    return sos, int(np.flatnonzero(response > _RINGING * response.max())[-1]), reach


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
    filters = [_designed(*band, sfreq) for band in bands.items()]
    padding = max((samples for _, samples, _ in filters), default=-1)
    if (longest := max(piece.n_times for piece in pieces)) <= padding:
        raise DataError(
            f"{place}: {longest / sfreq:g} s without a gap; the filter needs more than "
            f"{padding / sfreq:.3g} s; leave the recording out, or filter other frequencies"
        )
    return [replace(p, read=partial(_filtered, p, filters)) for p in pieces] if filters else pieces


def _filtered(stretch: Stretch, filters: Sequence[Any], a: int, b: int) -> NDArray[np.float64]:
    """Return samples ``a`` to ``b`` as of the whole stretch, filtered between missing samples."""
    from scipy.signal import sosfiltfilt

    begin = max(0, a - sum(reach for *_, reach in filters))
    end = min(stretch.n_times, b + sum(reach for *_, reach in filters))
    signal = np.array(stretch.read(begin, end))
    missing = ~np.isfinite(signal).all(0)
    edges = np.flatnonzero(np.diff(missing, prepend=True, append=True)).reshape(-1, 2)
    for first, last in edges.tolist():
        part = signal[:, first:last]
        for sos, padding, _ in filters:
            long = last - first > padding  # what is shorter is missing
            part[:] = sosfiltfilt(sos, part, padlen=padding) if long else np.nan
    return signal[:, a - begin : b - begin]


@dataclass
class Cutter:
    """A cutter of signals into windows, which it puts on a shelf.

    Attributes:
        segment: Samples of a window, where set.
        shelf: Where the windows go.
    """

    settings: SignalSettings
    segment: SegmentLength | None
    shelf: Shelf
    notes: list[str] = field(default_factory=list)

    def note(self, sentence: str) -> None:
        """Add a note once."""
        if sentence not in self.notes:
            self.notes.append(sentence)

    def rates(self, before: float) -> tuple[Rates, float]:
        """Return the resampling of a signal, and its rate afterwards."""
        after = self.settings.resample or before
        if after != before:
            self.note(
                f"resampled from {before:g} Hz to {after:g} Hz (scipy.signal.resample_poly, behind "
                "its anti-alias filter)"
            )
        return Rates.of(before, after), after

    def lengths(self, sfreq: float, whole: int) -> tuple[int, int]:
        """Return the samples of a window, and from its start to that of the next."""
        if isinstance(self.segment, int):
            n_times = self.segment
        elif self.segment is None and self.settings.window:
            n_times = max(1, round(self.settings.window * sfreq))
        else:
            n_times = whole
        stride = self.settings.stride
        return n_times, max(1, round(stride * sfreq)) if stride else n_times

    def row(
        self, signal: NDArray[np.float64], sfreq: float, label: int, whose: Whose, place: str,
        start: float,
    ) -> None:  # fmt: skip
        """Cut a short signal (n_chans, time) in µV, all of one class."""
        read = lambda a, b: signal[:, a:b]  # noqa: E731
        stretch = Stretch(place, whose, sfreq, signal.shape[1], len(signal), read, start)
        rates, after = self.rates(sfreq)
        n_after = rates.n_after(signal.shape[1])
        n_times, _ = self.lengths(after, n_after)
        if not 0 < n_times <= n_after:
            raise DataError(
                f"{place}: {n_after} samples, fewer than the {n_times} of a window: "
                "expected at least one window; give a shorter --window"
            )
        self.stretch(filtered([stretch], self.settings)[0], number=label)

    def stretch(
        self,
        stretch: Stretch,
        events: Sequence[Event] = (),
        classes: Classes | None = None,
        number: int = 0,
    ) -> None:
        """Cut a continuous signal, piece by piece; windows have the class of their events.

        Without classes every window is kept, and has the label ``number``.
        """
        rates, after = self.rates(stretch.sfreq)
        n_after = rates.n_after(stretch.n_times)
        n_times, stride = self.lengths(after, n_after)
        n_windows = max(0, (n_after - n_times) // stride + 1)
        self.shelf.n_dropped += n_after - ((n_windows - 1) * stride + n_times if n_windows else 0)
        starts: NDArray[np.float64] = np.arange(n_windows, dtype=np.float64) * (stride / after)
        label = np.full(n_windows, number, np.int64)
        if classes is not None:
            label = label_windows(
                starts,
                n_times / after,
                events,
                classes,
                background=self.settings.background,
                overlap=self.settings.overlap,
            )
        for first, last in blocks(n_windows, stretch.n_chans, stride):
            kept = np.flatnonzero(label[first:last] != NO_CLASS)
            if not len(kept):
                continue
            begin, end = first + int(kept[0]), first + int(kept[-1]) + 1
            signal = rates.part(
                stretch.read, stretch.n_times, begin * stride, (end - 1) * stride + n_times
            )
            cut, _, _ = cut_row(signal.astype(np.float32), n_times, stride)
            which = label[begin:end] != NO_CLASS
            labels, times = label[begin:end][which], stretch.offset + starts[begin:end][which]
            self.shelf.put(Cut(cut[which], labels, times, stretch.whose, after, stretch.place))
