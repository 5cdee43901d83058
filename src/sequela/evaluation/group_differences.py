"""Differences between groups of patients: the worst and the best group of each attribute.

The data choose the two groups, so the interval for two fixed groups would be too narrow. Here each
resample chooses its own two, around values that are pulled together where they may differ by
chance. The interval is for the true difference of the two groups that are named. The p-value is for
the same true value in all groups.
"""

from collections.abc import Mapping, Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from sequela.evaluation import statistic
from sequela.evaluation.calibration import slope_statistic
from sequela.evaluation.comparison import holm
from sequela.evaluation.intervals import Bootstrap
from sequela.evaluation.metrics import statistic_of
from sequela.evaluation.predictions import Predictions, joined
from sequela.evaluation.statistic import Statistic, resampled_weights, stacked
from sequela.evaluation.subgroups import UNKNOWN

FEWEST = 20  # events, examples without one, and resampled units of a group that is compared
_AT_BOUND = 1.5  # units times the standard error of a share of 0 or 1, of which 3 / n is a bound
_ROUNDING = 1e-9  # standard error of a number that no resample changes
Values = NDArray[np.float64]
Numbers = dict[str, object]


def group_differences(
    runs: Sequence[tuple[Predictions, Mapping[str, NDArray[np.str_]], float | None]],
    seed: int,
    how: Bootstrap,
) -> list[Numbers]:
    """Compare the groups of each attribute by each metric that is defined, on the same resamples.

    ``runs`` has for each model (fold) its predictions, of two classes or of times to an event, the
    attributes, str (example,) by name, empty where unknown, and the threshold of its alarms. Test
    sets are pooled, but the ranking metric is the mean over the models. The result has a record of
    each attribute: see :class:`sequela.runs.record.AttributeDifferences`.
    """
    tests = [of_run.part("held_out") for of_run, *_ in runs]
    predictions = joined(tests)
    order = np.argsort(np.concatenate([test.example_id for test in tests]), kind="stable")
    model = np.repeat(np.arange(len(tests)), [test.n_examples for test in tests])[order]
    limits = np.array([threshold for *_, threshold in runs], np.float32)[model]
    alarms = limits > 0 if predictions.horizons else predictions.score >= limits  # none by time
    # The classes of times to an event are one of no event, then those of the event by interval.
    happened = np.isin(predictions.label, np.arange(max(1, len(predictions.horizons))) + 1)
    records, by_attribute = list[Numbers](), list[dict[str, Numbers]]()
    for attribute in runs[0][1]:
        columns = [of[attribute][of_run.split == "held_out"] for of_run, of, _ in runs]
        column = np.concatenate(columns)[order]
        values = np.where(column == "", UNKNOWN, column)
        counts, groups = {}, {}
        for name in np.unique(values).tolist():
            rows = np.flatnonzero(values == name)
            units, events = np.unique(predictions.group_index[rows]), int(happened[rows].sum())
            counts[name] = {"units": len(units), "events": events, "others": len(rows) - events}
            if name != UNKNOWN and min(counts[name].values()) >= FEWEST:
                groups[name] = units, _metrics(predictions.where(rows), model[rows], alarms[rows])
            alarm = int(alarms[rows].sum())
            counts[name] |= {"alarms": alarm, "silent": len(rows) - alarm}
        n_units = len(np.unique(predictions.group_index))
        by_attribute.append(_compare(groups, n_units, seed, how) if len(groups) > 1 else {})
        record = {"attribute": attribute, "counts": counts, "compared": [*groups]}
        records.append({**record, "differences": by_attribute[-1]})
    for metric in set[str]().union(*by_attribute):
        differences = [numbers[metric] for numbers in by_attribute if metric in numbers]
        p_values = np.array([numbers["p_value"] for numbers in differences], np.float64)
        for numbers, corrected in zip(differences, holm(p_values).tolist(), strict=True):
            numbers["corrected_p"] = corrected
    return records


