"""The data of a run: one protocol with two implementations."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar, Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader

from sequela.cohort.finding import Finding
from sequela.cohort.fingerprint import Content
from sequela.cohort.split import Split
from sequela.config import RunSettings, TrainingSettings
from sequela.errors import RunError, SettingError
from sequela.evaluation.attribution import Attribution
from sequela.evaluation.importance import Importance
from sequela.evaluation.predictions import Predictions
from sequela.runs.folder import RunFolder
from sequela.sequences.featurisers import Table
from sequela.sources import catalog


class Inputs(Protocol):
    """The inputs of a model from a data set, in the order of the model."""

    @property
    def reads(self) -> tuple[str, ...]:
        """The names of the model's inputs."""

    @property
    def state(self) -> dict[str, NDArray[Any]]:
        """The fitted preprocessing, to be stored with the model."""

    @property
    def features(self) -> Table:
        """The table of a baseline model: float32 (example, feature)."""

    @property
    def shape(self) -> dict[str, int]:
        """The sizes for building a model."""

    @property
    def alone(self) -> Any:
        """The source of a typical example, which is counted and timed."""

    @property
    def example(self) -> tuple[Tensor, ...]:
        """The inputs of one example."""

    def loader(
        self,
        part: str,
        batch_size: int,
        generator: torch.Generator | None = None,
        training: TrainingSettings | None = None,
    ) -> DataLoader[Any]:
        """Load batches of a set.

        Args:
            part: The set, or several: ``train+tuning``.
            batch_size: Examples of a batch.
            generator: Draws their order (default: unchanged order).
            training: Settings that vary the examples from epoch to epoch.
        """

    def probabilities(self, model: nn.Module) -> NDArray[np.float32]:
        """Predict probabilities of all examples with a network: float32 (example, class)."""


class RunData(Protocol):
    """Examples in the sets of a split, as models read them and as people see them."""

    LOOKED_FOR: ClassVar[str]
    """The checks of :meth:`find_leaks`, in words."""

    @property
    def name(self) -> str:
        """The data set."""

    @property
    def origin(self) -> str:
        """The place of the data, in words."""

    @property
    def unit(self) -> Literal["recording", "session", "subject", "site"]:
        """The unit that the bootstrap draws."""

    @property
    def classes_fixed(self) -> bool:
        """``True`` if the makers of the data chose the number of units of each class."""

    @property
    def split(self) -> Split:
        """The split and its proof."""

    @property
    def part(self) -> NDArray[np.int64]:
        """int64 (example,), index into ``PARTS``."""

    @property
    def content(self) -> Content:
        """Fingerprints of the content of recordings or subjects, by hashed id."""

    @property
    def marked(self) -> NDArray[np.str_]:
        """Str (example,), the recording or subject of each example in the fingerprints."""

    @property
    def set_aside(self) -> int:
        """The number of units of the model's training or validation set in other data."""

    @property
    def renamed(self) -> int:
        """The number of recordings or subjects among them with another name."""

    @property
    def labels(self) -> NDArray[np.int64]:
        """int64 (example,), index into ``classes``."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes."""

    @property
    def groups(self) -> NDArray[np.str_]:
        """Str (example,), the unit of each example."""

    @property
    def digest(self) -> str:
        """SHA-256 of all inputs and labels."""

    @property
    def leaks(self) -> Sequence[Finding]:
        """The findings from the preparation of the data."""

    def find_leaks(self) -> list[Finding]:
        """Find leaks in the examples."""

    def rows(self, part: str) -> NDArray[np.int64]:
        """Return the indices of the examples of a set, or of several: ``train+tuning``."""

    def inputs(
        self,
        reads: tuple[str, ...],
        stored: Mapping[str, NDArray[Any]] | None = None,
        *,
        standardise: bool = True,
    ) -> Inputs:
        """Prepare the inputs of a model.

        Args:
            reads: The names of the inputs, in the model's order.
            stored: The fitted preprocessing of the model, for other data than its training data.
            standardise: Whether a network reads the features.
        """

    def predictions(self, probabilities: NDArray[np.float32]) -> Predictions:
        """Add ids, sets and labels to probabilities (example, class)."""

    def attributes(self) -> dict[str, NDArray[np.str_]]:
        """Return attributes of the people for subgroups: str (example,) by name."""

    def traces(self) -> dict[str, Any]:
        """Return a recorded example of each class to draw; empty for other data."""

    def header(self) -> dict[str, Any]:
        """Return the metadata that a model needs in addition to its tensors."""

    def describe(self) -> dict[str, Any]:
        """Describe the data for readers: the ``data`` entry of ``metrics.json``."""

    def unlike_training(self) -> dict[str, Any]:
        """Return differences of other data from the training data, by name."""

    def attribution(
        self, model: nn.Module, row: int, weights: Tensor, steps: int | None
    ) -> Attribution:
        """Attribute a number of a model for one example to its inputs."""

    def importance(self, model: nn.Module, smallest: int) -> Importance | None:
        """Rank named inputs by importance over the test set; rare inputs are only counted."""

    def describe_example(self, row: int) -> dict[str, Any]:
        """Describe an example for people: fields of :class:`sequela.runs.explain.Explained`."""


