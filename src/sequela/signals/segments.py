"""Segments: windows of fixed length, cut from recordings, that models are trained on."""

import hashlib
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import isclose
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from sequela.config import SegmentLength
from sequela.datasets.recordings import Recording
from sequela.errors import DataError, SettingError
from sequela.identity.fingerprint import Content, of_signals
from sequela.identity.pseudonyms import Pseudonyms, own
from sequela.signals.simultaneous import LONGEST
from sequela.signals.windows import Cut, Whose, cut_row, exceed, in_blocks, release, stored

_GROUPINGS = ("subject_id", "site", "session_id")
"""The groupings of recordings, which may be unknown."""
_HALF = 0.5  # sample
_LEAST_UV = 0.2  # standard deviation of EEG; noise of an amplifier is below
_MOST_UV = 5000
_SOME_WINDOWS = 1000  # of which the amplitude is computed


@dataclass(frozen=True, eq=False)
class Segments:
    """The segments of one data set, by recording and time.

    Attributes:
        signal: float32 (segment, n_chans, n_times), in µV.
        label: int64 (segment,), index into ``classes``.
        segment_id: str (segment,), the recording's id and the segment's number in it from 1, for
            example ``Z007/01``.
        recording_id: str (segment,).
        subject_id: str (segment,), or ``None`` where subjects are not identified.
        session_id: str (segment,), shared by recordings made at the same time, or ``None`` where
            that is not known.
        sfreq: Samples per second, in Hz.
        classes: Names of the classes.
        n_dropped: Samples at the recordings' ends that fill no segment, over all recordings.
        site: str (segment,), or ``None`` where sites are not known.
        notes: Preprocessing and exclusions, as sentences.
        title: Name of a user's own data on a page.
        channels: Names of the channels, where they are known.
        start: float64 (segment,), seconds from the recording's start; ``None`` if each segment of a
            recording begins where the one before it ends.
    """

    signal: NDArray[np.float32]
    label: NDArray[np.int64]
    segment_id: NDArray[np.str_]
    recording_id: NDArray[np.str_]
    subject_id: NDArray[np.str_] | None
    sfreq: float
    classes: tuple[str, ...]
    n_dropped: int
    site: NDArray[np.str_] | None = None
    session_id: NDArray[np.str_] | None = None
    notes: tuple[str, ...] = ()
    title: str = ""
    channels: tuple[str, ...] = ()
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
        for some in in_blocks(self.signal):
            digest.update(np.ascontiguousarray(some).data)
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
        kept: dict[str, Any] = {}
        for name in ("label", "segment_id", "recording_id", "start", *_GROUPINGS):
            ids = getattr(self, name)
            kept[name] = None if ids is None else ids[keep]
        if work is None:
            return replace(self, signal=self.signal[keep], **kept)
        return replace(self, signal=stored(self.signal, np.arange(len(self))[keep], work), **kept)

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
        said = [f"  {name:<13} {text}" for name, text in lines.items()]
        return "\n".join([*said, *(f"  {note}" for note in self.notes)])

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


