"""The metrics of a model's predictions: one record for each, read by everything else.

A metric is a number from :class:`~sequela.evaluation.predictions.Predictions`, usually of one part:
``accuracy(predictions.part("held_out"))``. Ranks are those of scikit-learn.
:data:`METRICS` holds the name, format, axis, statistic and direction of each; ``register`` adds
one. Their meaning and their limits are described in ``docs/evaluation.md``.
"""

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sequela.errors import DataError, SettingError
from sequela.evaluation import statistic
from sequela.evaluation.number import number, within
from sequela.evaluation.predictions import Predictions, event
from sequela.evaluation.statistic import Statistic
from sequela.plugins import Registry

_BINARY = 2  # the number of classes that ranking and thresholds need
Needs = Literal["anything", "any classes", "two classes", "whole groups", "times"]


@dataclass(frozen=True)
class Metric:
    """The definition of one metric.

    Attributes:
        name: In code and on the command line.
        title: The field's term for it, as used within a sentence.
        says: Its meaning, in a sentence.
        value: A function from predictions for one part.
        statistic: The same as a function of the groups' weights, for the bootstrap; with ``None``
            it has no interval.
        better: The better direction, ``higher`` or ``lower``; empty where there is none: models are
            then not compared by it.
        needs: ``any classes``; ``two classes`` with examples of both; ``whole groups``, whose
            examples have one class each (recordings); ``times`` to an event; or ``anything``.
        form: Format of a value in sentences and pictures, in Python's notation.
        table: Format of a value in a table.
        axis: Format of an axis, in d3's notation.
        bounds: Its smallest and largest possible value.
        points: Whether it is a share whose differences are in percentage points.
        chance: The value of an uninformative model, where that is the same for all data.
        hub: Its name on the Hugging Face Hub, if it has one.
        key: Its key among a run's numbers (``metrics.json``), if not its name.
        reported: Whether each run's numbers hold it, with its interval.
        interval: Whether a run's numbers hold its interval too.
        reveals: Whether the confusion matrix may be computed from it: then it is hidden where a
            count of that matrix is.
    """

    name: str
    title: str
    says: str
    value: Callable[[Predictions], float]
    statistic: Callable[[Predictions], Statistic] | None = None
    better: Literal["higher", "lower", ""] = "higher"
    needs: Needs = "any classes"
    form: str = ".2f"
    table: str = ".3f"
    axis: str = ".2f"
    bounds: tuple[float, float] = (0.0, 1.0)
    points: bool = False
    chance: float | None = None
    hub: str = ""
    key: str = ""
    reported: bool = False
    interval: bool = True
    reveals: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", self.key or self.name)

    @property
    def heading(self) -> str:
        """The title at the start of a line."""
        return self.title[0].upper() + self.title[1:]

    def can_be_had(self, predictions: Predictions, *, whole_groups: bool) -> bool:
        """Return whether these predictions have what the metric needs.

        ``whole_groups`` is true if all examples of a group have one class by design.
        """
        # Classes of times to an event are intervals, which have no accuracy.
        if predictions.horizons or self.needs == "times":
            has_events = predictions.horizons and (predictions.outcomes.event == 1).any()
            return bool(has_events) and self.needs in ("times", "anything")
        if self.needs == "two classes":
            n_present = len(np.unique(predictions.label))
            return len(predictions.classes) == n_present == _BINARY
        return whole_groups or self.needs != "whole groups"

    def of(self, numbers: Mapping[str, Any], form: str = "") -> str:
        """Format its value and interval among a run's numbers; a dash where it has none."""
        form = form or self.table
        value, ci = numbers.get(self.key), numbers.get(f"{self.key}_ci")
        return number(value, form) + (f" {within(ci[0], ci[1], form)}" if ci else "")

    def apart(self, difference: float) -> str:
        """Format a difference of two values: in percentage points, or as it is."""
        return number(100 * difference, "+.0f") if self.points else number(difference, "+.2f")


def accuracy(predictions: Predictions) -> float:
    """Compute the share of examples whose most probable class is the true one."""
    predictions.refuse_empty()
    return float(np.mean(predictions.predicted == predictions.label))


