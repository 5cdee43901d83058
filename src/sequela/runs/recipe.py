"""Summary of the runs of several folds, repeats or seeds, with intervals."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import compress
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from sequela.evaluation.decision import RATES, Threshold, operation
from sequela.evaluation.intervals import Bootstrap
from sequela.evaluation.metrics import METRICS, Metric, reported, statistic_of
from sequela.evaluation.number import plural
from sequela.evaluation.predictions import Place, Predictions
from sequela.evaluation.recipe import Design, Judged, RecipeNumber, across_folds, over_models
from sequela.evaluation.statistic import Statistic, stacked
from sequela.evaluation.summary import AT_HORIZON, by_horizon, calibration_numbers
from sequela.runs.folder import RunFolder, StoredRun, places
from sequela.runs.model import members_of
from sequela.runs.record import Numbers, UpdateRecord

_WHY = {
    "split": "the cross-validation is not repeated, so variation between splits counts as data",
    "one split": "there is one split, so variation between splits is unknown",
    "seed": "each split has one seed, so variation between seeds counts as split or data",
}


def judged(runs: Sequence[RunFolder]) -> list[Judged]:
    """Return the predictions of each run for its test and validation set."""
    results = []
    for run, place in zip(runs, places(runs), strict=True):
        predictions = run.predictions
        results.append(Judged(predictions.part("held_out"), place, predictions.part("tuning")))
    return results


def bootstrap_of(run: RunFolder) -> Bootstrap:
    """Return the bootstrap for the groups of a run's data."""
    return Bootstrap(classes_fixed=run.data.classes_fixed, resamples=run.settings.resamples)


def over_runs(
    runs: Sequence[RunFolder],
    statistic_of_run: Callable[[int, str], Statistic],
    *,
    paired: bool = False,
    intervals: bool = True,
    level: float = Bootstrap.level,
) -> list[RecipeNumber]:
    """Compute a statistic of several runs from its values for the number of a run and a set."""
    how, numbers = replace(bootstrap_of(runs[0]), level=level), range(len(runs))
    if not intervals:
        rows = [statistic_of_run(number, "held_out").estimate.tolist() for number in numbers]
        means = [(np.nan if value is None else value, n) for value, n in _means_of(rows)]
        return [RecipeNumber(value, None, None, None, n) for value, n in means]
    # Each fold tests other groups and each seed trains anew: both add to the variance.
    design = replace(Design.of(judged(runs), classes_fixed=how.classes_fixed), paired=paired)
    held_out = [statistic_of_run(number, "held_out") for number in numbers]
    tuning = [statistic_of_run(number, "tuning") for number in numbers] if design.tuning else []
    return across_folds(held_out, np.random.default_rng(runs[0].settings.seed), how, design, tuning)


def effect_of_update(
    before: Predictions, after: Predictions, seed: int | None, how: Bootstrap
) -> dict[str, Mapping[str, object]]:
    """Return the numbers of an update before and after the change, as in ``metrics.json``."""
    sides = {"before": before.part("held_out"), "after": after.part("held_out")}
    return {n: calibration_numbers(p, seed, how) for n, p in {**sides, "everybody": before}.items()}


def update_in_words(run: StoredRun, update: UpdateRecord) -> str:
    """Describe an update: its level, its parent, the local patients, and the loss of precision."""
    (parent,), name = members_of(run.settings), next(iter(update.before), "")
    what = {"none": "no change", "refit": "refit"}.get(update.level, f"change of {update.level}")
    rarest = "with the rarest event" if run.data.horizons else "of the rarest class"
    sentence = (
        f"{what}, from {parent.run} (SHA-256 of its model {parent.sha256[:12]}), chosen on "
        f"{plural(update.patients, run.data.unit)}, {update.events} of them {rarest}"
    )
    bounds = [side.get(f"{name}_ci") for side in (update.before, update.everybody)]
    widths = [f"{high - low:.3f}" for low, high in filter(None, bounds)]
    if len(widths) == 2:  # noqa: PLR2004
        interval = f"the 95 % interval of the {METRICS[name].title} has a width of"
        sentence += f"; without them, {interval} {widths[0]} in place of {widths[1]}"
    return sentence


