"""Stretches of signal cut into windows, and arrays of windows that may be larger than memory."""

import mmap
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from sequela.config import SegmentLength, SignalSettings
from sequela.errors import DataError
from sequela.signals.stretches import Reader, RecordingIds, Stretch, filtered
from sequela.signals.window_classes import NO_CLASS, label_windows

Number = TypeVar("Number", bound=np.generic)
# The largest denominator of rates, which are read as fractions: 173.61 Hz is 17361/100.
_DENOMINATOR = 100_000
_BLOCK = 1 << 22  # samples, over all channels, that are cut at once
_READ = 1 << 23  # samples, over all channels, that are read at once


class Cut(NamedTuple):
    """Windows of one recording, and the name of their place in errors.

    ``signal`` is float32 (window, n_chans, n_times) in µV, ``label`` int64 (window,), and ``start``
    float64 (window,) in seconds from the recording's start.
    """

    signal: NDArray[np.float32]
    label: NDArray[np.int64]
    start: NDArray[np.float64]
    ids: RecordingIds
    sfreq: float
    place: str


@dataclass
class Cutter:
    """A cutter of stretches into windows."""

    settings: SignalSettings
    segment: SegmentLength | None  # samples of a window, where set
    notes: dict[str, None] = field(default_factory=dict)  # sentences on the processing
    n_dropped: int = 0  # samples at the ends of stretches that fill no window

    def _resampling(self, before: float) -> "tuple[Rates, float]":
        """Return the resampling of a signal, and its rate afterwards."""
        after = self.settings.resample or before
        if after != before:
            self.notes[
                f"resampled from {before:g} Hz to {after:g} Hz (scipy.signal.resample_poly, behind "
                "its anti-alias filter)"
            ] = None
        return Rates.of(before, after), after

    def _lengths(self, sfreq: float, n_times: int) -> tuple[int, int]:
        """Return the samples of a window, and from its start to that of the next."""
        if isinstance(self.segment, int):
            n_times = self.segment
        elif self.segment is None and self.settings.window:
            n_times = max(1, round(self.settings.window * sfreq))
        stride = self.settings.stride
        return n_times, max(1, round(stride * sfreq)) if stride else n_times

    def cut(self, stretch: Stretch) -> Iterator[Cut]:
        """Yield the windows of a stretch that have a class, some at a time."""
        self.notes |= dict.fromkeys(stretch.notes)
        rates, sfreq = self._resampling(stretch.sfreq)
        n_after = rates.n_after(stretch.n_times)
        n_times, stride = self._lengths(sfreq, n_after)
        if stretch.is_row:
            if not 0 < n_times <= n_after:
                raise DataError(
                    f"{stretch.place}: {n_after} samples, fewer than the {n_times} of a window: "
                    "expected at least one window; give a shorter --window"
                )
            (stretch,) = filtered([stretch], self.settings)
        n_windows = max(0, (n_after - n_times) // stride + 1)
        self.n_dropped += n_after - ((n_windows - 1) * stride + n_times if n_windows else 0)
        starts: NDArray[np.float64] = np.arange(n_windows, dtype=np.float64) * (stride / sfreq)
        labels = self._labels(stretch, starts, n_times / sfreq)
        for first, last in blocks(n_windows, stretch.n_chans, stride):
            rows = first + np.flatnonzero(labels[first:last] != NO_CLASS)
            if not len(rows):
                continue
            # What has no class at the ends of a block is not read.
            begin, end = int(rows[0]), int(rows[-1]) + 1
            signal = rates.part(
                stretch.read, stretch.n_times, begin * stride, (end - 1) * stride + n_times
            )
            windows = cut_row(signal.astype(np.float32), n_times, stride)
            if len(rows) < len(windows):
                windows = windows[rows - begin]
            times = stretch.offset + starts[rows]
            yield Cut(windows, labels[rows], times, stretch.ids, sfreq, stretch.place)

    def _labels(
        self, stretch: Stretch, starts: NDArray[np.float64], seconds: float
    ) -> NDArray[np.int64]:
        """Return the class of each window, by number: int64 (window,)."""
        if stretch.classes is None:
            return np.full(len(starts), stretch.label, np.int64)
        return label_windows(
            starts,
            seconds,
            stretch.events,
            stretch.classes,
            background=self.settings.background,
            overlap=self.settings.overlap,
        )


def exceed(windows: NDArray[np.float32], most: float | None) -> NDArray[np.bool_]:
    """Return which windows (window, n_chans, n_times) have a channel with a larger range."""
    if not most:
        return np.zeros(len(windows), np.bool_)
    return np.asarray((np.ptp(windows, axis=2) > most).any(1))


def in_blocks(
    signal: NDArray[Number], rows: NDArray[np.int64] | None = None, *, size: int | None = None
) -> Iterator[NDArray[Number]]:
    """Yield the rows of an array, or some of them, in blocks of at most ``size`` numbers.

    The array may be larger than memory, as what was read is released. No rows are one block.
    """
    rows = np.arange(len(signal)) if rows is None else rows
    step = max(1, (size or _READ) // max(1, signal[:1].size))
    for first in range(0, max(1, len(rows)), step):
        yield signal[rows[first : first + step]]
        release(signal)


def release(signal: NDArray[np.generic]) -> None:
    """Free the memory that holds a file's array; it is read from the file again when needed."""
    mapped = getattr(signal, "_mmap", None)
    if mapped is not None and hasattr(mmap, "MADV_DONTNEED"):  # not on Windows
        mapped.madvise(mmap.MADV_DONTNEED)


def stored(
    signal: NDArray[np.float32], rows: NDArray[np.int64], work: Path | None
) -> NDArray[np.float32]:
    """Write some rows of an array to an unnamed file, and return them as an array on disk."""
    with tempfile.TemporaryFile(dir=work) as file:
        for block in in_blocks(signal, rows):
            file.write(np.ascontiguousarray(block).data)
        file.flush()
        return np.memmap(file, np.float32, "r", shape=(len(rows), *signal.shape[1:]))


@dataclass(frozen=True)
class Rates:
    """A change of the sampling rate by ``scipy.signal.resample_poly``, piece by piece."""

    up: int = 1  # samples after, for each ``down`` before
    down: int = 1

    @classmethod
    def of(cls, before: float, after: float | None) -> Self:
        """Return the ratio of two rates, in Hz."""
        if after is None or after == before:
            return cls()
        ratio = Fraction(after).limit_denominator(_DENOMINATOR) / Fraction(
            before
        ).limit_denominator(_DENOMINATOR)
        return cls(ratio.numerator, ratio.denominator)

    def n_after(self, n_before: int) -> int:
        """Return the number of samples after, from so many before."""
        return -(-n_before * self.up // self.down)

    def part(self, read: Reader, n_before: int, first: int, last: int) -> NDArray[np.float64]:
        """Return samples ``first`` to ``last`` after, of a long signal that is read in part.

        They equal those of the whole signal. Its ends are continued with their last values: zeros
        there would ring.
        """
        if self.up == self.down:
            return read(first, last)
        from scipy.signal import resample_poly

        reach = 10 * max(self.up, self.down) // self.up + 1  # half of scipy's filter
        begin = (first * self.down // self.up - reach) // self.down * self.down
        end = -(-last * self.down // self.up) + reach
        ends = (max(0, -begin), max(0, end - n_before))
        padded = np.pad(read(max(0, begin), min(n_before, end)), ((0, 0), ends), mode="edge")
        resampled: NDArray[np.float64] = resample_poly(  # type: ignore[call-overload] # scipy's stubs
            padded, self.up, self.down, axis=-1, window=_anti_alias(max(self.up, self.down))
        )
        skipped = begin * self.up // self.down  # exact: begin is a multiple of down
        return resampled[:, first - skipped : last - skipped]


@lru_cache(maxsize=4)
def _anti_alias(most: int) -> NDArray[np.float64]:
    """Design the default filter of ``resample_poly`` once; ``most`` is the ratio's larger term."""
    from scipy.signal import firwin

    return firwin(20 * most + 1, 1 / most, window=("kaiser", 5.0))


def cut_row(signal: NDArray[np.float32], n_times: int, stride: int) -> NDArray[np.float32]:
    """Cut a short signal (n_chans, time) into windows (window, n_chans, n_times), as views."""
    if signal.shape[1] < n_times:
        return np.empty((0, len(signal), n_times), np.float32)
    views = np.lib.stride_tricks.sliding_window_view(signal, n_times, axis=1)[:, ::stride]
    return views.swapaxes(0, 1)


def blocks(n_windows: int, n_chans: int, stride: int) -> Iterator[tuple[int, int]]:
    """Yield numbers of windows, from one up to another, that are cut at once."""
    step = max(1, _BLOCK // (n_chans * stride))
    for first in range(0, n_windows, step):
        yield first, min(n_windows, first + step)
