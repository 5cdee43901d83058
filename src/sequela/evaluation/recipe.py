"""How sure a number of a recipe is: its mean over models trained on several splits or seeds.

An interval of one trained model says how it would do on new subjects. An interval of a recipe says
how models trained like this would do on new subjects: it also holds what another draw of the
training data, another split and another seed would change. Numbers of folds are averaged, never
pooled: scores of two models cannot be ranked together.

The variance of the mean has three parts. The groups' part is a bootstrap: a group is drawn for all
models that judge it. The coupled part stands for what folds share: a group that makes one fold
easier to judge is training data of the others, so that its effect counts more than once (Bengio &
Grandvalet 2004; Bates, Hastie & Tibshirani 2024). No cross-validation of one data set measures it
without bias. What it does show is how much of the group variance stays when models are trained
again, and how much swings: the coupled part is taken as a share of what stays, no larger than a
multiple of what swings, both chosen by simulation (``benchmarks/recipe_coverage.py``). The training
part is by how much folds or seeds differ beyond what their groups explain.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.special import expit, logit

from sequela.errors import DataError
from sequela.evaluation.comparison import aligned
from sequela.evaluation.intervals import (
    DEFAULT,
    Bootstrap,
    Distribution,
    Interval,
    exact_interval,
)
from sequela.evaluation.metrics import statistic_of
from sequela.evaluation.predictions import Predictions
from sequela.evaluation.resampling import class_strata, jackknife_weights, resampled_weights
from sequela.evaluation.statistic import Statistic, difference

COUPLED, COUPLED_APART = 1.5, 0.6
"""The coupled part of the variance of a number, and of the difference of two models on the same
examples, as a share of the group variance that lasts. Half of it is another deal of the folds,
which repeats average out."""
COUPLED_SWING = 8.0
"""The most that it is, as a multiple of the group variance that swings: a model that other training
data hardly change is hardly coupled."""

_ROUNDING = 1e-12
_TWO = 2
Values = NDArray[np.float64]
Index = NDArray[np.int64]


class Place(NamedTuple):
    """Where a model stands in a design."""

    repeat: int
    fold: int
    seed: int


@dataclass(frozen=True)
class Variance:
    """What the variance of a mean over models is made of; ``None`` where the design cannot tell.

    Attributes:
        data: Other subjects to train on and to judge by, and whatever is not told apart from that.
        split: Another deal of the folds, from repeats of the cross-validation.
        seed: Other first weights and another order of the batches, from several seeds a split.
    """

    data: float
    split: float | None
    seed: float | None

    @property
    def total(self) -> float:
        """All of it."""
        return self.data + (self.split or 0.0) + (self.seed or 0.0)


@dataclass(frozen=True)
class RecipeNumber:
    """A number of a recipe, and how sure it is.

    Attributes:
        value: Mean over the models that have the number; NaN where none has.
        interval: ``None`` where there is too little for one.
        distribution: What interval and p-value come from; ``None`` without an interval.
        variance: Of the mean; ``None`` without an interval.
        n_models: How many models have the number.
    """

    value: float
    interval: Interval | None
    distribution: Distribution | None
    variance: Variance | None
    n_models: int

    def p_value(self, null: float = 0.0) -> float:
        """Two-sided: 1 - the level at which ``null`` becomes a bound of the interval.

        Resamples cannot tell how improbable a value is that none of them reached: there the tail is
        that of Student's t, with the interval's own spread and degrees of freedom.

        Raises:
            DataError: If there is no interval.
        """
        if self.distribution is None:
            raise DataError("the number has no interval, and so no p-value")
        found, values = self.distribution.p_value(null), self.distribution.values
        if values.min() <= null <= values.max() or not np.ptp(values):
            return found
        away = abs(self.value - null) / float(values.std())
        return min(found, float(2 * stats.t.sf(away, self.distribution.degrees)))


@dataclass(frozen=True)
class Judged:
    """What one of the models said of its held-out part, and of its tuning part if that is known.

    Attributes:
        held_out: Predictions of the held-out part.
        place: Which repeat of the cross-validation, which of its folds, which seed.
        tuning: Predictions of the tuning part. A group that is held out in one fold is often in the
            tuning part of another, which tells how much its number changes with the model.
    """

    held_out: Predictions
    place: Place
    tuning: Predictions | None = None


@dataclass(frozen=True, eq=False)
class Design:
    """Which groups each model was judged on.

    Attributes:
        members: For each model int64 (its group,): index among all groups.
        places: For each model.
        stratum: int64 (group,): groups are drawn within it; ``None`` draws from all.
        tuning: As ``members``, of the tuning parts; empty where these are not known.
        paired: Whether each number is a difference of two models on the same examples.
    """

    members: tuple[Index, ...]
    places: tuple[Place, ...]
    stratum: Index | None = None
    tuning: tuple[Index, ...] = ()
    paired: bool = False

    @classmethod
    def disjoint(cls, statistics: Sequence[Statistic]) -> "Design":
        """Folds of one cross-validation, in order, whose groups are all different."""
        ends = np.cumsum([one.n_groups for one in statistics])
        members = tuple(
            np.arange(end - one.n_groups, end)
            for one, end in zip(statistics, ends.tolist(), strict=True)
        )
        return cls(members, tuple(Place(0, fold, 0) for fold in range(len(statistics))))

    @classmethod
    def of(cls, judged: Sequence[Judged], *, classes_fixed: bool = False) -> "Design":
        """From the predictions of all models.

        Args:
            judged: Of each model.
            classes_fixed: Whether to draw groups within their class.

        Raises:
            DataError: If a group holds examples of two classes, and classes are fixed.
        """
        everything = [one.held_out for one in judged]
        ids = np.unique(np.concatenate([each.group_id for each in everything]))

        def members(predictions: Predictions) -> Index:
            return np.searchsorted(ids, np.unique(predictions.group_id))

        stratum = None
        if classes_fixed:
            group = np.concatenate([np.searchsorted(ids, each.group_id) for each in everything])
            stratum = class_strata(np.concatenate([each.label for each in everything]), group)
        looks = [one.tuning for one in judged if one.tuning is not None]
        known = len(looks) == len(judged) and all(np.isin(e.group_id, ids).all() for e in looks)
        return cls(
            tuple(members(each) for each in everything),
            tuple(one.place for one in judged),
            stratum,
            tuple(members(each) for each in looks) if known else (),
        )

    @property
    def n_groups(self) -> int:
        """How many groups there are."""
        return int(max(each.max() for each in self.members)) + 1

    def count(self, what: int) -> int:
        """How many repeats (0), folds (1) or seeds (2) there are."""
        return len({place[what] for place in self.places})

    @property
    def base(self) -> Index:
        """The stratum of each group, all one where there is none."""
        return np.zeros(self.n_groups, np.int64) if self.stratum is None else self.stratum

    def cells(self) -> tuple[Index, float]:
        """Within what groups are drawn, and what corrects the variance of the draws.

        One cross-validation draws within each fold (and class). Repeats deal the groups anew, so
        they are drawn from all folds together; as each fold's number is about its own mean, the
        variance then lacks one degree of freedom a fold.
        """
        base, folds = self.base, self.count(1)
        if self.count(0) == 1:
            fold = np.zeros(self.n_groups, np.int64)
            for groups, place in zip(self.members, self.places, strict=True):
                fold[groups] = place.fold
            cell = np.unique(base * (fold.max() + 1) + fold, return_inverse=True)[1]
            if np.bincount(cell).min() >= _TWO:
                return cell, 1.0
        n_groups, strata = self.n_groups, len(np.unique(base))
        return base, (n_groups - strata) / max(n_groups - strata * folds, n_groups / 2)


def across_folds(
    statistics: Sequence[Statistic],
    rng: np.random.Generator,
    how: Bootstrap = DEFAULT,
    design: Design | None = None,
    tuning: Sequence[Statistic] = (),
    degrees: float | None = None,
) -> list[RecipeNumber]:
    """Each number of a recipe, from the statistics of its models.

    Args:
        statistics: One for each model, all with as many numbers; a paired difference is
            :func:`sequela.evaluation.statistic.difference` of two models with the same place.
        rng: Draws the resamples.
        how: Level, resamples and method.
        design: Which groups each model was judged on (default: folds of different groups, in
            order, of one cross-validation).
        tuning: The same statistics on the tuning parts, if ``design`` has these.
        degrees: Of freedom of the group variance, where a jackknife tells nothing about a number
            (default: by how evenly the groups carry it).

    Returns:
        One for each number of a statistic.

    Raises:
        DataError: If there are no statistics, or fewer than two groups.
    """
    if not statistics:
        raise DataError("there are no models to average over: expected one or more")
    design = design or Design.disjoint(statistics)
    if design.n_groups < _TWO:
        raise DataError(
            f"there are {design.n_groups} groups: an interval needs two subjects or more"
        )
    cell, correction = design.cells()
    point = np.stack([np.atleast_1d(one.estimate) for one in statistics])  # (model, number)
    weights = list(resampled_weights(cell, how.resamples, rng))
    drawn = _values(statistics, design.members, weights)
    without = list(jackknife_weights(design.base)) if degrees is None else weights[:1]
    left_out = _values(statistics, design.members, without)
    swing = _swing(statistics, tuning, design, weights, drawn)
    trials = _trials(statistics, design)
    return [
        _number(
            _Found(
                point[:, i],
                drawn[..., i],
                _mean(left_out[..., i]),
                float(swing[i]) * correction,
                trials[i],
                degrees,
            ),
            design,
            correction,
            how,
        )
        for i in range(point.shape[1])
    ]


def metric_across_folds(
    name: str, judged: Sequence[Judged], rng: np.random.Generator, how: Bootstrap = DEFAULT
) -> RecipeNumber:
    """A metric of a recipe by its name.

    Raises:
        UnknownNameError: If no metric has that name.
        DataError: If the metric is not defined on these predictions.
    """
    (found,) = over_models(judged, lambda each: statistic_of(name, each), rng, how)
    return found


def over_models(
    judged: Sequence[Judged],
    of: Callable[[Predictions], Statistic],
    rng: np.random.Generator,
    how: Bootstrap = DEFAULT,
) -> list[RecipeNumber]:
    """Numbers of a recipe from what its models said; as :func:`across_folds`.

    Args:
        judged: Of each model.
        of: The statistic of predictions.
        rng: Draws the resamples.
        how: Level, resamples, method, and whether groups are drawn within their class.
    """
    design = Design.of(judged, classes_fixed=how.classes_fixed)
    tuning = [of(one.tuning) for one in judged if one.tuning is not None] if design.tuning else []
    return across_folds([of(one.held_out) for one in judged], rng, how, design, tuning)


def difference_across_folds(
    one: Sequence[Judged],
    other: Sequence[Judged],
    of: Callable[[Predictions], Statistic],
    rng: np.random.Generator,
    how: Bootstrap = DEFAULT,
) -> list[RecipeNumber]:
    """``one`` minus ``other``, paired: models with the same place judge the same examples.

    Args:
        one: Of each model of the first recipe.
        other: Of each model of the second; seeds of a fold that only one has are left out.
        of: The statistic of predictions.
        rng: Draws the resamples.
        how: Level, resamples, method, and whether groups are drawn within their class.

    Raises:
        SplitError: If two models of one place were judged on different examples.
        DataError: If no place is in both.
    """
    theirs = {each.place: each for each in other}
    pairs = [(each, theirs[each.place]) for each in one if each.place in theirs]
    if not pairs:
        raise DataError("the two recipes share no fold: expected models of the same splits")
    design = Design.of([each for each, _ in pairs], classes_fixed=how.classes_fixed)
    design = replace(design, paired=True)
    statistics = [_apart(a.held_out, b.held_out, of) for a, b in pairs]
    looks = [(a.tuning, b.tuning) for a, b in pairs]
    tuning = [_apart(a, b, of) for a, b in looks if design.tuning and a and b]
    if len(tuning) < len(pairs):
        design, tuning = replace(design, tuning=()), []
    return across_folds(statistics, rng, how, design, tuning)


def _apart(
    one: Predictions, other: Predictions, of: Callable[[Predictions], Statistic]
) -> Statistic:
    return difference(of(one), of(aligned(one, other)))


def _values(
    statistics: Sequence[Statistic], members: Sequence[Index], weights: Sequence[Values]
) -> Values:
    """Each model's numbers under weights of all groups: (model, resample, number)."""
    return np.stack(
        [
            np.concatenate([one(chunk[:, groups]).reshape(len(chunk), -1) for chunk in weights])
            for one, groups in zip(statistics, members, strict=True)
        ]
    )


