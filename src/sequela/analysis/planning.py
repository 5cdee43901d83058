"""The plan of a finished run: sample sizes, a learning curve, and the stability of its risks."""

from collections.abc import Callable
from dataclasses import asdict, replace
from itertools import combinations
from json import dumps
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score
from threadpoolctl import threadpool_limits

from sequela.analysis import stability
from sequela.disclosure import INTERNAL
from sequela.errors import SettingError
from sequela.evaluation import sample_size
from sequela.evaluation.metrics import main_metric, statistic_of
from sequela.evaluation.number import duration
from sequela.evaluation.planned import Plan, Purpose, curve_of
from sequela.evaluation.predictions import Predictions, joined
from sequela.evaluation.sample_size import Need
from sequela.evaluation.statistic import class_strata, resampled_weights
from sequela.models import reference, stored
from sequela.models.reference import REFERENCE_MODELS, Probabilities, ReferenceModel
from sequela.models.registry import MODELS
from sequela.runs.data import Examples, load_again
from sequela.runs.find import Run, named_runs
from sequela.runs.fit import fit_baseline, learner_of
from sequela.runs.folder import PLAN, RunFolder, work_beside
from sequela.runs.manifest import adding
from sequela.runs.model import FILE, entry_for

_SIZES = (6, 3, 2, 1)  # numbers of equal parts of the training set, each with a model
_RESAMPLES = 1_000  # of the interval of a learning curve
_BINARY = 2  # classes that have one AUROC
_MOST = 0.998  # AUROC of classes that hardly overlap, whose own value no formula holds for
_TINY = 1e-30  # a probability may be 0


def plan_run(
    path: Path,
    *,
    root: Path | None = None,
    networks: bool = False,
    refits: int = 200,
    tell: Callable[[str], None] = lambda _: None,
) -> tuple[Run, Plan]:
    """Plan a run or folds, and write ``plan.json`` into the folder.

    Reads the data again, from ``root`` or where they were. Baseline models are fitted again on
    parts of the training set, and ``refits`` times on resampled patients; networks only on parts,
    and only with ``networks``. Nothing is evaluated on the test set. ``tell`` gets a line before
    long work.
    """
    (run,) = named_runs([path])
    plan, model, once = _sample_sizes(run), run.settings.model, len(run.once)
    # Each of the sizes learns from the whole training set.
    seconds = len(_SIZES) * run.facts.train_seconds * once / len(run.runs)
    fits = f"{once * sum(_SIZES)} networks on parts of the training set, in about "
    fits += duration(seconds)
    if model not in {**MODELS, **REFERENCE_MODELS}:
        plan = replace(plan, no_curve="this command fits only models of the package again")
    elif model in MODELS and not networks:
        plan = replace(plan, no_curve=f"--networks would train {fits}")
    else:
        again = f"fits {model} again, in about {duration(refits * run.first.facts.train_seconds)}"
        tell(f"trains {fits}" if model in MODELS else again)
        with work_beside(path) as work, threadpool_limits(limits=1):
            plan = _refitted(run, plan, root, work, refits)
    with adding(run.path / PLAN) as partial_file:
        record = {"internal": INTERNAL, **asdict(plan)}
        partial_file.write_text(dumps(record, indent=1, ensure_ascii=False) + "\n", "utf-8")
    return run, plan


def _sample_sizes(run: Run) -> Plan:
    """Compute the patients needed from the training and validation sets of the (first) run."""
    predictions, data = run.first.predictions, run.first.data
    development = predictions.where(predictions.split != "held_out")
    train, tuning = predictions.part("train"), predictions.part("tuning")
    test = joined([fold.predictions.part("held_out") for fold in run.once])
    purposes = []
    for name, title, part, needs_of in (
        ("To train it", "training set", train, _to_train),
        ("To evaluate it", "test set", test, _to_evaluate),
    ):
        of_class, needs, why = _people(part), list[Need](), ""
        try:
            needs = needs_of(run, development)
        except SettingError as error:
            why = str(error)
        events = of_class[1] if part.horizons or len(of_class) == _BINARY else min(of_class)
        n_people = len(np.unique(part.person))
        purposes.append(Purpose(name, title, n_people, events, tuple(needs), why))
    people = "patients" if data.sfreq is None else "people" if data.subjects else f"{data.unit}s"
    several = len(data.classes) > _BINARY and not data.horizons
    event = "in the rarest class" if several else "with the event"
    cells = (*_people(train), *_people(tuning), *_people(test))
    return Plan(people, event, tuple(purposes), cells)


def _outcome(predictions: Predictions) -> NDArray[np.int64]:
    """Return the class of each example, or what ended its follow-up: int64 (example,)."""
    return predictions.label if predictions.event is None else predictions.event


def _people(part: Predictions) -> list[int]:
    """Count the people with an example of each class."""
    whose, outcome = part.person, _outcome(part)
    n_outcomes = 1 + part.intervals.causes if part.horizons else len(part.classes)
    return [len(np.unique(whose[outcome == index])) for index in range(n_outcomes)]


