"""Segments: windows of fixed length, cut from recordings, that models are trained on."""

import hashlib
import itertools
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import isclose
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from sequela.config import SegmentLength
from sequela.datasets.catalog import Recording
from sequela.errors import DataError, SettingError
from sequela.identity.fingerprint import Content, of_signals
from sequela.identity.pseudonyms import Pseudonyms, own
from sequela.signals.cutting import Cut, Cutter, cut_row, exceed, in_blocks, release, stored
from sequela.signals.simultaneous import LONGEST

if TYPE_CHECKING:
    from sequela.signals.folders import Folder
    from sequela.signals.segment_tables import SegmentTable

_GROUPINGS = ("subject_id", "site", "session_id")  # groupings of recordings, which may be unknown
_HALF = 0.5  # samples by which a segment may begin earlier or later than the one before it ends
_SAME_RATE = 1e-5  # share by which the rates of recordings may differ: headers round them
_LEAST_UV = 0.2  # smallest standard deviation of EEG; the noise of an amplifier is below
_MOST_UV = 5000  # largest standard deviation of EEG
_MEASURED = 1000  # windows whose amplitude is computed


@dataclass(frozen=True, eq=False)
class Segments:
    """The segments of one data set, by recording and time."""

    signal: NDArray[np.float32]  # (segment, n_chans, n_times), in µV
    label: NDArray[np.int64]  # (segment,), index into ``classes``
    segment_id: NDArray[np.str_]  # (segment,), recording and number in it from 1, as in Z007/01
    recording_id: NDArray[np.str_]  # (segment,)
    subject_id: NDArray[np.str_] | None  # (segment,), None where subjects are not identified
    sfreq: float  # samples per second, in Hz
    classes: tuple[str, ...]  # names
    n_dropped: int  # samples at the recordings' ends that fill no segment, over all recordings
    site: NDArray[np.str_] | None = None  # (segment,), None where sites are not known
    # Recordings made at the same time share a session: (segment,), None where that is not known.
    session_id: NDArray[np.str_] | None = None
    notes: tuple[str, ...] = ()  # preprocessing and exclusions, as sentences
    title: str = ""  # name of a user's own data on a page
    channels: tuple[str, ...] = ()  # names, where they are known
    # Seconds from the recording's start: (segment,), None if each segment of a recording begins
    # where the one before it ends.
    start: NDArray[np.float64] | None = None

    @property
    def unit(self) -> Literal["subject", "session", "recording"]:
        """The independent unit: the subject if known, else the session, else the recording."""
        if self.subject_id is not None:
            return "subject"
        return "recording" if self.session_id is None else "session"

    @property
    def independent(self) -> NDArray[np.str_]:
        """The id of each segment's ``unit``: str (segment,)."""
        ids: NDArray[np.str_] = getattr(self, f"{self.unit}_id")
        return ids

    def sha256(self) -> str:
        """Return the SHA-256 of ids, labels and samples."""
        digest = hashlib.sha256("\n".join(self.segment_id.tolist()).encode())
        digest.update(self.label.tobytes())
        for block in in_blocks(self.signal):
            digest.update(np.ascontiguousarray(block).data)
        return digest.hexdigest()

    @cached_property
    def contents(self) -> dict[Pseudonyms, Content]:
        """The marks that :func:`content_of` has computed, by the hashing of ids."""
        return {}

    @property
    def n_recordings(self) -> int:
        """The number of recordings that have a segment."""
        return len(np.unique(self.recording_id))

    def __len__(self) -> int:
        return len(self.label)

    def where(self, keep: NDArray[np.bool_ | np.int64], work: Path | None = None) -> Self:
        """Return the segments where ``keep`` is true, or at its positions; on disk in ``work``."""
        changes: dict[str, Any] = {}
        for name in ("label", "segment_id", "recording_id", "start", *_GROUPINGS):
            values = getattr(self, name)
            changes[name] = None if values is None else values[keep]
        if work is None:
            return replace(self, signal=self.signal[keep], **changes)
        signal = stored(self.signal, np.arange(len(self))[keep], work)
        return replace(self, signal=signal, **changes)

    def describe(self) -> str:
        """Describe the segments, as lines of text."""
        n_windows, n_chans, n_times = self.signal.shape
        people = "not known" if self.subject_id is None else f"{len(np.unique(self.subject_id)):,}"
        lines = {
            "recordings": f"{self.n_recordings:,}",
            "subjects": people,
            "windows": f"{n_windows:,} of {n_times:,} samples at {self.sfreq:g} Hz",
            "channels": ": ".join(filter(None, (f"{n_chans}", ", ".join(self.channels)))),
        }
        for index, name in enumerate(self.classes):
            rows = np.flatnonzero(self.label == index)
            recordings = len(np.unique(self.recording_id[rows]))
            lines[name] = f"{len(rows):,} windows of {recordings:,} recordings"
            if len(rows):
                ends = [(block.min(), block.max()) for block in in_blocks(self.signal, rows)]
                low, high = np.min(ends), np.max(ends)
                lines[name] += f", {low:,.0f} to {high:,.0f} µV"
        facts = [f"  {name:<13} {text}" for name, text in lines.items()]
        return "\n".join([*facts, *(f"  {note}" for note in self.notes)])

    def require_distinct(self) -> None:
        """Raise if a recording is there twice: in two parts of a split, it would be a leak."""
        first = _next_recordings(self.recording_id)
        names: dict[bytes, str] = {}
        for ids, signal in zip(
            np.split(self.recording_id, first), np.split(self.signal, first), strict=True
        ):
            name = names.setdefault(signal.tobytes(), str(ids[0]))
            if name != ids[0]:
                raise DataError(
                    f"recordings {name} and {ids[0]} have the same samples: expected each "
                    "recording once, or a split by recording leaks; keep one of them"
                )