def _mean(values: Values) -> Values:
    """Mean over the models (model, ...) that have the number; NaN where none has."""
    there = ~np.isnan(values)
    total = np.where(there, values, 0).sum(axis=0)
    with np.errstate(invalid="ignore"):
        mean: Values = total / there.sum(axis=0)
    return mean


def _spread(values: Values) -> Values:
    """Variance along the first axis of what is defined there; NaN where nothing is."""
    return _mean((values - _mean(values)) ** 2)


def _trials(statistics: Sequence[Statistic], design: Design) -> list[int]:
    """How many groups each number rests on, over all folds of a repeat; 0 if it is no chance."""
    given = np.array([one.trials or [0] * one.estimate.size for one in statistics])
    each = given.sum(axis=0) * design.count(1) // len(statistics)
    trials: list[int] = np.where((given > 0).all(axis=0), each, 0).tolist()
    return trials


def _swing(
    statistics: Sequence[Statistic],
    tuning: Sequence[Statistic],
    design: Design,
    weights: Sequence[Values],
    drawn: Values,
) -> Values:
    """How much of each number's group variance is another model's saying something else: (number,).

    The part of one cross-validation: half the variance of what two repeats differ by on the same
    draws. Where there is one repeat, the tuning parts stand for the second; without them it is NaN.
    """
    if design.count(0) > 1:
        repeat = np.array([place.repeat for place in design.places])
        means = np.stack([_mean(drawn[repeat == one]) for one in np.unique(repeat)])
        apart = means - _mean(np.swapaxes(means, 0, 1))[:, None]
        return _mean(apart.var(axis=0, ddof=1))
    if not tuning:
        return np.full(drawn.shape[2], np.nan)
    looks = np.zeros(design.n_groups)
    for groups, place in zip(design.tuning, design.places, strict=True):
        looks[groups] += place.seed == design.places[0].seed
    seen = looks > 0
    shares = np.divide(1, looks, out=np.zeros(len(looks)), where=seen)
    ours = _mean(_values(statistics, design.members, [chunk * seen for chunk in weights]))
    theirs = _mean(_values(tuning, design.tuning, [chunk * shares for chunk in weights]))
    share = seen.sum() / design.n_groups / (1 + shares[seen].mean())
    return np.asarray(_spread(ours - theirs) * share)


