"""The numbers of one part of a run, each with its interval, as written to a run folder."""

import math
from collections import ChainMap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sequela.cohort.split import PARTS
from sequela.config import Aim, RunSettings
from sequela.evaluation import metrics
from sequela.evaluation.decision import RATES, Threshold, choose_threshold, operation
from sequela.evaluation.intervals import DEFAULT, Bootstrap, Estimate, Interval, estimates
from sequela.evaluation.metrics import reported
from sequela.evaluation.predictions import Predictions, event
from sequela.evaluation.statistic import Statistic, class_strata, stacked

Numbers = dict[str, Any]
"""Numbers, intervals and counts by name, as they are written to a run folder."""
MORE_PROBABLE = Threshold(0.5, "the more probable class")


def summarise_parts(
    predictions: Predictions,
    settings: RunSettings,
    *,
    recordings: bool,
    intervals: bool = True,
    parts: Sequence[str] = PARTS,
    attributes: Mapping[str, NDArray[np.str_]] | None = None,
) -> dict[str, Numbers]:
    """Compute a run's ``metrics.json`` for some sets; intervals take a bootstrap.

    Groups by the ``attributes``, str (example,) by name, are compared in the test set.
    """
    seed, how = settings.seed if intervals else None, Bootstrap(resamples=settings.resamples)
    numbers = {
        name: summarise(predictions.part(name), seed=seed, recordings=recordings, how=how)
        for name in parts
    }
    if len(predictions.classes) == 2 and not predictions.horizons:  # noqa: PLR2004
        numbers["held_out"]["operating_points"] = operating_points(
            predictions, seed=seed, aim=settings.aim, target=settings.aim_target, how=how
        )
    if attributes and intervals and not settings.folds:  # folds are compared together
        from sequela.evaluation.group_differences import group_differences  # most runs do without

        points = numbers["held_out"].get("operating_points")
        run = predictions, attributes, points[1]["threshold"] if points else None
        compared = group_differences([run], settings.seed, how)
        numbers["held_out"]["group_differences"] = compared
    return numbers


def summarise(
    predictions: Predictions, *, seed: int | None, recordings: bool, how: Bootstrap = DEFAULT
) -> Numbers:
    """Compute recall, confusion, and each reported metric that is defined on one part.

    Args:
        predictions: Predictions for one part.
        seed: Seed of the bootstrap; ``None`` leaves the intervals out.
        recordings: Whether examples are segments of recordings of one class: each then gets the
            class with the highest mean probability over its segments, and the bootstrap resamples
            within classes.
        how: The settings of the bootstrap.

    Returns:
        Numbers by name. An interval ``<name>_ci`` is [low, high], 95 %, from a bootstrap over the
        groups; ``interval`` describes the method. A number that needs both of two classes is left
        out where one is missing.
    """
    possible = [m for m in reported() if m.can_be_had(predictions, whole_groups=recordings)]
    ids = predictions.recording_id  # where groups are not recordings
    numbers: Numbers = {
        "examples": predictions.n_examples,
        "groups": len(np.unique(predictions.group_id)),
    }
    if ids is not None:
        numbers["recordings"] = len(np.unique(ids))
    numbers |= {m.key: _or_none(m.value(predictions)) for m in possible}
    if predictions.horizons:
        numbers |= _ends(predictions, seed, how)
    else:
        numbers |= _classified(predictions)
    uncertain = {m.key: m.statistic(predictions) for m in possible if m.interval and m.statistic}
    if seed is None or not uncertain:
        return numbers
    stratum = class_strata(predictions.label, predictions.group_index) if recordings else None
    # All on the same resamples, so that another metric changes none.
    all_ = estimates(stacked([*uncertain.values()]), np.random.default_rng(seed), how, stratum)
    for key, estimate in zip(uncertain, all_, strict=True):
        numbers |= _number(key, estimate)
        if key == next(iter(uncertain)):
            numbers["interval"] = estimate.interval and estimate.interval.method_record()
    return numbers


def _classified(predictions: Predictions) -> Numbers:
    return {
        "per_class_recall": [
            _or_none(recall) for recall in metrics.per_class_recall(predictions).tolist()
        ],
        "confusion": metrics.confusion(predictions).tolist(),
    }


def _ends(predictions: Predictions, seed: int | None, how: Bootstrap) -> Numbers:
    from sequela.evaluation.survival import at_horizons  # runs of classes do without

    outcomes = predictions.outcomes
    rates = stacked(at_horizons(*predictions.over_time))
    if rates.n_groups < 2:  # noqa: PLR2004 - one group has no interval
        seed = None
    numbers = _numbers(AT_HORIZON * len(predictions.horizons), rates, seed, how)
    return {
        "ends": predictions.intervals.ends(outcomes.time, outcomes.event),
        "horizons": by_horizon(predictions.horizons, numbers),
    }


