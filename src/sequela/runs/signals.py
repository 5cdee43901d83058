"""The data of a run on signals: segments, a split and the fitted scaling."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sequela.cohort.finding import Finding
from sequela.cohort.fingerprint import Content
from sequela.cohort.pseudonyms import Pseudonyms, own
from sequela.cohort.segments import Segments, content_of, cut, of_windows
from sequela.cohort.split import PARTS, Split, draw
from sequela.config import RunSettings, SegmentLength, SignalSettings
from sequela.errors import SettingError
from sequela.evaluation.attribution import Attribution, attribute_signal
from sequela.evaluation.predictions import Predictions
from sequela.models.registry import ModelEntry, lookup
from sequela.runs.folder import RunFolder
from sequela.runs.signal_inputs import SignalInputs
from sequela.sequences.featurisers import Features
from sequela.sequences.leaks import IN_SEGMENTS, find_in_segments
from sequela.sequences.scaling import Scaling
from sequela.sources import catalog
from sequela.sources.signals.declaration import is_declared

_TWO = 2
_LOOKED_AT = 500  # segments of a class from which a typical one is chosen
_DRAWN = 1000  # samples


@dataclass(frozen=True)
class SignalData:
    """Segments in the sets of a split.

    Attributes:
        name: The data set.
        origin: The place of the data, in words.
        segments: All segments.
        split: The split and its proof.
        part: int64 (segment,), index into ``PARTS``.
        scaling: The scaling, fitted on the training set.
        n_recordings: Number of recordings.
        set_aside: Number of units of the model's training or validation set in other data.
        renamed: Number of these found by content: with another name, or recorded at the same
            time.
    """

    name: str
    origin: str
    segments: Segments
    split: Split
    part: NDArray[np.int64]
    scaling: Scaling
    n_recordings: int
    set_aside: int = 0
    renamed: int = 0

    LOOKED_FOR: ClassVar = IN_SEGMENTS
    leaks: ClassVar[tuple[Finding, ...]] = ()

    @cached_property
    def scaled(self) -> Tensor:
        """The scaled signal, float32 (segment, n_chans, n_times)."""
        return torch.from_numpy(self.scaling.apply(self.segments.signal))

    @cached_property
    def digest(self) -> str:
        """SHA-256 of ids, labels and samples."""
        segments = self.segments
        digest = hashlib.sha256("\n".join(segments.segment_id.tolist()).encode())
        digest.update(segments.label.tobytes())
        for signal in segments.signal:  # which may be more than memory holds
            digest.update(np.ascontiguousarray(signal).data)
        return digest.hexdigest()

    @cached_property
    def content(self) -> Content:
        """Fingerprints of the units, by hashed id."""
        return content_of(self.segments)

    @property
    def labels(self) -> NDArray[np.int64]:
        """int64 (segment,)."""
        return self.segments.label

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes."""
        return self.segments.classes

    @property
    def unit(self) -> Literal["recording", "session", "subject", "site"]:
        """The site if whole sites are held out, else the subject, session or recording."""
        return "site" if self.split.unit == "site" else self.segments.unit

    @property
    def classes_fixed(self) -> bool:
        """``True`` if the publisher chose the number of recordings of each class."""
        return self.segments.subject_id is None and not self.segments.title

    @property
    def groups(self) -> NDArray[np.str_]:
        """Str (segment,), the unit of each segment."""
        return ids_of(self.segments)[self.unit]

    @property
    def marked(self) -> NDArray[np.str_]:
        """Str (segment,), the subject, session or recording of each in the fingerprints."""
        return self.segments.independent

    def rows(self, part: str) -> NDArray[np.int64]:
        """Return the indices of the segments of a set, or of several: ``train+tuning``."""
        return np.flatnonzero(np.isin(self.part, [PARTS.index(each) for each in part.split("+")]))

    def inputs(
        self,
        reads: tuple[str, ...],
        stored: Mapping[str, NDArray[Any]] | None = None,
        *,
        standardise: bool = True,
    ) -> SignalInputs:
        """Prepare the inputs of a model; see :meth:`sequela.runs.data.RunData.inputs`."""
        train = self.rows("train")
        features = Features.of(reads, self.segments, train, stored, standardise=standardise)
        return SignalInputs(self, reads, features)

    def attributes(self) -> dict[str, NDArray[np.str_]]:
        """Return nothing, as no attributes of the people are known."""
        return {}

    def traces(self) -> dict[str, Any]:
        """Return one training segment of each class in µV: the start of its first channel.

        The segment has the median amplitude of its class.
        """
        train = self.rows("train")
        of_class = [
            train[self.labels[train] == label][:_LOOKED_AT] for label in range(len(self.classes))
        ]
        signal = self.segments.signal
        found = {}
        for name, rows in zip(self.classes, of_class, strict=True):
            if len(rows):
                spread = [float(np.std(signal[row, 0])) for row in rows]
                typical = rows[np.argsort(spread, kind="stable")[len(rows) // 2]]
                found[name] = np.round(signal[typical, 0, :_DRAWN].astype(float), 1).tolist()
        return {"sfreq": self.segments.sfreq, "classes": found}

    def header(self) -> dict[str, Any]:
        """Return the metadata that a model needs in addition to its tensors."""
        _, n_chans, n_times = self.segments.signal.shape
        return {
            "scaling": self.scaling.to_json(),
            "classes": list(self.classes),
            "sfreq": self.segments.sfreq,
            "n_chans": n_chans,
            "n_times": n_times,
        }

    def predictions(self, probabilities: NDArray[np.float32]) -> Predictions:
        """Add ids, sets and labels to probabilities (segment, class)."""
        segments = self.segments
        nobody = np.full(len(segments), "")
        return Predictions(
            example_id=segments.segment_id,
            group_id=self.groups,
            subject_id=nobody if segments.subject_id is None else segments.subject_id,
            split=np.asarray(PARTS)[self.part],
            label=segments.label,
            probabilities=probabilities,
            classes=segments.classes,
            recording_id=segments.recording_id,
        )

    def find_leaks(self) -> list[Finding]:
        """Find copies across sets, samples that reveal the class, a scaling of other sets."""
        return find_in_segments(self.segments, self.part, self.scaling)

    def unlike_training(self) -> dict[str, Any]:
        """Return nothing, as all samples of other recordings can be read."""
        return {}

    def attribution(
        self, model: nn.Module, row: int, weights: Tensor, steps: int | None
    ) -> Attribution:
        """Attribute a number of a model to the samples of a segment: (n_chans, n_times)."""
        return attribute_signal(model, self.scaled[row], weights, steps)

    def importance(self, model: nn.Module, smallest: int) -> None:
        """Return nothing, as samples have no names to be ranked by."""

    def describe_example(self, row: int) -> dict[str, Any]:
        """Return the segment in µV, and its samples per second."""
        return {"signal": self.segments.signal[row], "sfreq": self.segments.sfreq}

    def _second_of_two(self, positives: int) -> dict[str, Any]:
        """Describe the second of two classes as the outcome."""
        words = dict.fromkeys(("label", "one", "many"), self.classes[1])
        return {"positives": positives, "outcome": {**words, "classes": [*self.classes]}}

    def describe(self) -> dict[str, Any]:
        """Describe the data for readers: the ``data`` entry of ``metrics.json``."""
        entry = catalog.DATA_SETS[self.name]
        counts = np.bincount(self.labels, minlength=len(self.classes)).tolist()
        return {
            "name": self.name,
            "title": self.segments.title or entry.title,
            "origin": self.origin,
            "licence": entry.licence,
            "citation": entry.citation,
            "recordings": self.n_recordings,
            **({"sessions": len(np.unique(self.groups))} if self.unit == "session" else {}),
            "examples": len(self.segments),
            "n_times": self.segments.signal.shape[2],
            "sfreq": self.segments.sfreq,
            **({"channels": list(self.segments.channels)} if self.segments.channels else {}),
            **({"notes": list(self.segments.notes)} if self.segments.notes else {}),
            "classes": list(self.segments.classes),
            "counts": counts,
            **(self._second_of_two(counts[1]) if len(counts) == _TWO else {}),
            "unit": self.unit,
            "classes_fixed": self.classes_fixed,
            "example": "segment",
            "question": (
                f"the class of a {self.segments.signal.shape[2] / self.segments.sfreq:.2f} s "
                f"segment of EEG: {', '.join(self.classes[:-1])} or {self.classes[-1]}"
            ),
            "subjects": None
            if self.segments.subject_id is None
            else len(np.unique(self.segments.subject_id)),
        }


def load(settings: RunSettings, root: Path | None, work: Path | None = None) -> SignalData:
    """Read, cut and split the data of a run.

    Args:
        settings: The settings of the run.
        root: Folder or file of the data (default: the usual search path).
        work: Folder for the windows of custom recordings.

    Raises:
        SettingError: If the data set has no recordings.
        SequelaError: If the data cannot be found, read or split.
    """
    entry = lookup(settings.model, "signal")
    own = entry.segment if isinstance(entry, ModelEntry) else None
    segments, origin = segments_of(
        settings.data, root, settings.signals, settings.segment, own, work=work
    )
    if settings.aim_target is not None and len(segments.classes) != _TWO:
        raise SettingError(
            f"--aim is an option for two classes, but {settings.data} has "
            f"{len(segments.classes)}: leave it out"
        )
    split, part = draw(
        label=segments.label,
        ids=ids_of(segments),
        unit=settings.split,
        seed=settings.seed_of_split,
        fractions=settings.fractions,
        folds=settings.folds,
        fold=settings.fold,
    )
    split = split.holding(content_of(segments))
    scaling = Scaling.fit(segments.signal[part == PARTS.index("train")])
    return SignalData(
        settings.data, origin, segments, split, part, scaling, n_recordings=segments.n_recordings
    )


def segments_of(
    name: str,
    root: Path | None,
    given: SignalSettings | None = None,
    segment: SegmentLength | None = None,
    usual: SegmentLength | None = None,
    work: Path | None = None,
) -> tuple[Segments, str]:
    """Read all segments of a data set, and return them with the place of the data in words.

    Args:
        name: A data set of recordings.
        root: Folder or file of the data (default: the usual search path).
        given: Options for custom recordings.
        segment: Requested samples of a segment.
        usual: Samples of a segment of the model (default: of the data).
        work: Folder for the windows of custom recordings.

    Raises:
        SettingError: If the data set has no recordings.
        SequelaError: If the data cannot be found or read.
    """
    if catalog.lookup(name).windows:
        windows, located = catalog.load_windows(name, root, given, segment, work)
        return of_windows(windows), located.origin
    recordings, located = catalog.load_recordings(name, root)
    signals = catalog.signals_of(name)
    segments = cut(recordings, segment or usual or signals.n_times, signals.classes)
    return segments, located.origin


def load_other(
    folder: RunFolder,
    header: Mapping[str, Any],
    name: str,
    root: Path | None,
    work: Path,
    labels: Path | None = None,
) -> SignalData:
    """Load other recordings for a run's model; see :func:`sequela.runs.data.load_other`."""
    if labels is not None:
        raise SettingError(
            f"--labels is for hospital records, but {name} has recordings with their own classes: "
            "leave it out"
        )
    segments, origin = _of_others(folder, header, name, root, work)
    if segments.classes != tuple(header["classes"]):
        raise SettingError(
            f"{name} has the classes {', '.join(segments.classes)}, but the model has "
            f"{', '.join(header['classes'])}: choose data with the same"
        )
    seen = {
        (kind, hashed_id)
        for kind, parts in folder.split.ids.items()
        for part in ("train", "tuning")
        for hashed_id in parts[part]
    }
    recordings = _recordings(segments)
    listed, here = folder.split.pseudonyms, own()
    by_name = {each for each in recordings if listed and seen & each.names(listed)}
    if folder.split.content is not None:  # the name of a recording alone proves nothing
        seen = {(kind, hashed_id) for kind, hashed_id in seen if kind in {"subject", "session"}}
    known_people = {each for each in by_name if seen & each.names(listed or own())}
    content = content_of(segments)
    units = np.array(content.units)[folder.split.seen(content)].tolist()
    known = {(segments.unit, each) for each in units}
    by_content = {each for each in recordings if known & each.names(here)}
    aside = by_content | (known_people if name == folder.settings.data else set())
    new = [each for each in recordings if each not in aside]
    renamed = [each for each in recordings if each in by_content - by_name]
    if not new:
        raise SettingError(
            f"all {len(recordings)} recordings of {name}, or recordings of the same time, are in "
            f"the training or validation set of this model ({len(renamed)} found by content), so "
            "none is left for an evaluation; choose other data"
        )
    segments = segments.where(np.isin(segments.recording_id, [each.id for each in new]))
    if segments.signal.shape[1] != header["n_chans"] or segments.sfreq != header["sfreq"]:
        raise SettingError(
            f"{name} has {segments.signal.shape[1]} channel(s) at {segments.sfreq} Hz, but the "
            f"model reads {header['n_chans']} at {header['sfreq']} Hz"
        )
    return SignalData(
        name,
        origin,
        segments,
        folder.split,
        np.full(len(segments), PARTS.index("held_out")),
        Scaling.from_json(header["scaling"]),
        n_recordings=len(new),
        set_aside=_count(recordings) - _count(new),
        renamed=_count(renamed),
    )


def _of_others(
    folder: RunFolder, header: Mapping[str, Any], name: str, root: Path | None, work: Path
) -> tuple[Segments, str]:
    """Read segments of other data with the length, rate and channels of the model.

    Custom recordings have their own declaration, or use the declaration of the run.
    """
    n_times = header["n_times"]
    if not catalog.lookup(name).windows:
        recordings, located = catalog.load_recordings(name, root)
        return cut(recordings, n_times, tuple(header["classes"])), located.origin
    path = catalog.locate(name, root).path
    said = folder.settings.signals
    given = said if said and not is_declared(path) else SignalSettings()
    channels = folder.metrics["data"].get("channels") or given.channels
    given = given.model_copy(update={"resample": header["sfreq"], "channels": tuple(channels)})
    windows, located = catalog.load_windows(name, root, given, n_times, work)
    return of_windows(windows), located.origin


class _Recording(NamedTuple):
    """A recording by its ids."""

    id: str
    subject_id: str | None
    session_id: str | None

    def names(self, how: Pseudonyms) -> set[tuple[str, str]]:
        """Return the hashed ids of the recording, its subject and its session, if known."""
        ids = {"recording": self.id, "subject": self.subject_id, "session": self.session_id}
        return {(kind, how.of(id_)) for kind, id_ in ids.items() if id_ is not None}


def _recordings(segments: Segments) -> list[_Recording]:
    """Return the recordings of segments."""
    _, first = np.unique(segments.recording_id, return_index=True)
    names = (segments.recording_id, segments.subject_id, segments.session_id)
    columns = ([None] * len(first) if ids is None else ids[first].tolist() for ids in names)
    return [_Recording(*each) for each in zip(*columns, strict=True)]


def _count(recordings: Sequence[_Recording]) -> int:
    """Count subjects, or sessions or recordings where nobody is identified."""
    return len({each.subject_id or each.session_id or each.id for each in recordings})


def ids_of(segments: Segments) -> dict[str, NDArray[np.str_]]:
    """Return the ids that segments can be split by."""
    known = {
        "row": segments.segment_id,
        "recording": segments.recording_id,
        "session": segments.session_id,
        "subject": segments.subject_id,
        "site": segments.site,
    }
    return {kind: ids for kind, ids in known.items() if ids is not None}
