"""Stability of a risk: its change with other training patients or other seeds.

Riley and Collins, Biometrical Journal 2023, 65:2200302, doi:10.1002/bimj.202200302.
"""

from collections.abc import Iterable
from dataclasses import replace
from itertools import combinations
from typing import Literal

import joblib
import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from sequela.config import SMALLEST_CELL
from sequela.disclosure import has_small
from sequela.errors import RunError
from sequela.evaluation.decision import choose_threshold
from sequela.evaluation.external import person
from sequela.evaluation.predictions import Predictions, joined
from sequela.evaluation.resampling import class_strata
from sequela.models.reference import REFERENCE_MODELS, predicted
from sequela.runs.data import Examples, Inputs
from sequela.runs.find import Run
from sequela.runs.fit import fit_baseline
from sequela.runs.folder import PLAN, RunFolder, places
from sequela.runs.model import entry_for
from sequela.runs.record import DataRecord, Record
from sequela.runs.released import smallest_shown
from sequela.sequences.featurisers import Features

_MIDDLE = (0.025, 0.5, 0.975)  # quantiles of one example's risks over the refits
_BINS = 20  # bins of the picture, if none is merged
_THREADS = 2  # refits at once: each has its own table in memory
Values = NDArray[np.float64]
Index = NDArray[np.int64]


class Stability(Record):
    """The change of a risk between models that could have been trained; ``None`` is hidden.

    ``difference`` is the mean absolute difference over examples and pairs of models: the model and
    each refit, or any two models. ``changed`` is the share of these pairs with different alarms,
    each at its own threshold, or with different predicted classes; 0 for times to an event.
    """

    source: Literal["refits", "seeds", "folds"]
    models: int
    difference: float | None
    changed: float | None
    bins: list[dict[str, float]]  # of examples by the model's risk, with the refits' risks

    def sentences(self, data: DataRecord) -> list[str]:
        """Return the numbers in sentences."""
        if self.difference is None:
            return [f"Stability is hidden: too few {data.unit}s."]
        risk, decision = in_words(data)
        between = {
            "refits": f"the model and {self.models} refits on resampled {data.unit}s",
            "seeds": f"two of {self.models} seeds",
            "folds": f"two of {self.models} models of folds",
        }[self.source]
        share = "a hidden share" if self.changed is None else f"{100 * self.changed:.1f} %"
        changed = f", and its {decision} in {share} of cases," if decision else ""
        sentence = f"The {risk} of one {data.example} differs by {self.difference:.3f} on average"
        bound = f"This is a lower bound as far as they share training {data.unit}s."
        return [f"{sentence}{changed} between {between}.", bound][: 1 + (self.source != "refits")]


def in_words(data: DataRecord) -> tuple[str, str]:
    """Return the risk, and the decision on it, in words; times to an event have no decision."""
    if data.horizons:
        return f"risk by day {data.horizons[-1]:g}", ""
    if len(data.classes) == 2:  # noqa: PLR2004
        return "risk", "alarm"
    return "probability of the predicted class", "predicted class"


def of_run(run: Run, smallest: int) -> list[Stability]:
    """Return the stability of a run from refits, if they were computed, and from its models."""
    plan = run.plan and run.plan.stability
    if plan and smallest > SMALLEST_CELL:  # its bins have as many people
        plan = {**plan, "difference": None, "bins": []}
    refits = [Stability.of(run.path / PLAN, plan)] if plan else []
    models = of_models(run, smallest)
    return refits if models is None else [*refits, models]


def of_models(run: Run, smallest: int = 1) -> Stability | None:
    """Compare the models of seeds or folds on examples that they did not learn from.

    In one cross-validation, an example is in the test set of one model, and in the validation sets
    of others. Returns ``None`` if no example has two models. Outcomes are not read.
    """
    splits, names = places(run.runs), ["held_out"]
    if len({(split.repeat, split.seed) for split in splits}) == 1:
        names.append("tuning")
    parts = [joined([fold.predictions.part(name) for name in names]) for fold in run.runs]
    ids, first = np.unique(np.concatenate([p.example_id for p in parts]), return_index=True)
    rows = [np.searchsorted(ids, part.example_id) for part in parts]
    total = np.zeros((len(ids), len(parts[0].classes)))
    of_split: dict[tuple[int, int], Index] = {}
    for fold, split, part, place in zip(run.runs, splits, parts, rows, strict=True):
        if not np.array_equal(of_split.setdefault((split.repeat, split.fold), place), place):
            raise RunError(
                f"{fold.path}: has another test set than other seeds of its split: train all "
                "together with --seeds"
            )
        total[place] += part.probabilities
    values = np.full((len(parts), 2, len(ids)), np.nan)
    for value, fold, part, place in zip(values, run.runs, parts, rows, strict=True):
        value[:, place] = _read(part, _threshold(fold), total[place].argmax(axis=1))
    pairs = combinations(range(len(parts)), 2)
    people = np.concatenate([*map(person, parts)])[first]
    return _stability("folds" if run.folds else "seeds", values, pairs, people, smallest)


