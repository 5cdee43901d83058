"""The model that ``auto`` stands for on the data of a run."""

from pathlib import Path

from sequela.config import RunSettings
from sequela.models.defaults import DEFAULTS, Default, default_for
from sequela.runs.data import load
from sequela.sources import catalog


def default_of(settings: RunSettings, root: Path | None, work: Path) -> Default:
    """The default model, chosen by what the examples of a run hold, not by how well it does.

    Args:
        settings: Of the run; its model does not matter.
        root: Where the data lie; the usual search path by default.
        work: Folder for what is made of hospital tables on the way; a run that is given the same
            folder uses it again.

    Raises:
        SequelaError: If the data cannot be found or read.
    """
    if catalog.lookup(settings.data).holds == "signal":
        if catalog.lookup(settings.data).reads:
            catalog.load_recordings(settings.data, root)  # refused before a choice is said
        return DEFAULTS["signal"]
    return default_for(load(settings, root, work).describe())