def calibration_numbers(predictions: Predictions, seed: int | None, how: Bootstrap) -> Numbers:
    """Compute the main metric, observed over expected events, and the calibration slope.

    Each has its interval ``<name>_ci``, unless ``seed`` is ``None``. Of several classes, the event
    is that the most probable class is right. Times to an event have the ratio at the last horizon,
    and no slope.
    """
    # Only updates need it.
    from sequela.evaluation.calibration import observed_over_expected, slope_within

    metric = metrics.main_metric(predictions).name
    statistics = {metric: metrics.statistic_of(metric, predictions)}
    if predictions.horizons:
        from sequela.evaluation.survival import over_expected  # runs of classes do without

        statistics["o_e"] = over_expected(*predictions.over_time)
    numbers: Numbers = {}
    for number in _numbers([*statistics], stacked([*statistics.values()]), seed, how):
        numbers |= number
    if not predictions.horizons and len(np.unique((judged := event(predictions)).happened)) > 1:
        ratio, slope = observed_over_expected(judged), slope_within(predictions)
        for name, (value, *bounds) in {"o_e": ratio, "slope": slope}.items():
            numbers |= {name: value} if seed is None else {name: value, f"{name}_ci": bounds}
    return numbers


AT_HORIZON = ["observed", "predicted", "auroc", "brier"]


def by_horizon(horizons: Sequence[float], numbers: Sequence[Mapping[str, object]]) -> list[Numbers]:
    """Return the record of each horizon, from its numbers in the order of ``AT_HORIZON``."""
    size = len(AT_HORIZON)
    return [
        {"days": day, **ChainMap(*map(dict, numbers[size * n : size * (n + 1)]))}
        for n, day in enumerate(horizons)
    ]


def operating_points(
    predictions: Predictions,
    *,
    seed: int | None,
    aim: Aim,
    target: float | None = None,
    how: Bootstrap = DEFAULT,
) -> list[Numbers]:
    """Compute the test performance at 0.5, and at the threshold chosen on the validation set.

    For each threshold there is its ``value``, the reason for it, the confusion matrix (class,
    class), and sensitivity, specificity, precision, negative_value, f1 and alarm_rate, each with
    its 95 % interval ``<name>_ci``. A ``seed`` of ``None`` leaves the intervals out.
    """
    by_aim = choose_threshold(predictions.part("tuning"), aim, target)
    return points(predictions.part("held_out"), [MORE_PROBABLE, by_aim], seed=seed, how=how)


def points(
    held_out: Predictions,
    thresholds: Sequence[Threshold],
    *,
    seed: int | None,
    how: Bootstrap = DEFAULT,
) -> list[Numbers]:
    """Compute the performance at given thresholds; as :func:`operating_points`."""
    rates = stacked([operation(held_out, threshold) for threshold in thresholds])
    numbers = _numbers(RATES * len(thresholds), rates, seed, how)
    records: list[Numbers] = []
    for place, threshold in enumerate(thresholds):
        point: Numbers = {"threshold": threshold.value, "chosen_for": threshold.chosen_for}
        cell = 2 * held_out.label + (held_out.score >= threshold.value)  # true class, then alarm
        counts = np.bincount(cell, minlength=4).reshape(2, 2).tolist()
        point["confusion"] = counts
        for rate in numbers[place * len(RATES) : (place + 1) * len(RATES)]:
            point |= rate
        records.append(point)
    return records


def _numbers(
    names: Sequence[str], statistic: Statistic, seed: int | None, how: Bootstrap
) -> list[Numbers]:
    if seed is None:
        values = zip(names, statistic.estimate.tolist(), strict=True)
        return [{name: _or_none(value)} for name, value in values]
    return [*map(_number, names, estimates(statistic, np.random.default_rng(seed), how))]


def _number(name: str, estimate: Estimate) -> Numbers:
    """Return a number and its interval, each ``None`` where it is not defined."""
    interval = estimate.interval
    return {
        name: _or_none(estimate.value),
        f"{name}_ci": None if interval is None else [interval.low, interval.high],
    }


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value


def as_written(numbers: Mapping[str, Any], key: str) -> Estimate:
    """Return a number of a run and its interval as the run's file has them."""
    ci, how = numbers[f"{key}_ci"], numbers.get("interval")
    interval = Interval(ci[0], ci[1], how["level"], how["method"], 0, 0) if ci and how else None
    return Estimate(np.nan if numbers[key] is None else numbers[key], interval)
