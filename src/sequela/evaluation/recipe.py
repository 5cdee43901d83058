"""The uncertainty of a training procedure: means over models of several splits or seeds.

An interval of one trained model is about its performance on new subjects. An interval of a
procedure is about the performance of models trained like this on new subjects: it includes the
variation from another draw of the training data, another split and another seed. Numbers of folds
are averaged, never pooled: scores of two models cannot be ranked together.

The variance of the mean has three parts. The groups' part is a bootstrap: a group is drawn for all
models evaluated on it. The coupled part accounts for what folds share: a group that makes one fold
easier to predict is training data of the others, so that its effect counts more than once (Bengio &
Grandvalet 2004; Bates, Hastie & Tibshirani 2024). No cross-validation of one data set measures it
without bias. It does show how much of the group variance stays when models are trained again, and
how much changes: the coupled part is set to a share of the part that stays, no larger than a
multiple of the part that changes, both chosen by simulation (decision 14).
The training part is the variance of folds or seeds beyond what their groups explain.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.special import expit, logit

from sequela.errors import DataError
from sequela.evaluation.comparison import aligned
from sequela.evaluation.intervals import DEFAULT, Bootstrap, Distribution, Interval, exact_interval
from sequela.evaluation.metrics import statistic_of
from sequela.evaluation.predictions import Place, Predictions
from sequela.evaluation.statistic import (
    Statistic,
    class_strata,
    difference,
    jackknife_weights,
    resampled_weights,
)

COUPLED = 1.5
"""The coupled part of the variance of a number, as a share of the group variance that lasts.

