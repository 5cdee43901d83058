"""How right a model's predictions are: the numbers themselves, without their uncertainty.

All take :class:`~sequela.evaluation.predictions.Predictions`, usually of one part:
``accuracy(predictions.part("held_out"))``. Where scikit-learn has the number, it is scikit-learn's.
What each means, and when not to trust it, is in ``docs/evaluation.md``.
"""

import numpy as np
from numpy.typing import NDArray
from sklearn import metrics as sklearn_metrics

from sequela.errors import DataError
from sequela.evaluation.predictions import Predictions


def accuracy(predictions: Predictions) -> float:
    """Share of examples whose most probable class is the true one."""
    _refuse_empty(predictions)
    return float(sklearn_metrics.accuracy_score(predictions.label, predictions.predicted))


def recording_accuracy(predictions: Predictions) -> float:
    """Share of whole groups (recordings) that the mean of their probabilities gets right.

    Raises:
        DataError: If a group's examples have different labels.
    """
    return accuracy(predictions.by_group())


def per_class_recall(predictions: Predictions) -> NDArray[np.float64]:
    """Share of each class's examples that are found; NaN for a class without examples.

    Returns:
        float64 (class,).
    """
    _refuse_empty(predictions)
    recall: NDArray[np.float64] = sklearn_metrics.recall_score(
        predictions.label,
        predictions.predicted,
        labels=range(len(predictions.classes)),
        average=None,
        zero_division=np.nan,
    )
    return recall


def balanced_accuracy(predictions: Predictions) -> float:
    """Mean of the recalls of the classes that occur."""
    return float(np.nanmean(per_class_recall(predictions)))


def confusion(predictions: Predictions) -> NDArray[np.int64]:
    """Counts of examples by true class (rows) and predicted class (columns).

    Returns:
        int64 (class, class).
    """
    _refuse_empty(predictions)
    counts: NDArray[np.int64] = sklearn_metrics.confusion_matrix(
        predictions.label, predictions.predicted, labels=range(len(predictions.classes))
    )
    return counts


def log_loss(predictions: Predictions) -> float:
    """Mean of -log(probability of the true class), in nats.

    Probabilities keep float32's epsilon (1.2e-7) from 0 and 1, as in scikit-learn, so that one
    confident error costs at most 15.9.
    """
    _refuse_empty(predictions)
    return float(example_loss(predictions).mean())


def example_loss(predictions: Predictions) -> NDArray[np.float64]:
    """The terms of :func:`log_loss`: float64 (example,)."""
    of_label = predictions.probabilities[np.arange(predictions.n_examples), predictions.label]
    epsilon = np.finfo(np.float32).eps
    return -np.log(of_label.clip(epsilon, 1 - epsilon).astype(np.float64))


def auroc(predictions: Predictions) -> float:
    """Chance that an example of class 1 scores higher than one of class 0; ties count half.

    Raises:
        DataError: If there are not two classes, or one has no examples.
    """
    refuse_one_class(predictions)
    return float(sklearn_metrics.roc_auc_score(predictions.label, predictions.score))


def average_precision(predictions: Predictions) -> float:
    """Mean precision over the recalls that the thresholds reach, not interpolated.

    Raises:
        DataError: If there are not two classes, or one has no examples.
    """
    refuse_one_class(predictions)
    return float(sklearn_metrics.average_precision_score(predictions.label, predictions.score))


def majority_accuracy(training_label: NDArray[np.int64], label: NDArray[np.int64]) -> float:
    """The floor: accuracy of always saying the class that is most frequent in training.

    Args:
        training_label: int64 (training example,).
        label: int64 (example,): those to be predicted.

    Raises:
        DataError: If either is empty.
    """
    if not training_label.size or not label.size:
        raise DataError("there are no labels: the majority class needs examples in both parts")
    return float(np.mean(label == np.bincount(training_label).argmax()))


def _refuse_empty(predictions: Predictions) -> None:
    if not predictions.n_examples:
        raise DataError("there are no predictions: the part that is evaluated is empty")


def refuse_one_class(predictions: Predictions) -> None:
    """Make sure that there are two classes and examples of both.

    Raises:
        DataError: If not.
    """
    predictions.score  # noqa: B018 - refuses more than two classes
    present = np.unique(predictions.label)
    if len(present) < 2:  # noqa: PLR2004
        what = f"all of class '{predictions.classes[present[0]]}'" if len(present) else "none"
        raise DataError(f"the examples are {what}: a ranking needs both classes")