@dataclass
class Shelf:
    """A shelf for windows while they are cut; an unnamed file holds their samples.

    Attributes:
        work: Folder of the file; the system's temporary folder by default.
        reject: Windows of a larger range in µV are counted and left out.
        rejected: Their labels: int64 (window,).
    """

    work: Path | None = None
    reject: float | None = None
    n_chans: int = 0
    n_times: int = 0
    sfreq: float = 0.0
    first: str = ""
    n_dropped: int = 0
    n_with_gap: int = 0
    n_flat: int = 0
    label: list[NDArray[np.int64]] = field(default_factory=list)
    start: list[NDArray[np.float64]] = field(default_factory=list)
    whose: list[Whose] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    rejected: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))

    def __post_init__(self) -> None:
        self._file = tempfile.TemporaryFile(dir=self.work)  # noqa: SIM115 - closed by ``with``

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()  # a map of it stays

    def put(self, windows: Cut) -> None:
        """Add windows of one recording; those with a gap (NaN) are counted and left out."""
        cut, label, start, whose, sfreq, place = windows
        if not self.first:
            self.n_chans, self.n_times = cut.shape[1:]
            self.sfreq, self.first = sfreq, place
        if (self.n_chans, self.n_times) != cut.shape[1:] or not isclose(
            self.sfreq, sfreq, rel_tol=1e-5
        ):
            raise DataError(
                f"{place}: {cut.shape[1]} channels of {cut.shape[2]} samples at {sfreq:g} Hz; "
                f"expected {self.n_chans} of {self.n_times} at {self.sfreq:g} Hz as in "
                f"{self.first}; give channels, a window and a rate to resample to, which all have"
            )
        whole = np.isfinite(cut).all((1, 2))
        if not whole.all():
            self.n_with_gap += int((~whole).sum())
            cut, label, start = cut[whole], label[whole], start[whole]
        if (large := exceed(cut, self.reject)).any():
            self.rejected = np.append(self.rejected, label[large])
            cut, label, start = cut[~large], label[~large], start[~large]
        self._file.write(np.ascontiguousarray(cut).data)
        self.n_flat += int((cut.max(2) == cut.min(2)).any(1).sum()) if len(cut) else 0
        self.label.append(label)
        self.start.append(start)
        self.whose.append(whose)
        self.counts.append(len(cut))

    def windows(
        self, classes: tuple[str, ...], channels: Sequence[str], title: str, notes: Sequence[str]
    ) -> Segments:
        """Return all windows, recording by recording, in the order of time."""
        n_windows = sum(self.counts)
        if self.reject:
            labels = np.concatenate([self.rejected, *self.label])
            of_class = [
                f"{(self.rejected == n).sum():,} of {(labels == n).sum():,} of {name}"
                for n, name in enumerate(classes)
            ]
            what = f"windows with more than {self.reject:g} µV from peak to peak are left out"
            notes = [*notes, f"{what}: {', '.join(of_class)}"]
        if not n_windows:
            raise DataError(
                f"{title}: no window has a class; expected some; look at the classes, the events "
                f"and the length of a window ({'; '.join([*notes, *self._notes()])})"
            )
        counts = np.bincount(np.concatenate(self.label), minlength=len(classes))
        if not counts.all():
            raise DataError(
                f"{title}: no window is of class {classes[int(counts.argmin())]}; expected windows "
                f"of each class; correct the classes or the events ({'; '.join(notes)})"
            )
        self._file.flush()
        shape = (n_windows, self.n_chans, self.n_times)
        signal: NDArray[np.float32] = np.memmap(self._file, np.float32, "r", shape=shape)
        recording, subject, site, session = (
            np.repeat(np.array(["" if e is None else e for e in ids], np.str_), self.counts)
            for ids in zip(*self.whose, strict=True)
        )
        missing = {name: {getattr(e, name) is None for e in self.whose} for name in Whose._fields}
        for name in ("subject", "session"):
            if len(missing[name]) > 1:
                raise DataError(
                    f"some recordings name their {name} and some do not: expected all or none"
                )
        _check_one(recording, subject, "subject")
        _check_one(recording, session, "session")
        notes = (*notes, *self._notes(), *_amplitude(signal))
        start = np.concatenate(self.start)
        order = np.lexsort((np.arange(n_windows), start, recording))
        if (np.diff(order) != 1).any():
            signal = stored(signal, order, self.work)
        return Segments(
            signal=signal,
            label=np.concatenate(self.label)[order],
            segment_id=_numbered(recording[order]),
            recording_id=recording[order],
            subject_id=subject[order] if False in missing["subject"] else None,
            site=site[order] if False in missing["site"] else None,
            session_id=session[order] if False in missing["session"] else None,
            start=start[order],
            sfreq=self.sfreq,
            classes=classes,
            channels=tuple(channels),
            title=title,
            notes=notes,
            n_dropped=self.n_dropped,
        )

    def _notes(self) -> Iterator[str]:
        if self.n_dropped:
            yield f"{self.n_dropped:,} samples at the ends fill no whole window and are left out"
        if self.n_with_gap:
            yield f"{self.n_with_gap:,} windows with a gap (missing samples) are left out"
        if self.n_flat:
            flat = "have a flat channel, one value throughout; they are kept"
            yield f"{self.n_flat:,} windows {flat}"


