"""Scanning of long recordings: probabilities over time, and the events in them.

Recordings are read piece by piece, so that memory does not grow with their length.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sequela.errors import DataError, SettingError, unknown_name
from sequela.evaluation.number import duration
from sequela.serving.model_facts import SignalFacts
from sequela.serving.served_model import ServedModel
from sequela.signals.channels import Montage, to_microvolts, without
from sequela.signals.cutting import Rates, blocks, cut_row
from sequela.signals.edf import EdfFile
from sequela.signals.folders import stretches_of

_AT_ONCE = 512  # windows that are scored at once: more do not fit the cache of a core
_FLAT = 1e-3  # range in µV below which a channel is flat
_WEEK = 7 * 86_400  # seconds; a longer span with gaps is usually several recordings
_MOST = 1_000_000  # largest term of the ratio of two rates, which is the length of the filter


@dataclass(frozen=True)
class StoredRecording:
    """A recording with the channels and rate of a model.

    ``read`` returns samples in µV, (channel, time), from one sample up to another; NaN in gaps.
    """

    names: tuple[str, ...]
    n_chans: int  # number of channels that the model reads at once
    n_times: int  # number of samples at the model's rate
    sfreq: float  # the rate of the model, in Hz
    read: Callable[[int, int], NDArray[np.float64]]
    notes: tuple[str, ...]
    gaps: float = 0.0  # seconds without signal between the pieces of a discontinuous file

    @property
    def n_asked(self) -> int:
        """The number of predictions for one window."""
        return len(self.names) // self.n_chans

    @classmethod
    def of(cls, file: EdfFile, signal: SignalFacts, channels: Sequence[str]) -> "StoredRecording":
        """Open a recording with the channels and rate of a model."""
        in_training, n_chans = tuple(signal.channels), signal.n_chans
        units = zip(file.labels, file.units, strict=True)
        voltage = [label for label, unit in units if to_microvolts(unit)]
        # Several channels at once need the model's order; one by one, all are scored.
        names = tuple(channels) or (in_training if n_chans > 1 else ()) or tuple(voltage)
        if not names:
            raise DataError(f"{file.path}: no channel is a voltage: expected signals in µV or mV")
        prepared = signal.preparation
        names = without(prepared.reference, names)
        montage = Montage(names, file.labels, str(file.path), prepared.reference)
        if len(names) != n_chans and n_chans > 1:
            raise SettingError(
                f"{file.path}: {len(names)} channels are chosen, but the model reads {n_chans}: "
                "name them with --channels, in its order"
            )
        pieces = stretches_of(file, montage, prepared, "name other channels with --channels")
        before, after = pieces[0].sfreq, signal.sfreq
        rates = Rates.of(before, after) if 0 < before < math.inf else None
        if rates is None or max(rates.up, rates.down) > _MOST:
            raise DataError(
                f"{file.path}: has {before:g} Hz, which cannot be resampled to {after:g} Hz here: "
                "resample it first"
            )
        begins = [round(piece.offset * after) for piece in pieces]
        n_times = begins[-1] + rates.n_after(pieces[-1].n_times)

        def read(first: int, last: int) -> NDArray[np.float64]:
            samples = np.full((len(montage.names), last - first), np.nan)
            # Pieces are resampled each for itself, so that no filter reaches over a gap.
            for begin, piece in zip(begins, pieces, strict=True):
                a, b = max(first, begin), min(last, begin + rates.n_after(piece.n_times))
                if a < b:
                    part = rates.part(piece.read, piece.n_times, a - begin, b - begin)
                    samples[:, a - first : b - first] = part
            return samples

        notes = (*prepared.in_words, *montage.notes)
        if len(pieces) > 1:
            notes = (*notes, f"{len(pieces) - 1:,} gaps in time, of {file.gaps:,.0f} s in all")
        if before != after:
            notes = (*notes, f"resampled from {before:g} Hz to {after:g} Hz")
        return cls(montage.names, n_chans, n_times, after, read, notes, file.gaps)


@dataclass(frozen=True)
class Scanning:
    """The settings of a scan."""

    event: str = ""  # the class to detect
    step: float | None = None  # seconds from one window to the next (default: half a window)
    smooth: float = 5.0  # seconds over which probabilities are averaged
    threshold: float | None = None  # of the smoothed probability (default: the model's, or 0.5)
    shortest: float = 10.0  # shortest event in seconds
    gap: float = 10.0  # longest gap between two events that are joined, in seconds
    channels: tuple[str, ...] = ()  # names of channels, in the model's order

    def __post_init__(self) -> None:
        if self.step is not None and not 0 < self.step < math.inf:
            raise SettingError(f"--step is {self.step:g} s: expected more than 0")
        for name in ("smooth", "shortest", "gap"):
            if not 0 <= getattr(self, name) < math.inf:
                raise SettingError(f"--{name} is {getattr(self, name):g} s: expected 0 or more")
        if self.threshold is not None and not 0 < self.threshold < 1:
            raise SettingError(f"--threshold is {self.threshold:g}: expected between 0 and 1")


@dataclass(frozen=True)
class Found:
    """A detected event."""

    onset: float  # seconds from the start of the recording
    duration: float  # length in seconds
    confidence: float  # mean probability of the event
    channel: str  # the channel with the highest probability, if channels are scored one by one


@dataclass(frozen=True)
class Scan:
    """The result of a scan of a recording."""

    path: Path
    event: str
    seconds: float  # length of the recording
    times: NDArray[np.float64]  # float64 (window,), the middle of each window, in seconds
    probability: NDArray[np.float32]  # (window,), smoothed; NaN for windows that were not scored
    range: NDArray[np.float32]  # (window,), lowest to highest value in µV, the median of channels
    threshold: float  # the lowest probability of an event
    events: tuple[Found, ...]
    unscored: float  # seconds that were not scored: flat, or not finite
    recording: StoredRecording  # the recording with the channels and rate of the model

    @property
    def in_words(self) -> str:
        """The number of events, in a sentence."""
        events = "event" if len(self.events) == 1 else "events"
        return (
            f"{len(self.events)} {self.event} {events} in {duration(self.seconds)}, with a "
            f"probability of {self.threshold:.3f} or more; {self.not_scored}"
        )

    @property
    def not_scored(self) -> str:
        """The seconds that were not scored, in a sentence."""
        return f"{self.unscored:.0f} s of flat, missing or rejected signal were not scored"


def scan(
    model: ServedModel,
    path: Path,
    how: Scanning,
    progress: Callable[[float], None] = lambda _: None,
) -> Scan:
    """Scan one recording.

    A model of one channel scores each chosen channel, and the highest probability counts. Other
    rates are resampled.

    Args:
        model: A model of a signal.
        path: An EDF, EDF+ or BDF file.
        how: See :class:`Scanning`.
        progress: Called with the finished share.
    """
    event = looked_for(model, how.event)
    signal, place = model.signal, model.classes.index(event)
    threshold = _threshold(model, how.threshold, place)
    file = EdfFile.open(path)
    recording = StoredRecording.of(file, signal, how.channels)
    if recording.gaps and file.seconds > _WEEK:
        raise DataError(
            f"{path}: {duration(file.seconds)} from its start to its end, gaps included; expected "
            "at most 7 days; cut it at its gaps into separate files"
        )
    size, rate = signal.n_times, signal.sfreq
    if recording.n_times < size:
        raise DataError(
            f"{path}: has {file.seconds:g} s, but the model reads windows of {size / rate:g} s: "
            "expected a longer recording"
        )
    # Half a window by default: an event at the border of two windows is whole in the one between.
    step = max(1, round((how.step or size / rate / 2) * rate))
    raw, spread = _levels(model, recording, place, step, progress)
    is_scored = ~np.isnan(raw).all(1)
    # The highest channel decides, as a focal seizure shows in few channels.
    level = np.where(is_scored, np.nan_to_num(raw, nan=-1).max(1), np.nan)
    smoothed = _smoothed(level, max(1, round(how.smooth * rate / step)))
    times = (np.arange(len(raw), dtype=np.float64) * step + size / 2) / rate
    names = recording.names if recording.n_asked > 1 else ("",)
    seconds = step / rate
    events = tuple(
        _found(span, smoothed, times, raw, names, seconds)
        for span in _events(smoothed, times, threshold, seconds, how)
    )
    unscored = float(np.count_nonzero(~is_scored) * seconds)
    return Scan(
        path, event, file.seconds, times, smoothed, spread, threshold, events, unscored, recording
    )


def _levels(
    model: ServedModel,
    recording: StoredRecording,
    place: int,
    step: int,
    progress: Callable[[float], None],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Compute probabilities (window, channel), NaN for flat windows, and ranges (window,)."""
    size, most = model.signal.n_times, model.signal.preparation.reject or math.inf
    windows = (recording.n_times - size) // step + 1
    probabilities = np.empty((windows, recording.n_asked), np.float32)
    ranges = np.empty(windows, np.float32)
    at_once = max(1, _AT_ONCE // recording.n_asked)
    for begin, end in blocks(windows, len(recording.names), step):
        samples = recording.read(begin * step, (end - 1) * step + size).astype(np.float32)
        cut = cut_row(samples, size, step)  # (window, channel, time)
        for first in range(begin, end, at_once):
            last = min(first + at_once, end)
            batch = cut[first - begin : last - begin].reshape(-1, recording.n_chans, size)
            if np.isnan(batch).any((1, 2)).all():  # a gap
                probabilities[first:last] = ranges[first:last] = np.nan
                continue
            names: list[str] = []
            for number in range(first, last):
                start = f"the window at {number * step / recording.sfreq:g} s"
                names.extend(repeat(start, recording.n_asked))
            predicted = model.probabilities({"signal": np.nan_to_num(batch)}, names)[:, place]
            spread = batch.max(-1) - batch.min(-1)  # µV (example, n_chans)
            read = (spread > _FLAT) & (spread <= most)  # not flat, finite, not rejected
            predicted[~read.all(-1)] = np.nan  # of a channel, or of all together
            probabilities[first:last] = predicted.reshape(last - first, -1)
            ranges[first:last] = np.median(spread.reshape(last - first, -1), 1)
            progress(last / windows)
    return probabilities, ranges


def looked_for(model: ServedModel, name: str = "") -> str:
    """Return the class to detect."""
    _ = model.signal  # it must be a model of a signal
    if not name:
        name = "seizure" if "seizure" in model.classes else ""
        if not name and len(model.classes) == 2:  # noqa: PLR2004
            name = model.classes[1]
        if not name:
            raise SettingError(
                f"{model.name} has the classes {', '.join(model.classes)}: name one with --event"
            )
    if name not in model.classes:
        raise unknown_name("class", name, model.classes)
    return name


def _threshold(model: ServedModel, threshold: float | None, place: int) -> float:
    if threshold is None:
        # A stored threshold is for class 1 of two; the last one was chosen on the validation set.
        stored = model.facts.thresholds if place == 1 else ()
        return stored[-1].value if stored else 0.5
    return threshold


def _smoothed(level: NDArray[np.float32], n: int) -> NDArray[np.float32]:
    # Differences of cumulative sums, whose cost does not depend on n.
    is_scored = ~np.isnan(level)  # (window,)
    ends = np.pad(np.cumsum(np.where(is_scored, level, 0), dtype=np.float64), (1, 0))
    counts = np.pad(np.cumsum(is_scored), (1, 0))
    first = np.clip(np.arange(len(level)) - n // 2, 0, len(level))
    last = np.clip(first + n, 0, len(level))
    total, count = ends[last] - ends[first], counts[last] - counts[first]
    means = np.divide(total, count, out=np.full(len(level), np.nan), where=(count > 0) & is_scored)
    smoothed: NDArray[np.float32] = means.astype(np.float32)
    return smoothed


def _events(
    level: NDArray[np.float32],
    times: NDArray[np.float64],
    threshold: float,
    step: float,
    how: Scanning,
) -> list[tuple[int, int]]:
    # Runs begin and end where the comparison changes; pairs of changes are their bounds.
    above = np.concatenate(([False], level >= threshold, [False]))  # NaN is not
    edges = np.flatnonzero(above[1:] != above[:-1]).reshape(-1, 2)
    joined: list[tuple[int, int]] = []
    for first, last in edges.tolist():
        if joined and times[first] - times[joined[-1][1] - 1] <= how.gap + step:
            joined[-1] = (joined[-1][0], last)
        else:
            joined.append((first, last))
    return [(a, b) for a, b in joined if (b - a) * step >= how.shortest - step / 2]


def _found(
    event: tuple[int, int],
    level: NDArray[np.float32],
    times: NDArray[np.float64],
    raw: NDArray[np.float32],
    names: Sequence[str],
    step: float,
) -> Found:
    first, last = event
    within = raw[first:last]
    # The channel with the highest mean over the event: a single high window may be an artefact.
    strongest = int(np.nan_to_num(within).mean(0).argmax())
    # Times are middles of windows; an event begins half a step before its first one.
    onset = max(0.0, float(times[first]) - step / 2)
    return Found(
        onset,
        float(times[last - 1]) + step / 2 - onset,
        float(np.nanmean(level[first:last])),
        names[strongest],
    )


# Columns of an `events.tsv` as SzCORE and HED-SCORE name them.
HEADER = (
    "onset",
    "duration",
    "eventType",
    "confidence",
    "channels",
    "dateTime",
    "recordingDuration",
)


def table(scans: Sequence[Scan]) -> str:
    """Write an ``events.tsv``; for several recordings, with a last column ``file``."""
    several = len(scans) > 1
    lines: list[tuple[str, ...]] = [(*HEADER, "file") if several else HEADER]
    for scan in scans:
        lines += [(*row, scan.path.name) if several else row for row in rows(scan)]
    return "".join("\t".join(line) + "\n" for line in lines)


def rows(scan: Scan) -> Iterator[tuple[str, ...]]:
    """Yield the lines of one recording; one background line if no event was detected."""
    # SzCORE's codes of event types: sz for a seizure, bckg for background.
    what = "sz" if scan.event == "seizure" else scan.event
    rest = ("n/a", f"{scan.seconds:.2f}")
    for event in scan.events:
        numbers = (f"{event.onset:.2f}", f"{event.duration:.2f}", what, f"{event.confidence:.4f}")
        yield (*numbers, event.channel or "all", *rest)
    if not scan.events:
        yield (f"{0:.2f}", f"{scan.seconds:.2f}", "bckg", "n/a", "n/a", *rest)
