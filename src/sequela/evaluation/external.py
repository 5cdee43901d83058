"""External validation: the difference between populations."""

import numpy as np
from numpy.typing import NDArray

from sequela.evaluation.intervals import Estimate, Interval
from sequela.evaluation.predictions import Predictions


def difference(first: Estimate, second: Estimate) -> Estimate:
    """Compute ``first`` minus ``second`` of different people, with an interval from both.

    The method of variance estimates recovery (Zou & Donner 2008, Statistics in Medicine 27, 1693):
    it needs no resampling, and keeps intervals that are not symmetric.

    Example:
        >>> def within(value, low, high):
        ...     return Estimate(value, Interval(low, high, 0.95, "", 0, 0))
        >>> estimate = difference(within(0.7, 0.6, 0.8), within(0.8, 0.77, 0.84))
        >>> interval = estimate.interval
        >>> round(estimate.value, 3), round(interval.low, 3), round(interval.high, 3)
        (-0.1, -0.208, 0.004)
    """
    value = first.value - second.value
    if first.interval is None or second.interval is None:
        return Estimate(value, None)
    a, b = first.interval, second.interval
    # The distance from the estimate to each bound stands for its standard error on that side.
    low = value - np.hypot(first.value - a.low, b.high - second.value)
    high = value + np.hypot(a.high - first.value, second.value - b.low)
    method = "from both intervals (Zou and Donner 2008)"
    return Estimate(value, Interval(float(low), float(high), a.level, method, 0, a.n_groups))


def person(predictions: Predictions) -> NDArray[np.str_]:
    """Return the person of each example, or the recording where unknown: str (example,)."""
    identified = (predictions.subject_id != "").all()
    return predictions.subject_id if identified else predictions.group_id
