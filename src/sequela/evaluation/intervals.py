"""Confidence intervals from a bootstrap over groups.

Examples of one subject (segments of one recording) are alike, so whole groups are drawn. Each
resample draws n - 1 of a stratum's n groups with replacement and scales their weights by n / (n -
1), which keeps the variance unbiased where there are few (Rao & Wu 1988). The quantiles are those
of BCa (Efron 1987) or the plain percentiles, widened where the number depends on few groups: by
Student's t (Hesterberg 2015), its degrees of freedom from the kurtosis of the groups' influence
(O'Neill 2014). ``docs/evaluation.md`` has the coverage of such intervals.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from sequela.errors import DataError
from sequela.evaluation.metrics import statistic_of
from sequela.evaluation.predictions import Predictions
from sequela.evaluation.statistic import (
    Statistic,
    class_strata,
    jackknife_weights,
    resampled_weights,
)

Method = Literal["BCa", "percentile"]

_ROUNDING = 1e-12  # differences of numbers about 1 that are only rounding


@dataclass(frozen=True)
class Interval:
    """A confidence interval of a level, and its method in words, shown with the number.

    ``resamples`` is 0 for a formula; ``n_groups`` counts the resampled subjects or recordings.
    """

    low: float
    high: float
    level: float
    method: str
    resamples: int
    n_groups: int

    def method_record(self) -> dict[str, object]:
        """Return its level and method, as the files of a run have them."""
        return {
            "level": self.level,
            "method": self.method,
            "resamples": self.resamples,
            "groups": self.n_groups,
        }


@dataclass(frozen=True)
class Estimate:
    """A number, NaN where it is undefined, and its interval, if there are enough data for one."""

    value: float
    interval: Interval | None


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
class Bootstrap:
    """The settings of a bootstrap.

    Attributes:
        level: Confidence of the intervals.
        resamples: Number of resamples.
        method: ``BCa`` or ``percentile``.
        classes_fixed: Whether the makers of the data chose the number of groups of each class (Bonn
            has 100 recordings of each), so that it does not vary by chance: groups are then drawn
            within their class. Leave it out if subjects were not selected by class: an interval
            stratified by class would be too narrow for numbers that depend on class frequencies.
    """

    level: float = 0.95
    resamples: int = 2_000
    method: Method = "BCa"
    classes_fixed: bool = False


DEFAULT = Bootstrap()


@dataclass(frozen=True)
class Distribution:
    """One number on the bootstrap resamples that define it, with corrections for its quantiles.

    ``degrees`` are those of the t distribution that widens the tails. For BCa, ``shift`` is the
    bias of the resamples as a normal quantile, and ``acceleration`` the skewness over the groups;
    both are 0 for percentiles.
    """

    estimate: float
    values: NDArray[np.float64]
    degrees: float
    shift: float
    acceleration: float

    @classmethod
    def of(
        cls,
        estimate: float,
        values: NDArray[np.float64],
        left_out: NDArray[np.float64],
        method: Method,
    ) -> "Distribution | None":
        """Build the distribution from values on resamples and with one group left out at a time.

        ``None`` if more than half of the resamples leave the number undefined, or fewer than two
        groups can be left out.
        """
        defined = ~np.isnan(values)
        # If most resamples leave it undefined, the others are a biased selection.
        if np.isnan(estimate) or 2 * defined.sum() < len(values):
            return None
        values, left_out = values[defined], left_out[~np.isnan(left_out)]
        if len(left_out) < 2:  # noqa: PLR2004
            return None
        # The influence of a group is the change of the number without it.
        influence = left_out.mean() - left_out
        square = np.sum(influence**2)
        shift, acceleration = 0.0, 0.0
        if method == "BCa" and square > 0:
            # The share of resamples below the estimate, as a normal quantile, is the bias
            # correction of Efron (1987); the acceleration is the skewness of the influences divided
            # by 6.
            side = np.where(np.abs(values - estimate) < _ROUNDING, 0, np.sign(values - estimate))
            shift = _quantile_of(side, len(values))
            acceleration = float(np.sum(influence**3) / (6 * square**1.5))
        return cls(estimate, values, degrees_of_freedom(influence), shift, acceleration)

    def bounds(self, level: float) -> tuple[float, float]:
        """Return the interval (Efron 1987, equation 6.8, with t for the normal quantiles)."""
        tail = stats.t.isf((1 - level) / 2, self.degrees)
        # BCa moves both quantiles by twice the bias and stretches the tail of the skewed side.
        moved = self.shift + np.array([-tail, tail])
        room = 1 - self.acceleration * moved
        beyond = np.copysign(np.inf, moved)
        corrected = self.shift + np.divide(moved, room, out=beyond, where=room > 0)
        low, high = np.quantile(self.values, stats.norm.cdf(corrected)).tolist()
        return low, high

    def p_value(self, null: float = 0.0) -> float:
        """Return the two-sided p-value: 1 - the level at which ``null`` is a bound of the interval.

        The number of resamples limits how small it can be.
        """
        side = np.where(np.abs(self.values - null) < _ROUNDING, 0, np.sign(self.values - null))
        if not side.any():
            return 1.0
        # The inverse of ``bounds``: the level whose bound is ``null``.
        moved = _quantile_of(side, len(side)) - self.shift
        room = 1 + self.acceleration * moved
        tail = moved / room - self.shift if room > 0 else np.inf
        return max(float(2 * stats.t.sf(abs(tail), self.degrees)), 1 / (len(side) + 1))


def _quantile_of(side: NDArray[np.float64], count: int) -> float:
    """Return the normal quantile of the share of resamples below a value, from distance signs."""
    below = (1 - side.mean()) / 2  # ties count half
    return float(stats.norm.ppf(np.clip(below, 1 / (count + 1), count / (count + 1))))


def distributions(
    statistic: Statistic,
    rng: np.random.Generator,
    how: Bootstrap = DEFAULT,
    stratum: NDArray[np.int64] | None = None,
) -> list[Distribution | None]:
    """Compute the bootstrap distribution of each number of a statistic; as :func:`intervals`."""
    if statistic.n_groups < 2:  # noqa: PLR2004
        raise DataError(
            f"there are {statistic.n_groups} groups: an interval needs two subjects or more"
        )
    if stratum is None:
        stratum = np.zeros(statistic.n_groups, dtype=np.int64)
    if np.bincount(stratum).min() < 2:  # noqa: PLR2004
        raise DataError("a stratum has one group, which cannot vary: join it with another")
    # All numbers use the same draws, so that differences between them have no noise of their own.
    resampled = resampled_weights(stratum, how.resamples, rng)
    values = np.concatenate([statistic(weights) for weights in resampled])
    left_out = np.concatenate([statistic(weights) for weights in jackknife_weights(stratum)])
    point = np.atleast_1d(statistic.estimate).tolist()
    return [
        Distribution.of(*numbers, how.method)
        for numbers in zip(
            point,
            values.reshape(len(values), -1).T,
            left_out.reshape(len(left_out), -1).T,
            strict=True,
        )
    ]


def intervals(
    statistic: Statistic,
    rng: np.random.Generator,
    how: Bootstrap = DEFAULT,
    stratum: NDArray[np.int64] | None = None,
) -> list[Interval | None]:
    """Compute a confidence interval for each number of a statistic, from the same resamples.

    Groups are drawn within the strata, int64 (group,), or from all. A number has no interval if it
    is undefined on more than half of the resamples. Where all resamples are 0, or all are 1, a
    bootstrap is uninformative: a probability then has the exact binomial bound over its groups.
    """
    by_number = distributions(statistic, rng, how, stratum)
    trials = statistic.trials or [0 for _ in by_number]
    method = f"{how.method} bootstrap over groups{'' if stratum is None else ' within strata'}"
    return [
        None if number is None else _interval(number, n, statistic.n_groups, how.level, method)
        for number, n in zip(by_number, trials, strict=True)
    ]


def estimates(
    statistic: Statistic,
    rng: np.random.Generator,
    how: Bootstrap = DEFAULT,
    stratum: NDArray[np.int64] | None = None,
) -> list[Estimate]:
    """Return each number of a statistic with its interval; without, if there is one group."""
    values = np.atleast_1d(statistic.estimate).tolist()
    if statistic.n_groups < 2:  # noqa: PLR2004
        return [Estimate(value, None) for value in values]
    bounds = intervals(statistic, rng, how, stratum)
    return [Estimate(*number) for number in zip(values, bounds, strict=True)]


def interval(
    statistic: Statistic,
    rng: np.random.Generator,
    how: Bootstrap = DEFAULT,
    stratum: NDArray[np.int64] | None = None,
) -> Interval:
    """Compute the confidence interval of a statistic of one number; as :func:`intervals`."""
    (only,) = intervals(statistic, rng, how, stratum)
    if only is None:
        raise DataError(
            "the number is undefined on most resamples: too few groups hold the examples that it "
            "needs"
        )
    return only


def metric_interval(
    name: str, predictions: Predictions, rng: np.random.Generator, how: Bootstrap = DEFAULT
) -> Interval:
    """Compute the interval of a metric of :mod:`sequela.evaluation.metrics` by its name."""
    classes = class_strata(predictions.label, predictions.group_index)
    stratum = classes if how.classes_fixed else None
    return interval(statistic_of(name, predictions), rng, how, stratum)


def _interval(
    number: Distribution, trials: int, n_groups: int, level: float, method: str
) -> Interval:
    # Ten of ten right: each resample is ten of ten too, though the truth may be 0.7.
    at_bound = min(abs(number.estimate), abs(1 - number.estimate)) < _ROUNDING
    if trials and at_bound and np.ptp(number.values) < _ROUNDING:
        return exact_interval(round(number.estimate) * trials, trials, level)
    low, high = number.bounds(level)
    return Interval(low, high, level, method, len(number.values), n_groups)


def degrees_of_freedom(influence: NDArray[np.float64]) -> float:
    """Estimate the degrees of freedom of a variance from the influence (group,) on a number.

    They are n - 1 for normal influences. A few groups that determine most of a number (the few
    subjects who died) make the estimate of its variance as uncertain as a few draws would: 2n /
    (kurtosis - (n - 3) / (n - 1)), kept within 1 and n - 1 (O'Neill 2014, The American Statistician
    68, 282).
    """
    n_groups = len(influence)
    square = np.mean(influence**2)
    excess = np.mean(influence**4) - square**2 * (n_groups - 3) / (n_groups - 1)
    # Tails lighter than the normal distribution's give no more than n - 1.
    if excess <= 0:
        return n_groups - 1.0
    return float(np.clip(2 * n_groups * square**2 / excess, 1, n_groups - 1))


@lru_cache(maxsize=1 << 12)  # the points of a curve have few different counts
def exact_interval(successes: int, trials: int, level: float = 0.95) -> Interval:
    """Compute the interval of Clopper & Pearson (1934), with each group as one trial."""
    bounds = stats.binomtest(successes, trials).proportion_ci(level, method="exact")
    method = "exact binomial over groups"
    return Interval(float(bounds.low), float(bounds.high), level, method, 0, trials)
