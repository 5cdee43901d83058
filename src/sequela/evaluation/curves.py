"""ROC and precision-recall curves, with confidence bands over groups.

The points are scikit-learn's. A band is pointwise: at each place of the x axis it holds the curve
with the stated confidence, by quantiles of a bootstrap that draws whole groups. The curve at a
fixed rate depends on few examples near one threshold, so a jackknife is uninformative: the
quantiles are not BCa's but plain percentiles, widened by Student's t with as many degrees of
freedom as the scarcer class has groups, less one.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from sklearn import metrics as sklearn_metrics

from sequela.evaluation import metrics, statistic
from sequela.evaluation.intervals import DEFAULT, Bootstrap, Estimate, estimates, exact_interval
from sequela.evaluation.predictions import Predictions
from sequela.evaluation.recipe import Judged, metric_across_folds, over_models
from sequela.evaluation.statistic import Statistic, class_strata, resampled_weights

Kind = Literal["roc", "precision-recall"]
Values = NDArray[np.float64]

_AREAS: dict[Kind, str] = {"roc": "auroc", "precision-recall": "average_precision"}

_ROUNDING = 1e-9  # distance of a share from a bound that counts as none
_FALSE_POSITIVE_RATES = np.unique(
    np.concatenate([np.arange(0, 51) / 500, np.arange(0, 101) / 100]).round(3)
)
_FEWEST = 3  # the fewest groups with events for a band
_RECALLS = np.arange(1, 100) / 100
"""The places of a band of precision: a recall of 1 depends on the threshold of one example."""


@dataclass(frozen=True)
class Curve:
    """One curve of one model.

    Attributes:
        kind: ``roc`` (x is 1 - specificity, y sensitivity) or ``precision-recall`` (x is recall, y
            precision).
        x: float64 (point,), never falling; NaN, as y, for a point that is not shown.
        y: float64 (point,).
        threshold: float64 (point,), falling: alarm at or above it. The first is infinite: no alarm.
            NaN for a mean of curves.
        band_x: float64 (place,): where the band is given.
        low: float64 (place,): lower bound of y there, NaN where there are too few data for one.
        high: float64 (place,): upper bound.
        area: AUROC, or average precision, with its interval.
        frequency: Share of the examples that are events: the precision of a random ranking.
        level: Confidence of band and interval.
        parts: The curves of each model, if this is their mean; empty for one model.
    """

    kind: Kind
    x: Values
    y: Values
    threshold: Values
    band_x: Values
    low: Values
    high: Values
    area: Estimate
    frequency: float
    level: float
    parts: tuple["Curve", ...] = ()

    def at(self, threshold: float | Sequence[float]) -> tuple[float, float]:
        """Return the point (x, y) of the curve for an alarm at or above ``threshold``.

        For a mean of curves it is the mean of their points, at one threshold or at one for each;
        ``y`` is NaN where precision is undefined because there are no alarms.
        """
        if self.parts:
            thresholds = np.broadcast_to(threshold, len(self.parts)).tolist()
            x, y = np.array([p.at(t) for p, t in zip(self.parts, thresholds, strict=True)]).T
            return float(x.mean()), float(np.nanmean(y)) if not np.isnan(y).all() else np.nan
        # Scores are float32; a threshold between two of them means the higher.
        only = np.float32(np.ravel(threshold)[0])
        index = int(np.sum(self.threshold >= only)) - 1
        silent = self.kind == "precision-recall" and index == 0
        return float(self.x[index]), np.nan if silent else float(self.y[index])


def coarse(curve: Curve, predictions: Predictions, smallest: int) -> Curve:
    """Replace the points of a curve that reveal a small count of people by NaN: gaps.

    At each threshold the points of a curve reveal the numbers of true and false alarms; only points
    where each of the four counts is 0, or ``smallest`` or more, are left. A line across the gaps
    would have another area than the curve.
    """
    # Each point is a pair of shares whose denominators are printed, so counts follow from it.
    safe = counts_no_few(predictions, curve.threshold, smallest)
    x, y = (np.where(safe, values, np.nan) for values in (curve.x, curve.y))
    return replace(curve, x=x, y=y)


def counts_no_few(predictions: Predictions, threshold: Values, smallest: int) -> NDArray[np.bool_]:
    """Find thresholds whose four counts are each 0, or ``smallest`` or more: bool (threshold,)."""
    alarm = predictions.score >= threshold[:, np.newaxis]
    alarmed = np.stack([(alarm & (predictions.label == label)).sum(axis=1) for label in (0, 1)])
    silent = np.bincount(predictions.label, minlength=2)[:, np.newaxis] - alarmed
    cells = np.concatenate([alarmed, silent])
    return np.asarray(((cells == 0) | (cells >= smallest)).all(axis=0))


def roc_curve(
    predictions: Predictions, rng: np.random.Generator, how: Bootstrap = DEFAULT
) -> Curve:
    """Compute sensitivity against 1 - specificity over all thresholds.

    The band is for the sensitivity at fixed rates of false positives (0 to 0.1 by 0.002, to 1 by
    0.01), linear between thresholds.

    Args:
        predictions: Predictions for one part, with two classes.
        rng: Draws the resamples: first those of the AUROC, as ``metric_interval`` would.
        how: Resamples, level and strata; its method is used for the AUROC's interval.
    """
    bare, places = _bare("roc", predictions), _FALSE_POSITIVE_RATES
    return _with_band(bare, places, sensitivity_at(predictions, places), predictions, rng, how)


def precision_recall_curve(
    predictions: Predictions, rng: np.random.Generator, how: Bootstrap = DEFAULT
) -> Curve:
    """Compute precision against recall over all thresholds.

    The band is for the precision at the highest threshold that reaches a recall of 0.01 to 0.99 by
    0.01, beginning where three groups with events are found. As in scikit-learn, the first point is
    (0, 1), without alarms.

    Args:
        predictions: Predictions for one part, with two classes.
        rng: Draws the resamples: first those of the average precision, as ``metric_interval``
            would.
        how: Resamples, level and strata; its method is used for the average precision's interval.
    """
    bare, places = _bare("precision-recall", predictions), _RECALLS
    return _with_band(bare, places, precision_at(predictions, places), predictions, rng, how)


def roc_over_models(
    judged: Sequence[Judged], rng: np.random.Generator, how: Bootstrap = DEFAULT
) -> Curve:
    """Compute the mean ROC curve of the models of a procedure: of their sensitivities at each rate.

    Scores of two models are never ranked together. The band includes the variance of training (see
    :mod:`sequela.evaluation.recipe`); its places are those of :func:`roc_curve`.
    """
    places = _FALSE_POSITIVE_RATES
    parts = tuple(_bare("roc", model.held_out) for model in judged)
    y, low, high = _mean_at(judged, lambda p: sensitivity_at(p, places), rng, how)
    # The mean of the sensitivities at a rate of 0 is above 0: the curve rises there.
    points = np.concatenate([[0.0], places]), np.concatenate([[0.0], y])
    return _mean_curve(parts, points, (places, *_rising(low, high)), judged, rng, how)


def precision_recall_over_models(
    judged: Sequence[Judged], rng: np.random.Generator, how: Bootstrap = DEFAULT
) -> Curve:
    """Compute the mean precision-recall curve of the models; as :func:`roc_over_models`.

    A fold has few events, so the next threshold may be far beyond a recall: its precision is
    interpolated between thresholds (:func:`precision_between`). There is no band where a fold has
    found no event yet, or misses none.
    """
    parts = tuple(_bare("precision-recall", model.held_out) for model in judged)
    y, low, high = _mean_at(judged, lambda p: precision_between(p, _RECALLS), rng, how)
    fewest = min(len(_with_event(model.held_out)) for model in judged)
    # Below 1/m, no event of a fold with m events is found, and the precision rests on nothing.
    beyond = np.minimum(_RECALLS, 1 - _RECALLS) * fewest < 1 - _ROUNDING
    low[beyond] = high[beyond] = np.nan
    return _mean_curve(parts, (_RECALLS, y), (_RECALLS, low, high), judged, rng, how)


def _rising(low: Values, high: Values) -> tuple[Values, Values]:
    """Tighten a band: sensitivity grows with the rate, so a bound holds at the next rates too."""
    return np.maximum.accumulate(low), np.minimum.accumulate(high[::-1])[::-1]


def _mean_at(
    judged: Sequence[Judged],
    at_places: Callable[[Predictions], Statistic],
    rng: np.random.Generator,
    how: Bootstrap,
) -> tuple[Values, Values, Values]:
    """Compute the mean curve and its band place by place: y, low and high (place,)."""
    # The scarcer class decides: many survivors do not make ten deaths certain.
    degrees = max(_scarcest(judged) - 1.0, 1.0)
    numbers = over_models(judged, at_places, rng, replace(how, method="percentile"), degrees)
    n_events = len(set().union(*(_with_event(model.held_out) for model in judged)))
    low, high = np.full(len(numbers), np.nan), np.full(len(numbers), np.nan)
    for place, number in enumerate(numbers):
        interval = number.interval
        if interval is not None:
            low[place], high[place] = max(interval.low, 0.0), min(interval.high, 1.0)
            _widen_at_end(low, high, place, number.value, n_events, how.level)
    return np.array([number.value for number in numbers]), low, high


def _widen_at_end(
    low: Values, high: Values, place: int, value: float, trials: int, level: float
) -> None:
    """Widen the band to the exact binomial bound where the curve is at 0 or 1."""
    if trials and min(value, 1 - value) < _ROUNDING:  # nearly all resamples are there too
        exact = exact_interval(round(value) * trials, trials, level)
        low[place], high[place] = min(low[place], exact.low), max(high[place], exact.high)


def _scarcest(judged: Sequence[Judged]) -> int:
    """Count the groups that hold the scarcer class, over all folds."""
    holds: list[set[str]] = [set(), set()]
    for model in judged:
        test = model.held_out
        for label, groups in enumerate(holds):
            groups.update(test.group_id[test.label == label].tolist())
    return min(map(len, holds))


def _with_event(predictions: Predictions) -> set[str]:
    return set(predictions.group_id[predictions.label == 1].tolist())


def _mean_curve(
    parts: tuple[Curve, ...],
    points: tuple[Values, Values],
    band: tuple[Values, Values, Values],
    judged: Sequence[Judged],
    rng: np.random.Generator,
    how: Bootstrap,
) -> Curve:
    first = parts[0]
    area = metric_across_folds(_AREAS[first.kind], judged, rng, how)
    tests = [model.held_out for model in judged if model.place.repeat == model.place.seed == 0]
    return Curve(
        first.kind,
        *points,
        np.full(len(points[0]), np.nan),
        *band,
        area=Estimate(area.value, area.interval),
        frequency=float(np.mean(np.concatenate([test.label for test in tests]) == 1)),
        level=how.level,
        parts=parts,
    )


def _bare(kind: Kind, predictions: Predictions) -> Curve:
    metrics.refuse_one_class(predictions)
    label, score = predictions.label, predictions.score
    if kind == "roc":
        points = sklearn_metrics.roc_curve(label, score, drop_intermediate=False)
    else:
        precision, recall, cuts = sklearn_metrics.precision_recall_curve(label, score)
        points = recall[::-1], precision[::-1], np.concatenate([[np.inf], cuts[::-1]])
    x, y, thresholds = (np.asarray(column, dtype=np.float64) for column in points)
    nothing = np.zeros(0)
    return Curve(
        kind,
        *(x, y, thresholds),
        *(nothing, nothing, nothing),
        area=Estimate(np.nan, None),
        frequency=float(np.mean(predictions.label == 1)),
        level=DEFAULT.level,
    )


def sensitivity_at(predictions: Predictions, rates: Values) -> Statistic:
    """Return sensitivity at fixed rates of false positives (rate,), linear between thresholds."""

    def value(true: Values, false: Values) -> Values:
        with np.errstate(invalid="ignore"):
            true /= true[:, -1:]
            false /= false[:, -1:]
        return np.stack([np.interp(rates, x, y) for x, y in zip(false, true, strict=True)])

    return _over_thresholds(predictions, np.where(rates < 1, 1, 0), value)


def precision_at(predictions: Predictions, recalls: Values) -> Statistic:
    """Return precision at the highest threshold that reaches each recall (recall,), above 0."""

    # ``true`` and ``false`` are alarms at or above each score: (resample, 1 + score).
    def value(true: Values, false: Values) -> Values:
        last = true.shape[1] - 1
        precision = np.empty((len(true), len(recalls)))
        for row, (hits, alarms) in enumerate(zip(true, true + false, strict=True)):
            required = (recalls - _ROUNDING) * hits[-1]
            first = np.minimum(np.searchsorted(hits, required, side="left"), last)
            with np.errstate(invalid="ignore"):
                precision[row] = hits[first] / alarms[first]
        precision[true[:, -1] == 0] = np.nan
        return precision

    return _over_thresholds(predictions, recalls, value)


def precision_between(predictions: Predictions, recalls: Values) -> Statistic:
    """Return precision at each recall (recall,), with false alarms linear between the events found.

    The k-th of m events, in the order of their scores, is at the recall k / (m + 1), its expected
    position (Weibull 1939): without that the curve of few events would be too low.
    """
    # Recalls are stretched so that the k-th of m events is at k / (m + 1).
    stretched = recalls * (1 + 1 / max(int((predictions.label == 1).sum()), 1))

    def value(true: Values, false: Values) -> Values:
        precision = np.full((len(true), len(recalls)), np.nan)
        for row, (hits, alarms) in enumerate(zip(true, false, strict=True)):
            if not hits[-1]:
                continue
            at = np.flatnonzero(np.diff(hits, prepend=-1.0) > 0)  # no alarm, then each event
            wrong = np.interp(stretched * hits[-1], hits[at], alarms[at])
            right = recalls * hits[-1]
            precision[row] = right / (right + wrong)
        return precision

    return _over_thresholds(predictions, recalls, value)


def _over_thresholds(
    predictions: Predictions, shares: Values, value: Callable[[Values, Values], Values]
) -> Statistic:
    """Return numbers as a function of true and false alarms, each (resample, 1 + score)."""

    def cumulated(sums: Values) -> Values:
        """Cumulate (score, resample) from no alarm on: (resample, 1 + score)."""
        return np.pad(np.cumsum(sums.T, axis=1), ((0, 0), (1, 0)))

    group = predictions.group_index
    is_event = predictions.label == 1
    scores = -statistic.coarse(is_event, predictions.score)
    sums_at = statistic.sums_at_scores(is_event, scores, group)
    return Statistic(
        lambda weights: value(*map(cumulated, sums_at(weights))),
        int(group.max()) + 1,
        tuple(np.ceil(shares * len(_with_event(predictions))).astype(np.int64).tolist()),
    )


def _with_band(
    bare: Curve,
    places: Values,
    at: Statistic,
    predictions: Predictions,
    rng: np.random.Generator,
    how: Bootstrap,
) -> Curve:
    group = predictions.group_index
    stratum = class_strata(predictions.label, group) if how.classes_fixed else None
    (area,) = estimates(metrics.statistic_of(_AREAS[bare.kind], predictions), rng, how, stratum)
    if stratum is None:
        stratum = np.zeros(at.n_groups, dtype=np.int64)
    scarcest = min(len(np.unique(group[predictions.label == label])) for label in (0, 1))
    low, high = _band(at, stratum, rng, how, degrees=max(scarcest - 1, 1))
    low, high = _rising(low, high) if bare.kind == "roc" else (low, high)
    return replace(bare, band_x=places, low=low, high=high, area=area, level=how.level)


def _band(
    at: Statistic,
    stratum: NDArray[np.int64],
    rng: np.random.Generator,
    how: Bootstrap,
    degrees: int,
) -> tuple[Values, Values]:
    """Return pointwise bounds, NaN where most resamples are undefined or groups are too few."""
    trials = np.array(at.trials)
    none = np.full(len(trials), np.nan)
    if at.n_groups < 2:  # noqa: PLR2004
        return none, none
    values = np.concatenate([at(w) for w in resampled_weights(stratum, how.resamples, rng)])
    values = values[~np.isnan(values).any(axis=1)]  # resamples without one of the classes
    if 2 * len(values) < how.resamples:
        return none, none
    # The percentile of Student's t with the degrees, as a level of the normal distribution.
    tail = stats.norm.cdf(stats.t.isf((1 - how.level) / 2, degrees))
    low, high = np.quantile(values, [1 - tail, tail], axis=0)
    for place, value in enumerate(at.estimate.tolist()):
        _widen_at_end(low, high, place, value, int(trials[place]), how.level)
    few = (trials > 0) & (trials < _FEWEST)
    low[few] = high[few] = np.nan
    return low, high
