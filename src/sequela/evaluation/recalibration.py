"""Recalibration of probabilities on the validation set; test predictions are refused.

All levels of change multiply the logits of the classes and add to them. Of times to an event, the
logits are those of each interval among the patients without an event before it: the baseline risk
and its slope are recalibrated (Cox 1972, with a logit for each interval).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize, minimize_scalar
from scipy.special import log_softmax, softmax
from scipy.stats import chi2, norm

from sequela.errors import DataError, SplitError
from sequela.evaluation.metrics import example_loss
from sequela.evaluation.predictions import Predictions

if TYPE_CHECKING:
    from sequela.sequences.intervals import Tensor

Floats = NDArray[np.float64]
_EPSILON = float(np.finfo(np.float32).eps)
_SPREADS = (2.0, 0.5)  # prior standard deviations of the changes of biases and weights
_LARGEST = 100.0  # a temperature beyond 1/100..100 means an uninformative or a perfect model
EVENTS_PER_PARAMETER = 10
"""Patients of the rarest class for each number that is estimated (Peduzzi and others 1996, Journal
of Clinical Epidemiology 49, 1373)."""
ALPHA = 0.05
"""The p-value below which a simpler level of change is rejected."""


@dataclass(frozen=True)
class LogitScaling:
    """A weight and a bias of the logit of each class; of times to an event, at each horizon.

    With two classes it is a line for the logit of class 1 (Cox 1958). With a bias above 0 the event
    is more frequent than predicted; with a weight below 1 the probabilities were too extreme. One
    weight and no bias are the inverse of a temperature (Guo and others 2017).
    """

    weight: tuple[float, ...]
    bias: tuple[float, ...]
    horizons: tuple[float, ...] = ()

    def apply(self, predictions: Predictions) -> Predictions:
        """Return the predictions with recalibrated probabilities."""
        wide = predictions.probabilities.astype(np.float64)
        return replace(predictions, probabilities=self.scaled(wide))

    def scaled(self, chances: "Tensor") -> "Tensor":
        """Return recalibrated probabilities (example, class), of numpy or torch."""
        weight, factor = np.array(self.weight), np.exp(self.bias)
        if not isinstance(chances, np.ndarray):
            weight, factor = chances.new_tensor(weight), chances.new_tensor(factor)
        from sequela.sequences.intervals import Intervals  # fits do without

        intervals = Intervals(self.horizons, len(self.weight) - 1)  # each cause has a weight
        shares = intervals.hazards(chances) if self.horizons else chances
        # Its logarithm is multiplied and added to, so that one formula serves both libraries.
        odds = shares.clip(min=_EPSILON) ** weight * factor
        scaled = odds / odds.sum(-1)[..., None]
        return intervals.from_hazards(scaled) if self.horizons else scaled


@dataclass(frozen=True)
class Level:
    """A level of change: the numbers of a :class:`LogitScaling` that are estimated."""

    name: str
    biases: bool = False
    weights: Literal["none", "common", "each"] = "none"

    def columns(self, logits: Floats) -> Floats:
        """Return the derivatives of the logits: (row, class, parameter)."""
        units = np.eye(logits.shape[1])
        biases = np.broadcast_to(units[:, 1:], (*logits.shape, len(units) - 1))
        weights = {"none": units[:, :0], "common": np.ones(1), "each": units}[self.weights]
        parts = (biases if self.biases else biases[..., :0], logits[..., None] * weights)
        return np.concatenate(parts, axis=2)


NONE = Level("none")
INTERCEPT = Level("intercept", biases=True)
LINE = Level("intercept and slope", biases=True, weights="common")
TEMPERATURE = Level("temperature", weights="common")
VECTOR = Level("vector scaling", biases=True, weights="each")
REFIT = "refit"


def levels_of(predictions: Predictions) -> tuple[Level, ...]:
    """Return the levels of change of predictions, from none to the largest."""
    if len(predictions.classes) == 2 or predictions.horizons:  # noqa: PLR2004
        return NONE, INTERCEPT, LINE
    return NONE, TEMPERATURE, VECTOR


class _Rows:
    """The examples of a fit, or the intervals that each example began without an event.

    ``logits`` are (row, class), ``label``, ``weight`` and ``group`` (row,).
    """

    def __init__(self, predictions: Predictions) -> None:
        chances, self.label = predictions.probabilities.astype(np.float64), predictions.label
        self.group, self.weight = predictions.group_index, np.ones(len(self.label))
        if predictions.horizons:
            intervals, ends = predictions.intervals, predictions.outcomes
            example, interval, self.label, self.weight = intervals.at_risk(ends.time, ends.event)
            chances = intervals.hazards(chances)[example, interval]
            self.group = self.group[example]
        self.logits = np.log(chances.clip(min=_EPSILON))

    def residuals(self, logits: Floats) -> Floats:
        """Return the weighted differences of probabilities and outcomes: (row, class)."""
        happened = self.label[:, None] == np.arange(logits.shape[1])
        residuals: Floats = self.weight[:, None] * (softmax(logits, axis=1) - happened)
        return residuals

    def change(self, level: Level) -> Floats:
        """Fit the numbers of a level: (parameter,)."""
        columns = level.columns(self.logits)
        spreads = np.full(columns.shape[2], _SPREADS[1])
        if level.biases:
            spreads[: self.logits.shape[1] - 1] = _SPREADS[0]

        # A penalised maximum of the likelihood: without priors, no event at all would give an
        # intercept of minus infinity.
        def loss(change: Floats) -> tuple[float, Floats]:
            logits = self.logits + columns @ change
            of_label = log_softmax(logits, axis=1)[np.arange(len(logits)), self.label]
            slopes = np.einsum("rc,rcp->p", self.residuals(logits), columns) + change / spreads**2
            return float(((change / spreads) ** 2).sum() / 2 - self.weight @ of_label), slopes

        start = np.zeros(columns.shape[2])
        return np.asarray(minimize(loss, start, jac=True).x if len(start) else start)


def fit(tuning: Predictions, level: Level) -> LogitScaling:
    """Fit a level of change with the least log loss, shrunk to no change where examples are few.

    Changes of biases and weights have normal priors with standard deviations 2 and 0.5, so that ten
    patients without any event give a line, and with some hundred events the priors have no effect.
    """
    refuse_held_out(tuning, f"{level.name} is fitted")
    rows = _Rows(tuning)
    change, n_biases = rows.change(level), rows.logits.shape[1] - 1
    if not level.biases:
        change = np.concatenate([np.zeros(n_biases), change])
    weight = np.ones(1 + n_biases) + (change[n_biases:] if len(change) > n_biases else 0)
    biases = (0.0, *change[:n_biases].tolist())
    return LogitScaling(tuple(weight.tolist()), biases, tuning.horizons)


def p_value(tuning: Predictions, level: Level, largest: Level) -> float:
    """Test whether a larger level of change fits better, by the score of its further numbers.

    Several examples of a patient are not independent, so the variance of the score is that of its
    sums over patients (Boos 1992, The American Statistician 46, 327).
    """
    rows = _Rows(tuning)
    smaller, larger = level.columns(rows.logits), largest.columns(rows.logits)
    logits = rows.logits + smaller @ rows.change(level)
    scores = np.zeros((int(rows.group.max()) + 1, larger.shape[2]))
    np.add.at(scores, rows.group, np.einsum("rc,rcp->rp", rows.residuals(logits), larger))
    # The smaller level was fitted, so the part of the score that its numbers explain is taken out.
    chances = softmax(logits, axis=1)
    centred = larger - np.einsum("rc,rcp->rp", chances, larger)[:, None]
    weighted = (rows.weight[:, None] * chances)[..., None] * centred
    information = np.einsum("rcp,rcq->pq", weighted, larger)
    across = np.einsum("rcp,rcq->pq", weighted, smaller)
    places = np.linalg.pinv(information) @ across  # of the smaller level's numbers in the larger
    explained = across @ np.linalg.pinv(places.T @ across) @ places.T
    scores -= scores @ explained.T
    values, vectors = np.linalg.eigh(scores.T @ scores)
    degrees = larger.shape[2] - smaller.shape[2]  # the others have no variance
    total = (scores.sum(axis=0) @ vectors)[-degrees:]
    return float(chi2.sf((total**2 / values[-degrees:]).sum(), degrees))


@dataclass(frozen=True)
class Choice:
    """The level of change that a closed test chose, and why.

    ``events`` are the patients of the rarest class, ``needed`` those that a level would need for
    which there are too few, ``p_values`` those of the tests by level, and ``reversing`` the
    levels that are left out as they would reverse the ranking.
    """

    level: str
    scaling: LogitScaling
    events: int
    needed: dict[str, int]
    p_values: dict[str, float]
    reversing: tuple[str, ...] = ()


def choose(
    tuning: Predictions, refit: Callable[[], Predictions | None] | None = None, parameters: int = 0
) -> Choice:
    """Choose the level of change by a closed test (Vergouwe and others 2017, doi:10.1002/sim.7179).

    From no change on, each level is tested against the largest, and the first that is not rejected
    is taken: a larger level than the right one is taken with a probability of 5 % at most. A refit
    estimates many numbers, or has a penalty, so it is not tested by its likelihood. As by Davis and
    others (2019, doi:10.1093/jamia/ocz127), it must predict patients that it was not fitted on
    significantly better than the largest level, here with a smaller log loss.

    ``refit`` predicts the same patients by models with so many ``parameters`` that were fitted on
    others of them.
    """
    levels, events = levels_of(tuning), events_of(tuning)
    n_classes = 1 + tuning.intervals.causes if tuning.horizons else len(tuning.classes)
    sizes = {level.name: level.columns(np.zeros((1, n_classes))).shape[2] for level in levels}
    if refit:
        sizes[REFIT] = parameters
    least = {name: size * EVENTS_PER_PARAMETER for name, size in sizes.items()}
    needed = {name: count for name, count in least.items() if count > events}
    fits = {level: fit(tuning, level) for level in levels if level.name not in needed}
    # A weight of 0 or below would make patients with a higher risk those with a lower one.
    reversing = tuple(level.name for level, scaling in fits.items() if min(scaling.weight) <= 0)
    *smaller, largest = (level for level in fits if level.name not in reversing)
    p_values: dict[str, float] = {}
    if refit and REFIT not in needed and (refitted := refit()):
        gain = example_loss(fits[largest].apply(tuning)) - example_loss(refitted)
        by_person = np.bincount(tuning.group_index, weights=gain)
        p_values[REFIT] = float(norm.sf(by_person.sum() / np.linalg.norm(by_person)))
        if p_values[REFIT] < ALPHA:
            return Choice(REFIT, fits[NONE], events, needed, p_values, reversing)
    for level in smaller:
        p_values[level.name] = p_value(tuning, level, largest)
        if p_values[level.name] >= ALPHA:
            largest = level
            break
    return Choice(largest.name, fits[largest], events, needed, p_values, reversing)


def events_of(predictions: Predictions) -> int:
    """Count the patients of the rarest class, or with the rarest event by the last horizon."""
    classes, label = range(len(predictions.classes)), predictions.label
    if predictions.horizons:
        classes = range(1, 1 + predictions.intervals.causes)
        ends = predictions.outcomes
        label = ends.event * (ends.time <= predictions.horizons[-1])
    return min(len(np.unique(predictions.group_index[label == index])) for index in classes)


def fit_temperature(tuning: Predictions) -> LogitScaling:
    """Fit the temperature with the least log loss on the validation set, without a prior."""
    refuse_held_out(tuning, "a temperature is fitted")
    logits, rows = _Rows(tuning).logits, np.arange(tuning.n_examples)

    def loss(log_temperature: float) -> float:
        log_chance = log_softmax(logits / np.exp(log_temperature), axis=1)
        return -float(log_chance[rows, tuning.label].mean())

    # On the logarithm, as halving and doubling a temperature are equally far changes.
    reach = np.log(_LARGEST)
    least = minimize_scalar(loss, bounds=(-reach, reach), options={"xatol": 1e-8})
    weights = np.full(len(tuning.classes), np.exp(-least.x))
    return LogitScaling(tuple(weights.tolist()), tuple(np.zeros_like(weights).tolist()))


def refuse_held_out(predictions: Predictions, what: str) -> None:
    """Refuse to choose or fit anything on the test set, or on nothing."""
    if not predictions.n_examples:
        raise DataError(f"there are no predictions: {what} on the validation set")
    if (predictions.split == "held_out").any():
        raise SplitError(f"{what} on the validation set; these predictions are for the test set")
