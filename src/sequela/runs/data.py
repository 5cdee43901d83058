"""The examples of a run: recordings or hospital records, in the sets of a split."""

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from sequela.audit.finding import Finding
from sequela.audit.input import AuditInput
from sequela.cohort.split import PARTS, Split, draw_for
from sequela.config import RunSettings, TrainingSettings
from sequela.datasets import catalog
from sequela.datasets.catalog import DataSet, Modality
from sequela.errors import RunError, SettingError
from sequela.evaluation.predictions import Predictions
from sequela.identity.fingerprint import Content
from sequela.identity.pseudonyms import Ids, own
from sequela.models import stored
from sequela.models.defaults import Default
from sequela.models.reference import Arrays, Times
from sequela.models.stored import Header
from sequela.runs.folder import RunFolder
from sequela.runs.model import FILE, members_of
from sequela.sequences.featurisers import Features, Table

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn
    from torch.utils.data import DataLoader

    from sequela.sequences.flat import Sequences
    from sequela.signals import segments
    from sequela.training.fit import Batch

# The module of this package that reads the data of each kind.
_MODULES = {Modality.EEG: "signals", Modality.RECORDS: "records"}
_PREDICTED = 1024  # examples that are predicted at once
_NUMBERS = 1 << 22  # features of the examples that are predicted at once, to limit memory


