"""What a run learns from and is judged on: one protocol, two implementations."""

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
    """What a model is given of a data set, in the order in which it reads it."""

    @property
    def reads(self) -> tuple[str, ...]:
        """The model's inputs."""

    @property
    def state(self) -> dict[str, NDArray[Any]]:
        """What was learnt before the model, to be stored with it."""

    @property
    def features(self) -> Table:
        """For a reference model: float32 (example, feature)."""

    @property
    def shape(self) -> dict[str, int]:
        """The sizes that a model may be built with."""

    @property
    def example(self) -> tuple[Tensor, ...]:
        """Inputs of one example."""

    def loader(
        self,
        part: str,
        batch_size: int,
        generator: torch.Generator | None = None,
        training: TrainingSettings | None = None,
    ) -> DataLoader[Any]:
        """Batches of a part.

        Args:
            part: The part, or several: ``train+tuning``.
            batch_size: Examples of a batch.
            generator: What their order is drawn from; as they are by default.
            training: How they are varied from epoch to epoch, where they are.
        """

    def probabilities(self, model: nn.Module) -> NDArray[np.float32]:
        """What a network says of every example: float32 (example, class)."""


class RunData(Protocol):
    """Examples in the parts of a split, in the forms in which models read and people see them."""

    LOOKED_FOR: ClassVar[str]
    """What :meth:`find_leaks` looks for, in words."""

    @property
    def name(self) -> str:
        """The data set."""

    @property
    def origin(self) -> str:
        """Where it was found, in words."""

    @property
    def unit(self) -> Literal["recording", "session", "subject", "site"]:
        """What the bootstrap draws whole."""

    @property
    def classes_fixed(self) -> bool:
        """Whether the makers of the data chose the number of units of each class."""

    @property
    def split(self) -> Split:
        """The parts and their proof."""

    @property
    def part(self) -> NDArray[np.int64]:
        """int64 (example,), index into ``PARTS``."""

    @property
    def content(self) -> Content:
        """Marks of what recordings or subjects hold, by their hashed ids."""

    @property
    def marked(self) -> NDArray[np.str_]:
        """Str (example,), the recording or subject of each example, whose content is marked."""

    @property
    def set_aside(self) -> int:
        """Units that a model has seen, where it is judged on other data."""

    @property
    def renamed(self) -> int:
        """Recordings or subjects among them that it has seen under another name."""

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
        """SHA-256 of all that a model reads and learns: other data give another."""

    @property
    def leaks(self) -> Sequence[Finding]:
        """What was found while the data were made ready."""

    def find_leaks(self) -> list[Finding]:
        """What can be seen in the examples themselves."""

    def rows(self, part: str) -> NDArray[np.int64]:
        """Indices of the examples of a part, or of several: ``train+tuning``."""

    def inputs(
        self,
        reads: tuple[str, ...],
        stored: Mapping[str, NDArray[Any]] | None = None,
        *,
        standardise: bool = True,
    ) -> Inputs:
        """What a model of these inputs is given.

        Args:
            reads: The inputs, in the model's order.
            stored: What was learnt with the model, if these are other data than it was trained on.
            standardise: Whether features are read by a network.
        """

    def predictions(self, probabilities: NDArray[np.float32]) -> Predictions:
        """Probabilities (example, class) with what is needed to judge them."""

    def attributes(self) -> dict[str, NDArray[np.str_]]:
        """Who the examples are, for judging a model group by group: str (example,) by name."""

    def traces(self) -> dict[str, Any]:
        """A recorded example of each class to look at; empty where nothing was recorded so."""

    def header(self) -> dict[str, Any]:
        """What a model needs in addition to its tensors."""

    def describe(self) -> dict[str, Any]:
        """What a reader must know of the data: the ``data`` entry of ``metrics.json``."""

    def unlike_training(self) -> dict[str, Any]:
        """In what other data differ from those that a model was trained on, by name."""

    def attribution(
        self, model: nn.Module, row: int, weights: Tensor, steps: int | None
    ) -> Attribution:
        """What moved a number of a model, of one example."""

    def importance(self, model: nn.Module, smallest: int) -> Importance | None:
        """What moves a model most over the held-out part, where examples have parts with names.

        Args:
            model: The model.
            smallest: Parts that fewer subjects have are counted, not named.
        """

    def describe_example(self, row: int) -> dict[str, Any]:
        """An example for people: fields of :class:`sequela.runs.explain.Explained`."""


def load(settings: RunSettings, root: Path | None, work: Path) -> RunData:
    """Find, read, select and split the data of a run.

    Args:
        settings: Of the run.
        root: Where the data lie; the usual search path by default.
        work: Folder for what is made of tables on the way; what it holds already is used again if
            it was made from the same.

    Raises:
        SequelaError: If the data cannot be found, read or split, or a setting does not fit them.
    """
    catalog.check_split(settings.data, settings.split, settings.folds)
    data: RunData = _implementation(settings.data).load(settings, root, work)
    return data


def load_again(
    folder: RunFolder, root: Path | None, work: Path, header: Mapping[str, Any] | None = None
) -> RunData:
    """The data that a run was made of, read again.

    Args:
        folder: The run.
        root: Their folder or file (default: where the run found them, else the usual places).
        work: Folder for what is made of tables on the way.
        header: Of the run's model, where that must fit them too.

    Raises:
        RunError: If the data found are others.
        SequelaError: If they cannot be found or read.
    """
    data = load(folder.settings, root or root_of(folder), work)
    known = json.loads(json.dumps(data.header())) if header else {}
    is_the_models = all((header or {}).get(name) == value for name, value in known.items())
    if folder.json("split.json")["data_sha256"] != data.digest or not is_the_models:
        raise RunError(
            f"{folder.path} was trained on other data than the data found now ({data.origin}): "
            "name the same data with --root"
        )
    return data


def root_of(folder: RunFolder) -> Path | None:
    """Return the folder or file where a run found its data, if it is still there."""
    _, under, path = folder.metrics["data"]["origin"].partition(" under ")
    root = Path(path)
    return root if under and (root.is_dir() or root.is_file()) else None


def load_other(
    folder: RunFolder,
    header: Mapping[str, Any],
    name: str,
    root: Path | None,
    work: Path,
    labels: Path | None = None,
) -> RunData:
    """Other data as a run's model reads them; all of it is held out.

    Args:
        folder: The run; what its model was trained or tuned on is set aside.
        header: Of its model.
        name: A data set.
        root: Where it lies; the usual search path by default.
        work: Folder for what is made of tables on the way.
        labels: Times and labels of the other data, for a run that learnt those of a file.

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
    """Recordings and hospital records are read by different rules, each in a file of its own."""
    from sequela.runs import records, signals

    return {"signal": signals, "records": records}[catalog.lookup(name).holds]