Half of it comes from the assignment to folds, which repeats average out.
"""
COUPLED_APART = 0.6  # the same for the difference of two models on the same examples
COUPLED_SWING = 8.0
"""The upper limit of the coupled part, as a multiple of the group variance that changes: models
that other training data hardly change are hardly coupled."""

_ROUNDING = 1e-12
_FEWEST_GROUPS = 2  # the fewest groups of which one can be drawn, or left out
Values = NDArray[np.float64]
Index = NDArray[np.int64]


@dataclass(frozen=True)
class Variance:
    """The parts of the variance of a mean over models; ``None`` where not separable.

    ``data``: other subjects, and everything not separated from that; ``split``: other folds, from
    repeats of the cross-validation; ``seed``: other first weights and batch orders.
    """

    data: float
    split: float | None
    seed: float | None

    @property
    def total(self) -> float:
        """The sum of the parts."""
        return self.data + (self.split or 0.0) + (self.seed or 0.0)


@dataclass(frozen=True)
class RecipeNumber:
    """A number of a training procedure: the mean over the models that have it, NaN where none has.

    With too few data there is no interval, and so no distribution, from which interval and p-value
    come, and no variance of the mean.
    """

    value: float
    interval: Interval | None
    distribution: Distribution | None
    variance: Variance | None
    n_models: int

    def p_value(self, null: float = 0.0) -> float:
        """Return the two-sided p-value: 1 - the level at which ``null`` is a bound of the interval.

        Resamples cannot show how improbable a value is that none of them reached: there the tail is
        that of Student's t, with the interval's spread and degrees of freedom.
        """
        if self.distribution is None:
            raise DataError("the number has no interval, and so no p-value")
        p_value, values = self.distribution.p_value(null), self.distribution.values
        # 2,000 resamples show no p-value below 1/2,001, but Holm's method needs some.
        if values.min() <= null <= values.max() or not np.ptp(values):
            return p_value
        away = abs(self.value - null) / float(values.std())
        return min(p_value, float(2 * stats.t.sf(away, self.distribution.degrees)))


@dataclass(frozen=True)
class Judged:
    """The predictions of one of the models for its test set, and its validation set if known.

    A test group of one fold is often in the validation set of another, which shows how much its
    number changes with the model.
    """

    held_out: Predictions
    place: Place
    tuning: Predictions | None = None


@dataclass(frozen=True, eq=False)
class Design:
    """The groups that each model was evaluated on, as int64 (its group,): index among all groups.

    Groups are drawn within the strata (group,), if there are any. ``tuning`` has the groups of the
    validation sets, if they are known. ``paired`` is true for differences of two models on the same
    examples.
    """

    members: tuple[Index, ...]
    places: tuple[Place, ...]
    stratum: Index | None = None
    tuning: tuple[Index, ...] = ()
    paired: bool = False

    @classmethod
    def of(cls, judged: Sequence[Judged], *, classes_fixed: bool = False) -> "Design":
        """Build the design from the predictions of all models, within classes if they are fixed."""
        tests = [model.held_out for model in judged]
        # Repeats and seeds test the same patients: one draw is for all of them.
        ids = np.unique(np.concatenate([test.group_id for test in tests]))

        def members(predictions: Predictions) -> Index:
            return np.searchsorted(ids, np.unique(predictions.group_id))

        stratum = None
        if classes_fixed:
            group = np.concatenate([np.searchsorted(ids, test.group_id) for test in tests])
            stratum = class_strata(np.concatenate([test.label for test in tests]), group)
        tuning = [model.tuning for model in judged if model.tuning is not None]
        if len(tuning) < len(judged) or not all(np.isin(t.group_id, ids).all() for t in tuning):
            tuning = []
        places = tuple(model.place for model in judged)
        return cls(tuple(map(members, tests)), places, stratum, tuple(map(members, tuning)))

    @property
    def n_groups(self) -> int:
        """The number of groups."""
        return int(max(groups.max() for groups in self.members)) + 1

    def count(self, what: int) -> int:
        """Count the repeats (0), folds (1) or seeds (2)."""
        return len({place[what] for place in self.places})

    @property
    def base(self) -> Index:
        """The stratum of each group, all one where there is none."""
        return np.zeros(self.n_groups, np.int64) if self.stratum is None else self.stratum

    def cells(self) -> tuple[Index, float]:
        """Return the strata for drawing groups, and a correction of the variance of the draws.

        One cross-validation draws within each fold (and class). Repeats assign the groups anew, so
        they are drawn from all folds together; as each fold's number is about its own mean, the
        variance then lacks one degree of freedom a fold.
        """
        base, folds = self.base, self.count(1)
        # With one repeat each group has one fold, so that drawing within folds keeps their sizes.
        if self.count(0) == 1:
            fold = np.zeros(self.n_groups, np.int64)
            for groups, place in zip(self.members, self.places, strict=True):
                fold[groups] = place.fold
            cell = np.unique(base * (fold.max() + 1) + fold, return_inverse=True)[1]
            if np.bincount(cell).min() >= _FEWEST_GROUPS:
                return cell, 1.0
        n_groups, strata = self.n_groups, len(np.unique(base))
        return base, (n_groups - strata) / max(n_groups - strata * folds, n_groups / 2)


def across_folds(
    statistics: Sequence[Statistic],
    rng: np.random.Generator,
    how: Bootstrap,
    design: Design,
    tuning: Sequence[Statistic] = (),
    degrees: float | None = None,
) -> list[RecipeNumber]:
    """Compute each number of a training procedure from the statistics of its models.

    A paired difference is :func:`sequela.evaluation.statistic.difference` of two models with the
    same place. ``tuning`` are the same statistics on the validation sets, if the design has these.
    ``degrees`` are those of the group variance, where a jackknife is uninformative (default: by how
    evenly the groups contribute).
    """
    if not statistics:
        raise DataError("there are no models to average over: expected one or more")
    if design.n_groups < _FEWEST_GROUPS:
        raise DataError(
            f"there are {design.n_groups} groups: an interval needs two subjects or more"
        )
    # All models are evaluated on the same draws of groups, so that what they share stays shared.
    cell, correction = design.cells()
    point = np.stack([np.atleast_1d(model.estimate) for model in statistics])  # (model, number)
    weights = list(resampled_weights(cell, how.resamples, rng))
    resampled = _values(statistics, design.members, weights)
    without = list(jackknife_weights(design.base)) if degrees is None else weights[:1]
    left_out = _values(statistics, design.members, without)
    swing = _swing(statistics, tuning, design, weights, resampled)
    trials = _trials(statistics, design)
    numbers = []
    for i in range(point.shape[1]):
        means, spread = _mean(left_out[..., i]), float(swing[i]) * correction
        values = _ModelValues(point[:, i], resampled[..., i], means, spread, trials[i], degrees)
        numbers.append(_number(values, design, correction, how))
    return numbers


def metric_across_folds(
    name: str, judged: Sequence[Judged], rng: np.random.Generator, how: Bootstrap = DEFAULT
) -> RecipeNumber:
    """Compute a metric of a training procedure by its name."""
    (number,) = over_models(judged, lambda p: statistic_of(name, p), rng, how)
    return number


def over_models(
    judged: Sequence[Judged],
    statistic: Callable[[Predictions], Statistic],
    rng: np.random.Generator,
    how: Bootstrap = DEFAULT,
    degrees: float | None = None,
) -> list[RecipeNumber]:
    """Compute a statistic of a procedure from its models' predictions; as :func:`across_folds`."""
    design = Design.of(judged, classes_fixed=how.classes_fixed)
    tuning = []
    if design.tuning:
        tuning = [statistic(model.tuning) for model in judged if model.tuning is not None]
    tests = [statistic(model.held_out) for model in judged]
    return across_folds(tests, rng, how, design, tuning, degrees)


