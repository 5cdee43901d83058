"""The evaluation of a model of the time to an event, with intervals over patients."""

from collections.abc import Sequence
from dataclasses import dataclass
from inspect import signature
from itertools import product
from warnings import warn

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sequela.api.facts import Measured, Method, Rows
from sequela.errors import DataError, SettingError, warn_without_groups
from sequela.evaluation import statistic, survival
from sequela.evaluation.comparison import Difference, difference_of
from sequela.evaluation.intervals import Estimate, estimates
from sequela.evaluation.statistic import Statistic
from sequela.evaluation.survival import TimesToEvent

_KINDS = [*product("biu", "fiu")]  # the types of numpy of an event and of a time
_BINARY = 2  # ends of follow-up without a competing event: none, and the event
_QUARTERS = (0.25, 0.5, 0.75)
_REVERSED = 0.4  # concordance below which risks are probably probabilities of survival
_ROUNDING = 1e-5  # fall of a predicted risk that rounding to 32 bits explains
_OTHER_UNIT = 6  # ratio of median times; days in a week, the smallest factor of two units, are 7
_LARGER_SHARE = 2  # ratio of two shares with the event that differ
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False, repr=False)
class SurvivalEvaluation(Measured):
    """Predicted risks of an event by several horizons, and their metrics.

    Attributes:
        outcomes: The time and the end of each example.
        followed: The outcomes from which censoring is estimated.
        risk: float64 (example, horizon), the predicted probability of the event by each horizon.
        horizons: float64 (horizon,), in the unit of the times.
        seed: Seed of the bootstrap.
    """

    outcomes: TimesToEvent
    followed: TimesToEvent
    risk: Floats
    horizons: Floats
    seed: int = 0

    def statistics(self) -> dict[str, Statistic]:
        """Return each number as a function of the groups' weights."""
        ours, last = self.outcomes, self.risk[:, -1]
        until = float(self.horizons[-1])
        statistics = {
            # Harrell's concordance (1996) depends on censoring; Uno's (2011) weights by its
            # inverse.
            "concordance (Harrell)": survival.concordance(ours, last),
            "concordance (Uno)": survival.concordance(ours, last, self.followed, until),
        }
        for index, at in enumerate(self.horizons.tolist()):
            risk, here = self.risk[:, index], self.horizons[[index]]
            statistics |= {
                f"AUROC at {at:g}": survival.auroc_at(ours, risk, at, self.followed),
                f"Brier score at {at:g}": survival.brier(ours, risk[:, None], here, self.followed),
                f"events by {at:g}": survival.incidence(ours, here),
                f"predicted by {at:g}": statistic.mean(risk, ours.group),
            }
        if len(self.horizons) > 1:
            # Graf et al. 1999: the Brier score over time, averaged, is a proper score of whole
            # curves.
            scores = survival.brier(ours, self.risk, self.horizons, self.followed)
            statistics["integrated Brier score"] = survival.integrated(scores, self.horizons)
        return statistics

    def numbers(self) -> dict[str, Estimate]:
        """Compute each number with its 95 % interval; all are on the same resamples."""
        parts = self.statistics()
        rng = np.random.default_rng(self.seed)
        return dict(zip(parts, estimates(statistic.stacked([*parts.values()]), rng), strict=True))

    def _measured(self) -> tuple[Rows, Method]:
        rows: Rows = []
        how: Method = None
        for name, estimate in self.numbers().items():
            row: dict[str, object] = {"number": name, "value": estimate.value}
            if at := estimate.interval:
                row |= {"low": at.low, "high": at.high}
                how = how or at.method_record()
            rows.append(row)
        return rows, how

    def difference(self, reference: "SurvivalEvaluation", name: str) -> Difference:
        """Return a number of this model minus that of another, paired on the same examples.

        Raises:
            DataError: If the other model was evaluated on other examples or horizons.
            SettingError: If no number has that name.
        """
        for field in ("time", "event", "group"):
            ours, theirs = getattr(self.outcomes, field), getattr(reference.outcomes, field)
            if not np.array_equal(ours, theirs):
                raise DataError(
                    f"the models were evaluated on examples with another {field}: evaluate both on "
                    "the same examples, in the same order"
                )
        numbers, references = self.statistics(), reference.statistics()
        if name not in numbers or name not in references:
            names = ", ".join(number for number in numbers if number in references)
            raise SettingError(f"no number '{name}' of both models: expected one of {names}")
        difference = statistic.difference(numbers[name], references[name])
        return difference_of(name, difference, np.random.default_rng(self.seed))

    @property
    def _title(self) -> str:
        ended = np.bincount(self.outcomes.event, minlength=_BINARY)
        competing = f", {ended[2:].sum():,} competing events" if len(ended) > _BINARY else ""
        return (
            f"{len(self.outcomes.time):,} examples in {self.outcomes.n_groups:,} groups: "
            f"{ended[1]:,} events{competing}, {ended[0]:,} without an event by the end of follow-up"
        )


