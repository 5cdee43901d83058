"""The comparison of two models on the same examples, paired; AUROC with DeLong's variance."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from sequela.errors import DataError, SplitError
from sequela.evaluation import statistic
from sequela.evaluation.intervals import DEFAULT, Bootstrap, Interval, distributions
from sequela.evaluation.metrics import statistic_of
from sequela.evaluation.predictions import Predictions
from sequela.evaluation.statistic import Statistic, class_strata


@dataclass(frozen=True)
class Difference:
    """The first model's metric minus the second's, with a two-sided p-value of no difference."""

    value: float
    interval: Interval
    p_value: float


def paired_difference(
    name: str,
    first: Predictions,
    second: Predictions,
    rng: np.random.Generator,
    how: Bootstrap = DEFAULT,
) -> Difference:
    """Compute the difference of a metric, both models resampled together over groups."""
    second = aligned(first, second)
    # What is hard for both models cancels in each resample.
    paired = statistic.difference(statistic_of(name, first), statistic_of(name, second))
    stratum = class_strata(first.label, first.group_index) if how.classes_fixed else None
    return difference_of(name, paired, rng, how, stratum)


def difference_of(
    name: str,
    paired: Statistic,
    rng: np.random.Generator,
    how: Bootstrap = DEFAULT,
    stratum: NDArray[np.int64] | None = None,
) -> Difference:
    """Compute the difference of one number, from the statistic of one model minus the other's."""
    by_number = distributions(paired, rng, how, stratum)
    if len(by_number) != 1 or (only := by_number[0]) is None:
        raise DataError(
            f"{name} is not defined on these predictions, so it has no difference: "
            "choose another metric"
        )
    method = f"paired {how.method} bootstrap over groups"
    if how.classes_fixed:
        method += " within strata"
    low, high = only.bounds(how.level)
    interval = Interval(low, high, how.level, method, len(only.values), paired.n_groups)
    return Difference(only.estimate, interval, only.p_value())


def paired_delong(first: Predictions, second: Predictions, level: float = 0.95) -> Difference:
    """Compute the difference of two AUROCs by DeLong's covariance."""
    second = aligned(first, second)
    scores = np.stack([first.score, second.score], axis=1)
    pair = areas(first.label == 1, scores, first.group_index)
    # The variance of a difference: both variances minus twice the covariance.
    contrast = np.array([1.0, -1.0])
    value = float(contrast @ pair.area)
    error = float(np.sqrt(max(contrast @ pair.covariance @ contrast, 0.0)))
    reach = stats.norm.isf((1 - level) / 2) * error
    interval = Interval(value - reach, value + reach, level, "DeLong, paired", 0, pair.n_groups)
    # Two models with the same ranking have no error, and no evidence of a difference.
    p_value = 2 * stats.norm.sf(abs(value) / error) if error > 0 else float(value == 0)
    return Difference(value, interval, float(p_value))


@dataclass(frozen=True)
class Areas:
    """AUROCs (score,) of several scores on the same examples, and their covariance (score, score).

    ``n_groups`` counts the groups of all examples.
    """

    area: NDArray[np.float64]
    covariance: NDArray[np.float64]
    n_groups: int


def areas(
    positive: NDArray[np.bool_], scores: NDArray[np.floating], group: NDArray[np.int64]
) -> Areas:
    """Compute AUROCs of scores (example, score), and their covariance (DeLong et al. 1988).

    By ranks, in O(n log n) (Sun & Xu 2014). Examples of one group may depend on each other, so the
    variance is over sums of groups (Obuchowski 1997); with one example a group the two are the
    same. At least two groups must hold positives, and two negatives.
    """
    groups = [np.unique(group[of_class]) for of_class in (positive, ~positive)]
    fewest = min(map(len, groups))
    if fewest < 2:  # noqa: PLR2004
        raise DataError(f"{fewest} groups hold one of the classes: a variance needs two of each")
    n_positive, n_negative = int(positive.sum()), int((~positive).sum())
    rank = stats.rankdata(scores, axis=0)
    # The share of the other class that each example beats; ties count half.
    beats_negatives = (rank[positive] - stats.rankdata(scores[positive], axis=0)) / n_negative
    beats_positives = (rank[~positive] - stats.rankdata(scores[~positive], axis=0)) / n_positive
    area = beats_negatives.mean(axis=0)
    of_positives = np.zeros((int(group.max()) + 1, scores.shape[1]))
    of_negatives = np.zeros_like(of_positives)
    np.add.at(of_positives, group[positive], beats_negatives - area)
    np.add.at(of_negatives, group[~positive], 1 - beats_positives - area)
    of_positives /= n_positive
    of_negatives /= n_negative
    cross = of_positives.T @ of_negatives
    everyone = len(np.union1d(*groups))
    # Each sum of products is made unbiased by n / (n - 1) of the groups that it is over.
    n_with_positives, n_with_negatives = map(len, groups)
    covariance = (
        n_with_positives / (n_with_positives - 1) * of_positives.T @ of_positives
        + n_with_negatives / (n_with_negatives - 1) * of_negatives.T @ of_negatives
        + everyone / (everyone - 1) * (cross + cross.T)
    )
    return Areas(area, covariance, everyone)


