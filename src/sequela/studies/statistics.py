"""The numbers that claims are about, each as a statistic of the groups in a test fold."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sequela.errors import SettingError, unknown_name
from sequela.evaluation.metrics import example_loss, named, statistic_of
from sequela.evaluation.number import number, plural
from sequela.evaluation.predictions import Predictions
from sequela.evaluation.statistic import Statistic, difference, ratio, share, stacked
from sequela.runs.folder import RunFolder
from sequela.studies.claims import Claim

Values = NDArray[np.float64]
Fold = tuple[RunFolder, ...]  # the runs of a claim's models on one fold


@dataclass(frozen=True)
class Scale:
    """The format of a number in Python's notation, with a factor and a suffix."""

    form: str
    times: float = 1.0
    unit: str = ""

    def of(self, *values: float) -> str:
        """Format one value, or a range of two.

        Example:
            >>> Scale("+.0f", 100, " points").of(0.021, 0.08)
            '+2 to +8 points'
        """
        return " to ".join(number(self.times * value, self.form) for value in values) + self.unit

    def claimed(self, value: float, unit: str = "") -> str:
        """Format a claimed value or margin, which has the digits that it was declared with."""
        return number(self.times * value, ".4g") + (unit or self.unit)


@dataclass(frozen=True)
class Estimand:
    """A number of so many ``models`` that claims can be about.

    ``make`` computes it, as a statistic of the groups of a part, from a claim, the runs of its
    models on one fold, the name of the part, and the share of class 1 to weight to, if it differs
    from the data's. It has the format ``form``, or that of the claim's metric. It may be a
    difference of shares, in percentage points, or of two models on the same examples (``paired``).
    """

    make: Callable[[Claim, Fold, str, float | None], Statistic]
    models: int
    form: str = ""
    points: bool = False
    paired: bool = False

    def scale(self, claim: Claim) -> "Scale":
        """Return the format of the number."""
        metric = named(claim.metric)
        # A difference of percentages is in points: "10 % more" could be read as a ratio.
        if self.points or (self.models > 1 and metric.points):
            return Scale("+.0f", 100, " points")
        form = self.form or ("+.2f" if self.models > 1 else metric.form)
        return Scale(".1f", 100, " %") if "%" in form else Scale(form)


def number_of(claim: Claim) -> Estimand:
    """Return the number that a claim is about."""
    if claim.statistic not in STATISTICS:
        raise unknown_name("statistic", claim.statistic, STATISTICS)
    statistic = STATISTICS[claim.statistic]
    if len(claim.models) != statistic.models:
        raise SettingError(
            f"claim '{claim.id}' names {plural(len(claim.models), 'model')}: '{claim.statistic}' "
            f"is of {statistic.models}"
        )
    return statistic


def _correct(predictions: Predictions) -> Values:
    hit: Values = (predictions.predicted == predictions.label).astype(np.float64)
    return hit


def _pair(fold: Fold, part: str) -> tuple[Predictions, Predictions]:
    before, after = (run.predictions.part(part) for run in fold)
    if not np.array_equal(before.example_id, after.example_id):
        raise ValueError("the runs were evaluated on different examples")
    return before, after


def _level(claim: Claim, fold: Fold, part: str, share_: float | None) -> Statistic:
    predictions = fold[0].predictions.part(part)
    # Accuracy and loss depend on the share of class 1. A report on data with another share is
    # compared at its own: both classes keep their mean, and only the weights of the two means
    # change.
    if share_ is None:
        return statistic_of(claim.metric, predictions)
    # AUROC does not change with the prevalence; other metrics have no such mean.
    if claim.metric not in _OF_EXAMPLES:
        raise unknown_name(
            "metric that can be weighted to a prevalence", claim.metric, _OF_EXAMPLES
        )
    predictions = at_prevalence(predictions, fold[0].data.counts, share_)
    values, event = _OF_EXAMPLES[claim.metric](predictions), predictions.label == 1
    of_events, of_others = (
        ratio(values * rows, rows, predictions.group_index) for rows in (event, ~event)
    )
    return Statistic(
        lambda w: share_ * of_events(w) + (1 - share_) * of_others(w), of_events.n_groups
    )


def at_prevalence(predictions: Predictions, counts: Sequence[int], share_: float) -> Predictions:
    """Adjust the probabilities of two classes to another share of class 1.

    The odds are multiplied by those of the new share over those of the data, which equals the
    prediction of a calibrated model for data with that share (Saerens et al. 2002, Neural
    Computation 14).
    """
    score = predictions.score.astype(np.float64)
    # Bayes' theorem in odds: only the prior odds differ between the two populations, and the
    # likelihood ratio, which the model has learnt, stays.
    odds = share_ / (1 - share_) * counts[0] / counts[1]
    moved = odds * score / (odds * score + 1 - score)
    return replace(predictions, probabilities=np.stack([1 - moved, moved], axis=1))


def _change(claim: Claim, fold: Fold, part: str, _: float | None) -> Statistic:
    before, after = (statistic_of(claim.metric, predictions) for predictions in _pair(fold, part))
    return difference(after, before)


