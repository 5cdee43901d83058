"""External validation: the difference between populations, and learning from new data."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sequela.evaluation.intervals import Estimate, Interval
from sequela.evaluation.metrics import log_loss
from sequela.evaluation.predictions import Predictions

SIZES = (10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000)
"""The numbers of new people in a learning curve."""
DRAWS = 10  # orders of the new people, over which a learning curve is a mean
_MIDDLE = (0.1, 0.9)  # quantiles of the losses of the draws that bound a learning curve

Way = Callable[[NDArray[np.int64]], Predictions | None]
"""A function from the rows of new people to predictions for the evaluated rows, after learning from
the new rows; ``None`` where they are too few to learn from."""


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


@dataclass(frozen=True)
class Learnt:
    """The mean log loss on other new people after learning from some, with outer tenths."""

    people: int
    loss: float
    low: float
    high: float


def person(predictions: Predictions) -> NDArray[np.str_]:
    """Return the person of each example, or the recording where unknown: str (example,)."""
    identified = (predictions.subject_id != "").all()
    return predictions.subject_id if identified else predictions.group_id


def half_of_people(whose: NDArray[np.str_], rng: np.random.Generator) -> NDArray[np.bool_]:
    """Draw a random half of the people: bool (example,), true for all their examples."""
    everybody = np.unique(whose)
    # By person, so that nobody is both learnt from and evaluated on.
    return np.isin(whose, rng.permutation(everybody)[: len(everybody) // 2])


def learning_curve(
    whose: NDArray[np.str_],
    rows: NDArray[np.int64],
    ways: Mapping[str, Way],
    rng: np.random.Generator,
    *,
    draws: int = DRAWS,
) -> dict[str, list[Learnt]]:
    """Evaluate models that learn from more and more new people, all drawn from ``rows``.

    ``whose`` is the person of every example, (example,). Each of the ``draws`` is an order of the
    people, of which the first so many are used. There is a curve for each way of learning, from few
    people to all; a number is left out where more than half of its draws are too few to learn from.
    """
    everybody = np.unique(whose[rows])
    # Steps of about two, as what one more patient adds shrinks with the number that are there.
    sizes = [size for size in SIZES if size < len(everybody)] + [len(everybody)]
    orders = [rng.permutation(everybody) for _ in range(draws)]
    curves: dict[str, list[Learnt]] = {name: [] for name in ways}
    for size in sizes:
        # All of them are the same people in each draw.
        different = orders[:1] if size == len(everybody) else orders
        samples = [rows[np.isin(whose[rows], order[:size])] for order in different]
        for name, way in ways.items():
            learnt = [way(sample) for sample in samples]
            losses = [log_loss(predictions) for predictions in learnt if predictions is not None]
            if 2 * len(losses) > len(samples):
                low, high = np.quantile(losses, _MIDDLE).tolist()
                curves[name].append(Learnt(size, float(np.mean(losses)), low, high))
    return curves
