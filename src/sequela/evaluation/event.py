"""The event to predict: class 1 of two, or that the most probable class is right.

:meth:`~sequela.evaluation.predictions.Predictions.against_rest` makes one class of several the
event.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sequela.evaluation.predictions import Predictions


@dataclass(frozen=True)
class Event:
    """The predicted probability of the event, whether it happened, and the index of the group.

    All arrays are (example,).
    """

    chance: NDArray[np.float64]
    happened: NDArray[np.bool_]
    group: NDArray[np.int64]


def event(predictions: Predictions) -> Event:
    """Return class 1 of two classes; of more, that the most probable class is right."""
    predictions.refuse_empty()
    if len(predictions.classes) == 2:  # noqa: PLR2004
        chance, happened = predictions.score, predictions.label == 1
    else:
        chance = predictions.probabilities.max(axis=1)
        happened = predictions.predicted == predictions.label
    return Event(chance.astype(np.float64), happened, predictions.group_index)
