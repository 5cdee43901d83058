"""The examples of a run on recordings: segments, a split and the fitted scaling."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sequela.audit.input import AuditInput
from sequela.cohort.split import PARTS, draw_for
from sequela.config import RunSettings, SegmentLength, SignalSettings, TrainingSettings
from sequela.datasets import catalog
from sequela.datasets.catalog import DataSet, Modality
from sequela.errors import SettingError
from sequela.evaluation.number import plural
from sequela.identity.fingerprint import Content
from sequela.identity.pseudonyms import Ids, own
from sequela.models.defaults import DEFAULTS, Default
from sequela.models.reference import Arrays
from sequela.models.registry import Entry, ModelEntry, lookup
from sequela.models.stored import Header
from sequela.runs.data import Examples, Inputs
from sequela.runs.folder import RunFolder
from sequela.runs.model import members_of
from sequela.sequences.scaling import Scaling
from sequela.signals.segments import Segments, content_of, cut, stretches

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn
    from torch.utils.data import DataLoader

    from sequela.evaluation.attribution import Attribution
    from sequela.sequences.signal_batches import SignalBatch, SignalSource

_BINARY = 2
_NAMED = ("recording", "session", "subject")  # ids that may be equal in other data
_PREDICTION_BATCH = 1024  # segments, to limit memory
# The published recordings that were read last: folds and models of a study read the same.
_READ: dict[object, tuple[Segments, str]] = {}


@dataclass(frozen=True, kw_only=True, eq=False)
class Recordings(Examples):
    """The segments of recordings, with the scaling of a signal that was fitted to training ones."""

    arrays: Segments
    scaling: Scaling

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes."""
        return self.arrays.classes

    @property
    def classes_fixed(self) -> bool:
        """``True`` for published recordings: their number in each class was chosen."""
        return self.arrays.subject_id is None and not self.arrays.title

    @property
    def site(self) -> Ids | None:
        """Str (segment,), the site of each, if the split is by site."""
        return self.arrays.site if self.split.unit == "site" else None

    @property
    def ids(self) -> Mapping[str, Ids]:
        """The ids of predictions by column, each str (segment,)."""
        subject = self.arrays.subject_id
        return {
            "example_id": self.arrays.segment_id,
            "subject_id": np.full(len(self.arrays), "") if subject is None else subject,
            "recording_id": self.arrays.recording_id,
        }

    @property
    def header(self) -> dict[str, object]:
        """The metadata that a model needs in addition to its tensors."""
        _, n_chans, n_times = self.arrays.signal.shape
        return {
            "scaling": self.scaling.to_json(),
            "classes": list(self.classes),
            "sfreq": self.arrays.sfreq,
            "n_chans": n_chans,
            "n_times": n_times,
        }

    def audit_input(self) -> AuditInput:
        """Return the segments and their scaling as the checks of the audit read them."""
        segments = self.arrays
        common = super().audit_input()
        return replace(common, signals=segments.signal, segments=segments, scaling=self.scaling)

    @cached_property
    def content(self) -> Content:
        """Fingerprints of the subjects, sessions or recordings, by hashed id."""
        return content_of(self.arrays)

    def inputs(
        self, reads: tuple[str, ...], learnt: Arrays | None = None, *, standardise: bool = True
    ) -> "SignalInputs":
        """Prepare the inputs of a model: see :meth:`sequela.runs.data.Examples.inputs`."""
        return SignalInputs(self, reads, self._features(reads, learnt, standardise=standardise))

    def facts(self) -> dict[str, object]:
        """Describe the recordings; the second of two classes is the outcome."""
        segments, classes, n_times = self.arrays, self.classes, self.arrays.signal.shape[2]
        people = segments.subject_id
        facts: dict[str, object] = {"recordings": segments.n_recordings}
        if segments.title:
            facts["title"] = segments.title
        if self.unit == "session":
            facts["sessions"] = len(np.unique(self.groups))
        facts |= {"n_times": n_times, "sfreq": segments.sfreq}
        if segments.channels:
            facts["channels"] = list(segments.channels)
        if segments.notes:
            facts["notes"] = list(segments.notes)
        facts |= {
            "example": "segment",
            "question": (
                f"the class of a {n_times / segments.sfreq:.2f} s segment of EEG: "
                f"{', '.join(classes[:-1])} or {classes[-1]}"
            ),
            "subjects": None if people is None else len(np.unique(people)),
        }
        if len(classes) == _BINARY:
            words = dict.fromkeys(("label", "one", "many"), classes[1])  # a class has one name
            facts["positives"] = int((self.labels == 1).sum())
            facts["outcome"] = {**words, "classes": [*classes]}
        return facts


