"""Which model ``auto`` stands for: one for each kind of data, fixed before any is trained.

A default is a choice that everybody can read here. It is not made by a held-out number.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

AUTO = "auto"
_MOST = 0.5
"""Share of examples with a measurement above which measurements are read."""


@dataclass(frozen=True)
class Default:
    """The model for one kind of data.

    Attributes:
        model: Its registry name.
        of: Which data it is for, as the end of a sentence.
    """

    model: str
    of: str


DEFAULTS: Mapping[str, Default] = {
    "signal": Default("spectral-mlp", "recordings of a signal"),
    "values": Default("values-lstm", "records with measurements in most examples"),
    "codes": Default("visits-attention", "records of codes"),
    "visits": Default("visits-improved", "lists of visits without times"),
}
"""By what the data hold; lists of visits are those of ``VisitClassifier``.

To make another model the default, change its name here.
"""


def default_for(data: Mapping[str, Any]) -> Default:
    """The default model of some data.

    Args:
        data: As a run describes them: the ``data`` entry of ``metrics.json``.

    Example:
        >>> default_for({"sequences": {"channels": 3, "with_measurements": 0.9}}).model
        'values-lstm'
    """
    sequences = data.get("sequences")
    if sequences is None:
        return DEFAULTS["signal"]
    # Runs of earlier versions say only whether there are measurements.
    share = sequences.get("with_measurements", float(sequences["channels"] > 0))
    return DEFAULTS["values" if share > _MOST else "codes"]
