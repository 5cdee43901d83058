"""Prediction on recordings: windows are scored as they are cut."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import groupby, repeat
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sequela.config import SignalSettings
from sequela.datasets.catalog import DataSet, Recording
from sequela.errors import DataError, SettingError
from sequela.serving.prediction_table import PredictionTable
from sequela.signals.bonn import SFREQ, recording, with_sessions
from sequela.signals.channels import canonical, without
from sequela.signals.cutting import Cut, Cutter, exceed
from sequela.signals.folders import has_recordings, is_recording
from sequela.signals.reading import cut_unlabelled, declared, prepared_as
from sequela.signals.segment_tables import is_table
from sequela.signals.stretches import RecordingIds, Stretch
from sequela.signals.uci_seizure import CHUNK_TIMES, N_CHUNKS, read_chunks

_NUMBERS = 1 << 19  # samples over all channels that are collected before they are scored
_AT_ONCE = 1024  # most windows of a batch
_REMEMBERED = 50_000  # recordings whose numbering of windows is remembered
OnProgress = Callable[[float | None], None]
MISSING = "a sample is missing or not finite"
LACKS_ROWS = "the file lacks rows of the recording, but the model needs several rows"
REJECTED = "the range of a channel is above the limit of training (reject)"
TOO_SHORT = "it has fewer samples than the model reads"


@dataclass
class ScoringShelf:
    """A shelf from which windows are scored while recordings are cut."""

    scored: PredictionTable
    marked: bool = True  # whether fingerprints of windows are compared here
    n_dropped: int = 0  # number of samples that fill no window
    flat: int = 0  # number of scored windows with a flat channel
    _cut: list[NDArray[np.float32]] = field(default_factory=list)
    _ids: list[str] = field(default_factory=list)
    _whose: list[RecordingIds] = field(default_factory=list)
    _places: list[str] = field(default_factory=list)
    _numbers: OrderedDict[str, int] = field(default_factory=OrderedDict)
    _size: int = 0
    _checked: tuple[int, float] = (0, 0.0)

    def put(self, windows: Cut) -> None:
        """Add windows of one recording, in the order of time."""
        cut, _, _, whose, sfreq, place = windows
        recording = whose.recording
        first = self._numbers.pop(recording, 0) + 1
        self._numbers[recording] = first - 1 + len(cut)
        if len(self._numbers) > _REMEMBERED:
            self._numbers.popitem(last=False)
        ids = [f"{recording}/{number:02d}" for number in range(first, first + len(cut))]
        self.put_named(cut, ids, whose, sfreq, place)

    def put_named(
        self,
        cut: NDArray[np.float32],
        ids: Sequence[str],
        whose: RecordingIds,
        sfreq: float,
        place: str,
    ) -> None:
        """Add windows of one recording with given ids."""
        self._check(cut.shape[1], sfreq, place)
        is_next = self._whose and self._whose[-1] != whose
        if self._size >= _NUMBERS and (is_next or self._size >= 4 * _NUMBERS):
            self.flush()
        self._cut.append(cut)
        self._ids += ids
        self._whose.extend(repeat(whose, len(cut)))
        self._places.extend(repeat(place, len(cut)))
        self._size += cut.size

    def _check(self, n_chans: int, sfreq: float, place: str) -> None:
        if self._checked == (n_chans, sfreq):
            return
        try:
            self.scored.model.check_signal(unit="µV", sfreq=sfreq, n_chans=n_chans)
        except SettingError as error:
            raise SettingError(f"{place}: {error} (see --resample and --channels)") from error
        self._checked = (n_chans, sfreq)

    def flush(self) -> None:
        """Score the collected windows."""
        if not self._cut:
            return
        signal = np.concatenate(self._cut)  # µV (window, channel, time)
        finite = np.asarray(np.isfinite(signal).all((1, 2)))
        fits = finite & ~exceed(signal, self.scored.model.signal.preparation.reject)
        for row in np.flatnonzero(~fits).tolist():
            whose = self._whose[row]
            self.scored.refuse(
                REJECTED if finite[row] else MISSING,
                id_=self._ids[row],
                group=_group(whose),
                subject=whose.subject or "",
                place=self._places[row],
            )
        rows = np.flatnonzero(fits).tolist()
        self._score(signal[fits], [self._ids[r] for r in rows], [self._whose[r] for r in rows])
        self._cut, self._ids, self._whose, self._places, self._size = [], [], [], [], 0

    def _score(
        self, signal: NDArray[np.float32], ids: Sequence[str], whose: Sequence[RecordingIds]
    ) -> None:
        groups = [_group(origin) for origin in whose]
        at_once = max(1, min(_AT_ONCE, _NUMBERS // max(1, signal[:1].size)))
        for first in range(0, len(signal), at_once):
            some = slice(first, first + at_once)
            subjects = [origin.subject for origin in whose[some]]
            recordings = [origin.recording for origin in whose[some]]
            inputs = {"signal": signal[some]}
            self.scored.score(inputs, ids[some], groups[some], subjects, recordings)
        if not len(signal):
            return
        self.scored.drift.see_signal(signal)
        self.flat += int((signal.max(2) == signal.min(2)).any(1).sum())
        for origin, group in dict(zip(whose, groups, strict=True)).items():
            for kind in ("recording", "subject", "session"):
                id_ = getattr(origin, kind)
                if id_ and self.scored.overlap.names([id_], kind):
                    self.scored.recognise([group])
        if self.marked:
            # Windows that follow each other are joined: marks need more than one second.
            runs = [list(run) for _, run in groupby(range(len(whose)), key=lambda r: whose[r])]
            pieces = [signal[run[0] : run[-1] + 1] for run in runs]  # of one recording each
            joined = [piece.swapaxes(0, 1).reshape(piece.shape[1], -1) for piece in pieces]
            units = [groups[run[0]] for run in runs]
            self.scored.recognise(*self.scored.overlap.signals(units, joined))


def _group(whose: RecordingIds) -> str:
    """Return the independent unit: the subject if known, else the session or recording."""
    return whose.subject or whose.session or whose.recording


def check(_: SignalSettings, times: Path | None) -> None:
    """Raise a SettingError for options of other data."""
    if times is not None:
        raise SettingError("--times is for hospital records, but the model reads a signal")


def format_of(path: Path, usual: str) -> str:
    """Return the format of the recordings at a path."""
    is_own = has_recordings(path) or (is_table(path) and usual == "bonn")
    return "signals" if is_own else usual


def score(
    scored: PredictionTable,
    data_set: DataSet,
    path: Path | None,
    settings: SignalSettings,
    _: Path | None,
    __: Path,
    progress: OnProgress,
) -> tuple[list[str], None]:
    """Score the recordings at a path, and return sentences on the preparation.

    ``progress`` is called with the finished share, or ``None`` if it is unknown.
    """
    windows, name, located = ScoringShelf(scored), data_set.name, data_set.locate(path)
    if data_set.windows:
        notes = _own(windows, located.path, settings, progress)
    else:
        prepared_as(scored.model.signal.preparation, SignalSettings(), name, fixed=True)
        if options := sorted(settings.model_dump(exclude_defaults=True)):
            raise SettingError(
                f"--{options[0]} is for custom recordings, but {name} has a fixed format: leave it "
                "out, or read them with --data signals"
            )
        notes = _published(windows, data_set, located.path, progress)
    windows.flush()
    if windows.n_dropped:
        notes.append(
            f"left out: {windows.n_dropped:,} samples at the ends, which fill no whole window"
        )
    if windows.flat:
        notes.append(f"windows with a flat channel (one value throughout): {windows.flat:,}")
    return notes, None


def _own(
    windows: ScoringShelf, path: Path, settings: SignalSettings, progress: OnProgress
) -> list[str]:
    """Score custom recordings with the model's channels and length of windows."""
    signal = windows.scored.model.signal
    described = declared(path, settings.model_copy(update={"window": settings.window or 1.0}))
    unnamed = all(name == "signal" or name.startswith("channel ") for name in signal.channels)
    of_model = [] if unnamed else list(signal.channels)
    selected = without(described.reference, described.channels)
    if selected and of_model and [*map(canonical, selected)] != [*map(canonical, of_model)]:
        raise SettingError(
            f"the channels are {', '.join(selected)}, but {windows.scored.model.name} reads "
            f"{', '.join(of_model)}: choose these, in this order"
        )
    files = is_recording(path, described) or has_recordings(path, described)
    if not files and described.unit is None:
        raise SettingError(f"{path}: the unit of the samples is unknown: add --unit, such as µV")
    changes = prepared_as(signal.preparation, described, path)
    changes["window"] = signal.n_times / signal.sfreq
    if files and of_model and not selected:
        changes["channels"] = tuple(of_model)

    def refuse(place: str, reason: str) -> None:
        short = TOO_SHORT if "fewer than" in reason else reason
        windows.flush()  # the list is in the order of the data
        windows.scored.refuse(short, place=place)

    described = described.model_copy(update=changes)
    notes, windows.n_dropped = cut_unlabelled(
        path, described, signal.n_times, windows.put, refuse, progress
    )
    return [note for note in notes if not note.startswith("no recording is declared")]