def collect(
    source: "Folder | SegmentTable",
    segment: SegmentLength | None,
    title: str,
    work: Path | None = None,
) -> Segments:
    """Cut all recordings of a source, and return their windows by recording and time.

    The samples are written to an unnamed file in ``work`` while they are cut. Windows of a larger
    range than the settings allow, or with a gap (NaN), are counted and left out.
    """
    settings, cutter = source.settings, Cutter(source.settings, segment)
    stretches = source.stretches(lambda _: None)
    # How many windows there are is known when all are cut, and they may be larger than memory.
    with tempfile.TemporaryFile(dir=work) as file:
        cuts = itertools.chain.from_iterable(map(cutter.cut, stretches))
        parts, rejected, left_out = _write(cuts, settings.reject, file)
        classes, number = source.classes_of_numbers()
        label = number[np.concatenate([rejected[:0], *(part.label for part in parts)])]
        notes = source.notes([*cutter.notes])
        if settings.reject:
            notes.append(_rejections(number[rejected], label, classes, settings.reject))
        if cutter.n_dropped:
            dropped = "samples at the ends fill no whole window and are left out"
            left_out.insert(0, f"{cutter.n_dropped:,} {dropped}")
        _require_classes(title, label, classes, notes, left_out)
        file.flush()
        shape = (len(label), *parts[0].signal.shape[1:])
        signal: NDArray[np.float32] = np.memmap(file, np.float32, "r", shape=shape)
    recording = np.repeat([part.ids.recording for part in parts], [len(p.label) for p in parts])
    subject, site, session = (
        _ids_of(parts, kind, recording) for kind in ("subject", "site", "session")
    )
    start = np.concatenate([part.start for part in parts])
    segments = Segments(
        signal=signal,
        label=label,
        segment_id=recording,
        recording_id=recording,
        subject_id=subject,
        site=site,
        session_id=session,
        start=start,
        sfreq=parts[0].sfreq,
        classes=classes,
        channels=tuple(source.channels),
        title=title,
        notes=(*notes, *left_out, *_amplitude(signal)),
        n_dropped=cutter.n_dropped,
    )
    order = np.lexsort((np.arange(len(label)), start, recording))
    if (np.diff(order) != 1).any():
        segments = segments.where(order, work or Path(tempfile.gettempdir()))
    return replace(segments, segment_id=_numbered(segments.recording_id))


