"""The examples of a run: recordings or hospital records, in the sets of a split."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sequela.audit.finding import Finding
from sequela.cohort.split import PARTS, Split
from sequela.config import RunSettings
from sequela.datasets import catalog
from sequela.datasets.catalog import DataSet
from sequela.errors import RunError, SettingError
from sequela.evaluation.predictions import Predictions
from sequela.identity.fingerprint import Content
from sequela.identity.pseudonyms import Ids
from sequela.models.defaults import Default
from sequela.models.inputs import HOLDS
from sequela.models.reference import Times
from sequela.runs.folder import RunFolder
from sequela.sequences.featurisers import Features

_OF = {"signal": "signals", "records": "records"}
_PREDICTED, _NUMBERS = 1024, 1 << 22  # examples that are predicted at once, and their features


@dataclass(frozen=True, kw_only=True, eq=False)
class Examples:
    """The examples of a run, in the sets of a split.

    ``part`` is int64 (example,), an index into ``PARTS``; ``arrays`` are the segments of
    recordings, or the sequences of records; ``ids`` are those of predictions, str (example,) by
    column, and ``site`` is str (example,) if the split is by site. A signal has a fitted
    ``scaling``, records have a ``cohort``, and a task of times to an event ``times``. ``origin`` is
    the place of the data in words; the ``title`` of a user's own data is empty for the name in the
    catalogue. ``classes_fixed`` is true if the publisher chose the number of recordings of each
    class. ``header`` is the metadata that a model needs in addition to its tensors.

    The functions compute the fingerprints of the arrays, make the inputs of a model, describe what
    only such data have, and read attributes of the people, str (example,) by name, and typical
    training segments.

    Other data than the model's have ``unlike_training``, their differences; ``set_aside``, the
    number of units of its training or validation set; and ``renamed``, those of them found by
    content: with another name, or recorded at the same time.
    """

    data_set: DataSet
    origin: str
    title: str
    split: Split
    part: NDArray[np.int64]
    arrays: Any
    scaling: Any = None
    times: Times | None = None
    cohort: Any = None
    classes: tuple[str, ...]
    classes_fixed: bool = False
    site: Ids | None
    ids: Mapping[str, Ids]
    header: dict[str, object]
    leaks: tuple[Finding, ...] = ()
    content_of: Callable[[Any], Content]
    batching: Callable[..., Any]
    facts: Callable[["Examples"], dict[str, Any]]
    attributes: Callable[[], dict[str, NDArray[np.str_]]] = field(default_factory=lambda: dict)
    traces: Callable[[], dict[str, object]] = field(default_factory=lambda: dict)
    unlike_training: Mapping[str, float | None] = field(default_factory=dict)
    set_aside: int = 0
    renamed: int = 0

    def rows(self, part: str) -> NDArray[np.int64]:
        """Return the indices of the examples of a set, or of several: ``train+tuning``."""
        return np.flatnonzero(np.isin(self.part, [PARTS.index(each) for each in part.split("+")]))

    @property
    def labels(self) -> NDArray[np.int64]:
        """int64 (example,), index into ``classes``; 0 also where follow-up ended without event."""
        if self.times is not None:
            return self.times.intervals.label(self.times.time, self.times.event)
        return np.asarray(self.arrays.label.astype(np.int64, copy=False))

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
        if self.times is not None:
            both = self.times.time.tobytes() + self.times.event.tobytes()
            digest = hashlib.sha256(digest.encode() + both).hexdigest()
        return digest

    @cached_property
    def content(self) -> Content:
        """Fingerprints of the subjects, sessions or recordings, by hashed id."""
        return self.content_of(self.arrays)

    def inputs(
        self,
        reads: tuple[str, ...],
        stored: Mapping[str, NDArray[Any]] | None = None,
        *,
        standardise: bool = True,
    ) -> Any:
        """Prepare the inputs of a model, ``reads``, with its fitted preprocessing for other data.

        Features are standardised for networks only.
        """
        train = self.rows("train")
        features = Features.of(reads, self.arrays, train, stored, standardise=standardise)
        return self.batching(self, reads, features, stored)

    def predictions(self, probabilities: NDArray[np.float32]) -> Predictions:
        """Add ids, sets and labels to probabilities (example, class)."""
        timed: Any = {}
        if (of := self.times) is not None:
            timed = {"time": of.time, "event": of.event, "horizons": of.intervals.horizons}
        return Predictions(
            **dict[str, Any](self.ids),
            group_id=self.groups,
            split=np.asarray(PARTS)[self.part],
            label=self.labels,
            probabilities=probabilities,
            classes=self.classes,
            **timed,
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
            "title": self.title or self.data_set.title,
            "origin": self.origin,
            "licence": self.data_set.licence,
            "citation": self.data_set.citation,
            "examples": len(self.arrays),
            "classes": list(self.classes),
            "counts": self.counts,
            "unit": self.unit,
            "classes_fixed": self.classes_fixed,
            **self.facts(self),
        }


def prediction_batch(shape: Mapping[str, int]) -> int:
    """Return how many examples are predicted at once: fewer of many features, to limit memory."""
    return max(1, min(_PREDICTED, _NUMBERS // max(shape.get("n_features", 0), 1)))


def load(settings: RunSettings, root: Path | None, work: Path) -> Examples:
    """Find, read, select and split the data of a run."""
    data: Examples = _constructors(settings.data)[1].load(settings, root, work)
    return data


def default_of(settings: RunSettings, root: Path | None, work: Path) -> Default:
    """Return the default model, chosen by the kind of data, not by its performance."""
    data_set, module = _constructors(settings.data)
    data_set.check_split(settings.split, settings.folds)
    found: Default = module.default(data_set, settings, root, work)
    return found


def load_again(
    folder: RunFolder, root: Path | None, work: Path, header: Mapping[str, Any] | None = None
) -> Examples:
    """Read the data of a run again, by default from the place of training; others are refused.

    With the ``header`` of its model, the data must match that too.
    """
    data = load(folder.settings, root or root_of(folder), work)
    known = json.loads(json.dumps(data.header)) if header else {}
    is_the_models = all((header or {}).get(name) == value for name, value in known.items())
    if folder.json("split.json")["data_sha256"] != data.digest or not is_the_models:
        raise RunError(
            f"{folder.path} was trained on other data than those found now ({data.origin}): "
            "name the original data with --root"
        )
    return data


def root_of(folder: RunFolder) -> Path | None:
    """Return the folder or file where a run found its data, if it is still there."""
    _, _, path = folder.metrics.data.origin.partition(" under ")
    places = (Path(each) for each in (path, path.rpartition(" (")[0]) if each)  # (checksums)
    return next((each for each in places if each.is_dir() or each.is_file()), None)


def load_other(
    folder: RunFolder,
    header: Mapping[str, Any],
    name: str,
    root: Path | None,
    work: Path,
    labels: Path | None = None,
) -> Examples:
    """Load other data as inputs of a run's model; all of them form the test set.

    Data of the training and validation set of the run are set aside. A run that was trained with a
    label file needs one for the other data too.
    """
    known = folder.settings.data
    (data_set, module), (own, _) = (_constructors(each) for each in (name, known))
    if data_set.holds != own.holds:
        found, read = HOLDS[data_set.holds], HOLDS[own.holds]
        raise SettingError(
            f"{name} holds {found}, and the model of {folder.path} reads {read}, as {known} holds: "
            "name data of that kind with --data"
        )
    data: Examples = module.load_other(folder, header, data_set, root, work, labels)
    return data


def _constructors(name: str) -> tuple[DataSet, ModuleType]:
    """Look up a data set, and import the module that makes examples of its content."""
    data_set = catalog.lookup(name)
    return data_set, import_module(f"sequela.runs.{_OF[data_set.holds]}")
