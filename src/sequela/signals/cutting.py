"""Signals cut into windows: rows of a table, or continuous signals piece by piece."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sequela.config import SegmentLength, SignalSettings
from sequela.errors import DataError
from sequela.signals.declaration import Classes
from sequela.signals.events import NO_CLASS, Event, label_windows
from sequela.signals.windows import Cut, Rates, Whose, blocks, cut_row


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
        """See :meth:`sequela.signals.windows.Shelf.put`."""


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
        rates, after = self.rates(sfreq)
        signal = rates.apply(signal)
        n_times, stride = self.lengths(after, signal.shape[1])
        if not 0 < n_times <= signal.shape[1]:
            raise DataError(
                f"{place}: {signal.shape[1]} samples, fewer than the {n_times} of a window: "
                "expected at least one window; give a shorter --window"
            )
        cut, starts, dropped = cut_row(signal.astype(np.float32), n_times, stride)
        self.shelf.n_dropped += dropped
        labels = np.full(len(cut), label, np.int64)
        self.shelf.put(Cut(cut, labels, start + starts / after, whose, after, place))

    def stretch(
        self, stretch: Stretch, events: Sequence[Event] = (), classes: Classes | None = None
    ) -> None:
        """Cut a continuous signal, piece by piece; windows have the class of their events.

        Without classes every window is kept, and has the label 0.
        """
        rates, after = self.rates(stretch.sfreq)
        n_after = rates.n_after(stretch.n_times)
        n_times, stride = self.lengths(after, n_after)
        n_windows = max(0, (n_after - n_times) // stride + 1)
        self.shelf.n_dropped += n_after - ((n_windows - 1) * stride + n_times if n_windows else 0)
        starts: NDArray[np.float64] = np.arange(n_windows, dtype=np.float64) * (stride / after)
        label = np.zeros(n_windows, np.int64)
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
