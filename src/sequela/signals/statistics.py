"""Simple statistics of signals, which should not tell the class: amplitude, offset, mains hum."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from sequela.signals.windows import in_blocks

_BANDS = (0.5, 4, 8, 13, 20, 30, 45)  # Hz
_LINES = (50, 60)  # Hz
_NEAR = 5  # Hz beside the hum, whose power is compared
_PEAK = 10  # of a power to that of its neighbours: by chance three
_TINY = 1e-12


def statistics(
    signal: NDArray[np.float32], rows: NDArray[np.int64], sfreq: float, channels: Sequence[str]
) -> dict[tuple[str, str], NDArray[np.float64]]:
    """Compute statistics of some segments, by name and channel: float64 (row,).

    They are ``amplitude``, ``offset`` (in standard deviations), ``power at 50 Hz`` and 60 Hz (a
    constant where there is no peak), ``resolution`` (the smallest step between two samples),
    ``clipping`` (the share of samples at the ends of the range), and the share of each band in the
    power; all but the offset as logarithms. ``signal`` is (segment,
    n_chans, n_times) in µV, and ``sfreq`` in Hz.
    """
    blocks = [_of(np.asarray(some, np.float64), sfreq) for some in in_blocks(signal, rows)]
    return {
        (name, channel): np.concatenate([block[name][:, place] for block in blocks])
        for name in blocks[0]
        for place, channel in enumerate(channels)
    }


def _of(signal: NDArray[np.float64], sfreq: float) -> dict[str, NDArray[np.float64]]:
    """Compute the statistics of a block: (segment, channel) by name."""
    n_times = signal.shape[2]
    mean, spread = signal.mean(axis=2), np.maximum(signal.std(axis=2), _TINY)
    steps = np.diff(np.sort(signal, axis=2), axis=2)
    least = np.where(steps > 0, steps, np.inf).min(axis=2, initial=np.inf)
    found = {"amplitude": np.log(spread), "offset": mean / spread}
    ends = (signal == signal.max(2, keepdims=True)) | (signal == signal.min(2, keepdims=True))
    found["clipping"] = np.log(ends.mean(axis=2))
    found["resolution"] = np.log(np.where(np.isfinite(least), least, _TINY))
    frequency = np.fft.rfftfreq(n_times, 1 / sfreq)
    tapered = (signal - mean[:, :, None]) * np.hanning(n_times)
    power = np.abs(np.fft.rfft(tapered, axis=2)) ** 2 + _TINY
    width = 2.5 * sfreq / n_times  # of the taper
    for line in _LINES:
        apart = np.abs(frequency - line)
        near = (apart > width) & (apart <= width + _NEAR)
        if line + width + _NEAR < sfreq / 2 and near.any():
            hum, floor = power[:, :, apart <= width].max(axis=2), np.median(power[:, :, near], 2)
            found[f"power at {line} Hz"] = np.log(np.where(hum > _PEAK * floor, hum, _TINY))
    for low, high in pairwise(_BANDS):
        inside = (frequency >= low) & (frequency < high)
        if inside.any():
            share = power[:, :, inside].sum(axis=2) / power.sum(axis=2)
            found[f"power of {low} to {high} Hz"] = np.log(share + _TINY)
    return found
