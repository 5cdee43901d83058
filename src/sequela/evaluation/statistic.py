"""A metric as a function of the groups' weights, and these: resamples, or one group left out.

A bootstrap draws groups (subjects, recordings) with replacement, so a resample is a weight for each
group: the number of times it was drawn. Metrics that are ratios of sums become products of a matrix
of weights with the sums of each group; those on ranks become cumulated sums over sorted scores. A
paired comparison is one statistic minus another, under the same weights.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array

Weighted = Callable[[NDArray[np.float64]], NDArray[np.float64]]
_CHUNK = 100  # resamples that are drawn at once: they fit a processor's cache
_JACKKNIFE_BLOCKS = 500  # blocks of groups that are left out one after the other, at most
# The last counts, and the state of the generator after them, by what they were drawn from.
_last_drawn: dict[object, tuple[NDArray[np.uint8], Mapping[str, Any]]] = {}


@dataclass(frozen=True)
class Statistic:
    """One number, or several, as a function of the groups' weights.

    Attributes:
        value: From weights (resample, group) to (resample,) or (resample, number), NaN where a
            resample leaves a number undefined.
        n_groups: Number of groups.
        trials: Number of groups behind each number that is a probability, for intervals at exactly
            0 or 1, and 0 for other numbers: (number,). ``None`` if none is a probability.
    """

    value: Weighted
    n_groups: int
    trials: tuple[int, ...] | None = None

    def __call__(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Compute the values under weights (resample, group)."""
        return self.value(weights)

    @property
    def estimate(self) -> NDArray[np.float64]:
        """The values where each group counts once: () or (number,)."""
        return np.asarray(self.value(np.ones((1, self.n_groups)))[0])


