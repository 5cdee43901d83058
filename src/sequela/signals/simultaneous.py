"""Detection of recordings that were made at the same time.

Electrodes that record one brain at one time record similar signals, which correlate where they are
aligned and not where one is moved by seconds. Signals of other people or of other times correlate
no better aligned than moved: the correlation when moved is the reference for each pair. Decision 27
has the figures on the Bonn recordings.
"""

from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

BOUND = 0.35
"""The least correlation of simultaneous recordings: among 500, chance alone brings 0.2 pairs."""
RATIO = 1.5  # its least ratio to the correlation when moved
SPREADS = 6.0  # least ratio to the root mean square of a pair's correlations when moved
MOVED = 2.0  # least seconds by which signals are moved for the reference
SHORTEST = 4 * MOVED  # seconds of the shortest recordings that are compared
LONGEST = 60.0  # seconds of a recording that are compared, from its start
HIGHEST = 20.0  # Hz above which frequencies are removed before signals are decimated
_LOWEST = 2.0  # Hz below which drifts are removed
_ORDER = 4  # of the Butterworth filter
_AT_ONCE = 1 << 21  # correlations that are computed at once


def pairs(
    signals: Sequence[NDArray[np.floating]],
    sfreq: float,
    *,
    lag: float = 1.0,
    decimate: bool = True,
    bound: float = BOUND,
    spreads: float = SPREADS,
    compared: Callable[[int], NDArray[np.bool_]] | None = None,
) -> NDArray[np.int64]:
    """Find the pairs of recordings made at the same time.

    Slow drifts below 2 Hz are removed. A pair is simultaneous if its largest absolute correlation
    within ``lag`` is above ``bound``, above 1.5 times its largest correlation at lags of two
    seconds and more, and above ``spreads`` times the root mean square of those. Recordings of less
    than eight seconds cannot be compared; of longer ones, the first minute is used.

    Args:
        signals: One channel of each recording, (n_times,), without NaN.
        sfreq: Samples per second, in Hz.
        lag: Seconds by which simultaneous recordings may be apart.
        decimate: Whether to compare only frequencies below 20 Hz, which is several times faster.
        bound: The least correlation.
        spreads: Six finds no pair among 79,800 of independent rhythms of 20 s or more.
        compared: Function from the index of a recording to bool (recording,), the others to compare
            it with; all by default.

    Returns:
        int64 (pair, 2): indices of recordings, the lower first; each pair once.
    """
    from scipy import fft  # scipy takes long to load

    step = max(1, int(sfreq / (2 * HIGHEST))) if decimate else 1
    rate = sfreq / step
    near, moved = round(lag * rate), round(MOVED * rate)
    index = np.array([i for i, s in enumerate(signals) if len(s) >= SHORTEST * sfreq], np.int64)
    starts = [filtered(signals[i][: int(LONGEST * sfreq)], sfreq, step) for i in index]
    n_times = max(map(len, starts), default=1)
    size = fft.next_fast_len(2 * n_times - 1, real=True)
    spectra = np.stack([fft.rfft(start, size) for start in starts]) if starts else np.empty((0, 1))
    lags = np.arange(moved, n_times // 2)
    unbiased = np.tile(n_times / (n_times - lags), 2).astype(np.float32)  # the overlap is shorter
    lags = np.concatenate([lags, -lags])
    block = max(1, _AT_ONCE // size)
    simultaneous = [np.empty((0, 2), np.int64)]
    for first in range(len(index) - 1):
        later = np.arange(first + 1, len(index))
        if compared is not None:
            later = later[compared(int(index[first]))[index[later]]]
        for seconds in np.split(later, range(block, len(later), block)):
            # (second recording, lag): negative lags are at the end
            correlation = fft.irfft(spectra[seconds] * spectra[first].conj(), size, axis=1)
            aligned = np.abs(correlation[:, np.arange(-near, near + 1)]).max(axis=1)
            away = correlation[:, moved:-moved]
            least = np.maximum(RATIO * np.maximum(away.max(axis=1), -away.min(axis=1)), bound)
            (likely,) = np.nonzero(aligned > least)
            spread = np.sqrt(np.square(correlation[np.ix_(likely, lags)] * unbiased).mean(axis=1))
            matching = seconds[likely[aligned[likely] > spreads * spread]]
            simultaneous.append(np.stack([np.full(len(matching), first), matching], axis=1))
    return index[np.concatenate(simultaneous)]


def filtered(signal: NDArray[np.floating], sfreq: float, step: int) -> NDArray[np.float32]:
    """Return a signal without drifts, every ``step``-th sample, of length 1; zero where flat."""
    from scipy.signal import sosfiltfilt

    decimated = sosfiltfilt(_sections(sfreq, decimated=step > 1), signal)[::step]
    centred = decimated - decimated.mean()
    norm = np.linalg.norm(centred)
    return np.asarray(centred / (norm if norm > 0 else 1), np.float32)


@cache
def _sections(sfreq: float, *, decimated: bool) -> NDArray[np.float64]:
    """Design the filter, once for all signals."""
    from scipy.signal import butter

    if decimated:
        return butter(_ORDER, (_LOWEST, HIGHEST), "bandpass", fs=sfreq, output="sos")
    return butter(_ORDER, _LOWEST, "highpass", fs=sfreq, output="sos")


def sessions(names: Sequence[str], simultaneous: NDArray[np.int64]) -> list[str]:
    """Name the session of each recording: the first name of all that are connected.

    Args:
        names: Id of each recording, or its session if known; equal names are connected.
        simultaneous: int64 (pair, 2), indices of recordings that are connected.

    Example:
        >>> sessions(["Z003", "Z001", "Z002", "Z002"], np.array([[0, 2]]))
        ['Z002', 'Z001', 'Z002', 'Z002']
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    distinct, index = np.unique(np.array(names, np.str_), return_inverse=True)
    ends = tuple(index[simultaneous.reshape(-1, 2)].T)
    graph = coo_array((np.ones(len(ends[0])), ends), shape=(len(distinct), len(distinct)))
    component = connected_components(graph, directed=False)[1]
    first = np.unique(component, return_index=True)[1]  # names are sorted
    return [str(name) for name in distinct[first[component[index]]]]
