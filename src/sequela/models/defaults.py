"""The models that ``auto`` selects: one for each kind of data, fixed before any training.

A default is a documented choice; it is not selected by test scores.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

AUTO = "auto"
_MOST = 0.5  # share of examples with a measurement above which measurements are read


@dataclass(frozen=True)
class Default:
    """The model for one kind of data, which ``data`` names, and a ``second`` to train with it."""

    model: str
    data: str
    second: str = ""


DEFAULTS: Mapping[str, Default] = {
    "signal": Default("spectral-mlp", "recordings of a signal"),
    "values": Default("values-lstm", "records with measurements in most examples"),
    "row": Default("logistic-regression", "tables with one row per patient", "boosting"),
    "codes": Default("visits-attention", "records of codes"),
    "visits": Default("visits-improved", "lists of visits without times"),
}
"""The defaults by kind of data; ``visits`` is for the lists of ``VisitClassifier``."""


def default_for(data: Mapping[str, Any]) -> Default:
    """Return the default model of some data.

    ``data`` is the entry of that name in a run's ``metrics.json``.

    Example:
        >>> default_for({"sequences": {"channels": 3, "with_measurements": 0.9}}).model
        'values-lstm'
    """
    if data.get("example") == "row":  # one step, where recurrence has no advantage
        return DEFAULTS["row"]
    sequences = data.get("sequences")
    if sequences is None:
        return DEFAULTS["signal"]
    # Runs of earlier versions only store whether there are measurements.
    share = sequences.get("with_measurements", float(sequences["channels"] > 0))
    return DEFAULTS["values" if share > _MOST else "codes"]