def ratio(numerator: ArrayLike, denominator: ArrayLike, group: NDArray[np.int64]) -> Statistic:
    """Divide sums of the examples' numerators by sums of their denominators.

    Both are (example,) or, for several numbers, (example, number); group is int64 (example,).
    """
    # Summed by group once, so that resamples are products of small matrices.
    over, under = _sum_by_group(numerator, group), _sum_by_group(denominator, group)

    def value(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        with np.errstate(invalid="ignore"):
            quotient: NDArray[np.float64] = (weights @ over) / (weights @ under)
        return quotient

    return Statistic(value, len(over))


def mean(values: ArrayLike, group: NDArray[np.int64]) -> Statistic:
    """Compute means over the examples of (example,) or (example, number)."""
    return ratio(values, np.ones_like(values, dtype=np.float64), group)


def share(hit: NDArray[np.bool_], among: NDArray[np.bool_], group: NDArray[np.int64]) -> Statistic:
    """Compute shares of the examples ``among`` that are a ``hit``: bool (example,[ number])."""
    quotient = ratio(hit & among, among, group)
    # A group without such examples cannot show a hit, so it is not a trial of the exact interval.
    present = np.atleast_2d(_sum_by_group(among, group).T > 0)
    return Statistic(quotient.value, quotient.n_groups, tuple(present.sum(axis=1).tolist()))


def _sum_by_group(values: ArrayLike, group: NDArray[np.int64]) -> NDArray[np.float64]:
    values = np.asarray(values, dtype=np.float64)
    sums = np.zeros((int(group.max()) + 1, *values.shape[1:]))
    np.add.at(sums, group, values)
    return sums


def auroc(
    positive: NDArray[np.bool_],
    score: NDArray[np.floating],
    group: NDArray[np.int64],
    weight: NDArray[np.float64] | None = None,
) -> Statistic:
    """Compute the area under the receiver operating characteristic; ties count half.

    ``weight`` is that of each example, (example,), 1 by default.
    """
    sums_at = sums_at_scores(positive, coarse(positive, score), group, weight)

    def value(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        positives, negatives = sums_at(weights)  # (score, resample), ascending
        # A positive outranks the negatives at lower scores, and half of those at its own.
        below = np.cumsum(negatives, axis=0)
        pairs = positives.sum(axis=0) * below[-1]
        below -= negatives / 2
        with np.errstate(invalid="ignore"):
            area: NDArray[np.float64] = np.einsum("sr,sr->r", positives, below) / pairs
        return area

    if weight is None:
        return Statistic(value, int(group.max()) + 1, (_scarcest(positive, group),))
    counted = weight > 0
    return Statistic(value, int(group.max()) + 1, (_scarcest(positive[counted], group[counted]),))


def average_precision(
    positive: NDArray[np.bool_], score: NDArray[np.floating], group: NDArray[np.int64]
) -> Statistic:
    """Compute the precision at each distinct score, weighted by the recall gained there."""
    sums_at = sums_at_scores(positive, -coarse(positive, score), group)

    def value(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        positives, negatives = sums_at(weights)  # (score, resample), descending
        # Hits and alarms at or above each score give its precision; only events gain recall there.
        hits = np.cumsum(positives, axis=0)
        flagged = np.cumsum(negatives, axis=0)
        flagged += hits
        precision = np.divide(hits, flagged, out=np.zeros_like(hits), where=flagged > 0)
        with np.errstate(invalid="ignore"):
            area: NDArray[np.float64] = np.einsum("sr,sr->r", positives, precision) / hits[-1]
        return area

    return Statistic(value, int(group.max()) + 1, (_scarcest(positive, group),))


def coarse(positive: NDArray[np.bool_], score: NDArray[np.floating]) -> NDArray[np.int64]:
    """Give negatives between the scores of two positives one score, as no area ranks them."""
    # An AUROC only compares negatives with positives. Between two positives all negatives are
    # equal, so a million scores become as many as there are events.
    at = np.unique(score[positive])
    return np.searchsorted(at, score, side="left") + np.searchsorted(at, score, side="right")


def _scarcest(positive: NDArray[np.bool_], group: NDArray[np.int64]) -> int:
    """Count the groups with positives, or with negatives, whichever are fewer."""
    return min(len(np.unique(group[positive])), len(np.unique(group[~positive])))


def sums_at_scores(
    positive: NDArray[np.bool_],
    score: NDArray[np.number],
    group: NDArray[np.int64],
    weight: NDArray[np.float64] | None = None,
) -> Callable[[NDArray[np.float64]], tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Return a function that sums weights of positives and negatives at each distinct score.

    It takes weights (resample, group), and returns two arrays (score, resample), the scores
    ascending. The arguments are (example,), ``group`` the index of the group, ``weight`` 1 by
    default.
    """
    distinct, rank = np.unique(score, return_inverse=True)
    shape = (len(distinct), int(group.max()) + 1)

    def counts(examples: NDArray[np.bool_]) -> csr_array:
        ones = np.ones(int(examples.sum())) if weight is None else weight[examples]
        return csr_array((ones, (rank[examples], group[examples])), shape=shape)

    # Each example adds to one score and one group, so most sums are zero and not stored.
    of_positives, of_negatives = counts(positive), counts(~positive)

    def sums(weights: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        columns = np.ascontiguousarray(weights.T)
        return of_positives @ columns, of_negatives @ columns

    return sums


def difference(first: Statistic, second: Statistic) -> Statistic:
    """Subtract ``second`` from ``first`` on the same resamples, for a paired bootstrap."""
    return Statistic(lambda weights: first(weights) - second(weights), first.n_groups)


def stacked(statistics: Sequence[Statistic]) -> Statistic:
    """Stack the numbers of several statistics on the same groups into one statistic."""

    def value(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        rows = len(weights)
        return np.concatenate([number(weights).reshape(rows, -1) for number in statistics], axis=1)

    trials: list[int] = []
    for number in statistics:
        trials += number.trials or np.zeros(number.estimate.size, np.int64).tolist()
    return Statistic(value, statistics[0].n_groups, tuple(trials))


def class_strata(label: NDArray[np.int64], group: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the class of each group, int64 (group,), for drawing within classes.

    Label and group are int64 (example,). Groups of several classes are drawn among those of the
    same classes. A stratum with a single group joins the largest: one group alone cannot vary.
    """
    classes = np.zeros((int(group.max(initial=-1)) + 1, int(label.max(initial=0)) + 1), np.bool_)
    classes[group, label] = True
    stratum = np.unique(classes[:, ::-1], axis=0, return_inverse=True)[1]  # sorted by class
    size = np.bincount(stratum)
    stratum[size[stratum] == 1] = size.argmax()
    return np.unique(stratum, return_inverse=True)[1]


def resampled_weights(
    stratum: NDArray[np.int64], resamples: int, rng: np.random.Generator
) -> Iterator[NDArray[np.float64]]:
    """Draw weights of the groups in bootstrap resamples, in chunks of (resample, group).

    For a stratum of n groups, n - 1 are drawn with replacement and count n / (n - 1) each. The last
    draws are kept: all metrics and models of a study are evaluated on the same resamples.
    """
    # The same strata, number and state of the generator give the same draws, so they are reused.
    key = (stratum.tobytes(), resamples, repr(rng.bit_generator.state))
    counts, state = _last_drawn.get(key, (None, {}))
    if counts is None:
        counts, state = _counts(stratum, resamples, rng), rng.bit_generator.state
        _last_drawn.clear()
        _last_drawn[key] = counts, state
    rng.bit_generator.state = state
    size = np.bincount(stratum)[stratum]
    for start in range(0, resamples, _CHUNK):
        # With n draws the variance would be too small by (n - 1) / n (Rao and Wu 1988).
        yield counts[start : start + _CHUNK] * (size / (size - 1))


def _counts(
    stratum: NDArray[np.int64], resamples: int, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Draw how often each group is in each resample: (resample, group), never above 255."""
    counts = np.empty((resamples, len(stratum)), np.uint8)
    members = [np.flatnonzero(stratum == index) for index in range(int(stratum.max()) + 1)]
    for start in range(0, resamples, _CHUNK):
        rows = min(_CHUNK, resamples - start)
        for groups in members:
            size = len(groups)
            draws = rng.integers(size, size=(rows, size - 1))
            # Each resample counts in its own range of numbers, so that one bincount does for all.
            draws += np.arange(rows)[:, None] * size
            times = np.bincount(draws.ravel(), minlength=rows * size)
            counts[start : start + rows, groups] = times.reshape(rows, size)
    return counts


def jackknife_weights(stratum: NDArray[np.int64]) -> Iterator[NDArray[np.float64]]:
    """Return weights that leave out one group after the other: chunks of (left out, group).

    The rest of its stratum makes up for it. Where there are more than 500 groups, they are left out
    in 500 blocks, which include all strata equally: the resulting skewness stays the same, because
    blocks are less skewed as they are fewer.
    """
    n_groups = len(stratum)
    block = np.empty(n_groups, dtype=np.int64)
    n_blocks = min(n_groups, _JACKKNIFE_BLOCKS)
    block[np.argsort(stratum, kind="stable")] = np.arange(n_groups) % n_blocks
    belongs = (stratum[:, None] == np.unique(stratum)).astype(np.float64)  # (group, stratum)
    size = belongs.sum(axis=0)
    for start in range(0, n_blocks, _CHUNK):
        left_out = np.arange(start, min(start + _CHUNK, n_blocks))
        # The total weight of a stratum stays, and with it the share of its class.
        remaining = (block != left_out[:, None]).astype(np.float64)
        yield remaining * (size / (remaining @ belongs))[:, stratum]
