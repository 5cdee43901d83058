"""Recalibration of probabilities on the validation set; test predictions are refused."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize, minimize_scalar
from scipy.special import expit, log_softmax
from sklearn.isotonic import IsotonicRegression

from sequela.errors import DataError, SplitError
from sequela.evaluation.predictions import Predictions

_EPSILON = float(np.finfo(np.float32).eps)
_SPREADS = (2.0, 0.5)  # prior standard deviations of the changes of intercept and slope
_LARGEST = 100.0  # a temperature beyond 1/100..100 means an uninformative or a perfect model


@dataclass(frozen=True)
class Temperature:
    """A temperature that divides logits (Guo et al. 2017): no ranking within an example changes."""

    value: float

    def apply(self, predictions: Predictions) -> Predictions:
        """Return the predictions with recalibrated probabilities."""
        logits = _logits(predictions) / self.value
        return replace(predictions, probabilities=np.exp(log_softmax(logits, axis=1)))


@dataclass(frozen=True)
class Isotonic:
    """A rising curve for each class's probability (Zadrozny & Elkan 2002), by its corners.

    The results are divided by their sum, which with two classes is 1 already.
    """

    predicted: tuple[tuple[float, ...], ...]
    recalibrated: tuple[tuple[float, ...], ...]

    def apply(self, predictions: Predictions) -> Predictions:
        """Return the predictions with recalibrated probabilities."""
        n_classes = len(predictions.classes)
        if len(self.predicted) != n_classes:
            raise DataError(
                f"the curves are for {len(self.predicted)} classes, the predictions have "
                f"{n_classes}"
            )
        curves = enumerate(zip(self.predicted, self.recalibrated, strict=True))
        recalibrated = np.stack(
            [np.interp(predictions.probabilities[:, k], *curve) for k, curve in curves], axis=1
        )
        total = recalibrated.sum(axis=1, keepdims=True)
        shares = np.full_like(recalibrated, 1 / n_classes)  # if all curves return 0
        return replace(
            predictions, probabilities=np.divide(recalibrated, total, out=shares, where=total > 0)
        )


@dataclass(frozen=True)
class LogitLine:
    """A line for the logit of class 1 of two: ``intercept + slope * logit`` (Cox 1958).

    With an intercept above 0 the event is more frequent than predicted; with a slope below 1 the
    probabilities were too extreme.
    """

    intercept: float
    slope: float

    def apply(self, predictions: Predictions) -> Predictions:
        """Return the predictions with recalibrated probabilities."""
        chance = expit(self.intercept + self.slope * _log_odds(predictions))
        return replace(predictions, probabilities=np.stack([1 - chance, chance], axis=1))


def fit_line(tuning: Predictions, *, slope: bool = True) -> LogitLine:
    """Fit the line with the least log loss, shrunk to no change where there are few examples.

    Changes of intercept and slope have normal priors with standard deviations 2 and 0.5, so that
    ten patients without any event give a line, and with some hundred events the priors have no
    effect. Without ``slope`` it is 1, and only the intercept is fitted.
    """
    refuse_held_out(tuning, "a line is fitted")
    logits, happened = _log_odds(tuning), tuning.label == 1
    columns = np.stack([np.ones_like(logits), logits], axis=1)[:, : 1 + slope]
    # A penalised maximum of the likelihood: without priors, no event at all would give an intercept
    # of minus infinity.
    variance = np.square(_SPREADS[: 1 + slope])

    def loss(change: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        reached = logits + columns @ change
        lost = np.logaddexp(0, np.where(happened, -reached, reached)).sum()
        slopes = columns.T @ (expit(reached) - happened) + change / variance
        return float(lost + (change**2 / variance).sum() / 2), slopes

    change = minimize(loss, np.zeros(columns.shape[1]), jac=True).x.tolist()
    return LogitLine(change[0], 1 + change[1] if slope else 1.0)


def fit_temperature(tuning: Predictions) -> Temperature:
    """Fit the temperature with the least log loss on the validation set."""
    refuse_held_out(tuning, "a temperature is fitted")
    logits = _logits(tuning)
    rows = np.arange(tuning.n_examples)

    def loss(log_temperature: float) -> float:
        log_chance = log_softmax(logits / np.exp(log_temperature), axis=1)
        return -float(log_chance[rows, tuning.label].mean())

    # On the logarithm, as halving and doubling a temperature are equally far changes.
    reach = np.log(_LARGEST)
    least = minimize_scalar(loss, bounds=(-reach, reach), options={"xatol": 1e-8})
    return Temperature(float(np.exp(least.x)))


def fit_isotonic(tuning: Predictions) -> Isotonic:
    """Fit the curves with the least squared error on the validation set."""
    refuse_held_out(tuning, "a curve is fitted")
    curves = [
        IsotonicRegression().fit(chance.astype(np.float64), tuning.label == index)
        for index, chance in enumerate(tuning.probabilities.T)
    ]
    return Isotonic(
        predicted=tuple(tuple(curve.X_thresholds_.tolist()) for curve in curves),
        recalibrated=tuple(tuple(curve.y_thresholds_.tolist()) for curve in curves),
    )


def refuse_held_out(predictions: Predictions, what: str) -> None:
    """Refuse to choose or fit anything on the test set, or on nothing."""
    if not predictions.n_examples:
        raise DataError(f"there are no predictions: {what} on the validation set")
    if (predictions.split == "held_out").any():
        raise SplitError(f"{what} on the validation set; these predictions are for the test set")


def _log_odds(predictions: Predictions) -> NDArray[np.float64]:
    predictions.score  # noqa: B018 - refuses more than two classes
    logits = _logits(predictions)
    return np.asarray(logits[:, 1] - logits[:, 0])


def _logits(predictions: Predictions) -> NDArray[np.float64]:
    return np.log(predictions.probabilities.clip(min=_EPSILON).astype(np.float64))
