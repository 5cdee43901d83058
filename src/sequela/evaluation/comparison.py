"""The comparison of two models on the same examples, paired."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from sequela.errors import DataError, SplitError
from sequela.evaluation import statistic
from sequela.evaluation.intervals import DEFAULT, Bootstrap, Interval, distributions
from sequela.evaluation.metrics import statistic_of
from sequela.evaluation.predictions import Predictions
from sequela.evaluation.resampling import class_strata
from sequela.evaluation.statistic import Statistic


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
    from sequela.evaluation import delong

    second = aligned(first, second)
    scores = np.stack([first.score, second.score], axis=1)
    areas = delong.areas(first.label == 1, scores, first.group_index)
    contrast = np.array([1.0, -1.0])
    value = float(contrast @ areas.area)
    error = float(np.sqrt(max(contrast @ areas.covariance @ contrast, 0.0)))
    reach = stats.norm.isf((1 - level) / 2) * error
    interval = Interval(value - reach, value + reach, level, "DeLong, paired", 0, areas.n_groups)
    p_value = 2 * stats.norm.sf(abs(value) / error) if error > 0 else float(value == 0)
    return Difference(value, interval, float(p_value))


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
    fewer, by_chance = min(only_first, only_second), stats.binom(only_first + only_second, 0.5)
    two_tails = 2 * by_chance.cdf(fewer)
    exact, mid = min(1.0, two_tails), min(1.0, two_tails - by_chance.pmf(fewer))
    return McNemar(only_first, only_second, float(exact), float(mid))


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """Correct p-values for their number (Holm 1979), in their order.

    If all corrected values below 0.05 are called significant, the probability of any false one is
    at most 5 %.

    Example:
        >>> holm([0.04, 0.01, 0.03]).tolist()
        [0.06, 0.03, 0.06]
    """
    uncorrected = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(uncorrected, kind="stable")
    # The smallest of n p-values is multiplied by n, the next by n - 1..., and none may be below
    # the one before it.
    stepped = uncorrected[order] * np.arange(len(uncorrected), 0, -1)
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
