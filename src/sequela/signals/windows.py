"""Windows of recordings, written to disk while they are cut, to save memory."""

import mmap
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

_DENOMINATOR = 100_000
"""The largest denominator of rates, which are read as fractions: 173.61 Hz is 17361/100."""
_BLOCK = 1 << 22
"""The number of samples, over all channels, that are cut at once."""
_READ = 1 << 23  # samples, over all channels, that are read at once


class Whose(NamedTuple):
    """The recording of windows, with its subject, site and session."""

    recording: str
    subject: str | None = None
    site: str | None = None
    session: str | None = None


class Cut(NamedTuple):
    """Windows of one recording, and the name of their place in errors.

    ``signal`` is float32 (window, n_chans, n_times) in µV, ``label`` int64 (window,), and ``start``
    float64 (window,) in seconds.
    """

    signal: NDArray[np.float32]
    label: NDArray[np.int64]
    start: NDArray[np.float64]
    whose: Whose
    sfreq: float
    place: str


def exceed(windows: NDArray[np.float32], most: float | None) -> NDArray[np.bool_]:
    """Return which windows (window, n_chans, n_times) have a channel with a larger range."""
    large = (np.ptp(windows, axis=2) > most).any(1) if most else np.zeros(len(windows))
    return np.asarray(large, np.bool_)


def in_blocks(
    signal: NDArray[Any], rows: NDArray[np.int64] | None = None, *, size: int | None = None
) -> Iterator[NDArray[Any]]:
    """Yield the rows of an array, or some of them, in blocks of at most ``size`` numbers.

    The array may be larger than memory, as what was read is released. No rows are one block.
    """
    rows = np.arange(len(signal)) if rows is None else rows
    step = max(1, (size or _READ) // max(1, signal[:1].size))
    for first in range(0, max(1, len(rows)), step):
        yield signal[rows[first : first + step]]
        release(signal)


def release(signal: NDArray[Any]) -> None:
    """Free the memory that holds a file's array; it is read from the file again when needed."""
    mapped = getattr(signal, "_mmap", None)
    if mapped is not None and hasattr(mmap, "MADV_DONTNEED"):  # not on Windows
        mapped.madvise(mmap.MADV_DONTNEED)


def stored(
    signal: NDArray[np.float32], rows: NDArray[np.int64], work: Path | None
) -> NDArray[np.float32]:
    """Write some rows of an array to an unnamed file, and return them as an array on disk."""
    with tempfile.TemporaryFile(dir=work) as file:
        for some in in_blocks(signal, rows):
            file.write(np.ascontiguousarray(some).data)
        file.flush()
        shape = (len(rows), *signal.shape[1:])
        found: NDArray[np.float32] = np.memmap(file, np.float32, "r", shape=shape)
    return found


@dataclass(frozen=True)
class Rates:
    """The change from one sampling rate to another: ``scipy.signal.resample_poly``, piece by piece.

    Attributes:
        up: Samples after, for each ``down`` before.
        down: Samples before.
    """

    up: int = 1
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

    def apply(self, signal: NDArray[np.float64]) -> NDArray[np.float64]:
        """Resample a whole signal (n_chans, time) to the other rate."""
        n_before = signal.shape[1]
        return self.part(lambda a, b: signal[:, a:b], n_before, 0, self.n_after(n_before))

    def part(
        self, read: Callable[[int, int], NDArray[np.float64]], n_before: int, first: int, last: int
    ) -> NDArray[np.float64]:
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
        there = read(max(0, begin), min(n_before, end))
        ends = (max(0, -begin), max(0, end - n_before))
        padded = np.pad(there, ((0, 0), ends), mode="edge")
        found: NDArray[np.float64] = resample_poly(  # type: ignore[call-overload] # scipy's stubs
            padded, self.up, self.down, axis=-1, window=_filter(max(self.up, self.down))
        )
        skipped = begin * self.up // self.down  # exact: begin is a multiple of down
        return found[:, first - skipped : last - skipped]


@lru_cache(maxsize=4)
def _filter(most: int) -> NDArray[np.float64]:
    """Design the default filter of ``resample_poly`` once; ``most`` is the ratio's larger term."""
    from scipy.signal import firwin

    found: NDArray[np.float64] = firwin(20 * most + 1, 1 / most, window=("kaiser", 5.0))
    return found


def cut_row(
    signal: NDArray[np.float32], n_times: int, stride: int
) -> tuple[NDArray[np.float32], NDArray[np.int64], int]:
    """Cut a short signal (n_chans, time): windows, their starts, and samples left over."""
    if signal.shape[1] == n_times:
        return signal[np.newaxis], np.zeros(1, np.int64), 0
    if signal.shape[1] < n_times:
        return np.empty((0, len(signal), n_times), np.float32), np.empty(0, np.int64), 0
    seen = np.lib.stride_tricks.sliding_window_view(signal, n_times, axis=1)[:, ::stride]
    starts = np.arange(seen.shape[1]) * stride
    return seen.swapaxes(0, 1), starts, max(0, signal.shape[1] - int(starts[-1]) - n_times)


def blocks(n_windows: int, n_chans: int, stride: int) -> Iterator[tuple[int, int]]:
    """Yield numbers of windows, from one up to another, that are cut at once."""
    step = max(1, _BLOCK // (n_chans * stride))
    for first in range(0, n_windows, step):
        yield first, min(n_windows, first + step)