@dataclass(frozen=True)
class SignalInputs(Inputs):
    """The inputs of a model of signals."""

    data: Recordings

    @property
    def shape(self) -> dict[str, int]:
        """The sizes for building a model."""
        _, n_chans, n_times = self.data.arrays.signal.shape
        return {
            "n_chans": n_chans,
            "n_times": n_times,
            "n_features": self.features.shape[1],
            "n_outputs": len(self.data.classes),
        }

    @cached_property
    def alone(self) -> Segments:
        """The first segment; only its shape matters."""
        return self.data.arrays.where(np.array([0]))

    @property
    def example(self) -> "tuple[Tensor, ...]":
        """The inputs of one segment, of which only the shape matters."""
        import torch

        from sequela.sequences.signal_batches import SignalBatch

        features = torch.zeros(1, self.features.shape[1])
        signal = torch.zeros(1, *self.data.arrays.signal.shape[1:])
        return SignalBatch(signal, torch.zeros(1), features, self.reads).inputs

    def _segments(self, rows: NDArray[np.int64]) -> "SignalSource":
        import torch

        from sequela.sequences.signal_batches import SignalBatch, SignalSource

        labels = torch.from_numpy(self.data.labels[rows])
        table = self.described.standardised if self.described else None
        features = torch.from_numpy(table.rows(rows)) if table else None
        labelled = SignalBatch(torch.empty(len(rows), 0, 0), labels, features, self.reads)
        return SignalSource(self.data.arrays.signal, self.data.scaling, rows, labelled)

    def loader(
        self,
        part: str,
        batch_size: int,
        generator: "torch.Generator | None" = None,
        training: TrainingSettings | None = None,
    ) -> "DataLoader[SignalBatch]":
        """Load batches of a set, in random order if ``generator`` is given."""
        import torch

        from sequela.sequences.signal_batches import VariedDataset, signal_loader

        rows = self.data.rows(part)
        source = self._segments(rows)
        # Of a mapped file, only the batch is read; in memory, all segments are scaled once.
        segments = source if isinstance(source.source, np.memmap) else source.of(slice(None))
        if training and training.varies and generator:
            stretch = torch.from_numpy(stretches(self.data.arrays, rows))
            cropped = stretch if training.crops else None
            varied = VariedDataset(segments, generator, cropped, training.gain)
            return signal_loader(varied, batch_size=batch_size, generator=generator)
        return signal_loader(segments, batch_size=batch_size, generator=generator)

    def probabilities(self, model: "nn.Module") -> NDArray[np.float32]:
        """Predict probabilities of all segments with a network: float32 (segment, class)."""
        import torch

        device = next(model.parameters()).device
        model.eval()
        logits, segments = [], self._segments(np.arange(len(self.data.labels)))
        with torch.no_grad():  # in inference mode, networks take torch's own slower layers
            for first in range(0, len(self.data.labels), _PREDICTION_BATCH):
                batch = segments.of(slice(first, first + _PREDICTION_BATCH)).to(device)
                logits.append(model(*batch.inputs))
            probabilities: NDArray[np.float32] = torch.cat(logits).float().softmax(1).cpu().numpy()
        return probabilities

    def attribution(
        self, model: "nn.Module", row: int, weights: "Tensor", steps: int | None
    ) -> "Attribution":
        """Attribute a number of a model to the samples of a segment: (n_chans, n_times)."""
        from sequela.evaluation.attribution import attribute_signal

        signal = self._segments(np.array([row])).of([0]).signal[0]
        return attribute_signal(model, signal, weights, steps)

    def importance(self, model: "nn.Module", smallest: int) -> None:
        """Return nothing, as samples have no names to be ranked by."""

    def describe_example(self, row: int) -> dict[str, Any]:
        """Return the segment in µV, and its samples per second."""
        return {"signal": self.data.arrays.signal[row], "sfreq": self.data.arrays.sfreq}


def load(settings: RunSettings, root: Path | None, work: Path | None = None) -> Recordings:
    """Read, cut and split the data of a run."""
    data_set = catalog.lookup(settings.data)
    data_set.check_split(settings.split, settings.folds)
    entry = _entry(settings)
    usual = entry.segment if isinstance(entry, ModelEntry) else None
    segments, origin = segments_of(
        data_set, root, settings.signals, settings.segment, usual, work=work
    )
    if settings.aim_target is not None and len(segments.classes) != _BINARY:
        raise SettingError(
            f"--aim is an option for two classes, but {settings.data} has "
            f"{len(segments.classes)}: leave it out"
        )
    split, part = draw_for(settings, segments.label, ids_of(segments))
    robust = bool(settings.signals and settings.signals.standardise)  # artefacts have no effect
    train = np.flatnonzero(part == PARTS.index("train"))
    return Recordings(
        arrays=segments,
        scaling=Scaling.fit(segments.signal, train, robust=robust),
        data_set=data_set,
        origin=origin,
        split=split.holding(content_of(segments)),
        part=part,
    )


def _entry(settings: RunSettings) -> Entry:
    """Look up the model of a run; for an ensemble, its first member, which reads the same data."""
    members = members_of(settings)
    return _entry(members[0].run_settings) if members else lookup(settings.model, Modality.EEG)


