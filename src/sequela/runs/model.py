"""A run's model, fitted or built again from ``model.safetensors`` alone."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, is_dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from sequela.config import RunSettings
from sequela.errors import RunError, SettingError
from sequela.models import stored
from sequela.models.inputs import DEFAULT_READS, HOLDS, sizes_of
from sequela.models.reference import ReferenceModel
from sequela.models.registry import Entry, ModelEntry, lookup
from sequela.runs.data import Inputs
from sequela.runs.folder import RunFolder
from sequela.sources import catalog

FILE = "model.safetensors"


def entry_for(settings: RunSettings) -> tuple[Entry, tuple[str, ...]]:
    """The model of a run, and what it reads of the run's data.

    Raises:
        UnknownNameError: If there is no such model or data set.
        SettingError: If the model cannot read such data.
    """
    kind = catalog.lookup(settings.data).holds
    entry = lookup(settings.model, kind)
    reads = entry.reads_of(kind)
    if reads is None:
        such = {"signal": "gru-improved", "records": "visits-improved"}[kind]
        raise SettingError(
            f"{settings.model} reads {' and '.join(entry.reads)}, but data set '{settings.data}' "
            f"holds {HOLDS[kind]}: choose a model that reads {DEFAULT_READS[kind][0]}, for example "
            f"{such}"
        )
    if settings.training.varies and reads != ("signal",):
        raise SettingError(
            f"--crops and --gain vary the signal, and {settings.model} reads "
            f"{' and '.join(reads)}: leave them out, or choose a model that reads the signal alone"
        )
    return entry, reads


def config_of(entry: ModelEntry, settings: RunSettings, given: Inputs) -> Any:
    """The config of a run's network, in the shape of its data.

    Raises:
        SettingError: If it has no field of a name in the run's ``model_settings``, or the data hold
            nothing of an input.
    """
    sizes = {name: given.shape[name] for name in sizes_of(given.reads)}
    if none := [name for name, size in sizes.items() if not size]:
        raise SettingError(
            f"{settings.model} reads {' and '.join(given.reads)}, but these data have none of it "
            f"({none[0]} is 0): choose other data, or a model that does not read it"
        )
    return entry.config(**{**sizes, **settings.model_settings})


def as_json(config: Any) -> dict[str, Any]:
    """A config for the header of the stored model."""
    return asdict(config) if is_dataclass(config) and not isinstance(config, type) else dict(config)


@dataclass(frozen=True)
class TrainedModel:
    """A model that was trained by a run.

    Attributes:
        name: As it was asked for.
        entry: Its entry.
        header: What stands beside the tensors.
        tensors: Its weights or arrays, and what was learnt before it (``features:NAME:KEY``...).
    """

    name: str
    entry: Entry
    header: Mapping[str, Any]
    tensors: Mapping[str, Tensor]

    @classmethod
    def of(cls, folder: RunFolder) -> "TrainedModel":
        """The model of a run.

        Raises:
            RunError: If the file is missing or damaged.
            ModelError: If the model is a class of a file that is gone.
        """
        header, tensors = stored.read(folder.path / FILE)
        entry = lookup(header["model"], catalog.lookup(folder.settings.data).holds)
        return cls(header["model"], entry, header, tensors)

    @property
    def reads(self) -> tuple[str, ...]:
        """Its inputs."""
        return tuple(self.header["reads"])

    @property
    def state(self) -> dict[str, NDArray[Any]]:
        """What was learnt before it: the arrays whose names begin with an input and a colon."""
        before = tuple(f"{read}:" for read in self.reads)
        return {k: v.numpy() for k, v in self.tensors.items() if k.startswith(before)}

    @property
    def _own(self) -> dict[str, Tensor]:
        learnt = self.state
        return {name: tensor for name, tensor in self.tensors.items() if name not in learnt}

    @property
    def is_network(self) -> bool:
        """Whether it is a network."""
        return isinstance(self.entry, ModelEntry)

    def network(self, needed_for: str) -> nn.Module:
        """The network, ready to predict.

        Raises:
            SettingError: If it is a reference model.
            RunError: If its class has changed since it was trained.
        """
        if isinstance(self.entry, ReferenceModel):
            raise SettingError(
                f"{self.name} is a reference model, and {needed_for} needs a network, for example "
                "gru-improved or visits-improved"
            )
        model = self.entry.build(self.entry.config(**self.header["config"]))
        try:
            model.load_state_dict(self._own)
        except RuntimeError as error:
            first = str(error).splitlines()[-1].strip()
            raise RunError(
                f"the class {self.name} is not the class that was trained ({first}): train it again"
            ) from error
        return model.eval()

    def probabilities(self, given: Inputs) -> NDArray[np.float32]:
        """What it says of every example: float32 (example, class)."""
        if isinstance(self.entry, ReferenceModel):
            arrays = {name: tensor.numpy() for name, tensor in self._own.items()}
            return self.entry.predict(arrays, given.features).astype(np.float32)
        return given.probabilities(self.network("a prediction"))
