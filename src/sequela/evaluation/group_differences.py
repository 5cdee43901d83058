"""Differences between groups of patients: the lowest and the highest of each attribute, compared.

The two groups are chosen by the data, so a usual interval of their difference would be too narrow.
All pairs of groups of an attribute are compared together, and the interval is that of the largest
standardised distance of any pair (Hsu 1996, Multiple Comparisons, chapter 5; here by a bootstrap of
patients, the same resamples for all groups).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from sequela.evaluation import statistic
from sequela.evaluation.comparison import holm
from sequela.evaluation.metrics import alarms_at, statistic_of
from sequela.evaluation.predictions import Predictions
from sequela.evaluation.resampling import class_strata, resampled_weights
from sequela.evaluation.statistic import Statistic

FEWEST_EVENTS = 20  # of a group, and patients without the event, below which it cannot be judged
_EPSILON = 1e-6  # probabilities keep this distance from 0 and 1, which have no logit
_STEPS = 8  # of Newton's method, after which slopes change by less than 1e-6
_RESAMPLES = 2_000
_LEVEL = 0.95


@dataclass(frozen=True)
class GroupDifference:
    """The groups with the lowest and the highest value of a metric, among those of one attribute.

    ``values`` has the value of each group that can be judged. ``p_value`` is the probability of a
    distance as large between any two groups by chance, and ``corrected_p`` is corrected for the
    number of attributes (Holm). ``not_judged`` has the events of each group with too few of them,
    or too few patients without the event.
    """

    attribute: str
    metric: str
    values: Mapping[str, float]
    lowest: str
    highest: str
    difference: float
    low: float
    high: float
    p_value: float
    corrected_p: float
    not_judged: Mapping[str, int]


def metrics_of(threshold: float | None) -> dict[str, Callable[[Predictions], Statistic]]:
    """Return the compared metrics of two classes: ranking, calibration and alarms."""
    metrics: dict[str, Callable[[Predictions], Statistic]] = {
        "auroc": lambda p: statistic_of("auroc", p),
        "o_e": lambda p: statistic.ratio(p.label, p.score, p.group_index),
        "calibration_slope": slope,
    }
    if threshold is not None:
        metrics["alarm_rate"] = alarms_at(threshold)
    return metrics


def slope(predictions: Predictions) -> Statistic:
    """Return the calibration slope of two classes as a function of the groups' weights."""
    logits = logit(predictions.score.astype(np.float64).clip(_EPSILON, 1 - _EPSILON))
    outcome, group = predictions.label, predictions.group_index

    def value(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        of_example = weights[:, group]  # (resample, example)
        intercept, line = np.zeros((2, len(weights), 1))
        line += 1
        for _ in range(_STEPS):
            risk = expit(intercept + line * logits)
            residual, curvature = of_example * (outcome - risk), of_example * risk * (1 - risk)
            total, first = curvature.sum(1), curvature @ logits
            second = curvature @ logits**2
            gradient, along = residual.sum(1), residual @ logits
            with np.errstate(invalid="ignore", divide="ignore"):
                determinant = total * second - first**2
                intercept += ((second * gradient - first * along) / determinant)[:, None]
                line += ((total * along - first * gradient) / determinant)[:, None]
        return line[:, 0]

    return Statistic(value, int(group.max()) + 1)


def group_differences(
    predictions: Predictions,
    attributes: Mapping[str, NDArray[np.str_]],
    rng: np.random.Generator,
    *,
    threshold: float | None = None,
    resamples: int = _RESAMPLES,
    classes_fixed: bool = False,
) -> list[GroupDifference]:
    """Compare the groups of each attribute by each metric, for two classes.

    Args:
        predictions: Predictions for the test set.
        attributes: For each name str (example,), empty where unknown; these examples are left out.
        rng: Draws the resamples of patients, the same for all attributes and metrics.
        threshold: Threshold of the alarms.
        resamples: Number of resamples.
        classes_fixed: Whether resamples keep the number of patients of each class.
    """
    group, label = predictions.group_index, predictions.label
    strata = class_strata(label if classes_fixed else np.zeros_like(label), group)
    weights = np.concatenate([*resampled_weights(strata, resamples, rng)])
    differences: list[GroupDifference] = []
    for metric, make in metrics_of(threshold).items():
        of_metric = []
        for attribute, column in attributes.items():
            judged, not_judged = _sorted_out(label, column)
            if len(judged) > 1:
                members = [np.flatnonzero(column == value) for value in judged]
                values, draws = _values(predictions, members, make, weights)
                compared = _compare(judged, values, draws)
                of_metric.append(
                    replace(compared, attribute=attribute, metric=metric, not_judged=not_judged)
                )
        corrected = holm([one.p_value for one in of_metric])
        differences += [
            replace(difference, corrected_p=float(p))
            for difference, p in zip(of_metric, corrected, strict=True)
        ]
    return differences


def _sorted_out(
    label: NDArray[np.int64], column: NDArray[np.str_]
) -> tuple[list[str], dict[str, int]]:
    """Return the groups that can be judged, and the events of all others."""
    judged, not_judged = [], {}
    for value in np.unique(column[column != ""]).tolist():
        counts = np.bincount(label[column == value], minlength=2)
        if counts.min() < FEWEST_EVENTS:
            not_judged[value] = int(counts[1])
        else:
            judged.append(value)
    return judged, not_judged


def _values(
    predictions: Predictions,
    members: Sequence[NDArray[np.int64]],
    make: Callable[[Predictions], Statistic],
    weights: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the metric of each group, (group,), and on the resamples, (resample, group)."""
    values, draws = [], []
    for rows in members:
        number = make(predictions.where(np.isin(np.arange(predictions.n_examples), rows)))
        patients = np.unique(predictions.group_index[rows])  # in the order of the group's own index
        values.append(float(number.estimate))
        draws.append(number(weights[:, patients]))
    return np.array(values), np.stack(draws, axis=1)


def _compare(
    names: Sequence[str], values: NDArray[np.float64], draws: NDArray[np.float64]
) -> GroupDifference:
    draws = draws[np.isfinite(draws).all(axis=1)]
    pairs = np.array([*combinations(range(len(names)), 2)]).T
    apart = values[pairs[1]] - values[pairs[0]]
    moved = draws[:, pairs[1]] - draws[:, pairs[0]] - apart  # (resample, pair)
    errors = np.sqrt((moved**2).mean(axis=0))
    largest = np.abs(moved / errors).max(axis=1)
    reach = np.quantile(largest, _LEVEL)
    lowest, highest = int(values.argmin()), int(values.argmax())
    pair = int(np.abs(apart).argmax())
    difference = float(values[highest] - values[lowest])
    exceeding = int((largest >= np.abs(apart / errors).max()).sum())
    return GroupDifference(
        attribute="",
        metric="",
        values=dict(zip(names, values.tolist(), strict=True)),
        lowest=names[lowest],
        highest=names[highest],
        difference=difference,
        low=difference - float(reach * errors[pair]),
        high=difference + float(reach * errors[pair]),
        p_value=(exceeding + 1) / (len(largest) + 1),
        corrected_p=1.0,
        not_judged={},
    )
