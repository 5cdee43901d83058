"""How sure a number is: intervals from a bootstrap over groups.

Examples of one subject (segments of one recording) are alike, so whole groups are drawn. Each
resample draws n - 1 of a stratum's n groups with replacement and scales their weights by
n / (n - 1) (Rao & Wu 1988), which keeps the variance unbiased where a stratum has few groups. The
percentiles are taken a little further out, by Student's t (Hesterberg 2015), and, for BCa,
corrected for bias and skewness (Efron 1987). ``benchmarks/interval_coverage.py`` measures how often
the result holds the truth.
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

Method = Literal["percentile", "bca"]

_CHUNK = 100  # resamples drawn at once: what they need fits a processor's cache
_JACKKNIFE_BLOCKS = 500
_RARE = 10


@dataclass(frozen=True)
class Interval:
    """A confidence interval and how it was made.

    Attributes:
        low: Lower bound.
        high: Upper bound.
        level: Confidence, for example 0.95.
        method: In words, to stand beside the number.
        resamples: Bootstrap resamples that it rests on; 0 where a formula gave it.
        n_groups: Subjects or recordings that it rests on.
    """

    low: float
    high: float
    level: float
    method: str
    resamples: int
    n_groups: int


@dataclass(frozen=True)
class Resampling:
    """What is resampled, and how.

    Attributes:
        stratum: int64 (group,): groups are drawn within their stratum.
        described: How the strata were chosen, for the interval's ``method``.
    """

    stratum: NDArray[np.int64]
    described: str


def resampling(label: NDArray[np.int64], group: NDArray[np.int64]) -> Resampling:
    """How the groups of these examples should be resampled.

    By class, if each group has one class (as recordings do). Otherwise, if a class occurs in fewer
    than ten groups, groups that hold it and groups that do not. Otherwise not stratified. A stratum
    of a single group joins the largest.

    Args:
        label: int64 (example,).
        group: int64 (example,): index of its group.

    Raises:
        DataError: If there are fewer than two groups.
    """
    n_groups = int(group.max(initial=-1)) + 1
    if n_groups < 2:  # noqa: PLR2004
        raise DataError(f"there are {n_groups} groups: an interval needs two subjects or more")
    holds = np.zeros((n_groups, int(label.max()) + 1), dtype=bool)
    holds[group, label] = True
    groups_of_class = holds.sum(axis=0)
    if (holds.sum(axis=1) == 1).all():
        stratum, described = holds.argmax(axis=1), "groups stratified by class"
    elif groups_of_class[groups_of_class > 0].min() < _RARE:
        rarest = np.where(groups_of_class > 0, groups_of_class, n_groups + 1).argmin()
        stratum, described = holds[:, rarest], "groups stratified by the rarest class"
    else:
        stratum, described = np.zeros(n_groups), "groups"
    stratum = np.unique(stratum, return_inverse=True)[1]
    size = np.bincount(stratum)
    stratum[size[stratum] == 1] = size.argmax()
    return Resampling(np.unique(stratum, return_inverse=True)[1], described)


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


def bootstrap(
    statistic: Statistic, sampling: Resampling, *, resamples: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """The statistic on bootstrap resamples: float64 (resample, ...)."""
    return np.concatenate(
        [statistic(weights) for weights in resampled_weights(sampling.stratum, resamples, rng)]
    )


def interval(
    statistic: Statistic,
    sampling: Resampling,
    rng: np.random.Generator,
    *,
    level: float = 0.95,
    resamples: int = 2_000,
    method: Method = "bca",
) -> Interval:
    """A confidence interval of a statistic, from a bootstrap over groups.

    Where all resamples are 0, or all are 1, a bootstrap says nothing: the exact binomial bound over
    the groups that the number rests on is given instead.

    Raises:
        DataError: If the statistic is undefined on more than half of the resamples.
    """
    values = bootstrap(statistic, sampling, resamples=resamples, rng=rng)
    values = values[~np.isnan(values)]
    n_groups = len(sampling.stratum)
    if len(values) < resamples / 2:
        raise DataError(
            f"the number is undefined on {resamples - len(values)} of {resamples} resamples: "
            "too few groups hold what it needs for an interval"
        )
    estimate = float(statistic(np.ones((1, n_groups)))[0])
    if statistic.trials and np.ptp(values) == 0 and estimate in (0.0, 1.0):
        return _exact(estimate, statistic.trials, level)
    tails = _tails(level, n_groups - 1 - int(sampling.stratum.max()))
    if method == "bca":
        tails = _bca(tails, values, estimate, _acceleration(statistic, sampling))
    low, high = np.quantile(values, stats.norm.cdf(tails))
    return Interval(
        low=float(low),
        high=float(high),
        level=level,
        method=f"bootstrap of {sampling.described}, {'BCa' if method == 'bca' else method}",
        resamples=len(values),
        n_groups=n_groups,
    )


def metric_interval(
    name: str,
    predictions: Predictions,
    rng: np.random.Generator,
    *,
    level: float = 0.95,
    resamples: int = 2_000,
    method: Method = "bca",
) -> Interval:
    """The interval of a metric of :mod:`sequela.evaluation.metrics` by its name.

    Raises:
        UnknownNameError: If no metric has that name.
        DataError: If the metric or its interval cannot be had from these predictions.
    """
    return interval(
        of_metric(name, predictions),
        resampling(predictions.label, predictions.group_index),
        rng,
        level=level,
        resamples=resamples,
        method=method,
    )


def _tails(level: float, degrees: int) -> NDArray[np.float64]:
    """Normal quantiles of the two tails, widened for a small number of groups."""
    degrees = max(degrees, 1)
    tail = (1 - level) / 2
    return np.asarray(stats.t.ppf([tail, 1 - tail], degrees), dtype=np.float64)


def _bca(
    tails: NDArray[np.float64],
    values: NDArray[np.float64],
    estimate: float,
    acceleration: float,
) -> NDArray[np.float64]:
    """Tails corrected for the bias and the skewness of the resamples (Efron 1987)."""
    below = (np.sum(values < estimate) + np.sum(values == estimate) / 2) / len(values)
    shift = stats.norm.ppf(np.clip(below, 1 / len(values), 1 - 1 / len(values)))
    moved = shift + tails
    corrected: NDArray[np.float64] = shift + moved / (1 - acceleration * moved)
    return corrected


def _acceleration(statistic: Statistic, sampling: Resampling) -> float:
    """Skewness of the statistic over groups, from a jackknife (of blocks where there are many).

    Blocks change it little: leaving out m groups at once divides the skewness of one part by the
    root of m, and the number of parts by m.
    """
    n_groups = len(sampling.stratum)
    order = np.argsort(sampling.stratum, kind="stable")
    parts = min(n_groups, _JACKKNIFE_BLOCKS)
    weights = np.ones((parts, n_groups))
    weights[np.arange(n_groups) % parts, order] = 0  # each block takes from all strata
    values = statistic(weights)
    values = values[~np.isnan(values)]
    apart = values.mean() - values
    square = np.sum(apart**2)
    return float(np.sum(apart**3) / (6 * square**1.5)) if square > 0 else 0.0


def _exact(estimate: float, n_groups: int, level: float) -> Interval:
    """Clopper & Pearson (1934) with each group as one trial: all or none succeeded."""
    bound = ((1 - level) / 2) ** (1 / n_groups)
    return Interval(
        low=0.0 if estimate == 0 else bound,
        high=1.0 if estimate == 1 else 1 - bound,
        level=level,
        method="exact binomial over groups",
        resamples=0,
        n_groups=n_groups,
    )
