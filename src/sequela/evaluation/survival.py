"""Metrics of the time to an event, for follow-up that may end before it.

An outcome is a time and what ended it: 0 the end of follow-up (censoring), 1 the event, 2 and above
competing events, after which the event is impossible. Where follow-up ended before a horizon, the
others stand for the example: they are weighted by the inverse probability of being followed so long
(IPCW). Each metric is a function of the groups' weights, as all statistics here, so that intervals
resample whole patients.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from sequela.errors import DataError
from sequela.evaluation import statistic
from sequela.evaluation.statistic import Statistic

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class TimesToEvent:
    """When each example ended, and by what.

    Attributes:
        time: float64 (example,), from the prediction, 0 or more.
        event: int64 (example,), 0 for the end of follow-up, 1 for the event, 2 and above for
            competing events.
        group: int64 (example,), index of the patient.
    """

    time: Floats
    event: NDArray[np.int64]
    group: NDArray[np.int64]

    def __post_init__(self) -> None:
        if not len(self.time):
            raise DataError("there are no times to an event: expected one an example")
        wrong = ~(np.isfinite(self.time) & (self.time >= 0))
        if wrong.any():
            raise DataError(
                f"{wrong.sum()} of {len(wrong)} times to an event are negative or not a number "
                f"(the first in row {np.argmax(wrong) + 1}): expected the time from the prediction"
            )

    @property
    def n_groups(self) -> int:
        """The number of groups."""
        return int(self.group.max()) + 1

    @cached_property
    def _followed(self) -> tuple[Floats, Floats]:
        """Times, and the Kaplan-Meier probability of being followed beyond each of them.

        Events come before an end of follow-up at the same time, so they are not at risk of it.
        """
        times, at = np.unique(self.time, return_inverse=True)
        # An end of follow-up is the event of this curve, and events are its censoring.
        ends = np.bincount(at, self.event == 0)
        all_ = np.bincount(at)
        # The Kaplan-Meier estimator with events and censoring exchanged, less those with an event
        # at the same time, who are not at risk of censoring any more.
        at_risk = np.cumsum(all_[::-1])[::-1] - (all_ - ends)
        return times, np.cumprod(1 - np.divide(ends, at_risk, np.zeros_like(ends), where=ends > 0))

    def followed(self, time: Floats) -> Floats:
        """Return the probability of being followed beyond each time, any shape."""
        times, beyond = self._followed
        place = np.searchsorted(times, time, side="right")
        return np.concatenate([[1.0], beyond])[place]

    def check_horizons(self, horizons: Floats, place: str = "") -> None:
        """Refuse horizons of 0 or less, and those beyond which nobody is followed."""
        last = float(self.time[self.event == 0].max(initial=self.time.max()))
        if not ((horizons > 0) & (horizons < last)).all():
            raise DataError(
                f"horizons {horizons.tolist()}: expected times above 0 and below {last:g}, the "
                f"longest follow-up{place}"
            )


def incidence(
    outcomes: TimesToEvent, horizons: Floats, cause: int = 1, among: NDArray[np.bool_] | None = None
) -> Statistic:
    """Return the share of examples with the event by each horizon, a number a horizon.

    This is the estimator of Aalen and Johansen (1978): without competing events, one minus that of
    Kaplan and Meier (1958). ``among``, bool (example,), restricts it to some examples.
    """
    among = np.ones(len(outcomes.time), np.bool_) if among is None else among
    times, at = np.unique(outcomes.time, return_inverse=True)
    shape = (len(times), outcomes.n_groups)
    index = np.searchsorted(times, horizons, side="right")

    def counts(examples: NDArray[np.bool_]) -> csr_array:
        rows = np.flatnonzero(examples & among)
        return csr_array((np.ones(len(rows)), (at[rows], outcomes.group[rows])), shape=shape)

    any_end = counts(outcomes.event >= 0)
    any_event = counts(outcomes.event > 0)
    of_cause = counts(outcomes.event == cause)

    def value(weights: Floats) -> Floats:
        columns = np.ascontiguousarray(weights.T)
        leaving = any_end @ columns  # (time, resample)
        at_risk = np.cumsum(leaving[::-1], axis=0)[::-1]
        divisor = np.where(at_risk > 0, at_risk, 1.0)
        free = np.cumprod(1 - (any_event @ columns) / divisor, axis=0)
        # The event at a time happens to those who were free of any event until then.
        before = np.concatenate([np.ones((1, len(weights))), free[:-1]])
        share = np.cumsum(before * (of_cause @ columns) / divisor, axis=0)
        by_horizon = np.concatenate([np.zeros((1, len(weights))), share])[index].T
        return np.where(at_risk[:1].T > 0, by_horizon, np.nan)

    return Statistic(value, outcomes.n_groups)


def brier(
    outcomes: TimesToEvent, risk: Floats, horizons: Floats, followed: TimesToEvent
) -> Statistic:
    """Return the Brier score at each horizon, weighted for censoring (Graf and others 1999).

    Args:
        outcomes: The outcomes.
        risk: float64 (example, horizon), predicted probability of the event by each horizon.
        horizons: float64 (horizon,).
        followed: The outcomes from which the weights are estimated: those of the training set.
    """
    weight, happened = _weights(outcomes, horizons, followed)
    return statistic.mean(weight * (risk - happened) ** 2, outcomes.group)


def integrated(scores: Statistic, horizons: Floats) -> Statistic:
    """Return the mean of a number over the horizons, by the trapezoidal rule."""

    def value(weights: Floats) -> Floats:
        # Divided by the length of time, so that studies with other horizons have one scale.
        return np.asarray(np.trapezoid(scores(weights), horizons) / np.ptp(horizons))

    return Statistic(value, scores.n_groups)


def auroc_at(
    outcomes: TimesToEvent, risk: Floats, horizon: float, followed: TimesToEvent
) -> Statistic:
    """Return the AUROC of the event by a horizon (cumulative cases, dynamic controls).

    Cases had the event by then; controls were followed beyond it without an event, or had a
    competing event by then (Blanche and others 2013). ``risk`` is float64 (example,).
    """
    weight, happened = _weights(outcomes, np.array([horizon]), followed)
    return statistic.auroc(happened[:, 0], risk, outcomes.group, weight[:, 0])


def _weights(
    outcomes: TimesToEvent, horizons: Floats, followed: TimesToEvent
) -> tuple[Floats, NDArray[np.bool_]]:
    """Return weights, 0 where the outcome at a horizon is unknown, and who had the event by it.

    Both are (example, horizon).
    """
    time, event = outcomes.time[:, None], outcomes.event[:, None]
    # A known event is weighted at its own time, somebody without one at the horizon (Graf and
    # others 1999). Those who left before count through the weights of the others.
    ended = (time <= horizons) & (event > 0)
    chance = np.where(ended, followed.followed(time), followed.followed(horizons))
    is_known = (ended | (time > horizons)) & (chance > 0)
    weight = np.divide(1.0, chance, np.zeros_like(chance), where=is_known)
    return weight, ended & (event == 1)


def concordance(
    outcomes: TimesToEvent,
    risk: Floats,
    followed: TimesToEvent | None = None,
    until: float = np.inf,
) -> Statistic:
    """Return the share of comparable pairs in which the earlier event has the higher risk.

    A pair is comparable if the earlier time is that of an event. Equal risks count half. Without
    ``followed`` it is the index of Harrell (1982), which depends on when follow-up ended; with it
    each pair is weighted for that (Uno and others 2011), for events before ``until``. Examples with
    a competing event count as never having the event (Wolbers and others 2009).

    Args:
        outcomes: The outcomes.
        risk: float64 (example,), higher for earlier events.
        followed: The outcomes from which the weights are estimated: those of the training set.
        until: Only events before this time begin a pair.
    """
    first = (outcomes.event == 1) & (outcomes.time < until)
    price = np.ones(len(risk))
    if followed is not None:
        chance = followed.followed(outcomes.time)
        # Both of a pair must be followed so long: the square (Uno and others 2011).
        price = np.divide(1.0, chance**2, np.zeros_like(chance), where=chance > 0)
    # After a competing event the event never happens: its time is infinite.
    ends = np.where(outcomes.event > 1, np.inf, outcomes.time)
    later = (ends, outcomes.event != 1)  # an end of follow-up comes after an event at its time
    # Two ranks differ first in one bit, and the one with the bit set is later: pairs are counted
    # bit by bit, in O(n log n) for each, instead of one by one.
    rank = np.unique(np.rec.fromarrays(later), return_inverse=True)[1]
    levels = [
        _Level.of(rank >> bit, first, risk) for bit in range(int(rank.max(initial=0)).bit_length())
    ]

    def value(weights: Floats) -> Floats:
        of_each = weights.T[outcomes.group]  # (example, resample)
        early = of_each * price[:, None]
        right = pairs = np.zeros(len(weights))
        for level in levels:
            more, all_ = level.sums(early, of_each)
            right, pairs = right + more, pairs + all_
        with np.errstate(invalid="ignore"):
            share: Floats = right / pairs
        return share

    return Statistic(value, outcomes.n_groups)


@dataclass(frozen=True, eq=False)
class _Level:
    """The pairs whose ranks first differ in one bit: sums over them need one sort and no loop.

    Attributes:
        order: The examples by the higher bits of their rank, then by risk.
        is_later: Whether the bit of each is set, in that order.
        first: The examples that begin pairs.
        start, below, upto, end: Positions in the order: of the examples with the same higher bits,
            the beginning, those with a lower risk, with the same or a lower one, and the end.
    """

    order: NDArray[np.int64]
    is_later: NDArray[np.bool_]
    first: NDArray[np.int64]
    start: NDArray[np.int64]
    below: NDArray[np.int64]
    upto: NDArray[np.int64]
    end: NDArray[np.int64]

    @classmethod
    def of(cls, rank: NDArray[np.int64], first: NDArray[np.bool_], risk: Floats) -> "_Level":
        """Find the positions; ``rank`` is without its lower bits."""
        block, by_risk = rank >> 1, np.unique(risk, return_inverse=True)[1]
        key = block * (int(by_risk.max()) + 1) + by_risk
        order = np.argsort(key, kind="stable")
        begins = np.flatnonzero(first & (rank & 1 == 0))
        at_block, at_key = block[order], key[order]
        return cls(
            order,
            (rank & 1 == 1)[order],
            begins,
            np.searchsorted(at_block, block[begins], side="left"),
            np.searchsorted(at_key, key[begins], side="left"),
            np.searchsorted(at_key, key[begins], side="right"),
            np.searchsorted(at_block, block[begins], side="right"),
        )

    def sums(self, early: Floats, of_each: Floats) -> tuple[Floats, Floats]:
        """Return the weights of pairs in the right order, and of all pairs: (resample,) each."""
        later = np.where(self.is_later[:, None], of_each[self.order], 0.0)
        so_far = np.concatenate([np.zeros((1, later.shape[1])), np.cumsum(later, axis=0)])
        of_first = early[self.first]
        under = (so_far[self.below] + so_far[self.upto]) / 2 - so_far[self.start]
        everyone = so_far[self.end] - so_far[self.start]
        return (of_first * under).sum(axis=0), (of_first * everyone).sum(axis=0)


def net_benefit_at(
    outcomes: TimesToEvent, risk: Floats, horizon: float, thresholds: Floats
) -> Statistic:
    """Return the net benefit of acting on risks at or above each threshold, a number a threshold.

    The share of events among those with a high risk is estimated with their censoring (Vickers and
    others 2008). ``risk`` is float64 (example,), the probability of the event by the horizon.
    """
    at = np.array([horizon])
    parts = []
    for threshold in thresholds.tolist():
        high = risk >= threshold
        # Net benefit is P(high) · (P(event | high) - P(none | high) · odds): the share of events is
        # estimated among those with a high risk, who may be followed for another time.
        alarms = statistic.mean(high, outcomes.group)
        parts.append((alarms, incidence(outcomes, at, among=high), threshold / (1 - threshold)))

    def value(weights: Floats) -> Floats:
        columns = []
        for alarms, events, cost in parts:
            share, happened = alarms(weights), events(weights)[:, 0]
            columns.append(np.where(share > 0, share * (happened - (1 - happened) * cost), 0.0))
        return np.stack(columns, axis=1)

    return Statistic(value, outcomes.n_groups)


def _uno(outcomes: TimesToEvent, risk: Floats, horizons: Floats) -> Statistic:
    return concordance(outcomes, risk[:, -1], outcomes, float(horizons[-1]))


def _harrell(outcomes: TimesToEvent, risk: Floats, _: Floats) -> Statistic:
    return concordance(outcomes, risk[:, -1])


def _auroc_at_last(outcomes: TimesToEvent, risk: Floats, horizons: Floats) -> Statistic:
    return auroc_at(outcomes, risk[:, -1], float(horizons[-1]), outcomes)


def _integrated_brier(outcomes: TimesToEvent, risk: Floats, horizons: Floats) -> Statistic:
    scores = brier(outcomes, risk, horizons, outcomes)
    return integrated(scores, horizons) if len(horizons) > 1 else scores


STATISTICS: Mapping[str, Callable[[TimesToEvent, Floats, Floats], Statistic]] = {
    "concordance": _uno,
    "auroc_at_last_horizon": _auroc_at_last,
    "integrated_brier_score": _integrated_brier,
    "concordance_harrell": _harrell,
}
"""The metrics of outcomes and risks (example, horizon) by horizons (horizon,), by name."""


def at_horizons(outcomes: TimesToEvent, risk: Floats, horizons: Floats) -> list[Statistic]:
    """Return the observed and predicted share with the event, AUROC and Brier score by horizon."""
    statistics = []
    for place, day in enumerate(horizons.tolist()):
        at = np.array([day])
        statistics += [
            incidence(outcomes, at),
            statistic.mean(risk[:, place], outcomes.group),
            auroc_at(outcomes, risk[:, place], day, outcomes),
            brier(outcomes, risk[:, [place]], at, outcomes),
        ]
    return statistics


def over_expected(outcomes: TimesToEvent, risk: Floats, horizons: Floats) -> Statistic:
    """Return observed over expected events by the last horizon."""
    observed, expected = at_horizons(outcomes, risk[:, -1:], horizons[-1:])[:2]
    return Statistic(lambda weights: observed(weights)[:, 0] / expected(weights), observed.n_groups)
