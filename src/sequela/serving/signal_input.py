"""Prediction on recordings: windows are scored as they are cut."""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sequela.config import SignalSettings
from sequela.errors import DataError, SettingError
from sequela.serving.drift import Drift
from sequela.serving.known import Known
from sequela.serving.scored import Scored
from sequela.serving.served import ServedModel
from sequela.sources import catalog
from sequela.sources.bonn import SFREQ, recording, with_sessions
from sequela.sources.bonn import read_unlabelled as read_bonn
from sequela.sources.recordings import Recording
from sequela.sources.signals.channels import canonical
from sequela.sources.signals.declaration import declared
from sequela.sources.signals.edf import SUFFIXES
from sequela.sources.signals.folders import has_recordings
from sequela.sources.signals.tables import is_table
from sequela.sources.signals.unlabelled import cut_unlabelled
from sequela.sources.signals.windows import Whose
from sequela.sources.uci_seizure import CHUNK_TIMES, N_CHUNKS, Chunks
from sequela.sources.uci_seizure import read_unlabelled as read_uci

_NUMBERS = 1 << 19
"""Samples over all channels that are collected before they are scored."""
_AT_ONCE = 1024
"""Most windows of a batch."""
_REMEMBERED = 50_000
"""Recordings whose numbering of windows is remembered."""
MISSING = "a sample is missing or not finite"
LACKS_ROWS = "the file lacks rows of the recording, but the model needs several rows"
TOO_SHORT = "it has fewer samples than the model reads"