def _to_train(run: Run, development: Predictions) -> list[Need]:
    """Return the needs of training from the training and validation sets."""
    tuning, parameters = run.tuning, _parameters(run.first)
    if development.time is not None:
        rate = float(np.sum(development.event == 1) / development.time.sum())
        follow_up = float(development.time.mean())
        concordance = tuning.get("concordance") or sample_size.CHANCE
        r2 = sample_size.cox_snell_of_times(concordance, rate * follow_up)
        return sample_size.for_times(parameters, rate, development.horizons[-1], follow_up, r2)
    _require_classes(run)
    classes = range(len(development.classes))
    shares = [float(np.mean(development.label == index)) for index in classes]
    if len(classes) == _BINARY:
        r2 = sample_size.cox_snell(_auroc(run), shares[1])
        return sample_size.for_classes(parameters, shares, (r2,), r2)
    pairs = []
    for first, second in combinations(classes, 2):
        areas = [_area(fold.predictions.part("tuning"), first, second) for fold in run.once]
        share = shares[second] / (shares[first] + shares[second])
        pairs.append(sample_size.cox_snell(min(float(np.mean(areas)), _MOST), share))
    r2 = sample_size.r2_of_loss(tuning["loss"], *shares)
    return sample_size.for_classes(parameters, shares, pairs, r2)


def _to_evaluate(run: Run, development: Predictions) -> list[Need]:
    if development.horizons or len(development.classes) > _BINARY:
        raise SettingError("the published formulas are for two classes")
    _require_classes(run)
    return sample_size.for_evaluation(float(development.label.mean()), _auroc(run))


def _require_classes(run: Run) -> None:
    """Raise an error if a validation set lacks a class, so that an AUROC is not defined."""
    for fold in run.once:
        tuning = fold.predictions.part("tuning")
        counts = np.bincount(tuning.label, minlength=len(tuning.classes)).tolist()
        lacking = [name for name, count in zip(tuning.classes, counts, strict=True) if not count]
        if lacking:
            which = "a" if run.of_many else "the"
            raise SettingError(f"{which} validation set has no example of {', '.join(lacking)}")


def _auroc(run: Run) -> float:
    return min(run.tuning.get("auroc") or sample_size.CHANCE, _MOST)


def _area(tuning: Predictions, first: int, second: int) -> float:
    """Return the AUROC of two of several classes."""
    pair = tuning.where(np.isin(tuning.label, (first, second)))
    chances = pair.probabilities[:, [first, second]].astype(np.float64) + _TINY
    return float(roc_auc_score(pair.label == second, chances[:, 1] / chances[:, 0]))


def _parameters(folder: RunFolder) -> int:
    """Return the number of inputs of a regression."""
    _, tensors = stored.read(folder.path / FILE)
    if folder.settings.model not in REFERENCE_MODELS or "weight" not in tensors:
        raise SettingError("the criteria are for regression, and count its inputs")
    # A model by interval has a column for each interval.
    return int(tensors["weight"].shape[1] - tensors.get("intervals", [0])[0])


def _refitted(run: Run, plan: Plan, root: Path | None, work: Path, refits: int) -> Plan:
    """Add the learning curve, and for baseline models the stability of risks."""
    folders, seed, metric = run.once, run.settings.seed, main_metric(run.first.predictions)
    tunings = [folder.predictions.part("tuning") for folder in folders]
    # Folds share people: a resample has the same in all of them.
    everybody = np.unique(np.concatenate([tuning.group_id for tuning in tunings]))
    draws = np.zeros(len(everybody), np.int64), _RESAMPLES, np.random.default_rng(seed)
    weights = np.concatenate([np.ones((1, len(everybody))), *resampled_weights(*draws)])
    tables: list[list[NDArray[np.float64]]] = [[] for _ in _SIZES]
    for folder, tuning in zip(folders, tunings, strict=True):
        data = load_again(folder, root, work, stored.read(folder.path / FILE)[0])
        if folder is folders[0] and (stable := stability.of_refits(folder, data, refits=refits)):
            plan = replace(plan, stability=stable.model_dump())
        train = folder.predictions.part("train")
        whose = np.unique(train.person, return_inverse=True)[1]
        strata = class_strata(_outcome(train), whose)
        of_groups = weights[:, np.searchsorted(everybody, np.unique(tuning.group_id))]
        for table, size in zip(tables, _SIZES, strict=True):
            part = reference.dealt(strata, size, seed)[whose]
            counts = [_people(train.where(part == index)) for index in range(size)]
            if not np.array(counts)[:, bool(train.horizons) :].all():  # all may have an event
                return replace(plan, no_curve="a sixth of the training set lacks a class")
            chances = [_fitted(folder, data, part == index) for index in range(size)]
            models = [replace(tuning, probabilities=of_model) for of_model in chances]
            values = np.array([statistic_of(metric.name, p)(of_groups) for p in models])
            table.append(np.where(np.isnan(values), values[:, :1], values))
    stacked = [np.stack(table) for table in tables]
    return replace(plan, curve=curve_of(metric.title, plan.purposes[0].events, stacked, seed))


def _fitted(folder: RunFolder, data: Examples, is_in: NDArray[np.bool_]) -> Probabilities:
    """Fit the model on some of the training set, and predict for the validation set."""
    settings, tuning = folder.settings, data.rows("tuning")
    entry, reads = entry_for(settings)
    of_set = data.part.copy()
    of_set[data.rows("train")[~is_in]] = -1  # in no set
    data = replace(data, part=of_set)
    inputs = data.inputs(reads, standardise=not isinstance(entry, ReferenceModel))
    if isinstance(entry, ReferenceModel):
        arrays = fit_baseline(settings, data, inputs.features, data.rows("train"), tuning)
        return reference.predicted(entry, arrays, inputs.features[tuning])
    learner = learner_of(settings, entry, data, inputs)
    network = learner.built()
    learner.learn(network, settings.training)
    return inputs.probabilities(network)[tuning]