def per_class_recall(predictions: Predictions) -> NDArray[np.float64]:
    """Compute the recall of each class, NaN for a class without examples: float64 (class,)."""
    counts = confusion(predictions)
    with np.errstate(invalid="ignore"):
        recall: NDArray[np.float64] = counts.diagonal() / counts.sum(axis=1)
    return recall


def confusion(predictions: Predictions) -> NDArray[np.int64]:
    """Count examples by true class (rows) and predicted class (columns): int64 (class, class)."""
    predictions.refuse_empty()
    n = len(predictions.classes)
    return np.bincount(n * predictions.label + predictions.predicted, minlength=n * n).reshape(n, n)


def log_loss(predictions: Predictions) -> float:
    """Compute the mean of -log(probability of the true class), in nats.

    Probabilities keep float32's epsilon (1.2e-7) from 0 and 1, as in scikit-learn, so that one
    confident error costs at most 15.9.
    """
    predictions.refuse_empty()
    return float(example_loss(predictions).mean())


def example_loss(predictions: Predictions) -> NDArray[np.float64]:
    """Compute the terms of :func:`log_loss`: float64 (example,).

    Where follow-up ended, it is the probability of all classes that are still possible.
    """
    if predictions.horizons:
        ends = predictions.outcomes
        possible = predictions.intervals.possible(ends.time, ends.event)
        of_label = (possible * predictions.probabilities).sum(axis=1)
    else:
        of_label = predictions.probabilities[np.arange(predictions.n_examples), predictions.label]
    # One certain and wrong prediction would make the mean infinite, whatever all others are.
    epsilon = np.finfo(np.float32).eps
    return np.asarray(-np.log(of_label.clip(epsilon, 1 - epsilon).astype(np.float64)))


def auroc(predictions: Predictions) -> float:
    """Compute the probability that class 1 scores higher than class 0; ties count half."""
    refuse_one_class(predictions)
    return float(_ranked(statistic.auroc)(predictions).estimate)


def average_precision(predictions: Predictions) -> float:
    """Compute the mean precision over the recalls that the thresholds reach, not interpolated."""
    refuse_one_class(predictions)
    return float(_ranked(statistic.average_precision)(predictions).estimate)


def _squared_errors(predictions: Predictions) -> NDArray[np.float64]:
    """Return squared errors; two classes have the same errors, so by convention one is counted."""
    happened = predictions.label[:, None] == np.arange(len(predictions.classes))
    squares = (predictions.probabilities.astype(np.float64) - happened) ** 2
    share = 0.5 if len(predictions.classes) == _BINARY else 1.0
    return np.asarray(share * squares.sum(axis=1))


def refuse_one_class(predictions: Predictions) -> None:
    """Refuse other than two classes, or no examples of one, with a DataError."""
    predictions.score  # noqa: B018 - refuses more than two classes
    present = np.unique(predictions.label)
    if len(present) < _BINARY:
        what = f"all of class '{predictions.classes[present[0]]}'" if len(present) else "none"
        raise DataError(f"the examples are {what}: a ranking needs both classes")


def recall_statistic(predictions: Predictions) -> Statistic:
    """Return :func:`per_class_recall` as a function of the groups' weights, a number a class."""
    classes = np.arange(len(predictions.classes))
    is_class = predictions.label[:, None] == classes
    hit = predictions.predicted[:, None] == classes
    return statistic.share(hit, is_class, predictions.group_index)


def _accuracy(predictions: Predictions) -> Statistic:
    right = predictions.predicted == predictions.label
    return statistic.share(right, np.ones_like(right), predictions.group_index)


def _ranked(area: Callable[..., Statistic]) -> Callable[[Predictions], Statistic]:
    return lambda p: area(p.label == 1, p.score, p.group_index)


def _balanced_accuracy(predictions: Predictions) -> Statistic:
    # A class without examples has no recall; the scarcest class limits what is known of the mean.
    present = np.unique(predictions.label)
    recalls = recall_statistic(predictions)
    return Statistic(
        lambda weights: recalls(weights)[:, present].mean(axis=1),
        recalls.n_groups,
        (int(np.array(recalls.trials)[present].min()),),
    )


