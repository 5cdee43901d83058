"""The model of a run, from ``model.safetensors``: a network, a baseline model, or a mean of models.

All are predictors: they have named inputs, and probabilities for arrays of these. So has the file
of an exported model (:class:`sequela.serving.served_model.OnnxModel`).
"""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from sequela.config import RunSettings
from sequela.datasets import catalog
from sequela.datasets.catalog import Modality
from sequela.errors import ModelError, RunError, SettingError
from sequela.models import stored
from sequela.models.inputs import DEFAULT_READS, sizes_of
from sequela.models.reference import REFERENCE_MODELS, Arrays, ReferenceModel, loaded, predicted
from sequela.models.registry import ENSEMBLE, UPDATED, Entry, ModelEntry, lookup, title_of
from sequela.runs.folder import RunFolder
from sequela.sequences.featurisers import Features, Table

if TYPE_CHECKING:
    from torch import nn

    from sequela.evaluation.recalibration import LogitScaling
    from sequela.runs import data as runs_data
    from sequela.runs.data import Inputs

Shape = tuple[int | str, ...]
"""The sizes of an array; a size that varies has a name: ``batch``, ``time``..."""
FILE = "model.safetensors"
Pooling = Literal["arithmetic", "geometric"]
# Keys of a header on the model itself; all others describe the data, the same for all members.
_OF_MODEL = ("model", "reads", "config", "mean", "members", "logits")
_OF_RUNS = (ENSEMBLE, UPDATED)
"""The models that are made of finished runs."""
LEAST = 1e-7
"""Probability below which a geometric mean takes it as this."""
MEMORY_FACTOR = 4
"""Memory that building a network may take, as a multiple of the bytes of its weights."""
MEMORY_MARGIN = 64_000_000
"""Bytes that it may take in addition."""


def entry_for(settings: RunSettings) -> tuple[Entry, tuple[str, ...]]:
    """Look up the model of a run, and its inputs from the run's data, or raise a SequelaError."""
    kind = catalog.lookup(settings.data).modality
    entry = lookup(settings.model, kind)
    reads = entry.reads_of(kind)
    if reads is None:
        examples = {Modality.EEG: "gru-improved", Modality.RECORDS: "visits-improved"}
        raise SettingError(
            f"{settings.model} reads {' and '.join(entry.reads)}, but data set '{settings.data}' "
            f"has {kind.words}: choose a model that reads {DEFAULT_READS[kind][0]}, for example "
            f"{examples[kind]}"
        )
    # Features are computed before an epoch, and would not follow segments that are cut anew.
    robust = settings.signals and settings.signals.standardise  # per recording, before the features
    if (settings.training.varies or robust) and reads != ("signal",):
        raise SettingError(
            f"--crops, --gain and --standardise change the signal, but {settings.model} reads "
            f"{' and '.join(reads)}: leave them out, or choose a model that reads the signal alone"
        )
    if settings.training.distil and "features:summaries" not in reads:
        raise SettingError(
            f"--distil is for networks that read features:summaries, but {settings.model} reads "
            f"{' and '.join(reads)}: leave it out, or choose values-lstm"
        )
    return entry, reads


def config_of(entry: ModelEntry, settings: RunSettings, inputs: "Inputs") -> object:
    """Make the config of a run's network, for the shape of its data, or raise a SettingError."""
    sizes = {name: inputs.shape[name] for name in sizes_of(inputs.reads)}
    if missing := [name for name, size in sizes.items() if not size]:
        raise SettingError(
            f"{settings.model} reads {' and '.join(inputs.reads)}, but these data have none "
            f"({missing[0]} is 0): choose other data, or a model with other inputs"
        )
    return entry.config(**{**sizes, **settings.model_settings})


def as_json(config: object) -> dict[str, object]:
    """Return a config for the header of the stored model."""
    if is_dataclass(config) and not isinstance(config, type):
        return asdict(config)
    return dict(cast("Mapping[str, object]", config))


class Predictor(Protocol):
    """A model that predicts probabilities from arrays of its inputs."""

    @property
    def shapes(self) -> Mapping[str, Shape]:
        """The inputs by name, each with fixed sizes and names of variable sizes."""

    def prepare(self) -> None:
        """Load what predictions need, which takes time and memory, before the first of them."""

    def probabilities(self, inputs: Arrays) -> NDArray[np.float32]:
        """Predict from arrays of the inputs, not scaled and padded: float32 (example, class)."""