@dataclass(frozen=True, eq=False)
class _Found:
    """One number of all models.

    Attributes:
        point: (model,).
        drawn: (model, resample).
        left_out: (left out,): the mean with one group left out after the other.
        swing: See :func:`_swing`.
        trials: Groups that it rests on, if it is a chance.
        degrees: Of freedom of the group variance, if they are given.
    """

    point: Values
    drawn: Values
    left_out: Values
    swing: float
    trials: int
    degrees: float | None


def _number(found: _Found, design: Design, correction: float, how: Bootstrap) -> RecipeNumber:
    value, values = float(_mean(found.point)), _mean(found.drawn)
    n_models = int((~np.isnan(found.point)).sum())
    spread = Distribution.of(value, values, found.left_out, how.method)
    if spread is None:
        return RecipeNumber(value, None, None, None, n_models)
    group = float(spread.values.var()) * correction
    seed, between = _training(found, design)
    coupled = group + (_coupled(group, found.swing, design) if design.count(1) > 1 else 0.0)
    training = max(seed or 0.0, group + between - coupled)
    total = coupled + training
    if total < _ROUNDING**2 and found.trials and min(abs(value), abs(1 - value)) < _ROUNDING:
        exact = exact_interval(round(value) * found.trials, found.trials, how.level)
        return RecipeNumber(value, exact, spread, Variance(0.0, None, None), n_models)
    of_group = spread.degrees if found.degrees is None else found.degrees
    splits = len({place[:2] for place in design.places})
    of_training = (splits if splits > 1 else len(design.places)) - 1
    degrees = _degrees(coupled, of_group, training, of_training)
    wide = replace(
        spread,
        values=_widened(spread, total, is_chance=found.trials > 0),
        degrees=min(degrees, _most_degrees(design)),
    )
    low, high = wide.bounds(how.level)
    interval = Interval(low, high, how.level, _method(design, how), len(values), design.n_groups)
    return RecipeNumber(value, interval, wide, _split_up(found, design, total, seed), n_models)


