"""Decisions from probabilities: the choice of a threshold, and the benefit of acting on it.

An example raises an alarm if its probability of class 1 is at or above the threshold.
"""

from dataclasses import dataclass, replace
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from sequela.config import Aim, check_target
from sequela.errors import DataError, SettingError
from sequela.evaluation import statistic
from sequela.evaluation.intervals import DEFAULT, Bootstrap, Estimate, estimates
from sequela.evaluation.predictions import Predictions
from sequela.evaluation.recalibration import refuse_held_out
from sequela.evaluation.statistic import Statistic


@dataclass(frozen=True)
class Threshold:
    """A threshold, with an alarm at or above it, and the aim in words, shown with its numbers."""

    value: float
    chosen_for: str


def choose_threshold(tuning: Predictions, aim: Aim, target: float | None = None) -> Threshold:
    """Choose the best threshold for an aim on the validation set.

    Aims: ``sensitivity``, the fewest alarms that find at least the share ``target`` of the events;
    ``f1``, the largest F1; ``cost_ratio``, the least cost where a missed event costs ``target``
    times a false alarm; ``youden``, the largest sum of sensitivity and specificity (Youden 1950).
    Among equally good thresholds the highest is chosen.

    Raises:
        SettingError: If the aim does not exist, or its target is missing or out of range.
        SplitError: If there are predictions for the test set.
        DataError: If there are not two classes, no event, or (``youden``) nothing else.
    """
    refuse_held_out(tuning, "a threshold is chosen")
    events = int(np.sum(tuning.label == 1))
    # From the highest score down, each distinct score is a threshold with its hits and alarms.
    distinct, rank = np.unique(-tuning.score, return_inverse=True)
    non_events = tuning.n_examples - events
    if not events or (aim == "youden" and not non_events):
        which = "each" if events else "no"
        raise DataError(
            f"{which} example of the validation set is an event: a threshold needs both"
        )
    counts = np.bincount(rank, minlength=len(distinct))
    hits = np.cumsum(np.bincount(rank, weights=tuning.label, minlength=len(distinct)))
    alarms = np.cumsum(counts)
    match aim:
        # Of the thresholds that find enough events, the one with the fewest alarms.
        case "sensitivity":
            sensitivity = check_target(aim, target)
            merit = -np.where(hits >= sensitivity * events - 1e-9, alarms, np.inf)
            reason = f"sensitivity of at least {sensitivity:g} on tuning data"
        case "f1":
            merit = 2 * hits / (alarms + events)
            reason = "largest F1 on tuning data"
        # Missed events times their price plus false alarms, both counted on the validation set.
        case "cost_ratio":
            ratio = check_target(aim, target)
            merit = -(ratio * (events - hits) + alarms - hits)
            reason = f"least cost on tuning data, a missed event costing {ratio:g} false alarms"
        case "youden":
            merit = hits * non_events - (alarms - hits) * events  # whole numbers: ties are ties
            reason = "largest sensitivity plus specificity on tuning data"
        case _:
            raise SettingError(
                f"unknown aim '{aim}' for a threshold: expected one of {', '.join(get_args(Aim))}"
            )
    return Threshold(float(-distinct[np.argmax(merit)]), reason)


RATES = ("sensitivity", "specificity", "precision", "negative_value", "f1", "alarm_rate")
"""The numbers of a threshold: ``negative_value`` is the share of examples without an alarm that are
not events, ``alarm_rate`` the alarms per example."""


def operation(predictions: Predictions, threshold: Threshold) -> Statistic:
    """Return the ``RATES`` at a threshold, in order, as a function of the groups' weights."""
    alarm, is_event = predictions.score >= threshold.value, predictions.label == 1
    group = predictions.group_index
    hit = np.stack([alarm, ~alarm, is_event, ~is_event], axis=1)
    among = np.stack([is_event, ~is_event, alarm, ~alarm], axis=1)
    f1 = statistic.ratio(2 * (alarm & is_event), alarm.astype(np.int64) + is_event, group)
    rate = statistic.share(alarm, np.ones_like(alarm), group)
    return statistic.stacked([statistic.share(hit, among, group), f1, rate])


@dataclass(frozen=True)
class NetBenefit:
    """A decision curve (Vickers & Elkin 2006), in true positives per example.

    Attributes:
        threshold: float64 (threshold,): the threshold probability, which sets the cost of a false
            alarm: threshold / (1 - threshold) of a true positive.
        model: Net benefit of acting on the model, with its interval.
        treat_all: float64 (threshold,): net benefit of acting on all. Acting on none has 0.
    """

    threshold: NDArray[np.float64]
    model: tuple[Estimate, ...]
    treat_all: NDArray[np.float64]

    def where(self, allowed: NDArray[np.bool_]) -> "NetBenefit":
        """Leave out the model's benefit (NaN) at all other thresholds."""
        pairs = zip(self.model, allowed.tolist(), strict=True)
        model = [benefit if stays else Estimate(np.nan, None) for benefit, stays in pairs]
        return replace(self, model=tuple(model))


def net_benefit(
    predictions: Predictions,
    rng: np.random.Generator,
    *,
    thresholds: NDArray[np.float64] | None = None,
    how: Bootstrap = DEFAULT,
) -> NetBenefit:
    """Compute the net benefit over a range of thresholds, 0.01 to 0.99 by default."""
    at = np.arange(1, 100) / 100 if thresholds is None else np.asarray(thresholds)
    if not ((at > 0) & (at < 1)).all():
        raise SettingError("thresholds of a decision curve must be between 0 and 1")
    # A false alarm costs the odds of the threshold in true positives.
    alarm = predictions.score[:, None] >= at
    is_event = (predictions.label == 1)[:, None]
    price = at / (1 - at)
    model = statistic.mean(alarm * np.where(is_event, 1.0, -price), predictions.group_index)
    frequency = float(is_event.mean())
    return NetBenefit(
        threshold=at,
        model=tuple(estimates(model, rng, how)),
        treat_all=frequency - (1 - frequency) * price,
    )