def difference_across_folds(
    first: Sequence[Judged],
    second: Sequence[Judged],
    statistic: Callable[[Predictions], Statistic],
    rng: np.random.Generator,
    how: Bootstrap = DEFAULT,
) -> list[RecipeNumber]:
    """Compute ``first`` minus ``second``, paired: models of one place have the same examples.

    Seeds of a fold that only one of the two procedures has are left out.

    Raises:
        SplitError: If two models of one place have different test examples.
        DataError: If no place is in both.
    """
    by_place = {model.place: model for model in second}
    pairs = [(model, by_place[model.place]) for model in first if model.place in by_place]
    if not pairs:
        raise DataError("the two recipes share no fold: expected models of the same splits")
    design = Design.of([model for model, _ in pairs], classes_fixed=how.classes_fixed)
    design = replace(design, paired=True)

    def paired(a: Predictions, b: Predictions) -> Statistic:
        return difference(statistic(a), statistic(aligned(a, b)))

    statistics = [paired(a.held_out, b.held_out) for a, b in pairs]
    tuning = []
    if design.tuning:
        tuning = [paired(a.tuning, b.tuning) for a, b in pairs if a.tuning and b.tuning]
    if len(tuning) < len(pairs):
        design, tuning = replace(design, tuning=()), []
    return across_folds(statistics, rng, how, design, tuning)


def _values(
    statistics: Sequence[Statistic], members: Sequence[Index], weights: Sequence[Values]
) -> Values:
    """Compute each model's numbers under weights of all groups: (model, resample, number)."""
    numbers = []
    for model, groups in zip(statistics, members, strict=True):
        rows = [model(chunk[:, groups]).reshape(len(chunk), -1) for chunk in weights]
        numbers.append(np.concatenate(rows))
    return np.stack(numbers)


def _mean(values: Values) -> Values:
    """Average over the models (model, ...) that have the number; NaN where none has."""
    defined = ~np.isnan(values)
    total = np.where(defined, values, 0).sum(axis=0)
    with np.errstate(invalid="ignore"):
        mean: Values = total / defined.sum(axis=0)
    return mean


def _spread(values: Values) -> Values:
    """Compute the variance along the first axis of defined values; NaN where there are none."""
    return _mean((values - _mean(values)) ** 2)


def _trials(statistics: Sequence[Statistic], design: Design) -> list[int]:
    """Count the groups behind each number, over all folds of a repeat; 0 if not a probability."""
    trials = np.array([m.trials or np.zeros(m.estimate.size, np.int64) for m in statistics])
    of_repeat = trials.sum(axis=0) * design.count(1) // len(statistics)
    return [*np.where((trials > 0).all(axis=0), of_repeat, 0).tolist()]


