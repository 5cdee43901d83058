"""The numbers of one part of a run, each with its interval, as they are written to a run folder."""

from typing import Any

import numpy as np

from sequela.evaluation import metrics
from sequela.evaluation.intervals import metric_interval
from sequela.evaluation.predictions import Predictions

_TWO = 2


def summarise(predictions: Predictions, *, seed: int, recordings: bool) -> dict[str, Any]:
    """Accuracy, recall, confusion and loss of one part, and AUROC where there are two classes.

    Args:
        predictions: Of one part.
        seed: Of the bootstrap.
        recordings: Whether groups are recordings, so that a whole one can be judged by the mean of
            its segments' probabilities.

    Returns:
        Numbers by name. An interval ``<name>_ci`` is [low, high], 95 %, from a bootstrap over the
        groups; ``interval`` says how it was made.
    """
    names = ["accuracy"]
    names += ["recording_accuracy"] * recordings
    names += ["auroc", "average_precision"] * (len(predictions.classes) == _TWO)
    numbers: dict[str, Any] = {
        "examples": predictions.n_examples,
        "groups": len(np.unique(predictions.group_id)),
        "loss": metrics.log_loss(predictions),
        "per_class_recall": metrics.per_class_recall(predictions).tolist(),
        "confusion": metrics.confusion(predictions).tolist(),
    }
    for name in names:
        numbers[name] = getattr(metrics, name)(predictions)
        interval = metric_interval(name, predictions, np.random.default_rng(seed))
        numbers[f"{name}_ci"] = [interval.low, interval.high]
        if name == "accuracy":
            numbers["interval"] = {
                "level": interval.level,
                "method": interval.method,
                "resamples": interval.resamples,
                "groups": interval.n_groups,
            }
    return numbers
