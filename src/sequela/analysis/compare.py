"""Comparison of runs on the same split with the first of them."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np

from sequela.errors import DataError, RunError, SettingError, SplitError
from sequela.evaluation.comparison import (
    Difference,
    McNemar,
    holm,
    mcnemar,
    paired_delong,
    paired_difference,
)
from sequela.evaluation.metrics import Metric, compared, main_metric, named, statistic_of
from sequela.evaluation.number import plural
from sequela.evaluation.predictions import Predictions
from sequela.evaluation.recipe import Judged, difference_across_folds
from sequela.integrity.openings import open_held_out, openings
from sequela.runs.find import Run
from sequela.runs.recipe import bootstrap_of, judged

_BINARY = 2  # classes for which DeLong's variance of AUROC holds
Test = TypeVar("Test")


@dataclass(frozen=True)
class Compared:
    """One run by the name of its folder, compared with the first on the test set.

    The difference is its value minus the first run's, paired; ``None`` for the first run itself.
    The p-value is corrected for the number of comparisons (Holm). The difference of AUROC by DeLong
    is known for two classes and one split, McNemar's test over whole groups where these have
    examples of one class, and there are no folds. With the ``same`` probabilities as the first run,
    it is the same model twice.
    """

    name: str
    model: str
    value: float
    difference: Difference | None = None
    corrected_p: float | None = None
    delong: Difference | None = None
    mcnemar: McNemar | None = None
    same: bool = False


@dataclass(frozen=True)
class Comparison:
    """Runs on one split, compared with the first, and sentences on evaluations of the test set."""

    metric: str
    runs: tuple[Compared, ...]
    method: str
    examples: int
    groups: int
    opened: tuple[str, ...] = ()

    @property
    def best(self) -> str:
        """A sentence on the best run, which was selected on the test set."""
        sign = 1 if named(self.metric).better == "higher" else -1
        first = max(self.runs, key=lambda run: sign * run.value)
        return f"{first.name} is the best of {len(self.runs)} runs, selected on this test set"

    def to_dict(self) -> dict[str, Any]:
        """Return the comparison for JSON."""
        return {**asdict(self), "best": self.best}


def compare(folders: Sequence[Run], metric: str | None = None) -> Comparison:
    """Evaluate runs on the test set and compare their numbers; see :func:`compare_opened`."""
    comparison = compare_opened(folders, metric)
    for folder in folders:
        open_held_out(folder, "compare")  # after the comparison: a failed one opened nothing
    return replace(comparison, opened=openings(folders[0]).sentences)


def compare_opened(folders: Sequence[Run], metric: str | None = None) -> Comparison:
    """Compare test-set numbers of two or more runs whose evaluation was logged before.

    A paired bootstrap draws whole groups. With folds and seeds it does so in each fold, and the
    interval also includes the variation of training (see :mod:`sequela.evaluation.recipe`). The
    metric is one of :func:`sequela.evaluation.metrics.compared` (default: AUROC for two classes,
    accuracy for more, concordance for times).
    """
    if len(folders) < 2:  # noqa: PLR2004
        raise RunError(f"{plural(len(folders), 'run')}: expected two or more to compare")
    first, *rest = folders
    check_distinct(folders)
    for run in rest:
        check_same_split(first, run)
    predictions = [_held_out(folder) for folder in folders]
    main = named(metric) if metric else main_metric(predictions[0])
    if not main.better:
        raise SettingError(
            f"{main.name} has no better direction: compare by one of "
            f"{', '.join(m.name for m in compared())}"
        )
    rows = [_compared(first, run, main) for run in rest]
    rows = [
        replace(row, same=np.array_equal(held_out.probabilities, predictions[0].probabilities))
        for row, held_out in zip(rows, predictions[1:], strict=True)
    ]
    # All are compared with the first: with Holm's correction, the chance of any false difference
    # stays at the level of one test.
    corrected = holm([row.difference.p_value for row in rows if row.difference]).tolist()
    rows = [replace(row, corrected_p=p) for row, p in zip(rows, corrected, strict=True)]
    difference = rows[0].difference
    return Comparison(
        metric=main.name,
        runs=(Compared(first.path.name, first.settings.model, _value(first, main)), *rows),
        method=difference.interval.method if difference else "",
        examples=predictions[0].n_examples,
        groups=len(np.unique(predictions[0].group_id)),
    )


def check_distinct(folders: Sequence[Run]) -> None:
    """Raise an error if a run is named twice."""
    paths = [folder.path.resolve() for folder in folders]
    for folder, path in zip(folders, paths, strict=True):
        if paths.count(path) > 1:
            raise RunError(f"{folder.path}: named twice; name another run to compare with")


def check_same_split(first: Run, second: Run) -> None:
    """Raise an error if runs differ in data, test set, or number of folds and seeds."""
    what = None
    if first.settings.data != second.settings.data:
        what = f"of different data ({first.settings.data} and {second.settings.data})"
    elif first.of_many != second.of_many or bool(first.folds) != bool(second.folds):
        what = "one of a single model and the other of folds or seeds"
    elif _design(first) != _design(second):
        what = f"of different designs ({_design(first)} and {_design(second)})"
    elif first.first.split.key != second.first.split.key:
        what = "made with different keys of subject ids, so their splits cannot be compared"
    elif first.split_ids != second.split_ids:
        what = "of different splits: one may have been trained on examples of the other's test set"
    if what:
        raise RunError(
            f"{first.path} and {second.path} are {what}; train both with the same --data, --split, "
            "--split-seed (or --seed), --folds, --repeats and --seeds"
        )


def _design(run: Run) -> str:
    counts = {"fold": run.folds, "repeat": run.repeats, "seed": run.seeds}
    return ", ".join(plural(count, name) for name, count in counts.items())


def _held_out(folder: Run) -> Predictions:
    return folder.predictions.part("held_out")


def _value(folder: Run, metric: Metric) -> float:
    return float(np.mean([metric.value(_held_out(run)) for run in folder.runs]))


@lru_cache(maxsize=128)  # a page, results.json and the terminal show the same differences
def _compared(first: Run, run: Run, metric: Metric) -> Compared:
    row = Compared(run.path.name, run.settings.model, _value(run, metric))
    if first.of_many:
        apart = over_models(judged(run.runs), judged(first.runs), metric.name, first)
        return replace(row, difference=apart)
    ours, theirs = _held_out(run), _held_out(first)
    rng = np.random.default_rng(first.settings.seed)  # the same resamples each time
    return replace(
        row,
        difference=paired_difference(metric.name, ours, theirs, rng, bootstrap_of(first.first)),
        delong=None
        if ours.horizons or len(ours.classes) != _BINARY
        else _if_defined(paired_delong, ours, theirs),
        mcnemar=None if ours.horizons else _if_defined(_mcnemar_of_groups, ours, theirs),
    )


def over_models(
    ours: Sequence[Judged], theirs: Sequence[Judged], metric: str, run: Run
) -> Difference:
    """Compute the mean difference over folds, repeats and seeds, with seed and data of a run."""
    rng, how = np.random.default_rng(run.settings.seed), bootstrap_of(run.first)  # repeatable
    (number,) = difference_across_folds(
        ours, theirs, lambda predictions: statistic_of(metric, predictions), rng, how
    )
    if number.interval is None:
        raise DataError(
            f"{metric} is not defined in enough folds to compare by: choose another metric"
        )
    return Difference(number.value, number.interval, number.p_value())


def _mcnemar_of_groups(ours: Predictions, theirs: Predictions) -> McNemar:
    """Compare whole recordings or subjects, if all examples of each have the same class."""
    return mcnemar(ours.by_recording(), theirs.by_recording())


def _if_defined(
    test: Callable[[Predictions, Predictions], Test], first: Predictions, second: Predictions
) -> Test | None:
    """Return the result of a test, or None if these data are too few for it."""
    try:
        return test(first, second)
    except SplitError:
        raise
    except DataError:
        return None
