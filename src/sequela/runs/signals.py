"""The examples of a run on recordings: segments, a split and the fitted scaling."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sequela.cohort.split import PARTS, Split, draw_for
from sequela.config import RunSettings, SegmentLength, SignalSettings, TrainingSettings
from sequela.datasets import catalog
from sequela.datasets.catalog import DataSet
from sequela.errors import SettingError
from sequela.identity.pseudonyms import own
from sequela.models.defaults import DEFAULTS, Default
from sequela.models.registry import ENSEMBLE, Entry, ModelEntry, lookup
from sequela.runs.data import Examples
from sequela.runs.folder import RunFolder
from sequela.sequences.featurisers import Features, Table
from sequela.sequences.scaling import Scaling
from sequela.signals.segments import Segments, content_of, cut, stretches

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn
    from torch.utils.data import DataLoader

    from sequela.evaluation.attribution import Attribution
    from sequela.sequences.signal_batches import SignalBatch, SignalSource

_TWO = 2
_NAMED = ("recording", "session", "subject")
_LOOKED_AT = 500  # segments of a class from which a typical one is chosen
_DRAWN = 1000  # samples
_PREDICTION_BATCH = 1024
_READ: dict[object, tuple[Segments, str]] = {}
"""The published recordings that were read last: folds and models of a study read the same."""


def from_recordings(
    segments: Segments, scaling: Scaling, *, split: Split, part: NDArray[np.int64], **fields: Any
) -> Examples:
    """Make the examples of a run from the segments of recordings, and their fitted scaling."""
    _, n_chans, n_times = segments.signal.shape
    nobody = np.full(len(segments), "")
    return Examples(
        split=split,
        part=part,
        arrays=segments,
        title=segments.title,
        scaling=scaling,
        classes=segments.classes,
        classes_fixed=segments.subject_id is None and not segments.title,
        site=segments.site if split.unit == "site" else None,
        ids={
            "example_id": segments.segment_id,
            "subject_id": nobody if segments.subject_id is None else segments.subject_id,
            "recording_id": segments.recording_id,
        },
        header={
            "scaling": scaling.to_json(),
            "classes": list(segments.classes),
            "sfreq": segments.sfreq,
            "n_chans": n_chans,
            "n_times": n_times,
        },
        content_of=content_of,
        batching=lambda data, reads, features, _: SignalInputs(data, reads, features),
        facts=_facts,
        traces=partial(_traces, segments, part == PARTS.index("train")),
        **fields,
    )


def _traces(segments: Segments, train: NDArray[np.bool_]) -> dict[str, object]:
    """Return a training segment of median amplitude of each class, in µV: its first channel."""
    signal, found = segments.signal, {}
    for label, name in enumerate(segments.classes):
        rows = np.flatnonzero(train & (segments.label == label))[:_LOOKED_AT]
        if len(rows):
            spread = [float(np.std(signal[row, 0])) for row in rows]
            typical = rows[np.argsort(spread, kind="stable")[len(rows) // 2]]
            found[name] = np.round(signal[typical, 0, :_DRAWN].astype(float), 1).tolist()
    return {"sfreq": segments.sfreq, "classes": found}


def _facts(data: Examples) -> dict[str, Any]:
    """Describe the recordings; the second of two classes is the outcome."""
    segments, classes, n_times = data.arrays, data.classes, data.arrays.signal.shape[2]
    people = segments.subject_id
    facts = {
        "recordings": segments.n_recordings,
        **({"sessions": len(np.unique(data.groups))} if data.unit == "session" else {}),
        "n_times": n_times,
        "sfreq": segments.sfreq,
        **({"channels": list(segments.channels)} if segments.channels else {}),
        **({"notes": list(segments.notes)} if segments.notes else {}),
        "example": "segment",
        "question": (
            f"the class of a {n_times / segments.sfreq:.2f} s segment of EEG: "
            f"{', '.join(classes[:-1])} or {classes[-1]}"
        ),
        "subjects": None if people is None else len(np.unique(people)),
    }
    if len(classes) == _TWO:
        words = dict.fromkeys(("label", "one", "many"), classes[1])
        facts["positives"] = int((data.labels == 1).sum())
        facts["outcome"] = {**words, "classes": [*classes]}
    return facts


@dataclass(frozen=True)
class SignalInputs:
    """The inputs of a model of signals."""

    data: Examples
    reads: tuple[str, ...]
    described: Features | None
    steps = 1

    @property
    def state(self) -> dict[str, NDArray[Any]]:
        """The fitted preprocessing, to be stored with the model."""
        return self.described.state if self.described else {}

    @property
    def features(self) -> Table:
        """The table of a baseline model: float32 (segment, feature), or no columns."""
        empty = np.empty((len(self.data.arrays), 0), np.float32)
        return self.described.table if self.described else empty

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
        first: Segments = self.data.arrays.where(np.array([0]))
        return first

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
        others = SignalBatch(torch.empty(len(rows), 0, 0), labels, features, self.reads)
        return SignalSource(self.data.arrays.signal, self.data.scaling, rows, others)

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
        said, segments = [], self._segments(np.arange(len(self.data.labels)))
        with torch.no_grad():  # in inference mode, networks take torch's own slower layers
            for first in range(0, len(self.data.labels), _PREDICTION_BATCH):
                batch = segments.of(slice(first, first + _PREDICTION_BATCH)).to(device)
                said.append(model(*batch.inputs))
            found: NDArray[np.float32] = torch.cat(said).float().softmax(1).cpu().numpy()
        return found

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


def load(settings: RunSettings, root: Path | None, work: Path | None = None) -> Examples:
    """Read, cut and split the data of a run."""
    data_set = catalog.lookup(settings.data)
    data_set.check_split(settings.split, settings.folds)
    entry = _entry(settings)
    own = entry.segment if isinstance(entry, ModelEntry) else None
    segments, origin = segments_of(
        data_set, root, settings.signals, settings.segment, own, work=work
    )
    if settings.aim_target is not None and len(segments.classes) != _TWO:
        raise SettingError(
            f"--aim is an option for two classes, but {settings.data} has "
            f"{len(segments.classes)}: leave it out"
        )
    split, part = draw_for(settings, segments.label, ids_of(segments))
    robust = bool(settings.signals and settings.signals.standardise)
    return from_recordings(
        segments,
        Scaling.fit(segments.signal, np.flatnonzero(part == PARTS.index("train")), robust=robust),
        data_set=data_set,
        origin=origin,
        split=split.holding(content_of(segments)),
        part=part,
    )


def _entry(settings: RunSettings) -> Entry:
    """Look up the model of a run; for an ensemble, its first member, which reads the same data."""
    if settings.model == ENSEMBLE:
        return _entry(RunSettings.of(**settings.model_settings["members"][0]["settings"]))
    return lookup(settings.model, "signal")


def default(data_set: DataSet, _: RunSettings, root: Path | None, __: Path) -> Default:
    """Return the default model for recordings, which depends on nothing else."""
    if data_set.reads:
        data_set.open(root)  # raises an error before the choice
    return DEFAULTS["signal"]


def segments_of(
    data_set: DataSet,
    root: Path | None,
    given: SignalSettings | None = None,
    segment: SegmentLength | None = None,
    usual: SegmentLength | None = None,
    work: Path | None = None,
) -> tuple[Segments, str]:
    """Read all segments of a data set, and return them with the place of the data in words."""
    if data_set.windows:
        windows, located = data_set.open(root, given, segment, work)
        return windows, located.origin
    signals, path = data_set.recordings, data_set.locate(root).path
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    state = tuple((file, (at := file.stat()).st_size, at.st_mtime_ns) for file in files)
    n_times = segment or usual or signals.n_times
    key = (repr(data_set), root, n_times, os.environ.get("SEQUELA_DATA"), state)
    if key not in _READ:
        opened, located = data_set.open(root, given, segment, work)
        _READ.clear()
        _READ[key] = cut(opened, n_times, signals.classes), located.origin
    return _READ[key]


def load_other(
    folder: RunFolder,
    header: Mapping[str, Any],
    data_set: DataSet,
    root: Path | None,
    work: Path,
    labels: Path | None = None,
) -> Examples:
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
    split, listed = folder.split, folder.split.pseudonyms
    _, first = np.unique(segments.recording_id, return_index=True)
    ids = {kind: each[first] for kind, each in ids_of(segments).items() if kind in _NAMED}
    units, by_kind = ids[segments.unit], {kind: ids[kind] for kind in ids if kind in split.ids}
    named = split.named(by_kind, listed)
    if split.content is not None:  # the name of a recording alone proves nothing
        by_kind.pop("recording", None)
    copied = split.copied(content_of(segments), units, own())
    people = split.named(by_kind, listed) & (name == folder.settings.data)
    new, renamed = ~(copied | people), copied & ~named
    if not new.any():
        raise SettingError(
            f"all {len(new)} recordings of {name}, or recordings of the same time, are in "
            f"the training or validation set of this model ({renamed.sum()} found by content), so "
            "none is left for an evaluation; choose other data"
        )
    segments = segments.where(np.isin(segments.recording_id, ids["recording"][new]), work)
    if segments.signal.shape[1] != header["n_chans"] or segments.sfreq != header["sfreq"]:
        raise SettingError(
            f"{name} has {segments.signal.shape[1]} channel(s) at {segments.sfreq} Hz, but the "
            f"model reads {header['n_chans']} at {header['sfreq']} Hz"
        )
    return from_recordings(
        segments,
        Scaling.from_json(header["scaling"]),
        data_set=data_set,
        origin=origin,
        split=folder.split,
        part=np.full(len(segments), PARTS.index("held_out")),
        set_aside=len(np.unique(units)) - len(np.unique(units[new])),
        renamed=len(np.unique(units[renamed])),
    )


def _of_others(
    folder: RunFolder, header: Mapping[str, Any], data_set: DataSet, root: Path | None, work: Path
) -> tuple[Segments, str]:
    """Read other data with the length, rate and channels of the model, by their own declaration."""
    from sequela.signals.declaration import declared, is_declared, prepared_as

    path = data_set.locate(root).path
    said = folder.settings.signals or SignalSettings()
    given = SignalSettings() if is_declared(path) else said
    own = declared(path, given) if data_set.windows else SignalSettings()
    changes = prepared_as(said, own, path, fixed=not data_set.windows)
    channels = folder.metrics.data.channels or given.channels
    changes |= {"resample": header["sfreq"], "channels": tuple(channels)}
    given = given.model_copy(update=changes)
    return segments_of(data_set, root, given, header["n_times"], work=work)


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