def _amplitude(signal: NDArray[np.float32]) -> Iterator[str]:
    """Yield a warning if windows (window, n_chans, n_times) have an amplitude that EEG has not."""
    rows = np.arange(0, len(signal), max(1, len(signal) // _SOME_WINDOWS))
    blocks = in_blocks(signal, rows)
    spread = np.concatenate([block.std(axis=2, dtype=np.float64) for block in blocks])
    median = float(np.median(spread))
    if not _LEAST_UV <= median <= _MOST_UV:
        yield (
            f"the median standard deviation of a window is {median:.2g} µV, and that of EEG is "
            f"{_LEAST_UV:g} to {_MOST_UV:,} µV: is the unit right? --unit names another"
        )


def _check_one(recording: NDArray[np.str_], ids: NDArray[np.str_], name: str) -> None:
    pairs = np.unique(np.stack([recording, ids]), axis=1)
    ids, counts = np.unique(pairs[0], return_counts=True)
    if (counts > 1).any():
        several = str(ids[counts > 1][0])
        named = ", ".join(pairs[1][pairs[0] == several][:3])
        raise DataError(
            f"recording {several} is of several {name}s ({named}): expected one; give the "
            "recordings of each separate ids"
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
        some = segments.signal[first : min(end, first + most)].astype(np.float64)
        moving = np.flatnonzero(np.ptp(some, axis=(0, 2)) > 0)
        signals.append(some[:, moving[0] if len(moving) else 0].reshape(-1))
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
    parts = [cut_row(each.signal, n_times, n_times)[0] for each in recordings]
    counts = [len(part) for part in parts]
    subject, session = (
        None if None in ids else np.repeat(np.array(ids, np.str_), counts)
        for ids in zip(*((each.subject_id, each.session_id) for each in recordings), strict=True)
    )
    recording_id = np.repeat(np.array([each.recording_id for each in recordings]), counts)
    return Segments(
        signal=np.concatenate(parts),
        label=np.repeat(np.array([each.label for each in recordings], np.int64), counts),
        segment_id=_numbered(recording_id),
        recording_id=recording_id,
        subject_id=subject,
        session_id=session,
        sfreq=recordings[0].sfreq,
        classes=classes,
        n_dropped=sum(each.signal.shape[1] % n_times for each in recordings),
    )


def _longest(recordings: Sequence[Recording]) -> int:
    """Return the samples of each recording; raise a SettingError if they are not equally long."""
    lengths = {each.signal.shape[1] for each in recordings}
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
    first, seen = recordings[0], set()
    for each in recordings:
        name = f"recording {each.recording_id}"
        if each.recording_id in seen:
            raise DataError(f"{name} occurs twice: expected each id once; remove one of them")
        seen.add(each.recording_id)
        if each.label is None or not 0 <= each.label < len(classes):
            raise DataError(f"{name} has label {each.label}: expected 0 to {len(classes) - 1}")
        if (each.sfreq, len(each.signal)) != (first.sfreq, len(first.signal)):
            raise DataError(
                f"{name} has {len(each.signal)} channels at {each.sfreq} Hz: expected "
                f"{len(first.signal)} at {first.sfreq} Hz as in {first.recording_id}"
            )
        if not 0 < n_times <= each.signal.shape[1]:
            raise SettingError(
                f"segments of {n_times} samples: expected 1 to {each.signal.shape[1]}, "
                f"the length of {name}; choose another length"
            )
    if len({each.subject_id is None for each in recordings}) > 1:
        raise DataError("some recordings name their subject and some do not: expected all or none")