@dataclass(frozen=True, kw_only=True, eq=False)
class Examples(ABC):
    """The examples of a run, in the sets of a split.

    Other data than the model's have ``unlike_training``, their differences, and ``renamed``: the
    units set aside that have another name, or were recorded at the same time.
    """

    data_set: DataSet
    origin: str  # the place of the data, in words
    split: Split
    part: NDArray[np.int64]  # int64 (example,), an index into ``PARTS``
    arrays: Any  # the segments of recordings, or the sequences of records
    unlike_training: Mapping[str, float | None] = field(default_factory=dict)
    set_aside: int = 0  # number of units of the model's training or validation set in other data
    renamed: int = 0

    @property
    def leaks(self) -> tuple[Finding, ...]:
        """Findings of the preparation of the data."""
        return ()

    @property
    def times(self) -> Times | None:
        """The times to an event, for a task that predicts these."""
        return None

    @property
    def classes_fixed(self) -> bool:
        """``True`` if the publisher chose the number of recordings of each class."""
        return False

    @property
    @abstractmethod
    def classes(self) -> tuple[str, ...]:
        """The names of the classes."""

    @property
    @abstractmethod
    def site(self) -> Ids | None:
        """Str (example,), the site of each, if the split is by site."""

    @property
    @abstractmethod
    def ids(self) -> Mapping[str, Ids]:
        """The ids of predictions by column, each str (example,)."""

    def by_person(self) -> Self:
        """Return the same examples with people as their groups, not sites."""
        return self

    @property
    @abstractmethod
    def header(self) -> dict[str, object]:
        """The metadata that a model needs in addition to its tensors."""

    @cached_property
    @abstractmethod
    def content(self) -> Content:
        """Fingerprints of the subjects, sessions or recordings, by hashed id."""

    @abstractmethod
    def facts(self) -> dict[str, object]:
        """Describe what only data of this kind have, and the ``title`` of a user's own data."""

    @abstractmethod
    def inputs(
        self, reads: tuple[str, ...], learnt: Arrays | None = None, *, standardise: bool = True
    ) -> "Inputs":
        """Prepare the inputs of a model, ``reads``, with its fitted preprocessing for other data.

        Features are standardised for networks only.
        """

    def attributes(self) -> dict[str, NDArray[np.str_]]:
        """Return attributes of the people by name, each str (example,)."""
        return {}

    def rows(self, part: str) -> NDArray[np.int64]:
        """Return the indices of the examples of a set, or of several: ``train+tuning``."""
        return np.flatnonzero(np.isin(self.part, [PARTS.index(name) for name in part.split("+")]))

    @property
    def labels(self) -> NDArray[np.int64]:
        """int64 (example,), index into ``classes``; 0 also where follow-up ended without event."""
        if self.times is not None:
            return self.times.intervals.label(self.times.time, self.times.event)
        return np.asarray(self.arrays.label.astype(np.int64, copy=False))  # records have bool

    @property
    def unit(self) -> str:
        """The site if whole sites are held out, else the subject, session or recording."""
        return self.arrays.unit if self.site is None else "site"

    @property
    def groups(self) -> Ids:
        """Str (example,), the unit of each example."""
        return self.marked if self.site is None else self.site

    @property
    def marked(self) -> Ids:
        """Str (example,), the subject, session or recording of each in the fingerprints."""
        return np.asarray(self.arrays.independent)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of all inputs and labels."""
        digest = str(self.arrays.sha256())
        if self.times is not None:  # the arrays have no times, and these decide what is learnt
            outcomes = self.times.time.tobytes() + self.times.event.tobytes()
            digest = hashlib.sha256(digest.encode() + outcomes).hexdigest()
        return digest

    def _features(
        self, reads: tuple[str, ...], learnt: Arrays | None, *, standardise: bool
    ) -> Features | None:
        return Features.of(reads, self.arrays, self.rows("train"), learnt, standardise=standardise)

    def audit_input(self) -> AuditInput:
        """Return the examples as the checks of the leak audit read them."""
        parts = {name: self.rows(name) for name in PARTS}  # the training set first
        return AuditInput(
            label=self.labels,
            classes=self.classes,
            is_update=self.split.parent is not None,
            units={self.unit: self.groups},
            splits=(parts,),
            times_to_event=self.times,
            content=self.content,
            content_ids={name: own().distinct(self.marked[r]) for name, r in parts.items()},
        )

    def predictions(self, probabilities: NDArray[np.float32]) -> Predictions:
        """Add ids, sets and labels to probabilities (example, class)."""
        outcomes: dict[str, Any] = {}
        if (times := self.times) is not None:
            horizons = times.intervals.horizons
            outcomes = {"time": times.time, "event": times.event, "horizons": horizons}
        return Predictions(
            **dict[str, Any](self.ids),
            group_id=self.groups,
            split=np.asarray(PARTS)[self.part],
            label=self.labels,
            probabilities=probabilities,
            classes=self.classes,
            **outcomes,
        )

    @property
    def counts(self) -> list[int]:
        """The number of examples of each class; of times to an event, of each end of follow-up."""
        if self.times is not None:
            return self.times.intervals.ends(self.times.time, self.times.event)
        counts: list[int] = np.bincount(self.labels, minlength=len(self.classes)).tolist()
        return counts

    def describe(self) -> dict[str, Any]:
        """Describe the data for readers: the ``data`` entry of ``metrics.json``."""
        return {
            "name": self.data_set.name,
            "title": self.data_set.title,
            "origin": self.origin,
            "licence": self.data_set.licence,
            "citation": self.data_set.citation,
            "examples": len(self.arrays),
            "classes": list(self.classes),
            "counts": self.counts,
            "unit": self.unit,
            "classes_fixed": self.classes_fixed,
            **self.facts(),
        }


@dataclass(frozen=True)
class Inputs(ABC):
    """The inputs of a model, prepared from the examples of a run."""

    data: Examples
    reads: tuple[str, ...]
    described: Features | None

    @property
    def state(self) -> Arrays:
        """The fitted preprocessing, to be stored with the model."""
        return self.described.state if self.described else {}

    @property
    def features(self) -> Table:
        """The table of a baseline model: float32 (example, feature), or no columns."""
        empty = np.empty((len(self.data.arrays), 0), np.float32)  # for models that ignore examples
        return self.described.table if self.described else empty

    @property
    @abstractmethod
    def shape(self) -> dict[str, int]:
        """The sizes for building a model."""

    @property
    @abstractmethod
    def alone(self) -> "segments.Segments | Sequences":
        """The segment or sequence of a typical example."""

    @property
    def steps(self) -> int:
        """The number of steps of the typical example; a segment is one."""
        return 1

    @property
    @abstractmethod
    def example(self) -> "tuple[Tensor, ...]":
        """The inputs of the typical example, made anew each time."""

    @abstractmethod
    def loader(
        self,
        part: str,
        batch_size: int,
        generator: "Generator | None" = None,
        training: TrainingSettings | None = None,
    ) -> "DataLoader[Batch]":
        """Load batches of a set, in random order if ``generator`` is given."""

    @abstractmethod
    def probabilities(self, model: "nn.Module") -> NDArray[np.float32]:
        """Predict probabilities of all examples with a network: float32 (example, class)."""


def prediction_batch(shape: Mapping[str, int]) -> int:
    """Return how many examples are predicted at once: fewer of many features, to limit memory."""
    return max(1, min(_PREDICTED, _NUMBERS // max(shape.get("n_features", 0), 1)))  # examples


def load(settings: RunSettings, root: Path | None, work: Path) -> Examples:
    """Find, read, select and split the data of a run."""
    _, reader = _read_by(settings.data)
    data: Examples = reader.load(settings, root, work)
    return data


def default_of(settings: RunSettings, root: Path | None, work: Path) -> Default:
    """Return the default model, chosen by the kind of data, not by its performance."""
    data_set, reader = _read_by(settings.data)
    data_set.check_split(settings.split, settings.folds)
    default: Default = reader.default(data_set, settings, root, work)
    return default


def load_again(
    folder: RunFolder, root: Path | None, work: Path, header: Header | None = None
) -> Examples:
    """Read the data of a run again, by default from the place of training; others are refused.

    With the ``header`` of its model, the data must match that too.
    """
    root = root or root_of(folder)
    if parent := folder.split.parent:
        model = stored.read(folder.path / FILE)[0]
        data = load_local(folder, folder.settings, parent, model, root, work)
    else:
        data = load(folder.settings, root, work)
    # The stored header went through JSON, which makes lists of tuples.
    header_of_data = json.loads(json.dumps(data.header)) if header else {}
    is_the_models = all((header or {}).get(key) == value for key, value in header_of_data.items())
    if folder.json("split.json")["data_sha256"] != data.digest or not is_the_models:
        raise RunError(
            f"{folder.path} was trained on other data than those found now ({data.origin}): "
            "name the original data with --root"
        )
    return data


def root_of(folder: RunFolder) -> Path | None:
    """Return the folder or file where a run found its data, if it is still there."""
    _, _, path = folder.metrics.data.origin.partition(" under ")
    places = [Path(text) for text in (path, path.rpartition(" (")[0]) if text]  # (checksums)
    return next((place for place in places if place.is_dir() or place.is_file()), None)


def load_other(
    folder: RunFolder,
    header: Header,
    name: str,
    root: Path | None,
    work: Path,
    labels: Path | None = None,
) -> Examples:
    """Load other data as inputs of a run's model; all of them form the test set.

    Data of the training and validation set of the run are set aside. A run that was trained with a
    label file needs one for the other data too.
    """
    data_set, reader = _read_by(name)
    training_data, reader_of_training = _read_by(folder.settings.data)
    if reader is not reader_of_training:
        raise SettingError(
            f"{name} holds {data_set.modality.words}, and the model of {folder.path} reads "
            f"{training_data.modality.words}, as {training_data.name} holds: name data of that "
            "kind with --data"
        )
    data: Examples = reader.load_other(folder, header, data_set, root, work, labels)
    return data


def load_local(
    folder: RunFolder,
    settings: RunSettings,
    parent: Split,
    header: Header,
    root: Path | None,
    work: Path,
) -> Examples:
    """Load the new people of an update, in the sets of its split, as inputs of its parent.

    ``settings`` are those of the update, ``parent`` is the split of its parent, and ``folder`` that
    of either of them.
    """
    trained = members_of(settings)[0].run_settings
    labels = settings.cohort.labels if settings.cohort else None
    as_parent = RunFolder(folder.path)  # whose people are set aside
    vars(as_parent).update(settings=trained, split=parent, metrics=folder.metrics)
    label_file = Path(labels) if labels else None
    data = load_other(as_parent, header, settings.data, root, work, label_file)
    # Of times to an event, the classes are whether it came.
    label = np.asarray(data.arrays.label.astype(np.int64))
    ids = _read_by(settings.data)[1].ids_of(data.arrays)
    by_person = settings.model_copy(update={"split": data.arrays.unit})
    split, part = draw_for(by_person, label, ids)
    same_ids = settings.data == trained.data
    split = replace(split.holding(data.content), parent=parent, same_ids=same_ids)
    return replace(data.by_person(), split=split, part=part)


def _read_by(name: str) -> tuple[DataSet, ModuleType]:
    """Look up a data set, and import the module that makes examples of its content."""
    data_set = catalog.lookup(name)
    return data_set, import_module(f"sequela.runs.{_MODULES[data_set.modality]}")
