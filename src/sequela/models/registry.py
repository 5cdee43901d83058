"""Which models exist: name -> module and config.

A new model is one file with an ``nn.Module`` whose ``__init__`` takes a frozen config, and one
entry here. Classes are named by where they stand, so that looking a name up loads no torch.
"""

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

from sequela.errors import SettingError, unknown_name

if TYPE_CHECKING:
    from torch import nn

Reads = Literal["signal", "visits"]


@dataclass(frozen=True)
class ModelEntry:
    """A registered model.

    Attributes:
        reads: What a batch holds: segments of a signal, or sequences of visits.
        module: The file under ``sequela.models``.
        class_name: The ``nn.Module``; its config is ``<class_name>Config`` in the same file.
        title: What a table or figure calls it.
    """

    reads: Reads
    module: str
    class_name: str
    title: str

    def config(self, **changes: Any) -> Any:
        """The model's frozen config, its defaults changed where asked.

        Raises:
            SettingError: If the config has no field of a given name.
        """
        config_class = getattr(import_module(self.module), f"{self.class_name}Config")
        try:
            return config_class(**changes)
        except TypeError as error:
            raise SettingError(
                f"{self.class_name}Config does not take these settings: {error}"
            ) from error

    def build(self, config: Any = None) -> "nn.Module":
        """A freshly initialised model; the weights are drawn from torch's global generator."""
        model: nn.Module = getattr(import_module(self.module), self.class_name)(
            self.config() if config is None else config
        )
        return model


MODELS: dict[str, ModelEntry] = {
    "mlp-baseline": ModelEntry("signal", "sequela.models.mlp", "MLPBaseline", "MLP baseline"),
    "mlp-improved": ModelEntry("signal", "sequela.models.mlp", "MLPImproved", "MLP improved"),
    "cnn-baseline": ModelEntry("signal", "sequela.models.cnn", "CNNBaseline", "CNN baseline"),
    "cnn-improved": ModelEntry("signal", "sequela.models.cnn", "CNNImproved", "CNN improved"),
    "gru-baseline": ModelEntry("signal", "sequela.models.gru", "GRUBaseline", "GRU baseline"),
    "gru-improved": ModelEntry("signal", "sequela.models.gru", "GRUImproved", "GRU improved"),
    "visits-baseline": ModelEntry(
        "visits", "sequela.models.visits", "VisitsBaseline", "Visits baseline"
    ),
    "visits-improved": ModelEntry(
        "visits", "sequela.models.visits", "VisitsImproved", "Visits improved"
    ),
}


def lookup(name: str) -> ModelEntry:
    """The entry of a model.

    Raises:
        UnknownNameError: If no model has that name.
    """
    if name not in MODELS:
        raise unknown_name("model", name, MODELS)
    return MODELS[name]