def _swing(
    statistics: Sequence[Statistic],
    tuning: Sequence[Statistic],
    design: Design,
    weights: Sequence[Values],
    resampled: Values,
) -> Values:
    """Estimate the part of each number's group variance that changes with the model: (number,)."""
    if design.count(0) > 1:  # half the variance of the difference of two on the same draws
        repeat = np.array([place.repeat for place in design.places])
        means = np.stack([_mean(resampled[repeat == index]) for index in np.unique(repeat)])
        apart = means - _mean(np.swapaxes(means, 0, 1))[:, None]
        return _mean(apart.var(axis=0, ddof=1))
    # Without a second repeat, a group's number in a validation set replaces it.
    if not tuning:
        return np.full(resampled.shape[2], np.nan)
    times = np.zeros(design.n_groups)
    for groups, place in zip(design.tuning, design.places, strict=True):
        times[groups] += place.seed == design.places[0].seed
    validated = times > 0
    shares = np.divide(1, times, out=np.zeros(len(times)), where=validated)
    in_test = _mean(_values(statistics, design.members, [chunk * validated for chunk in weights]))
    in_tuning = _mean(_values(tuning, design.tuning, [chunk * shares for chunk in weights]))
    share = validated.sum() / design.n_groups / (1 + shares[validated].mean())
    return np.asarray(_spread(in_test - in_tuning) * share)


@dataclass(frozen=True, eq=False)
class _ModelValues:
    """One number of all models: (model,), (model, resample), and with groups left out."""

    point: Values
    resampled: Values
    left_out: Values
    swing: float
    trials: int
    degrees: float | None


def _number(
    models: _ModelValues, design: Design, correction: float, how: Bootstrap
) -> RecipeNumber:
    value, values = float(_mean(models.point)), _mean(models.resampled)
    n_models = int((~np.isnan(models.point)).sum())
    spread = Distribution.of(value, values, models.left_out, how.method)
    if spread is None:
        return RecipeNumber(value, None, None, None, n_models)
    group = float(spread.values.var()) * correction
    seed, between = _training(models, design)
    coupled = group + (_coupled(group, models.swing, design) if design.count(1) > 1 else 0.0)
    training = max(seed or 0.0, group + between - coupled)
    total = coupled + training
    if total < _ROUNDING**2 and models.trials and min(abs(value), abs(1 - value)) < _ROUNDING:
        exact = exact_interval(round(value) * models.trials, models.trials, how.level)
        return RecipeNumber(value, exact, spread, Variance(0.0, None, None), n_models)
    of_group = spread.degrees if models.degrees is None else models.degrees
    splits = len({place[:2] for place in design.places})
    of_training = (splits if splits > 1 else len(design.places)) - 1
    degrees = _degrees(coupled, of_group, training, of_training)
    wide = replace(
        spread,
        values=_widened(spread, total, is_chance=models.trials > 0),
        degrees=min(degrees, _most_degrees(design)),
    )
    low, high = wide.bounds(how.level)
    interval = Interval(low, high, how.level, _method(design, how), len(values), design.n_groups)
    return RecipeNumber(value, interval, wide, _split_up(models, design, total, seed), n_models)


def _coupled(group: float, swing: float, design: Design) -> float:
    repeats = design.count(0)
    # Folds share most of their training data, so their numbers vary together. No unbiased estimate
    # of that exists (Bengio and Grandvalet 2004), so its size is a constant from simulations.
    share = (COUPLED_APART if design.paired else COUPLED) * (1 + 1 / repeats) / 2
    if np.isnan(swing):
        return share * group
    return min(share * max(0.0, group - swing / repeats), COUPLED_SWING * swing)


def _splits(models: _ModelValues, design: Design) -> dict[tuple[int, int], list[int]]:
    splits: dict[tuple[int, int], list[int]] = {}
    for model, place in enumerate(design.places):
        if not np.isnan(models.point[model]):
            splits.setdefault(place[:2], []).append(model)
    return splits


