"""Windows of recordings, written to disk while they are cut, to save memory."""

import mmap
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from sequela.errors import DataError

_DENOMINATOR = 100_000
"""The largest denominator of rates, which are read as fractions: 173.61 Hz is 17361/100."""
_BLOCK = 1 << 22
"""The number of samples, over all channels, that are cut at once."""
_LEAST_UV = 0.2  # standard deviation of EEG; noise of an amplifier is below
_MOST_UV = 5000
_SOME_WINDOWS = 1000  # of which the amplitude is computed
_READ = 1 << 23  # samples, over all channels, that are read at once


class Whose(NamedTuple):
    """The recording of windows, with its subject, site and session."""

    recording: str
    subject: str | None = None
    site: str | None = None
    session: str | None = None


class Cut(NamedTuple):
    """Windows of one recording, and the name of their place in errors.

    ``signal`` is float32 (window, n_chans, n_times) in µV, ``label`` int64 (window,), and ``start``
    float64 (window,) in seconds.
    """

    signal: NDArray[np.float32]
    label: NDArray[np.int64]
    start: NDArray[np.float64]
    whose: Whose
    sfreq: float
    place: str


@dataclass(frozen=True)
class Windows:
    """Labelled windows of recordings.

    Attributes:
        signal: float32 (window, n_chans, n_times) in µV, on disk.
        label: int64 (window,), index into ``classes``.
        recording_id: str (window,); the windows of a recording follow each other.
        subject_id: str (window,), or ``None`` where subjects are not known.
        site: str (window,), or ``None`` where sites are not known.
        session_id: str (window,), shared by recordings made at the same time, or ``None``.
        start: float64 (window,), seconds from the recording's start.
        flat: bool (window,), whether a channel is flat (has one value) over the whole window.
        sfreq: Samples per second, in Hz.
        title: Name of the data on a page.
        n_recordings: Number of recordings that were read.
        n_dropped: Samples left over that do not fill a window.
    """

    signal: NDArray[np.float32]
    label: NDArray[np.int64]
    recording_id: NDArray[np.str_]
    subject_id: NDArray[np.str_] | None
    site: NDArray[np.str_] | None
    session_id: NDArray[np.str_] | None
    start: NDArray[np.float64]
    flat: NDArray[np.bool_]
    sfreq: float
    classes: tuple[str, ...]
    channels: tuple[str, ...]
    title: str
    notes: tuple[str, ...]
    n_recordings: int
    n_dropped: int

    def describe(self) -> str:
        """Describe the windows, as lines of text."""
        n_windows, n_chans, n_times = self.signal.shape
        people = "not known" if self.subject_id is None else f"{len(np.unique(self.subject_id)):,}"
        lines = {
            "recordings": f"{self.n_recordings:,}",
            "subjects": people,
            "windows": f"{n_windows:,} of {n_times:,} samples at {self.sfreq:g} Hz",
            "channels": f"{n_chans}: {', '.join(self.channels)}",
        }
        for index, name in enumerate(self.classes):
            of_class = self.label == index
            recordings = len(np.unique(self.recording_id[of_class]))
            lines[name] = f"{int(of_class.sum()):,} windows of {recordings:,} recordings"
        said = [f"  {name:<13} {text}" for name, text in lines.items()]
        return "\n".join([*said, *(f"  {note}" for note in self.notes)])


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
    label: list[NDArray[np.int64]] = field(default_factory=list)
    start: list[NDArray[np.float64]] = field(default_factory=list)
    flat: list[NDArray[np.bool_]] = field(default_factory=list)
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
        if (self.n_chans, self.n_times) != cut.shape[1:] or not np.isclose(self.sfreq, sfreq):
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
        self.flat.append((cut.max(2) == cut.min(2)).any(1) if len(cut) else np.zeros(0, np.bool_))
        self.label.append(label)
        self.start.append(start)
        self.whose.append(whose)
        self.counts.append(len(cut))

    def windows(
        self, classes: tuple[str, ...], channels: Sequence[str], title: str, notes: Sequence[str]
    ) -> Windows:
        """Return all windows, recording by recording, in the order of time."""
        n_windows = sum(self.counts)
        if self.reject:
            labels = np.concatenate([self.rejected, *self.label])
            counts = [
                f"{(self.rejected == n).sum():,} of {(labels == n).sum():,} of {name}"
                for n, name in enumerate(classes)
            ]
            what = f"windows with more than {self.reject:g} µV from peak to peak are left out"
            notes = [*notes, f"{what}: {', '.join(counts)}"]
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
        found = Windows(
            signal=signal,
            label=np.concatenate(self.label),
            recording_id=recording,
            subject_id=subject if False in missing["subject"] else None,
            site=site if False in missing["site"] else None,
            session_id=session if False in missing["session"] else None,
            start=np.concatenate(self.start),
            flat=np.concatenate(self.flat),
            sfreq=self.sfreq,
            classes=classes,
            channels=tuple(channels),
            title=title,
            notes=(*notes, *self._notes(), *_amplitude(signal)),
            n_recordings=len(np.unique(recording)),
            n_dropped=self.n_dropped,
        )
        _check_one(recording, subject, "subject")
        _check_one(recording, session, "session")
        return _in_order(found, self.work)

    def _notes(self) -> Iterator[str]:
        if self.n_dropped:
            yield f"{self.n_dropped:,} samples at the ends fill no whole window and are left out"
        if self.n_with_gap:
            yield f"{self.n_with_gap:,} windows with a gap (missing samples) are left out"
        if flat := sum(int(each.sum()) for each in self.flat):
            yield f"{flat:,} windows have a flat channel, one value throughout; they are kept"