def _require_classes(
    title: str,
    label: NDArray[np.int64],
    classes: Sequence[str],
    notes: Sequence[str],
    left_out: Sequence[str],
) -> None:
    """Raise a DataError unless there are windows of each class."""
    if not len(label):
        raise DataError(
            f"{title}: no window has a class; expected some; look at the classes, the events and "
            f"the length of a window ({'; '.join([*notes, *left_out])})"
        )
    counts = np.bincount(label, minlength=len(classes))
    if not counts.all():
        raise DataError(
            f"{title}: no window is of class {classes[int(counts.argmin())]}; expected windows of "
            f"each class; correct the classes or the events ({'; '.join(notes)})"
        )


def _write(
    cuts: Iterable[Cut], reject: float | None, file: IO[bytes]
) -> tuple[list[Cut], NDArray[np.int64], list[str]]:
    """Write the samples of windows; return the rest of each cut, labels of rejected ones, notes."""
    parts: list[Cut] = []
    rejected = [np.empty(0, np.int64)]
    n_with_gap = n_flat = 0
    for cut in cuts:
        _check_alike(cut, parts[0] if parts else cut)
        signal, label, start = cut.signal, cut.label, cut.start
        complete = np.isfinite(signal).all((1, 2))
        if not complete.all():
            n_with_gap += int((~complete).sum())
            signal, label, start = signal[complete], label[complete], start[complete]
        if (large := exceed(signal, reject)).any():
            rejected.append(label[large])
            signal, label, start = signal[~large], label[~large], start[~large]
        file.write(np.ascontiguousarray(signal).data)
        if len(signal):
            n_flat += int((signal.max(2) == signal.min(2)).any(1).sum())
        none = np.empty((0, *signal.shape[1:]), np.float32)
        parts.append(cut._replace(signal=none, label=label, start=start))
    counts = {
        "windows with a gap (missing samples) are left out": n_with_gap,
        "windows have a flat channel, one value throughout; they are kept": n_flat,
    }
    notes = [f"{count:,} {sentence}" for sentence, count in counts.items() if count]
    return parts, np.concatenate(rejected), notes


def _check_alike(cut: Cut, first: Cut) -> None:
    """Raise a DataError unless windows have the channels, the length and the rate of the first."""
    _, n_chans, n_times = cut.signal.shape
    _, expected_chans, expected_times = first.signal.shape
    same_rate = isclose(first.sfreq, cut.sfreq, rel_tol=_SAME_RATE)
    if (n_chans, n_times) != (expected_chans, expected_times) or not same_rate:
        raise DataError(
            f"{cut.place}: {n_chans} channels of {n_times} samples at {cut.sfreq:g} Hz; expected "
            f"{expected_chans} of {expected_times} at {first.sfreq:g} Hz as in {first.place}; give "
            "channels, a window and a rate to resample to, which all have"
        )


def _rejections(
    rejected: NDArray[np.int64], label: NDArray[np.int64], classes: Sequence[str], reject: float
) -> str:
    """Count the rejected windows by class, in a sentence."""
    labels = np.concatenate([rejected, label])
    counts = [
        f"{(rejected == n).sum():,} of {(labels == n).sum():,} of {name}"
        for n, name in enumerate(classes)
    ]
    left_out = f"windows with more than {reject:g} µV from peak to peak are left out"
    return f"{left_out}: {', '.join(counts)}"


