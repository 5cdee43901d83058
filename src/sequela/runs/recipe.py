"""Summary of the runs of several folds, repeats or seeds, with intervals."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

import numpy as np

from sequela.evaluation.decision import Operation, Threshold, operation
from sequela.evaluation.intervals import Bootstrap
from sequela.evaluation.metrics import Metric, reported
from sequela.evaluation.recipe import (
    Design,
    Judged,
    Place,
    RecipeNumber,
    across_folds,
    metric_across_folds,
)
from sequela.runs.folder import RunFolder

_WHY = {
    "split": "the cross-validation is not repeated, so variation between splits counts as data",
    "one split": "there is one split, so variation between splits is unknown",
    "seed": "each split has one seed, so variation between seeds counts as split or data",
}


def places(runs: Sequence[RunFolder]) -> list[Place]:
    """Return repeat, fold and seed of each run."""
    seeds = sorted({run.settings.seed for run in runs})
    folds = max(runs[0].settings.folds, 1)
    return [
        Place(*divmod(run.settings.fold, folds), seeds.index(run.settings.seed)) for run in runs
    ]


def judged(runs: Sequence[RunFolder]) -> list[Judged]:
    """Return the predictions of each run for its test and validation set."""
    found = []
    for run, place in zip(runs, places(runs), strict=True):
        predictions = run.predictions
        found.append(Judged(predictions.part("held_out"), place, predictions.part("tuning")))
    return found


def bootstrap_of(run: RunFolder) -> Bootstrap:
    """Return the bootstrap for the groups of a run's data."""
    return Bootstrap(classes_fixed=run.data["classes_fixed"])


def summarise_runs(runs: Sequence[RunFolder], *, intervals: bool = True) -> dict[str, Any]:
    """Average each test-set number over folds, repeats and seeds, with its interval.

    Args:
        runs: Runs of one training procedure.
        intervals: Whether to compute the intervals too, which need a bootstrap.

    Returns:
        The content of ``folds.json``.
    """
    tests = [run.metrics["parts"]["held_out"] for run in runs]
    at = places(runs)
    first = runs[0]
    once = [test for test, place in zip(tests, at, strict=True) if place[0] == place[2] == 0]
    numbers = _numbers(runs, intervals=intervals)
    return {
        "model": first.settings.model,
        "folds": first.settings.folds,
        "repeats": len({place.repeat for place in at}),
        "seeds": len({place.seed for place in at}),
        "runs": [run.path.name for run in runs],
        "train_seconds": sum(run.metrics["train_seconds"] for run in runs),
        "test": {
            **_written(numbers, {m.key: m.bounds for m in reported()}),
            "examples": sum(test["examples"] for test in once),
            **{
                each: sum(test[each] for test in once)
                for each in ("groups", "recordings")
                if each in tests[0]
            },
            "confusion": _summed([test["confusion"] for test in once]),
            "per_class_recall": mean_recalls(tests),
            **({"interval": _how(numbers), **_variance(numbers, at)} if intervals else {}),
            "operating_points": [
                _operation(runs, which, intervals=intervals)
                for which in range(2 * ("operating_points" in tests[0]))
            ],
        },
    }


def _numbers(runs: Sequence[RunFolder], *, intervals: bool) -> dict[str, RecipeNumber]:
    """Compute each reported metric that a run has, by its key."""
    said = judged(runs)
    fixed = bool(runs[0].data["classes_fixed"])
    found = {}
    for metric in reported():
        some = [one for one in said if metric.can_be_had(one.held_out, whole_groups=fixed)]
        if some:
            found[metric.key] = _number(metric, some, runs[0] if intervals else None)
    return found


def _number(metric: Metric, said: Sequence[Judged], first: RunFolder | None) -> RecipeNumber:
    """Compute a number, with its interval if a run is given."""
    groups = {group for one in said for group in one.held_out.group_id.tolist()}
    if first and metric.statistic is not None and len(groups) > 1:  # one group has no interval
        rng = np.random.default_rng(first.settings.seed)
        return metric_across_folds(metric.name, said, rng, bootstrap_of(first))
    value = float(np.mean([metric.value(one.held_out) for one in said]))
    return RecipeNumber(value, None, None, None, len(said))