def _metrics(
    group: Predictions, model: NDArray[np.int64], alarm: NDArray[np.bool_]
) -> dict[str, Statistic]:
    """Return the metrics of a group as functions of the weights of its units."""
    ranking, index = "concordance" if group.horizons else "auroc", group.group_index
    members = [model == number for number in np.unique(model)]
    parts = [(np.unique(index[m]), statistic_of(ranking, group.where(m))) for m in members]

    def over_models(weights: Values) -> Values:
        values = np.stack([number(weights[:, units]) for units, number in parts])
        return np.asarray(np.ma.masked_invalid(values).mean(axis=0).filled(np.nan))

    metrics = {ranking: Statistic(over_models, len(np.unique(index)))}
    if group.horizons:
        from sequela.evaluation.survival import over_expected  # runs of classes do without

        metrics["o_e"] = over_expected(*group.over_time)
    else:
        metrics["o_e"] = statistic.ratio(group.label, group.score, index)
        metrics["calibration_slope"] = slope_statistic(group)
        metrics["alarm_rate"] = statistic.mean(alarm, index)
    return metrics


def _compare(
    groups: Mapping[str, tuple[NDArray[np.int64], Mapping[str, Statistic]]],
    n_units: int,
    seed: int,
    how: Bootstrap,
) -> dict[str, Numbers]:
    """Compare the groups by each metric that is defined for all of them."""
    rng, differences = np.random.default_rng(seed), {}
    columns = [(units, stacked([*metrics.values()])) for units, metrics in groups.values()]
    draws = resampled_weights(np.zeros(n_units, np.int64), how.resamples, rng)
    chunks = [
        np.stack([number(weights[:, units]) for units, number in columns], axis=1)
        for weights in chain([np.ones((1, n_units))], draws)
    ]
    numbers = np.concatenate(chunks)  # (1 + resample, group, metric)
    # Resamples do not show that a share of 0 or 1 may be another.
    spread = np.array([_AT_BOUND / len(units) for units, _ in columns])[:, None]
    is_fixed = (np.ptp(numbers, axis=0) < _ROUNDING) & np.isin(numbers[0], (0, 1))
    numbers[1:] += rng.standard_normal(numbers[1:].shape) * is_fixed * spread
    for place, metric in enumerate(next(iter(groups.values()))[1]):
        if np.isfinite(numbers[:, :, place]).all():
            differences[metric] = _difference(metric, [*groups], numbers[:, :, place], how.level)
    return differences


def _difference(metric: str, names: Sequence[str], numbers: Values, level: float) -> Numbers:
    """Compare the worst group with the best; numbers are (1 + resample, group)."""
    values, errors = numbers[0], numbers[1:] - numbers[0]
    covariance = errors.T @ errors / len(errors)
    variance = covariance.diagonal() + _ROUNDING**2
    of_pairs = np.sqrt((variance[:, None] + variance - 2 * covariance).clip(_ROUNDING**2))
    # Values within two standard errors of each other may be equal: they are pulled together.
    near = np.exp(-(((values[:, None] - values) / of_pairs / 2) ** 2) / 2) / variance
    mean = np.full_like(values, values @ (1 / variance) / (1 / variance).sum())

    def distances(true_values: Values) -> Values:
        """Return the error of the pair that each resample chooses, in standard errors."""
        badness, resample = _badness(metric, true_values + errors), np.arange(len(errors))
        pairs = badness.argmax(axis=1), badness.argmin(axis=1)
        moved = errors[resample, pairs[0]] - errors[resample, pairs[1]]
        return np.asarray(np.abs(moved) / of_pairs[pairs])

    order = np.argsort(_badness(metric, values.round(9)), kind="stable")
    pair = int(order[-1]), int(order[0])
    worst, best = values[[*pair]].tolist()
    reach = float(np.quantile(distances(near @ values / near.sum(axis=1)), level) * of_pairs[pair])
    by_chance = distances(mean) >= abs(worst - best) / of_pairs[pair]
    return {
        "worst": names[pair[0]],
        "best": names[pair[1]],
        "worst_value": worst,
        "best_value": best,
        "difference": worst - best,
        "difference_ci": [worst - best - reach, worst - best + reach],
        "p_value": (1 + int(by_chance.sum())) / (1 + len(errors)),
    }


def _badness(metric: str, values: Values) -> Values:
    """Return what is highest for the worst group; for alarms, the highest rate is called so."""
    if metric in ("auroc", "concordance"):
        return -values
    # Ratios and slopes are as bad as their logarithm is far from 0, and the worst below 0.
    return values if metric == "alarm_rate" else np.abs(np.log(values.clip(1e-6)))
