"""Prediction sets with a guaranteed coverage of the true class (split conformal prediction)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sequela.errors import SettingError
from sequela.evaluation import statistic
from sequela.evaluation.intervals import DEFAULT, Bootstrap, Estimate, estimates
from sequela.evaluation.predictions import Predictions
from sequela.evaluation.recalibration import refuse_held_out

SCORE = "LAC"  # 1 - the probability of a class (Sadinle, Lei & Wasserman 2019): the smallest sets


@dataclass(frozen=True)
class Conformal:
    """A rule that turns probabilities into sets of the classes whose score is at most the cutoff.

    Some sets are empty. ``promised`` is the guaranteed share of new groups' examples whose set
    holds the true class.
    """

    promised: float
    cutoff: float

    def sets(self, predictions: Predictions) -> NDArray[np.bool_]:
        """Return the classes in the set of each example: bool (example, class)."""
        return _scores(predictions) <= self.cutoff


def fit_conformal(tuning: Predictions, promised: float = 0.9) -> Conformal:
    """Fit the rule with the guaranteed coverage for examples of a new group.

    Examples of one group are alike, so each counts as its share of the group, and a new group as
    one more (hierarchical conformal prediction; Lee, Barber & Willett 2023). With one example per
    group that is plain split conformal prediction. Where groups are too few for the guarantee, the
    sets hold all classes.
    """
    refuse_held_out(tuning, "sets are fitted")
    if not 0 < promised < 1:
        raise SettingError(f"the promised coverage is {promised}: expected between 0 and 1")
    of_label = _scores(tuning)[np.arange(tuning.n_examples), tuning.label]
    group = tuning.group_index
    size = np.bincount(group)
    # The one group more is the new one, whose score counts as infinite.
    weight = 1 / (size[group] * (len(size) + 1))
    order = np.argsort(of_label, kind="stable")
    # The quantile of the scores at the promised level, where the new group has an infinite score.
    reached = np.cumsum(weight[order]) >= promised - 1e-12  # rounding of sums
    cutoff = float(of_label[order][np.argmax(reached)]) if reached.any() else np.inf
    return Conformal(promised, cutoff)


def _scores(predictions: Predictions) -> NDArray[np.float64]:
    return 1 - predictions.probabilities.astype(np.float64)


@dataclass(frozen=True)
class Coverage:
    """The coverage of prediction sets on the test set, and the guaranteed coverage.

    Coverage is the share of examples whose set holds the true class, each group with equal weight,
    as in the guarantee; by class (class,) it is not guaranteed.
    """

    promised: float
    coverage: Estimate
    of_class: tuple[Estimate, ...]
    mean_size: Estimate

    @property
    def kept(self) -> bool:
        """True if the data agree with the guaranteed coverage: the interval does not end below."""
        interval = self.coverage.interval
        return (self.coverage.value if interval is None else interval.high) >= self.promised


def check_coverage(
    rule: Conformal, predictions: Predictions, rng: np.random.Generator, how: Bootstrap = DEFAULT
) -> Coverage:
    """Measure the coverage of a rule's sets on these predictions."""
    predictions.refuse_empty()
    sets, group = rule.sets(predictions), predictions.group_index
    holds = sets[np.arange(predictions.n_examples), predictions.label]
    # Each group weighs 1, as in the guarantee, however many stays it has.
    of_group = 1 / np.bincount(group)[group]
    is_class = predictions.label[:, None] == np.arange(len(predictions.classes))
    size = sets.sum(axis=1)
    covered = statistic.ratio(holds * of_group, of_group, group)
    covered = statistic.Statistic(covered.value, covered.n_groups, (covered.n_groups,))
    by_class = statistic.share(holds[:, None], is_class, group)
    numbers = statistic.stacked([covered, statistic.mean(size, group), by_class])
    coverage, mean_size, *of_class = estimates(numbers, rng, how)
    return Coverage(rule.promised, coverage, tuple(of_class), mean_size)