def load(settings: RunSettings, root: Path | None, work: Path) -> RunData:
    """Find, read, select and split the data of a run.

    Args:
        settings: The settings of the run.
        root: Folder or file of the data (default: the usual search path).
        work: Folder for intermediate files; existing files made from the same data are reused.

    Raises:
        SequelaError: If the data cannot be found, read or split, or a setting does not fit them.
    """
    catalog.check_split(settings.data, settings.split, settings.folds)
    data: RunData = _implementation(settings.data).load(settings, root, work)
    return data


def load_again(
    folder: RunFolder, root: Path | None, work: Path, header: Mapping[str, Any] | None = None
) -> RunData:
    """Read the data of a run again.

    Args:
        folder: The run.
        root: Folder or file of the data (default: where the run found them, else the
            usual search path).
        work: Folder for intermediate files.
        header: Header of the run's model, if that must match too.

    Raises:
        RunError: If the data differ.
        SequelaError: If they cannot be found or read.
    """
    data = load(folder.settings, root or root_of(folder), work)
    known = json.loads(json.dumps(data.header())) if header else {}
    is_the_models = all((header or {}).get(name) == value for name, value in known.items())
    if folder.json("split.json")["data_sha256"] != data.digest or not is_the_models:
        raise RunError(
            f"{folder.path} was trained on other data than those found now ({data.origin}): "
            "name the original data with --root"
        )
    return data


def root_of(folder: RunFolder) -> Path | None:
    """Return the folder or file where a run found its data, if it is still there."""
    _, _, path = folder.metrics["data"]["origin"].partition(" under ")
    places = (Path(each) for each in (path, path.rpartition(" (")[0]) if each)  # (checksums)
    return next((each for each in places if each.is_dir() or each.is_file()), None)


def load_other(
    folder: RunFolder,
    header: Mapping[str, Any],
    name: str,
    root: Path | None,
    work: Path,
    labels: Path | None = None,
) -> RunData:
    """Load other data as inputs of a run's model; all of them form the test set.

    Args:
        folder: The run; data of its training and validation set are set aside.
        header: The header of its model.
        name: A data set.
        root: Folder or file of the data (default: the usual search path).
        work: Folder for intermediate files.
        labels: Label file of the other data, for a run that was trained with a label file.

    Raises:
        SettingError: If nothing is left, or the data do not fit the model.
        SequelaError: If the data cannot be found or read.
    """
    known = folder.settings.data
    kinds = {"signal": "recordings", "records": "hospital records"}
    found, read = (kinds[catalog.lookup(each).holds] for each in (name, known))
    if found != read:
        raise SettingError(
            f"{name} holds {found}, and the model of {folder.path} reads {read}, as {known} holds: "
            "name data of that kind with --data"
        )
    implementation = _implementation(known)
    data: RunData = implementation.load_other(folder, header, name, root, work, labels)
    return data


def _implementation(name: str) -> ModuleType:
    """Return the module that reads recordings or hospital records."""
    from sequela.runs import records, signals

    return {"signal": signals, "records": records}[catalog.lookup(name).holds]