def _observed_minus_expected(predictions: Predictions) -> Statistic:
    judged = event(predictions)
    return statistic.mean(judged.happened - judged.chance, judged.group)


def alarms_at(threshold: float) -> Callable[[Predictions], Statistic]:
    """Return the share of examples that raise an alarm at a threshold, as a statistic."""

    def alarms(predictions: Predictions) -> Statistic:
        alarm = predictions.score >= threshold
        return statistic.share(alarm, np.ones_like(alarm), predictions.group_index)

    return alarms


_Fields = dict[str, Any]  # fields of a metric, by name


def _by(statistic: Callable[[Predictions], Statistic]) -> _Fields:
    def value(predictions: Predictions) -> float:
        predictions.refuse_empty()
        return float(np.asarray(statistic(predictions).estimate).item())

    return {"value": value, "statistic": statistic}


def _of_times(name: str) -> _Fields:
    def of(predictions: Predictions) -> Statistic:
        from sequela.evaluation.survival import STATISTICS  # runs of classes do without

        return STATISTICS[name](*predictions.over_time)

    return {"name": name, "needs": "times", **_by(of)}


_SHARE: _Fields = {"form": ".0%", "axis": ".0%", "points": True}
_REPORTED: _Fields = {"reported": True, "reveals": False}
_RANKED: _Fields = {"needs": "two classes", **_REPORTED}

_OTHER_KEYS = (
    "examples",
    "groups",
    "per_class_recall",
    "confusion",
    "interval",
    "operating_points",
)
"""The other keys among a run's numbers."""


def _check(_: str, metric: Metric) -> None:
    existing = {*_OTHER_KEYS, *METRICS, *(registered.key for registered in METRICS.values())}
    for name in (metric.name, metric.key):
        if not (name.isidentifier() and name == name.lower()) or name.endswith(("_ci", "_folds")):
            raise SettingError(
                f"a metric cannot be named '{name}': expected lower-case letters, digits and "
                "underscores, not ending in _ci or _folds, which mark its interval and folds"
            )
        if name in existing:
            raise SettingError(f"a metric named '{name}' exists: choose another name")


METRICS = Registry("metric", Metric, _check)
"""The metrics by name; the reported ones are in the order of tables."""
register = METRICS.add