def summarise_runs(runs: Sequence[RunFolder], *, intervals: bool = True) -> dict[str, Any]:
    """Return ``folds.json``: each test-set number averaged over folds, repeats and seeds."""
    tests = [run.metrics.parts.held_out for run in runs]
    at = places(runs)
    first = runs[0]
    once = [test for test, place in zip(tests, at, strict=True) if place[0] == place[2] == 0]
    numbers = _numbers(runs, intervals=intervals)
    how = next((number.interval for number in numbers.values() if number.interval), None)
    counts = [name for name in ("examples", "groups", "recordings") if name in tests[0]]
    spread: dict[str, object] = {}
    if intervals:
        spread = {"interval": how and how.method_record(), **_variance(numbers, at)}
        if first.attributes:
            spread["group_differences"] = _group_differences(runs)
    if tests[0].horizons:
        at_points = _at_horizons(runs, once, intervals=intervals)
    else:
        confusion = _summed([test.confusion for test in once])
        at_points = {"confusion": confusion, "per_class_recall": mean_recalls(tests)}
    return {
        "model": first.settings.model,
        "folds": first.settings.folds,
        "repeats": len({place.repeat for place in at}),
        "seeds": len({place.seed for place in at}),
        "runs": [run.path.name for run in runs],
        "train_seconds": sum(run.metrics.train_seconds for run in runs),
        "test": {
            **_written(numbers, {m.key: m.bounds for m in reported()}),
            **{name: sum(test[name] for test in once) for name in counts},
            **at_points,
            **spread,
            "operating_points": _operations(runs, intervals=intervals),
        },
    }


def _numbers(runs: Sequence[RunFolder], *, intervals: bool) -> dict[str, RecipeNumber]:
    """Compute each reported metric that a run has, by its key."""
    results = judged(runs)
    fixed = bool(runs[0].data.classes_fixed)
    numbers: dict[str, RecipeNumber] = {}
    # Metrics of the same runs are resampled together, which takes the time of one.
    together: dict[tuple[Judged, ...], list[Metric]] = {}
    for metric in reported():
        evaluable = tuple(
            result for result in results if metric.can_be_had(result.held_out, whole_groups=fixed)
        )
        if not evaluable:
            continue
        groups = set[str]().union(*(result.held_out.group_id.tolist() for result in evaluable))
        numbers[metric.key] = RecipeNumber(np.nan, None, None, None, len(evaluable))
        if intervals and metric.statistic is not None and len(groups) > 1:
            together.setdefault(evaluable, []).append(metric)
        else:  # one group has no interval
            value = float(np.mean([metric.value(result.held_out) for result in evaluable]))
            numbers[metric.key] = replace(numbers[metric.key], value=value)
    for evaluable, metrics in together.items():
        numbers |= zip(
            [m.key for m in metrics], _resampled(metrics, evaluable, runs[0]), strict=True
        )
    return numbers


def _resampled(
    metrics: Sequence[Metric], some: Sequence[Judged], first: RunFolder
) -> list[RecipeNumber]:
    """Compute metrics that the same runs have, with intervals, on the same resamples."""

    def all_(predictions: Predictions) -> Statistic:
        return stacked([statistic_of(metric.name, predictions) for metric in metrics])

    # One stacked statistic: all metrics see the same draws, and each draw is made once.
    return over_models(some, all_, np.random.default_rng(first.settings.seed), bootstrap_of(first))


def _operations(runs: Sequence[RunFolder], *, intervals: bool) -> list[dict[str, object]]:
    """Compute the rates at the thresholds of each run: 0.5, and the chosen threshold."""
    points = [run.metrics.parts.held_out.operating_points for run in runs]
    if not points[0]:
        return []
    # Counts are added over folds of one repeat and seed, in which each example is tested once.
    once = [place.repeat == place.seed == 0 for place in places(runs)]

    def statistic_of_run(number: int, part: str) -> Statistic:
        at = [Threshold(point.threshold, point.chosen_for) for point in points[number]]
        return stacked(
            [operation(runs[number].predictions.part(part), threshold) for threshold in at]
        )

    numbers = over_runs(runs, statistic_of_run, intervals=intervals)
    size = len(RATES)  # numbers of one threshold
    return [
        {
            "threshold": float(np.mean([point.threshold for point in of_runs])),
            "chosen_for": of_runs[0]["chosen_for"],
            "confusion": _summed([point.confusion for point in compress(of_runs, once)]),
            **_written(dict(zip(RATES, numbers[n * size : (n + 1) * size], strict=True)), {}),
        }
        for n, of_runs in enumerate(zip(*points, strict=True))
    ]


