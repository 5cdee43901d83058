"""The model of a run, built from ``model.safetensors``."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from sequela.config import RunSettings
from sequela.datasets import catalog
from sequela.errors import ModelError, RunError, SettingError
from sequela.models import stored
from sequela.models.inputs import DEFAULT_READS, HOLDS, sizes_of
from sequela.models.reference import ReferenceModel, loaded, predicted
from sequela.models.registry import ENSEMBLE, Entry, ModelEntry, lookup
from sequela.runs.inside import refuse_code

if TYPE_CHECKING:
    from torch import nn

    from sequela.runs import data as runs_data
    from sequela.runs.folder import RunFolder
    from sequela.runs.records import VisitInputs
    from sequela.runs.signals import SignalInputs

Shape = tuple[int | str, ...]
Inputs: TypeAlias = "SignalInputs | VisitInputs"
FILE = "model.safetensors"
Mean = Literal["arithmetic", "geometric"]
_OWN = ("model", "reads", "config", "mean", "members")
"""Keys of a header on the model itself; all others describe the data, the same for all members."""

_LEAST = 1e-7
TIMES_HELD = 4
"""Memory that building a network may take, as a multiple of the bytes of its weights."""
BESIDE = 64_000_000
"""Bytes that it may take in addition."""


def entry_for(settings: RunSettings) -> tuple[Entry, tuple[str, ...]]:
    """Look up the model of a run, and its inputs from the run's data, or raise a SequelaError."""
    kind = catalog.lookup(settings.data).holds
    entry = lookup(settings.model, kind)
    reads = entry.reads_of(kind)
    if reads is None:
        such = {"signal": "gru-improved", "records": "visits-improved"}[kind]
        raise SettingError(
            f"{settings.model} reads {' and '.join(entry.reads)}, but data set '{settings.data}' "
            f"has {HOLDS[kind]}: choose a model that reads {DEFAULT_READS[kind][0]}, for example "
            f"{such}"
        )
    robust = settings.signals and settings.signals.standardise
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


def config_of(entry: ModelEntry, settings: RunSettings, given: Inputs) -> Any:
    """Make the config of a run's network, for the shape of its data, or raise a SettingError."""
    sizes = {name: given.shape[name] for name in sizes_of(given.reads)}
    if none := [name for name, size in sizes.items() if not size]:
        raise SettingError(
            f"{settings.model} reads {' and '.join(given.reads)}, but these data have none "
            f"({none[0]} is 0): choose other data, or a model with other inputs"
        )
    return entry.config(**{**sizes, **settings.model_settings})


def as_json(config: Any) -> dict[str, object]:
    """Return a config for the header of the stored model."""
    return asdict(config) if is_dataclass(config) and not isinstance(config, type) else dict(config)