for _metric in (
    Metric(
        "accuracy",
        "accuracy",
        "share of examples whose most probable class is the true one",
        accuracy,
        _accuracy,
        **(_SHARE | _REPORTED),
        hub="accuracy",
    ),
    Metric(
        "recording_accuracy",
        "accuracy of whole recordings",
        "share of whole recordings whose mean probabilities give the true class",
        needs="whole groups",
        **_by(lambda predictions: _accuracy(predictions.by_recording())),
        **(_SHARE | _REPORTED),
    ),
    Metric(
        "auroc",
        "AUROC",
        "probability that an example of class 1 scores higher than one of class 0, ties "
        "counted 0.5 (Hanley & McNeil 1982)",
        auroc,
        _ranked(statistic.auroc),
        **_RANKED,
        chance=0.5,
        hub="roc_auc",
    ),
    Metric(
        "average_precision",
        "average precision",
        "sum over thresholds of (gain in recall) x precision, not interpolated",
        average_precision,
        _ranked(statistic.average_precision),
        **_RANKED,
        hub="average_precision",
    ),
    Metric(
        "log_loss",
        "log loss",
        "mean of -log(probability of the true class), in nats; probabilities keep 1.2e-7 from "
        "0 and 1",
        log_loss,
        lambda predictions: statistic.mean(example_loss(predictions), predictions.group_index),
        better="lower",
        needs="anything",
        bounds=(0.0, float("inf")),
        key="loss",
        interval=False,
        **_REPORTED,
    ),
    Metric(
        title="concordance (Uno)",
        says="share of pairs in which the earlier event has the higher risk by the last horizon, "
        "weighted for follow-up that ended (Uno and others 2011)",
        **_of_times("concordance"),
        **_REPORTED,
        form=".3f",
        chance=0.5,
    ),
    Metric(
        title="AUROC of the event by the last horizon",
        says="probability that somebody with the event by the last horizon has a higher risk than "
        "somebody without, weighted for follow-up that ended (Blanche and others 2013)",
        **_of_times("auroc_at_last_horizon"),
        **_REPORTED,
        form=".3f",
        chance=0.5,
    ),
    Metric(
        title="integrated Brier score",
        says="mean squared error of the risk over the time from the first horizon to the last, "
        "weighted for follow-up that ended (Graf and others 1999); with one horizon that at it",
        **_of_times("integrated_brier_score"),
        **_REPORTED,
        better="lower",
        form=".4f",
        table=".4f",
        axis=".3f",
    ),
    Metric(
        title="concordance (Harrell)",
        says="share of pairs in which the earlier event has the higher risk by the last horizon; "
        "it depends on when follow-up ended (Harrell 1982)",
        **_of_times("concordance_harrell"),
        form=".3f",
        chance=0.5,
        reveals=False,
    ),
    Metric(
        "balanced_accuracy",
        "balanced accuracy",
        "mean recall over the classes that occur",
        **_by(_balanced_accuracy),
        **_SHARE,
    ),
    Metric(
        "brier_score",
        "Brier score",
        "mean squared error of the probabilities: of class 1, or over all classes if there are "
        "more than two (Brier 1950)",
        **_by(lambda p: statistic.mean(_squared_errors(p), p.group_index)),
        better="lower",
        form=".3f",
        table=".4f",
        axis=".3f",
        bounds=(0.0, 2.0),
        reveals=False,
    ),
    Metric(
        "observed_minus_expected",
        "observed minus expected share of events",
        "share of examples with the event, minus the mean predicted probability",
        **_by(_observed_minus_expected),
        better="",
        form="+.1%",
        axis="+.0%",
        bounds=(-1.0, 1.0),
        points=True,
        reveals=False,
    ),
    Metric(
        "alarm_rate",
        "alarms per example",
        "share of examples that raise an alarm at the threshold, 0.5 if none is given",
        **_by(alarms_at(0.5)),
        better="",
        needs="two classes",
        **_SHARE,
    ),
):
    register(_metric)

OURS = frozenset(metric.key for metric in METRICS.values())
"""The keys of metrics that every run has, where its classes allow them; users may add others."""


def named(name: str) -> Metric:
    """Return a metric by its name, or by its key among a run's numbers."""
    for metric in METRICS.values():
        if name in (metric.name, metric.key):
            return metric
    return METRICS.lookup(name)


def main_metric(predictions: Predictions) -> Metric:
    """Return the main metric of predictions, see :func:`headline`."""
    return headline(predictions.classes, ["concordance"] if predictions.horizons else None)


def statistic_of(name: str, predictions: Predictions) -> Statistic:
    """Return a metric as a function of the weights of the groups in ``predictions.group_index``."""
    metric = named(name)
    if metric.needs != "anything" and (metric.needs == "times") != bool(predictions.horizons):
        fits = [
            m.name for m in METRICS.values() if (m.needs == "times") == bool(predictions.horizons)
        ]
        what = "times to an event" if predictions.horizons else "classes"
        raise DataError(
            f"{metric.title} is not defined for {what}: choose one of {', '.join(sorted(fits))}"
        )
    if metric.statistic is None:
        raise DataError(
            f"{metric.title} has no statistic to resample, and so no interval: give its record one"
        )
    return metric.statistic(predictions)


def reported(numbers: Container[str] | None = None) -> list[Metric]:
    """List the metrics that each run reports, in the order of tables; only those in ``numbers``."""
    return [m for m in METRICS.values() if m.reported and (numbers is None or m.key in numbers)]


def compared() -> list[Metric]:
    """List the metrics by which models can be compared."""
    return [metric for metric in METRICS.values() if metric.better]


def headline(classes: Sequence[str], numbers: Container[str] | None = None) -> Metric:
    """Return the main metric: AUROC for two classes if it is among the numbers, else accuracy.

    Of times to an event it is the concordance.
    """
    if numbers is not None and "concordance" in numbers:
        return METRICS["concordance"]
    two = len(classes) == _BINARY and (numbers is None or METRICS["auroc"].key in numbers)
    return METRICS["auroc" if two else "accuracy"]
