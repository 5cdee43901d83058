"""Calibration: predicted probability against observed share of an event."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from sequela.disclosure import merged_bins
from sequela.errors import DataError
from sequela.evaluation import statistic
from sequela.evaluation.intervals import DEFAULT, Bootstrap, Estimate, estimates
from sequela.evaluation.predictions import Event, Predictions, event
from sequela.evaluation.statistic import Statistic

FLAT = 0.02  # range of the probabilities below which a slope is meaningless
_EPSILON = float(np.finfo(np.float32).eps)
_NORMAL = 1.96  # quantile of the normal distribution for 95 %


@dataclass(frozen=True)
class Reliability:
    """A reliability curve: observed share of the event against its predicted probability.

    By bin, it has the mean predicted probability, the share of examples with the event, with its
    interval, and the numbers of examples and of ``groups``: subjects or recordings.
    """

    chance: NDArray[np.float64]
    happened: tuple[Estimate, ...]
    count: NDArray[np.int64]
    groups: NDArray[np.int64]


def reliability(
    predictions: Predictions,
    rng: np.random.Generator,
    *,
    bins: int = 10,
    how: Bootstrap = DEFAULT,
    smallest: int = 1,
) -> Reliability:
    """Compute the reliability curve in bins of equally many examples, ties in one bin.

    Neighbouring bins are merged until none has fewer examples with the event, or without it, than
    ``smallest``; 0 is allowed.
    """
    judged = event(predictions)
    of_bin = _bin_of(judged.chance, bins)
    counts = np.zeros((int(of_bin.max()) + 1, 2), np.int64)
    np.add.at(counts, (of_bin, judged.happened.astype(np.int64)), 1)
    of_bin = merged_bins(counts, smallest)[of_bin]
    inside = of_bin[:, None] == np.arange(int(of_bin.max()) + 1)
    shares = statistic.share(judged.happened[:, None], inside, judged.group)
    count = inside.sum(axis=0)
    return Reliability(
        chance=np.bincount(of_bin, weights=judged.chance) / count,
        happened=tuple(estimates(shares, rng, how)),
        count=count,
        groups=np.array(shares.trials),
    )


def _bin_of(chance: NDArray[np.float64], bins: int) -> NDArray[np.int64]:
    """Assign examples to bins of equal size, as far as ties allow: int64 (example,)."""
    edges = np.quantile(chance, np.arange(1, bins) / bins)
    # Equal probabilities, as of a tree, may fill several bins: these collapse into one.
    of_bin = np.searchsorted(edges, chance, side="left")
    return np.unique(of_bin, return_inverse=True)[1]


def expected_calibration_error(predictions: Predictions, *, bins: int = 10) -> float:
    """Compute the mean distance between predicted probability and observed share over bins.

    This is the usual definition (Naeini, Cooper & Hauskrecht 2015), which is above 0 by chance
    alone: perfect probabilities on few examples look wrong. See :func:`calibration_error`.
    """
    judged = event(predictions)
    of_bin = _bin_of(judged.chance, bins)
    # The size of a bin is not needed: as a divisor and a weight it cancels.
    apart = np.bincount(of_bin, weights=judged.happened - judged.chance)
    return float(np.abs(apart).sum() / len(of_bin))


def squared_calibration_error(predictions: Predictions, *, bins: int = 10) -> float:
    """Compute the mean squared calibration error over bins, minus the part that chance adds.

    Kumar, Liang & Ma (2019) subtract from each bin the variance of its share; here that variance is
    taken over groups, as examples of one group are alike. Its mean is 0 for perfect probabilities,
    so it may be negative.
    """
    judged = event(predictions)
    of_bin = _bin_of(judged.chance, bins)
    n_groups = int(judged.group.max()) + 1
    residual = judged.happened - judged.chance
    count = np.bincount(of_bin)
    mean = np.bincount(of_bin, weights=residual) / count
    deviation = np.zeros((n_groups, len(count)))  # deviation of each group's sum in each bin
    np.add.at(deviation, (judged.group, of_bin), (residual - mean[of_bin]) / count[of_bin])
    groups = np.bincount(np.unique(np.stack([of_bin, judged.group]), axis=1)[0])
    several = groups > 1  # one group alone does not show its noise
    if not several.any():
        raise DataError(
            "each bin holds one group, so the error that chance adds cannot be "
            "estimated: use fewer bins, or more groups"
        )
    # The variance of a bin's mean over its groups, unbiased by n / (n - 1).
    noise = (deviation**2).sum(axis=0)[several] * groups[several] / (groups[several] - 1)
    return float(np.average(mean[several] ** 2 - noise, weights=count[several]))


def calibration_error(predictions: Predictions, *, bins: int = 10) -> float:
    """Compute the root of :func:`squared_calibration_error`, 0 where that is negative."""
    return float(np.sqrt(max(squared_calibration_error(predictions, bins=bins), 0.0)))


@dataclass(frozen=True)
class BrierScore:
    """The Brier score and its decomposition: ``miscalibration - discrimination + uncertainty``.

    Attributes:
        score: Mean squared error of the probabilities; with two classes, of class 1.
        miscalibration: The gain of recalibration.
        discrimination: The model's information beyond the frequencies of the classes.
        uncertainty: The score of always predicting the classes' frequencies.
    """

    score: float
    miscalibration: float
    discrimination: float
    uncertainty: float


def brier_score(predictions: Predictions) -> BrierScore:
    """Compute the Brier score, decomposed without bins (Dimitriadis, Gneiting & Jordan 2021).

    The recalibrated probabilities are from isotonic regression on the same data. With more than two
    classes, scores and parts are summed over the classes, each against the rest.
    """
    predictions.refuse_empty()
    parts = [
        _decomposed(chance, predictions.label == index)
        for index, chance in enumerate(predictions.probabilities.T)
    ]
    # With two classes, both have the same errors: by convention only one is counted.
    share = 0.5 if len(predictions.classes) == 2 else 1.0  # noqa: PLR2004
    return BrierScore(*(share * np.sum(parts, axis=0)).tolist())


def _decomposed(chance: NDArray[np.float32], happened: NDArray[np.bool_]) -> NDArray[np.float64]:
    chance, outcome = chance.astype(np.float64), happened.astype(np.float64)
    recalibrated = IsotonicRegression().fit_transform(chance, outcome)
    # Recalibration on the same data gives the best score of the model's ranking, the frequency of
    # the event that of no information.
    score = np.mean((chance - outcome) ** 2)
    best = np.mean((recalibrated - outcome) ** 2)
    frequency = np.mean((outcome.mean() - outcome) ** 2)
    return np.array([score, score - best, frequency - best, frequency])


@dataclass(frozen=True)
class CalibrationLine:
    """Cox's (1958) calibration: logistic regression of the event on the logit of its probability.

    The ideal slope is 1; below 1 the probabilities are too extreme. ``observed`` is the share of
    examples with the event, ``expected`` the mean predicted probability.
    """

    slope: float
    intercept: float
    observed: float
    expected: float


def calibration_line(predictions: Predictions) -> CalibrationLine:
    """Compute calibration slope and intercept, and observed and expected share of the event."""
    judged = event(predictions)
    if len(np.unique(judged.happened)) == 1:
        raise DataError(
            "the event happened in all examples or in none: a calibration line needs both"
        )
    # Without a penalty, so that the line is the maximum of the likelihood.
    logits = logit(judged.chance.clip(_EPSILON, 1 - _EPSILON))[:, None]
    line = LogisticRegression(C=np.inf, tol=1e-8, max_iter=1_000).fit(logits, judged.happened)
    return CalibrationLine(
        slope=float(line.coef_[0, 0]),
        intercept=float(line.intercept_[0]),
        observed=float(judged.happened.mean()),
        expected=float(judged.chance.mean()),
    )


def slope_influence(predictions: Predictions) -> tuple[float, NDArray[np.float64]]:
    """Compute the calibration slope, and the influence of each example on it (example,)."""
    judged, line = event(predictions), calibration_line(predictions)
    logits = logit(judged.chance.clip(_EPSILON, 1 - _EPSILON))
    chance = expit(line.intercept + line.slope * logits)
    design = np.stack([np.ones_like(logits), logits])
    information = (design * chance * (1 - chance)) @ design.T / len(logits)
    return line.slope, (np.linalg.pinv(information) @ (design * (judged.happened - chance)))[1]


def slope_statistic(predictions: Predictions) -> Statistic:
    """Return the calibration slope as a function of the groups' weights, by its influence function.

    It is NaN where all probabilities are nearly equal.
    """
    slope, influence = slope_influence(predictions)
    slope = np.nan if np.ptp(predictions.score) < FLAT else slope
    return statistic.mean(slope + influence, predictions.group_index)


def observed_over_expected(judged: Event) -> tuple[float, float, float]:
    """Return observed over expected events with the bounds of the 95 % interval."""
    residuals = np.bincount(judged.group, weights=judged.happened - judged.chance)
    observed, expected = float(judged.happened.sum()), float(judged.chance.sum())
    # The ratio is skewed and above 0, so its interval is symmetric on the logarithm. Residuals are
    # summed by group first, as stays of one patient are alike.
    ratio = observed / expected
    reach = float(np.exp(_NORMAL * np.linalg.norm(residuals) / observed))
    return ratio, ratio / reach, ratio * reach


def slope_within(predictions: Predictions) -> tuple[float, float, float]:
    """Return the calibration slope with the bounds of its 95 % interval (White 1982)."""
    slope, influence = slope_influence(predictions)
    by_group = np.bincount(predictions.group_index, weights=influence)
    reach = float(_NORMAL * np.linalg.norm(by_group) / len(influence))
    return slope, slope - reach, slope + reach


def calibration_in_words(predictions: Predictions) -> str:
    """Return a sentence if the interval of observed over expected of two classes is without 1."""
    judged = event(predictions)
    if len(predictions.classes) != 2 or predictions.horizons or not judged.happened.any():  # noqa: PLR2004
        return ""
    ratio, low, high = observed_over_expected(judged)
    if low <= 1 <= high:
        return ""
    return (
        f"observed over expected: {ratio:.2f} (95 % interval {low:.2f} to {high:.2f}): "
        f"'{predictions.classes[1]}' happens {'more' if ratio > 1 else 'less'} often than predicted"
    )