def _training(models: _ModelValues, design: Design) -> tuple[float | None, float]:
    """Estimate the variance that training adds to the mean beyond the groups: by seed, by fold."""
    cells = _splits(models, design)
    point = [models.point[rows] for rows in cells.values()]
    resampled = [models.resampled[rows] for rows in cells.values()]
    seed, between = None, 0.0
    several = [(p, d) for p, d in zip(point, resampled, strict=True) if len(p) > 1]
    if several:
        # Less the mean variance between seeds of the effect of each draw.
        beyond = [
            p.var(ddof=1) - float(_mean((d - p[:, None]).var(axis=0, ddof=1))) for p, d in several
        ]
        seed = max(0.0, float(np.mean(beyond))) / len(models.point)
    repeat = np.array([repeat for repeat, _ in cells])
    means = np.array([values.mean() for values in point])
    sampling = np.array([float(_spread(_mean(values))) for values in resampled])
    beyond = [
        means[repeat == index].var(ddof=1) - sampling[repeat == index].mean()
        for index in np.unique(repeat)
        if np.sum(repeat == index) > 1
    ]
    if beyond:
        between = max(0.0, float(np.mean(beyond))) / len(means)
    return seed, between


def _split_up(models: _ModelValues, design: Design, total: float, seed: float | None) -> Variance:
    repeat = np.array([place.repeat for place in design.places])
    if seed is not None:
        cells = _splits(models, design).values()
        spread = [np.var(models.point[rows], ddof=1) for rows in cells if len(rows) > 1]
        seed = min(total, float(np.mean(spread)) / len(models.point))
    split = None
    if design.count(0) > 1:
        means = [float(_mean(models.point[repeat == index])) for index in np.unique(repeat)]
        means = [mean for mean in means if not np.isnan(mean)]
        again = float(np.var(means, ddof=1)) / len(means) if len(means) > 1 else 0.0
        split = min(max(0.0, again - (seed or 0.0)), total - (seed or 0.0))
    return Variance(total - (split or 0.0) - (seed or 0.0), split, seed)


def _degrees(group: float, of_group: float, training: float, of_training: int) -> float:
    """Compute degrees of freedom of a sum of two variances (Satterthwaite 1946)."""
    # The variance of a sum of independent estimates, in terms of their degrees of freedom.
    if not training:
        return of_group
    return (group + training) ** 2 / (group**2 / of_group + training**2 / max(of_training, 1))


def _most_degrees(design: Design) -> float:
    """Return the number of groups less the means they are about: one a fold and stratum."""
    means = len(np.unique(design.base)) * design.count(1)
    return float(max(design.n_groups - means, design.n_groups / 2, 1))


def _widened(spread: Distribution, total: float, *, is_chance: bool) -> Values:
    """Widen the resamples to a variance; a probability on the logit scale, to keep it in range."""
    value, values = spread.estimate, spread.values
    variance = float(values.var())
    # Resamples that do not vary become quantiles of a normal distribution.
    if variance < _ROUNDING**2:
        place = (np.arange(len(values)) + 0.5) / len(values)
        return np.asarray(value + np.sqrt(total) * stats.norm.ppf(place))
    # All deviations from the estimate grow by one factor, which keeps the skewness.
    wider = np.sqrt(total / variance)
    if not (is_chance and 0 < value < 1):
        return np.asarray(value + wider * (values - value))
    with np.errstate(divide="ignore"):
        return np.asarray(expit(logit(value) + wider * (logit(values.clip(0, 1)) - logit(value))))


def _method(design: Design, how: Bootstrap) -> str:
    counts = [(design.count(what), name) for what, name in enumerate(("repeat", "fold", "seed"))]
    varied = ", ".join(f"{count} {name}s" for count, name in counts if count > 1) or "1 model"
    within = "" if design.stratum is None else " within classes"
    return f"{how.method} bootstrap over groups{within} with training variance ({varied})"