def _recall_change(claim: Claim, fold: Fold, part: str, _: float | None) -> Statistic:
    before, after = _pair(fold, part)
    places = [before.classes.index(name) for name in claim.classes]
    # Both models see the same examples, so one ratio over their difference is paired: what is hard
    # for both cancels, and the interval is narrower than that of two separate recalls.
    among = np.isin(before.label, places).astype(np.float64)
    change = (_correct(after) - _correct(before)) * among
    return ratio(change, among, before.group_index)


def _moved(statistic: Statistic, by: float) -> Statistic:
    return Statistic(lambda weights: statistic(weights) + by, statistic.n_groups)


def _gap_change(_: Claim, fold: Fold, part: str, __: float | None) -> Statistic:
    """Return the change of the gap; training accuracy is fixed, only the test groups vary."""
    before, after = _pair(fold, part)
    # The gap is training minus test accuracy: what the test loses, the gap gains.
    change = ratio(
        _correct(before) - _correct(after), np.ones(before.n_examples), before.group_index
    )
    small, large = (run.metrics.parts.train["accuracy"] for run in fold)
    return _moved(change, large - small)


def _held_out_over_training(_: Claim, fold: Fold, part: str, __: float | None) -> Statistic:
    """Return test over training: a model under-fits if a larger one does better on unseen data."""
    small, large = fold
    # Under-fitting shows in the training accuracy of the small model, which the large one exceeds
    # even on unseen groups. The training accuracy is a constant, as the training set is not
    # resampled.
    unseen = statistic_of("accuracy", large.predictions.part(part))
    return _moved(unseen, -small.metrics.parts.train["accuracy"])


def asymmetry(confusion: Values) -> Values:
    """Return the share (...) of unbalanced errors in confusion matrices (..., class, class).

    It is 0 for symmetric errors, and 1 for one-sided errors.
    """
    # Errors of a pair of classes are balanced if each is taken for the other equally often.
    errors = confusion * (1 - np.eye(confusion.shape[-1]))
    unbalanced = np.abs(errors - np.swapaxes(errors, -1, -2)).sum((-1, -2)) / 2
    shares: Values = unbalanced / np.maximum(errors.sum((-1, -2)), 1e-12)
    return shares


def _asymmetry_change(_: Claim, fold: Fold, part: str, __: float | None) -> Statistic:
    tables = []
    for predictions in _pair(fold, part):
        # One confusion matrix for each group: a resample is then a weighted sum of these matrices.
        n, k = len(np.unique(predictions.group_id)), len(predictions.classes)
        table = np.zeros((n, k, k))
        # Unlike +=, it adds every repeat of an index.
        np.add.at(table, (predictions.group_index, predictions.label, predictions.predicted), 1)
        tables.append(table)
    before, after = tables
    return Statistic(
        lambda w: asymmetry(np.tensordot(w, after, 1)) - asymmetry(np.tensordot(w, before, 1)),
        len(before),
    )


def _recalls(predictions: Predictions, threshold: float) -> Statistic:
    """Return the shares of class 1 at or above a threshold, and of class 0 below it."""
    alarm, event = predictions.score >= threshold, predictions.label == 1
    group = predictions.group_index
    return stacked([share(alarm, event, group), share(~alarm, ~event, group)])


def _recall_at_half(_: Claim, fold: Fold, part: str, share_: float | None) -> Statistic:
    predictions = fold[0].predictions.part(part)
    if share_ is not None:
        predictions = at_prevalence(predictions, fold[0].data.counts, share_)
    recalls = _recalls(predictions, 0.5)
    return Statistic(lambda w: recalls(w)[:, 0], recalls.n_groups, (recalls.trials or (0,))[:1])


def _smaller_recall(_: Claim, fold: Fold, part: str, __: float | None) -> Statistic:
    (run,) = fold
    # The second operating point is the threshold chosen on the validation set; the first is 0.5.
    recalls = _recalls(run.predictions.part(part), run.test.operating_points[1].threshold)
    # The smaller one is taken in each resample, as either class may be the worse one by chance.
    return Statistic(lambda w: recalls(w).min(axis=1), recalls.n_groups)


_OF_EXAMPLES: Mapping[str, Callable[[Predictions], Values]] = {
    "loss": example_loss,
    "accuracy": _correct,
}
"""The metrics that are means over examples, whose classes can be weighted."""
STATISTICS: Mapping[str, Estimand] = {
    "level": Estimand(_level, 1),
    "change": Estimand(_change, 2, paired=True),
    "recall change": Estimand(_recall_change, 2, points=True, paired=True),
    "gap change": Estimand(_gap_change, 2, points=True, paired=True),
    "held-out over training": Estimand(_held_out_over_training, 2, points=True),
    "asymmetry change": Estimand(_asymmetry_change, 2, points=True, paired=True),
    "recall at 0.5": Estimand(_recall_at_half, 1, ".0%"),
    "smaller recall": Estimand(_smaller_recall, 1, ".0%"),
}
"""The statistics by their name in declarations of claims."""
