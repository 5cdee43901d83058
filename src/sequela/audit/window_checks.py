"""The checks of windows of signals: copies, pieces of one recording, and traces of devices."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.spatial.distance import cdist

from sequela.audit.column_checks import revealing_columns, spaced_by_class
from sequela.audit.finding import Finding
from sequela.audit.input import STRICT_CHANCE, Flags, Floats, Groups, Ints, Labels, Rows, spacing
from sequela.audit.overlaps import Selection, identical_rows, near_identical_rows
from sequela.audit.small_models import revealing_statistics
from sequela.signals.signal_statistics import statistics

_MEASURED = 2_000  # windows whose statistics are computed
_FEWEST = 500  # the same, of long windows of many channels
_SAMPLES = 20_000_000  # of all channels of these windows
_COMPARED = 6_000  # windows in which copies in another form are looked for
_CHANNELS = 4  # channels of these windows
_LOWEST = 0.03  # of half the rate: frequencies that most filters keep
_HIGHEST = 0.35  # of half the rate
_CORRELATED = 0.7  # correlation of two spectra, from which they may be copies
_PEAKS = 4  # of the median size of a sample, above which a peak is cut
_MARGIN = 0.35  # by which copies correlate more than a window and itself at another time
_LOBE = 5  # lags that are one time
_LEAST = 5  # copies, pairs of windows or pieces, fewer of which may be chance
_SHARE = 0.005  # share of windows, for copies in another form
_TENTH = 10  # nearest window, from which a copy must stand out
_HEAD = 32  # samples by which a window is looked for
_GRID = 1e3  # precision of these samples, in parts of a deviation
_SAME = 1e-4  # of 1: how far the correlation of shared samples may be below it
_CELLS = 1 << 18  # samples that are compared at once
_FITTING = 0.1  # share of random pairs of windows whose ends fit
_GROUPS = 1_000  # groups whose ends are compared
_INSIDE = 5_000  # windows whose inner steps are measured

Signals = NDArray[np.floating]


def between_parts(signal: Signals, parts: Rows, group: Groups) -> list[Finding]:
    """Find copies in two parts, and recordings of one part that go on in another."""
    samples = signal.reshape(len(signal), -1)
    rows = {name: Selection(samples, part_rows) for name, part_rows in parts.items()}
    groups = {name: group[part_rows] for name, part_rows in parts.items()}
    copies = identical_rows(rows) + near_identical_rows(rows, groups)
    copies = copies or copies_in_another_form(signal, parts)
    return [*continued_groups(signal, group, parts), *copies]


def by_class(
    signal: Signals,
    recordings: Labels,
    people: Labels,
    sfreq: float | None = None,
    channels: Sequence[str] = (),
) -> list[Finding]:
    """Find samples that alone reveal the class, and traces of devices and programs that do.

    Both labels have the same classes, and recordings or people as groups.
    """
    _, n_chans, n_times = signal.shape
    samples, classes = signal.reshape(len(signal), -1), len(people.classes)
    judged = spaced_by_class(people.label, classes)
    names = [f"sample {index}" for index in range(samples.shape[1])]
    most = max(_FEWEST, min(_MEASURED, _SAMPLES // (n_chans * n_times)))
    rows = spaced_by_class(people.label, classes, most)
    channels = channels or [f"channel {n + 1}" for n in range(n_chans)]
    measured = statistics(signal, rows, sfreq, channels)
    return [
        *revealing_columns(Selection(samples, judged), names, recordings[judged]),
        *revealing_statistics(measured, people[rows]),
    ]


def copies_in_another_form(signal: Signals, parts: Rows) -> list[Finding]:
    """Find windows of two parts with the same spectrum, phases included, in whatever form.

    Frequencies that most filters keep are compared, each in units of its deviation: neither gain,
    offset, sign and direction of time nor resampling and filters change their correlation much.
    """
    n_chans, n_times = signal.shape[1:]
    low, high = (round(share * n_times / 2) for share in (_LOWEST, _HIGHEST))  # frequencies
    channels = np.unique(np.linspace(0, n_chans - 1, _CHANNELS).astype(int))
    if high - low < _TENTH:
        return []

    def spectrum(rows: Ints, step: int) -> NDArray[np.float32]:
        windows = np.asarray(signal[rows[:, None], channels][:, :, ::step], np.float64)
        windows -= np.median(windows, axis=2, keepdims=True)  # an offset has no effect
        most = _PEAKS * np.median(np.abs(windows), axis=2, keepdims=True)
        windows = windows.clip(-most, most)  # else high peaks at one place are copies
        bins = np.fft.rfft(windows, axis=2)[:, :, max(low, 2) : high]
        size = np.linalg.norm(bins, axis=2, keepdims=True)
        bins = np.divide(bins, size, out=bins, where=size > 0)
        return np.concatenate([bins.real, bins.imag], axis=2).reshape(len(rows), -1)

    spectra, findings = {}, []
    for name, part_rows in parts.items():
        if len(part_rows):
            rows = part_rows[:: spacing(len(part_rows), _COMPARED)]
            spectra[name] = rows, spectrum(rows, 1), spectrum(rows, -1)
    for pair in combinations(spectra, 2):
        (_, reference, _), (rows, *directions) = (spectra[name] for name in pair)
        if min(len(reference), len(rows)) <= _TENTH:
            continue
        is_copy = _copies(reference, directions, len(channels))
        if is_copy.sum() >= max(_LEAST, _SHARE * len(rows)):
            counts = {"found": int(is_copy.sum()), "all": len(rows)}
            findings.append(Finding.of("copies in another form", *pair, counts=counts))
    return findings


def _copies(
    reference: NDArray[np.float32], directions: Sequence[NDArray[np.float32]], n_chans: int
) -> Flags:
    """Return the windows whose spectrum, in either direction of time, is one of the reference."""
    centre, spread = reference.mean(0), reference.std(0) + np.finfo(np.float32).tiny
    reference = _unit((reference - centre) / spread)
    is_copy = np.zeros(len(directions[0]), np.bool_)
    for spectra in directions:
        forms = _unit((spectra - centre) / spread)
        alike = np.abs(forms @ reference.T)  # (window, window of the reference)
        # Random spectra of d independent numbers correlate with a variance of 1 / d.
        freedom = 1 / np.mean(alike[:: len(alike) // 100 + 1] ** 2)  # d, from a hundred rows
        size = alike.size
        (likely,) = np.nonzero(alike.max(axis=1) > _CORRELATED)
        alike, forms = alike[likely], forms[likely]
        tenth, best = np.partition(alike, [-_TENTH, -1], axis=1)[:, [-_TENTH, -1]].T
        # Student's t of a correlation in so many dimensions.
        score = best * np.sqrt((freedom - 1) / (1 - best.clip(max=0.9999) ** 2))
        chance = stats.t.sf(score, freedom - 1) * size  # Bonferroni, over all pairs
        apart = (1 - best < (1 - tenth) / 2) & (best > _rhythm(forms, n_chans) + _MARGIN)
        is_copy[likely] |= apart & (chance < STRICT_CHANCE)
    return is_copy


def _rhythm(forms: NDArray[np.float32], n_chans: int) -> NDArray[np.float32]:
    """Return the highest correlation of each window with itself at another time."""
    halves = forms.reshape(len(forms), n_chans, 2, forms.shape[1] // (2 * n_chans))
    power = (halves**2).sum((1, 2))  # its inverse transform is the autocorrelation
    lags = np.fft.irfft(power, 4 * power.shape[1], axis=1)[:, : 2 * power.shape[1]]
    return np.asarray(np.abs(lags[:, _LOBE:]).max(1) / lags[:, 0], np.float32)


def _unit(rows: Signals) -> NDArray[np.float32]:
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(length, np.finfo(np.float32).tiny), np.float32)


def _part_of_each(parts: Rows, n: int) -> Ints:
    part = np.full(n, -1)
    for place, rows in enumerate(parts.values()):
        part[rows] = place
    return part


def overlapping_windows(signals: Signals, parts: Rows) -> list[Finding]:
    """Find windows of two parts that share samples of one signal, in any scale.

    The first 32 samples of a window, centred, scaled and rounded, are looked for within all
    others; then the windows must agree as far as they overlap. Signals are (window, channel, time).
    """
    n, _, length = signals.shape
    part, shared = _part_of_each(parts, n), np.zeros((len(parts), n), np.bool_)
    if length <= _HEAD:
        return []
    heads = _hashes(signals[:, 0, :_HEAD])[:, 0]
    order = np.argsort(heads, kind="stable")
    for begin in range(0, n, step := max(1, _CELLS // length)):
        inner = _hashes(signals[begin : begin + step, 0])[:, 1:]
        # A head that is found within another window is where both overlap.
        at = np.searchsorted(heads[order], inner).clip(max=n - 1)
        row, place = np.nonzero((heads[order][at] == inner) & (inner != 0))
        later, row = order[at[row, place]], row + begin
        for pair in np.flatnonzero((part[row] != part[later]) & (part[row] >= 0)).tolist():
            a, b, shift = row[pair], later[pair], place[pair] + 1
            pieces = signals[a, 0, shift:], signals[b, 0, : length - shift]
            if part[b] >= 0 and np.corrcoef(*pieces)[0, 1] > 1 - _SAME:
                shared[part[a], b] = shared[part[b], a] = True
    findings = []
    for (i, first), (_, second) in combinations(enumerate(parts), 2):
        counts = {"found": int(shared[i, parts[second]].sum()), "all": len(parts[second])}
        if counts["found"]:
            findings.append(Finding.of("overlapping windows", first, second, counts=counts))
    return findings


def _hashes(signal: Signals) -> NDArray[np.uint64]:
    """Hash the form of each run of 32 samples of windows (window, time); 0 for a flat run."""
    samples = signal.astype(np.float64)
    mean = np.lib.stride_tricks.sliding_window_view(samples, _HEAD, axis=1).mean(2)  # (window, run)
    # One sample of each run at a time, as an array of all of them would be 32 times as large.
    places = [slice(i, i + mean.shape[1]) for i in range(_HEAD)]
    spread = np.sqrt(sum((samples[:, place] - mean) ** 2 for place in places) / _HEAD)
    scale, hashes = _GRID / np.maximum(spread, np.finfo(np.float32).tiny), np.zeros_like(mean, "u8")
    factors = np.cumprod(np.full(_HEAD, 0x9E3779B97F4A7C15, np.uint64))  # powers: a polynomial hash
    for place, factor in zip(places, factors, strict=True):
        hashes += np.rint((samples[:, place] - mean) * scale).astype(np.int64).view("u8") * factor
    return np.where(spread > 0, hashes, np.uint64(0))


def continued_groups(signals: Signals, group: Groups, parts: Rows) -> list[Finding]:
    """Find groups (recordings) that go on where a group of another part ends.

    The level and slope at the end of one group and at the start of another are compared in all
    channels, as a likelihood ratio: neighbouring samples within windows, against random pairs of
    groups. Pairs of ends, and of starts, are the control: by chance they are alike at least as
    often, since what ends have in common with starts is common to all of them. Signals are (window,
    channel, time), in order of time within a group (window,).
    """
    part, place = _part_of_each(parts, len(signals)), np.unique(group, return_inverse=True)[1]
    order = np.argsort(place, kind="stable")
    start = np.flatnonzero(np.diff(place[order], prepend=-1))
    first, last = order[start], order[np.append(start[1:], len(order)) - 1]
    undivided = np.flatnonzero((part[first] == part[last]) & (part[first] >= 0))[:_GROUPS]
    first, last, of_group = first[undivided], last[undivided], part[first[undivided]]
    spaced = signals[:: spacing(len(signals), _INSIDE), :, :4].astype(np.float64)
    if spaced.shape[2] < 4 or len(undivided) <= _LEAST:  # noqa: PLR2004
        return []
    inside = (_edge(spaced[..., :2], end=True) - _edge(spaced[..., 2:], end=False)).std(0)
    ends = _edge(signals[last][..., -2:], end=True)
    starts = _edge(signals[first][..., :2], end=False)
    apart = np.sqrt(ends.var(0) + starts.var(0))
    informative = (apart > inside) & (inside > 0)
    # Log of the ratio of two normal densities: steps within a window, and between random groups.
    weight = np.sqrt((inside[informative] ** -2.0 - apart[informative] ** -2.0) / 2)  # (number,)
    ends, starts = ends[:, informative] * weight, starts[:, informative] * weight
    most, findings = np.log(apart[informative] / inside[informative]).sum(), list[Finding]()
    for (i, name), (j, second) in combinations(enumerate(parts), 2):
        a, b = np.flatnonzero(of_group == i), np.flatnonzero(of_group == j)
        least = np.log(max(len(a) * len(b), 1)) / 2  # of many pairs, some fit by chance
        joints = ((ends, starts), (starts, ends), (ends, ends), (starts, starts))
        # The first two pairs of ends and starts can be joints, and the last two are the control.
        fits = [(most - cdist(x[a], y[b], "sqeuclidean") > least).any(0) for x, y in joints]
        fitting, control = (int(np.sum(pairs)) for pairs in (fits[:2], fits[2:]))
        chance = float(stats.binom.sf(fitting - 1, fitting + control, 0.5))  # a sign test
        if fitting >= _LEAST and chance < STRICT_CHANCE:
            counts = {"found": int(np.any(fits[:2], axis=0).sum()), "all": len(b)}
            findings.append(Finding.of("recordings that go on", name, second, counts=counts))
    return findings


def _edge(samples: Signals, *, end: bool) -> Floats:
    """Return level and slope between two samples and those after, or before: (row, number)."""
    rise = samples[..., 1] - samples[..., 0]
    # The level half a sample on, where the end of one recording and the start of the next meet.
    level = samples[..., 1] + rise / 2 if end else samples[..., 0] - rise / 2
    return np.hstack([level, rise]).astype(np.float64)


def adjacent_windows(signals: Signals, parts: Rows) -> list[Finding]:
    """Find windows that go on where the window before in the file, of another part, ends.

    The step from the last sample of one to the first of the next, in units of the steps within
    both, is as small in half of these pairs as in a tenth of random pairs.
    """
    n, part = len(signals), _part_of_each(parts, len(signals))
    first, last = (signals[:, :, place].astype(np.float64) for place in (0, -1))
    inner = np.abs(np.diff(signals[:, :, :_HEAD], axis=2)).mean(2) + np.finfo(np.float32).tiny

    def steps(before: Ints, after: Ints) -> Floats:
        sizes = np.abs(first[after] - last[before]) / (inner[before] + inner[after])
        return np.asarray(np.median(sizes, axis=1))

    bound = np.quantile(steps(np.arange(n), np.random.default_rng(0).permutation(n)), _FITTING)
    findings, pairs = [], np.sort(np.stack([part[:-1], part[1:]]), axis=0)
    for (i, name), (j, second) in combinations(enumerate(parts), 2):
        before = np.flatnonzero((pairs[0] == i) & (pairs[1] == j))
        fitting = int((steps(before, before + 1) < bound).sum())
        by_chance = float(stats.binom.sf(fitting - 1, len(before), _FITTING))
        if fitting >= max(_LEAST, len(before) / 2) and by_chance < STRICT_CHANCE:
            counts = {"found": fitting, "all": len(before)}
            findings.append(Finding.of("adjacent windows", name, second, counts=counts))
    return findings
