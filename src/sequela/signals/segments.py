"""Segments: windows of fixed length, cut from recordings, that models are trained on."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
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
from sequela.signals.windows import Windows, cut_row, in_blocks, release, stored

_GROUPINGS = ("subject_id", "site", "session_id")
"""The groupings of recordings, which may be unknown."""
_HALF = 0.5  # sample


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


def of_windows(windows: Windows) -> Segments:
    """Turn windows of a user's recordings into segments, numbered in each recording from 1."""
    ids = _numbered(windows.recording_id)
    names = [f.name for f in fields(Segments) if f.name != "segment_id"]
    return Segments(segment_id=ids, **{name: getattr(windows, name) for name in names})


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