@dataclass(frozen=True)
class McNemar:
    """Counts of examples that only one of two models classifies correctly, and p-values.

    ``exact_p`` is the two-sided binomial p-value, never too small. ``mid_p`` is lower by 0.5 times
    the probability of the observed table; nearer to the nominal level (Fagerland, Lydersen & Laake
    2013).
    """

    only_one: int
    only_other: int
    exact_p: float
    mid_p: float


def mcnemar(first: Predictions, second: Predictions) -> McNemar:
    """Test equal accuracy by McNemar's test, exact and mid-p.

    Raises:
        SplitError: If the two are not predictions of the same examples.
        DataError: If a group has several examples: the test assumes independent examples.
    """
    second = aligned(first, second)
    if len(np.unique(first.group_id)) < first.n_examples:
        raise DataError(
            "McNemar's test needs independent examples, and here groups hold several: compare "
            "whole groups, or use the paired bootstrap"
        )
    first_right, second_right = first.predicted == first.label, second.predicted == second.label
    only_first = int(np.sum(first_right & ~second_right))
    only_second = int(np.sum(second_right & ~first_right))
    # Of the examples that only one gets right, each should win half by chance.
    fewer, by_chance = min(only_first, only_second), stats.binom(only_first + only_second, 0.5)
    two_tails = 2 * by_chance.cdf(fewer)
    exact, mid = min(1.0, two_tails), min(1.0, two_tails - by_chance.pmf(fewer))
    return McNemar(only_first, only_second, float(exact), float(mid))


def holm(p_values: ArrayLike, family: int = 0) -> NDArray[np.float64]:
    """Correct p-values for their number (Holm 1979), in their order.

    If all corrected values below 0.05 are called significant, the probability of any false one is
    at most 5 %. Where the ``family`` of tests is larger, the values that are missing count as 1.

    Example:
        >>> holm([0.04, 0.01, 0.03]).tolist()
        [0.06, 0.03, 0.06]
    """
    uncorrected = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(uncorrected, kind="stable")
    # The smallest of n p-values is multiplied by n, the next by n - 1..., and none may be below
    # the one before it.
    stepped = uncorrected[order] * (max(family, len(order)) - np.arange(len(order)))
    corrected = np.empty_like(uncorrected)
    corrected[order] = np.minimum(np.maximum.accumulate(stepped), 1)
    return corrected


def aligned(first: Predictions, second: Predictions) -> Predictions:
    """Return ``second`` in the order of ``first``, if they are predictions of the same examples."""
    if first.classes != second.classes:
        raise SplitError(
            f"the classes differ ({', '.join(first.classes)} and {', '.join(second.classes)}): "
            "only models of the same task can be compared"
        )
    ours, theirs = np.argsort(first.example_id), np.argsort(second.example_id)
    if not np.array_equal(first.example_id[ours], second.example_id[theirs]):
        shared = len(np.intersect1d(first.example_id, second.example_id))
        raise SplitError(
            f"the models were judged on different examples ({first.n_examples} and "
            f"{second.n_examples}, {shared} of them the same): train both on the same split"
        )
    # ``order`` takes each position in the first to that of the same example in the second.
    order = np.empty_like(theirs)
    order[ours] = theirs
    second = second.where(order)
    for name in ("label", "group_id", "split"):
        differs = getattr(first, name) != getattr(second, name)
        if differs.any():
            raise SplitError(
                f"example {np.argmax(differs) + 1} has another {name} in each run: "
                "train both on the same split"
            )
    return second
