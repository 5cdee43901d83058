"""Simple statistics of signals, which should not tell the class: amplitude, offset, mains hum."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter1d, median_filter

from sequela.signals.cutting import in_blocks

_BANDS = (0.5, 4, 8, 13, 20, 30, 45)  # Hz
_LINES = (50, 60)  # Hz
_NEAR = 5  # Hz beside the hum, whose power is compared
_PEAK = 10  # of a power to that of its neighbours: by chance three
_TINY = 1e-12
_HIGH_HZ = 30  # Hz above which no rhythm is a narrow line
_HIGH = 0.19  # the same, as a share of half an unknown rate
_BESIDE = 15  # frequencies whose median a line is compared with
_STEEP = 7.0  # natural logarithm of a power to that of the next quarter of an octave
_PULSE = 15.0  # of a step that goes back at once to the median step: no neuron is as fast
_EXACT = 1e-4  # of a deviation, by which a mean is 0
_TAPERED = -6.0  # logarithm of the power of the ends to that of the whole
_FEW_SAMPLES = 32
_STEPS = 500  # steps of a segment that are looked at
_PARTS = 12  # parts of the least step that are tried as a unit
_ROUNDING = 0.1  # of a unit, by which a step may differ from a multiple
_NEARLY_ALL = 0.95  # share of the steps that are multiples of a unit

Signal = NDArray[np.float64]


def statistics(
    signal: NDArray[np.float32],
    rows: NDArray[np.int64],
    sfreq: float | None,
    channels: Sequence[str],
) -> dict[tuple[str, str], Signal]:
    """Compute statistics of some segments, by name and channel: float64 (row,).

    They are ``amplitude``, ``offset`` (in standard deviations), ``power at 50 Hz`` and 60 Hz (a
    constant where there is no peak), ``resolution`` (the smallest step between two samples),
    ``clipping`` (the share of samples at the ends of the range), those of ``_of_device``, and
    the share of each band in the power; all but the offset as logarithms. ``signal`` is (segment,
    n_chans, n_times) in µV, and ``sfreq`` in Hz; without it, no frequency in Hz is looked at.
    """
    blocks = [_of(np.asarray(block, np.float64), sfreq) for block in in_blocks(signal, rows)]
    columns: dict[tuple[str, str], Signal] = {}
    for name in blocks[0]:
        joined = np.concatenate([block[name] for block in blocks])  # (row, channel)
        columns |= {(name, channel): joined[:, n] for n, channel in enumerate(channels)}
    return columns


def _of(signal: Signal, sfreq: float | None) -> dict[str, Signal]:
    """Compute the statistics of a block: (segment, channel) by name."""
    n_times = signal.shape[2]
    mean, spread = signal.mean(axis=2), np.maximum(signal.std(axis=2), _TINY)
    steps = np.diff(np.sort(signal, axis=2), axis=2)
    least = np.where(steps > 0, steps, np.inf).min(axis=2, initial=np.inf)
    numbers = {"amplitude": np.log(spread), "offset": mean / spread}
    ends = (signal == signal.max(2, keepdims=True)) | (signal == signal.min(2, keepdims=True))
    numbers["clipping"] = np.log(ends.mean(axis=2))
    numbers["resolution"] = np.log(_unit(steps, least))
    tapered = (signal - mean[:, :, None]) * np.hanning(n_times)
    power = np.abs(np.fft.rfft(tapered, axis=2)) ** 2 + _TINY
    if n_times >= _FEW_SAMPLES:
        numbers |= _of_device(signal, least, mean, spread) | _of_spectrum(power, sfreq)
    if sfreq is None:
        return numbers
    frequency = np.fft.rfftfreq(n_times, 1 / sfreq)
    width = 2.5 * sfreq / n_times  # of the taper
    for line in _LINES:
        apart = np.abs(frequency - line)
        near = (apart > width) & (apart <= width + _NEAR)
        if line + width + _NEAR < sfreq / 2 and near.any():
            hum, floor = power[:, :, apart <= width].max(axis=2), np.median(power[:, :, near], 2)
            numbers[f"power at {line} Hz"] = np.log(np.where(hum > _PEAK * floor, hum, _TINY))
    for low, high in pairwise(_BANDS):
        inside = (frequency >= low) & (frequency < high)
        if inside.any():
            share = power[:, :, inside].sum(axis=2) / power.sum(axis=2)
            numbers[f"power of {low} to {high} Hz"] = np.log(share + _TINY)
    return numbers


def _unit(steps: Signal, least: Signal) -> Signal:
    """Return the unit whose multiples all steps (segment, channel, step) are, else nearly 0.

    It is the least step, or a part of it where large signals skip some values.
    """
    unit = np.full(least.shape, _TINY)
    steps = steps[:, :, :: steps.shape[2] // _STEPS + 1]
    for parts in range(_PARTS, 0, -1):
        size = np.where(np.isfinite(least), least, 1)[:, :, None] / parts
        is_multiple = np.abs(steps / size - np.round(steps / size)) < _ROUNDING
        unit = np.where(
            np.isfinite(least) & (is_multiple.mean(2) > _NEARLY_ALL), size[:, :, 0], unit
        )
    return unit


def _of_device(signal: Signal, least: Signal, mean: Signal, spread: Signal) -> dict[str, Signal]:
    """Compute what a device or a program leaves in samples, whatever their amplitude.

    ``repeated samples``: equal neighbours, in units of neighbours that differ by the least step.
    ``flat stretch``: the longest run of equal samples, beyond what as many equal neighbours give.
    ``scaling``: 1 for a mean of 0, 2 for a deviation of 1 too, 3 for a range of 0 to 1.
    ``pulse``: a sample far from both neighbours. ``taper``: ends that are near 0.
    ``reference``: 1 for a channel that is a multiple of another, or where channels add up to 0.
    """
    steps = np.abs(np.diff(signal, axis=2))
    equal, n_times = steps == 0, signal.shape[2]
    unit = np.abs(steps - least[:, :, None]) < least[:, :, None] / 2
    repeated = np.log((equal.sum(2) + 1) / (unit.sum(2) / 2 + 1))
    run = longest = np.zeros(signal.shape[:2])
    for place in range(equal.shape[2]):
        run = (run + 1) * equal[:, :, place]
        longest = np.maximum(longest, run)
    share_of_equal = (equal.sum(2) - longest + 1) / (n_times - longest)
    expected = np.log(n_times) / -np.log(np.minimum(share_of_equal, 1 - 1 / n_times))
    at_zero = np.abs(mean) < _EXACT * spread
    scaling = np.where(at_zero & (np.abs(spread - 1) < 1 / n_times), 2, at_zero.astype(float))
    ranged = (signal.min(2) == 0) & (signal.max(2) == 1)
    centred = signal - mean[:, :, None]
    form = centred / (spread * np.sqrt(n_times))[:, :, None]
    alike = np.abs(form @ form.transpose(0, 2, 1)) - np.eye(signal.shape[1])
    total = np.abs(centred.sum(1)).max(1) < _EXACT * spread.max(1)
    several = signal.shape[1] > 1
    reference = several & ((alike.max(2) > 1 - _EXACT**2) | total[:, None])
    ends = signal[:, :, np.r_[: n_times // 32, -(n_times // 32) : 0]]
    taper = np.log((ends**2).mean(2) / spread**2 + _TINY)
    bend = np.abs(signal[:, :, 1:-1] - (signal[:, :, 2:] + signal[:, :, :-2]) / 2)
    usual = np.median(bend, axis=2) + least.clip(max=spread) / 2
    return {
        "repeated samples": repeated,
        "flat stretch": np.maximum(longest - 2 * expected, 0),
        "scaling": np.where(ranged, 3, scaling),
        "reference": reference.astype(float),
        "taper": np.minimum(taper, _TAPERED),
        "pulse": np.log(np.maximum(bend.max(2) / np.maximum(usual, _TINY), _PULSE)),
    }


def _of_spectrum(power: Signal, sfreq: float | None) -> dict[str, Signal]:
    """Compute what hum and filters leave in a spectrum (segment, channel, frequency).

    ``line``: the frequency of the highest narrow peak. ``edge``: the place of a drop that is
    steeper than any of a brain. ``rise``: how much weaker the lowest frequencies are than those
    above them. ``notch``: how much weaker a narrow band is than both its neighbours.
    """
    n = power.shape[2]
    share = _HIGH if sfreq is None else min(2 * _HIGH_HZ / sfreq, 0.5)
    high = power[:, :, max(int(share * n), 4) :]
    floor = median_filter(high, (1, 1, _BESIDE))
    ratio = high / floor
    line = np.where(ratio.max(2) > 3 * _PEAK, ratio.argmax(2) + 1.0, 0)
    edges = np.unique((n / 2 ** np.arange(0, np.log2(n) - 2, 0.25)).astype(int))
    bands = np.log(np.stack([power[:, :, a:b].mean(2) for a, b in pairwise(edges)], axis=2))
    drop = bands[:, :, :-2] - bands[:, :, 2:]
    edge = np.where(drop.max(2) > _STEEP, drop.argmax(2) + 1.0, 0)
    low, above = power[:, :, 1:3].mean(2), np.median(power[:, :, 5:17], axis=2)
    smooth = maximum_filter1d(high, 3, axis=2)
    around = np.minimum(np.roll(smooth, 6, 2), np.roll(smooth, -6, 2))[:, :, 6:-6]
    dip = np.log(around / smooth[:, :, 6:-6]).max(2, initial=0)
    return {
        "line": line,
        "edge": edge,
        "rise": np.maximum(np.log(above / low), 0),
        "notch": np.maximum(dip, 4),
    }