def of_refits(folder: RunFolder, data: Examples, *, refits: int = 200) -> Stability | None:
    """Fit a baseline model again on resampled training and validation sets; ``None`` for others.

    The units that the split keeps together are drawn with replacement within each set. Features,
    penalty, number of trees and threshold are learnt again; the list of codes stays. Outcomes of
    the test set are not read.
    """
    if folder.settings.model not in REFERENCE_MODELS:
        return None
    test, smallest = folder.predictions.part("held_out"), smallest_shown(folder.data, SMALLEST_CELL)
    inputs = data.inputs(entry_for(folder.settings)[1], standardise=False)
    jobs = (joblib.delayed(_refit)(folder, data, inputs, number) for number in range(refits))
    with threadpool_limits(limits=1):
        refitted = joblib.Parallel(_THREADS, backend="threading")(jobs)
    values = np.stack([_read(test, _threshold(folder), test.predicted), *refitted])
    people, pairs = person(test), ((0, 1 + number) for number in range(refits))
    stability = _stability("refits", values, pairs, people, smallest)
    if stability is None or stability.difference is None:
        return stability
    risks = np.stack([values[0, 0], *np.quantile(values[1:, 0], _MIDDLE, axis=0)])
    bins, rest = list[Index](), np.empty(0, np.int64)
    for rows in np.array_split(np.argsort(risks[0], kind="stable"), _BINS):
        rest = np.concatenate([rest, rows])
        if len(np.unique(people[rest])) >= smallest:  # else a bin would show a person's risk
            bins.append(rest)
            rest = rest[:0]
    bins[-1] = np.concatenate([bins[-1], rest])
    means = [risks[:, rows].mean(axis=1).tolist() for rows in bins]
    names = ("risk", "low", "middle", "high")
    return stability.replace(bins=[dict(zip(names, mean, strict=True)) for mean in means])


def _refit(folder: RunFolder, data: Examples, inputs: Inputs, number: int) -> Values:
    """Return risks and alarms of a refit for the test set: (2, example)."""
    settings, predictions = folder.settings, folder.predictions
    test, threshold = predictions.part("held_out"), None
    rng = np.random.default_rng([settings.seed, number])
    train, tuning = (_drawn(data, part, rng) for part in ("train", "tuning"))
    reads, entry = inputs.reads, REFERENCE_MODELS[settings.model]
    with threadpool_limits(limits=1, user_api="openmp"):  # which each thread sets for itself
        learnt = Features.of(reads, data.arrays, train, standardise=False) if inputs.state else None
        table = learnt.table if learnt else inputs.features
        arrays = fit_baseline(settings, data, table, train, tuning)
        sets = data.rows("held_out"), tuning
        chances, of_tuning = (predicted(entry, arrays, table[rows]) for rows in sets)
    if _threshold(folder) is not None:
        resample = predictions.drawn(tuning, of_tuning)
        threshold = choose_threshold(resample, settings.aim, settings.aim_target).value
    return _read(replace(test, probabilities=chances), threshold, test.predicted)


def _drawn(data: Examples, part: str, rng: np.random.Generator) -> Index:
    """Draw as many units as a set has, until each class is among them; return their rows."""
    rows, size = data.rows(part), 1 if data.times is None else len(data.times.intervals.horizons)
    end = (data.labels + size - 1) // size  # the event, whichever its interval
    unit = np.unique(data.groups[rows], return_inverse=True)[1]
    stratum = class_strata(end[rows] * data.classes_fixed, unit)
    members = np.split(rows[np.argsort(unit, kind="stable")], np.cumsum(np.bincount(unit))[:-1])
    resample = rows[:0]
    while set(end[resample]) != set(end[rows]):
        strata = (np.flatnonzero(stratum == index) for index in np.unique(stratum))
        units = np.concatenate([rng.choice(among, len(among)) for among in strata])
        resample = np.concatenate([members[index] for index in units])
    return resample


def _threshold(folder: RunFolder) -> float | None:
    points = folder.test.operating_points
    return points[-1].threshold if points else None


def _read(predictions: Predictions, threshold: float | None, of_class: Index) -> Values:
    """Return risk, or probability of a class, and alarm, or predicted class: (2, example)."""
    if predictions.horizons:
        return np.stack([predictions.risk[:, -1], np.zeros(predictions.n_examples)])
    if threshold is not None:
        return np.stack([predictions.score, predictions.score >= threshold])
    chances = np.take_along_axis(predictions.probabilities, of_class[:, None], axis=1)
    return np.stack([chances[:, 0], predictions.predicted])


def _stability(
    source: str,
    values: Values,
    pairs: Iterable[tuple[int, int]],
    people: NDArray[np.str_],
    smallest: int,
) -> Stability | None:
    """Compare pairs of models by values (model, 2, example), NaN where a model learnt from it."""
    sums, counts = np.zeros(values.shape[1:]), np.zeros(values.shape[2])
    for first, second in pairs:
        difference = abs(values[first] - values[second])
        counts += ~np.isnan(difference[0])
        sums += [np.nan_to_num(difference[0]), difference[1] > 0]
    if not counts.any():
        return None
    people, (apart, changed) = people[counts > 0], (sums / counts.clip(1))[:, counts > 0]
    n_people = [len(np.unique(people[part])) for part in (changed >= 0, changed > 0, changed == 0)]
    few = n_people[0] < smallest
    # Between two models, the share of changed alarms is a count of people.
    hidden = few or (source != "refits" and has_small(n_people, smallest))
    return Stability.model_validate(
        {
            "source": source,
            "models": len(values) - (source == "refits"),
            "difference": None if few else float(apart.mean()),
            "changed": None if hidden else float(changed.mean()),
            "bins": [],
        }
    )