def exceed(windows: NDArray[np.float32], most: float | None) -> NDArray[np.bool_]:
    """Return which windows (window, n_chans, n_times) have a channel with a larger range."""
    ranges = np.ptp(windows, axis=2) if most else np.zeros((len(windows), 1))
    return np.asarray((ranges > (most or 0)).any(1))


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


def in_blocks(
    signal: NDArray[Any], rows: NDArray[np.int64] | None = None, *, size: int | None = None
) -> Iterator[NDArray[Any]]:
    """Yield the rows of an array, or some of them, in blocks of at most ``size`` numbers.

    The array may be larger than memory, as what was read is released. No rows are one block.
    """
    rows = np.arange(len(signal)) if rows is None else rows
    step = max(1, (size or _READ) // max(1, signal[:1].size))
    for first in range(0, max(1, len(rows)), step):
        yield signal[rows[first : first + step]]
        release(signal)


def release(signal: NDArray[Any]) -> None:
    """Free the memory that holds a file's array; it is read from the file again when needed."""
    mapped = getattr(signal, "_mmap", None)
    if mapped is not None and hasattr(mmap, "MADV_DONTNEED"):  # not on Windows
        mapped.madvise(mmap.MADV_DONTNEED)


def stored(
    signal: NDArray[np.float32], rows: NDArray[np.int64], work: Path | None
) -> NDArray[np.float32]:
    """Write some rows of an array to an unnamed file, and return them as an array on disk."""
    with tempfile.TemporaryFile(dir=work) as file:
        for some in in_blocks(signal, rows):
            file.write(np.ascontiguousarray(some).data)
        file.flush()
        shape = (len(rows), *signal.shape[1:])
        found: NDArray[np.float32] = np.memmap(file, np.float32, "r", shape=shape)
    return found


def _in_order(windows: Windows, work: Path | None) -> Windows:
    """Sort the windows by recording and, in each, by time; rewrite them if necessary."""
    rows = np.arange(len(windows.label))
    order = np.lexsort((rows, windows.start, windows.recording_id))
    if (order == rows).all():
        return windows
    names = ("label", "recording_id", "subject_id", "site", "session_id", "start", "flat")
    by_window: dict[str, Any] = {name: getattr(windows, name) for name in names}
    return replace(
        windows,
        signal=stored(windows.signal, order, work),
        **{name: ids[order] for name, ids in by_window.items() if ids is not None},
    )


@dataclass(frozen=True)
class Rates:
    """The change from one sampling rate to another: ``scipy.signal.resample_poly``, piece by piece.

    Attributes:
        up: Samples after, for each ``down`` before.
        down: Samples before.
    """

    up: int = 1
    down: int = 1

    @classmethod
    def of(cls, before: float, after: float | None) -> Self:
        """Return the ratio of two rates, in Hz."""
        if after is None or after == before:
            return cls()
        ratio = Fraction(after).limit_denominator(_DENOMINATOR) / Fraction(
            before
        ).limit_denominator(_DENOMINATOR)
        return cls(ratio.numerator, ratio.denominator)

    def n_after(self, n_before: int) -> int:
        """Return the number of samples after, from so many before."""
        return -(-n_before * self.up // self.down)

    def apply(self, signal: NDArray[np.float64]) -> NDArray[np.float64]:
        """Resample a whole signal (n_chans, time) to the other rate."""
        n_before = signal.shape[1]
        return self.part(lambda a, b: signal[:, a:b], n_before, 0, self.n_after(n_before))

    def part(
        self, read: Callable[[int, int], NDArray[np.float64]], n_before: int, first: int, last: int
    ) -> NDArray[np.float64]:
        """Return samples ``first`` to ``last`` after, of a long signal that is read in part.

        They equal those of the whole signal. Its ends are continued with their last values: zeros
        there would ring.
        """
        if self.up == self.down:
            return read(first, last)
        from scipy.signal import resample_poly

        reach = 10 * max(self.up, self.down) // self.up + 1  # half of scipy's filter
        begin = (first * self.down // self.up - reach) // self.down * self.down
        end = -(-last * self.down // self.up) + reach
        there = read(max(0, begin), min(n_before, end))
        ends = (max(0, -begin), max(0, end - n_before))
        padded = np.pad(there, ((0, 0), ends), mode="edge")
        found: NDArray[np.float64] = resample_poly(  # type: ignore[call-overload] # scipy's stubs
            padded, self.up, self.down, axis=-1, window=_filter(max(self.up, self.down))
        )
        skipped = begin * self.up // self.down  # exact: begin is a multiple of down
        return found[:, first - skipped : last - skipped]


@lru_cache(maxsize=4)
def _filter(most: int) -> NDArray[np.float64]:
    """Design the default filter of ``resample_poly`` once; ``most`` is the ratio's larger term."""
    from scipy.signal import firwin

    found: NDArray[np.float64] = firwin(20 * most + 1, 1 / most, window=("kaiser", 5.0))
    return found


def cut_row(
    signal: NDArray[np.float32], n_times: int, stride: int
) -> tuple[NDArray[np.float32], NDArray[np.int64], int]:
    """Cut a short signal (n_chans, time): windows, their starts, and samples left over."""
    if signal.shape[1] == n_times:
        return signal[np.newaxis], np.zeros(1, np.int64), 0
    if signal.shape[1] < n_times:
        return np.empty((0, len(signal), n_times), np.float32), np.empty(0, np.int64), 0
    seen = np.lib.stride_tricks.sliding_window_view(signal, n_times, axis=1)[:, ::stride]
    starts = np.arange(seen.shape[1]) * stride
    return seen.swapaxes(0, 1), starts, max(0, signal.shape[1] - int(starts[-1]) - n_times)


def blocks(n_windows: int, n_chans: int, stride: int) -> Iterator[tuple[int, int]]:
    """Yield numbers of windows, from one up to another, that are cut at once."""
    step = max(1, _BLOCK // (n_chans * stride))
    for first in range(0, n_windows, step):
        yield first, min(n_windows, first + step)
