"""A run's network, built again from ``model.safetensors`` alone."""

from typing import Any

from torch import nn

from sequela.errors import SettingError
from sequela.models import stored
from sequela.models.registry import lookup
from sequela.runs.folder import RunFolder

FILE = "model.safetensors"


def stored_network(folder: RunFolder, needed_for: str) -> tuple[dict[str, Any], nn.Module]:
    """The header and the network of a run, ready to predict.

    Args:
        folder: Of the run.
        needed_for: What is done with it, for the error.

    Raises:
        RunError: If the file is missing or damaged.
        SettingError: If the run's model is a floor, which is no network.
    """
    path = folder.path / FILE
    header, tensors = stored.read(path)
    if "config" not in header:
        raise SettingError(
            f"{folder.path}: {folder.settings.model} is a floor, and {needed_for} needs a network, "
            "for example gru-improved or visits-improved"
        )
    entry = lookup(header["model"])
    model = entry.build(entry.config(**header["config"]))
    model.load_state_dict(tensors)
    return header, model.eval()
