"""Stability of a risk: its change with other training patients or other seeds.

Riley and Collins, Biometrical Journal 2023, 65:2200302, doi:10.1002/bimj.202200302.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sequela.config import SMALLEST_CELL
from sequela.disclosure import has_small
from sequela.evaluation.decision import choose_threshold
from sequela.evaluation.predictions import Predictions, joined
from sequela.evaluation.statistic import class_strata
from sequela.models.reference import REFERENCE_MODELS, predicted
from sequela.runs.data import Examples
from sequela.runs.find import Run
from sequela.runs.fit import fit_baseline
from sequela.runs.folder import PLAN, RunFolder, places
from sequela.runs.model import entry_for
from sequela.runs.record import DataRecord, Record
from sequela.runs.released import smallest_shown
from sequela.sequences.featurisers import Features

_BINS = 20  # bins of the picture, if none is merged
Model = tuple[Predictions, float | None]  # for what a model did not learn from; its threshold
Index = NDArray[np.int64]
Source = Literal["refits", "seeds", "folds"]


class Stability(Record):
    """The change of a risk between models that could have been trained; ``None`` is hidden.

    ``difference`` is the mean absolute difference over examples and pairs of models: the model and
    each refit, or any two models. ``changed`` is the share of these pairs with different alarms,
    each at its own threshold, or with different predicted classes; 0 for times to an event.
    """

    source: Source
    models: int
    difference: float | None
    changed: float | None
    bins: list[dict[str, float]]  # of examples by the model's risk, with the refits' risks

    def sentences(self, data: DataRecord) -> list[str]:
        """Return the numbers in sentences."""
        if self.difference is None:
            return [f"Stability is hidden: too few {data.unit}s."]
        risk, decision = "probability of the predicted class", "predicted class"
        if data.horizons:
            risk, decision = f"risk by day {data.horizons[-1]:g}", ""
        elif len(data.classes) == 2:  # noqa: PLR2004
            risk, decision = "risk", "alarm"
        share = "a hidden share" if self.changed is None else f"{100 * self.changed:.1f} %"
        changed = f", and its {decision} in {share} of cases," if decision else ""
        sentence = f"The {risk} of one {data.example} differs by {self.difference:.3f} on average"
        if self.source == "refits":
            models = f"the model and {self.models} refits on resampled {data.unit}s"
            return [f"{sentence}{changed} between {models}."]
        models = "seeds" if self.source == "seeds" else "models of folds"
        bound = f"This is a lower bound as far as they share training {data.unit}s."
        pair = f"two of {self.models}" if self.models > 2 else "the two"  # noqa: PLR2004
        return [f"{sentence}{changed} between {pair} {models}.", bound]


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
    names = ["held_out"]
    if len({(place.repeat, place.seed) for place in places(run.runs)}) == 1:
        names.append("tuning")
    parts = [joined([fold.predictions.part(name) for name in names]) for fold in run.runs]
    thresholds = [fold.threshold for fold in run.runs]
    models = [*zip(parts, thresholds, strict=True)]
    return _compared("folds" if run.folds else "seeds", models, smallest)


def of_refits(folder: RunFolder, data: Examples, *, refits: int = 200) -> Stability | None:
    """Fit a baseline model again on resampled training and validation sets; ``None`` for others.

    The units that the split keeps together are drawn with replacement within each set. Features,
    penalty, number of trees and threshold are learnt again; the list of codes stays. Outcomes of
    the test set are not read.
    """
    settings, predictions, threshold = folder.settings, folder.predictions, folder.threshold
    if settings.model not in REFERENCE_MODELS:
        return None
    entry, (_, reads) = REFERENCE_MODELS[settings.model], entry_for(settings)
    inputs, test = data.inputs(reads, standardise=False), predictions.part("held_out")
    models: list[Model] = [(test, threshold)]
    for number in range(refits):
        rng = np.random.default_rng([settings.seed, number])
        train, tuning = (_drawn(data, part, rng) for part in ("train", "tuning"))
        learnt = Features.of(reads, data.arrays, train, standardise=False) if inputs.state else None
        table = learnt.table if learnt else inputs.features
        arrays = fit_baseline(settings, data, table, train, tuning)
        sets = data.rows("held_out"), tuning
        chances, of_tuning = (predicted(entry, arrays, table[rows]) for rows in sets)
        if threshold is not None:
            resample = predictions.drawn(tuning, of_tuning)
            threshold = choose_threshold(resample, settings.aim, settings.aim_target).value
        models.append((replace(test, probabilities=chances), threshold))
    return _compared("refits", models, smallest_shown(folder.data, SMALLEST_CELL))


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


def _compared(source: Source, models: Sequence[Model], smallest: int) -> Stability | None:
    parts, thresholds = [part for part, _ in models], [threshold for _, threshold in models]
    ids, first = np.unique(np.concatenate([p.example_id for p in parts]), return_index=True)
    columns = len(parts[0].horizons or parts[0].classes)
    chances = np.full((len(parts), len(ids), columns), np.nan)  # where it learnt from the example
    for of_model, part in zip(chances, parts, strict=True):
        values = part.risk if part.horizons else part.probabilities
        of_model[np.searchsorted(ids, part.example_id)] = values
    risks, decisions = chances[..., -1], np.zeros(chances.shape[:2])
    if thresholds[0] is not None:
        decisions = risks >= np.array(thresholds, np.float32)[:, None]  # as of the probabilities
    elif not parts[0].horizons:
        predicted_class = np.nanmean(chances, axis=0).argmax(axis=1)
        risks = chances[:, np.arange(len(ids)), predicted_class]
        decisions = chances.argmax(axis=2)
    earlier, later = np.triu_indices(len(parts), 1)
    if source == "refits":  # with the model, which is the first
        earlier, later = earlier[: len(parts) - 1], later[: len(parts) - 1]
    differences = np.stack(
        [abs(risks[earlier] - risks[later]), decisions[earlier] != decisions[later]]
    )  # (risk or alarm, pair, example)
    differences[1, np.isnan(differences[0])] = np.nan
    of_two = np.isfinite(differences[0]).any(axis=0)
    if not of_two.any():
        return None
    people = np.concatenate([part.person for part in parts])[first][of_two]
    apart, changed = np.nanmean(differences[:, :, of_two], axis=1)
    n_people = [
        len(np.unique(people[among])) for among in (changed >= 0, changed > 0, changed == 0)
    ]
    few = n_people[0] < smallest
    # Between two models, the share of changed alarms is a count of people.
    hide = few or (source != "refits" and has_small(n_people, smallest))
    content = {
        "source": source,
        "models": len(models) - (source == "refits"),
        "difference": None if few else float(apart.mean()),
        "changed": None if hide else float(changed.mean()),
        "bins": [] if few or source != "refits" else _bins(risks, people, smallest),
    }
    return Stability.model_validate(content)


def _bins(
    risks: NDArray[np.float64], people: NDArray[np.str_], smallest: int
) -> list[dict[str, float]]:
    """Average the model's risk, and quantiles of the refits' risks, over people with like risks."""
    bins, rest = list[Index](), np.empty(0, np.int64)
    for rows in np.array_split(np.argsort(risks[0], kind="stable"), _BINS):
        rest = np.concatenate([rest, rows])
        if len(np.unique(people[rest])) >= smallest:  # else a bin would show a person's risk
            bins.append(rest)
            rest = rest[:0]
    bins[-1] = np.concatenate([bins[-1], rest])
    lines = np.stack([risks[0], *np.quantile(risks[1:], (0.025, 0.5, 0.975), axis=0)])
    means = [lines[:, rows].mean(axis=1).tolist() for rows in bins]
    return [dict(zip(("risk", "low", "middle", "high"), mean, strict=True)) for mean in means]