@dataclass(frozen=True)
class SingleModel(ABC):
    """A network or a baseline model with its fitted preprocessing; tensors of numpy or torch."""

    header: stored.Header
    tensors: Mapping[str, stored.Stored]

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle header and tensors, as an entry of the registry cannot be pickled."""
        return type(self), (self.header, self.tensors)

    @property
    def name(self) -> str:
        """The name in the registry, or the place of a class."""
        return str(self.header["model"])

    @property
    def reads(self) -> tuple[str, ...]:
        """The names of its inputs."""
        return tuple(self.header["reads"])

    @property
    def leaves(self) -> "list[NetworkModel | BaselineModel]":
        """The model, as the only one of a mean."""
        assert isinstance(self, NetworkModel | BaselineModel)  # noqa: S101 - there are no others
        return [self]

    @cached_property
    def state(self) -> Arrays:
        """The fitted preprocessing: arrays whose names begin with an input and a colon."""
        prefixes = tuple(f"{read}:" for read in self.reads)  # such as ``features:spectrum:mean``
        return {k: np.asarray(v) for k, v in self.tensors.items() if k.startswith(prefixes)}

    @property
    def learnt(self) -> stored.Tensors:
        """The tensors of the model without its preprocessing."""
        return {name: tensor for name, tensor in self.tensors.items() if name not in self.state}

    @abstractmethod
    def of_inputs(self, inputs: "Inputs") -> NDArray[np.float32]:
        """Predict for all examples from prepared inputs: float32 (example, class)."""

    def probabilities_of(self, data: "runs_data.Examples") -> NDArray[np.float32]:
        """Predict for all examples of any data: float32 (example, class)."""
        standardise = isinstance(self, NetworkModel)
        return self.of_inputs(data.inputs(self.reads, self.state, standardise=standardise))


class NetworkModel(SingleModel):
    """A trained network."""

    @cached_property
    def shapes(self) -> dict[str, Shape]:
        """The inputs by name, each with fixed sizes and names of variable sizes."""
        header, shapes = self.header, dict[str, Shape]()
        if "n_times" in header:
            times = "time" if self.any_length else header["n_times"]
            shapes["signal"] = ("batch", header["n_chans"], times)
        for read in self.reads:
            size = header["config"].get(sizes_of((read,))[0])
            steps = {"codes": ("visit", "place"), "gaps": ("visit",), "values": ("visit", size)}
            if "signal" not in shapes:
                shapes[read] = ("batch", *steps.get(read, (size,)))
        if self.takes_lengths:
            shapes["lengths"] = ("batch",)
        return shapes

    @cached_property
    def entry(self) -> ModelEntry:
        """The entry of the registry."""
        entry = lookup(self.name)
        assert isinstance(entry, ModelEntry)  # noqa: S101 - a baseline model is another class
        return entry

    @property
    def of_package(self) -> bool:
        """True for a class of the package: others are traced only if that is compared."""
        return str(type(self.module()).forward.__module__).startswith("sequela.models.")

    @property
    def any_length(self) -> bool:
        """``True`` for a network on a signal that takes segments of any length."""
        return self.entry.recurrent and "n_times" in self.header

    @property
    def takes_lengths(self) -> bool:
        """``True`` for a network that takes the number of samples or visits of each example."""
        return self.any_length or "n_times" not in self.header

    def module(self) -> "nn.Module":
        """Build the network, ready to predict."""
        import torch

        from sequela.models.loading import bounded

        weights = {name: torch.as_tensor(tensor) for name, tensor in self.learnt.items()}
        # A stranger's header may name huge sizes: the file's own weights limit the memory.
        size = sum(tensor.nbytes for tensor in weights.values())
        try:
            with bounded(self.name, MEMORY_FACTOR * size + MEMORY_MARGIN):
                module = self.entry.build(self.entry.config(**self.header["config"]))
        except ModelError as error:
            raise RunError(f"{FILE} has {size:,} bytes of weights, but {error}") from error
        try:
            module.load_state_dict(weights)
        except RuntimeError as error:
            reason = str(error).splitlines()[-1].strip()
            raise RunError(
                f"the class {self.name} has changed since it was trained ({reason}): train it again"
            ) from error
        return module.eval()

    def of_inputs(self, inputs: "Inputs") -> NDArray[np.float32]:
        """Predict for all examples from prepared inputs: float32 (example, class)."""
        return inputs.probabilities(self.module())

    def padded(self, names: Sequence[str]) -> "nn.Module":
        """Return a module from padded inputs, by these names, to probabilities."""
        from sequela.runs.padded import Padded

        lengths = self.takes_lengths
        return Padded(self.module(), self.header, self.state, names, takes_lengths=lengths)

    @cached_property
    def _padded(self) -> "nn.Module":
        return self.padded(tuple(self.shapes))

    def prepare(self) -> None:
        """Build the network."""
        _ = self._padded

    def probabilities(self, inputs: Arrays) -> NDArray[np.float32]:
        """Predict from arrays of the inputs, not scaled and padded: float32 (example, class)."""
        import torch

        with torch.inference_mode():
            tensors = [torch.tensor(inputs[name]) for name in self.shapes]
            probabilities: NDArray[np.float32] = self._padded(*tensors).numpy()
        return probabilities


class BaselineModel(SingleModel):
    """A fitted baseline model."""

    any_length = False

    @cached_property
    def entry(self) -> ReferenceModel:
        """The entry of the registry."""
        return REFERENCE_MODELS[self.name]

    @property
    def arrays(self) -> Arrays:
        """The arrays that the model predicts from."""
        return {name: np.asarray(tensor) for name, tensor in self.learnt.items()}

    @cached_property
    def shapes(self) -> dict[str, Shape]:
        """The input by name: a signal, codes, or a table of features."""
        (read,), header, arrays = self.reads, self.header, self.arrays
        if "n_times" in header:
            return {"signal": ("batch", header["n_chans"], header["n_times"])}
        if read == "codes":
            return {read: ("batch", "visit", "place")}
        if "weight" in arrays:
            columns = int(arrays["weight"].shape[1])
        else:
            columns = int(loaded(arrays["skops"].tobytes()).n_features_in_)
        if "intervals" in arrays:  # a column for each interval is added to the features
            columns -= int(arrays["intervals"][0])
        return {read: ("batch", columns)}

    def prepare(self) -> None:
        """Import the library of the model: a second."""
        import sklearn.linear_model  # noqa: F401

    def _of_table(self, table: Table) -> NDArray[np.float32]:
        return predicted(self.entry, self.arrays, table).astype(np.float32)

    def of_inputs(self, inputs: "Inputs") -> NDArray[np.float32]:
        """Predict for all examples from prepared inputs: float32 (example, class)."""
        return self._of_table(inputs.features)

    def probabilities(self, inputs: Arrays) -> NDArray[np.float32]:
        """Predict from arrays of the inputs, not scaled and padded: float32 (example, class)."""
        (read,), rows = self.reads, np.arange(len(next(iter(inputs.values()))))
        if read in ("signal", "codes"):  # which such a model ignores
            return self._of_table(np.empty((len(rows), 0), np.float32))
        if "signal" not in inputs:
            return self._of_table(inputs[read])
        source = SimpleNamespace(signal=inputs["signal"], sfreq=self.header["sfreq"])
        features = Features.of(self.reads, source, rows, self.state, standardise=False)
        assert features is not None  # noqa: S101 - the model reads some
        return self._of_table(features.table)


@dataclass(frozen=True)
class MeanModel:
    """An ensemble: the mean of its members; or an update: its one member, whose logits are scaled.

    The header has the arguments of :class:`sequela.evaluation.recalibration.LogitScaling`.
    """

    header: stored.Header
    members: "tuple[TrainedModel, ...]"

    @property
    def pooling(self) -> Pooling:
        """The kind of the mean."""
        return cast("Pooling", self.header["mean"])

    @property
    def scaling(self) -> "LogitScaling | None":
        """The change of the logits of an update."""
        from sequela.evaluation.recalibration import LogitScaling  # ensembles do without

        numbers = self.header.get("logits") or {}
        return LogitScaling(**{n: tuple(v) for n, v in numbers.items()}) if numbers else None

    def _pooled(self, probabilities: list[NDArray[np.float32]]) -> NDArray[np.float32]:
        pooled, scaling = averaged(probabilities, self.pooling), self.scaling
        return scaling.scaled(pooled.astype(np.float64)).astype(np.float32) if scaling else pooled

    @property
    def leaves(self) -> list[NetworkModel | BaselineModel]:
        """The networks and baseline models of all members."""
        return [*chain.from_iterable(member.leaves for member in self.members)]

    @cached_property
    def shapes(self) -> dict[str, Shape]:
        """The inputs of the members; a size is fixed if any of them needs a fixed size."""
        shapes: dict[str, Shape] = {}
        for name, shape in chain.from_iterable(m.shapes.items() for m in self.members):
            before = shapes.get(name, shape)  # of the members so far
            sizes = list(zip(before, shape, strict=True))
            if any(isinstance(a, int) and isinstance(b, int) and a != b for a, b in sizes):
                raise ModelError(
                    f"the models read {name} in two shapes, {before} and {shape}: use each alone"
                )
            # A member that takes any length takes the fixed length of another one.
            shapes[name] = tuple(a if isinstance(a, int) else b for a, b in sizes)
        return shapes

    def padded(self, names: Sequence[str]) -> "nn.Module":
        """Return a module from padded inputs, by these names, to probabilities."""
        from sequela.runs.padded import PaddedMean

        networks = []
        for member in self.members:
            assert not isinstance(member, BaselineModel)  # noqa: S101 - export refuses these
            networks.append(member.padded(names))
        return PaddedMean(networks, LEAST if self.pooling == "geometric" else None, self.scaling)

    def probabilities_of(self, data: "runs_data.Examples") -> NDArray[np.float32]:
        """Predict for all examples of any data: float32 (example, class)."""
        return self._pooled([member.probabilities_of(data) for member in self.members])

    def prepare(self) -> None:
        """Prepare all members."""
        for member in self.members:
            member.prepare()

    def probabilities(self, inputs: Arrays) -> NDArray[np.float32]:
        """Predict from arrays of the inputs, not scaled and padded: float32 (example, class)."""
        return self._pooled([member.probabilities(inputs) for member in self.members])


TrainedModel: TypeAlias = NetworkModel | BaselineModel | MeanModel
"""The model of a run."""


def open_model(folder: RunFolder, *, trust_code: bool = False) -> TrainedModel:
    """Open the model of a run."""
    folder.require_complete()
    header, tensors = stored.read(folder.path / FILE)
    if header.get("model") != folder.settings.model:
        raise RunError(
            f"{folder.path / FILE}: has the model {header.get('model')!r}, but the run has "
            f"{folder.settings.model!r}: train it again"
        )
    for name in _names_in(header):
        refuse_code(folder.path, name, trusted=trust_code)
    return model_of(header, tensors)


def open_network(folder: RunFolder, needed_for: str, *, trust_code: bool = False) -> NetworkModel:
    """Open the network of a run; any other model raises a SettingError."""
    model = open_model(folder, trust_code=trust_code)
    if isinstance(model, MeanModel):
        updated = folder.settings.model == UPDATED
        what = "an update of" if updated else f"an ensemble of {len(model.members)} models,"
        names = ", ".join(member.run for member in members_of(folder.settings))
        raise SettingError(
            f"{folder.path} is {what} {names}, but a trained model is needed here: name its run"
        )
    if isinstance(model, BaselineModel):
        raise SettingError(
            f"{model.name} is a baseline model, but {needed_for} needs a network, for example "
            "gru-improved or visits-improved"
        )
    return model


def refuse_code(where: Path, model: str, *, trusted: bool) -> None:
    """Make sure that the model of a run is not code, unless the user trusts it."""
    if ":" in model and not trusted:
        raise RunError(
            f"{where}: its model is the class {model}, which would run code: review it, and if "
            "you trust it and the run, add --trust-code"
        )


def _names_in(header: stored.Header) -> Iterator[str]:
    yield str(header["model"])
    for member in header.get("members", ()):
        yield from _names_in(member)


def model_of(header: stored.Header, tensors: Mapping[str, stored.Stored]) -> TrainedModel:
    """Return the model of the content of a file."""
    name = header["model"]
    if name not in _OF_RUNS:
        network = isinstance(lookup(name), ModelEntry)
        return NetworkModel(header, tensors) if network else BaselineModel(header, tensors)
    # What describes the data is written once, for all members.
    of_data = {key: value for key, value in header.items() if key not in _OF_MODEL}
    members = []
    for number, part in enumerate(header["members"]):
        prefix = f"{number}/"
        theirs = {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
        members.append(model_of({**of_data, **part}, theirs))
    return MeanModel(header, tuple(members))


def in_one_file(
    folders: Sequence[RunFolder], pooling: Pooling
) -> tuple[stored.Tensors, dict[str, object]]:
    """Combine the models of several runs on the same data into tensors and header of one file."""
    tensors: stored.Tensors = {}
    members, of_data = [], []
    for number, folder in enumerate(folders):
        header, theirs = stored.read(folder.path / FILE)
        tensors |= {f"{number}/{name}": tensor for name, tensor in theirs.items()}
        members.append({key: header[key] for key in _OF_MODEL if key in header})
        of_data.append({key: value for key, value in header.items() if key not in _OF_MODEL})
        if of_data[-1] != of_data[0]:
            raise RunError(
                f"{folder.path / FILE}: was trained on other data than {folders[0].path / FILE}"
            )
    return tensors, {**of_data[0], "model": ENSEMBLE, "mean": pooling, "members": members}


def averaged(probabilities: Sequence[NDArray[np.float32]], pooling: Pooling) -> NDArray[np.float32]:
    """Average probabilities (example, class) of several models (Genest & Zidek 1986).

    ``arithmetic`` is the linear pool; ``geometric`` the logarithmic pool, scaled to sum to 1, which
    takes a probability below 1e-7 as 1e-7, so that no single model has a veto.

    Example:
        >>> sure, unsure = np.array([[0.9, 0.1]], np.float32), np.array([[0.5, 0.5]], np.float32)
        >>> averaged([sure, unsure], "arithmetic").round(3).tolist()
        [[0.699999988079071, 0.30000001192092896]]
        >>> averaged([sure, unsure], "geometric").round(3).tolist()
        [[0.75, 0.25]]
    """
    stack = np.stack(probabilities).astype(np.float64)  # (model, example, class)
    if pooling == "geometric":
        # A geometric mean is the softmax of mean logs; it is the pool that updates by Bayes' rule
        # as its members do (Genest & Zidek 1986).
        stack = np.log(np.maximum(stack, LEAST))
        pooled = np.exp(stack.mean(0))  # (example, class)
    else:
        pooled = stack.mean(0)
    return np.asarray((pooled / pooled.sum(1, keepdims=True)).astype(np.float32))


@dataclass(frozen=True)
class Member:
    """A model of an ensemble, as the ensemble's ``config.toml`` names it."""

    run: str
    sha256: str
    settings: dict[str, object]

    @classmethod
    def of(cls, folder: RunFolder, run: str) -> "Member":
        """Describe the model of a run, or of one fold."""
        digest = hashlib.sha256((folder.path / FILE).read_bytes()).hexdigest()
        return cls(run, digest, folder.settings.model_dump(mode="json", exclude_none=True))

    @property
    def run_settings(self) -> RunSettings:
        """The settings of the member's run."""
        return RunSettings.of(**self.settings)


def members_of(settings: RunSettings) -> list[Member]:
    """Return the members of an ensemble, or the parent of an update; empty for any other run."""
    if settings.model not in _OF_RUNS:
        return []
    return [Member(**member) for member in settings.model_settings.get("members", ())]


def has_network(settings: RunSettings) -> bool:
    """Return whether the model of a run is a network, or an ensemble with one."""
    members = members_of(settings)
    if members:
        return any(has_network(member.run_settings) for member in members)
    return settings.model not in REFERENCE_MODELS


def title(settings: RunSettings) -> str:
    """Return the title of the model of a run; for an ensemble, with its members.

    Example:
        >>> title(RunSettings(model="boosting", data="eicu"))
        'Boosting'
    """
    titles = [title(member.run_settings) for member in members_of(settings)]
    if not titles:
        return title_of(settings.model)
    if settings.model == UPDATED:
        return f"{titles[0]}, updated ({settings.model_settings['level']})"
    counted = []
    for name in dict.fromkeys(titles):
        count = titles.count(name)
        counted.append(name if count == 1 else f"{name} ({count} times)")  # seeds of one model
    return f"Ensemble of {' and '.join(filter(None, (', '.join(counted[:-1]), counted[-1])))}"