def _published(
    windows: ScoringShelf, data_set: DataSet, path: Path, progress: OnProgress
) -> list[str]:
    """Score recordings in a published or registered format."""
    n_times = windows.scored.model.signal.n_times
    if data_set.name == "uci-seizure":
        recordings = _uci(windows, path, n_times)
    else:
        recordings = data_set.open(path)[0]
    cutter = Cutter(SignalSettings(), n_times)
    for number, signals in enumerate(recordings, 1):
        place = f"recording {signals.recording_id}"
        if signals.signal.shape[1] < n_times:
            windows.scored.refuse(TOO_SHORT, group=signals.recording_id, place=place)
        else:
            session = signals.session_id
            ids = RecordingIds(signals.recording_id, signals.subject_id, session=session)
            samples = signals.signal.astype(np.float64)
            for cut in cutter.cut(Stretch.of_row(samples, signals.sfreq, place, ids)):
                windows.put(cut)
        progress(number / len(recordings))
    windows.n_dropped = cutter.n_dropped
    return []


def _uci(windows: ScoringShelf, path: Path, n_times: int) -> list[Recording]:
    """Score the rows of the UCI file as segments, in its order, or return complete recordings.

    Its rows are in random order, so recordings are recognised here and not by their windows.
    """
    chunks = read_chunks(path)
    signals = chunks.joined()
    size = N_CHUNKS * CHUNK_TIMES
    lengths = {name: len(samples) for name, samples in signals.items()}
    names = [name for name, length in lengths.items() if length == size]
    complete = with_sessions([recording(name, signals[name]) for name in names])
    sessions = {entry.recording_id: entry.session_id for entry in complete}
    whose = {name: RecordingIds(name, session=sessions.get(name)) for name in signals}
    windows.marked = False
    rows = [samples[np.newaxis].astype(np.float32) for samples in signals.values()]
    groups = [_group(origin) for origin in whose.values()]
    windows.scored.recognise(*windows.scored.overlap.signals(groups, rows))
    if n_times != CHUNK_TIMES:
        for name in signals:
            if name not in sessions:
                windows.scored.refuse(LACKS_ROWS, group=name, place=f"recording {name}")
        if not complete:
            raise DataError("no recording of the UCI file is complete: expected all 23 rows of one")
        return complete
    values = chunks.values.astype(np.float32)[:, np.newaxis]  # (row, channel, time)
    names = chunks.recording_id.tolist()
    for row, (name, number) in enumerate(zip(names, chunks.chunk, strict=True)):
        id_, place = f"{name}/{number:02d}", f"row {row + 1}"
        windows.put_named(values[row : row + 1], [id_], whose[name], SFREQ, place)
    return []