@dataclass(frozen=True)
class TrainedModel:
    """The trained model of a run; its tensors, of numpy or torch, include the preprocessing."""

    name: str
    entry: Entry
    header: Mapping[str, Any]
    tensors: Mapping[str, Any]

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle header and tensors, as an entry of the registry cannot be pickled."""
        return _trained, (self.header, self.tensors)

    @classmethod
    def of(cls, folder: "RunFolder", *, trust_code: bool = False) -> "TrainedModel":
        """Open the model of a run."""
        found = trained(folder, trust_code=trust_code)
        if isinstance(found, TrainedEnsemble):
            raise SettingError(
                f"{folder.path} is an ensemble of {len(found.members)} models, but one model is "
                "needed here: name the run of one of them"
            )
        return found

    @property
    def reads(self) -> tuple[str, ...]:
        """The names of its inputs."""
        return tuple(self.header["reads"])

    @property
    def state(self) -> dict[str, NDArray[Any]]:
        """The fitted preprocessing: arrays whose names begin with an input and a colon."""
        before = tuple(f"{read}:" for read in self.reads)
        return {k: np.asarray(v) for k, v in self.tensors.items() if k.startswith(before)}

    @property
    def _own(self) -> stored.Tensors:
        learnt = self.state
        return {name: tensor for name, tensor in self.tensors.items() if name not in learnt}

    @property
    def arrays(self) -> dict[str, NDArray[Any]]:
        """The arrays that a reference model predicts from."""
        return {name: np.asarray(tensor) for name, tensor in self._own.items()}

    @property
    def is_network(self) -> bool:
        """``True`` for a network."""
        return isinstance(self.entry, ModelEntry)

    @property
    def leaves(self) -> list["TrainedModel"]:
        """The model, as the only one of an ensemble."""
        return [self]

    @property
    def any_length(self) -> bool:
        """``True`` for a network on a signal that takes segments of any length."""
        recurrent = isinstance(self.entry, ModelEntry) and self.entry.recurrent
        return recurrent and "n_times" in self.header

    @property
    def takes_lengths(self) -> bool:
        """``True`` for a network that takes the number of samples or visits of each example."""
        return self.any_length or (self.is_network and "n_times" not in self.header)

    def shapes(self) -> Iterator[tuple[str, Shape]]:
        """Yield its inputs, each with fixed sizes and names of variable sizes."""
        header = self.header
        if "n_times" in header:
            times = "time" if self.any_length else header["n_times"]
            yield "signal", ("batch", header["n_chans"], times)
        for read in self.reads:
            if read == "codes":
                yield read, ("batch", "visit", "place")
            elif read == "gaps":
                yield read, ("batch", "visit")
            elif read == "values":
                yield read, ("batch", "visit", header["config"]["n_channels"])
            elif "n_times" not in header:
                yield read, ("batch", self._columns)
        if self.takes_lengths:
            yield "lengths", ("batch",)

    @property
    def _columns(self) -> int:
        """The number of columns of a table of features."""
        if self.is_network:
            return int(self.header["config"]["n_features"])
        added = int(self.arrays["intervals"][0]) if "intervals" in self.arrays else 0
        if "weight" in self.arrays:
            return int(self.arrays["weight"].shape[1]) - added
        return int(loaded(self.arrays["skops"].tobytes()).n_features_in_) - added

    def network(self, needed_for: str) -> "nn.Module":
        """Build the network, ready to predict."""
        if isinstance(self.entry, ReferenceModel):
            raise SettingError(
                f"{self.name} is a baseline model, but {needed_for} needs a network, for example "
                "gru-improved or visits-improved"
            )
        import torch

        from sequela.models.bounded import bounded

        own = {name: torch.as_tensor(tensor) for name, tensor in self._own.items()}
        held = sum(tensor.nbytes for tensor in own.values())
        try:
            with bounded(self.name, TIMES_HELD * held + BESIDE):
                model = self.entry.build(self.entry.config(**self.header["config"]))
        except ModelError as error:
            raise RunError(f"{FILE} has {held:,} bytes of weights, but {error}") from error
        try:
            model.load_state_dict(own)
        except RuntimeError as error:
            first = str(error).splitlines()[-1].strip()
            raise RunError(
                f"the class {self.name} has changed since it was trained ({first}): train it again"
            ) from error
        return model.eval()

    def probabilities(self, given: Inputs) -> NDArray[np.float32]:
        """Predict for all examples: float32 (example, class)."""
        if isinstance(self.entry, ReferenceModel):
            return predicted(self.entry, self.arrays, given.features).astype(np.float32)
        return given.probabilities(self.network("a prediction"))

    def probabilities_of(self, data: "runs_data.Examples") -> NDArray[np.float32]:
        """Predict for all examples of any data: float32 (example, class)."""
        return self.probabilities(data.inputs(self.reads, self.state, standardise=self.is_network))


@dataclass(frozen=True)
class TrainedEnsemble:
    """Models whose probabilities are averaged."""

    header: Mapping[str, Any]
    members: "tuple[TrainedModel | TrainedEnsemble, ...]"

    @property
    def leaves(self) -> list[TrainedModel]:
        """The models of all members."""
        return [leaf for member in self.members for leaf in member.leaves]

    def probabilities_of(self, data: "runs_data.Examples") -> NDArray[np.float32]:
        """Predict for all examples of any data: float32 (example, class)."""
        return averaged([each.probabilities_of(data) for each in self.members], self.header["mean"])


def shapes_of(model: TrainedModel | TrainedEnsemble) -> dict[str, Shape]:
    """Return the inputs of a model; a size is fixed if any member needs a fixed size."""
    shapes: dict[str, Shape] = {}
    for name, shape in (pair for leaf in model.leaves for pair in leaf.shapes()):
        known = shapes.get(name, shape)
        both = list(zip(known, shape, strict=True))
        if any(isinstance(a, int) and isinstance(b, int) and a != b for a, b in both):
            raise ModelError(
                f"the models read {name} in two shapes, {known} and {shape}: use each alone"
            )
        shapes[name] = tuple(a if isinstance(a, int) else b for a, b in both)
    return shapes


def trained(folder: "RunFolder", *, trust_code: bool = False) -> TrainedModel | TrainedEnsemble:
    """Open the model of a run, or the models of an ensemble."""
    folder.require_complete()
    header, tensors = stored.read(folder.path / FILE)
    if header.get("model") != folder.settings.model:
        raise RunError(
            f"{folder.path / FILE}: has the model {header.get('model')!r}, but the run has "
            f"{folder.settings.model!r}: train it again"
        )
    for name in _names_in(header):
        refuse_code(folder.path, name, trusted=trust_code)
    return _trained(header, tensors)


def _names_in(header: Mapping[str, Any]) -> Iterator[str]:
    yield str(header["model"])
    for member in header.get("members", ()):
        yield from _names_in(member)


def _trained(
    header: Mapping[str, Any], tensors: Mapping[str, Any]
) -> TrainedModel | TrainedEnsemble:
    name = header["model"]
    if name != ENSEMBLE:
        return TrainedModel(name, lookup(name), header, tensors)
    of_data = {key: value for key, value in header.items() if key not in _OWN}
    members = []
    for number, own in enumerate(header["members"]):
        before = f"{number}/"
        theirs = {n.removeprefix(before): t for n, t in tensors.items() if n.startswith(before)}
        members.append(_trained({**of_data, **own}, theirs))
    return TrainedEnsemble(header, tuple(members))


def in_one_file(
    folders: "Sequence[RunFolder]", mean: Mean
) -> tuple[stored.Tensors, dict[str, object]]:
    """Combine the models of several runs on the same data into tensors and header of one file."""
    tensors: stored.Tensors = {}
    members, of_data = [], []
    for number, folder in enumerate(folders):
        header, theirs = stored.read(folder.path / FILE)
        tensors |= {f"{number}/{name}": tensor for name, tensor in theirs.items()}
        members.append({key: header[key] for key in _OWN if key in header})
        of_data.append({key: value for key, value in header.items() if key not in _OWN})
        if of_data[-1] != of_data[0]:
            raise RunError(
                f"{folder.path / FILE}: was trained on other data than {folders[0].path / FILE}"
            )
    return tensors, {**of_data[0], "model": ENSEMBLE, "mean": mean, "members": members}


def averaged(said: Sequence[NDArray[np.float32]], mean: Mean) -> NDArray[np.float32]:
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
    stack = np.stack(said).astype(np.float64)  # (model, example, class)
    if mean == "geometric":
        stack = np.log(np.maximum(stack, _LEAST))
        pooled = np.exp(stack.mean(0))
    else:
        pooled = stack.mean(0)
    return np.asarray((pooled / pooled.sum(1, keepdims=True)).astype(np.float32))
