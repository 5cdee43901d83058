"""Differences between groups of patients: the worst and the best group of each attribute.

The data choose the two groups, so the interval for two fixed groups would be too narrow. Here each
resample chooses its own two, around the groups' values, which are first pulled together where they
may differ by chance. The interval is for the true difference of the two groups that are named. The
p-value is the probability of a difference as large, in standard errors, if all groups of the
attribute had the same true value.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from sequela.evaluation import statistic
from sequela.evaluation.calibration import slope_statistic
from sequela.evaluation.comparison import holm
from sequela.evaluation.intervals import Bootstrap
from sequela.evaluation.metrics import statistic_of
from sequela.evaluation.predictions import Predictions, joined
from sequela.evaluation.resampling import resampled_weights
from sequela.evaluation.statistic import Statistic, stacked
from sequela.evaluation.subgroups import UNKNOWN

FEWEST = 20  # events, examples without one, and resampled units of a group that is compared
_AT_BOUND = 1.5  # units times the standard error of a share of 0 or 1, of which 3 / n is a bound
_ROUNDING = 1e-9  # standard error of a number that no resample changes
Values = NDArray[np.float64]
Numbers = dict[str, object]


def _distance_from_1(values: Values) -> Values:
    return np.asarray(np.abs(np.log(values.clip(1e-6))))  # slopes below 0 are the farthest


WORST: Mapping[str, Callable[[Values], Values]] = {
    "auroc": np.negative,
    "concordance": np.negative,
    "o_e": _distance_from_1,
    "calibration_slope": _distance_from_1,
    "alarm_rate": np.positive,
}
"""What is highest for the worst group, by metric; for alarms, the highest rate counts as worst."""


def group_differences(
    runs: Sequence[tuple[Predictions, Mapping[str, NDArray[np.str_]], float | None]],
    seed: int,
    how: Bootstrap,
) -> list[Numbers]:
    """Compare the groups of each attribute by each metric that is defined, on the same resamples.

    Args:
        runs: Of each model (fold): its predictions, of two classes or of times to an event; the
            attributes, str (example,) by name, empty where unknown; the threshold of its alarms.
            Test sets are pooled; the ranking metric is the mean over the models.
        seed: Seed of the resamples.
        how: Level and number of resamples.

    Returns:
        A record of each attribute: see :class:`sequela.runs.record.AttributeDifferences`.
    """
    tests = [(of_run.part("held_out"), threshold) for of_run, _, threshold in runs]
    predictions = joined([test for test, _ in tests])
    order = np.argsort(np.concatenate([test.example_id for test, _ in tests]), kind="stable")
    model = np.repeat(np.arange(len(tests)), [test.n_examples for test, _ in tests])[order]
    over = [test.score >= threshold for test, threshold in tests if threshold is not None]
    alarms = np.concatenate(over)[order] if over else None
    n_units, happened = int(predictions.group_index.max()) + 1, predictions.label == 1
    if predictions.horizons:
        ends = predictions.outcomes
        happened = (ends.event == 1) & (ends.time <= predictions.horizons[-1])
    records, by_attribute = list[Numbers](), list[dict[str, Numbers]]()
    for attribute in runs[0][1]:
        columns = [of[attribute][of_run.split == "held_out"] for of_run, of, _ in runs]
        column = np.concatenate(columns)[order]
        values = np.where(column == "", UNKNOWN, column)
        counts, compared = {}, {}
        for name in np.unique(values).tolist():
            rows = np.flatnonzero(values == name)
            units, events = np.unique(predictions.group_index[rows]), int(happened[rows].sum())
            counts[name] = {"units": len(units), "events": events, "others": len(rows) - events}
            if name != UNKNOWN and min(counts[name].values()) >= FEWEST:
                of_group = None if alarms is None else alarms[rows]
                compared[name] = units, _metrics(predictions.where(rows), model[rows], of_group)
            if alarms is not None:
                counts[name]["alarms"] = int(alarms[rows].sum())
        by_attribute.append(_compare(compared, n_units, seed, how) if len(compared) > 1 else {})
        record = {"attribute": attribute, "counts": counts, "compared": [*compared]}
        records.append({**record, "differences": by_attribute[-1]})
    for metric in WORST:
        differences = [numbers[metric] for numbers in by_attribute if metric in numbers]
        p_values = np.array([numbers["p_value"] for numbers in differences], np.float64)
        for numbers, corrected in zip(differences, holm(p_values).tolist(), strict=True):
            numbers["corrected_p"] = corrected
    return records


def _metrics(
    group: Predictions, model: NDArray[np.int64], alarm: NDArray[np.bool_] | None
) -> dict[str, Statistic]:
    """Return the metrics of a group as functions of the weights of its units."""
    ranking = "concordance" if group.horizons else "auroc"
    members = [np.flatnonzero(model == index) for index in np.unique(model)]
    parts = [
        (np.unique(group.group_index[rows]), statistic_of(ranking, group.where(rows)))
        for rows in members
    ]

    def over_models(weights: Values) -> Values:
        values = np.stack([number(weights[:, units]) for units, number in parts])
        return np.asarray(np.ma.masked_invalid(values).mean(axis=0).filled(np.nan))

    metrics = {ranking: Statistic(over_models, int(group.group_index.max()) + 1)}
    if group.horizons:
        from sequela.evaluation.survival import at_horizons  # runs of classes do without

        both = stacked(at_horizons(*group.over_time)[-4:-2])  # observed, predicted at the last
        metrics["o_e"] = Statistic(lambda weights: np.divide(*both(weights).T), both.n_groups)
    else:
        metrics["o_e"] = statistic.ratio(group.label, group.score, group.group_index)
        metrics["calibration_slope"] = slope_statistic(group)
    if alarm is not None:
        metrics["alarm_rate"] = statistic.mean(alarm, group.group_index)
    return metrics


def _compare(
    groups: Mapping[str, tuple[NDArray[np.int64], Mapping[str, Statistic]]],
    n_units: int,
    seed: int,
    how: Bootstrap,
) -> dict[str, Numbers]:
    """Compare the groups by each metric that is defined for two of them or more."""
    rng, names = np.random.default_rng(seed), [*groups]
    columns = [(units, stacked([*metrics.values()])) for units, metrics in groups.values()]
    draws = resampled_weights(np.zeros(n_units, np.int64), how.resamples, rng)
    values = [
        np.stack([number(weights[:, units]) for units, number in columns], axis=1)
        for weights in chain([np.ones((1, n_units))], draws)
    ]
    numbers = np.concatenate(values)  # (1 + resample, group, metric)
    # Resamples do not show that a share of 0 or 1 may be another.
    spread = np.array([_AT_BOUND / len(units) for units, _ in columns])[:, None]
    is_fixed = (np.ptp(numbers, axis=0) < _ROUNDING) & np.isin(numbers[0], (0, 1))
    numbers[1:] += rng.standard_normal(numbers[1:].shape) * is_fixed * spread
    defined = np.isfinite(numbers[0]) & (np.isfinite(numbers).mean(axis=0) > 1 / 2)
    differences = {}
    for place, metric in enumerate(next(iter(groups.values()))[1]):
        usable = np.flatnonzero(defined[:, place])
        if len(usable) > 1:
            of_metric = numbers[:, usable, place]
            of_metric = of_metric[np.isfinite(of_metric).all(axis=1)]
            usable_names = [names[n] for n in usable]
            differences[metric] = _difference(usable_names, of_metric, WORST[metric], how.level)
    return differences


def _difference(
    names: Sequence[str],
    numbers: Values,
    badness: Callable[[Values], Values],
    level: float,
) -> Numbers:
    """Compare the worst group with the best; numbers are (1 + resample, group)."""
    values, errors = numbers[0], numbers[1:] - numbers[0]
    covariance = errors.T @ errors / len(errors)
    variance = covariance.diagonal() + _ROUNDING**2
    of_pairs = np.sqrt((variance[:, None] + variance - 2 * covariance).clip(_ROUNDING**2))
    # Values within two standard errors of each other may be equal: they are pulled together.
    near = np.exp(-(((values[:, None] - values) / of_pairs / 2) ** 2) / 2) / variance
    pulled = near @ values / near.sum(axis=1)
    mean = values @ (1 / variance) / (1 / variance).sum()

    def distances(true_values: Values) -> Values:
        """Return the error of the pair that each resample chooses, in standard errors."""
        order, resample = badness(true_values + errors), np.arange(len(errors))
        pairs = order.argmax(axis=1), order.argmin(axis=1)
        moved = errors[resample, pairs[0]] - errors[resample, pairs[1]]
        return np.asarray(np.abs(moved) / of_pairs[pairs])

    order = badness(values.round(9))
    pair = int(order.argmax()), len(order) - 1 - int(order[::-1].argmin())
    worst, best = values[[*pair]].tolist()
    reach = float(np.quantile(distances(pulled), level) * of_pairs[pair])
    by_chance = distances(np.full_like(values, mean)) >= abs(worst - best) / of_pairs[pair]
    return {
        "worst": names[pair[0]],
        "best": names[pair[1]],
        "worst_value": worst,
        "best_value": best,
        "difference": worst - best,
        "difference_ci": [worst - best - reach, worst - best + reach],
        "p_value": (1 + int(by_chance.sum())) / (1 + len(errors)),
    }