def _ids_of(
    parts: Sequence[Cut], kind: str, recording: NDArray[np.str_]
) -> NDArray[np.str_] | None:
    """Return an id of each window, str (window,), or ``None`` if no recording has one."""
    values = [getattr(part.ids, kind) for part in parts]
    n_missing = values.count(None)
    if n_missing == len(values):
        return None
    texts = np.array(["" if value is None else value for value in values])
    ids = np.repeat(texts, [len(part.label) for part in parts])
    if kind == "site":
        return ids
    if n_missing:
        raise DataError(f"some recordings name their {kind} and some do not: expected all or none")
    pairs = np.unique(np.stack([recording, ids]), axis=1)
    recordings, counts = np.unique(pairs[0], return_counts=True)
    if (counts > 1).any():
        first = str(recordings[counts > 1][0])
        listed = ", ".join(pairs[1][pairs[0] == first][:3])
        raise DataError(
            f"recording {first} is of several {kind}s ({listed}): expected one; give the "
            "recordings of each separate ids"
        )
    return ids


def _amplitude(signal: NDArray[np.float32]) -> Iterator[str]:
    """Yield a warning if windows (window, n_chans, n_times) have an amplitude that EEG has not."""
    rows = np.arange(0, len(signal), max(1, len(signal) // _MEASURED))
    blocks = in_blocks(signal, rows)
    spread = np.concatenate([block.std(axis=2, dtype=np.float64) for block in blocks])
    median = float(np.median(spread))
    if not _LEAST_UV <= median <= _MOST_UV:
        yield (
            f"the median standard deviation of a window is {median:.2g} µV, and that of EEG is "
            f"{_LEAST_UV:g} to {_MOST_UV:,} µV: is the unit right? --unit names another"
        )


def _numbered(recording_id: NDArray[np.str_]) -> NDArray[np.str_]:
    """Count the segments of each recording from 1: str (segment,), such as ``Z007/01``."""
    lengths = np.diff([0, *_next_recordings(recording_id), len(recording_id)])
    numbers = np.concatenate([np.arange(1, length + 1) for length in lengths])
    return np.array([f"{r}/{n:02d}" for r, n in zip(recording_id, numbers, strict=True)])


def _next_recordings(recording_id: NDArray[np.str_]) -> NDArray[np.int64]:
    """Return the rows at which the next recording begins."""
    return np.flatnonzero(recording_id[1:] != recording_id[:-1]) + 1


def content_of(segments: Segments) -> Content:
    """Compute the marks of each subject, session or recording (see :attr:`Segments.unit`).

    Ids are hashed. The segments of a recording are read as one signal, so that no mark is lost at
    the boundaries.
    """
    pseudonyms = own()
    if pseudonyms not in segments.contents:
        first = _next_recordings(segments.recording_id)
        starts = np.concatenate(([0], first))
        signals = map(_moving, np.split(segments.signal, first))
        ids = pseudonyms.each(segments.independent[starts]).tolist()
        segments.contents[pseudonyms] = of_signals(ids, signals)
    return segments.contents[pseudonyms]


def _moving(segments: NDArray[np.float32]) -> NDArray[np.float32]:
    """Join the segments of a recording in their first channel that is not flat: (1, time)."""
    for channel in range(segments.shape[1]):
        signal = segments[:, channel].reshape(1, -1)
        if np.ptp(signal) > 0:
            break
    release(segments)
    return signal


def first_minutes(segments: Segments) -> tuple[NDArray[np.int64], list[NDArray[np.float64]]]:
    """Return the start of each recording, at the length compared for simultaneous recordings.

    The starts are int64 (recording,), the row of each recording's first segment; the signals are
    its first channel that is not flat, float64 (n_times,).
    """
    starts = np.concatenate(([0], _next_recordings(segments.recording_id)))
    n_times = segments.signal.shape[2]
    most = max(1, round(LONGEST * segments.sfreq / n_times))
    signals = []
    for first, end in zip(starts, [*starts[1:], len(segments)], strict=True):
        minute = segments.signal[first : min(end, first + most)].astype(np.float64)
        moving = np.flatnonzero(np.ptp(minute, axis=(0, 2)) > 0)
        signals.append(minute[:, moving[0] if len(moving) else 0].reshape(-1))
    return starts, signals


def stretches(segments: Segments, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Assign a number to each stretch of consecutive segments: int64 (row,).

    Segments of a stretch have one recording and one class, and each begins where the one before it
    ends, as far as times are known. ``rows`` rise.
    """
    before, after = rows[:-1], rows[1:]
    goes_on = (
        (after == before + 1)
        & (segments.recording_id[after] == segments.recording_id[before])
        & (segments.label[after] == segments.label[before])
    )
    if segments.start is not None:
        apart = (segments.start[after] - segments.start[before]) * segments.sfreq
        # Rows of a table without times start at 0: they are in the order of time.
        goes_on &= (apart <= 0) | (np.abs(apart - segments.signal.shape[2]) < _HALF)
    return np.concatenate(([0], np.cumsum(~goes_on)))


def cut(
    recordings: Sequence[Recording], segment: SegmentLength, classes: tuple[str, ...]
) -> Segments:
    """Cut recordings from their start into segments of so many samples, without overlap.

    Args:
        recordings: Recordings with labels that are indices into ``classes``.
        segment: Samples of a segment, or ``recording`` for one segment per recording.
        classes: Names of the classes.

    Raises:
        SettingError: If a recording is shorter than one segment, or recordings are taken whole and
            are not equally long.
        DataError: If there is no recording, an id occurs twice, a label is missing or not one of
            the classes, or the recordings differ in sampling rate or channels.
    """
    n_times = _longest(recordings) if segment == "recording" else segment
    _check(recordings, n_times, classes)
    parts = [cut_row(recording.signal, n_times, n_times) for recording in recordings]
    counts = [len(part) for part in parts]
    subject, session = (
        None if None in ids else np.repeat(np.array(ids, np.str_), counts)
        for ids in ([r.subject_id for r in recordings], [r.session_id for r in recordings])
    )
    recording_id = np.repeat(np.array([recording.recording_id for recording in recordings]), counts)
    return Segments(
        signal=np.concatenate(parts),
        label=np.repeat(np.array([recording.label for recording in recordings], np.int64), counts),
        segment_id=_numbered(recording_id),
        recording_id=recording_id,
        subject_id=subject,
        session_id=session,
        sfreq=recordings[0].sfreq,
        classes=classes,
        n_dropped=sum(recording.signal.shape[1] % n_times for recording in recordings),
    )


def _longest(recordings: Sequence[Recording]) -> int:
    """Return the samples of each recording; raise a SettingError if they are not equally long."""
    lengths = {recording.signal.shape[1] for recording in recordings}
    if len(lengths) > 1:
        raise SettingError(
            f"recordings have {min(lengths):,} to {max(lengths):,} samples, but they can be taken "
            f"whole only where all are equally long: cut them, for example with --segment "
            f"{min(lengths)}"
        )
    return max(lengths, default=0)


def _check(recordings: Sequence[Recording], n_times: int, classes: tuple[str, ...]) -> None:
    if not recordings:
        raise DataError("found no recording: expected at least one to cut into segments")
    first, ids = recordings[0], set()
    for recording in recordings:
        name = f"recording {recording.recording_id}"
        if recording.recording_id in ids:
            raise DataError(f"{name} occurs twice: expected each id once; remove one of them")
        ids.add(recording.recording_id)
        if recording.label is None or not 0 <= recording.label < len(classes):
            raise DataError(f"{name} has label {recording.label}: expected 0 to {len(classes) - 1}")
        if (recording.sfreq, len(recording.signal)) != (first.sfreq, len(first.signal)):
            raise DataError(
                f"{name} has {len(recording.signal)} channels at {recording.sfreq} Hz: expected "
                f"{len(first.signal)} at {first.sfreq} Hz as in {first.recording_id}"
            )
        if not 0 < n_times <= recording.signal.shape[1]:
            raise SettingError(
                f"segments of {n_times} samples: expected 1 to {recording.signal.shape[1]}, "
                f"the length of {name}; choose another length"
            )
    if len({recording.subject_id is None for recording in recordings}) > 1:
        raise DataError("some recordings name their subject and some do not: expected all or none")
