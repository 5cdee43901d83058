"""Prediction on recordings: windows are scored as they are cut."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import compress, groupby
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sequela.config import SignalSettings
from sequela.datasets.catalog import DataSet
from sequela.errors import SettingError
from sequela.serving.prediction_table import PredictionTable
from sequela.signals.channels import canonical, without
from sequela.signals.cutting import Cut, Cutter, exceed
from sequela.signals.folders import has_recordings, is_recording
from sequela.signals.reading import cut_unlabelled, declared, prepared_as
from sequela.signals.segment_tables import is_table
from sequela.signals.stretches import RecordingIds, Stretch

_NUMBERS = 1 << 19  # samples over all channels that are collected before they are scored
_AT_ONCE = 1024  # most windows of a batch
_REMEMBERED = 50_000  # recordings whose numbering of windows is remembered
OnProgress = Callable[[float | None], None]
MISSING = "a sample is missing or not finite"
REJECTED = "the range of a channel is above the limit of training (reject)"
TOO_SHORT = "it has fewer samples than the model reads"


class Window(NamedTuple):
    """The id of a window, the ids of its recording, and its place in the data."""

    id: str
    whose: RecordingIds
    place: str

    @property
    def group(self) -> str:
        """The independent unit: the subject if known, else the session or recording."""
        return self.whose.subject or self.whose.session or self.whose.recording


@dataclass
class ScoringShelf:
    """A shelf from which windows are scored while recordings are cut."""

    scored: PredictionTable
    n_dropped: int = 0  # number of samples that fill no window
    flat: int = 0  # number of scored windows with a flat channel
    _cut: list[NDArray[np.float32]] = field(default_factory=list)
    _windows: list[Window] = field(default_factory=list)
    _numbers: OrderedDict[str, int] = field(default_factory=OrderedDict)
    _size: int = 0
    _checked: tuple[int, float] = (0, 0.0)

    def put(self, windows: Cut) -> None:
        """Add windows of one recording, in the order of time."""
        cut, _, _, whose, sfreq, place = windows
        # A recording may come in pieces, between which its numbering goes on. Taken out and added
        # again, it is the last to be forgotten.
        first = self._numbers.pop(whose.recording, 0) + 1
        self._numbers[whose.recording] = first - 1 + len(cut)
        if len(self._numbers) > _REMEMBERED:
            self._numbers.popitem(last=False)
        self._check(cut.shape[1], sfreq, place)
        is_next = self._windows and self._windows[-1].whose != whose
        # Windows of one recording stay together, as they are recognised together.
        if self._size >= _NUMBERS and (is_next or self._size >= 4 * _NUMBERS):
            self.flush()
        self._cut.append(cut)
        for number in range(first, first + len(cut)):
            self._windows.append(Window(f"{whose.recording}/{number:02d}", whose, place))
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
            id_, whose, place = window = self._windows[row]
            reason = REJECTED if finite[row] else MISSING
            subject = whose.subject or ""
            self.scored.refuse(reason, id_=id_, group=window.group, subject=subject, place=place)
        self._score(signal[fits], [*compress(self._windows, fits)])
        self._cut, self._windows, self._size = [], [], 0

    def _score(self, signal: NDArray[np.float32], windows: Sequence[Window]) -> None:
        at_once = max(1, min(_AT_ONCE, _NUMBERS // max(1, signal[:1].size)))
        for first in range(0, len(signal), at_once):
            some = windows[first : first + at_once]
            self.scored.score(
                {"signal": signal[first : first + at_once]},
                [window.id for window in some],
                [window.group for window in some],
                [window.whose.subject for window in some],
                [window.whose.recording for window in some],
            )
        if not windows:
            return
        self.scored.drift.see_signal(signal)
        self.flat += int((signal.max(2) == signal.min(2)).any(1).sum())
        for whose, group in {window.whose: window.group for window in windows}.items():
            for kind in ("recording", "subject", "session"):
                id_ = getattr(whose, kind)
                if id_ and self.scored.overlap.names([id_], kind):
                    self.scored.recognise([group])
        # Windows that follow each other are joined: marks need more than one second.
        runs = [[*run] for _, run in groupby(range(len(windows)), lambda row: windows[row].whose)]
        pieces = [signal[run[0] : run[-1] + 1] for run in runs]  # of one recording each
        joined = [piece.swapaxes(0, 1).reshape(piece.shape[1], -1) for piece in pieces]
        units = [windows[run[0]].group for run in runs]
        self.scored.recognise(*self.scored.overlap.signals(units, joined))


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
    n_times = windows.scored.model.signal.n_times
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
