"""How sure a number is: intervals from a bootstrap over groups.

Examples of one subject (segments of one recording) are alike, so whole groups are drawn. Each
resample draws n - 1 of a stratum's n groups with replacement and scales their weights by
n / (n - 1), which keeps the variance unbiased where there are few (Rao & Wu 1988). The quantiles
are those of BCa (Efron 1987) or the plain percentiles, taken further out where few groups carry the
number: by Student's t (Hesterberg 2015), its degrees of freedom from the kurtosis of the groups'
influence (O'Neill 2014). ``benchmarks/interval_coverage.py`` measures how often such an interval
holds the truth.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from sequela.errors import DataError
from sequela.evaluation.predictions import Predictions
from sequela.evaluation.statistic import Statistic, of_metric

Method = Literal["BCa", "percentile"]

_CHUNK = 100  # resamples drawn at once: what they need fits a processor's cache
_JACKKNIFE_BLOCKS = 500
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Interval:
    """A confidence interval and how it was made.

    Attributes:
        low: Lower bound.
        high: Upper bound.
        level: Confidence, for example 0.95.
        method: In words, to stand beside the number.
        resamples: Bootstrap resamples that it rests on; 0 where a formula gave it.
        n_groups: Subjects or recordings that were resampled.
    """

    low: float
    high: float
    level: float
    method: str
    resamples: int
    n_groups: int


@dataclass(frozen=True)
class Bootstrap:
    """How to resample: everything but the numbers themselves.

    Attributes:
        level: Confidence of the intervals.
        resamples: How many resamples.
        method: ``BCa`` or ``percentile``.
        classes_fixed: Whether the number of groups of each class was chosen by whoever made the
            data (Bonn has 100 recordings of each), so that chance does not vary it: groups are then
            drawn within their class. Leave it out where subjects came as they came: an interval
            stratified by class would be too narrow for whatever depends on how frequent a class is.
    """

    level: float = 0.95
    resamples: int = 2_000
    method: Method = "BCa"
    classes_fixed: bool = False


DEFAULT = Bootstrap()


def class_strata(label: NDArray[np.int64], group: NDArray[np.int64]) -> NDArray[np.int64]:
    """The class of each group, int64 (group,), for drawing within classes.

    A class with a single group joins the largest: one group alone cannot vary.

    Args:
        label: int64 (example,).
        group: int64 (example,): index of its group.

    Raises:
        DataError: If a group holds examples of two classes.
    """
    stratum = np.zeros(int(group.max(initial=-1)) + 1, dtype=np.int64)
    stratum[group] = label
    if not np.array_equal(stratum[group], label):
        raise DataError(
            "a group holds examples of two classes: groups cannot be drawn within their class"
        )
    stratum = np.unique(stratum, return_inverse=True)[1]
    size = np.bincount(stratum)
    stratum[size[stratum] == 1] = size.argmax()
    return np.unique(stratum, return_inverse=True)[1]


def resampled_weights(
    stratum: NDArray[np.int64], resamples: int, rng: np.random.Generator
) -> Iterator[NDArray[np.float64]]:
    """Weights of the groups in bootstrap resamples, in chunks of (resample, group).

    Of a stratum's n groups, n - 1 are drawn with replacement and count n / (n - 1) each.
    """
    members = [np.flatnonzero(stratum == one) for one in range(int(stratum.max()) + 1)]
    for start in range(0, resamples, _CHUNK):
        rows = min(_CHUNK, resamples - start)
        weights = np.empty((rows, len(stratum)))
        for groups in members:
            size = len(groups)
            drawn = rng.integers(size, size=(rows, size - 1))
            drawn += np.arange(rows)[:, None] * size
            counts = np.bincount(drawn.ravel(), minlength=rows * size).reshape(rows, size)
            weights[:, groups] = counts * (size / (size - 1))
        yield weights


def jackknife_weights(stratum: NDArray[np.int64]) -> Iterator[NDArray[np.float64]]:
    """Weights of the groups when one after the other is left out: chunks of (left out, group).

    The rest of its stratum makes up for it. Where there are more than 500 groups, they are left out
    in 500 blocks, which take from all strata alike: the skewness that follows stays the same,
    because blocks are less skewed as they are fewer.
    """
    n_groups = len(stratum)
    block = np.empty(n_groups, dtype=np.int64)
    n_blocks = min(n_groups, _JACKKNIFE_BLOCKS)
    block[np.argsort(stratum, kind="stable")] = np.arange(n_groups) % n_blocks
    belongs = (stratum[:, None] == np.unique(stratum)).astype(np.float64)  # (group, stratum)
    size = belongs.sum(axis=0)
    for start in range(0, n_blocks, _CHUNK):
        left_out = np.arange(start, min(start + _CHUNK, n_blocks))
        kept = (block != left_out[:, None]).astype(np.float64)
        yield kept * (size / (kept @ belongs))[:, stratum]


def intervals(
    statistic: Statistic,
    rng: np.random.Generator,
    how: Bootstrap = DEFAULT,
    stratum: NDArray[np.int64] | None = None,
) -> list[Interval | None]:
    """A confidence interval for each number of a statistic, from the same resamples.

    Where all resamples are 0, or all are 1, a bootstrap says nothing: a chance then has the exact
    binomial bound over the groups that it rests on.

    Args:
        statistic: With one number or several.
        rng: Draws the resamples.
        how: Level, resamples and method.
        stratum: int64 (group,): groups are drawn within it; ``None`` draws from all.

    Returns:
        One for each number, ``None`` where it is undefined on more than half of the resamples.

    Raises:
        DataError: If there are fewer than two groups.
    """
    n_groups = statistic.n_groups
    if n_groups < 2:  # noqa: PLR2004
        raise DataError(f"there are {n_groups} groups: an interval needs two subjects or more")
    method = f"{how.method} bootstrap over groups{'' if stratum is None else ' within classes'}"
    if stratum is None:
        stratum = np.zeros(n_groups, dtype=np.int64)
    drawn = [statistic(weights) for weights in resampled_weights(stratum, how.resamples, rng)]
    without = [statistic(weights) for weights in jackknife_weights(stratum)]
    values, left_out = (_columns(np.concatenate(parts)) for parts in (drawn, without))
    estimates = np.atleast_1d(statistic.estimate).tolist()
    trials = statistic.trials or (None,) * len(estimates)
    return [
        _interval(one, estimate, left, tried, how, (method, n_groups))
        for one, estimate, left, tried in zip(values, estimates, left_out, trials, strict=True)
    ]


def interval(
    statistic: Statistic,
    rng: np.random.Generator,
    how: Bootstrap = DEFAULT,
    stratum: NDArray[np.int64] | None = None,
) -> Interval:
    """The confidence interval of a statistic of one number; as :func:`intervals`.

    Raises:
        DataError: If there are fewer than two groups, or the number is undefined on more than half
            of the resamples.
    """
    return _only(intervals(statistic, rng, how, stratum))


def metric_intervals(
    name: str, predictions: Predictions, rng: np.random.Generator, how: Bootstrap = DEFAULT
) -> list[Interval | None]:
    """Intervals of a metric of :mod:`sequela.evaluation.metrics` by its name.

    All metrics have one, but ``per_class_recall`` has one for each class.

    Raises:
        UnknownNameError: If no metric has that name.
        DataError: If the metric or its interval cannot be had from these predictions.
    """
    stratum = None
    if how.classes_fixed:
        stratum = class_strata(predictions.label, predictions.group_index)
    return intervals(of_metric(name, predictions), rng, how, stratum)


def metric_interval(
    name: str, predictions: Predictions, rng: np.random.Generator, how: Bootstrap = DEFAULT
) -> Interval:
    """The interval of a metric of one number by its name; as :func:`metric_intervals`.

    Raises:
        UnknownNameError: If no metric has that name.
        DataError: If the metric or its interval cannot be had from these predictions.
    """
    return _only(metric_intervals(name, predictions, rng, how))


def _only(found: list[Interval | None]) -> Interval:
    (only,) = found
    if only is None:
        raise DataError(
            "the number is undefined on most resamples: too few groups hold what it needs"
        )
    return only


def _columns(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """From (row,) or (row, number) to (number, row)."""
    return rows.reshape(len(rows), -1).T


def _interval(
    values: NDArray[np.float64],
    estimate: float,
    left_out: NDArray[np.float64],
    trials: int | None,
    how: Bootstrap,
    origin: tuple[str, int],
) -> Interval | None:
    """The interval of one number from its resamples, its jackknife and (method, groups)."""
    defined = values[~np.isnan(values)]
    if len(defined) < how.resamples / 2:
        return None
    if trials and np.ptp(defined) < _ROUNDING and min(estimate, 1 - estimate) < _ROUNDING:
        return _exact(estimate, trials, how.level)
    left_out = left_out[~np.isnan(left_out)]
    influence = left_out.mean() - left_out
    tail = (1 - how.level) / 2
    tails = np.array([-1, 1]) * stats.t.isf(tail, degrees_of_freedom(influence))
    if how.method == "BCa":
        tails = _bca(tails, defined, estimate, influence)
    low, high = np.quantile(defined, stats.norm.cdf(tails)).tolist()
    return Interval(low, high, how.level, origin[0], len(defined), origin[1])


def degrees_of_freedom(influence: NDArray[np.float64]) -> float:
    """How many groups' worth of evidence a variance is, less one: n - 1 for normal influences.

    A few groups that carry most of a number (the few subjects who died) make the estimate of its
    variance as uncertain as a few draws would: 2n / (kurtosis - (n - 3) / (n - 1)), kept within 1
    and n - 1 (O'Neill 2014, The American Statistician 68, 282).

    Args:
        influence: (group,): what each group adds to the number, with mean 0.
    """
    n_groups = len(influence)
    square = np.mean(influence**2)
    excess = np.mean(influence**4) - square**2 * (n_groups - 3) / (n_groups - 1)
    if excess <= 0:
        return n_groups - 1.0
    return float(np.clip(2 * n_groups * square**2 / excess, 1, n_groups - 1))


def _bca(
    tails: NDArray[np.float64],
    values: NDArray[np.float64],
    estimate: float,
    influence: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Normal quantiles of the tails, corrected for bias and skewness (Efron 1987)."""
    square = np.sum(influence**2)
    acceleration = np.sum(influence**3) / (6 * square**1.5) if square > 0 else 0.0
    side = np.where(np.abs(values - estimate) < _ROUNDING, 0, np.sign(values - estimate))
    below = (1 - side.mean()) / 2  # ties count half
    shift = stats.norm.ppf(np.clip(below, 1 / len(values), 1 - 1 / len(values)))
    moved = shift + tails
    room = 1 - acceleration * moved
    beyond = np.copysign(np.inf, moved)
    return np.asarray(shift + np.divide(moved, room, out=beyond, where=room > 0))


def _exact(estimate: float, trials: int, level: float) -> Interval:
    """Clopper & Pearson (1934) with each group as one trial: all or none succeeded."""
    bound = ((1 - level) / 2) ** (1 / trials)
    low, high = (0.0, 1 - bound) if round(estimate) == 0 else (bound, 1.0)
    return Interval(low, high, level, "exact binomial over groups", 0, trials)