def _group_differences(runs: Sequence[RunFolder]) -> list[dict[str, object]]:
    """Compare groups of patients in the test sets of all folds together."""
    from sequela.evaluation.group_differences import group_differences  # most runs do without

    tests = [
        (run.predictions, run.attributes, run.threshold)
        for run, place in zip(runs, places(runs), strict=True)
        if place.repeat == place.seed == 0  # each example once
    ]
    return group_differences(tests, runs[0].settings.seed, bootstrap_of(runs[0]))


def _at_horizons(
    runs: Sequence[RunFolder], once: Sequence[Numbers], *, intervals: bool
) -> dict[str, object]:
    """Compute the numbers at each horizon, and count what ended first."""
    from sequela.evaluation.survival import at_horizons

    days = runs[0].predictions.horizons

    def statistic_of_run(number: int, part: str) -> Statistic:
        return stacked(at_horizons(*runs[number].predictions.part(part).over_time))

    pairs = zip(
        AT_HORIZON * len(days), over_runs(runs, statistic_of_run, intervals=intervals), strict=True
    )
    written = [{name: None} | _written({name: number}, {}) for name, number in pairs]
    return {"ends": _summed([test.ends for test in once]), "horizons": by_horizon(days, written)}


def _written(
    numbers: Mapping[str, RecipeNumber], bounds: Mapping[str, tuple[float, float]]
) -> dict[str, object]:
    """Return value and interval of each number; a number that no run has is left out."""
    record: dict[str, object] = {}
    for name, number in numbers.items():
        if np.isnan(number.value):
            continue
        record[name] = number.value
        if number.interval:  # it is symmetric, and may pass the bounds of its metric
            least, most = bounds.get(name, (0.0, 1.0))  # numbers at a threshold are shares
            record[f"{name}_ci"] = [
                max(number.interval.low, least),
                min(number.interval.high, most),
            ]
        record[f"{name}_folds"] = number.n_models
    return record


def _variance(numbers: Mapping[str, RecipeNumber], at: Sequence[Place]) -> dict[str, object]:
    """Return the components of the variance of each mean, and the reasons for unknown ones."""
    parts = {
        name: {"data": v.data, "split": v.split, "seed": v.seed}
        for name, number in numbers.items()
        if (v := number.variance)
    }
    why = {}
    if len({place.repeat for place in at}) == 1:
        why["split"] = _WHY["split" if len({place.fold for place in at}) > 1 else "one split"]
    if len({place.seed for place in at}) == 1:
        why["seed"] = _WHY["seed"]
    return {"variance": parts, "variance_why": why}


def variance_in_words(numbers: Mapping[str, Any], metric: Metric) -> str:
    """Describe the components of the variance of a metric in sentences, if they are known."""
    parts: Mapping[str, float | None] = numbers.get("variance", {}).get(metric.key, {})
    components = {name: part for name, part in parts.items() if part is not None}
    total = sum(components.values())  # of variances, which add up if they are independent
    if not total:
        return ""
    shares = ", ".join(f"{name} {part / total:.0%}" for name, part in components.items())
    reasons = "".join(f" {why[0].upper()}{why[1:]}." for why in numbers["variance_why"].values())
    return f"Variance of {metric.title}: {shares}.{reasons}"


def mean_recalls(parts: Sequence[Numbers]) -> list[float | None]:
    """Average the recall of each class over the runs that have it."""
    return [mean for mean, _ in _means_of([part["per_class_recall"] for part in parts])]


def _means_of(rows: Sequence[Sequence[float | None]]) -> list[tuple[float | None, int]]:
    values = np.array(rows, dtype=np.float64)  # None is NaN
    is_known = ~np.isnan(values)
    total = np.where(is_known, values, 0).sum(axis=0)  # (column,)
    return [
        (float(t / n) if n else None, n)
        for t, n in zip(total.tolist(), is_known.sum(axis=0).tolist(), strict=True)
    ]


def _summed(tables: ArrayLike) -> list[object]:
    total: list[object] = np.sum(tables, axis=0).tolist()
    return total