def default(data_set: DataSet, _: RunSettings, root: Path | None, __: Path) -> Default:
    """Return the default model for recordings, which depends on nothing else."""
    if data_set.reads:
        data_set.open(root)  # raises an error before the choice
    return DEFAULTS["signal"]


def segments_of(
    data_set: DataSet,
    root: Path | None,
    settings: SignalSettings | None = None,
    segment: SegmentLength | None = None,
    usual: SegmentLength | None = None,
    work: Path | None = None,
) -> tuple[Segments, str]:
    """Read all segments of a data set, and return them with the place of the data in words."""
    if data_set.windows:
        windows, located = data_set.open(root, settings, segment, work)
        return windows, located.origin
    signals, path = data_set.recordings, data_set.locate(root).path
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    # A changed file is read again; hashing all files would take longer than reading them.
    state = tuple((file, (at := file.stat()).st_size, at.st_mtime_ns) for file in files)
    n_times = segment or usual or signals.n_times
    key = (repr(data_set), root, n_times, os.environ.get("SEQUELA_DATA"), state)
    if key not in _READ:
        opened, located = data_set.open(root, settings, segment, work)
        _READ.clear()  # one data set at a time, to limit memory
        _READ[key] = cut(opened, n_times, signals.classes), located.origin
    return _READ[key]


def load_other(
    folder: RunFolder,
    header: Header,
    data_set: DataSet,
    root: Path | None,
    work: Path,
    labels: Path | None = None,
) -> Recordings:
    """Load other recordings for a run's model; see :func:`sequela.runs.data.load_other`."""
    name = data_set.name
    if labels is not None:
        raise SettingError(
            f"--labels is for hospital records, but {name} has recordings with their own classes: "
            "leave it out"
        )
    segments, origin = _of_others(folder, header, data_set, root, work)
    if segments.classes != tuple(header["classes"]):
        raise SettingError(
            f"{name} has the classes {', '.join(segments.classes)}, but the model has "
            f"{', '.join(header['classes'])}: choose data with the same"
        )
    # One segment of each recording is enough, as all segments have its ids.
    split, listed = folder.split, folder.split.pseudonyms
    _, first = np.unique(segments.recording_id, return_index=True)  # (recording,)
    ids = {kind: kind_ids[first] for kind, kind_ids in ids_of(segments).items() if kind in _NAMED}
    units, by_kind = ids[segments.unit], {kind: ids[kind] for kind in ids if kind in split.ids}
    by_name = split.named(by_kind, listed)
    if split.content is not None:  # the name of a recording alone proves nothing
        by_kind.pop("recording", None)
    by_content = split.copied(content_of(segments), units, own())
    people = split.named(by_kind, listed) & (name == folder.settings.data)
    new, renamed = ~(by_content | people), by_content & ~by_name
    if not new.any():
        raise SettingError(
            f"all {len(new)} recordings of {name}, or recordings of the same time, are in "
            f"the training or validation set of this model ({renamed.sum()} found by content), so "
            "none is left for an evaluation; choose other data"
        )
    segments = segments.where(np.isin(segments.recording_id, ids["recording"][new]), work)
    if segments.signal.shape[1] != header["n_chans"] or segments.sfreq != header["sfreq"]:
        raise SettingError(
            f"{name} has {plural(segments.signal.shape[1], 'channel')} at {segments.sfreq} Hz, but "
            f"the model reads {header['n_chans']} at {header['sfreq']} Hz"
        )
    return Recordings(
        arrays=segments,
        scaling=Scaling.from_json(header["scaling"]),
        data_set=data_set,
        origin=origin,
        split=folder.split,
        part=np.full(len(segments), PARTS.index("held_out")),
        set_aside=len(np.unique(units)) - len(np.unique(units[new])),
        renamed=len(np.unique(units[renamed])),
    )


def _of_others(
    folder: RunFolder, header: Header, data_set: DataSet, root: Path | None, work: Path
) -> tuple[Segments, str]:
    """Read other data with the length, rate and channels of the model, by their own declaration."""
    from sequela.signals.reading import declared, is_declared, prepared_as

    path = data_set.locate(root).path
    trained = folder.settings.signals or SignalSettings()
    settings = SignalSettings() if is_declared(path) else trained
    described = declared(path, settings) if data_set.windows else SignalSettings()
    changes = prepared_as(trained, described, path, fixed=not data_set.windows)
    channels = folder.metrics.data.channels or settings.channels
    changes |= {"resample": header["sfreq"], "channels": tuple(channels)}
    settings = settings.model_copy(update=changes)
    return segments_of(data_set, root, settings, header["n_times"], work=work)


def ids_of(segments: Segments) -> dict[str, NDArray[np.str_]]:
    """Return the ids that segments can be split by."""
    by_kind = {
        "row": segments.segment_id,
        "recording": segments.recording_id,
        "session": segments.session_id,
        "subject": segments.subject_id,
        "site": segments.site,
    }
    return {kind: ids for kind, ids in by_kind.items() if ids is not None}
