"""Recordings of the same time are found, and no others."""

from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.signal import butter, sosfiltfilt

from sequela.signals.simultaneous import pairs, sessions

SFREQ = 128.0


def rhythms(count: int, seconds: float, width: float, seed: int = 0) -> NDArray[np.float64]:
    """Independent noise around 10 Hz, of that width in Hz: (recording, n_times)."""
    noise = np.random.default_rng(seed).normal(size=(count, int(seconds * SFREQ)))
    band = butter(2, (10 - width / 2, 10 + width / 2), "bandpass", fs=SFREQ, output="sos")
    found: NDArray[np.float64] = sosfiltfilt(band, noise)
    return found


def electrodes(
    signal: NDArray[np.float64], delay: int, share: float, seed: int
) -> Iterator[NDArray[np.float64]]:
    """Two recordings of one source, the second later by some samples, with noise of their own."""
    noise = rhythms(2, (len(signal) + 100) / SFREQ, 8.0, seed)[:, : len(signal) - 100]
    for at, own in zip((50, 50 - delay), noise, strict=True):
        yield np.sqrt(share) * signal[at : at + len(own)] + np.sqrt(1 - share) * own


@pytest.mark.parametrize("delay", [0, 3, -40])
def test_electrodes_of_one_time_are_found_whatever_their_delay(delay: int) -> None:
    source = rhythms(1, 30, 8.0, seed=5)[0]
    one, other = electrodes(source, delay, 0.7, seed=6)
    others = rhythms(20, 29, 8.0, seed=7)
    signals = [*others[:7], one, *others[7:12], -3 * other + 50, *others[12:]]
    assert pairs(signals, SFREQ).tolist() == [[7, 13]]
    assert pairs(signals, SFREQ, decimate=False).tolist() == [[7, 13]]
    assert pairs(signals, SFREQ, lag=0.1).tolist() == [[7, 13]] * (abs(delay) < 0.1 * SFREQ)


def test_the_same_signal_seconds_later_is_another_time() -> None:
    source = rhythms(1, 40, 8.0)[0]
    late = int(3 * SFREQ)
    assert not len(pairs([source[late:], source[:-late]], SFREQ))


@pytest.mark.parametrize(("seconds", "width"), [(60, 0.5), (20, 1.0), (20, 6.0), (12, 6.0)])
def test_independent_rhythms_are_of_no_common_time(seconds: float, width: float) -> None:
    assert not len(pairs([*rhythms(120, seconds, width)], SFREQ))


def test_what_cannot_be_told() -> None:
    short = rhythms(1, 7.9, 6.0)[0]
    flat = np.zeros(4000)
    assert not len(pairs([short, short], SFREQ))
    assert not len(pairs([flat, flat + 1], SFREQ))
    assert not len(pairs([], SFREQ))
    long = rhythms(1, 10, 6.0)[0]
    assert pairs([short, long, long], SFREQ).tolist() == [[1, 2]]


def test_only_what_is_asked_for_is_compared() -> None:
    signal = rhythms(1, 20, 6.0)[0]
    part = np.array(["a", "b", "a"])
    found = pairs([signal] * 3, SFREQ, compared=lambda one: part != part[one])
    assert found.tolist() == [[0, 1], [1, 2]]


def test_what_is_connected_is_one_session() -> None:
    """By pairs, and by a session that is known already."""
    names = ["d", "c", "b", "a", "S1", "S1", "e"]
    connected = np.array([[0, 1], [1, 2], [3, 4]])
    assert sessions(names, connected) == ["b", "b", "b", "S1", "S1", "S1", "e"]
    assert sessions(["x"], np.empty((0, 2), np.int64)) == ["x"]
