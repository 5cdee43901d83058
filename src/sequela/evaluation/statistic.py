"""A metric as a function of how often each group counts.

A bootstrap draws groups (subjects, recordings) with replacement, so a resample is a weight for each
group: how often it was drawn. Metrics that are ratios of sums become products of a matrix of
weights with the sums of each group; those on ranks become cumulated sums over sorted scores. A
paired comparison is one statistic minus another, under the same weights.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from sequela.errors import unknown_name
from sequela.evaluation.metrics import example_loss
from sequela.evaluation.predictions import Predictions

Weighted = Callable[[NDArray[np.float64]], NDArray[np.float64]]


@dataclass(frozen=True)
class Statistic:
    """A metric as a function of the groups' weights.

    Attributes:
        value: From weights (resample, group) to values (resample, ...), NaN where a resample leaves
            the metric undefined.
        trials: Where the metric is a chance between 0 and 1: the number of groups that an estimate
            of exactly 0 or 1 rests on. Otherwise ``None``.
    """

    value: Weighted
    trials: int | None = None

    def __call__(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """The values (resample, ...) under weights (resample, group)."""
        return self.value(weights)


def ratio(
    numerator: NDArray[np.generic], denominator: NDArray[np.generic], group: NDArray[np.int64]
) -> Statistic:
    """Sum of the examples' numerators over the sum of their denominators.

    Args:
        numerator: (example,).
        denominator: (example,).
        group: int64 (example,): index of its group.
    """
    over = np.bincount(group, weights=numerator)
    under = np.bincount(group, weights=denominator)

    def value(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        with np.errstate(invalid="ignore"):
            quotient: NDArray[np.float64] = (weights @ over) / (weights @ under)
        return quotient

    return Statistic(value)


def mean(values: NDArray[np.generic], group: NDArray[np.int64]) -> Statistic:
    """Mean over the examples."""
    return ratio(values, np.ones(len(values)), group)


def share(hit: NDArray[np.bool_], among: NDArray[np.bool_], group: NDArray[np.int64]) -> Statistic:
    """Share of the examples ``among`` that are also a ``hit``; both are bool (example,)."""
    return Statistic(ratio(hit & among, among, group).value, trials=len(np.unique(group[among])))


def auroc(
    positive: NDArray[np.bool_], score: NDArray[np.floating], group: NDArray[np.int64]
) -> Statistic:
    """Area under the receiver operating characteristic; ties count half."""
    sums_at = _sums_at_scores(positive, score, group)

    def value(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        positives, negatives = sums_at(weights)  # (score, resample), ascending
        below = np.cumsum(negatives, axis=0)
        pairs = positives.sum(axis=0) * below[-1]
        below -= negatives / 2
        with np.errstate(invalid="ignore"):
            area: NDArray[np.float64] = np.einsum("sr,sr->r", positives, below) / pairs
        return area

    return Statistic(value, trials=_scarcest(positive, group))


def average_precision(
    positive: NDArray[np.bool_], score: NDArray[np.floating], group: NDArray[np.int64]
) -> Statistic:
    """Precision at each distinct score, weighted by the recall gained there."""
    sums_at = _sums_at_scores(positive, -score, group)

    def value(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        positives, negatives = sums_at(weights)  # (score, resample), descending
        found = np.cumsum(positives, axis=0)
        flagged = np.cumsum(negatives, axis=0)
        flagged += found
        precision = np.divide(found, flagged, out=np.zeros_like(found), where=flagged > 0)
        with np.errstate(invalid="ignore"):
            area: NDArray[np.float64] = np.einsum("sr,sr->r", positives, precision) / found[-1]
        return area

    return Statistic(value, trials=_scarcest(positive, group))


def _scarcest(positive: NDArray[np.bool_], group: NDArray[np.int64]) -> int:
    """The number of groups with positives, or with negatives, whichever is smaller."""
    return min(len(np.unique(group[positive])), len(np.unique(group[~positive])))


def _sums_at_scores(
    positive: NDArray[np.bool_], score: NDArray[np.floating], group: NDArray[np.int64]
) -> Callable[[NDArray[np.float64]], tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """From weights to summed weights of positives and negatives at each distinct score.

    Both results are (score, resample), the scores ascending.
    """
    distinct, rank = np.unique(score, return_inverse=True)
    shape = (len(distinct), int(group.max()) + 1)

    def counts(chosen: NDArray[np.bool_]) -> csr_array:
        ones = np.ones(int(chosen.sum()))
        return csr_array((ones, (rank[chosen], group[chosen])), shape=shape)

    of_positives, of_negatives = counts(positive), counts(~positive)

    def sums(weights: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        columns = np.ascontiguousarray(weights.T)
        return of_positives @ columns, of_negatives @ columns

    return sums


def difference(one: Statistic, other: Statistic) -> Statistic:
    """``one`` minus ``other`` on the same resamples: what a paired bootstrap resamples."""
    return Statistic(lambda weights: one(weights) - other(weights))


def recall(predictions: Predictions, of_class: int) -> Statistic:
    """Share of one class's examples that are found."""
    return share(
        predictions.predicted == of_class,
        predictions.label == of_class,
        predictions.group_index,
    )


def of_metric(name: str, predictions: Predictions) -> Statistic:
    """The statistic of a metric of :mod:`sequela.evaluation.metrics` by its name.

    Groups are numbered as in ``predictions.group_index``. For ``recording_accuracy`` the groups are
    the examples.

    Raises:
        UnknownNameError: If no metric has that name.
        DataError: If the metric cannot be had from these predictions.
    """
    if name not in METRICS:
        raise unknown_name("metric", name, METRICS)
    return METRICS[name](predictions)


def _accuracy(predictions: Predictions) -> Statistic:
    right = predictions.predicted == predictions.label
    return share(right, np.ones_like(right), predictions.group_index)


def _log_loss(predictions: Predictions) -> Statistic:
    return mean(example_loss(predictions), predictions.group_index)


def _auroc(predictions: Predictions) -> Statistic:
    return auroc(predictions.label == 1, predictions.score, predictions.group_index)


def _average_precision(predictions: Predictions) -> Statistic:
    return average_precision(predictions.label == 1, predictions.score, predictions.group_index)


def _balanced_accuracy(predictions: Predictions) -> Statistic:
    recalls = [recall(predictions, index) for index in range(len(predictions.classes))]
    return Statistic(lambda weights: np.mean([one(weights) for one in recalls], axis=0))


METRICS: dict[str, Callable[[Predictions], Statistic]] = {
    "accuracy": _accuracy,
    "auroc": _auroc,
    "average_precision": _average_precision,
    "balanced_accuracy": _balanced_accuracy,
    "log_loss": _log_loss,
    "recording_accuracy": lambda predictions: _accuracy(predictions.by_group()),
}