@dataclass
class ScoringShelf:
    """A shelf from which windows are scored: see :class:`sequela.sources.signals.cutting.Shelf`.

    Attributes:
        model: A model of a signal.
        scored: Takes the predictions.
        drift: Counts samples.
        known: Fingerprints of the model's data.
        marked: Whether fingerprints of windows are compared here.
        n_dropped: Number of samples that fill no window.
        flat: Number of scored windows with a flat channel.
    """

    model: ServedModel
    scored: Scored
    drift: Drift
    known: Known
    marked: bool = True
    n_dropped: int = 0
    flat: int = 0
    _cut: list[NDArray[np.float32]] = field(default_factory=list)
    _ids: list[str] = field(default_factory=list)
    _whose: list[Whose] = field(default_factory=list)
    _places: list[str] = field(default_factory=list)
    _numbers: OrderedDict[str, int] = field(default_factory=OrderedDict)
    _size: int = 0
    _checked: tuple[int, float] = (0, 0.0)

    def put(
        self,
        cut: NDArray[np.float32],
        *,
        label: NDArray[np.int64],
        start: NDArray[np.float64],
        whose: Whose,
        sfreq: float,
        place: str,
    ) -> None:
        """Add windows (window, n_chans, n_times) of one recording in µV, in the order of time."""
        del label, start
        recording = whose[0]
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
        whose: Whose,
        sfreq: float,
        place: str,
    ) -> None:
        """Add windows of one recording with given ids.

        Raises:
            SettingError: If their rate or channels differ from the model's.
        """
        self._check(cut.shape[1], sfreq, place)
        other = self._whose and self._whose[-1] != whose
        if self._size >= _NUMBERS and (other or self._size >= 4 * _NUMBERS):
            self.flush()
        self._cut.append(cut)
        self._ids += ids
        self._whose += [whose] * len(cut)
        self._places += [place] * len(cut)
        self._size += cut.size

    def _check(self, n_chans: int, sfreq: float, place: str) -> None:
        if self._checked == (n_chans, sfreq):
            return
        try:
            self.model.check_signal(unit="µV", sfreq=sfreq, n_chans=n_chans)
        except SettingError as error:
            raise SettingError(f"{place}: {error} (see --resample and --channels)") from error
        self._checked = (n_chans, sfreq)

    def flush(self) -> None:
        """Score the collected windows."""
        if not self._cut:
            return
        signal = np.concatenate(self._cut)
        whole = np.isfinite(signal).all((1, 2))
        for row in np.flatnonzero(~whole).tolist():
            whose = self._whose[row]
            self.scored.refuse(
                MISSING,
                id_=self._ids[row],
                group=_group(whose),
                subject=whose.subject or "",
                place=self._places[row],
            )
        rows = np.flatnonzero(whole).tolist()
        self._score(signal[whole], [self._ids[r] for r in rows], [self._whose[r] for r in rows])
        self._cut, self._ids, self._whose, self._places, self._size = [], [], [], [], 0

    def _score(
        self, signal: NDArray[np.float32], ids: Sequence[str], whose: Sequence[Whose]
    ) -> None:
        groups = [_group(each) for each in whose]
        at_once = max(1, min(_AT_ONCE, _NUMBERS // max(1, signal[:1].size)))
        for first in range(0, len(signal), at_once):
            some = slice(first, first + at_once)
            said = self.model.probabilities({"signal": signal[some]})
            subjects = [each.subject for each in whose[some]]
            recordings = [each.recording for each in whose[some]]
            self.scored.add(ids[some], groups[some], subjects, said, recordings)
            self.drift.say(said)
        if not len(signal):
            return
        self.drift.see_signal(signal)
        self.flat += int((signal.max(2) == signal.min(2)).any(1).sum())
        for one, group in dict(zip(whose, groups, strict=True)).items():
            named = {"recording": one.recording, "subject": one.subject, "session": one.session}
            if any(self.known.names([id_], kind) for kind, id_ in named.items() if id_):
                self.scored.recognise([group])
        if self.marked:
            runs = [list(run) for _, run in groupby(range(len(whose)), key=lambda r: whose[r])]
            pieces = [signal[run[0] : run[-1] + 1] for run in runs]
            joined = [each.swapaxes(0, 1).reshape(each.shape[1], -1) for each in pieces]
            self.scored.recognise(self.known.signals([groups[run[0]] for run in runs], joined))


def _group(whose: Whose) -> str:
    """Return the independent unit: the subject if known, else the session or recording."""
    return whose.subject or whose.session or whose.recording


def format_of(model: ServedModel, path: Path | None, data: str | None) -> str:
    """Return the format of recordings: the given one, else from the file, else as in training."""
    name = data or str(model.about["training"]["name"])
    if data is None and path is not None:
        files = path.suffix.lower() in SUFFIXES or has_recordings(path)
        name = "signals" if files or (is_table(path) and name == "bonn") else name
    return name


def score_signals(
    windows: ScoringShelf,
    name: str,
    path: Path | None,
    given: SignalSettings,
    done: Callable[[float | None], None],
) -> list[str]:
    """Score the recordings at a path.

    Args:
        windows: Scores them.
        name: Name of the data set or format.
        path: Folder or file of the data (default: the usual search path).
        given: Options for custom recordings.
        done: Called with the finished share, or ``None`` if it is unknown.

    Returns:
        Sentences on the preparation.

    Raises:
        SequelaError: The data cannot be found or read, or do not fit the model.
    """
    located = catalog.locate(name, path)
    if catalog.lookup(name).windows:
        notes = _own(windows, located.path, given, done)
    else:
        if asked := sorted(given.model_dump(exclude_defaults=True)):
            raise SettingError(
                f"--{asked[0]} is for custom recordings, but {name} has a fixed format: leave it "
                "out, or read them with --data signals"
            )
        notes = _published(windows, name, located.path, done)
    windows.flush()
    if windows.n_dropped:
        notes.append(
            f"left out: {windows.n_dropped:,} samples at the ends, which fill no whole window"
        )
    if windows.flat:
        notes.append(f"windows with a flat channel (one value throughout): {windows.flat:,}")
    return notes


def _own(
    windows: ScoringShelf,
    path: Path,
    given: SignalSettings,
    done: Callable[[float | None], None],
) -> list[str]:
    """Score custom recordings with the model's channels and length of windows."""
    signal = windows.model.about["signal"]
    own = declared(path, given.model_copy(update={"window": given.window or 1.0}))
    known = channels_of(signal["channels"])
    asked = own.channels
    if asked and known and [*map(canonical, asked)] != [*map(canonical, known)]:
        raise SettingError(
            f"the channels are {', '.join(asked)}, but {windows.model.name} reads "
            f"{', '.join(known)}: choose these, in this order"
        )
    files = path.suffix.lower() in SUFFIXES or has_recordings(path)
    if not files and own.unit is None:
        raise SettingError(f"{path}: the unit of the samples is unknown: add --unit, such as µV")
    changes: dict[str, object] = {"window": signal["n_times"] / signal["sfreq"]}
    if files and known and not asked:
        changes["channels"] = tuple(known)

    def refuse(place: str, reason: str) -> None:
        short = TOO_SHORT if "fewer than" in reason else reason
        windows.flush()  # the list is in the order of the data
        windows.scored.refuse(short, place=place)

    given = given.model_copy(update=changes)
    notes = cut_unlabelled(path, given, signal["n_times"], windows, refuse, done)
    return [note for note in notes if not note.startswith("no recording is declared")]


def channels_of(names: Sequence[str]) -> list[str]:
    """Return names of channels, without default names of a table."""
    made = all(name == "signal" or name.startswith("channel ") for name in names)
    return [] if made else list(names)


def _published(
    windows: ScoringShelf, name: str, path: Path, done: Callable[[float | None], None]
) -> list[str]:
    """Score recordings in a published or registered format."""
    n_times = windows.model.about["signal"]["n_times"]
    if name == "uci-seizure":
        chunks = read_uci(path)
        whose = _of_chunks(chunks)
        _recognise_chunks(windows, chunks, whose)
        if n_times == CHUNK_TIMES:
            _chunks(windows, chunks, whose)
            return []
        recordings = with_sessions(_joined(windows, chunks))
    elif name == "bonn":
        recordings = with_sessions(read_bonn(path))
    else:
        recordings = catalog.load_recordings(name, path)[0]
    for number, each in enumerate(recordings, 1):
        _cut(windows, each, n_times)
        done(number / len(recordings))
    return []


def _cut(windows: ScoringShelf, recording: Recording, n_times: int) -> None:
    """Score windows of a recording without overlap, as in training."""
    from sequela.cohort.segments import windows as cut

    place = f"recording {recording.recording_id}"
    pieces = cut(recording.signal, n_times)
    windows.n_dropped += recording.signal.shape[1] % n_times if len(pieces) else 0
    if not len(pieces):
        windows.scored.refuse(TOO_SHORT, group=recording.recording_id, place=place)
        return
    whose = Whose(recording.recording_id, recording.subject_id, session=recording.session_id)
    windows.put(
        pieces,
        label=np.zeros(len(pieces), np.int64),
        start=np.zeros(len(pieces)),
        whose=whose,
        sfreq=recording.sfreq,
        place=place,
    )


def _chunks(windows: ScoringShelf, chunks: Chunks, whose: Mapping[str, Whose]) -> None:
    """Score the rows of the UCI file as segments, in the order of the file."""
    values = chunks.values.astype(np.float32)[:, np.newaxis]
    for row, (name, chunk) in enumerate(
        zip(chunks.recording_id, chunks.chunk.tolist(), strict=True)
    ):
        windows.put_named(
            values[row : row + 1],
            [f"{name}/{chunk:02d}"],
            whose[name],
            SFREQ,
            f"row {row + 1}",
        )


def _of_recordings(chunks: Chunks) -> dict[str, NDArray[np.int64]]:
    """Return the rows of each recording, in the order of their chunks."""
    names, which = np.unique(chunks.recording_id, return_inverse=True)
    order = np.lexsort((chunks.chunk, which))
    starts = np.searchsorted(which[order], np.arange(1, len(names)))
    return dict(zip(names.tolist(), np.split(order, starts), strict=True))


def _of_chunks(chunks: Chunks) -> dict[str, Whose]:
    """Return the recordings of the UCI file, with the sessions of complete ones."""
    rows = _of_recordings(chunks)
    whole = [
        recording(name, chunks.values[each].reshape(-1))
        for name, each in rows.items()
        if len(each) == N_CHUNKS
    ]
    sessions = {each.recording_id: each.session_id for each in with_sessions(whole)}
    return {name: Whose(name, session=sessions.get(name)) for name in rows}


def _recognise_chunks(windows: ScoringShelf, chunks: Chunks, whose: Mapping[str, Whose]) -> None:
    """Recognise complete recordings of the UCI file, whose rows are in random order."""
    windows.marked = False
    rows = _of_recordings(chunks)
    signals = [chunks.values[each].reshape(1, -1).astype(np.float32) for each in rows.values()]
    groups = [_group(whose[name]) for name in rows]
    windows.scored.recognise(windows.known.signals(groups, signals))


def _joined(windows: ScoringShelf, chunks: Chunks) -> list[Recording]:
    """Return complete recordings of the UCI file; others are listed."""
    found = []
    for name, rows in _of_recordings(chunks).items():
        if len(rows) < N_CHUNKS:
            windows.scored.refuse(LACKS_ROWS, group=name, place=f"recording {name}")
            continue
        found.append(recording(name, chunks.values[rows].reshape(-1)))
    if not found:
        raise DataError("no recording of the UCI file is complete: expected all 23 rows of one")
    return found