def _operation(runs: Sequence[RunFolder], which: int, *, intervals: bool) -> dict[str, Any]:
    """Compute the rates at the threshold of each run: 0.5, or the chosen threshold."""
    said = judged(runs)
    points = [run.metrics["parts"]["held_out"]["operating_points"][which] for run in runs]
    once = [p for p, one in zip(points, said, strict=True) if one.place[0] == one.place[2] == 0]
    at = [Threshold(point["threshold"], point["chosen_for"]) for point in points]
    held_out = [operation(one.held_out, there) for one, there in zip(said, at, strict=True)]
    if intervals:
        how = bootstrap_of(runs[0])
        design = Design.of(said, classes_fixed=how.classes_fixed)
        looks = [(j.tuning, t) for j, t in zip(said, at, strict=True) if j.tuning is not None]
        tuning = [operation(*look) for look in looks] if design.tuning else ()
        rng = np.random.default_rng(runs[0].settings.seed)
        found = across_folds(held_out, rng, how, design, tuning)
    else:
        found = [
            RecipeNumber(np.nan if value is None else value, None, None, None, n)
            for value, n in _means_of([one.estimate.tolist() for one in held_out])
        ]
    names = [field.name for field in fields(Operation) if field.name != "threshold"]
    return {
        "threshold": float(np.mean([point["threshold"] for point in points])),
        "chosen_for": points[0]["chosen_for"],
        "confusion": _summed([point["confusion"] for point in once]),
        **_written(dict(zip(names, found, strict=True)), {}),
    }


def _written(
    numbers: Mapping[str, RecipeNumber], bounds: Mapping[str, tuple[float, float]]
) -> dict[str, Any]:
    """Return value and interval of each number; a number that no run has is left out."""
    found: dict[str, Any] = {}
    for name, number in numbers.items():
        if np.isnan(number.value):
            continue
        found[name] = number.value
        if number.interval:
            least, most = bounds.get(name, (0.0, 1.0))  # numbers at a threshold are shares
            found[f"{name}_ci"] = [
                max(number.interval.low, least),
                min(number.interval.high, most),
            ]
        found[f"{name}_folds"] = number.n_models
    return found


def _how(numbers: Mapping[str, RecipeNumber]) -> dict[str, Any] | None:
    """Return the method of the interval of the accuracy."""
    interval = numbers["accuracy"].interval
    if interval is None:
        return None
    return {
        "level": interval.level,
        "method": interval.method,
        "resamples": interval.resamples,
        "groups": interval.n_groups,
    }


def _variance(numbers: Mapping[str, RecipeNumber], at: Sequence[Place]) -> dict[str, Any]:
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
    """Describe the components of the variance of a metric in sentences.

    Args:
        numbers: The test-set numbers of several models, from :func:`summarise_runs`.
        metric: The metric.

    Returns:
        Sentences; empty where there is no variance.
    """
    parts: Mapping[str, float | None] = numbers.get("variance", {}).get(metric.key, {})
    known = {name: part for name, part in parts.items() if part is not None}
    total = sum(known.values())
    if not total:
        return ""
    shares = ", ".join(f"{name} {part / total:.0%}" for name, part in known.items())
    why = "".join(f" {said[0].upper()}{said[1:]}." for said in numbers["variance_why"].values())
    return f"Variance of {metric.title}: {shares}.{why}"


def mean_recalls(parts: Sequence[Mapping[str, Any]]) -> list[float | None]:
    """Average the recall of each class over the runs that have it."""
    return [mean for mean, _ in _means_of([part["per_class_recall"] for part in parts])]


def _means_of(rows: Sequence[Sequence[float | None]]) -> list[tuple[float | None, int]]:
    """Average over the runs that have a number, and count these runs."""
    values = np.array(rows, dtype=np.float64)  # None is NaN
    there = ~np.isnan(values)
    total = np.where(there, values, 0).sum(axis=0)
    return [
        (float(t / n) if n else None, n)
        for t, n in zip(total.tolist(), there.sum(axis=0).tolist(), strict=True)
    ]


def _summed(tables: Sequence[Sequence[Sequence[int]]]) -> list[list[int]]:
    total: list[list[int]] = np.sum(tables, axis=0).tolist()
    return total
