"""The inflation of the score of a model by a leak, from runs with and without it."""

from dataclasses import dataclass, replace

import numpy as np

from sequela.analysis.compare import over_models
from sequela.errors import DataError
from sequela.evaluation.comparison import Difference, paired_difference
from sequela.evaluation.external import difference
from sequela.evaluation.metrics import headline
from sequela.evaluation.predictions import Predictions, joined
from sequela.evaluation.summary import as_written
from sequela.runs.find import Run
from sequela.runs.recipe import bootstrap_of, judged


@dataclass(frozen=True)
class Inflation:
    """The score of a model with a leak minus its score without, with a 95 % interval.

    Both are on the same examples if ``paired``; the test sets of two single splits differ.
    """

    value: float
    interval: tuple[float, float]
    paired: bool = True


def inflation(honest: Run, leaking: Run) -> Inflation | None:
    """Compare two runs of one model on the same examples, as far as their test sets share them.

    Folds are compared by folds. The one test set of a leaking run is compared with the predictions
    of the honest run's folds for it. Single splits have other test sets: their intervals are
    combined as those of independent numbers (Zou and Donner 2008). It is ``None`` where the score
    is undefined, such as on a test set of one group or one class.
    """
    metric = headline(leaking.data.classes, leaking.test)
    same_split = honest.settings.split == leaking.settings.split
    try:
        if honest.of_many and leaking.of_many and same_split:
            return _inflation(_over_folds(honest, leaking, metric.name))
        test, others = (
            joined([fold.predictions.part("held_out") for fold in run.once])
            for run in (leaking, honest)
        )
        others = others.where(np.isin(others.example_id, test.example_id))
        if others.n_examples == test.n_examples:
            rng = np.random.default_rng(leaking.settings.seed)
            how = bootstrap_of(leaking.first)
            return _inflation(paired_difference(metric.name, test, others, rng, how))
    except DataError:
        return None
    apart = difference(*(as_written(run.test, metric.key) for run in (leaking, honest)))
    if apart.interval is None:
        return None
    return Inflation(apart.value, (apart.interval.low, apart.interval.high), paired=False)


def _inflation(apart: Difference) -> Inflation:
    return Inflation(apart.value, (apart.interval.low, apart.interval.high))


def _over_folds(honest: Run, leaking: Run, metric: str) -> Difference:
    """Compare two runs with the same folds; the interval includes the variation of training."""
    theirs = {each.place: each for each in judged(honest.runs)}
    ours = []
    for each in judged(leaking.runs):
        same = theirs[each.place]
        tuning = each.tuning and same.tuning and _renamed(each.tuning, same.tuning)
        held_out = _renamed(each.held_out, same.held_out)
        ours.append(replace(each, held_out=held_out, tuning=tuning))
    return over_models(ours, list(theirs.values()), metric, leaking)


def _renamed(ours: Predictions, theirs: Predictions) -> Predictions:
    """Return predictions with the ids of others for the same stays, predicted at another time."""
    if ours.n_examples != theirs.n_examples:
        return ours
    same = (ours.group_id == theirs.group_id) & (ours.label == theirs.label)
    return replace(ours, example_id=theirs.example_id) if same.all() else ours
