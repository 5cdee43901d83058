"""The checks of windows of signals, for `train` and `audit` alike."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from sequela.audit import overlaps, tells
from sequela.audit.finding import Finding
from sequela.audit.fitted import continued_groups
from sequela.signals.signal_statistics import statistics

_MEASURED, _FEWEST = 2_000, 500  # windows whose statistics are computed
_SAMPLES = 20_000_000  # of all channels of these windows
_COMPARED, _CHANNELS = 6_000, 4  # windows and channels in which copies are looked for
_LOWEST, _HIGHEST = 0.03, 0.35  # of half the rate: frequencies that most filters keep
_CORRELATED, _CHANCE = 0.7, 1e-6  # of copies; of a false alarm
_PEAKS = 4  # of the median size of a sample, above which a peak is cut
_MARGIN, _LOBE = 0.35, 5  # beyond the correlation at other times; lags of one time
_LEAST, _SHARE = 5, 0.005  # windows, and their share, fewer of which may be chance
_TENTH = 10  # nearest window, from which a copy must stand out

Rows = Mapping[str, NDArray[np.int64]]


def between_parts(signal: NDArray[Any], parts: Rows, group: NDArray[Any]) -> list[Finding]:
    """Find copies in two parts, and recordings of one part that go on in another."""
    samples = signal.reshape(len(signal), -1)
    rows = {name: overlaps.Selection(samples, part_rows) for name, part_rows in parts.items()}
    groups = {name: group[part_rows] for name, part_rows in parts.items()}
    copies = overlaps.identical_rows(rows) + overlaps.near_identical_rows(rows, groups)
    copies = copies or copies_in_another_form(signal, parts)
    return [*continued_groups(signal, group, parts), *copies]


def by_class(
    signal: NDArray[Any],
    label: NDArray[np.int64],
    classes: Sequence[str],
    recording: NDArray[Any],
    independent: NDArray[Any],
    sfreq: float | None = None,
    channels: Sequence[str] = (),
) -> list[Finding]:
    """Find samples that alone reveal the class, and traces of devices and programs that do."""
    _, n_chans, n_times = signal.shape
    samples = signal.reshape(len(signal), -1)
    judged = overlaps.of_each_class(label, len(classes))
    selection = overlaps.Selection(samples, judged)
    names = [f"sample {index}" for index in range(samples.shape[1])]
    most = max(_FEWEST, min(_MEASURED, _SAMPLES // (n_chans * n_times)))
    rows = overlaps.of_each_class(label, len(classes), most)
    channels = channels or [f"channel {n + 1}" for n in range(n_chans)]
    measured = statistics(signal, rows, sfreq, channels)
    return [
        *overlaps.revealing_columns(selection, names, label[judged], classes, recording[judged]),
        *tells.telling_statistics(measured, label[rows], classes, independent[rows]),
    ]


def copies_in_another_form(signal: NDArray[Any], parts: Rows) -> list[Finding]:
    """Find windows of two parts with the same spectrum, phases included, in whatever form.

    Frequencies that most filters keep are compared, each in units of its deviation: neither gain,
    offset, sign and direction of time nor resampling and filters change their correlation much.
    """
    n_chans, n_times = signal.shape[1:]
    low, high = (round(share * n_times / 2) for share in (_LOWEST, _HIGHEST))
    some = np.unique(np.linspace(0, n_chans - 1, _CHANNELS).astype(int))
    if high - low < _TENTH:
        return []

    def form(rows: NDArray[np.int64], step: int) -> NDArray[np.float32]:
        windows = np.asarray(signal[rows[:, None], some][:, :, ::step], np.float64)
        windows -= np.median(windows, axis=2, keepdims=True)
        most = _PEAKS * np.median(np.abs(windows), axis=2, keepdims=True)
        windows = windows.clip(-most, most)  # else high peaks at one place are copies
        bins = np.fft.rfft(windows, axis=2)[:, :, max(low, 2) : high]
        size = np.linalg.norm(bins, axis=2, keepdims=True)
        bins = np.divide(bins, size, out=bins, where=size > 0)
        return np.concatenate([bins.real, bins.imag], axis=2).reshape(len(rows), -1)

    forms, findings = {}, []
    there = {name: part_rows for name, part_rows in parts.items() if len(part_rows)}
    for name, part_rows in there.items():
        rows = part_rows[:: -(-len(part_rows) // _COMPARED)]
        forms[name] = rows, form(rows, 1), form(rows, -1)
    for first_part, second_part in combinations(forms, 2):
        (_, first_forms, _), (rows, *directions) = forms[first_part], forms[second_part]
        if min(len(first_forms), len(rows)) <= _TENTH:
            continue
        centre, spread = first_forms.mean(0), first_forms.std(0) + np.finfo(np.float32).tiny
        first_forms = _unit((first_forms - centre) / spread)
        is_copy = np.zeros(len(rows), np.bool_)
        for either in directions:
            second_forms = _unit((either - centre) / spread)
            alike = np.abs(second_forms @ first_forms.T)
            freedom = 1 / np.mean(alike[:: len(alike) // 100 + 1] ** 2)  # of random pairs
            size = alike.size
            (likely,) = np.nonzero(alike.max(axis=1) > _CORRELATED)
            alike, second_forms = alike[likely], second_forms[likely]
            tenth, best = np.partition(alike, [-_TENTH, -1], axis=1)[:, [-_TENTH, -1]].T
            score = best * np.sqrt((freedom - 1) / (1 - best.clip(max=0.9999) ** 2))
            chance = stats.t.sf(score, freedom - 1) * size
            apart = (1 - best < (1 - tenth) / 2) & (
                best > _rhythm(second_forms, len(some)) + _MARGIN
            )
            is_copy[likely] |= apart & (chance < _CHANCE)
        if is_copy.sum() >= max(_LEAST, _SHARE * len(rows)):
            counts = {"found": int(is_copy.sum()), "all": len(rows)}
            findings.append(
                Finding("copies in another form", "suspicion", (first_part, second_part), counts)
            )
    return findings


def _rhythm(forms: NDArray[np.float32], n_chans: int) -> NDArray[np.float32]:
    """Return the highest correlation of each window with itself at another time."""
    halves = forms.reshape(len(forms), n_chans, 2, forms.shape[1] // (2 * n_chans))
    power = (halves**2).sum((1, 2))
    lags = np.fft.irfft(power, 4 * power.shape[1], axis=1)[:, : 2 * power.shape[1]]
    return np.asarray(np.abs(lags[:, _LOBE:]).max(1) / lags[:, 0], np.float32)


def _unit(rows: NDArray[Any]) -> NDArray[np.float32]:
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(length, np.finfo(np.float32).tiny), np.float32)