def evaluate_survival(
    model: object,
    X: object,
    y: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    train: ArrayLike | None = None,
    horizons: Sequence[float] | None = None,
    seed: int = 0,
) -> SurvivalEvaluation:
    """Evaluate a fitted model of the time to an event, with intervals over subjects.

    Args:
        model: A model of scikit-survival, lifelines or hazardous, or an array of predicted risks
            (example, horizon), from 0 to 1.
        X: Examples that the model was not trained on; not used with an array.
        y: A structured array (example,) as scikit-survival has it: the event (true, or 1; 2 and
            above for competing events; 0 where follow-up ended), then its time from the prediction.
        groups: Subject of each (example,), which the bootstrap draws whole; ``None`` makes each
            example a subject.
        train: The ``y`` of the training set, from which censoring is estimated; ``y`` by default.
        horizons: Times in rising order, in the unit of ``y``, one for each column of risks; by
            default the quartiles of the events' times.
        seed: Seed of the bootstrap.

    Raises:
        DataError: If ``y`` has another form, no example had the event, horizons do not rise or one
            is beyond all follow-up, risks are not from 0 to 1, fall from one horizon to the next or
            do not fit the examples, or the times of ``train`` are in another unit.
        SettingError: If the model predicts no risks over time.

    Warns:
        MissingGroupsWarning: If ``groups`` is missing.
        UserWarning: If an array of risks has a concordance below 0.4, as one of survival has.

    Example:
        >>> y = np.array([(True, 2.0), (False, 5.0), (True, 4.0)], [("event", "?"), ("time", "f8")])
        >>> risk = np.array([[0.6], [0.1], [0.4]])
        >>> found = evaluate_survival(risk, None, y, groups=[1, 2, 3], horizons=[3])
        >>> found.numbers()["concordance (Harrell)"].value
        1.0
    """
    if groups is None:
        warn_without_groups("several draws of the bootstrap: intervals are too narrow")
    outcomes = times_to_event(y, groups)
    at = _horizons(outcomes, horizons)
    risk = _risk(model, X, at)
    _check_risk(risk, len(outcomes.time), len(at))
    # Survival and risk are both shares, so only their order tells them apart.
    concordance = survival.concordance(outcomes, risk[:, -1]).estimate.item()
    if isinstance(model, np.ndarray) and concordance < _REVERSED:
        hint = "if these are probabilities of survival, pass 1 minus them"
        warn(f"the concordance is {concordance:.2f}, below 0.5: {hint}", stacklevel=2)
    followed = outcomes if train is None else _training_set(times_to_event(train), outcomes, at)
    return SurvivalEvaluation(outcomes, followed, risk, at, seed)


def _check_risk(risk: Floats, examples: int, horizons: int) -> None:
    """Raise a DataError unless risks (example, horizon) are shares that only rise."""
    if risk.shape != (examples, horizons):
        raise DataError(
            f"the predicted risks have the shape {risk.shape}: expected "
            f"({examples} examples, {horizons} horizons)"
        )
    if not ((risk >= 0) & (risk <= 1)).all():
        raise DataError("predicted risks are below 0, above 1 or not a number: expected shares")
    if falling := int((np.diff(risk, axis=1) < -_ROUNDING).any(axis=1).sum()):
        raise DataError(
            f"the predicted risks of {falling} of {len(risk)} examples fall from one horizon to "
            "the next: expected probabilities of the event by each horizon, which only rise; if "
            "these are probabilities of survival, pass 1 minus them"
        )


