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
    one: Predictions,
    other: Predictions,
    rng: np.random.Generator,
    how: Bootstrap = DEFAULT,
) -> Difference:
    """Compute the difference of a metric, both models resampled together over groups.

    Raises:
        SplitError: If the two are not predictions of the same examples.
        UnknownNameError: If no metric has that name.
        DataError: If the metric or its interval is not defined.
    """
    other = aligned(one, other)
    both = statistic.difference(statistic_of(name, one), statistic_of(name, other))
    stratum = class_strata(one.label, one.group_index) if how.classes_fixed else None
    return difference_of(name, both, rng, how, stratum)


def difference_of(
    name: str,
    both: Statistic,
    rng: np.random.Generator,
    how: Bootstrap = DEFAULT,
    stratum: NDArray[np.int64] | None = None,
) -> Difference:
    """Compute the difference of one number, from the statistic of one model minus the other's."""
    found = distributions(both, rng, how, stratum)
    if len(found) != 1 or (only := found[0]) is None:
        raise DataError(
            f"{name} is not defined on these predictions, so it has no difference: "
            "choose another metric"
        )
    method = f"paired {how.method} bootstrap over groups{' within strata' * how.classes_fixed}"
    interval = Interval(*only.bounds(how.level), how.level, method, len(only.values), both.n_groups)
    return Difference(only.estimate, interval, only.p_value())


def paired_delong(one: Predictions, other: Predictions, level: float = 0.95) -> Difference:
    """Compute the difference of two AUROCs by DeLong's covariance.

    Raises:
        SplitError: If the two are not predictions of the same examples.
        DataError: If there are not two classes, or fewer than two groups hold one of them.
    """
    from sequela.evaluation import delong

    other = aligned(one, other)
    scores = np.stack([one.score, other.score], axis=1)
    found = delong.areas(one.label == 1, scores, one.group_index)
    contrast = np.array([1.0, -1.0])
    value = float(contrast @ found.area)
    error = float(np.sqrt(max(contrast @ found.covariance @ contrast, 0.0)))
    reach = stats.norm.isf((1 - level) / 2) * error
    interval = Interval(value - reach, value + reach, level, "DeLong, paired", 0, found.n_groups)
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


def mcnemar(one: Predictions, other: Predictions) -> McNemar:
    """Test equal accuracy by McNemar's test, exact and mid-p.

    Raises:
        SplitError: If the two are not predictions of the same examples.
        DataError: If a group has several examples: the test assumes independent examples.
    """
    other = aligned(one, other)
    if len(np.unique(one.group_id)) < one.n_examples:
        raise DataError(
            "McNemar's test needs independent examples, and here groups hold several: compare "
            "whole groups, or use the paired bootstrap"
        )
    right, other_right = (some.predicted == some.label for some in (one, other))
    only_one = int(np.sum(right & ~other_right))
    only_other = int(np.sum(other_right & ~right))
    fewer, by_chance = min(only_one, only_other), stats.binom(only_one + only_other, 0.5)
    both = 2 * by_chance.cdf(fewer)
    exact, mid = min(1.0, both), min(1.0, both - by_chance.pmf(fewer))
    return McNemar(only_one, only_other, float(exact), float(mid))


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """Correct p-values for their number (Holm 1979), in their order.

    If all corrected values below 0.05 are called significant, the probability of any false one is
    at most 5 %.

    Example:
        >>> holm([0.04, 0.01, 0.03]).tolist()
        [0.06, 0.03, 0.06]
    """
    given = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(given, kind="stable")
    stepped = given[order] * np.arange(len(given), 0, -1)
    corrected = np.empty_like(given)
    corrected[order] = np.minimum(np.maximum.accumulate(stepped), 1)
    return corrected


def aligned(one: Predictions, other: Predictions) -> Predictions:
    """Return ``other`` in the order of ``one``, if they are predictions of the same examples."""
    if one.classes != other.classes:
        raise SplitError(
            f"the classes differ ({', '.join(one.classes)} and {', '.join(other.classes)}): "
            "only models of the same task can be compared"
        )
    ours, theirs = np.argsort(one.example_id), np.argsort(other.example_id)
    if not np.array_equal(one.example_id[ours], other.example_id[theirs]):
        shared = len(np.intersect1d(one.example_id, other.example_id))
        raise SplitError(
            f"the models were judged on different examples ({one.n_examples} and "
            f"{other.n_examples}, {shared} of them the same): train both on the same split"
        )
    order = np.empty_like(theirs)
    order[ours] = theirs
    other = other.where(order)
    for name in ("label", "group_id", "split"):
        differs = getattr(one, name) != getattr(other, name)
        if differs.any():
            raise SplitError(
                f"example {np.argmax(differs) + 1} has another {name} in each run: "
                "train both on the same split"
            )
    return other