def _coupled(group: float, swing: float, design: Design) -> float:
    """Estimate what folds that share training data add to the group variance of their mean."""
    repeats = design.count(0)
    share = (COUPLED_APART if design.paired else COUPLED) * (1 + 1 / repeats) / 2
    if np.isnan(swing):
        return share * group
    return min(share * max(0.0, group - swing / repeats), COUPLED_SWING * swing)


def _training(found: _Found, design: Design) -> tuple[float | None, float]:
    """What training adds to the variance of the mean beyond the groups: by seed, by fold.

    The variance between seeds, or folds, less what the groups they are judged on explain. Seeds of
    a split judge the same groups, so these explain only what they see differently.
    """
    cells: dict[tuple[int, int], list[int]] = {}
    for model, place in enumerate(design.places):
        if not np.isnan(found.point[model]):
            cells.setdefault(place[:2], []).append(model)
    point = [found.point[models] for models in cells.values()]
    drawn = [found.drawn[models] for models in cells.values()]
    seed, between = None, 0.0
    several = [(p, d) for p, d in zip(point, drawn, strict=True) if len(p) > 1]
    if several:
        beyond = [p.var(ddof=1) - _apart_on_draws(p, d) for p, d in several]
        seed = max(0.0, float(np.mean(beyond))) / len(found.point)
    repeat = np.array([repeat for repeat, _ in cells])
    means = np.array([each.mean() for each in point])
    sampling = np.array([float(_spread(_mean(each))) for each in drawn])
    beyond = [
        means[repeat == one].var(ddof=1) - sampling[repeat == one].mean()
        for one in np.unique(repeat)
        if np.sum(repeat == one) > 1
    ]
    if beyond:
        between = max(0.0, float(np.mean(beyond))) / len(means)
    return seed, between


