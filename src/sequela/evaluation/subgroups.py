"""Metrics by subgroup, such as sex, age band or unit; small cells can be suppressed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sequela.disclosure import has_small, hidden_cells
from sequela.errors import DataError
from sequela.evaluation.decision import Threshold
from sequela.evaluation.intervals import DEFAULT, Bootstrap, Estimate, estimates
from sequela.evaluation.metrics import alarms_at, named, statistic_of
from sequela.evaluation.predictions import Place, Predictions
from sequela.evaluation.recipe import Judged, metric_across_folds

UNKNOWN = "unknown"


@dataclass(frozen=True)
class Cell:
    """Counts of one value of an attribute: groups or subjects, examples, examples by class."""

    n_groups: int
    n_examples: int
    n_of_class: tuple[int, ...]


@dataclass(frozen=True)
class Subgroup:
    """One value of one attribute.

    Attributes:
        attribute: For example ``sex``.
        value: For example ``female``; ``unknown`` where the data do not record it; the empty string
            where the cell itself is small, because a rare value may identify people.
        cell: Its counts, or ``None`` where they are suppressed: with all numbers if the cell is
            small itself, alone if they are hidden only to keep another cell's counts from being
            worked out.
        metrics: The requested metrics by name; one that is not defined here (a class is missing) is
            left out.
        observed_minus_expected: Share of examples with the event, minus the mean predicted
            probability (see :func:`sequela.evaluation.predictions.event`).
        alarm_rate: Alarms per example, where a threshold was given; ``None`` where few examples
            of a group of the attribute have one, or few have none.
    """

    attribute: str
    value: str
    cell: Cell | None
    metrics: Mapping[str, Estimate]
    observed_minus_expected: Estimate | None
    alarm_rate: Estimate | None


def subgroups(
    predictions: Predictions,
    attributes: Mapping[str, NDArray[np.str_]],
    names: Sequence[str],
    rng: np.random.Generator,
    *,
    threshold: Threshold | None = None,
    how: Bootstrap = DEFAULT,
    model: NDArray[np.int64] | None = None,
    smallest: int = 1,
) -> list[Subgroup]:
    """Compute the numbers of each value of each attribute, in order of attribute, then value.

    A value is suppressed, and its name with it, if it has fewer than ``smallest`` groups (subjects,
    where groups are hospitals), or examples of any class, but not none. The counts of the next
    smallest are hidden too, until the hidden ones sum to enough: otherwise they could be computed
    by subtraction from the total.

    Args:
        predictions: Predictions for one part.
        attributes: For each name str (example,), empty where unknown.
        names: Metrics of :data:`sequela.evaluation.metrics.METRICS`.
        rng: Draws the resamples.
        threshold: Threshold of the alarm rate, where there are two classes.
        how: Level, resamples and method of the intervals.
        model: int64 (example,): the model of each prediction, where there are several (folds). A
            metric is then the mean over the models that have it: their scores cannot be ranked
            together.
        smallest: The smallest count that is shown; by default, every count is.
    """
    results = []
    for attribute, column in attributes.items():
        if column.shape != (predictions.n_examples,):
            raise DataError(
                f"attribute '{attribute}' has shape {column.shape}, expected one value for each of "
                f"{predictions.n_examples} examples"
            )
        values = np.where(column == "", UNKNOWN, column)
        members = {value: values == value for value in np.unique(values).tolist()}
        small, uncounted = _hidden(predictions, members, smallest)
        few, of_attribute = bool(small), list[Subgroup]()
        for value, rows in members.items():
            if value in small:
                continue
            members_only = predictions.where(rows)
            by = None if model is None else model[rows]
            subgroup = _subgroup((attribute, value), members_only, names, rng, threshold, how, by)
            if subgroup.alarm_rate and threshold:  # the rate would reveal a small count
                alarms = int((members_only.score >= threshold.value).sum())
                few |= has_small((alarms, members_only.n_examples - alarms), smallest)
            of_attribute.append(replace(subgroup, cell=None) if value in uncounted else subgroup)
        # The alarms of one hidden group are those of all minus those of the others.
        results += [replace(s, alarm_rate=None) if few else s for s in of_attribute]
        results += [Subgroup(attribute, "", None, {}, None, None) for _ in small]
    return results


def _hidden(
    predictions: Predictions, members: Mapping[str, NDArray[np.bool_]], smallest: int
) -> tuple[set[str], set[str]]:
    """Return values that are too small, and those whose counts would reveal these."""
    cells = {value: _cell(predictions.where(rows)) for value, rows in members.items()}
    counts = np.array([[cell.n_groups, *cell.n_of_class] for cell in cells.values()])
    # A count of zero reveals nobody.
    small = ((counts > 0) & (counts < smallest)).any(axis=1)
    hidden = hidden_cells(counts, smallest)
    names = np.array(list(cells), np.str_)
    return set(names[small].tolist()), set(names[hidden & ~small].tolist())


def _cell(predictions: Predictions) -> Cell:
    counts = np.bincount(predictions.label, minlength=len(predictions.classes))
    # Groups may be whole hospitals, and subjects may not be identified.
    n = max(len(np.unique(ids)) for ids in (predictions.group_id, predictions.subject_id))
    return Cell(n, predictions.n_examples, tuple(counts.tolist()))


def _subgroup(
    key: tuple[str, str],
    predictions: Predictions,
    names: Sequence[str],
    rng: np.random.Generator,
    threshold: Threshold | None,
    how: Bootstrap,
    model: NDArray[np.int64] | None,
) -> Subgroup:
    numbers = {}
    for name in names:
        only = (
            _of_models(name, predictions, model, rng, how)
            if model is not None
            else estimates(statistic_of(name, predictions), rng, how)[0]
        )
        if not np.isnan(only.value):
            numbers[name] = only
    (apart,) = estimates(statistic_of("observed_minus_expected", predictions), rng, how)
    alarm_rate = None
    if threshold is not None:
        (alarm_rate,) = estimates(alarms_at(threshold.value)(predictions), rng, how)
    return Subgroup(*key, _cell(predictions), numbers, apart, alarm_rate)


def _of_models(
    name: str,
    predictions: Predictions,
    model: NDArray[np.int64],
    rng: np.random.Generator,
    how: Bootstrap,
) -> Estimate:
    judged = [
        Judged(predictions.where(model == index), Place(0, place, 0))
        for place, index in enumerate(np.unique(model).tolist())
    ]
    # Scores of two models have different scales: a joint ranking would mix them.
    metric = named(name)
    defined = [fold for fold in judged if metric.can_be_had(fold.held_out, whole_groups=False)]
    if not defined:
        return Estimate(np.nan, None)
    groups = np.unique(np.concatenate([fold.held_out.group_id for fold in defined]))
    if len(groups) < 2:  # noqa: PLR2004
        values = [statistic_of(name, fold.held_out).estimate for fold in defined]
        return Estimate(float(np.mean(values)), None)
    number = metric_across_folds(name, defined, rng, how)
    return Estimate(number.value, number.interval)