def _horizons(outcomes: TimesToEvent, horizons: Sequence[float] | None) -> Floats:
    """Return the horizons, by default the quartiles of the events' times."""
    if not (outcomes.event == 1).any():
        raise DataError("no example had the event (1): its times cannot be used")
    quartiles = np.quantile(outcomes.time[outcomes.event == 1], _QUARTERS)
    at = np.unique(quartiles) if horizons is None else np.asarray(horizons, np.float64)
    if not (np.diff(at) > 0).all():
        raise DataError(
            f"horizons {at.tolist()}: expected times from the earliest to the latest, each once, "
            "and risks with their columns in that order"
        )
    outcomes.check_horizons(at)
    return at


def _training_set(train: TimesToEvent, outcomes: TimesToEvent, horizons: Floats) -> TimesToEvent:
    """Check that the times of the training set are in the unit of the test set; return them."""
    # A longer follow-up alone changes the median, and not the share with the event by a horizon.
    last, sets = horizons[-1:], (train, outcomes)
    medians = [float(np.median(outcome.time)) for outcome in sets]
    shares = [survival.incidence(outcome, last).estimate.item() for outcome in sets]
    differ = last >= train.time.max() or max(shares) > _LARGER_SHARE * min(shares)
    if max(medians) > _OTHER_UNIT * min(medians) and differ:
        raise DataError(
            f"the median time is {medians[0]:g} in train and {medians[1]:g} in y, and the share "
            f"with the event by {last.item():g} is {shares[0]:.3g} and {shares[1]:.3g}: expected "
            "times in one unit: convert train to the unit of y, or leave it out"
        )
    train.check_horizons(horizons, " of train")
    return train


def times_to_event(y: ArrayLike, groups: ArrayLike | None = None) -> TimesToEvent:
    """Read a structured array as scikit-survival has it: first the event, then the time."""
    table = np.asarray(y)
    kinds = [table.dtype[name].kind for name in table.dtype.names or ()]
    if tuple(kinds) not in _KINDS:
        raise DataError(
            f"times to an event have the type {table.dtype}: expected two fields, first the event "
            "(true, or its number), then the time (sksurv.util.Surv.from_arrays makes them)"
        )
    event, time = (table[name] for name in table.dtype.names or ())
    if event.min(initial=0) < 0:
        raise DataError("an event has a negative number: expected 0 for none, 1 for the event")
    ids = np.arange(len(time)) if groups is None else group_ids(groups)
    if len(ids) != len(time):
        raise DataError(f"groups has {len(ids)} rows, and y {len(time)}: expected as many")
    group = np.unique(ids, return_inverse=True)[1]  # the bootstrap counts groups by number
    return TimesToEvent(time.astype(np.float64), event.astype(np.int64), group)


def group_ids(groups: ArrayLike) -> NDArray[np.generic]:
    """Return groups as an array; missing ones, which would become one group, are refused."""
    ids = np.asarray(groups)
    missing = np.isin(ids.astype(np.str_), ("", "nan", "None", "NaT", "<NA>"))  # of pandas, too
    if missing.any():
        raise DataError(
            f"groups is missing in {missing.sum()} of {len(ids)} rows (the first is row "
            f"{missing.argmax()}): expected the recording or patient of each row; name these, or "
            "leave the rows out"
        )
    return ids


def _risk(model: object, X: object, horizons: Floats) -> Floats:
    """Predict the risk by each horizon with models of several packages: (example, horizon)."""
    if isinstance(model, np.ndarray):
        return np.asarray(model, np.float64)
    if hasattr(model, "predict_cumulative_incidence"):  # ours, hazardous: the first cause
        return np.asarray(model.predict_cumulative_incidence(X, times=horizons))[:, 1]
    if not hasattr(model, "predict_survival_function"):
        raise SettingError(
            f"{type(model).__name__} predicts no risks over time: expected a model with "
            "predict_survival_function or predict_cumulative_incidence, or an array of risks "
            "(example, horizon)"
        )
    if "times" in signature(model.predict_survival_function).parameters:  # lifelines
        return 1 - np.asarray(model.predict_survival_function(X, times=horizons)).T
    curves = model.predict_survival_function(X)  # scikit-survival: a step function an example
    # A step function is defined within the follow-up of its training set only.
    return 1 - np.array([curve(np.clip(horizons, *curve.domain)) for curve in curves])