def _apart_on_draws(point: Values, drawn: Values) -> float:
    """Mean variance between seeds (seed, resample) of what each draw moves them by."""
    return float(_mean((drawn - point[:, None]).var(axis=0, ddof=1)))


def _split_up(found: _Found, design: Design, total: float, seed: float | None) -> Variance:
    """The total variance by what causes it, as far as the design can tell."""
    repeat = np.array([place.repeat for place in design.places])
    if seed is not None:
        cells: dict[tuple[int, int], list[float]] = {}
        for place, value in zip(design.places, found.point.tolist(), strict=True):
            if not np.isnan(value):
                cells.setdefault(place[:2], []).append(value)
        spread = [np.var(some, ddof=1) for some in cells.values() if len(some) > 1]
        seed = min(total, float(np.mean(spread)) / len(found.point))
    split = None
    if design.count(0) > 1:
        means = [float(_mean(found.point[repeat == one])) for one in np.unique(repeat)]
        means = [mean for mean in means if not np.isnan(mean)]
        again = float(np.var(means, ddof=1)) / len(means) if len(means) > 1 else 0.0
        split = min(max(0.0, again - (seed or 0.0)), total - (seed or 0.0))
    return Variance(total - (split or 0.0) - (seed or 0.0), split, seed)


def _degrees(group: float, of_group: float, training: float, of_training: int) -> float:
    """Degrees of freedom of a sum of two variances (Satterthwaite 1946)."""
    if not training:
        return of_group
    return (group + training) ** 2 / (group**2 / of_group + training**2 / max(of_training, 1))


def _most_degrees(design: Design) -> float:
    """Groups less the means that they are about: one a fold and stratum."""
    means = len(np.unique(design.base)) * design.count(1)
    return float(max(design.n_groups - means, design.n_groups / 2, 1))


def _widened(spread: Distribution, total: float, *, is_chance: bool) -> Values:
    """The resamples spread out to a variance; a chance on the logit scale, so that it stays one."""
    value, values = spread.estimate, spread.values
    variance = float(values.var())
    if variance < _ROUNDING**2:
        place = (np.arange(len(values)) + 0.5) / len(values)
        return np.asarray(value + np.sqrt(total) * stats.norm.ppf(place))
    wider = np.sqrt(total / variance)
    if not (is_chance and 0 < value < 1):
        return np.asarray(value + wider * (values - value))
    with np.errstate(divide="ignore"):
        return np.asarray(expit(logit(value) + wider * (logit(values.clip(0, 1)) - logit(value))))


def _method(design: Design, how: Bootstrap) -> str:
    """How the interval was made, in words."""
    names = ("repeat", "fold", "seed")
    counts = [(design.count(what), name) for what, name in enumerate(names)]
    said = ", ".join(f"{count} {name}s" for count, name in counts if count > 1) or "1 model"
    within = " within classes" * (design.stratum is not None)
    return f"{how.method} bootstrap over groups{within} with training variance ({said})"
