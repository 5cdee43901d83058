"""The default model (``auto``) for the data of a run."""

from pathlib import Path

from sequela.config import RunSettings
from sequela.models.defaults import DEFAULTS, Default, default_for
from sequela.runs.data import load
from sequela.sources import catalog


def default_of(settings: RunSettings, root: Path | None, work: Path) -> Default:
    """Return the default model, chosen by the kind of data, not by its performance.

    Args:
        settings: The settings of the run; the model is ignored.
        root: Folder or file of the data (default: the usual search path).
        work: Folder for intermediate files, which a run with the same folder reuses.

    Raises:
        SequelaError: If the data cannot be found or read.
    """
    if catalog.lookup(settings.data).holds == "signal":
        if catalog.lookup(settings.data).reads:
            catalog.load_recordings(settings.data, root)  # raises an error before the choice
        return DEFAULTS["signal"]
    return default_for(load(settings, root, work).describe())
