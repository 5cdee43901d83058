"""Comparison of an exported model with its run on the run's examples."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sequela.errors import RunError
from sequela.files import temporary
from sequela.runs.data import RunData, load_again
from sequela.runs.folder import RunFolder
from sequela.runs.records import VisitData
from sequela.runs.signals import SignalData
from sequela.serving.records import inputs_of
from sequela.serving.served import ServedModel

TOLERANCE = 1e-5
"""Largest difference of two probabilities."""
EXAMPLES = 1000
_AT_ONCE = 100


@dataclass(frozen=True)
class Compared:
    """The comparison of two models on the same examples.

    Attributes:
        examples: Number of examples.
        difference: The largest difference of any probability.
    """

    examples: int
    difference: float


def compare(model: ServedModel, folder: RunFolder, data: RunData) -> Compared:
    """Compare predictions of an exported model with the predictions of its run.

    The validation set is left out: after ``--refit`` the run keeps its predictions from before.

    Args:
        model: The exported model.
        folder: The run.
        data: The data of the run.
    """
    predictions = folder.predictions
    rows = np.flatnonzero(predictions.split != "tuning")
    rows = rows[np.linspace(0, len(rows) - 1, min(EXAMPLES, len(rows))).astype(np.int64)]
    said = np.concatenate([_said(model, data, some) for some in _pieces(rows)])
    return Compared(len(rows), float(np.abs(said - predictions.probabilities[rows]).max()))


def require_same(model: ServedModel, folder: RunFolder, root: Path | None) -> Compared:
    """Compare an exported model with its run on the run's data.

    Raises:
        RunError: If the data or the predictions differ.
        SequelaError: If the data cannot be found.
    """
    with temporary() as work:
        found = compare(model, folder, load_again(folder, root, work))
    if not found.difference <= TOLERANCE:
        raise RunError(
            f"{folder.path}: the exported model differs from the run by {found.difference:.1e} in "
            f"probability: expected at most {TOLERANCE:.0e}; nothing is written"
        )
    return found


def _pieces(rows: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    return [rows[i : i + _AT_ONCE] for i in range(0, len(rows), _AT_ONCE)]


def _said(model: ServedModel, data: RunData, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    given: dict[str, NDArray[Any]]
    if isinstance(data, SignalData):
        given = {"signal": data.segments.signal[rows]}
    else:
        assert isinstance(data, VisitData)  # noqa: S101 - there are two kinds of data
        given = inputs_of(model, data.sequences, rows)
    return model.probabilities(given)
